//! The host's tree, taken apart by a reader of the tests' own.

mod common;

use common::{ALL, BOARD, Blob, FIXTURES, Tree, dtc_warnings, fixture, host, map_of, range, read, write_host};
use leasehold_memory_map::{
    BoardMemory, Carveout, CarveoutKind, HostTree, Kept, MachineTree, MemoryMap, Node, PhysAddr, Prop, RegionKind,
    Value, WriteError,
};

/// What the board file for `virt` will ask for.
const KEPT: [Kept<'_>; 3] = [
    Kept::Compatible("arm,smmu-v3"),
    Kept::Reg(PhysAddr::new(0x0904_0000)),
    Kept::Path("/intc@8000000/its@8080000"),
];
const HYPERVISOR: Node<'_> = Node {
    name: "hypervisor",
    props: &[Prop::new("compatible", Value::Text("leasehold,hypervisor"))],
    children: &[],
};

/// Every node and property below `tree`, as `PATH:NAME` and the value.
fn flatten(tree: &Tree, path: &str, out: &mut Vec<(String, Vec<u8>)>) {
    out.push((format!("{path}:"), Vec::new()));
    let props = tree.props.iter();
    out.extend(props.map(|(name, value)| (format!("{path}:{name}"), value.clone())));
    for child in &tree.children {
        flatten(child, &format!("{path}/{}", child.name), out);
    }
}

/// What of `these` is not among `those`, sorted.
fn difference(these: &[(String, Vec<u8>)], those: &[(String, Vec<u8>)]) -> Vec<String> {
    let mut lines: Vec<String> = these
        .iter()
        .filter(|item| !those.contains(item))
        .map(|(line, _)| line.clone())
        .collect();
    lines.sort();
    lines
}

#[test]
fn a_tree_with_nothing_to_change_comes_out_as_it_went_in() {
    // Without memory, GIC, modules and command line there is nothing that the host must not see.
    let tree = Tree::root()
        .prop("odd", &[1, 2, 3, 4, 5])
        .child(
            Tree::new("memory@0")
                .text("device_type", "memory")
                .ranges("reg", &[(0, 0x100_0000)]),
        )
        .child(
            Tree::new("chosen")
                .prop("rng-seed", &[9; 32])
                .prop("kaslr-seed", &[8; 8]),
        )
        .child(
            Tree::new("a")
                .prop("empty", &[])
                .child(Tree::new("b").child(Tree::new("c").text("x", "y"))),
        )
        .child(Tree::new("a-name-that-fdt-rs-does-not-take@123456789abcdef"));
    let reservations = [(0x1000, 0x2000), (0x8000, 0x1000)];
    let blob = tree.blob_with(&reservations);
    let machine = MachineTree::parse(blob.bytes()).unwrap();
    let map = MemoryMap::new(&machine, &BOARD, range(0x1000, 0x1000)).unwrap();
    let out = write_host(&host(&map, &[], &[]), &machine).unwrap();
    assert_eq!(read(out.bytes()), (reservations.to_vec(), tree));
}

#[test]
fn qemu_with_gicv3_loses_what_el2_keeps() {
    let blob = fixture("virt-gicv3.dtb");
    let machine = MachineTree::parse(blob.bytes()).unwrap();
    let own = range(0x4020_0000, 0x80_0000);
    let map = map_of(&machine, &[own]);
    let tree = HostTree {
        map: &map,
        kept: &KEPT,
        bootargs: "console=ttyAMA0 panic=-1",
        ramdisk: Some(range(0x4800_0000, 5000)),
        extra: &[HYPERVISOR],
    };
    let out = write_host(&tree, &machine).unwrap();
    let (_, before) = read(blob.bytes());
    let (_, after) = read(out.bytes());

    let (mut old, mut new) = (Vec::new(), Vec::new());
    flatten(&before, "", &mut old);
    flatten(&after, "", &mut new);
    let whole = |line: &str| {
        let nodes = [
            "/smmuv3@9050000",
            "/pl011@9040000",
            "/intc@8000000/its@8080000",
            "/chosen/module@0x4",
        ];
        nodes.iter().any(|node| line.starts_with(node))
    };
    let mut gone: Vec<String> = old
        .iter()
        .map(|(line, _)| line.clone())
        .filter(|line| whole(line))
        .collect();
    assert_eq!(gone.len(), 8 + 6 + 6 + 7);
    gone.extend(
        [
            "/aliases:serial1",
            "/memory@40000000:reg",
            "/pcie@10000000:iommu-map",
            "/pcie@10000000:msi-map",
        ]
        .map(String::from),
    );
    gone.sort();
    assert_eq!(difference(&old, &new), gone);
    assert_eq!(
        difference(&new, &old),
        [
            "/chosen:bootargs",
            "/chosen:linux,initrd-end",
            "/chosen:linux,initrd-start",
            "/hypervisor:",
            "/hypervisor:compatible",
            "/memory@40000000:reg",
        ]
    );
    let chosen = after.at("/chosen").unwrap();
    assert_eq!(chosen.get("bootargs").unwrap(), b"console=ttyAMA0 panic=-1\0");
    assert_eq!(chosen.words("linux,initrd-start").unwrap(), [0, 0x4800_0000]);
    assert_eq!(chosen.words("linux,initrd-end").unwrap(), [0, 0x4800_1388]);
    assert_eq!(
        after.at("/memory@40000000").unwrap().words("reg").unwrap(),
        [0, 0x4000_0000, 0, 0x20_0000, 0, 0x40a0_0000, 0, 0x3f60_0000]
    );
    assert_eq!(
        after.at("/hypervisor").unwrap().get("compatible").unwrap(),
        b"leasehold,hypervisor\0"
    );

    // What was written is read again, and is what the hypervisor meant.
    let again = MachineTree::parse(out.bytes()).unwrap();
    assert_eq!(
        again.memory(),
        [range(0x4000_0000, 0x20_0000), range(0x40a0_0000, 0x3f60_0000)]
    );
    assert!(again.smmus().is_empty() && again.chosen().unwrap().modules().is_empty());
    assert_eq!(again.chosen().unwrap().initrd, Some(range(0x4800_0000, 5000)));
    assert_eq!(again.stdout().unwrap().unwrap().path, "/pl011@9000000");
    assert_eq!(again.gic(), machine.gic());
}

#[test]
fn qemu_with_gicv2_loses_the_frames_for_virtualisation() {
    let blob = fixture("virt-gicv2.dtb");
    let machine = MachineTree::parse(blob.bytes()).unwrap();
    let map = map_of(&machine, &[]);
    let out = write_host(&host(&map, &KEPT, &[]), &machine).unwrap();
    let (_, after) = read(out.bytes());
    let gic = after.at("/intc@8000000").unwrap();
    assert_eq!(
        gic.words("reg").unwrap(),
        [0, 0x0800_0000, 0, 0x1_0000, 0, 0x0801_0000, 0, 0x1_0000]
    );
    assert!(gic.at("/v2m@8020000").is_some());
    // v2m is not an ITS: the host keeps its MSIs.
    assert!(after.at("/pcie@10000000").unwrap().get("msi-map").is_some());
    assert!(after.at("/pcie@10000000").unwrap().get("iommu-map").is_none());
}

#[test]
fn memory_nodes_follow_the_map() {
    let blob = fixture("u-boot.dtb");
    let machine = MachineTree::parse(blob.bytes()).unwrap();
    // All of the second node, the start of the first, the middle of its second bank.
    let own = [
        range(0x20_0000_0000, 0x8000_0000),
        range(0x8004_0000, 0x1_0000),
        range(0x8_c000_0000, 0x20_0000),
    ];
    let map = map_of(&machine, &own);
    let (reservations, after) = read(write_host(&host(&map, &[], &[]), &machine).unwrap().bytes());
    assert_eq!(
        after.at("/memory").unwrap().words("reg").unwrap(),
        [
            [0, 0x8000_0000, 0, 0x4_0000],
            [0, 0x8005_0000, 0, 0x3ffb_0000],
            [8, 0x8000_0000, 0, 0x4000_0000],
            [8, 0xc020_0000, 0, 0xbfe0_0000],
        ]
        .concat()
    );
    assert!(after.children.iter().all(|node| !node.name.starts_with("memory@")));
    assert_eq!(reservations, [(0x8000_0000, 0x1_0000), (0x8fe0_0000, 0x6000)]);
    let chosen = after.at("/chosen").unwrap();
    for gone in ["bootargs", "linux,initrd-start", "linux,initrd-end"] {
        assert!(chosen.get(gone).is_none(), "{gone} of the boot loader");
    }
    assert!(chosen.get("u-boot,version").is_some());
}

#[test]
fn a_reservation_for_the_hypervisor_goes_and_memory_is_renamed() {
    let blob = Tree::new("")
        .cells("#address-cells", &[1])
        .cells("#size-cells", &[1])
        .child(
            Tree::new("memory@0")
                .text("device_type", "memory")
                .cells("reg", &[0, 0x100_0000]),
        )
        .blob_with(&[(0, 0x20_0000), (0x30_0000, 0x1000)]);
    let machine = MachineTree::parse(blob.bytes()).unwrap();
    let mut map = MemoryMap::new(&machine, &BOARD, range(0x30_0000, 0x1000)).unwrap();
    map.carve(range(0, 0x20_0000), RegionKind::Hypervisor).unwrap();
    let (reservations, after) = read(write_host(&host(&map, &[], &[]), &machine).unwrap().bytes());
    assert_eq!(reservations, [(0x30_0000, 0x1000)]);
    assert_eq!(
        after.at("/memory@200000").unwrap().words("reg").unwrap(),
        [0x20_0000, 0xe0_0000]
    );
}

#[test]
fn the_boards_firmware_is_not_the_hosts() {
    let blob = Tree::root().child(Tree::memory(&[(0, 0x100_0000)])).blob();
    let machine = MachineTree::parse(blob.bytes()).unwrap();
    let board = BoardMemory {
        ram: &[ALL],
        carveouts: &[Carveout {
            name: "secure",
            range: range(0x80_0000, 0x1000),
            kind: CarveoutKind::Firmware,
        }],
    };
    let map = MemoryMap::new(&machine, &board, range(0x1000, 0x1000)).unwrap();
    let (_, after) = read(write_host(&host(&map, &[], &[]), &machine).unwrap().bytes());
    assert_eq!(
        after.at("/memory").unwrap().words("reg").unwrap(),
        [0, 0, 0, 0x80_0000, 0, 0x80_1000, 0, 0x7f_f000]
    );
}

#[test]
fn extra_nodes_are_laid_over_those_that_are_there() {
    let sdei = Node {
        name: "sdei",
        props: &[
            Prop::new("compatible", Value::Text("arm,sdei-1.0")),
            Prop::new("method", Value::Text("smc")),
        ],
        children: &[],
    };
    let firmware = Node {
        name: "firmware",
        props: &[
            Prop::new("ranges", Value::Absent),
            Prop::new("new", Value::Cells(&[1, 2])),
        ],
        children: &[sdei],
    };
    let expected = |tree: &Tree| {
        let node = tree.at("/firmware/sdei").unwrap();
        assert_eq!(node.get("method").unwrap(), b"smc\0");
        assert_eq!(tree.at("/firmware").unwrap().words("new").unwrap(), [1, 2]);
        assert!(tree.at("/firmware").unwrap().get("ranges").is_none());
        tree.at("/firmware").unwrap().children.len()
    };
    let base = || Tree::root().child(Tree::memory(&[(0, 0x100_0000)]));
    let write_over = |tree: Tree| {
        let blob = tree.blob();
        let machine = MachineTree::parse(blob.bytes()).unwrap();
        let map = MemoryMap::new(&machine, &BOARD, range(0x1000, 0x1000)).unwrap();
        read(write_host(&host(&map, &[], &[firmware]), &machine).unwrap().bytes()).1
    };
    assert_eq!(expected(&write_over(base())), 1);
    let scm = Tree::new("firmware")
        .prop("ranges", &[])
        .child(Tree::new("scm").text("compatible", "qcom,scm"));
    assert_eq!(expected(&write_over(base().child(scm))), 2);
    let old = Tree::new("firmware").child(Tree::new("sdei").text("method", "hvc").text("status", "okay"));
    let after = write_over(base().child(old));
    assert_eq!(expected(&after), 1);
    assert!(after.at("/firmware/sdei").unwrap().get("status").is_some());
}

#[test]
fn a_node_that_is_kept_can_be_given_anew_in_its_place() {
    let theirs = Tree::new("sdei")
        .text("compatible", "arm,sdei-1.0")
        .text("status", "disabled");
    let firmware = Tree::new("firmware").child(Tree::new("optee")).child(theirs);
    let blob = Tree::root()
        .child(Tree::memory(&[(0, 0x100_0000)]))
        .child(firmware)
        .blob();
    let machine = MachineTree::parse(blob.bytes()).unwrap();
    let map = MemoryMap::new(&machine, &BOARD, range(0x1000, 0x1000)).unwrap();
    let sdei = Node {
        name: "sdei",
        props: &[
            Prop::new("compatible", Value::Text("arm,sdei-1.0")),
            Prop::new("method", Value::Text("hvc")),
        ],
        children: &[],
    };
    let firmware = Node {
        name: "firmware",
        props: &[],
        children: &[sdei],
    };
    let kept = [Kept::Compatible("arm,sdei-1.0")];
    let tree = read(write_host(&host(&map, &kept, &[firmware]), &machine).unwrap().bytes()).1;
    let anew = Tree::new("sdei")
        .text("compatible", "arm,sdei-1.0")
        .text("method", "hvc");
    assert_eq!(tree.at("/firmware").unwrap().children.len(), 2);
    assert_eq!(tree.at("/firmware/sdei"), Some(&anew));
    assert!(tree.at("/firmware/optee").is_some());
}

#[test]
fn names_that_are_none_are_refused() {
    let blob = fixture("virt-gicv3.dtb");
    let machine = MachineTree::parse(blob.bytes()).unwrap();
    let map = map_of(&machine, &[]);
    for name in ["", "a/b", "a b", "chosen", "a\0b", "ä"] {
        let node = Node { name, ..HYPERVISOR };
        let error = write_host(&host(&map, &[], &[node]), &machine).err().unwrap();
        assert!(matches!(error, WriteError::Name(_)), "{name}: {error:?}");
    }
    let twice = write_host(&host(&map, &[], &[HYPERVISOR, HYPERVISOR]), &machine);
    assert!(matches!(twice, Err(WriteError::Name(_))));
}

#[test]
fn a_buffer_that_is_too_small_is_an_error_at_every_size() {
    let blob = fixture("virt-gicv3.dtb");
    let machine = MachineTree::parse(blob.bytes()).unwrap();
    let map = map_of(&machine, &[]);
    let tree = host(&map, &KEPT, &[HYPERVISOR]);
    let len = write_host(&tree, &machine).unwrap().bytes().len();
    let mut out = vec![0; len];
    assert_eq!(tree.write(&machine, &mut out), Ok(len));
    for room in (0..200).chain((200..len).step_by(97)).chain([len - 1]) {
        assert_eq!(tree.write(&machine, &mut out[..room]), Err(WriteError::Space { room }));
    }
}

#[test]
fn dtc_has_nothing_against_it_that_it_has_not_against_the_machines() {
    for name in FIXTURES {
        let blob = fixture(name);
        let machine = MachineTree::parse(blob.bytes()).unwrap();
        let map = map_of(&machine, &[range(machine.memory()[0].start().as_u64(), 0x1000)]);
        let tree = HostTree {
            map: &map,
            kept: &KEPT,
            bootargs: "console=ttyAMA0",
            ramdisk: Some(range(0x1000, 0x1000)),
            extra: &[HYPERVISOR],
        };
        let out = write_host(&tree, &machine).unwrap();
        let (Some(before), Some(after)) = (dtc_warnings(blob.bytes()), dtc_warnings(out.bytes())) else {
            println!("skipped: no dtc");
            return;
        };
        let new: Vec<_> = after.iter().filter(|line| !before.contains(line)).collect();
        assert!(new.is_empty(), "{name}: {new:#?}");
    }
}

#[test]
fn free_space_behind_the_machines_tree_is_not_copied() {
    // QEMU hands over a mebibyte, whatever the tree's size.
    let packed = fixture("virt-gicv3.dtb");
    let mut bytes = packed.bytes().to_vec();
    bytes.resize(1 << 20, 0);
    bytes[4..8].copy_from_slice(&(1_u32 << 20).to_be_bytes());
    let roomy = Blob::new(&bytes);
    let written = |blob: &Blob| {
        let machine = MachineTree::parse(blob.bytes()).unwrap();
        let map = map_of(&machine, &[]);
        write_host(&host(&map, &KEPT, &[]), &machine).unwrap().bytes().to_vec()
    };
    assert_eq!(written(&roomy), written(&packed));
}

#[test]
fn memory_that_does_not_fit_into_its_cells_is_refused() {
    // Rounded to pages, the second bank starts at 4 GiB: cut to a cell, that would be 0.
    let blob = Tree::new("")
        .cells("#address-cells", &[1])
        .cells("#size-cells", &[1])
        .child(
            Tree::new("memory")
                .text("device_type", "memory")
                .cells("reg", &[0, 0x100_0000, u32::MAX, u32::MAX]),
        )
        .blob();
    let machine = MachineTree::parse(blob.bytes()).unwrap();
    let map = map_of(&machine, &[]);
    let error = write_host(&host(&map, &[], &[]), &machine).err();
    let number = 1 << 32;
    assert_eq!(error, Some(WriteError::Cells { number, cells: 1 }));
}
