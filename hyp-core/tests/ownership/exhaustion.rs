//! Nothing left to give: one more than there is of everything, and the pool empty at each allocation in turn.

use crate::model::PAGE;
use crate::setting::{BLOCK, Call, Config, LEASES, RAM};
use crate::world::{Answer, World};
use leasehold_hyp_core::{Layout, OwnershipError as Error, PAGES_PER_LEASE, RANGES_PER_LEASE, VmId};
use std::collections::BTreeSet;

const BOTH: [Layout; 2] = [Layout::Blocks, Layout::KeptPages];

fn guest() -> VmId {
    VmId::guest(0).unwrap()
}

fn lend(ranges: Vec<(u64, u32)>) -> Call {
    Call::Lend {
        by: VmId::HOST,
        to: guest(),
        ranges,
    }
}

/// A guest that gets two leases, of which one needs tables on both sides wherever it can, and loses them.
fn story() -> Vec<Call> {
    vec![
        Call::Create(guest()),
        lend(vec![(RAM + BLOCK - PAGE, 2), (RAM + PAGE, 1), (RAM + 2 * BLOCK, 3)]),
        Call::Retrieve {
            by: guest(),
            lease: 1,
            ipa: 0x4020_0000 - 2 * PAGE,
        },
        lend(vec![(RAM + BLOCK + 2 * PAGE, 1)]),
        Call::Retrieve {
            by: guest(),
            lease: 2,
            ipa: 0x7f_c000_0000,
        },
        Call::Create(VmId::guest(1).unwrap()),
        Call::Relinquish { by: guest(), lease: 1 },
        Call::Reclaim {
            by: VmId::HOST,
            lease: 1,
        },
        Call::Retrieve {
            by: guest(),
            lease: 2,
            ipa: 0x7f_c000_0000,
        },
        Call::Destroy(guest()),
    ]
}

/// Lives the story with a pool of so many pages: which calls found it empty, or `None` if the host cannot boot.
fn live(layout: Layout, pool_pages: u64) -> Option<Vec<usize>> {
    let mut world = match World::with(Config {
        pool_pages,
        ..Config::new(layout)
    }) {
        Ok(world) => world,
        Err(error) => {
            assert_eq!(error, Error::NoMemory);
            return None;
        }
    };
    let mut empty = Vec::new();
    for (n, call) in story().into_iter().enumerate() {
        loop {
            match world.call(&call).unwrap() {
                Ok(Answer::Again) => continue,
                Err(Error::NoMemory) => empty.push(n),
                _ => {}
            }
            break;
        }
    }
    world.wind_up().unwrap();
    Some(empty)
}

#[test]
fn an_empty_pool_changes_nothing_wherever_it_is_met() {
    for layout in BOTH {
        let runs: Vec<_> = (1..30).map(|pages| live(layout, pages)).collect();
        let booted: Vec<_> = runs.iter().skip_while(|run| run.is_none()).flatten().collect();
        let boots = runs.iter().position(Option::is_some).unwrap();
        assert_eq!(
            booted.len(),
            runs.len() - boots,
            "the host boots with every larger pool"
        );
        assert_eq!(booted.last(), Some(&&Vec::new()), "the largest is enough for all");
        let met: BTreeSet<_> = booted.into_iter().flatten().copied().collect();
        println!("{layout:?}: {runs:?}");
        let takes = if layout == Layout::Blocks {
            [1, 2, 3, 4, 5]
        } else {
            [0, 1, 2, 4, 5]
        };
        assert!(
            met.is_superset(&takes.into()),
            "each call that takes pages met an empty pool: {met:?}"
        );
    }
}

#[test]
fn one_lease_more_than_there_are_is_refused() {
    for layout in BOTH {
        let mut world = World::new(layout);
        world.call(&Call::Create(guest())).unwrap().unwrap();
        for n in 0..LEASES as u64 {
            assert_eq!(world.call(&lend(vec![(RAM + n * PAGE, 1)])).unwrap(), Ok(Answer::Done));
        }
        let last = world.call(&lend(vec![(RAM + 9 * PAGE, 1)])).unwrap();
        assert_eq!(last, Err(Error::TooManyLeases(LEASES)));
        world
            .call(&Call::Reclaim {
                by: VmId::HOST,
                lease: 2,
            })
            .unwrap()
            .unwrap();
        assert_eq!(world.call(&lend(vec![(RAM + 9 * PAGE, 1)])).unwrap(), Ok(Answer::Done));
        world.wind_up().unwrap();
    }
}

#[test]
fn one_range_more_than_a_lease_has_is_refused() {
    for layout in BOTH {
        let mut world = World::new(layout);
        world.call(&Call::Create(guest())).unwrap().unwrap();
        // Every second page, so that nothing is side by side, and then backwards.
        let mut ranges: Vec<_> = (0..=RANGES_PER_LEASE as u64).map(|n| (RAM + 2 * n * PAGE, 1)).collect();
        assert_eq!(
            world.call(&lend(ranges.clone())).unwrap(),
            Err(Error::TooManyRanges(RANGES_PER_LEASE))
        );
        ranges.pop();
        ranges.reverse();
        assert_eq!(world.call(&lend(ranges)).unwrap(), Ok(Answer::Done));
        let retrieve = Call::Retrieve {
            by: guest(),
            lease: 1,
            ipa: 0x4000_0000,
        };
        while world.call(&retrieve).unwrap() == Ok(Answer::Again) {}
        world.wind_up().unwrap();
    }
}

#[test]
fn one_page_more_than_a_lease_has_is_refused() {
    let mut world = World::new(Layout::Blocks);
    world.call(&Call::Create(guest())).unwrap().unwrap();
    let outcome = world.call(&lend(vec![(RAM, 1), (0, PAGES_PER_LEASE as u32)])).unwrap();
    assert_eq!(outcome, Err(Error::TooManyPages(PAGES_PER_LEASE)));
    world.wind_up().unwrap();
}
