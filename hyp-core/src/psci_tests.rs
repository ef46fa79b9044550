use super::*;
use proptest::prelude::*;

const CPU0: u64 = 0x8000_0000;
const CPU1: u64 = 0x8000_0001;
const CPU2: u64 = 0x81_8000_0100;
const RAM: u64 = 0x4000_0000;

const EVERYTHING: Firmware = Firmware {
    suspend: Some(StateFormat::Original),
    reset2: true,
};
const NOTHING: Firmware = Firmware {
    suspend: None,
    reset2: false,
};

fn three(firmware: Firmware) -> Psci<4> {
    let mut psci = Psci::new(firmware);
    for (n, mpidr) in [CPU0, CPU1, CPU2].into_iter().enumerate() {
        assert_eq!(psci.add(mpidr), Ok(n));
    }
    psci
}

fn ram(address: Ipa) -> bool {
    address.get() & !0xffff == RAM
}

fn call(psci: &mut Psci<4>, function: u32, args: [u64; 3]) -> Action {
    psci.call([function.into(), args[0], args[1], args[2]], ram)
}

#[test]
fn a_cpu_goes_on_and_off_and_on() {
    let mut p = three(NOTHING);
    let on = Action::On {
        cpu: 2,
        mpidr: 0x81_0000_0100,
        entry: Entry {
            address: Ipa::new(RAM + 0x100),
            context: 7,
        },
    };
    let args = [0x81_0000_0100, RAM + 0x100, 7];
    let info = |p: &mut Psci<4>| call(p, psci::AFFINITY_INFO_64, [args[0], 0, 0]);
    let relayed = Action::AffinityInfo { mpidr: args[0] };

    assert_eq!(info(&mut p), relayed);
    assert_eq!(call(&mut p, psci::CPU_ON_64, args), on);
    assert_eq!(call(&mut p, psci::CPU_ON_64, args), Action::Return(psci::ON_PENDING));
    assert_eq!(info(&mut p), Action::Return(psci::AFFINITY_ON_PENDING));
    assert_eq!(p.on_answered(2, psci::SUCCESS), psci::SUCCESS);
    assert!(p.arrived(2), "switched on");
    assert!(!p.arrived(2), "back from a power down");
    assert_eq!((p.number(args[0]), p.number(args[0] | 1 << 31)), (Some(2), None));
    assert_eq!(call(&mut p, psci::CPU_ON_64, args), Action::Return(psci::ALREADY_ON));
    assert_eq!(info(&mut p), Action::Return(psci::AFFINITY_ON));

    assert_eq!(call(&mut p, psci::CPU_OFF, [0; 3]), Action::Off);
    p.leaving(2);
    assert_eq!(info(&mut p), relayed);
    assert_eq!(call(&mut p, psci::CPU_ON_64, args), on);
}

#[test]
fn firmware_has_the_last_word() {
    let mut p = three(NOTHING);
    let args = [1, RAM, 0];
    assert!(matches!(call(&mut p, psci::CPU_ON_64, args), Action::On { cpu: 1, .. }));
    assert_eq!(p.on_answered(1, psci::ALREADY_ON), psci::ALREADY_ON);
    assert!(matches!(call(&mut p, psci::CPU_ON_64, args), Action::On { cpu: 1, .. }));
    // It starts, and firmware's answer is late and wrong.
    assert!(p.arrived(1));
    assert_eq!(p.on_answered(1, psci::INTERNAL_FAILURE), psci::INTERNAL_FAILURE);
    assert_eq!(call(&mut p, psci::CPU_ON_64, args), Action::Return(psci::ALREADY_ON));
    p.leaving(1);
    assert_eq!(p.off_refused(1, psci::DENIED), psci::DENIED);
    assert_eq!(call(&mut p, psci::CPU_ON_64, args), Action::Return(psci::ALREADY_ON));
}

#[test]
fn the_boot_cpu_is_on() {
    let mut p = three(NOTHING);
    assert_eq!(
        call(&mut p, psci::CPU_ON_64, [0, RAM, 0]),
        Action::Return(psci::ALREADY_ON)
    );
}

#[test]
fn targets_that_are_none_change_nothing() {
    let mut p = three(NOTHING);
    let invalid = Action::Return(psci::INVALID_PARAMETERS);
    for target in [2, 0x100, 0x8000_0001, 1 << 40 | 1, u64::MAX] {
        assert_eq!(call(&mut p, psci::CPU_ON_64, [target, RAM, 0]), invalid, "{target:#x}");
        assert_eq!(call(&mut p, psci::AFFINITY_INFO_64, [target, 0, 0]), invalid);
    }
    assert_eq!(call(&mut p, psci::AFFINITY_INFO_64, [1, 1, 0]), invalid);
    // A 32-bit call sees 32 bits of its arguments, and has no Aff3.
    assert_eq!(call(&mut p, psci::CPU_ON_32, [0x100, RAM, 0]), invalid);
    let Action::On { cpu, entry, .. } = call(&mut p, psci::CPU_ON_32, [0xf_0000_0001, 0xf_0000_0000 | RAM, u64::MAX])
    else {
        panic!()
    };
    assert_eq!(
        (cpu, entry.address, entry.context),
        (1, Ipa::new(RAM), u64::from(u32::MAX))
    );
}

#[test]
fn entry_points_outside_of_the_host_s_ram_change_nothing() {
    let mut p = three(EVERYTHING);
    let refused = Action::Return(psci::INVALID_ADDRESS);
    for entry in [0, RAM - 4, RAM + 0x1_0000, RAM + 2, u64::MAX, 1 << 52] {
        assert_eq!(call(&mut p, psci::CPU_ON_64, [1, entry, 0]), refused, "{entry:#x}");
        assert_eq!(call(&mut p, psci::CPU_SUSPEND_64, [1 << 16, entry, 0]), refused);
    }
    assert!(matches!(
        call(&mut p, psci::CPU_ON_64, [1, RAM, 0]),
        Action::On { cpu: 1, .. }
    ));
}

#[test]
fn power_down_wakes_in_el2_and_standby_does_not_move() {
    let down = |firmware, state| {
        let mut p = three(firmware);
        match call(&mut p, psci::CPU_SUSPEND_64, [state, RAM, 9]) {
            Action::PowerDown { power_state, entry } => {
                assert_eq!(
                    (u64::from(power_state), entry.address, entry.context),
                    (state, Ipa::new(RAM), 9)
                );
                true
            }
            Action::Standby { power_state } => {
                assert_eq!(u64::from(power_state), state);
                false
            }
            other => panic!("{other:?}"),
        }
    };
    let extended = Firmware {
        suspend: Some(StateFormat::Extended),
        ..EVERYTHING
    };
    assert!(down(EVERYTHING, 1 << 16) && !down(EVERYTHING, 0) && !down(EVERYTHING, 1 << 30));
    assert!(down(extended, 1 << 30) && !down(extended, 0) && !down(extended, 1 << 16));
    // A standby has no entry point to check.
    let mut p = three(EVERYTHING);
    assert_eq!(
        call(&mut p, psci::CPU_SUSPEND_64, [0, u64::MAX, 0]),
        Action::Standby { power_state: 0 }
    );
    assert_eq!(
        call(&mut three(NOTHING), psci::CPU_SUSPEND_64, [0, RAM, 0]),
        Action::Return(psci::NOT_SUPPORTED)
    );
}

#[test]
fn the_system_goes_off_and_resets() {
    let mut p = three(EVERYTHING);
    assert_eq!(call(&mut p, psci::SYSTEM_OFF, [0; 3]), Action::SystemOff);
    assert_eq!(call(&mut p, psci::SYSTEM_RESET, [0; 3]), Action::SystemReset);
    assert_eq!(
        call(&mut p, psci::SYSTEM_RESET2_64, [0, u64::MAX, 0]),
        Action::WarmReset { cookie: u64::MAX }
    );
    assert_eq!(
        call(&mut p, psci::SYSTEM_RESET2_32, [0, u64::MAX, 0]),
        Action::WarmReset {
            cookie: u64::from(u32::MAX)
        }
    );
    assert_eq!(
        call(&mut p, psci::SYSTEM_RESET2_64, [0x8000_0000, 0, 0]),
        Action::Return(psci::INVALID_PARAMETERS)
    );
    assert_eq!(
        call(&mut three(NOTHING), psci::SYSTEM_RESET2_64, [0; 3]),
        Action::Return(psci::NOT_SUPPORTED)
    );
}

#[test]
fn what_features_promises_is_there() {
    for firmware in [EVERYTHING, NOTHING] {
        for function in (0x8400_0000..0x8400_0020u32).chain(0xc400_0000..0xc400_0020) {
            let mut p = three(firmware);
            let feature = call(&mut p, psci::FEATURES, [function.into(), 0, 0]);
            let answer = call(&mut p, function, [1, 0, 0]);
            let offered = answer != Action::Return(psci::NOT_SUPPORTED);
            // FEATURES of function 1 is FEATURES of something that is not there.
            let offered = offered || function == psci::FEATURES;
            assert_eq!(feature != Action::Return(psci::NOT_SUPPORTED), offered, "{function:#x}");
        }
    }
    let mut p = three(EVERYTHING);
    let extended = Firmware {
        suspend: Some(StateFormat::Extended),
        ..EVERYTHING
    };
    let suspend = [psci::CPU_SUSPEND_64.into(), 0, 0];
    assert_eq!(call(&mut p, psci::FEATURES, suspend), Action::Return(0));
    assert_eq!(call(&mut three(extended), psci::FEATURES, suspend), Action::Return(2));
    assert_eq!(
        call(&mut p, psci::FEATURES, [smccc::VERSION.into(), 0, 0]),
        Action::Return(0)
    );
    assert_eq!(call(&mut p, psci::VERSION, [0; 3]), Action::Return(0x1_0001));
    assert_eq!(call(&mut p, psci::MIGRATE_INFO_TYPE, [0; 3]), Action::Return(2));
}

#[test]
fn there_is_room_for_as_many_as_promised() {
    let mut p: Psci<1> = Psci::new(NOTHING);
    assert_eq!(p.add(0), Ok(0));
    assert_eq!(p.add(1), Err(TooManyCpus));
}

proptest! {
    /// Whatever is called: no panic, and only an accepted CPU_ON changes the power of a CPU.
    #[test]
    fn calls_change_nothing_but_what_they_say(
        function in prop_oneof![any::<u32>(), 0x8400_0000u32..0x8400_0020, 0xc400_0000u32..0xc400_0020],
        args: [u64; 3],
    ) {
        let mut p = three(EVERYTHING);
        let before: Vec<Power, 4> = p.cpus.iter().map(|c| c.power).collect();
        let action = call(&mut p, function, args);
        let after: Vec<Power, 4> = p.cpus.iter().map(|c| c.power).collect();
        if !matches!(action, Action::On { .. }) {
            prop_assert_eq!(before, after);
        }
    }
}
