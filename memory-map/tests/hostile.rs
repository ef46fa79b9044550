//! Real trees cut short and corrupted, and random ones: never a panic, in bounded time, all the way to the host's tree.

mod common;

use common::{BOARD, Blob, FIXTURES, assemble, fixture};
use leasehold_memory_map::{
    HostTree, Kept, MachineTree, MemoryMap, Node, PhysAddr, PhysRange, Prop, RegionKind, Value,
};
use proptest::prelude::*;

/// Does all that the hypervisor does with a tree. How far it comes is of no matter; that it comes back is.
fn exercise(bytes: &[u8]) -> Option<()> {
    let machine = MachineTree::parse(bytes).ok()?;
    let fdt = machine.fdt();
    assert!(fdt.token_count() * 4 <= fdt.bytes().len());
    let _ = machine.stdout();
    let start = machine.memory().first()?.start();
    let blob = PhysRange::new(start, fdt.bytes().len() as u64).ok()?;
    let mut map = MemoryMap::new(&machine, &BOARD, blob).ok()?;
    let own = map.find_free(0x20_0000, 0x20_0000)?;
    map.carve(own, RegionKind::Hypervisor).unwrap();
    let ordered = |pair: &[leasehold_memory_map::Region]| pair[0].range.end() <= pair[1].range.start();
    assert!(map.regions().windows(2).all(ordered));
    let host = HostTree {
        map: &map,
        kept: &[
            Kept::Compatible("arm,smmu-v3"),
            Kept::Reg(PhysAddr::new(0x0904_0000)),
            Kept::Path("/intc@8000000/its@8080000"),
        ],
        bootargs: "console=ttyAMA0",
        ramdisk: Some(own),
        extra: &[Node {
            name: "hypervisor",
            props: &[Prop::new("compatible", Value::Text("leasehold,hypervisor"))],
            children: &[],
        }],
    };
    let mut out = Blob::new(&vec![0; bytes.len() + 1024]);
    let len = host.write(&machine, out.bytes_mut()).ok()?;
    let again = MachineTree::parse(&out.bytes()[..len]).expect("what is written can be read");
    assert!(again.memory().iter().all(|range| !range.overlaps(&own)));
    Some(())
}

/// A structure block of these words.
fn structure(words: &[u32]) -> Vec<u8> {
    words.iter().flat_map(|word| word.to_be_bytes()).collect()
}

fn set(blob: &mut Blob, offset: usize, word: u32) {
    blob.bytes_mut()[offset..offset + 4].copy_from_slice(&word.to_be_bytes());
}

#[test]
fn whole_trees_go_all_the_way() {
    for name in FIXTURES {
        assert_eq!(exercise(fixture(name).bytes()), Some(()), "{name}");
    }
}

#[test]
fn every_truncation() {
    for name in FIXTURES {
        let whole = fixture(name);
        for len in 0..whole.bytes().len() {
            let mut cut = Blob::new(&whole.bytes()[..len]);
            assert_eq!(exercise(cut.bytes()), None, "{name} cut to {len}");
            // The same with a header that owns up to it.
            if len >= 8 {
                set(&mut cut, 4, len as u32);
                assert_eq!(exercise(cut.bytes()), None, "{name} cut to {len}");
            }
        }
    }
}

/// Each byte of a tree changed by each of `flips`.
fn corrupt(name: &str, flips: &[u8]) {
    let mut blob = fixture(name);
    for at in 0..blob.bytes().len() {
        let good = blob.bytes()[at];
        for flip in flips {
            blob.bytes_mut()[at] = good ^ flip;
            exercise(blob.bytes());
        }
        blob.bytes_mut()[at] = good;
    }
    assert_eq!(exercise(blob.bytes()), Some(()), "put together again");
}

#[test]
fn every_byte_corrupted_of_virt() {
    corrupt("virt-gicv3.dtb", &[0xff]);
}

#[test]
fn every_byte_corrupted_of_a_small_tree() {
    corrupt("u-boot.dtb", &[0x01, 0x80, 0xff]);
    corrupt("small-soc.dtb", &[0x01, 0x80, 0xff]);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(if cfg!(debug_assertions) { 400 } else { 4000 }))]

    /// Several words of a real tree replaced by ones that mean something.
    #[test]
    fn words_replaced(
        which in 0..FIXTURES.len(),
        changes in prop::collection::vec(
            (
                any::<prop::sample::Index>(),
                prop_oneof![0..10_u32, Just(u32::MAX), Just(0x7fff_ffff), Just(0xffff_fff0), Just(0xd00d_feed), any::<u32>()],
            ),
            1..6,
        ),
    ) {
        let mut blob = fixture(FIXTURES[which]);
        for (index, word) in changes {
            let at = index.index(blob.bytes().len() / 4) * 4;
            set(&mut blob, at, word);
        }
        exercise(blob.bytes());
    }

    /// Any tokens in any order.
    #[test]
    fn random_structures(
        words in prop::collection::vec(prop_oneof![5 => 0..10_u32, 1 => Just(0x6100_0000), 1 => any::<u32>()], 0..60),
        strings in prop::collection::vec(any::<u8>(), 0..20),
    ) {
        exercise(assemble(&[], &structure(&words), &strings).bytes());
    }
}
