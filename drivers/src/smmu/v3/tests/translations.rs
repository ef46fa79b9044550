//! What the unit remembers is gone when it has confirmed, and not before.

use super::*;
use crate::smmu::model::forgetting;
use proptest::prelude::*;

pub(super) fn both() -> [Bench; 2] {
    let mut old = Identity::QEMU;
    old.idr3 &= !(1 << 10);
    [Bench::qemu(), Bench::new(old, Initial::Loader)]
}

#[test]
fn a_page_is_out_of_reach_after_sync_and_not_before() {
    for bench in both() {
        bench.map_page(0x4000_1000);
        bench.map_page(0x4000_2000);
        let mut unit = bench.attach();
        assert!(bench.reads(0x4000_1000) && bench.reads(0x4000_2000));
        bench.set(0x4000_1000, 3, 0);
        assert!(bench.reads(0x4000_1000), "warm");
        unit.invalidate(Vmid::HOST, pages(0x4000_1000, 1)).unwrap();
        assert!(bench.reads(0x4000_1000), "asked for, not confirmed");
        unit.sync().unwrap();
        assert!(!bench.reads(0x4000_1000));
        assert!(bench.reads(0x4000_2000));
        // What was not there is not remembered: the way back needs no command.
        bench.map_page(0x4000_1000);
        assert!(bench.reads(0x4000_1000));
    }
}

#[test]
fn large_ranges_take_few_commands() {
    for (bench, most) in both().into_iter().zip([6, 2]) {
        bench.map_page(0x5fff_f000);
        let mut unit = bench.attach();
        assert!(bench.reads(0x5fff_f000));
        bench.set(0x5fff_f000, 3, 0);
        let before = bench.model.commands_done();
        unit.invalidate(Vmid::HOST, pages(0x4000_3000, 0x1_fffd)).unwrap();
        unit.sync().unwrap();
        assert!(!bench.reads(0x5fff_f000));
        assert!(bench.model.commands_done() - before <= most);
    }
}

#[test]
fn faults_are_told() {
    let bench = Bench::qemu();
    bench.set(0x4000_1000, 3, (0x4000_1000 | MEMORY | 0b11) & !(1 << 7));
    bench.set(0x4000_2000, 3, (0x4000_2000 | MEMORY | 0b11) & !(1 << 10));
    bench.set(0x4000_3000, 3, 0xf000_4000_3000 | MEMORY | 0b11);
    let mut unit = bench.attach();
    assert!(!bench.model.dma_write(EDU, 0x4000_1010, 1));
    assert!(bench.model.dma_read(3, 0x4000_2020).is_none());
    assert!(bench.model.dma_read(4, 0x4000_3030).is_none());
    assert!(!bench.model.dma_write(5, 0x4000_4040, 1));
    let expected = [
        (IommuEventKind::Permission, EDU, 0x4000_1010, true),
        (IommuEventKind::Other(0x12), 3, 0x4000_2020, false),
        (IommuEventKind::AddressSize, 4, 0x4000_3030, false),
        (IommuEventKind::Translation, 5, 0x4000_4040, true),
    ];
    for (kind, stream, address, write) in expected {
        let event = IommuEvent {
            kind,
            stream: Some(stream),
            address: Some(address),
            write: Some(write),
        };
        assert_eq!(unit.next_event(), Some(event));
    }
    assert_eq!(unit.next_event(), None);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn a_page_that_was_invalidated_and_confirmed_stays_out_of_reach(
        steps in forgetting::steps(),
        ranges in any::<bool>(),
    ) {
        let [new, old] = both();
        let bench = if ranges { new } else { old };
        let mut unit = bench.attach();
        forgetting::check(steps, &mut unit, &bench.memory, 0x4010_0000, |address| bench.reads(address))?;
    }
}
