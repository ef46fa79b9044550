//! What a unit must have and be, and what becomes of streams when it is not.

use super::*;
use proptest::prelude::*;

#[test]
fn a_unit_that_is_not_ours_is_not_touched() {
    for access in [Access::LeftAlone, Access::SecureGlobal] {
        let mut bench = Bench::new();
        bench.model.lose_power_fatally();
        bench.instance.access = access;
        let error = TakeError::NotOurs(access, INSTANCE.registers);
        assert_eq!(bench.take().err(), Some(error));
        assert_eq!(SocError::from(error), SocError::Mismatch(0x1500_0000));
    }
}

#[test]
#[should_panic(expected = "of a unit that is off")]
fn the_model_notices_who_touches_a_unit_that_is_off() {
    let bench = Bench::new();
    bench.model.lose_power_fatally();
    let _ = bench.take();
}

#[test]
fn a_unit_that_is_secure_codes_after_all_is_refused() {
    let bench = Bench::with(
        Identity::QCS6490,
        Quirks {
            secure_global: true,
            ..Quirks::default()
        },
    );
    assert_eq!(bench.take().err(), Some(TakeError::Iommu(IommuError::Unsupported(0))));
    assert_eq!(bench.model.stores(), 0);
}

#[test]
fn a_unit_without_power_is_refused() {
    for garbage in [0, u32::MAX] {
        let bench = Bench::new();
        bench.model.lose_power(garbage);
        assert!(matches!(
            bench.take(),
            Err(TakeError::Iommu(IommuError::Unsupported(_)))
        ));
        assert_eq!(bench.model.stores(), 0);
    }
}

#[test]
fn what_it_does_not_have_is_refused() {
    type Case = (&'static str, fn(&mut Identity));
    let cases: [Case; 8] = [
        ("no stage 2", |id| id.id0 &= !(1 << 29)),
        ("no groups", |id| id.id0 &= !0xff),
        ("not coherent", |id| id.id0 &= !(1 << 14)),
        ("indexes without end", |id| id.id0 &= !(1 << 27)),
        ("no context banks", |id| id.id1 &= !0xff),
        ("more context banks than pages", |id| id.id1 = 5 << 28 | 80),
        ("more pages than the SoC says", |id| id.id1 |= 7 << 28),
        ("no VMSAv8-64 with 4 KiB", |id| id.id2 &= !(1 << 12)),
    ];
    for (what, change) in cases {
        let mut identity = Identity::QCS6490;
        change(&mut identity);
        let bench = Bench::with(identity, Quirks::default());
        let error = bench.take().err();
        assert!(
            matches!(error, Some(TakeError::Iommu(IommuError::Unsupported(_)))),
            "{what}: {error:?}"
        );
        assert_eq!(bench.model.stores(), 0, "{what}");
    }
}

#[test]
fn walks_are_as_the_soc_says() {
    let identity = Identity {
        id0: Identity::QCS6490.id0 & !(1 << 14),
        ..Identity::QCS6490
    };
    for (walks, attributes) in [(Walks::CoherentByTree, 0b11_01_01), (Walks::Cleaned, 0b10_00_00)] {
        let mut bench = Bench::with(identity, Quirks::default());
        bench.instance.walks = walks;
        bench.attach();
        assert_eq!(bench.model.bank(0)[3] >> 8 & 0x3f, attributes);
        assert!(bench.reads(PICTURE));
    }
}

#[test]
fn tables_that_are_too_large_or_askew_are_refused() {
    let attach = |bench: &Bench, root, geometry| {
        let error = bench.take().unwrap().attach(root, &geometry, Vmid::HOST).err();
        assert!(bench.refuses_all());
        error
    };
    // 36 bits in and out.
    let small = Identity {
        id2: 1 << 12 | 1 << 4 | 1,
        ..Identity::QCS6490
    };
    let bench = Bench::with(small, Quirks::default());
    assert_eq!(
        attach(&bench, ROOT, geometry(37)),
        Some(IommuError::Unsupported(small.id2))
    );
    let beyond = PhysAddr::new(1 << 36);
    let bench = Bench::with(small, Quirks::default());
    assert_eq!(attach(&bench, beyond, geometry(36)), Some(IommuError::Root(beyond)));
    // Two tables side by side.
    let askew = PhysAddr::new(tables::ROOT + 0x1000);
    assert_eq!(
        attach(&Bench::new(), askew, geometry(40)),
        Some(IommuError::Root(askew))
    );
    let forced = Stage2Geometry::new(40, MemoryAttributes::ForceWriteBack).unwrap();
    assert_eq!(
        attach(&Bench::new(), ROOT, forced),
        Some(IommuError::Unsupported(Identity::QCS6490.id2))
    );
}

#[test]
fn every_width_that_the_geometry_has_is_walked() {
    for bits in 32..=43 {
        let bench = Bench::new();
        let top = (1u64 << bits) - PAGE;
        bench.memory.map_page(top);
        let unit = bench.take().unwrap();
        let mut unit = unit.attach(ROOT, &geometry(bits), Vmid::HOST).unwrap();
        assert!(bench.reads(top) && bench.reads(PICTURE));
        assert!(!bench.reads(1 << bits));
        bench.unmap(top);
        unit.invalidate(Vmid::HOST, pages(top, 1)).unwrap();
        unit.sync().unwrap();
        assert!(!bench.reads(top));
    }
}

#[test]
fn pages_of_64_kib_will_do() {
    let identity = Identity {
        id1: 1 << 31 | 2 << 28 | 8,
        ..Identity::QCS6490
    };
    let mut bench = Bench::with(identity, Quirks::default());
    bench.instance.tbus = None;
    bench.model.start_master(DISPLAY, PICTURE, WORDS);
    let mut unit = bench.attach();
    unit.invalidate(Vmid::HOST, pages(CANARY, 3)).unwrap();
    unit.invalidate_all(Vmid::HOST).unwrap();
    unit.sync().unwrap();
}

#[test]
fn the_auxiliary_registers_are_set_and_only_of_an_mmu_500() {
    let bench = Bench::new();
    bench.model.firmware_sets(OPEN, REMEMBERS | 1);
    bench.attach();
    assert_eq!(bench.model.mapping().1, 1, "the rest of ACR stays");
    assert_eq!(bench.model.bank(0)[4], 1, "the rest of ACTLR stays");
    let mut other = Bench::new();
    other.instance.implementation = Implementation::Other;
    other.model.firmware_sets(OPEN, REMEMBERS | 1);
    other.attach();
    assert_eq!((other.model.mapping().1, other.model.bank(0)[4]), (REMEMBERS | 1, 3));
    // Before r2p0 there is no lock.
    let identity = Identity {
        id7: 0x11,
        ..Identity::QCS6490
    };
    let old = Bench::with(identity, Quirks::default());
    old.attach();
    assert_eq!((old.model.mapping().1, old.model.bank(0)[4]), (0x0400_001c, 1));
}

#[test]
fn a_prefetcher_that_must_be_off_and_cannot_is_refused() {
    let quirks = Quirks {
        actlr_locked: true,
        ..Quirks::default()
    };
    let mut bench = Bench::with(Identity::QCS6490, quirks);
    assert_eq!(bench.try_attach().err(), Some(IommuError::Failed(3)));
    assert!(bench.refuses_all());
    bench = Bench::with(Identity::QCS6490, quirks);
    bench.instance.implementation = Implementation::Mmu500(Prefetch::Harmless);
    bench.attach();
}

#[test]
fn a_context_bank_that_is_secure_codes_is_not_taken_for_ours() {
    let quirks = Quirks {
        secure_banks_from: Some(2),
        ..Quirks::default()
    };
    let make = |banks: usize| {
        let bench = Bench::with(Identity::QCS6490, quirks);
        bench.model.firmware_sets(CLOSED, 1 << 26);
        for n in 0..banks {
            bench.model.firmware_translates(n, true);
            bench.model.firmware_maps(n, VALID | n as u32, n as u32);
        }
        bench
    };
    make(1).attach();
    let bench = make(2);
    assert!(matches!(bench.try_attach(), Err(IommuError::Failed(_))));
    assert!(bench.refuses_all());
}

#[test]
fn a_context_bank_that_stays_one_of_stage_1_is_not_taken_for_stage_2() {
    let quirks = Quirks {
        cbar_locked: true,
        ..Quirks::default()
    };
    let bench = Bench::with(Identity::QCS6490, quirks);
    bench.model.firmware_sets(CLOSED, 1 << 26);
    bench.model.firmware_translates(0, false);
    bench.model.watch(UFS);
    assert_eq!(bench.try_attach().err(), Some(IommuError::Failed(1 << 16)));
    assert!(bench.refuses_all());
}

#[test]
fn a_group_that_stays_what_it_was_is_noticed() {
    let quirks = Quirks {
        s2cr_locked: Some(3),
        ..Quirks::default()
    };
    let bench = Bench::with(Identity::QCS6490, quirks);
    bench.model.firmware_sets(CLOSED, 1 << 26);
    bench.model.firmware_maps(3, VALID | u32::from(UFS), BYPASS);
    assert_eq!(bench.try_attach().err(), Some(IommuError::Failed(BYPASS)));
    assert!(bench.refuses_all());
}

#[test]
fn the_vmid_is_the_same_in_either_width() {
    for (vmid16s, cba2r) in [(1 << 15, 1 << 16 | 1), (0, 1)] {
        let identity = Identity {
            id2: Identity::QCS6490.id2 & !(1 << 15) | vmid16s,
            ..Identity::QCS6490
        };
        let bench = Bench::with(identity, Quirks::default());
        bench.attach();
        assert_eq!(bench.model.bank(0)[..2], [1, cba2r]);
    }
}

#[test]
fn without_a_context_bank_all_are_refused() {
    let identity = Identity {
        id1: 6 << 28 | 2,
        ..Identity::QCS6490
    };
    let bench = Bench::with(identity, Quirks::default());
    bench.model.firmware_sets(OPEN, 1 << 26);
    for n in 0..2 {
        bench.model.firmware_translates(n, true);
        bench.model.firmware_maps(n, VALID | n as u32, n as u32);
    }
    assert_eq!(bench.try_attach().err(), Some(IommuError::Unsupported(identity.id1)));
    assert!(bench.refuses_all());
}

#[test]
fn attach_fails_safe_when_nothing_is_confirmed() {
    for cr0 in [1, OPEN, CLOSED] {
        let bench = Bench::new();
        bench.model.firmware_sets(cr0, 1 << 26);
        bench.model.firmware_maps(0, VALID | u32::from(DISPLAY), BYPASS);
        bench.model.hang(true);
        let unit = bench.take().unwrap();
        // It may not ask again, so the model does not mind.
        assert_eq!(
            unit.attach(ROOT, &geometry(40), Vmid::HOST).err(),
            Some(IommuError::TimedOut)
        );
        assert!(bench.refuses_all());
    }
}

#[test]
fn groups_that_hypervisors_hide_are_not_relied_on() {
    let identity = Identity {
        id0: Identity::QCS6490.id0 & !0xff | 160,
        ..Identity::QCS6490
    };
    for emulated in [false, true] {
        let quirks = Quirks {
            emulated,
            ..Quirks::default()
        };
        let bench = Bench::with(identity, quirks);
        bench.model.firmware_sets(CLOSED, 1 << 26);
        // All but two of those that are there for certain.
        for n in 0..126 {
            bench.model.firmware_maps(n, VALID | (0x2000 + n as u32), BYPASS);
        }
        let attached = bench.try_attach();
        assert_eq!(attached.is_err(), emulated);
        if emulated {
            assert!(bench.refuses_all());
        }
    }
}

proptest! {
    #[test]
    fn whatever_it_says_of_itself_it_is_taken_or_refused(
        flips in proptest::collection::vec((0usize..4, 0u32..32), 0..6),
        cr0 in any::<u32>(),
    ) {
        let good = Identity::QCS6490;
        let mut ids = [good.id0, good.id1, good.id2, good.id7];
        for (register, bit) in flips {
            ids[register] ^= 1 << bit;
        }
        let [id0, id1, id2, id7] = ids;
        let bench = Bench::with(Identity { id0, id1, id2, id7 }, Quirks::default());
        bench.model.firmware_sets(cr0, 1 << 26);
        match bench.take() {
            Ok(unit) => {
                let attached = unit.attach(ROOT, &geometry(36), Vmid::HOST);
                prop_assert!(bench.model.dma_read(STRANGER, CANARY).is_none());
                prop_assert_eq!(bench.reads(PICTURE), attached.is_ok());
            }
            Err(_) => prop_assert_eq!(bench.model.stores(), 0),
        }
    }
}
