//! Real trees cut short and corrupted, and random ones: never a panic, in bounded time, all the way to the host's tree.

mod common;

use common::exercise::exercise;
use common::{Blob, FIXTURES, assemble, fixture};
use proptest::prelude::*;

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

    /// As a fuzzer goes about it: pieces of a real tree taken out, repeated, overwritten, or put in from another.
    #[test]
    fn pieces_moved(
        which in 0..FIXTURES.len(),
        other in 0..FIXTURES.len(),
        steps in prop::collection::vec(
            (0..4_u8, any::<prop::sample::Index>(), any::<prop::sample::Index>(), 1..200_usize, any::<bool>()),
            1..8,
        ),
    ) {
        let mut bytes = fixture(FIXTURES[which]).bytes().to_vec();
        let other = fixture(FIXTURES[other]);
        for (kind, to, from, len, aligned) in steps {
            let round = |at: usize| if aligned { at & !3 } else { at };
            let (to, len) = (round(to.index(bytes.len())), round(len).max(1));
            let source = if kind == 2 { bytes.clone() } else { other.bytes().to_vec() };
            let from = round(from.index(source.len()));
            let piece = &source[from..(from + len).min(source.len())];
            let end = (to + len).min(bytes.len());
            match kind {
                0 => drop(bytes.drain(to..end)),
                1 => bytes[to..end].fill(piece[0]),
                _ => drop(bytes.splice(to..to, piece.iter().copied())),
            }
            if bytes.len() < 8 {
                break;
            }
            // Otherwise the header alone would be found out.
            let total = bytes.len() as u32;
            bytes[4..8].copy_from_slice(&total.to_be_bytes());
        }
        exercise(Blob::new(&bytes).bytes());
    }
}
