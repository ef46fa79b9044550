//! Trees whose values make no sense, or that have too much: the error names the node and the property.

mod common;

use common::Tree;
use leasehold_memory_map::{Fault, MachineTree, RangeError, TreeError};

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

    let usable = Tree::memory(&[(0, 0x1000)]).ranges("linux,usable-memory", &[(0, 0x2000)]);
    assert_eq!(
        fault(usable),
        ("memory".into(), "linux,usable-memory", Fault::Unsupported)
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
    let short = bus().cells("ranges", &[0, 0, 0, 0, 0x1fff]);
    assert_eq!(fault(short).2, Fault::Untranslated(0x1000));
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
