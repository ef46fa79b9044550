//! Blobs that are no trees: what is wrong, and where.

mod common;

use common::{Blob, Tree, assemble, fixture};
use leasehold_fdt::{Block, MAX_DEPTH, MAX_NAME, MAX_SIZE, Token};
use leasehold_memory_map::{Fdt, FdtError, MachineTree, TreeError};

fn blob_error(blob: &Blob) -> FdtError {
    match MachineTree::parse(blob.bytes()) {
        Err(TreeError::Blob(error)) => error,
        other => panic!("{other:?}"),
    }
}

/// A structure block of these words.
fn structure(words: &[u32]) -> Vec<u8> {
    words.iter().flat_map(|word| word.to_be_bytes()).collect()
}

fn set(blob: &mut Blob, offset: usize, word: u32) {
    blob.bytes_mut()[offset..offset + 4].copy_from_slice(&word.to_be_bytes());
}

#[test]
fn headers_that_lie() {
    let good = Tree::root().child(Tree::memory(&[(0, 0x1000)])).blob();
    let size = good.bytes().len();
    let with = |offset: usize, word: u32| {
        let mut blob = Blob::new(good.bytes());
        set(&mut blob, offset, word);
        blob_error(&blob)
    };
    assert_eq!(with(0, 0xd00d_feee), FdtError::Magic(0xd00d_feee));
    assert_eq!(with(4, 39), FdtError::Truncated { needed: 40, found: 39 });
    assert_eq!(
        with(4, size as u32 + 1),
        FdtError::Truncated {
            needed: size + 1,
            found: size
        }
    );
    assert_eq!(with(4, MAX_SIZE as u32 + 1), FdtError::TooLarge(MAX_SIZE + 1));
    assert_eq!(with(4, u32::MAX), FdtError::TooLarge(u32::MAX as usize));
    let old = FdtError::Version {
        version: 16,
        compatible: 16,
    };
    assert_eq!(with(20, 16), old);
    let new = FdtError::Version {
        version: 17,
        compatible: 18,
    };
    assert_eq!(with(24, 18), new);
    for offset in [0, 36, 41, 58, size as u32, u32::MAX - 3] {
        let error = with(8, offset);
        assert!(
            matches!(
                error,
                FdtError::Misplaced {
                    block: Block::Structure,
                    ..
                }
            ),
            "{offset}: {error:?}"
        );
    }
    for offset in [0, 39, size as u32, u32::MAX] {
        let error = with(12, offset);
        assert!(
            matches!(
                error,
                FdtError::Misplaced {
                    block: Block::Strings,
                    ..
                }
            ),
            "{offset}: {error:?}"
        );
    }
    for offset in [0, 32, 44, (size as u32).next_multiple_of(8) + 8, u32::MAX - 7] {
        let error = with(16, offset);
        assert!(
            matches!(
                error,
                FdtError::Misplaced {
                    block: Block::Reservations,
                    ..
                }
            ),
            "{offset}: {error:?}"
        );
    }
    for (offset, block) in [(32, Block::Strings), (36, Block::Structure)] {
        for words in [size as u32, u32::MAX] {
            let error = with(offset, words);
            assert!(
                matches!(error, FdtError::Misplaced { block: known, .. } if known == block),
                "{error:?}"
            );
        }
    }
    // Without its last bytes the structure has no end.
    assert!(matches!(
        with(36, 4),
        FdtError::Unfinished {
            block: Block::Structure,
            ..
        } | FdtError::NodeName { .. }
    ));
    // Half a doubleword off.
    let mut shifted = vec![0; size + 11];
    let start = shifted.as_ptr().align_offset(8) + 4;
    shifted[start..start + size].copy_from_slice(good.bytes());
    assert_eq!(Fdt::new(&shifted[start..start + size]).err(), Some(FdtError::Unaligned));
}

#[test]
fn reservations_without_an_end() {
    let mut blob = assemble(&[(1, 1)], &structure(&[1, 0, 2, 9]), &[]);
    // The pair of zeroes that ends the block, and all that could stand for one.
    for offset in (56..72).step_by(4) {
        set(&mut blob, offset, 0x0101_0101);
    }
    let error = blob_error(&blob);
    assert_eq!(
        error,
        FdtError::Unfinished {
            block: Block::Reservations,
            offset: 40
        }
    );
}

#[test]
fn structures_that_lie() {
    let error = |words: &[u32], strings: &[u8]| blob_error(&assemble(&[], &structure(words), strings));
    // 56 is where the structure starts.
    let unfinished = |offset| FdtError::Unfinished {
        block: Block::Structure,
        offset,
    };
    assert_eq!(error(&[], b""), unfinished(56));
    assert_eq!(error(&[9], b""), FdtError::Misordered { offset: 56 });
    assert_eq!(error(&[2, 9], b""), FdtError::Misordered { offset: 56 });
    assert_eq!(error(&[7, 9], b""), FdtError::Token { offset: 56, word: 7 });
    assert_eq!(error(&[1, 0, 9], b""), FdtError::Misordered { offset: 64 });
    assert_eq!(error(&[1, 0], b""), unfinished(64));
    assert_eq!(error(&[1, 0, 2], b""), unfinished(64));
    assert_eq!(error(&[1, 0, 2, 4], b""), unfinished(68));
    assert_eq!(error(&[1, 0, 2, 2, 9], b""), FdtError::Misordered { offset: 68 });
    assert_eq!(error(&[1, 0, 2, 1, 0, 2, 9], b""), FdtError::Misordered { offset: 68 });
    assert_eq!(error(&[1, 0x6100_0000, 2, 9], b""), FdtError::NodeName { offset: 56 });
    assert_eq!(error(&[1, 0, 1, 0, 2, 2, 9], b""), FdtError::NodeName { offset: 64 });
    assert_eq!(
        error(&[1, 0, 1, 0x612f_6200, 2, 2, 9], b""),
        FdtError::NodeName { offset: 64 }
    );
    assert_eq!(
        error(&[1, 0, 1, 0x61ff_6200, 2, 2, 9], b""),
        FdtError::NodeName { offset: 64 }
    );
    // A name that nothing ends.
    assert_eq!(
        error(&[1, 0, 1, 0x6161_6161, 0x6161_6161], b""),
        FdtError::NodeName { offset: 64 }
    );
    // Properties: outside, behind a child, too long, without a name.
    assert_eq!(
        error(&[3, 0, 0, 1, 0, 2, 9], b"a\0"),
        FdtError::Misordered { offset: 56 }
    );
    let behind = [1, 0, 1, 0x6100_0000, 2, 3, 0, 0, 2, 9];
    assert_eq!(error(&behind, b"a\0"), FdtError::Misordered { offset: 76 });
    for len in [13, 0x7fff_ffff, 0xffff_fff0, u32::MAX] {
        assert_eq!(error(&[1, 0, 3, len, 0, 2, 9, 0], b"a\0"), unfinished(64), "{len}");
    }
    for (name, strings) in [
        (2, &b"a\0"[..]),
        (0, b"a"),
        (1, b"a\0"),
        (u32::MAX, b"a\0"),
        (0, b"a b\0"),
        (0, b""),
    ] {
        assert_eq!(
            error(&[1, 0, 3, 0, name, 2, 9], strings),
            FdtError::PropertyName { offset: 64 }
        );
    }
    // Where there is no room for the property's name.
    assert_eq!(error(&[1, 0, 3, 0], b"a\0"), unfinished(72));
}

#[test]
fn the_structure_may_be_the_last_block() {
    // fdt-rs asserts, with debug assertions, that something follows a token.
    let mut blob = assemble(&[], &structure(&[1, 0, 4, 3, 4, 0, 5, 4, 2, 4, 9]), b"");
    let (strings, len) = (blob.bytes().len(), 4);
    let mut bytes = blob.bytes().to_vec();
    // The strings go between reservations and structure.
    bytes.splice(56..56, *b"abc\0");
    blob = Blob::new(&bytes);
    for (offset, word) in [(4, strings + len), (8, 60), (12, 56), (32, len)] {
        set(&mut blob, offset, word as u32);
    }
    let fdt = Fdt::new(blob.bytes()).unwrap();
    assert_eq!(fdt.token_count(), 3);
    let mut tokens = fdt.tokens();
    assert_eq!(tokens.next(), Ok(Some(Token::BeginNode(b""))));
    let property = tokens.next_property().unwrap().unwrap();
    assert_eq!((property.name, property.value), (&b"abc"[..], &[0, 0, 0, 5][..]));
    assert_eq!(tokens.next_property(), Ok(None));
    assert_eq!(tokens.next(), Ok(Some(Token::EndNode)));
    assert_eq!(tokens.next(), Ok(None));
    assert_eq!(tokens.next(), Ok(None));
}

#[test]
fn names_of_every_length() {
    for len in 1..=MAX_NAME + 3 {
        let name = "n".repeat(len);
        let blob = Tree::root().child(Tree::new(&name).prop("p", &[1])).blob();
        let fdt = Fdt::new(blob.bytes());
        if len > MAX_NAME {
            assert!(matches!(fdt.err(), Some(FdtError::NodeName { .. })), "{len}");
            continue;
        }
        let fdt = fdt.unwrap();
        let mut tokens = fdt.tokens();
        let mut found = false;
        while let Some(token) = tokens.next().unwrap() {
            found |= token == Token::BeginNode(name.as_bytes());
        }
        assert!(found, "{len}");
        let blob = Tree::root().prop(&name, &[1]).blob();
        assert!(Fdt::new(blob.bytes()).is_ok());
    }
    let blob = Tree::root().prop(&"n".repeat(MAX_NAME + 1), &[1]).blob();
    assert!(matches!(blob_error(&blob), FdtError::PropertyName { .. }));
}

#[test]
fn deep_trees() {
    let nested = |depth: usize| {
        let inner = (2..=depth).fold(Tree::new("n"), |tree, _| Tree::new("n").child(tree));
        Tree {
            name: String::new(),
            ..inner
        }
        .blob()
    };
    assert!(MachineTree::parse(nested(MAX_DEPTH).bytes()).is_ok());
    let error = blob_error(&nested(MAX_DEPTH + 1));
    assert!(matches!(error, FdtError::TooDeep { .. }), "{error:?}");
    let error = blob_error(&assemble(&[], &structure(&[1, 0x6100_0000].repeat(100_000)), b""));
    assert!(
        matches!(error, FdtError::NodeName { .. } | FdtError::TooDeep { .. }),
        "{error:?}"
    );
}

#[test]
fn large_trees_take_as_many_steps_as_they_have_tokens() {
    // As many tokens as two mebibytes hold, with the longest names there are.
    let mut words = vec![1, 0];
    let count = 150_000;
    for _ in 0..count {
        words.extend([3, 0, 0]);
    }
    words.extend([2, 9]);
    let strings = [b"n".repeat(MAX_NAME), vec![0]].concat();
    let blob = assemble(&[], &structure(&words), &strings);
    let fdt = Fdt::new(blob.bytes()).unwrap();
    assert_eq!(fdt.token_count(), count + 2);
    assert!(MachineTree::parse(blob.bytes()).is_ok());

    let nops = assemble(
        &[],
        &structure(&[&[1, 0][..], &vec![4; 500_000], &[2, 9]].concat()),
        b"",
    );
    assert_eq!(Fdt::new(nops.bytes()).unwrap().token_count(), 2);
}

#[test]
fn the_size_is_known_from_the_header() {
    let blob = fixture("u-boot.dtb");
    let size = blob.bytes().len();
    assert_eq!(Fdt::total_size(&blob.bytes()[..40]), Ok(size));
    assert_eq!(
        Fdt::total_size(&blob.bytes()[..39]),
        Err(FdtError::Truncated { needed: 40, found: 39 })
    );
    // What follows the tree is not the tree's.
    let mut longer = blob.bytes().to_vec();
    longer.extend([0xff; 99]);
    assert_eq!(Fdt::new(Blob::new(&longer).bytes()).unwrap().bytes().len(), size);
}
