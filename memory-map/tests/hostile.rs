//! Blobs that are no trees, or trees that lie: an error, never a panic, in bounded time.

mod common;

use common::{Blob, FIXTURES, Tree, assemble, fixture};
use leasehold_fdt::{Block, MAX_DEPTH, MAX_NAME, MAX_SIZE, Token};
use leasehold_memory_map::{
    BoardMemory, Fault, Fdt, FdtError, HostTree, Kept, MachineTree, MemoryMap, Node, PhysAddr, PhysRange, Prop,
    RangeError, RegionKind, TreeError, Value,
};
use proptest::prelude::*;

const ALL: PhysRange = PhysRange::constant(PhysAddr::new(0), (1 << 52) - 1);

/// Does all that the hypervisor does with a tree. How far it comes is of no matter; that it comes back is.
fn exercise(bytes: &[u8]) -> Option<()> {
    let machine = MachineTree::parse(bytes).ok()?;
    let fdt = machine.fdt();
    assert!(fdt.token_count() * 4 <= fdt.bytes().len());
    let _ = machine.stdout();
    let board = BoardMemory {
        ram: &[ALL],
        carveouts: &[],
    };
    let start = machine.memory().first()?.start();
    let blob = PhysRange::new(start, fdt.bytes().len() as u64).ok()?;
    let mut map = MemoryMap::new(&machine, &board, blob).ok()?;
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
fn every_byte_corrupted_of_virt_with_gicv2() {
    corrupt("virt-gicv2.dtb", &[0x01]);
}

#[test]
fn every_byte_corrupted_of_virt_with_gicv3() {
    corrupt("virt-gicv3.dtb", &[0xff]);
}

#[test]
fn every_byte_corrupted_of_a_small_tree() {
    corrupt("u-boot.dtb", &[0x01, 0x80, 0xff]);
    corrupt("small-soc.dtb", &[0x01, 0x80, 0xff]);
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
    let mut shifted = vec![0; size + 8];
    let start = shifted.as_ptr().align_offset(8) + 4;
    shifted.resize(size + start, 0);
    let start = shifted.as_ptr().align_offset(8) + 4;
    shifted.resize(size + start, 0);
    if shifted.as_ptr().align_offset(8) + 4 == start {
        shifted[start..].copy_from_slice(good.bytes());
        assert_eq!(Fdt::new(&shifted[start..]).err(), Some(FdtError::Unaligned));
    }
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
fn too_many_of_a_kind() {
    let cases: [(&str, Tree); 9] = [
        ("memory ranges", Tree::memory(&[(0x1000, 0x1000); 33])),
        (
            "reserved ranges",
            Tree::new("reserved-memory")
                .cells("#address-cells", &[2])
                .cells("#size-cells", &[2])
                .prop("ranges", &[])
                .child(Tree::new("r").ranges("reg", &[(0, 1); 97])),
        ),
        (
            "reservations without a place",
            (0..17).fold(Tree::new("reserved-memory"), |tree, n| {
                tree.child(Tree::new(&format!("r{n}")).cells("size", &[1]))
            }),
        ),
        (
            "CPUs",
            (0..65).fold(
                Tree::new("cpus")
                    .cells("#address-cells", &[1])
                    .cells("#size-cells", &[0]),
                |tree, n| {
                    tree.child(
                        Tree::new(&format!("cpu@{n}"))
                            .text("device_type", "cpu")
                            .cells("reg", &[n]),
                    )
                },
            ),
        ),
        (
            "modules",
            (0..9).fold(Tree::new("chosen"), |tree, n| {
                tree.child(
                    Tree::new(&format!("m{n}"))
                        .text("compatible", "multiboot,module")
                        .cells("reg", &[1, 1]),
                )
            }),
        ),
        (
            "multiboot,kernel",
            (0..2).fold(Tree::new("chosen"), |tree, n| {
                let module = Tree::new(&format!("m{n}")).prop("compatible", b"multiboot,module\0multiboot,kernel\0");
                tree.child(module.cells("reg", &[1, 1]))
            }),
        ),
        (
            "ranges of the GIC",
            Tree::new("gic")
                .text("compatible", "arm,gic-v3")
                .ranges("reg", &[(0, 1); 9]),
        ),
        (
            "PSCI nodes",
            Tree::new("firmware")
                .child(Tree::new("a").text("compatible", "arm,psci").text("method", "smc"))
                .child(Tree::new("b").text("compatible", "arm,psci-0.2").text("method", "hvc")),
        ),
        (
            "SMMUs",
            (0..5).fold(
                Tree::new("bus").cells("#size-cells", &[2]).prop("ranges", &[]),
                |tree, n| {
                    tree.child(
                        Tree::new(&format!("s{n}"))
                            .text("compatible", "arm,smmu-v3")
                            .ranges("reg", &[(n, 1)]),
                    )
                },
            ),
        ),
    ];
    for (kind, node) in cases {
        match MachineTree::parse(Tree::root().child(node).blob().bytes()) {
            Err(TreeError::TooMany { what, .. }) => assert_eq!(what, kind),
            other => panic!("{kind}: {other:?}"),
        }
    }
    let many = vec![(0x1000, 0x1000); 17];
    let error = MachineTree::parse(Tree::root().blob_with(&many).bytes()).err();
    assert!(
        matches!(
            error,
            Some(TreeError::TooMany {
                what: "memory reservations",
                limit: 16,
                ..
            })
        ),
        "{error:?}"
    );
    let twice = Tree::root().child(Tree::new("chosen")).child(Tree::new("chosen"));
    let error = MachineTree::parse(twice.blob().bytes()).err();
    assert!(
        matches!(
            error,
            Some(TreeError::TooMany {
                what: "/chosen",
                limit: 1,
                ..
            })
        ),
        "{error:?}"
    );
}

#[test]
fn values_that_lie_are_named() {
    let fault = |node: Tree| match MachineTree::parse(Tree::root().child(node).blob().bytes()) {
        Err(TreeError::Property { node, property, fault }) => (node.as_str().to_owned(), property, fault),
        other => panic!("{other:?}"),
    };
    let range = |start, len| Fault::Range {
        start,
        len,
        error: RangeError::Wraps,
    };
    let memory = |reg| fault(Tree::memory(&[reg]));
    for (start, len) in [
        (u64::MAX, 1),
        (u64::MAX, u64::MAX),
        (0, u64::MAX),
        (1 << 52, 1),
        ((1 << 52) - 1, 1),
        (0, 1 << 52),
        (1 << 63, 1 << 63),
    ] {
        assert_eq!(memory((start, len)), ("memory".into(), "reg", range(start, len)));
    }
    let cells = |address: u32, size: u32| {
        Tree::new("")
            .cells("#address-cells", &[address])
            .cells("#size-cells", &[size])
    };
    for (address, size) in [(0, 1), (3, 2), (2, 3), (u32::MAX, 1), (1, u32::MAX)] {
        let error = MachineTree::parse(cells(address, size).child(Tree::memory(&[(0, 1)])).blob().bytes()).err();
        let expected = Fault::Cells { address, size };
        assert!(
            matches!(error, Some(TreeError::Property { fault, .. }) if fault == expected),
            "{error:?}"
        );
    }
    assert_eq!(fault(Tree::memory(&[]).prop("reg", &[])).2, Fault::Twice);
    assert_eq!(
        fault(Tree::new("memory").text("device_type", "memory")).2,
        Fault::Missing
    );
    assert_eq!(
        fault(Tree::new("memory").text("device_type", "memory").prop("reg", &[0; 17])).2,
        Fault::Length(17)
    );

    let chosen = |tree: Tree| {
        fault(Tree {
            name: "chosen".into(),
            ..tree
        })
    };
    let none = Tree::default;
    assert_eq!(chosen(none().prop("bootargs", b"no end")).2, Fault::Text);
    assert_eq!(chosen(none().prop("bootargs", b"\xff\0")).2, Fault::Text);
    assert_eq!(chosen(none().prop("stdout-path", b"")).1, "stdout-path");
    let initrd = |start: u64, end: u64| {
        let tree = none().prop("linux,initrd-start", &start.to_be_bytes());
        chosen(tree.prop("linux,initrd-end", &end.to_be_bytes()))
    };
    assert_eq!(initrd(2, 1), ("chosen".into(), "linux,initrd-end", Fault::Number(1)));
    assert_eq!(initrd(1 << 52, u64::MAX).1, "linux,initrd-start");
    assert_eq!(
        chosen(none().cells("linux,initrd-start", &[1])),
        ("chosen".into(), "linux,initrd-end", Fault::Missing)
    );
    assert_eq!(chosen(none().cells("linux,initrd-end", &[1])).1, "linux,initrd-start");
    assert_eq!(chosen(none().prop("linux,initrd-end", &[1])).2, Fault::Length(1));

    let cpus = |tree: Tree| {
        fault(
            Tree::new("cpus")
                .cells("#address-cells", &[2])
                .cells("#size-cells", &[0])
                .child(tree),
        )
    };
    let cpu = || Tree::new("cpu@0").text("device_type", "cpu");
    assert_eq!(cpus(cpu()), ("cpu@0".into(), "reg", Fault::Missing));
    assert_eq!(cpus(cpu().cells("reg", &[0, 0x100_0000])).2, Fault::Number(0x100_0000));
    assert_eq!(cpus(cpu().cells("reg", &[0x100, 0])).2, Fault::Number(0x100_0000_0000));
    assert_eq!(cpus(cpu().cells("reg", &[0])).2, Fault::Length(4));
    let spinning = cpu()
        .cells("reg", &[0, 0])
        .text("enable-method", "spin-table")
        .prop("cpu-release-addr", &[1]);
    assert_eq!(cpus(spinning), ("cpu@0".into(), "cpu-release-addr", Fault::Length(1)));

    let psci = |tree: Tree| fault(tree.text("compatible", "arm,psci-1.0"));
    assert_eq!(psci(Tree::new("psci")), ("psci".into(), "method", Fault::Missing));
    assert_eq!(psci(Tree::new("psci").text("method", "svc")).2, Fault::Text);
    let gic = Tree::new("gic")
        .text("compatible", "arm,gic-v3")
        .ranges("reg", &[(0, 1), (2, 1)]);
    assert_eq!(
        fault(gic.cells("#redistributor-regions", &[u32::MAX])),
        ("gic".into(), "reg", Fault::Length(32))
    );
    // A bus that translates nothing, and one that translates elsewhere.
    let smmu = || {
        Tree::new("smmu")
            .text("compatible", "arm,smmu-v3")
            .cells("reg", &[0, 0x1000, 0x1000])
    };
    let bus = || Tree::new("bus").child(smmu());
    assert_eq!(fault(bus()).2, Fault::Untranslated(0x1000));
    let elsewhere = bus().cells("ranges", &[0, 0x2000, 0, 0, 0x1000]);
    assert_eq!(fault(elsewhere).2, Fault::Untranslated(0x1000));
    let wraps = bus().cells("ranges", &[0, 0, u32::MAX, u32::MAX, 0xffff_ffff]);
    assert_eq!(fault(wraps).2, Fault::Untranslated(0x1000));
}

#[test]
fn a_reservation_that_wraps() {
    let blob = Tree::root().blob_with(&[(0x1000, 0x1000), (u64::MAX, 2)]);
    let error = MachineTree::parse(blob.bytes()).err();
    assert!(
        matches!(error, Some(TreeError::Reservation { index: 1, .. })),
        "{error:?}"
    );
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
