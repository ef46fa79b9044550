//! Refused accesses are told, to whoever asks and to the device.

use super::fault::LOST;
use super::*;
use proptest::prelude::*;

fn event(kind: IommuEventKind, stream: u16, address: u64, write: bool) -> IommuEvent {
    IommuEvent {
        kind,
        stream: Some(u32::from(stream)),
        address: Some(address),
        write: Some(write),
    }
}

#[test]
fn context_faults_are_told_one_by_one() {
    let bench = Bench::new();
    let page = 0x5000_0000;
    bench.memory.set_entry(page, 3, (page | MEMORY | 0b11) & !(1 << 7));
    bench
        .memory
        .set_entry(page + PAGE, 3, (page | MEMORY | 0b11) & !(1 << 10));
    let narrow = Identity {
        id2: 1 << 12 | 3 << 4 | 5,
        ..Identity::QCS6490
    };
    let mut unit = bench.attach();
    let mut expect = |expected, bench: &Bench, access: &dyn Fn(&Model) -> bool| {
        assert!(!access(&bench.model));
        assert!(bench.model.was_told());
        assert_eq!(unit.next_event(), Some(expected));
        assert_eq!(unit.next_event(), None);
    };
    let permission = event(IommuEventKind::Permission, UFS, page + 0x10, true);
    expect(permission, &bench, &|model| model.dma_write(UFS, page + 0x10, 1));
    let access_flag = event(IommuEventKind::Other(2), ADSP, page + PAGE, false);
    expect(access_flag, &bench, &|model| {
        model.dma_read(ADSP, page + PAGE).is_some()
    });
    let translation = event(IommuEventKind::Translation, DISPLAY, CANARY, true);
    expect(translation, &bench, &|model| model.dma_write(DISPLAY, CANARY, 1));

    let bench = Bench::with(narrow, Quirks::default());
    bench.memory.set_entry(page, 3, 0xf000_0000_0000 | MEMORY | 0b11);
    let mut unit = bench.attach();
    assert!(bench.model.dma_read(UFS, page).is_none());
    assert_eq!(
        unit.next_event(),
        Some(event(IommuEventKind::AddressSize, UFS, page, false))
    );
}

#[test]
fn streams_without_a_group_are_told() {
    let bench = Bench::new();
    let mut unit = bench.attach();
    assert!(!bench.model.dma_write(STRANGER, 0x4000_0008, 1));
    assert!(bench.model.was_told());
    let expected = event(IommuEventKind::Stream, STRANGER, 0x4000_0008, true);
    assert_eq!(unit.next_event(), Some(expected));
    assert_eq!(unit.next_event(), None);
}

#[test]
fn faults_that_found_no_room_are_told_as_lost() {
    let bench = Bench::new();
    let mut unit = bench.attach();
    for round in 0..3 {
        for access in 0..5 {
            assert!(bench.model.dma_read(UFS, CANARY + 8 * access).is_none());
            assert!(bench.model.dma_read(STRANGER, CANARY + 8 * access).is_none());
        }
        let mut told = [0; 3];
        for _ in 0..4 {
            match unit.next_event().unwrap() {
                LOST => told[0] += 1,
                event if event.stream == Some(u32::from(UFS)) => told[1] += 1,
                event => {
                    assert_eq!(event.stream, Some(u32::from(STRANGER)));
                    told[2] += 1;
                }
            }
        }
        assert_eq!((told, unit.next_event()), ([2, 1, 1], None), "round {round}");
    }
}

#[test]
fn one_kind_of_fault_cannot_hide_the_other() {
    let bench = Bench::new();
    let mut unit = bench.attach();
    for (noisy, quiet) in [(UFS, STRANGER), (STRANGER, UFS)] {
        assert!(bench.model.dma_read(quiet, CANARY).is_none());
        let heard = (0..4).any(|_| {
            assert!(bench.model.dma_read(noisy, CANARY).is_none());
            unit.next_event()
                .is_some_and(|event| event.stream == Some(u32::from(quiet)))
        });
        assert!(heard);
        drain(&mut unit);
    }
}

#[test]
fn a_fault_of_one_device_stops_no_other() {
    let bench = Bench::new();
    let _unit = bench.attach();
    assert!(bench.model.dma_read(UFS, CANARY).is_none());
    assert!(bench.model.dma_read(DISPLAY, PICTURE).is_some());
    assert!(bench.reads(PICTURE));
}

#[test]
fn faults_and_stalls_of_whoever_had_it_before_are_not_told() {
    let bench = Bench::new();
    bench.model.firmware_faulted(0);
    let mut unit = bench.attach();
    assert_eq!(unit.next_event(), None);
    assert!(bench.reads(PICTURE));
}

#[test]
fn a_unit_without_power_tells_of_nothing() {
    for garbage in [0, u32::MAX, 0xdead_beef] {
        let bench = Bench::new();
        let mut unit = bench.attach();
        bench.model.lose_power(garbage);
        assert_eq!(unit.next_event(), None);
    }
}

proptest! {
    #[test]
    fn whatever_is_recorded_is_drained(
        context in any::<(u32, u32, u64, u32)>(),
        global in any::<(u32, u32, u32, u64)>(),
        // Bits that there are.
        sane in any::<bool>(),
    ) {
        let bench = Bench::new();
        let mut unit = bench.attach();
        let (mut fsr, mut gfsr) = (context.0, global.0);
        if sane {
            fsr &= 0xc000_07fe;
            gfsr &= 0x8000_01ff;
        }
        bench.model.set_faults((fsr, context.1, context.2, context.3), (gfsr, global.1, global.2, global.3));
        let drained = (0..10).take_while(|_| unit.next_event().is_some()).count();
        prop_assert!(drained <= 4);
        let is_fault = |value: u32, known: u32, causes: u32| value & !known == 0 && value & causes != 0;
        let expected = is_fault(fsr, 0xc000_07fe, 0x1fe) || is_fault(gfsr, 0x8000_01ff, 0x1ff);
        prop_assert!(drained > 0 || !expected);
        // The next is told whole.
        if sane {
            assert!(bench.model.dma_read(UFS, CANARY).is_none());
            prop_assert_eq!(unit.next_event(), Some(event(IommuEventKind::Translation, UFS, CANARY, false)));
        }
    }
}

#[test]
fn a_stall_that_nobody_asked_for_is_terminated() {
    let bench = Bench::new();
    let mut unit = bench.attach();
    for fsr in [1 << 30, 1 << 30 | 1 << 1] {
        bench.model.set_faults((fsr, 0, CANARY, 0), (0, 0, 0, 0));
        assert_eq!(unit.next_event().is_some(), fsr & 1 << 1 != 0);
        assert_eq!(unit.next_event(), None);
        assert_eq!(bench.model.resumed(), 1);
    }
}

#[test]
fn what_each_bit_means() {
    let bench = Bench::new();
    let mut unit = bench.attach();
    let kinds = [
        (1, IommuEventKind::Translation),
        (2, IommuEventKind::Other(2)),
        (3, IommuEventKind::Permission),
        (4, IommuEventKind::Other(4)),
        (5, IommuEventKind::Other(5)),
        (6, IommuEventKind::Other(6)),
        (7, IommuEventKind::AddressSize),
        (8, IommuEventKind::Other(8)),
    ];
    for (bit, kind) in kinds {
        bench
            .model
            .set_faults((1 << bit, 1 << 4, 0x1234, 0xabcd_0900), (0, 0, 0, 0));
        assert_eq!(unit.next_event(), Some(event(kind, DISPLAY, 0x1234, true)));
        assert_eq!(unit.next_event(), None);
    }
    for bit in 0..9 {
        let kind = if bit < 5 {
            IommuEventKind::Stream
        } else {
            IommuEventKind::Other(32 + bit)
        };
        bench
            .model
            .set_faults((0, 0, 0, 0), (1 << bit, 1 << 1, 0xabcd_0900, 0x1234));
        let mut expected = event(kind, DISPLAY, 0x1234, true);
        // A CPU's access.
        if bit == 5 {
            expected.stream = None;
        }
        assert_eq!(unit.next_event(), Some(expected));
        assert_eq!(unit.next_event(), None);
    }
}
