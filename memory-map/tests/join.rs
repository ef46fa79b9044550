//! The map that comes of a tree and a board's constant.

mod common;

use common::{BOARD, Tree, fixture, range};
use leasehold_memory_map::{
    BoardMemory, Carveout, CarveoutKind, MAX_REGIONS, MachineTree, MapError, MemoryMap, Payload, PhysAddr, PhysRange,
    Region, RegionKind, Source,
};

/// As (start, end, kind).
fn regions(map: &MemoryMap) -> Vec<(u64, u64, RegionKind)> {
    let line = |region: &Region| (region.range.start().as_u64(), region.range.end().as_u64(), region.kind);
    map.regions().iter().map(line).collect()
}

const RAM: RegionKind = RegionKind::Ram;
const NO_MAP: RegionKind = RegionKind::Reserved { no_map: true };
const PLAIN: RegionKind = RegionKind::Reserved { no_map: false };
const TREE: RegionKind = RegionKind::Payload(Payload::Tree);
const KERNEL: RegionKind = RegionKind::Payload(Payload::Kernel);
const RAMDISK: RegionKind = RegionKind::Payload(Payload::Ramdisk);

const fn carveout(start: u64, len: u64, kind: CarveoutKind) -> Carveout<'static> {
    Carveout {
        name: "carve-out",
        range: PhysRange::constant(PhysAddr::new(start), len),
        kind,
    }
}

/// The map of a machine with 16 MiB from 0 and what else is in `nodes`, its tree in the last page.
fn join(nodes: &[Tree], reservations: &[(u64, u64)], carveouts: &[Carveout<'_>]) -> Result<MemoryMap, MapError> {
    let tree = nodes
        .iter()
        .fold(Tree::root().child(Tree::memory(&[(0, 0x100_0000)])), |tree, node| {
            tree.child(node.clone())
        });
    let blob = tree.blob_with(reservations);
    let board = BoardMemory { carveouts, ..BOARD };
    MemoryMap::new(
        &MachineTree::parse(blob.bytes()).unwrap(),
        &board,
        range(0xff_f000, 0x1000),
    )
}

fn reserved(name: &str, start: u64, len: u64) -> Tree {
    let parent = Tree::new("reserved-memory")
        .cells("#address-cells", &[2])
        .cells("#size-cells", &[2])
        .prop("ranges", &[]);
    parent.child(Tree::new(name).ranges("reg", &[(start, len)]).prop("no-map", &[]))
}

fn kernel(start: u64, len: u64) -> Tree {
    let module = Tree::new("kernel").prop("compatible", b"multiboot,module\0multiboot,kernel\0");
    Tree::new("chosen").child(module.ranges("reg", &[(start, len)]))
}

#[test]
fn qemu_from_boot_to_the_hosts_tree() {
    let blob = fixture("virt-gicv3.dtb");
    let tree = MachineTree::parse(blob.bytes()).unwrap();
    let board = BoardMemory {
        ram: &[range(0x4000_0000, 0xff_0000_0000)],
        carveouts: &[],
    };
    let mut map = MemoryMap::new(&tree, &board, range(0x4a00_0000, 0x10_0000)).unwrap();
    assert_eq!(
        regions(&map),
        [
            (0x4000_0000, 0x4400_0000, RAM),
            (0x4400_0000, 0x4404_a000, KERNEL),
            (0x4404_a000, 0x4800_0000, RAM),
            (0x4800_0000, 0x4800_2000, RAMDISK),
            (0x4800_2000, 0x4a00_0000, RAM),
            (0x4a00_0000, 0x4a10_0000, TREE),
            (0x4a10_0000, 0x8000_0000, RAM),
        ]
    );
    map.carve(range(0x4008_0000, 0x8_0000), RegionKind::Hypervisor).unwrap();
    // The kernel's data behind its file.
    map.carve(range(0x4404_a000, 0x10_0123), KERNEL).unwrap();
    assert_eq!(
        map.region_at(PhysAddr::new(0x4410_0000)).unwrap().range,
        range(0x4400_0000, 0x14_b000)
    );
    assert_eq!(map.find_free(0x1000, 0x1000), Some(range(0x4000_0000, 0x1000)));
    assert_eq!(map.find_free(0x8_0001, 1), Some(range(0x4010_0000, 0x8_1000)));
    assert_eq!(map.find_free(0x20_0000, 0x20_0000), Some(range(0x4020_0000, 0x20_0000)));
    assert_eq!(map.find_free(0x3000_0000, 0x4000_0000), None);
    let hosts: Vec<_> = map.host_memory().collect();
    assert_eq!(hosts, [range(0x4000_0000, 0x8_0000), range(0x4010_0000, 0x3ff0_0000)]);
}

#[test]
fn u_boots_reservations_may_hold_the_payloads() {
    let blob = fixture("u-boot.dtb");
    let tree = MachineTree::parse(blob.bytes()).unwrap();
    let map = MemoryMap::new(&tree, &BOARD, range(0x8000_0000, blob.bytes().len() as u64)).unwrap();
    assert_eq!(
        regions(&map),
        [
            (0x8000_0000, 0x8000_1000, TREE),
            (0x8000_1000, 0x8001_0000, PLAIN),
            (0x8001_0000, 0x8fe0_0000, RAM),
            (0x8fe0_0000, 0x8fe0_6000, RAMDISK),
            (0x8fe0_6000, 0xbf00_0000, RAM),
            (0xbf00_0000, 0xbf80_0000, NO_MAP),
            (0xbf80_0000, 0xc000_0000, RAM),
            (0x8_8000_0000, 0x9_8000_0000, RAM),
            (0x20_0000_0000, 0x20_8000_0000, RAM),
        ]
    );
}

#[test]
fn the_hypervisor_may_live_in_the_range_that_the_tree_keeps_for_one() {
    let blob = fixture("small-soc.dtb");
    let tree = MachineTree::parse(blob.bytes()).unwrap();
    let place = range(0x8340_0000, 0x1000);
    let map = |carveout| {
        MemoryMap::new(
            &tree,
            &BoardMemory {
                carveouts: &[carveout],
                ..BOARD
            },
            place,
        )
    };
    let own = carveout(0x8640_0000, 0x10_0000, CarveoutKind::Hypervisor);
    let joined = map(own).unwrap();
    assert_eq!(joined.region_at(PhysAddr::new(0x864f_ffff)).unwrap().range, own.range);
    // The secure world's next door is not the hypervisor's, the node in front of it is nobody's.
    let across = carveout(0x863f_f000, 0x2000, CarveoutKind::Hypervisor);
    let error = map(across).unwrap_err();
    let MapError::Overlap {
        what: Source::Board(name),
        range: at,
        with,
    } = error
    else {
        panic!("{error:?}")
    };
    assert_eq!((name.as_str(), at, with.kind), ("carve-out", across.range, NO_MAP));
}

#[test]
fn the_tree_cannot_widen_the_board() {
    let blob = fixture("u-boot.dtb");
    let tree = MachineTree::parse(blob.bytes()).unwrap();
    let limit = |ram: &[PhysRange]| {
        MemoryMap::new(&tree, &BoardMemory { ram, carveouts: &[] }, range(0x8000_0000, 0x1000)).map(drop)
    };
    let banks = [
        range(0x8000_0000, 0x4000_0000),
        range(0x8_8000_0000, 0x1_0000_0000),
        range(0x20_0000_0000, 0x8000_0000),
    ];
    assert_eq!(limit(&banks), Ok(()));
    for missing in 0..banks.len() {
        let mut less = banks;
        less[missing] = range(0x1000, 0x1000);
        assert_eq!(limit(&less), Err(MapError::BeyondBoard { range: banks[missing] }));
        less[missing] = PhysRange::new(banks[missing].start(), banks[missing].len() - 1).unwrap();
        assert_eq!(limit(&less), Err(MapError::BeyondBoard { range: banks[missing] }));
    }
    assert!(limit(&[]).is_err());
}

#[test]
fn memory_that_overlaps_or_is_none() {
    let map = |ranges: &[(u64, u64)]| {
        let blob = Tree::root().child(Tree::memory(ranges)).blob();
        let map = MemoryMap::new(
            &MachineTree::parse(blob.bytes()).unwrap(),
            &BOARD,
            range(0x1_0000, 0x1000),
        );
        map.map(|map| regions(&map).len())
    };
    assert_eq!(map(&[]), Err(MapError::NoMemory));
    assert_eq!(map(&[(0x1_0000, 0)]), Err(MapError::NoMemory));
    assert_eq!(
        map(&[(0x1_0001, 0x1ffe)]),
        Err(MapError::NoMemory),
        "less than a whole page"
    );
    assert_eq!(
        map(&[(0x1_0000, 0x8000), (0x1_8000, 0x8000)]),
        Ok(2),
        "neighbours are one, and the tree"
    );
    assert_eq!(map(&[(0x1_8000, 0x8000), (0x1_0000, 0x8000)]), Ok(2), "in any order");
    for (second, len) in [
        (0x1_7000, 0x1000),
        (0x1_0000, 0x8000),
        (0, 0x10_0000),
        (0x1_7fff, 0x1_0000),
        (0xf000, 0x1001),
    ] {
        let whole = second % 0x1000 == 0 && len % 0x1000 == 0;
        let result = map(&[(0x1_0000, 0x8000), (second, len)]);
        if whole {
            let error = MapError::Overlap {
                what: Source::Memory,
                range: range(second, len),
                with: Region {
                    range: range(0x1_0000, 0x8000),
                    kind: RAM,
                },
            };
            assert_eq!(result, Err(error));
        } else {
            // Only pages count, and these share none.
            assert!(result.is_ok(), "{result:?}");
        }
    }
}

#[test]
fn reserved_ranges_are_cut_to_memory_and_the_stricter_wins() {
    let map = join(
        &[
            reserved("outer", 0x20_0800, 0x10_0000),
            reserved("far", 0x2000_0000, 0x1000),
        ],
        &[(0x10_0000, 0x20_0000), (0xf0_0000, u64::from(u32::MAX))],
        &[],
    );
    // The last reservation has the tree in it.
    assert_eq!(
        regions(&map.unwrap()),
        [
            (0, 0x10_0000, RAM),
            (0x10_0000, 0x20_0000, PLAIN),
            (0x20_0000, 0x30_1000, NO_MAP),
            (0x30_1000, 0xf0_0000, RAM),
            (0xf0_0000, 0xff_f000, PLAIN),
            (0xff_f000, 0x100_0000, TREE),
        ]
    );
}

#[test]
fn modules_must_be_in_free_memory() {
    let own = [carveout(0x40_0000, 0x10_0000, CarveoutKind::Hypervisor)];
    let error = |nodes: &[Tree]| match join(nodes, &[], &own).unwrap_err() {
        MapError::Overlap { what, with, .. } => (what, Some(with.kind)),
        MapError::OutsideRam { what, .. } => (what, None),
        other => panic!("{other:?}"),
    };
    let name = |source: Source| match source {
        Source::Module(name) => name.as_str().to_owned(),
        other => format!("{other:?}"),
    };
    let module = |start, len| {
        let (what, with) = error(&[kernel(start, len)]);
        (name(what), with)
    };
    let of_kernel = |with| ("kernel".to_owned(), with);
    assert_eq!(module(0x3f_f000, 0x1001), of_kernel(Some(RegionKind::Hypervisor)));
    assert_eq!(module(0x4f_ffff, 1), of_kernel(Some(RegionKind::Hypervisor)));
    assert_eq!(module(0, 0x100_0000), of_kernel(Some(RegionKind::Hypervisor)));
    assert_eq!(module(0xff_ffff, 1), of_kernel(Some(TREE)));
    assert_eq!(module(0x100_0000, 1), of_kernel(None));
    assert_eq!(module(0x4000_0000, 0x1000), of_kernel(None));
    assert_eq!(module((1 << 52) - 2, 1), of_kernel(None));
    let (what, with) = error(&[reserved("keep-out", 0x20_0000, 0x1000), kernel(0x1f_0000, 0x1_0001)]);
    assert_eq!((name(what), with), of_kernel(Some(NO_MAP)));
    // Two that share a page.
    let initrd = |start: u32| {
        Tree::new("chosen")
            .cells("linux,initrd-start", &[start])
            .cells("linux,initrd-end", &[start + 8])
    };
    let both = |start: u32| Tree {
        children: kernel(0x10_0000, 0x1800).children,
        ..initrd(start)
    };
    assert_eq!(error(&[both(0x10_1ff8)]), (Source::Initrd, Some(KERNEL)));
    assert!(join(&[both(0x10_2000)], &[], &own).is_ok());
    let (what, _) = error(&[initrd(0x4f_fff9)]);
    assert_eq!(what, Source::Initrd);
}

#[test]
fn the_tree_must_be_in_free_memory() {
    let own = [carveout(0xff_f000, 0x1000, CarveoutKind::Hypervisor)];
    let error = join(&[], &[], &own).unwrap_err();
    assert!(
        matches!(error, MapError::Overlap { what: Source::Tree, .. }),
        "{error:?}"
    );
}

#[test]
fn carveouts_of_the_board() {
    let map = |start, len, kind| {
        join(
            &[reserved("secure", 0x20_0000, 0x1_0000)],
            &[],
            &[carveout(start, len, kind)],
        )
    };
    let kept = |start, len, kind| regions(&map(start, len, kind).unwrap());
    use CarveoutKind::{Firmware, Hypervisor};
    // Where the tree has no memory at all: the loader has taken it out.
    assert_eq!(
        kept(0x200_0000, 0x1000, Hypervisor).last(),
        Some(&(0x200_0000, 0x200_1000, RegionKind::Hypervisor))
    );
    assert_eq!(
        kept(0x200_0000, 0x1000, Firmware).last(),
        Some(&(0x200_0000, 0x200_1000, RegionKind::Firmware))
    );
    // Firmware's may lie across anything of the tree's.
    let across = kept(0x1f_0000, 0x3_0000, Firmware);
    assert_eq!(across[1], (0x1f_0000, 0x22_0000, RegionKind::Firmware));
    assert_eq!(across.len(), 4);
    // The hypervisor's may not lie across the edge of memory.
    let half = map(0x100_0000 - 0x2000, 0x3000, Hypervisor).unwrap_err();
    assert!(
        matches!(
            half,
            MapError::OutsideRam {
                what: Source::Board(_),
                ..
            }
        ),
        "{half:?}"
    );
    for (start, len) in [(0x40_0001, 0x1000), (0x40_0000, 0x1001)] {
        for kind in [Hypervisor, Firmware] {
            let error = map(start, len, kind).unwrap_err();
            assert!(matches!(error, MapError::Unaligned { .. }), "{error:?}");
        }
    }
    let twice = join(
        &[],
        &[],
        &[carveout(0, 0x2000, Hypervisor), carveout(0x1000, 0x2000, Firmware)],
    );
    assert!(matches!(twice, Err(MapError::Overlap { .. })));
}

#[test]
fn more_regions_than_there_is_room_for() {
    // Pages of the hypervisor with a free one between each two.
    let mut map = join(&[], &[], &[]).unwrap();
    let mut count = 0;
    let error = loop {
        let before = regions(&map);
        let page = range(0x1000 + 0x2000 * count, 0x1000);
        if let Err(error) = map.carve(page, RegionKind::Hypervisor) {
            assert_eq!(regions(&map), before, "a refused call changes nothing");
            break error;
        }
        count += 1;
    };
    assert_eq!(error, MapError::TooManyRegions { what: Source::Carve });
    assert!(map.regions().len() <= MAX_REGIONS && map.regions().len() + 3 > MAX_REGIONS);
}

#[test]
fn the_last_page_of_the_address_space() {
    let top = (1_u64 << 52) - 0x1000;
    let blob = Tree::root()
        .child(Tree::memory(&[(top - 0x3000, 0x3000), (top, 0xfff)]))
        .blob();
    let tree = MachineTree::parse(blob.bytes()).unwrap();
    let mut map = MemoryMap::new(&tree, &BOARD, range(top - 0x3000, 0x1000)).unwrap();
    assert_eq!(map.find_free(0x2000, 0x1000), Some(range(top - 0x2000, 0x2000)));
    assert_eq!(map.find_free(0x2001, 0x1000), None);
    assert_eq!(map.find_free(u64::MAX, 0x1000), None);
    assert_eq!(map.find_free(0x1000, 1 << 63), None);
    assert_eq!(map.find_free(0, 0x1000), None);
    assert_eq!(map.find_free(0x1000, 0), None);
    assert_eq!(map.find_free(0x1000, 3), None);
    let beyond = map.carve(range(top, 0xfff), RegionKind::Payload(Payload::Other));
    assert!(matches!(beyond, Err(MapError::OutsideRam { .. })));
}
