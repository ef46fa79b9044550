//! A machine with 3 GiB of RAM that begins above 512 GiB: 1 GiB blocks, both root tables, and what a lease costs.

use crate::cache::{Principal, Value};
use crate::machine::{Counts, Sim};
use crate::walker::{self, Leaf};
use leasehold_hal::{MemoryAttributes, Stage2Geometry};
use leasehold_hyp_core::{
    Constituent, Handle, HostMap, Layout, Ownership, OwnershipError as Error, PageState, Step, VmId,
};
use leasehold_memory_map::{AddrRange, Ipa, PageRange, PhysAddr, PhysRange};

const KIB4: u64 = 1 << 12;
const MIB2: u64 = 1 << 21;
const GIB: u64 = 1 << 30;
const RAM: u64 = 0x80_4000_0000;
const POOL: u64 = 0x2000_0000;
const POOL_PAGES: u64 = 1800;
const BOTH: [Layout; 2] = [Layout::Blocks, Layout::KeptPages];

struct Large {
    sim: Sim,
    own: Ownership<8, 2>,
}

fn phys(start: u64, len: u64) -> PhysRange {
    AddrRange::new(PhysAddr::new(start), len).unwrap()
}

fn guest() -> VmId {
    VmId::guest(0).unwrap()
}

impl Large {
    fn new(layout: Layout) -> Self {
        let sim = Sim::new(POOL..POOL + POOL_PAGES * KIB4, None);
        let mut own = Ownership::new();
        let map = HostMap {
            pool: PageRange::new(PhysAddr::new(POOL), POOL_PAGES).unwrap(),
            geometry: Stage2Geometry::new(40, MemoryAttributes::Combine).unwrap(),
            layout,
            ram: &[phys(RAM, 3 * GIB)],
            devices: &[phys(0, GIB)],
            hypervisor: &[],
        };
        own.init_host(&sim, &map).unwrap();
        let host = Principal { vmid: 1, life: 0 };
        for page in [RAM, RAM + KIB4, RAM + MIB2, RAM + GIB] {
            sim.follow(page, Value::Secret(host));
        }
        sim.watch(1, vec![POOL, RAM, RAM + KIB4, RAM + MIB2, RAM + GIB]);
        sim.run(host, own.host_root().as_u64());
        own.create_vm(&sim, guest()).unwrap();
        let _ = sim.counts();
        Self { sim, own }
    }

    fn lend(&mut self, address: u64, len: u64) -> Result<Handle, Error> {
        let range = Constituent {
            address,
            pages: (len / KIB4) as u32,
        };
        self.own.lend(&self.sim, VmId::HOST, guest(), [range])
    }

    fn reclaim(&mut self, handle: Handle) {
        while self.own.reclaim(&self.sim, VmId::HOST, handle).unwrap() == Step::Again {}
    }

    fn leaves(&self) -> Vec<Leaf> {
        walker::walk_all(
            &|table, index| self.sim.entry(table, index),
            self.own.host_root().as_u64(),
            40,
        )
        .0
    }

    /// The sizes of the leaves that map `len` bytes from `start`.
    fn sizes(&self, start: u64, len: u64) -> Vec<u64> {
        let inside = |leaf: &Leaf| leaf.ipa >= start && leaf.ipa < start + len;
        let mut sizes: Vec<_> = self.leaves().into_iter().filter(inside).map(|leaf| leaf.size).collect();
        sizes.dedup();
        sizes
    }

    /// What is asked of the machine for a lease of `len` bytes and back.
    fn cost(&mut self, start: u64, len: u64) -> [Counts; 2] {
        let _ = self.sim.counts();
        let handle = self.lend(start, len).unwrap();
        let lent = self.sim.counts();
        self.reclaim(handle);
        [lent, self.sim.counts()]
    }
}

#[test]
fn the_largest_blocks_are_split_where_a_lease_is_and_joined_again() {
    let mut large = Large::new(Layout::Blocks);
    let (free, before) = (large.own.free_tables(), large.leaves());
    assert_eq!(large.sizes(RAM, 3 * GIB), [GIB]);
    let page = large.lend(RAM + KIB4, KIB4).unwrap();
    assert_eq!(large.own.free_tables(), free - 2);
    assert_eq!(large.sizes(RAM, MIB2), [KIB4]);
    assert_eq!(large.sizes(RAM + MIB2, GIB - MIB2), [MIB2]);
    assert_eq!(large.sizes(RAM + GIB, 2 * GIB), [GIB]);
    let block = large.lend(RAM + MIB2, MIB2).unwrap();
    assert_eq!(large.own.free_tables(), free - 2, "a whole block needs no table");
    large.reclaim(page);
    assert_eq!(large.own.free_tables(), free - 1);
    large.reclaim(block);
    assert_eq!((large.own.free_tables(), large.leaves()), (free, before));
}

#[test]
fn kept_tables_stay() {
    let mut large = Large::new(Layout::KeptPages);
    let (free, before) = (large.own.free_tables(), large.leaves());
    assert_eq!(large.sizes(RAM, 3 * GIB), [KIB4]);
    for (start, len) in [
        (RAM, KIB4),
        (RAM, MIB2),
        (RAM + GIB, GIB),
        (RAM + MIB2 - KIB4, 2 * MIB2),
    ] {
        let lease = large.lend(start, len).unwrap();
        assert_eq!(large.own.free_tables(), free, "no table is needed");
        assert_eq!(large.sizes(start, len), []);
        large.reclaim(lease);
        assert_eq!((large.own.free_tables(), large.leaves()), (free, before.clone()));
    }
}

#[test]
fn a_gibibyte_is_one_entry() {
    for layout in BOTH {
        let mut large = Large::new(layout);
        let before = large.leaves();
        let [lend, reclaim] = large.cost(RAM + GIB, GIB);
        assert!(lend.reads + lend.writes <= 8, "{layout:?}: {lend:?}");
        assert!(reclaim.reads + reclaim.writes <= 8, "{layout:?}: {reclaim:?}");
        assert_eq!(large.leaves(), before);
    }
}

/// Reads and writes of entries are what a lease's cost consists of; the instructions are counted on the real machine.
#[test]
fn the_cost_grows_with_the_entries_and_not_with_the_pages() {
    for layout in BOTH {
        let mut large = Large::new(layout);
        let split = large.lend(RAM + 2 * MIB2, KIB4).unwrap();
        let page = large.cost(RAM + 2 * MIB2 + KIB4, KIB4);
        let block = large.cost(RAM + MIB2, MIB2);
        let blocks = large.cost(RAM + 32 * MIB2, 32 * MIB2);
        println!("{layout:?}: {page:?} {block:?} {blocks:?}");
        for (page, (block, blocks)) in page.iter().zip(block.iter().zip(&blocks)) {
            assert!(
                block.writes <= 3 * page.writes,
                "{layout:?}: {block:?} against {page:?}"
            );
            assert!(
                blocks.writes <= 32 * block.writes,
                "{layout:?}: {blocks:?} against {block:?}"
            );
            assert_eq!((page.scrubs, block.scrubs, blocks.scrubs), (0, 0, 0));
            assert!(block.syncs <= 1 && blocks.syncs <= 1);
        }
        large.reclaim(split);
    }
}

#[test]
fn a_guest_gets_blocks_where_both_sides_are_aligned() {
    let mut large = Large::new(Layout::Blocks);
    let free = large.own.free_tables();
    let lease = large.lend(RAM + GIB, GIB).unwrap();
    large
        .own
        .retrieve(&large.sim, guest(), lease, Ipa::new(GIB + KIB4))
        .map(drop)
        .unwrap();
    let at = Ipa::new(GIB);
    while large.own.retrieve(&large.sim, guest(), lease, at).unwrap() == Step::Again {}
    assert_eq!(large.own.free_tables(), free, "a 1 GiB block needs no table");
    let translated = large.own.translate(&large.sim, guest(), Ipa::new(GIB + MIB2 + 8));
    assert_eq!(translated, Ok(PhysAddr::new(RAM + GIB + MIB2 + 8)));
    while large.own.destroy_vm(&large.sim, guest()).unwrap() == Step::Again {}
    large.reclaim(lease);
    assert_eq!(large.own.free_tables(), free + 1, "the guest's root is back too");
}

#[test]
fn a_guest_with_other_alignment_gets_pages() {
    let mut large = Large::new(Layout::Blocks);
    let free = large.own.free_tables();
    let lease = large.lend(RAM, 2 * MIB2).unwrap();
    let tables = free - large.own.free_tables();
    while large
        .own
        .retrieve(&large.sim, guest(), lease, Ipa::new(GIB + KIB4))
        .unwrap()
        == Step::Again
    {}
    assert_eq!(
        free - large.own.free_tables(),
        tables + 1 + 3,
        "a level-2 table and three of level 3"
    );
    while large.own.relinquish(&large.sim, guest(), lease).unwrap() == Step::Again {}
    assert_eq!(free - large.own.free_tables(), tables);
    large.reclaim(lease);
    assert_eq!(large.own.free_tables(), free);
}

#[test]
fn before_boot_there_is_nothing() {
    let sim = Sim::new(POOL..POOL + KIB4, None);
    let mut own = Ownership::<8, 2>::new();
    assert_eq!(own.create_vm(&sim, guest()), Err(Error::NoSuchVm(guest())));
    let page = Constituent { address: RAM, pages: 1 };
    assert_eq!(
        own.lend(&sim, VmId::HOST, guest(), [page]),
        Err(Error::NoSuchVm(guest()))
    );
    assert_eq!(own.host_page_state(&sim, Ipa::new(RAM)), PageState::Unmapped);
    assert_eq!(
        own.translate(&sim, VmId::HOST, Ipa::new(0)),
        Err(Error::NotOwner(Ipa::new(0)))
    );
}

#[test]
fn a_map_of_parts_of_pages_or_beyond_the_tables_is_refused() {
    for bad in [
        phys(RAM + 8, KIB4),
        phys(RAM, KIB4 + 8),
        phys(1 << 40, KIB4),
        phys((1 << 40) - KIB4, 2 * KIB4),
    ] {
        for place in 0..3 {
            let sim = Sim::new(POOL..POOL + POOL_PAGES * KIB4, None);
            let list = |n: usize| if n == place { vec![bad] } else { Vec::new() };
            let (ram, devices, hypervisor) = (list(0), list(1), list(2));
            let map = HostMap {
                pool: PageRange::new(PhysAddr::new(POOL), POOL_PAGES).unwrap(),
                geometry: Stage2Geometry::new(40, MemoryAttributes::Combine).unwrap(),
                layout: Layout::Blocks,
                ram: &ram,
                devices: &devices,
                hypervisor: &hypervisor,
            };
            let outcome = Ownership::<8, 2>::new().init_host(&sim, &map);
            let start = bad.start().as_u64();
            assert_eq!(outcome, Err(Error::BadLayout { start, len: bad.len() }));
        }
    }
}
