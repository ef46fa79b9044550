//! Reset and attach: nothing gets past, whatever the unit was left doing and whatever goes wrong.

use super::*;

const INITIAL: [Initial; 3] = [Initial::Bypassing, Initial::Aborting, Initial::Loader];

fn with(change: impl FnOnce(&mut Identity)) -> Bench {
    let mut identity = Identity::QEMU;
    change(&mut identity);
    Bench::new(identity, Initial::Bypassing)
}

fn refuses_all(bench: &Bench) -> bool {
    [0, 1, EDU, 0xffff].iter().all(|stream| {
        bench.model.dma_read(*stream, 0x4000_0000).is_none() && !bench.model.dma_write(*stream, 0x4000_0000, 1)
    })
}

#[test]
fn the_model_lets_streams_past_before_reset() {
    for initial in [Initial::Bypassing, Initial::Loader] {
        let bench = Bench::new(Identity::QEMU, initial);
        assert!(bench.model.dma_write(EDU, CANARY, 5));
        assert_eq!(bench.memory.read(CANARY), 5);
    }
}

#[test]
#[should_panic(expected = "lets streams past")]
fn the_model_notices_a_driver_that_lets_streams_past() {
    let bench = Bench::qemu();
    bench.model.store::<u32>(0x44, 0x8010_0000);
    while bench.model.load::<u32>(0x44) >> 31 != 0 {}
    bench.model.store::<u32>(0x44, 0x8000_0000);
}

#[test]
#[should_panic(expected = "while streams are let past")]
fn the_model_notices_a_driver_that_does_something_else_first() {
    Bench::qemu().model.store::<u32>(0x28, 0);
}

#[test]
fn reset_refuses_every_stream_whatever_it_was_doing() {
    for initial in INITIAL {
        let bench = Bench::new(Identity::QEMU, initial);
        let unit = bench.reset().unwrap();
        assert_eq!(bench.model.cr0ack(), 0b1101, "{initial:?}");
        assert!(refuses_all(&bench), "{initial:?}");
        assert_eq!((unit.bbm_level(), Iommu::registers(&unit)), (2, registers()));
        // Silently: nobody can do anything about it yet.
        let mut unit = unit.attach(ROOT, &geometry(40), Vmid::HOST).unwrap();
        assert_eq!(unit.next_event(), None);
    }
}

#[test]
fn attach_puts_every_stream_on_the_same_tables() {
    for initial in INITIAL {
        let bench = Bench::new(Identity::QEMU, initial);
        bench.map_page(0x4000_1000);
        bench.map_block(0x80_0020_0000);
        let _unit = bench.attach();
        for stream in [0, 1, 63, 64, EDU, 0x1234, 0xffff] {
            assert!(bench.model.dma_write(stream, 0x4000_1008, u64::from(stream)));
            assert_eq!(bench.model.dma_read(stream, 0x4000_1008), Some(u64::from(stream)));
            assert!(bench.model.dma_write(stream, 0x80_0020_0008, 3));
            assert!(!bench.model.dma_write(stream, 0x4000_2000, 1));
        }
        assert_eq!(bench.memory.read(0x80_0020_0008), 3);
    }
}

#[test]
fn a_unit_with_little_to_offer_will_do() {
    // v3.0, stage 2 only, linear tables, 6-bit StreamIDs, no ranges, queues of 4 and 8, 40 bits out.
    let identity = Identity {
        idr0: 0x0440_0019,
        idr1: 2 << 21 | 3 << 16 | 6,
        idr3: 0,
        idr5: 0x12,
        aidr: 0,
    };
    for initial in INITIAL {
        let bench = Bench::new(identity, initial);
        bench.map_page(0x4000_1000);
        let mut unit = bench.attach();
        assert!(bench.model.dma_write(0x3f, 0x4000_1000, 1));
        bench.set(0x4000_1000, 3, 0);
        for _ in 0..20 {
            unit.invalidate(Vmid::HOST, pages(0x4000_1000, 7)).unwrap();
        }
        unit.sync().unwrap();
        assert!(!bench.model.dma_write(0x3f, 0x4000_1000, 1));
        assert!(matches!(unit.next_event(), Some(event) if event.stream == Some(0x3f)));
    }
}

#[test]
fn what_it_cannot_walk_it_refuses_and_lets_nothing_past() {
    type Case = (&'static str, fn(&mut Identity));
    let cases: [Case; 9] = [
        ("no stage 2", |id| id.idr0 &= !1),
        ("no VMSAv8-64", |id| id.idr0 &= !(1 << 3)),
        ("not coherent", |id| id.idr0 &= !(1 << 4)),
        ("stalls", |id| id.idr0 = id.idr0 & !(3 << 24) | 2 << 24),
        ("reserved stall model", |id| id.idr0 |= 3 << 24),
        ("big-endian", |id| id.idr0 |= 3 << 21),
        ("tables preset", |id| id.idr1 |= 1 << 30),
        ("queues preset", |id| id.idr1 |= 1 << 29),
        ("no 4 KiB granule", |id| id.idr5 &= !(1 << 4)),
    ];
    for (what, change) in cases {
        let bench = with(change);
        let error = bench.reset().err().unwrap();
        assert!(
            matches!(error, ResetError::Iommu(IommuError::Unsupported(_))),
            "{what}: {error:?}"
        );
        assert!(refuses_all(&bench), "{what}");
    }
    let bench = with(|id| id.aidr = 0x10);
    assert_eq!(
        bench.reset().err(),
        Some(ResetError::Iommu(IommuError::Unsupported(0x10)))
    );
}

#[test]
fn tables_that_are_too_large_or_askew_are_refused() {
    let attach = |bench: &Bench, root, geometry| {
        let error = bench.reset().unwrap().attach(root, &geometry, Vmid::HOST).err();
        assert!(refuses_all(bench));
        error
    };
    // 40 bits out: 41 in are too many.
    let narrow = with(|id| id.idr5 = 0x72);
    assert_eq!(
        attach(&narrow, PhysAddr::new(0x9001_0000), geometry(41)),
        Some(IommuError::Unsupported(0x72))
    );
    let beyond = PhysAddr::new(1 << 40);
    assert_eq!(attach(&narrow, beyond, geometry(40)), Some(IommuError::Root(beyond)));
    // Two tables side by side.
    let askew = PhysAddr::new(0x9000_1000);
    assert_eq!(
        attach(&Bench::qemu(), askew, geometry(40)),
        Some(IommuError::Root(askew))
    );
    let forced = Stage2Geometry::new(40, MemoryAttributes::ForceWriteBack).unwrap();
    assert_eq!(
        attach(&Bench::qemu(), ROOT, forced),
        Some(IommuError::Unsupported(0x1414))
    );
}

#[test]
fn every_width_that_the_geometry_has_is_walked() {
    // By tables side by side where 40 or 42 bits come out, from level 0 where 44 do.
    for (oas, widest) in [(2, 40), (3, 42), (4, 43)] {
        for ipa_bits in 32..=widest {
            let bench = with(|id| id.idr5 = 0x70 | oas);
            let top = (1u64 << ipa_bits) - BLOCK;
            bench.map_block(top);
            bench.map_block(BLOCK);
            let unit = bench.reset().unwrap().attach(ROOT, &geometry(ipa_bits), Vmid::HOST);
            assert!(unit.is_ok());
            assert!(bench.model.dma_write(EDU, top + 8, 1), "{ipa_bits}");
            assert!(bench.model.dma_write(EDU, BLOCK + 8, 1), "{ipa_bits}");
            assert!(!bench.model.dma_write(EDU, top - 8, 1), "{ipa_bits}");
            assert!(!bench.model.dma_write(EDU, 1 << ipa_bits, 1), "{ipa_bits}");
        }
    }
}

#[test]
fn forced_attributes_are_passed_on_where_they_are_there() {
    let bench = with(|id| {
        id.idr3 |= 1 << 8;
        id.idr1 |= 1 << 27;
    });
    bench.map_page(0x4000_1000);
    let geometry = Stage2Geometry::new(40, MemoryAttributes::ForceWriteBack).unwrap();
    let _unit = bench.reset().unwrap().attach(ROOT, &geometry, Vmid::HOST).unwrap();
    assert!(bench.reads(0x4000_1000));
}

#[test]
fn a_linear_table_that_does_not_fit_is_refused_with_what_would() {
    let bench = with(|id| id.idr0 &= !(1 << 27));
    assert_eq!(bench.reset().err(), Some(ResetError::Memory(8 << 20)));
    assert!(refuses_all(&bench));
    let unit = bench.found_with(8 << 20).unwrap().reset().unwrap();
    unit.attach(ROOT, &geometry(40), Vmid::HOST).unwrap();
}

#[test]
fn devices_that_translate_themselves_are_refused() {
    let bench = with(|id| id.idr0 |= 1 << 10 | 1 << 16);
    bench.map_page(0x4000_1000);
    let _unit = bench.attach();
    assert_eq!(bench.model.cr0ack(), 0b1_1101);
    assert!(bench.reads(0x4000_1000));
    assert!(!bench.model.dma_translated(EDU));
}

#[test]
fn interrupts_are_never_writes_to_memory() {
    let mut identity = Identity::QEMU;
    identity.idr0 |= 1 << 13 | 1 << 10 | 1 << 16;
    let bench = Bench::new(identity, Initial::Loader);
    assert!(bench.model.has_messages());
    bench.reset().unwrap();
    assert!(!bench.model.has_messages());
}

#[test]
fn what_hangs_is_an_error_in_time() {
    for what in [Hang::Gbpa, Hang::Cr0, Hang::IrqCtrl, Hang::Commands] {
        for initial in INITIAL {
            let bench = Bench::new(Identity::QEMU, initial);
            bench.model.hang(what);
            let expected = ResetError::Iommu(IommuError::TimedOut);
            assert_eq!(bench.reset().err(), Some(expected), "{what:?}, {initial:?}");
        }
    }
}

#[test]
fn attach_fails_safe() {
    for what in [Hang::Commands, Hang::Nothing] {
        let bench = Bench::qemu();
        let unit = bench.reset().unwrap();
        bench.model.hang(what);
        bench.model.misread_next_command();
        let error = unit.attach(ROOT, &geometry(40), Vmid::HOST).err();
        let expected = match what {
            Hang::Commands => IommuError::TimedOut,
            _ => IommuError::Failed(1),
        };
        assert_eq!(error, Some(expected));
        assert!(refuses_all(&bench));
    }
}
