//! What is read from the trees of `tests/data`.

mod common;

use common::{Tree, fixture, range};
use leasehold_memory_map::{
    Conduit, EnableMethod, Fault, GicVersion, MachineTree, ModuleKind, ReservationKind, TreeError,
};

#[test]
fn qemu_with_gicv3_and_guest_loader() {
    let blob = fixture("virt-gicv3.dtb");
    let tree = MachineTree::parse(blob.bytes()).unwrap();
    assert!(tree.is_machine("linux,dummy-virt"));
    assert!(!tree.is_machine("linux,dummy"));
    assert_eq!(tree.memory(), [range(0x4000_0000, 0x4000_0000)]);
    assert!(tree.reservations().is_empty() && tree.reserved().is_empty() && tree.dynamic_reservations().is_empty());
    let cpus: Vec<_> = tree.cpus().iter().map(|cpu| (cpu.affinity, cpu.enable)).collect();
    assert_eq!(cpus, [0, 1, 2, 3].map(|affinity| (affinity, EnableMethod::Psci)));
    assert_eq!(tree.psci(), Some(Conduit::Smc));
    assert!(tree.has_timer());
    assert_eq!(tree.smmus(), [range(0x0905_0000, 0x2_0000)]);

    let gic = tree.gic().unwrap();
    assert_eq!(
        (gic.version, gic.redistributor_regions, gic.host_ranges()),
        (GicVersion::V3, 1, 2)
    );
    assert_eq!(
        gic.ranges,
        [range(0x0800_0000, 0x1_0000), range(0x080a_0000, 0xf6_0000)]
    );

    let chosen = tree.chosen().unwrap();
    let kernel = chosen.module(ModuleKind::Kernel).unwrap();
    assert_eq!(
        (kernel.range, kernel.bootargs),
        (range(0x4400_0000, 300_000), Some("console=ttyAMA0 quiet"))
    );
    let ramdisk = chosen.module(ModuleKind::Ramdisk).unwrap();
    assert_eq!((ramdisk.range, ramdisk.bootargs), (range(0x4800_0000, 5000), None));
    assert_eq!((chosen.bootargs, chosen.initrd), (None, None));

    let stdout = tree.stdout().unwrap().unwrap();
    assert_eq!((stdout.path, stdout.options), ("/pl011@9000000", None));
    assert_eq!(stdout.registers, Some(range(0x0900_0000, 0x1000)));
    assert!(stdout.is("arm,pl011") && stdout.is("arm,primecell") && !stdout.is("arm"));
}

#[test]
fn a_pci_bridge_that_no_smmu_contains_is_named() {
    let blob = fixture("virt-gicv3.dtb");
    assert_eq!(MachineTree::parse(blob.bytes()).unwrap().bypass(), None);
    // `default-bus-bypass-iommu=on`: QEMU leaves the property out. Here it gets another name.
    let mut bytes = blob.bytes().to_vec();
    let name = b"iommu-map\0";
    let at = bytes.windows(name.len()).position(|window| window == name).unwrap();
    bytes[at] = b'x';
    let tree = MachineTree::parse(&bytes).unwrap();
    assert_eq!(tree.bypass().map(|name| name.as_str()), Some("pcie@10000000"));
}

#[test]
fn a_bridge_behind_a_contained_one_is_contained_with_it() {
    let bridge = |name: &str| Tree::new(name).text("device_type", "pci");
    let host = |name| bridge(name).child(bridge("pcie@0").child(bridge("pcie@0,0")));
    let bypass = |tree: Tree| {
        let blob = tree.blob();
        let machine = MachineTree::parse(blob.bytes()).unwrap();
        machine.bypass().map(|name| name.as_str().to_owned())
    };
    let contained = || host("pcie@1000").cells("iommu-map", &[0, 1, 0, 0x1_0000]);
    let soc = |children: Vec<Tree>| {
        let soc = children.into_iter().fold(Tree::new("soc"), Tree::child);
        Tree::root().child(soc)
    };
    assert_eq!(bypass(soc(vec![contained()])), None);
    assert_eq!(bypass(Tree::root().child(contained())), None);
    // Another one beside it is not, whichever comes first.
    let other = || Some("pcie@2000".to_owned());
    assert_eq!(bypass(soc(vec![contained(), host("pcie@2000")])), other());
    assert_eq!(bypass(soc(vec![host("pcie@2000"), contained()])), other());
    assert_eq!(
        bypass(Tree::root().child(contained()).child(host("pcie@2000"))),
        other()
    );
}

#[test]
fn qemu_with_gicv2() {
    let blob = fixture("virt-gicv2.dtb");
    let tree = MachineTree::parse(blob.bytes()).unwrap();
    let gic = tree.gic().unwrap();
    assert_eq!(
        (gic.version, gic.redistributor_regions, gic.host_ranges()),
        (GicVersion::V2, 0, 2)
    );
    let frames = [0x0800_0000, 0x0801_0000, 0x0803_0000, 0x0804_0000];
    assert_eq!(gic.ranges, frames.map(|start| range(start, 0x1_0000)));
}

#[test]
fn what_u_boot_writes() {
    let blob = fixture("u-boot.dtb");
    let tree = MachineTree::parse(blob.bytes()).unwrap();
    assert_eq!(
        tree.memory(),
        [
            range(0x8000_0000, 0x4000_0000),
            range(0x8_8000_0000, 0x1_0000_0000),
            range(0x20_0000_0000, 0x8000_0000),
        ]
    );
    assert_eq!(
        tree.reservations(),
        [range(0x8000_0000, 0x1_0000), range(0x8fe0_0000, 0x6000)]
    );
    let [secure] = tree.reserved() else {
        panic!("{:?}", tree.reserved())
    };
    assert_eq!(
        (secure.name, secure.range, secure.kind),
        ("secure@bf000000", range(0xbf00_0000, 0x80_0000), ReservationKind::NoMap)
    );
    let [cma] = tree.dynamic_reservations() else {
        panic!("{:?}", tree.dynamic_reservations())
    };
    assert_eq!(
        (cma.name, cma.len, cma.alignment, cma.kind),
        ("cma", 0x400_0000, 0x40_0000, ReservationKind::Reusable)
    );

    let chosen = tree.chosen().unwrap();
    assert_eq!(chosen.bootargs, Some("console=ttyS0,115200 root=/dev/vda"));
    assert_eq!(chosen.initrd, Some(range(0x8fe0_0000, 0x5123)));
    assert!(chosen.modules().is_empty());

    let cpus: Vec<_> = tree.cpus().iter().map(|cpu| (cpu.affinity, cpu.enable)).collect();
    assert_eq!(
        cpus,
        [
            (0, EnableMethod::SpinTable(0x8000_fff8)),
            (0x1_0000_0001, EnableMethod::Psci)
        ]
    );
    assert_eq!(tree.psci(), Some(Conduit::Smc));
    assert_eq!(
        tree.smmus(),
        [range(0x2b40_0000, 0x10_0000), range(0x2b60_0000, 0x10_0000)]
    );

    let gic = tree.gic().unwrap();
    assert_eq!(
        (gic.version, gic.redistributor_regions, gic.host_ranges()),
        (GicVersion::V3, 2, 3)
    );
    assert_eq!((gic.ranges.len(), gic.redistributor_stride), (6, Some(0x4_0000)));

    let stdout = tree.stdout().unwrap().unwrap();
    assert_eq!((stdout.path, stdout.options), ("/soc/serial@1000", Some("115200n8")));
    assert_eq!(
        stdout.registers,
        Some(range(0x1000_1000, 0x100)),
        "through the bus's ranges"
    );
}

#[test]
fn what_a_phones_loader_writes() {
    let blob = fixture("small-soc.dtb");
    let tree = MachineTree::parse(blob.bytes()).unwrap();
    assert!(tree.is_machine("example,soc"));
    assert_eq!(tree.memory(), [range(0x8000_0000, 0x3d80_0000)]);
    let kinds: Vec<_> = tree.reserved().iter().map(|reserved| reserved.kind).collect();
    assert_eq!(
        kinds,
        [
            ReservationKind::NoMap,
            ReservationKind::NoMap,
            ReservationKind::NoMap,
            ReservationKind::Plain
        ]
    );
    assert_eq!(tree.reserved()[3].name, "shared-with-the-modem-and-more@86700000");
    assert_eq!(tree.chosen().unwrap().initrd, Some(range(0x8300_0000, 0x40_0000)));
    assert_eq!(tree.chosen().unwrap().bootargs, Some(""));
    assert_eq!(tree.cpus().len(), 2);
    let gic = tree.gic().unwrap();
    assert_eq!((gic.version, gic.ranges.len()), (GicVersion::V2, 4));
    assert_eq!(gic.ranges[0], range(0x0b00_0000, 0x1000));
    let stdout = tree.stdout().unwrap().unwrap();
    assert_eq!(
        (stdout.path, stdout.registers),
        ("/soc@0/serial@78b0000", Some(range(0x078b_0000, 0x200)))
    );
    assert!(stdout.is("qcom,msm-uartdm"));
}

#[test]
fn modules_with_and_without_cells_of_their_parent() {
    let module = |reg: &[u32]| {
        Tree::new("module@80000000")
            .prop("compatible", b"multiboot,module\0multiboot,kernel\0")
            .cells("reg", reg)
    };
    let parse = |chosen: Tree, reg: &[u32]| {
        let blob = Tree::root().child(chosen.child(module(reg))).blob();
        let tree = MachineTree::parse(blob.bytes());
        tree.map(|tree| tree.chosen().unwrap().modules()[0].range)
    };
    let expected = Ok(range(0x8000_0000, 0x1000));
    assert_eq!(parse(Tree::new("chosen"), &[0x8000_0000, 0x1000]), expected);
    assert_eq!(parse(Tree::new("chosen"), &[0, 0x8000_0000, 0x1000]), expected);
    assert_eq!(parse(Tree::new("chosen"), &[0, 0x8000_0000, 0, 0x1000]), expected);
    let single = || {
        Tree::new("chosen")
            .cells("#address-cells", &[1])
            .cells("#size-cells", &[1])
    };
    assert_eq!(parse(single(), &[0x8000_0000, 0x1000]), expected);
    for wrong in [&[][..], &[1], &[0, 0x8000_0000, 0, 0x1000]] {
        let error = parse(single(), wrong).unwrap_err();
        let TreeError::Property { node, property, fault } = error else {
            panic!("{error:?}")
        };
        assert_eq!((node.as_str(), property), ("module@80000000", "reg"));
        assert_eq!(fault, Fault::Length(wrong.len() * 4));
    }
}

#[test]
fn an_alias_of_an_alias_is_not_followed() {
    let tree = |stdout: &str| {
        Tree::root()
            .child(Tree::new("chosen").text("stdout-path", stdout))
            .child(
                Tree::new("aliases")
                    .text("a", "b")
                    .text("b", "a")
                    .text("c", "/none")
                    .text("d", "/"),
            )
            .blob()
    };
    for stdout in ["a", "b", "a:115200", "c", "e", "", ":", "/", "//", "/aliases/x", "d"] {
        let blob = tree(stdout);
        let tree = MachineTree::parse(blob.bytes()).unwrap();
        assert!(tree.stdout().unwrap().is_none(), "{stdout}");
    }
    let blob = tree("/aliases");
    let tree = MachineTree::parse(blob.bytes()).unwrap();
    assert_eq!(tree.stdout().unwrap().unwrap().path, "/aliases");
}
