use super::model::{Model, Quirks};
use super::*;
use crate::interrupt::Host;
use leasehold_memory_map::PhysAddr;
use proptest::prelude::*;

const AFFINITIES: [u32; 4] = [0x0000, 0x0001, 0x0100, 0x0100_0001];

fn model(quirks: Quirks) -> Model {
    Model::new(&AFFINITIES, quirks)
}

fn its() -> PhysRange {
    PhysRange::new(PhysAddr::new(0x808_0000), 0x2_0000).unwrap()
}

fn try_gic(model: &Model) -> Result<Gicv3<impl Io + Send + Sync + use<>>, InterruptError> {
    Gicv3::over(model.distributor(), [model.region()], &[its()])
}

fn gic(model: &Model) -> Gicv3<impl Io + Send + Sync + use<>> {
    try_gic(model).unwrap()
}

/// Runs as the CPU with the model's affinity number `cpu`.
fn run_on(cpu: usize) {
    let affinity = u64::from(AFFINITIES[cpu]);
    cpu::AFFINITY.set((affinity & 0xff00_0000) << 8 | affinity & 0x00ff_ffff);
}

#[test]
fn the_walk_finds_each_control_frame() {
    let gic = gic(&model(Quirks::default()));
    let starts: std::vec::Vec<_> = gic
        .trapped_frames()
        .iter()
        .map(|frame| (frame.start().get(), frame.len()))
        .collect();
    assert_eq!(
        starts,
        [0x80a_0000, 0x80c_0000, 0x80e_0000, 0x810_0000].map(|start| (start, 0x1_0000))
    );
    assert_eq!(gic.hidden(), [its()]);
    assert_eq!((gic.stride(), gic.cpus()), (0x2_0000, 4));
}

#[test]
fn the_walk_of_a_gicv4_hides_the_virtual_lpis() {
    let model = model(Quirks {
        vlpis: true,
        ..Quirks::default()
    });
    let gic = gic(&model);
    assert_eq!(gic.trapped_frames()[1].start(), PhysAddr::new(0x80e_0000));
    assert_eq!(gic.hidden().len(), 5);
    assert_eq!(
        gic.hidden()[2],
        PhysRange::new(PhysAddr::new(0x810_0000), 0x2_0000).unwrap()
    );
    assert_eq!(gic.stride(), 0x4_0000);
    // GICR_TYPER: processor number 1 and affinity only.
    assert_eq!(gic.read_trapped(1, 8, 8), 0x1_0000_0100);
}

#[test]
fn the_walk_ends_with_the_region() {
    let gic = gic(&model(Quirks {
        unmarked: true,
        ..Quirks::default()
    }));
    assert_eq!(gic.cpus(), 4);
}

#[test]
fn too_many_cpus_and_strangers_are_refused() {
    let many: std::vec::Vec<u32> = (0..17).collect();
    let error = try_gic(&Model::new(&many, Quirks::default())).err();
    assert_eq!(error, Some(InterruptError::TooManyCpus(MAX_CPUS)));
    let stranger = model(Quirks {
        pidr2: Some(0x2b),
        ..Quirks::default()
    });
    assert_eq!(try_gic(&stranger).err(), Some(InterruptError::Unidentified(0x2b)));
    let empty: [(model::Frames, PhysRange); 0] = [];
    let error = Gicv3::over(stranger.distributor(), empty, &[]).err();
    assert_eq!(error, Some(InterruptError::NoFrame));
}

#[test]
fn each_cpu_wakes_and_switches_its_own() {
    let model = model(Quirks::default());
    let gic = gic(&model);
    for cpu in [3, 1] {
        run_on(cpu);
        gic.init_cpu().unwrap();
        gic.set_private_enabled(26, true);
    }
    gic.set_private_enabled(26, false);
    gic.set_private_enabled(15, true);
    gic.set_private_enabled(32, true);
    let seen = [0, 1, 2, 3].map(|cpu| (model.redistributor(cpu).waker, model.redistributor(cpu).enabled));
    assert_eq!(seen, [(0b110, 0), (0, 0), (0b110, 0), (0, 1 << 26)]);
    cpu::AFFINITY.set(9);
    assert_eq!(gic.init_cpu(), Err(InterruptError::NoFrame));
    gic.set_private_enabled(27, true);
    assert!((0..4).all(|cpu| model.redistributor(cpu).enabled & 1 << 27 == 0));
}

#[test]
fn a_redistributor_that_sleeps_on_is_an_error() {
    run_on(0);
    let model = model(Quirks {
        sleepless: true,
        ..Quirks::default()
    });
    assert_eq!(gic(&model).init_cpu(), Err(InterruptError::TimedOut));
}

#[test]
fn tables_that_a_loader_left_are_taken_away_or_an_error() {
    run_on(2);
    let left = model(Quirks {
        lpis_enabled: true,
        ..Quirks::default()
    });
    InterruptController::init_cpu(&gic(&left)).unwrap();
    assert_eq!(left.redistributor(2).ctlr & 1, 0);
    let stuck = model(Quirks {
        lpis_enabled: true,
        lpis_stuck: true,
        ..Quirks::default()
    });
    assert_eq!(
        InterruptController::init_cpu(&gic(&stuck)),
        Err(InterruptError::LpisEnabled)
    );
}

#[test]
fn the_filter_passes_what_it_should() {
    let model = model(Quirks::default());
    let gic = gic(&model);
    // GICR_CTLR: CES and IR are there, and not shown; DPG1NS reaches the device, EnableLPIs does not.
    assert_eq!(gic.read_trapped(0, 0, 4), 0);
    assert!(gic.write_trapped(0, 0, 4, 0x0200_0001));
    assert_eq!(model.redistributor(0).ctlr, 0x0200_0000);
    assert_eq!(gic.read_trapped(0, 0, 4), 0x0200_0000);
    // GICR_TYPER, in one piece and in two.
    assert_eq!(gic.read_trapped(3, 8, 8), 0x0100_0001_0000_0310);
    assert_eq!(gic.read_trapped(3, 8, 4), 0x0310);
    assert_eq!(gic.read_trapped(3, 12, 4), 0x0100_0001);
    // GICR_WAKER and GICR_PIDR2.
    assert!(gic.write_trapped(1, 0x14, 4, 0));
    assert_eq!(model.redistributor(1).waker & 2, 0);
    assert_eq!(gic.read_trapped(1, 0xffe8, 4), 0x3b);
}

#[test]
fn the_filter_drops_what_it_should() {
    let model = model(Quirks::default());
    let gic = gic(&model);
    for offset in [0x40, 0x48, 0x70, 0x78, 0xa0, 0xb0, 0x100, 0x110] {
        for (offset, size) in [(offset, 8), (offset, 4), (offset + 4, 4)] {
            assert!(!gic.write_trapped(0, offset, size, 0x4000_0000), "{offset:#x}");
            assert_eq!(gic.read_trapped(0, offset, size), 0);
        }
    }
    for (offset, size) in [
        (0, 1),
        (0, 2),
        (0, 8),
        (8, 3),
        (2, 4),
        (0x14, 8),
        (0x1_0000, 4),
        (u64::MAX, 4),
        (u64::MAX - 3, 4),
    ] {
        assert!(!gic.write_trapped(0, offset, size, 1), "{offset:#x} {size}");
        assert_eq!(gic.read_trapped(0, offset, size), 0);
    }
    assert!(!gic.write_trapped(4, 0, 4, 1));
    assert_eq!(gic.read_trapped(4, 0xffe8, 4), 0);
    assert_eq!(model.mastered(), []);
}

proptest! {
    #[test]
    fn no_sequence_of_accesses_makes_it_a_bus_master(
        accesses in proptest::collection::vec(
            (any::<bool>(), 0usize..5, prop_oneof![0u64..0x120, 0u64..0x1_0008, any::<u64>()], prop_oneof![Just(4u8), Just(8), any::<u8>()], any::<u64>()),
            0..60,
        )
    ) {
        let model = model(Quirks::default());
        let gic = gic(&model);
        for (write, frame, offset, size, value) in accesses {
            if write {
                gic.write_trapped(frame, offset, size, value);
            } else {
                let seen = gic.read_trapped(frame, offset, size);
                if offset == 0 {
                    prop_assert_eq!(seen & 0b111, 0);
                }
            }
        }
        prop_assert_eq!(model.mastered(), std::vec::Vec::<u64>::new());
    }
}

#[test]
fn a_host_sets_itself_up() {
    run_on(1);
    let model = model(Quirks::default());
    let gic = gic(&model);
    gic.start().unwrap();
    assert_eq!(model.distributor_ctlr(), 0b1_0010);
    gic.start_cpu().unwrap();
    gic.enable(3);
    gic.enable(32);
    let own = model.redistributor(1);
    assert_eq!((own.group, own.enabled, own.waker), (u32::MAX, 1 << 3, 0));
    assert!(own.priorities.iter().all(|priority| *priority == 0xa0));
    assert_eq!(gic.acknowledge(), None);
    icc::PENDING.set(27);
    assert_eq!(gic.acknowledge(), Some(27));
    icc::CALLS.with_borrow_mut(std::vec::Vec::clear);
    gic.end(27);
    gic.send(0x12_0034_5627, 7);
    gic.send(0, 16);
    let calls = icc::CALLS.with_borrow(std::vec::Vec::clone);
    assert_eq!(calls, [("eoir1", 27), ("sgi1r", 0x0012_2034_0756_0080)]);
}
