//! The map against a picture that has an entry for each page.

mod common;

use common::Tree;
use leasehold_memory_map::{
    Address, BoardMemory, Carveout, CarveoutKind, MachineTree, MapError, MemoryMap, PAGE_SIZE, Payload, PhysAddr,
    PhysRange, RegionKind,
};
use proptest::prelude::*;

/// How many pages the machines here have room for.
const PAGES: u64 = 64;
/// Not at zero, so that sums are told from differences.
const BASE: u64 = 0x8000_0000;

type Picture = Vec<Option<RegionKind>>;

fn bytes(start: u64, len: u64) -> PhysRange {
    PhysRange::new(PhysAddr::new(BASE + start), len).unwrap()
}

fn pages(start: u64, len: u64) -> PhysRange {
    bytes(start * PAGE_SIZE, len * PAGE_SIZE)
}

/// The pages that a range touches.
fn touched(range: PhysRange) -> std::ops::Range<usize> {
    let first = (range.start().get() - BASE) / PAGE_SIZE;
    let end = (range.end().get() - BASE).div_ceil(PAGE_SIZE);
    first as usize..end as usize
}

fn picture(map: &MemoryMap) -> Picture {
    let at = |page| map.region_at(PhysAddr::new(BASE + page * PAGE_SIZE + PAGE_SIZE / 2));
    (0..PAGES).map(|page| at(page).map(|region| region.kind)).collect()
}

/// Regions are sorted, disjoint, whole pages, and no two neighbours are alike.
fn check_form(map: &MemoryMap) {
    for region in map.regions() {
        assert!(region.range.start().is_aligned(PAGE_SIZE) && region.range.len() % PAGE_SIZE == 0);
    }
    for pair in map.regions().windows(2) {
        let (left, right) = (pair[0], pair[1]);
        assert!(left.range.end() <= right.range.start());
        assert!(left.range.end() < right.range.start() || left.kind != right.kind);
    }
}

/// Whether the picture lets a range be given to `kind`.
fn may_have(picture: &Picture, range: PhysRange, kind: RegionKind) -> bool {
    let pages = &picture[touched(range)];
    let hypervisors = kind == RegionKind::Hypervisor;
    let free = pages.iter().all(|page| match page {
        Some(RegionKind::Ram | RegionKind::Reserved { no_map: false }) => {
            !hypervisors || *page == Some(RegionKind::Ram)
        }
        _ => false,
    });
    let in_reserved = hypervisors && matches!(pages[0], Some(RegionKind::Reserved { .. }));
    free || in_reserved && pages.iter().all(|page| *page == pages[0])
}

fn kinds() -> impl Strategy<Value = RegionKind> {
    prop_oneof![
        Just(RegionKind::Hypervisor),
        Just(RegionKind::Payload(Payload::Kernel)),
        Just(RegionKind::Payload(Payload::Ramdisk)),
    ]
}

/// Ranges of bytes inside of the machine.
fn any_bytes(longest: u64) -> impl Strategy<Value = PhysRange> {
    let end = PAGES * PAGE_SIZE;
    let len = move |start: u64| 1..=(end - start).min(longest * PAGE_SIZE);
    (0..end - 1).prop_flat_map(move |start| len(start).prop_map(move |len| bytes(start, len)))
}

/// Ranges of pages inside of the machine.
fn any_pages(longest: u64) -> impl Strategy<Value = PhysRange> {
    (0..PAGES).prop_flat_map(move |start| (1..=(PAGES - start).min(longest)).prop_map(move |len| pages(start, len)))
}

/// Banks of memory: most often two with a hole between them, seldom ones that overlap.
fn banks() -> impl Strategy<Value = Vec<PhysRange>> {
    let edge = |pages: std::ops::Range<u64>| pages.start * PAGE_SIZE..pages.end * PAGE_SIZE;
    let two = (edge(0..4), edge(25..32), edge(32..36), edge(58..PAGES));
    prop_oneof![
        9 => two.prop_map(|(a, b, c, d)| vec![bytes(c, d - c), bytes(a, b - a)]),
        1 => prop::collection::vec(any_bytes(9), 2..4),
    ]
}

fn as_pair(range: &PhysRange) -> (u64, u64) {
    (range.start().get(), range.len())
}

proptest! {
    #[test]
    fn a_map_is_its_picture(
        memory in banks(),
        plain in prop::collection::vec(any_bytes(9), 0..4),
        no_map in prop::collection::vec(any_bytes(6), 0..3),
        carveouts in prop::collection::vec((any_pages(4), any::<bool>()), 0..3),
        blob in any_bytes(3),
        carves in prop::collection::vec((any_bytes(6), any_pages(6), kinds()), 0..20),
        wanted in prop::collection::vec((1..12 * PAGE_SIZE, 0..18_u32), 1..6),
    ) {
        // The picture first.
        let mut expected: Picture = vec![None; PAGES as usize];
        let mut overlap = false;
        for range in &memory {
            let inner = range.start().get().next_multiple_of(PAGE_SIZE)..range.end().get() / PAGE_SIZE * PAGE_SIZE;
            for page in inner.step_by(PAGE_SIZE as usize).map(|page| ((page - BASE) / PAGE_SIZE) as usize) {
                overlap |= expected[page].replace(RegionKind::Ram).is_some();
            }
        }
        for (ranges, no_map) in [(&plain, false), (&no_map, true)] {
            for page in ranges.iter().flat_map(|range| touched(*range)) {
                if let Some(kind) = &mut expected[page] {
                    let stricter = no_map || *kind == RegionKind::Reserved { no_map: true };
                    *kind = RegionKind::Reserved { no_map: stricter };
                }
            }
        }
        let mut conflict = overlap;
        for (range, hypervisors) in &carveouts {
            let under = &expected[touched(*range)];
            let (kind, allowed) = if *hypervisors {
                let kind = RegionKind::Hypervisor;
                (kind, under.iter().all(Option::is_none) || may_have(&expected, *range, kind))
            } else {
                (RegionKind::Firmware, !under.contains(&Some(RegionKind::Hypervisor)))
            };
            conflict |= !allowed;
            expected[touched(*range)].fill(Some(kind));
        }
        let tree_kind = RegionKind::Payload(Payload::Tree);
        conflict |= !may_have(&expected, blob, tree_kind);
        expected[touched(blob)].fill(Some(tree_kind));

        // Then the map.
        let memory: Vec<_> = memory.iter().map(as_pair).collect();
        let reserved = Tree::new("reserved-memory")
            .cells("#address-cells", &[2])
            .cells("#size-cells", &[2])
            .prop("ranges", &[])
            .child(Tree::new("r").ranges("reg", &no_map.iter().map(as_pair).collect::<Vec<_>>()).prop("no-map", &[]));
        let source = Tree::root().child(Tree::memory(&memory)).child(reserved);
        let source = source.blob_with(&plain.iter().map(as_pair).collect::<Vec<_>>());
        let tree = MachineTree::parse(source.bytes()).unwrap();
        let carveouts: Vec<_> = carveouts
            .iter()
            .map(|(range, hypervisors)| Carveout {
                name: "c",
                range: *range,
                kind: if *hypervisors { CarveoutKind::Hypervisor } else { CarveoutKind::Firmware },
            })
            .collect();
        let limit = [pages(0, PAGES)];
        let board = BoardMemory { ram: &limit, carveouts: &carveouts };
        let map = MemoryMap::new(&tree, &board, blob);
        prop_assert_eq!(map.is_err(), conflict, "{:?}", map);
        let Ok(mut map) = map else { return Ok(()) };
        check_form(&map);
        prop_assert_eq!(picture(&map), expected.clone());

        // What is carved, and what is refused.
        for (bytes, whole, kind) in carves {
            let range = if kind == RegionKind::Hypervisor { whole } else { bytes };
            let allowed = may_have(&expected, range, kind);
            let result = map.carve(range, kind);
            prop_assert_eq!(result.is_ok(), allowed, "{:?} for {:?}: {:?}", range, kind, result);
            if allowed {
                expected[touched(range)].fill(Some(kind));
            }
            check_form(&map);
            prop_assert_eq!(picture(&map), expected.clone());
            if kind == RegionKind::Hypervisor && bytes.page_cover() != Some(bytes) {
                let unaligned = matches!(map.carve(bytes, kind), Err(MapError::Unaligned { .. }));
                prop_assert!(unaligned);
            }
        }

        // What the host sees.
        let hosts: Vec<_> = map.host_memory().flat_map(touched).collect();
        let visible = |page: &usize| expected[*page].is_some_and(|kind| !matches!(kind, RegionKind::Hypervisor | RegionKind::Firmware));
        prop_assert_eq!(hosts, (0..PAGES as usize).filter(visible).collect::<Vec<_>>());
        let spans: Vec<_> = map.host_memory().collect();
        prop_assert!(spans.windows(2).all(|pair| pair[0].end() < pair[1].start()), "as long as they can be");

        // The lowest place.
        for (len, shift) in wanted {
            let align = 1_u64 << shift;
            let count = len.div_ceil(PAGE_SIZE) as usize;
            let fits = |page: &usize| {
                let free = expected.get(*page..page + count).is_some_and(|pages| pages.iter().all(|kind| *kind == Some(RegionKind::Ram)));
                free && (BASE + *page as u64 * PAGE_SIZE).is_multiple_of(align)
            };
            let lowest = (0..PAGES as usize).find(fits).map(|page| pages(page as u64, count as u64));
            prop_assert_eq!(map.find_free(len, align), lowest);
        }
    }
}
