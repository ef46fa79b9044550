//! A copy of the host's map with a page that leads elsewhere, by the walker that shares nothing with the tables' code.

use crate::model::PAGE;
use crate::setting::{BLOCK, Call, POOL, POOL_PAGES, RAM};
use crate::walker;
use crate::world::{Answer, World};
use leasehold_hyp_core::{Layout, OVERLAY_PAGES, OVERLAY_ROOTS, OVERLAY_TABLES, OverlayMemory, VmId};
use leasehold_memory_map::{Address, Ipa, PhysAddr};

/// The end of the pool, which no world in these tests comes to.
fn memory() -> OverlayMemory {
    let used = (OVERLAY_ROOTS + OVERLAY_TABLES + OVERLAY_PAGES) as u64;
    let start = (POOL + (POOL_PAGES - used - 1) * PAGE).next_multiple_of(2 * PAGE) - 2 * PAGE;
    let page = |n: usize| PhysAddr::new(start + n as u64 * PAGE);
    OverlayMemory {
        root: page(0),
        tables: page(OVERLAY_ROOTS),
        pages: page(OVERLAY_ROOTS + OVERLAY_TABLES),
    }
}

fn map(world: &World, root: u64) -> Vec<(u64, u64)> {
    let (leaves, _) = walker::walk_all(&|table, index| world.sim.entry(table, index), root, 40);
    let pages = |leaf: walker::Leaf| (0..leaf.size / PAGE).map(move |n| (leaf.ipa + n * PAGE, leaf.pa + n * PAGE));
    leaves.into_iter().flat_map(pages).collect()
}

#[test]
fn an_overlay_is_the_host_s_map_and_the_pages_that_lead_elsewhere() {
    for layout in [Layout::Blocks, Layout::KeptPages] {
        let guest = VmId::guest(0).unwrap();
        let mut world = World::new(layout);
        let ranges = vec![(RAM + PAGE, 2), (RAM + BLOCK, 512)];
        let lend = Call::Lend {
            by: VmId::HOST,
            to: guest,
            ranges,
        };
        for call in [Call::Create(guest), lend] {
            assert_eq!(world.call(&call).unwrap(), Ok(Answer::Done));
        }
        let tables = world.tables();
        let mut wanted = map(&world, world.real.host_root().get());
        let mut overlay = world.real.overlay(&world.sim, memory()).unwrap();
        for page in [RAM + PAGE, RAM + 2 * PAGE, RAM + BLOCK + 7 * PAGE] {
            let target = overlay.cover(&world.sim, Ipa::new(page)).unwrap();
            wanted.push((page, target.get()));
        }
        wanted.sort_unstable();
        assert_eq!(map(&world, overlay.root().get()), wanted);
        // What is the host's is not covered, and there is room for so many and no more.
        assert_eq!(overlay.cover(&world.sim, Ipa::new(RAM + 3 * PAGE)), None);
        assert!(overlay.cover(&world.sim, Ipa::new(RAM + BLOCK)).is_some());
        assert_eq!(overlay.cover(&world.sim, Ipa::new(RAM + BLOCK + PAGE)), None);
        assert_eq!(overlay.covered().len(), OVERLAY_PAGES);
        assert_eq!(world.tables(), tables, "the host's tables are as they were");
    }
}
