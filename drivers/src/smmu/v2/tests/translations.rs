//! What the unit remembers is gone when it has confirmed, and not before.

use super::*;
use crate::smmu::model::forgetting;
use proptest::prelude::*;

const BLOCK: u64 = 0x5020_0000;

#[test]
fn a_page_is_out_of_reach_after_sync_and_not_before() {
    for by_vm in [false, true] {
        let bench = Bench::new();
        let mut unit = bench.attach();
        assert!(bench.reads(PICTURE) && bench.reads(PICTURE + PAGE));
        bench.unmap(PICTURE);
        assert!(bench.reads(PICTURE), "warm");
        if by_vm {
            unit.invalidate_all(Vmid::HOST).unwrap();
        } else {
            unit.invalidate(Vmid::HOST, pages(PICTURE, 1)).unwrap();
        }
        assert!(bench.reads(PICTURE), "asked for, not confirmed");
        unit.sync().unwrap();
        assert!(!bench.reads(PICTURE));
        assert!(bench.reads(PICTURE + PAGE));
        // What was not there is not remembered: the way back needs no command.
        bench.memory.map_page(PICTURE);
        assert!(bench.reads(PICTURE));
    }
}

#[test]
fn one_sync_is_for_both_ways_to_ask() {
    let bench = Bench::new();
    bench.memory.map_page(BLOCK + 100 * PAGE);
    let mut unit = bench.attach();
    assert!(bench.reads(PICTURE) && bench.reads(BLOCK + 100 * PAGE));
    bench.unmap(PICTURE);
    bench.unmap(BLOCK + 100 * PAGE);
    unit.invalidate(Vmid::HOST, pages(PICTURE, 1)).unwrap();
    unit.invalidate(Vmid::HOST, pages(BLOCK, 512)).unwrap();
    unit.sync().unwrap();
    assert!(!bench.reads(PICTURE) && !bench.reads(BLOCK + 100 * PAGE));
}

#[test]
fn a_table_that_was_on_the_way_is_forgotten_too() {
    for count in [3, 512] {
        let bench = Bench::new();
        for page in 0..3 {
            bench.memory.map_page(BLOCK + page * PAGE);
        }
        let mut unit = bench.attach();
        assert!(bench.reads(BLOCK), "warms the way to the others");
        // The whole 2 MiB goes by one entry; its table stays as it is.
        bench.memory.set_entry(BLOCK, 2, 0);
        assert!(bench.reads(BLOCK + PAGE), "by the remembered table");
        unit.invalidate(Vmid::HOST, pages(BLOCK, count)).unwrap();
        unit.sync().unwrap();
        for page in 0..3 {
            assert!(!bench.reads(BLOCK + page * PAGE));
        }
    }
}

#[test]
fn large_ranges_take_few_stores() {
    let bench = Bench::new();
    bench.memory.map_page(0x5fff_f000);
    let mut unit = bench.attach();
    assert!(bench.reads(0x5fff_f000));
    bench.unmap(0x5fff_f000);
    let before = bench.model.stores();
    unit.invalidate(Vmid::HOST, pages(0x4000_3000, 0x1_fffd)).unwrap();
    unit.sync().unwrap();
    assert!(!bench.reads(0x5fff_f000));
    assert_eq!(bench.model.stores() - before, 2);
    // At most one for each of 64 pages.
    let before = bench.model.stores();
    unit.invalidate(Vmid::HOST, pages(0x4000_3000, 64)).unwrap();
    unit.sync().unwrap();
    assert_eq!(bench.model.stores() - before, 65);
}

#[test]
fn what_somebody_before_left_under_the_same_vmid_is_forgotten() {
    for cr0 in [1, CLOSED, OPEN | VALID] {
        let bench = Bench::new();
        bench.model.firmware_sets(cr0, 1 << 26);
        bench.model.firmware_remembers(1, PICTURE, CANARY);
        bench.attach();
        assert!(bench.model.dma_write(UFS, PICTURE, 1));
        assert_eq!((bench.memory.read(CANARY), bench.memory.read(PICTURE)), (0, 1));
    }
}

#[test]
fn a_live_master_never_sees_what_somebody_before_left() {
    let bench = Bench::new();
    bench.model.firmware_remembers(1, PICTURE, CANARY);
    // The one page that is remembered, all the time.
    bench.model.start_master(DISPLAY, PICTURE, 8);
    bench.attach();
}

#[test]
fn that_a_stream_was_let_past_is_forgotten() {
    for implementation in [INSTANCE.implementation, Implementation::Other] {
        let mut bench = Bench::new();
        bench.instance.implementation = implementation;
        bench.model.firmware_sets(OPEN, REMEMBERS);
        bench.model.start_master(DISPLAY, PICTURE, WORDS);
        bench.attach();
        bench.model.stop_masters();
        assert_eq!(bench.model.dma_read(DISPLAY, CANARY), None, "{implementation:?}");
    }
}

#[test]
fn nothing_is_fetched_ahead() {
    let bench = Bench::new();
    let mut unit = bench.attach();
    assert!(bench.reads(PICTURE));
    bench.unmap(PICTURE + PAGE);
    unit.invalidate(Vmid::HOST, pages(PICTURE + PAGE, 1)).unwrap();
    unit.sync().unwrap();
    assert!(!bench.reads(PICTURE + PAGE));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn a_page_that_was_invalidated_and_confirmed_stays_out_of_reach(
        steps in forgetting::steps(),
    ) {
        let bench = Bench::new();
        let mut unit = bench.attach();
        forgetting::check(steps, &mut unit, &bench.memory, 0x5010_0000, |address| bench.reads(address))?;
    }
}
