//! Tables laid out by hand.

use super::*;
use std::collections::BTreeMap;

#[derive(Default)]
struct Pages(BTreeMap<u64, [u64; 512]>);

impl Pages {
    fn set(&mut self, at: u64, value: u64) {
        self.0.entry(at & !(PAGE - 1)).or_insert([0; 512])[(at % PAGE) as usize / 8] = value;
    }
}

impl Physical for Pages {
    fn page(&mut self, address: u64) -> std::io::Result<[u64; 512]> {
        self.0
            .get(&address)
            .copied()
            .ok_or_else(|| std::io::Error::other(format!("{address:#x}")))
    }
}

/// 40 bits from level 1 on: two tables side by side.
const VTCR: u64 = 1 << 6 | 24;

fn tables() -> Pages {
    let mut pages = Pages::default();
    pages.set(0x1000, 0x4000_0000 | 0x7fd);
    pages.set(0x1008, 0x3003);
    // 512 GiB, in the second of the root's tables.
    pages.set(0x2000, 0x8000_0001);
    pages.set(0x3010, 0x5000_0001);
    pages.set(0x3018, 0x4003);
    // Invalid, whatever else it says.
    pages.set(0x3020, 0x6000_0002);
    pages.set(0x4ff8, 0x0080_0000_1000_f7ff);
    pages
}

#[test]
fn blocks_and_pages_of_every_level_are_found() {
    let root = Root::of_cpu(0x0002_0000_0000_1000, VTCR).unwrap();
    assert_eq!(
        root,
        Root {
            table: 0x1000,
            level: 1,
            bits: 40
        }
    );
    let map = Map::walk(&mut tables(), root).unwrap();
    let seen: Vec<_> = map
        .leaves
        .iter()
        .map(|leaf| (leaf.input, leaf.output, leaf.length, leaf.entry))
        .collect();
    let expected = [
        (0x407f_f000, 0x1000_f000, 0x1000, 0x4ff8),
        (0, 0x4000_0000, 1 << 30, 0x1000),
        (0x4040_0000, 0x5000_0000, 2 << 20, 0x3010),
        (512 << 30, 0x8000_0000, 1 << 30, 0x2000),
    ];
    assert_eq!(seen, expected);
    assert_eq!(
        map.tables.iter().copied().collect::<Vec<_>>(),
        [0x1000, 0x2000, 0x3000, 0x4000]
    );
    assert_eq!(map.reaches(0x1001_0000, 0x4000_0000), None);
    assert_eq!(
        map.reaches(0x1000_ffff, 0x1001_0000).map(|leaf| leaf.entry),
        Some(0x4ff8)
    );
    assert_eq!(map.ranges, [(0x1000_f000, 0x1001_0000), (0x4000_0000, 0xc000_0000)]);
}

#[test]
fn what_is_reserved_is_told() {
    let root = Root::of_cpu(0x1000, VTCR).unwrap();
    let mut pages = tables();
    pages.set(0x4000, 0x1000_0001);
    let error = Map::walk(&mut pages, root).unwrap_err();
    assert!(
        matches!(
            error,
            WalkError::Entry {
                at: 0x4000,
                level: 3,
                ..
            }
        ),
        "{error}"
    );
    let mut pages = tables();
    pages.set(0x1008, 0x9003);
    assert!(matches!(Map::walk(&mut pages, root), Err(WalkError::Memory(_))));
    assert!(Root::of_cpu(0, VTCR | 1 << 14).is_err());
    assert!(Root::of_cpu(0, 24 | 3 << 6).is_err());
}

#[test]
fn two_maps_share_what_both_reach() {
    let leaf = |output, length| Leaf {
        output,
        length,
        input: 0,
        entry: 0,
    };
    let map = |leaves: &[Leaf]| {
        let leaves = leaves.to_vec();
        Map {
            leaves,
            ..Map::default()
        }
        .sorted()
    };
    let host = map(&[leaf(0x20_0000, 0x20_0000), leaf(0x60_0000, 0x1000)]);
    assert_eq!(
        host.shares(&map(&[leaf(0x3f_f000, 0x1000)])),
        Some(leaf(0x20_0000, 0x20_0000))
    );
    assert_eq!(
        host.shares(&map(&[leaf(0x40_0000, 0x20_0000), leaf(0x60_1000, 0x1000)])),
        None
    );
}

#[test]
fn streams_of_a_table_of_two_levels() {
    let mut pages = Pages::default();
    // 8 streams, the lower two bits choose the entry; the second descriptor has none.
    let config = 1 << 16 | 2 << 6 | 3;
    pages.set(0x1000, 0x2000 | 3);
    let settings = 24 | 1 << 6 | 1 << 19;
    let stream = |pages: &mut Pages, number: u64, config: u64| {
        pages.set(0x2000 + 64 * number, config << 1 | 1);
        pages.set(0x2010 + 64 * number, settings << 32);
        pages.set(0x2018 + 64 * number, 0x5000);
    };
    stream(&mut pages, 0, 0b110);
    stream(&mut pages, 1, 0b000);
    let mut streams = Streams::walk(&mut pages, 0x1000, config).unwrap();
    assert_eq!(
        streams.roots.pop_first(),
        Some(Root {
            table: 0x5000,
            level: 1,
            bits: 40
        })
    );
    assert_eq!((streams.translated, streams.refused, streams.loose.len()), (1, 7, 0));
    for (number, config) in [(2, 0b100), (3, 0b111)] {
        stream(&mut pages, number, config);
    }
    assert_eq!(Streams::walk(&mut pages, 0x1000, config).unwrap().loose, [2, 3]);
}
