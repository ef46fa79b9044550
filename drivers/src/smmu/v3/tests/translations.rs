//! What the unit remembers is gone when it has confirmed, and not before.

use super::*;
use proptest::prelude::*;
use std::collections::BTreeSet;
use std::vec::Vec;

fn both() -> [Bench; 2] {
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
fn a_table_that_was_on_the_way_is_forgotten_too() {
    for bench in both() {
        for page in 0..3 {
            bench.map_page(0x4020_0000 + page * PAGE);
        }
        let mut unit = bench.attach();
        assert!(bench.reads(0x4020_0000), "warms the way to the others");
        // The whole 2 MiB goes by one entry; its table stays as it is.
        bench.set(0x4020_0000, 2, 0);
        assert!(bench.reads(0x4020_1000), "by the remembered table");
        unit.invalidate(Vmid::HOST, pages(0x4020_0000, 512)).unwrap();
        unit.sync().unwrap();
        for page in 0..3 {
            assert!(!bench.reads(0x4020_0000 + page * PAGE));
        }
    }
}

#[test]
fn a_block_that_is_split_can_lose_any_page() {
    for bench in both() {
        bench.map_block(0x4020_0000);
        let mut unit = bench.attach();
        assert!(bench.reads(0x4020_5000));
        // Split live, as break-before-make level 2 allows, then two pages one after the other.
        for page in 0..512 {
            bench.map_page(0x4020_0000 + page * PAGE);
        }
        for page in [0x4020_5000, 0x4020_7000] {
            bench.set(page, 3, 0);
            unit.invalidate(Vmid::HOST, pages(page, 1)).unwrap();
            unit.sync().unwrap();
            assert!(!bench.reads(page));
            assert!(bench.reads(page + PAGE));
        }
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
fn all_of_a_vm_goes_at_once_and_of_another_stays() {
    let bench = Bench::qemu();
    bench.map_page(0x4000_1000);
    let mut unit = bench.attach();
    assert!(bench.reads(0x4000_1000));
    bench.set(0x4000_1000, 3, 0);
    unit.invalidate_all(Vmid::new(2)).unwrap();
    unit.invalidate(Vmid::new(2), pages(0x4000_1000, 1)).unwrap();
    unit.sync().unwrap();
    assert!(bench.reads(0x4000_1000), "of another VM");
    unit.invalidate_all(Vmid::HOST).unwrap();
    unit.sync().unwrap();
    assert!(!bench.reads(0x4000_1000));
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

#[derive(Clone, Copy, Debug)]
enum Step {
    Map(u64),
    Unmap(u64, u64),
    Dma(u64),
    Invalidate(u64, u64),
    Sync,
}

fn step() -> impl Strategy<Value = Step> {
    let page = 0u64..600;
    prop_oneof![
        page.clone().prop_map(Step::Map),
        (page.clone(), 1u64..100).prop_map(|(page, count)| Step::Unmap(page, count)),
        page.clone().prop_map(Step::Dma),
        (page, 1u64..300).prop_map(|(page, count)| Step::Invalidate(page, count)),
        Just(Step::Sync),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn a_page_that_was_invalidated_and_confirmed_stays_out_of_reach(
        steps in proptest::collection::vec(step(), 1..80),
        ranges in any::<bool>(),
    ) {
        let [new, old] = both();
        let bench = if ranges { new } else { old };
        let mut unit = bench.attach();
        let at = |page: u64| 0x4010_0000 + page * PAGE;
        let mut mapped = BTreeSet::new();
        // Pages that were unmapped when somebody asked to forget them, and pages that are gone for certain.
        let mut asked: Vec<u64> = Vec::new();
        let mut gone: BTreeSet<u64> = (0..700).collect();
        for step in steps {
            match step {
                Step::Map(page) => {
                    bench.map_page(at(page));
                    mapped.insert(page);
                    gone.remove(&page);
                    asked.retain(|other| *other != page);
                }
                Step::Unmap(page, count) => {
                    for page in page..page + count {
                        bench.set(at(page), 3, 0);
                        mapped.remove(&page);
                    }
                }
                Step::Dma(page) => {
                    let reached = bench.reads(at(page));
                    prop_assert!(!(reached && gone.contains(&page)));
                    prop_assert!(reached || !mapped.contains(&page));
                }
                Step::Invalidate(page, count) => {
                    unit.invalidate(Vmid::HOST, pages(at(page), count)).unwrap();
                    asked.extend((page..page + count).filter(|page| !mapped.contains(page)));
                }
                Step::Sync => {
                    unit.sync().unwrap();
                    gone.extend(asked.drain(..));
                }
            }
        }
    }
}
