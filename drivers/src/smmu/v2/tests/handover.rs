//! Masters that stream while the unit is taken over: they notice nothing, and afterwards they are contained.

use super::*;

type State = (&'static str, fn(&Model));

/// How firmware leaves a unit whose display is running.
const STATES: [State; 9] = [
    ("reset: all let past", |_| {}),
    ("no groups, let past", |model| model.firmware_sets(OPEN, 1 << 26)),
    ("no groups, let past, and remembered", |model| {
        model.firmware_sets(OPEN, REMEMBERS);
    }),
    ("a group that lets past, others refused", |model| {
        model.firmware_sets(CLOSED, REMEMBERS);
        model.firmware_maps(5, VALID | 0x402 << 16 | u32::from(DISPLAY), BYPASS);
    }),
    ("a narrower group", |model| {
        model.firmware_sets(OPEN, 1 << 26);
        model.firmware_maps(0, VALID | u32::from(DISPLAY), BYPASS);
    }),
    ("a wider group", |model| {
        model.firmware_sets(CLOSED, 1 << 26);
        model.firmware_maps(127, VALID | 0x4ff << 16 | u32::from(DISPLAY), BYPASS);
    }),
    ("a context bank that does not translate", |model| {
        model.firmware_sets(CLOSED, 1 << 26);
        model.firmware_translates(0, false);
        model.firmware_maps(1, VALID | 0x402 << 16 | u32::from(DISPLAY), 0);
    }),
    ("a context bank with tables of a loader's", |model| {
        model.firmware_sets(CLOSED, 1 << 26);
        model.firmware_translates(0, true);
        model.firmware_translates(1, true);
        model.firmware_maps(1, VALID | 0x402 << 16 | u32::from(DISPLAY), 0);
        model.firmware_maps(2, VALID | u32::from(UFS), 1);
    }),
    ("another's faults, and VMIDs of 16 bits", |model| {
        model.firmware_sets(OPEN | VALID, 1 << 26);
        model.firmware_faulted(0);
        model.firmware_maps(3, VALID | u32::from(STRANGER), FAULT);
    }),
];

fn in_each_state(check: impl Fn(&str, &Bench)) {
    for emulated in [false, true] {
        for (what, leave) in STATES {
            let quirks = Quirks {
                emulated,
                ..Quirks::default()
            };
            let bench = Bench::with(Identity::QCS6490, quirks);
            leave(&bench.model);
            check(what, &bench);
        }
    }
}

#[test]
fn a_display_never_loses_its_picture() {
    in_each_state(|_, bench| {
        bench.model.start_master(DISPLAY, PICTURE, WORDS);
        bench.model.start_master(DISPLAY, PICTURE + PAGE, 1);
        bench.attach();
    });
}

#[test]
fn nothing_changes_before_attach() {
    in_each_state(|what, bench| {
        let before = bench.model.mapping();
        let unit = bench.take().unwrap();
        assert_eq!((unit.bbm_level(), Iommu::registers(&unit)), (0, INSTANCE.registers));
        assert_eq!(bench.model.stores(), 0, "{what}");
        assert_eq!(bench.model.mapping(), before, "{what}");
    });
}

#[test]
fn afterwards_every_stream_is_contained() {
    in_each_state(|what, bench| {
        bench.model.start_master(DISPLAY, PICTURE, WORDS);
        for stream in [UFS, DISPLAY, ADSP, CRYPTO, STRANGER, 0x7fff] {
            // So that what it remembers of them is not worth anything.
            let _ = bench.model.dma_read(stream, CANARY);
        }
        let mut unit = bench.attach();
        bench.model.stop_masters();
        drain(&mut unit);
        for stream in [UFS, DISPLAY, DISPLAY | 2, DISPLAY | 0x402, ADSP, CRYPTO, CRYPTO | 0x11] {
            assert!(bench.model.dma_write(stream, PICTURE, u64::from(stream)), "{what}");
            assert_eq!(bench.model.dma_read(stream, CANARY), None, "{what}: {stream:#x}");
        }
        assert_eq!(bench.model.dma_read(STRANGER, PICTURE), None, "{what}");
        assert_eq!(bench.model.dma_read(CRYPTO | 1 << 3, PICTURE), None, "{what}");
        bench.unmap(PICTURE);
        unit.invalidate(Vmid::HOST, pages(PICTURE, 1)).unwrap();
        unit.sync().unwrap();
        assert_eq!(bench.model.dma_read(DISPLAY, PICTURE), None, "{what}");
    });
}

#[test]
fn nobody_comes_to_be_let_past_on_the_way() {
    in_each_state(|_, bench| {
        for stream in [UFS, DISPLAY, DISPLAY | 2, ADSP, CRYPTO, STRANGER, 0, 0x7fff] {
            bench.model.watch(stream);
        }
        bench.attach();
    });
}

#[test]
#[should_panic(expected = "which is live, is refused")]
fn the_model_notices_a_driver_that_closes_first() {
    let bench = Bench::new();
    bench.model.start_master(DISPLAY, PICTURE, WORDS);
    bench.model.store::<u32>(0, CLOSED);
}

#[test]
#[should_panic(expected = "which is live, is refused")]
fn the_model_notices_two_groups_for_one_stream() {
    let bench = Bench::new();
    bench.model.firmware_sets(OPEN, 0);
    bench.model.start_master(DISPLAY, PICTURE, WORDS);
    bench.model.store::<u32>(0xc00, BYPASS);
    bench.model.store::<u32>(0x800, VALID | u32::from(DISPLAY));
    bench.model.store::<u32>(0xc04, BYPASS);
    bench.model.store::<u32>(0x804, VALID | 2 << 16 | u32::from(DISPLAY));
}

#[test]
#[should_panic(expected = "lets stream 0x123 past")]
fn the_model_notices_a_driver_that_lets_streams_past() {
    let bench = Bench::new();
    bench.model.firmware_sets(CLOSED, 0);
    bench.model.watch(STRANGER);
    bench.model.store::<u32>(0, OPEN);
}

#[test]
fn the_emulation_forbids_what_the_driver_never_does() {
    let bench = Bench::with(
        Identity::QCS6490,
        Quirks {
            emulated: true,
            ..Quirks::default()
        },
    );
    bench.model.store::<u32>(0xc00, BYPASS);
    assert_eq!(bench.model.load::<u32>(0xc00) >> 16 & 3, 2, "bypass becomes fault");
    bench.model.firmware_maps(1, 0, 0x1_0007);
    bench.model.store::<u32>(0xc04, FAULT);
    assert_eq!(bench.model.load::<u32>(0xc04), 0x1_0007, "fault is ignored");
}

#[test]
fn a_loaders_context_banks_are_left_to_it_until_nobody_is_there() {
    let bench = Bench::new();
    bench.model.firmware_sets(CLOSED, 1 << 26);
    for n in [0, 1, 3] {
        bench.model.firmware_translates(n, true);
        bench.model.firmware_maps(n, VALID | n as u32, n as u32);
        bench.model.start_master(n as u16, PICTURE, WORDS);
    }
    bench.attach();
    let (_, _, groups) = bench.model.mapping();
    assert_eq!(groups[0], (VALID, 2));
    assert_eq!(groups[3], (VALID | 3, 2));
    assert_eq!(bench.model.bank(2)[0], 1, "stage 2, VMID 1");
    assert_eq!(bench.model.bank(0)[0], 1 << 16, "as it was");
}
