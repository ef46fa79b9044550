//! What in the host's tree would point at the nodes that EL2 keeps.

mod common;

use common::{BOARD, FIXTURES, Tree, fixture, host, map_of, range, read, write_host};
use leasehold_memory_map::{Kept, MachineTree, MemoryMap, WriteError};

#[test]
fn iommus_and_maps_are_thinned() {
    let blob = fixture("u-boot.dtb");
    let machine = MachineTree::parse(blob.bytes()).unwrap();
    let map = map_of(&machine, &[]);
    let (_, before) = read(blob.bytes());
    let smmu1 = before.at("/iommu@2b600000").unwrap().words("phandle").unwrap()[0];
    let its = before
        .at("/interrupt-controller@2f000000/msi-controller@2f020000")
        .unwrap();
    let its = its.words("phandle").unwrap()[0];

    let kept = [Kept::Path("/iommu@2b400000")];
    let (_, after) = read(write_host(&host(&map, &kept, &[]), &machine).unwrap().bytes());
    let pcie = after.at("/pcie@40000000").unwrap();
    assert_eq!(pcie.words("iommu-map").unwrap(), [0x100, smmu1, 0, 0xff00]);
    assert!(pcie.get("iommu-map-mask").is_some());
    assert_eq!(pcie.words("msi-map").unwrap(), [0, its, 0, 0x1_0000]);
    let (nic, accelerator) = ("/soc/nic@5000", "/soc/accelerator-with-a-rather-long-name@6000");
    assert!(after.at(nic).unwrap().get("iommus").is_none());
    assert!(after.at(nic).unwrap().get("msi-parent").is_some());
    assert!(after.at(accelerator).unwrap().get("iommus").is_some());

    let kept = [Kept::Compatible("arm,smmu-v3"), Kept::Compatible("arm,gic-v3-its")];
    let (_, after) = read(write_host(&host(&map, &kept, &[]), &machine).unwrap().bytes());
    let pcie = after.at("/pcie@40000000").unwrap();
    for gone in ["iommu-map", "iommu-map-mask", "msi-map", "msi-map-mask"] {
        assert!(pcie.get(gone).is_none(), "{gone}");
    }
    assert!(after.at(nic).unwrap().get("msi-parent").is_none());
    assert!(after.at(accelerator).unwrap().get("iommus").is_none());
    // Two banks of redistributors stay, the memory-mapped CPU interfaces go.
    assert_eq!(
        after
            .at("/interrupt-controller@2f000000")
            .unwrap()
            .words("reg")
            .unwrap()
            .len(),
        3 * 4
    );
}

#[test]
fn a_list_of_kept_and_other_iommus_is_refused() {
    let blob = Tree::root()
        .child(Tree::memory(&[(0, 0x100_0000)]))
        .child(Tree::new("one").cells("phandle", &[1]).cells("#iommu-cells", &[1]))
        .child(Tree::new("two").cells("phandle", &[2]).cells("#iommu-cells", &[1]))
        .child(Tree::new("device").cells("iommus", &[1, 2, 2, 1]))
        .blob();
    let machine = MachineTree::parse(blob.bytes()).unwrap();
    let map = MemoryMap::new(&machine, &BOARD, range(0x1000, 0x1000)).unwrap();
    let error = write_host(&host(&map, &[Kept::Path("/one")], &[]), &machine)
        .err()
        .unwrap();
    assert!(
        matches!(error, WriteError::MixedIommus { node } if node.as_str() == "device"),
        "{error:?}"
    );
    let both = [Kept::Path("/one"), Kept::Path("/two")];
    let (_, after) = read(write_host(&host(&map, &both, &[]), &machine).unwrap().bytes());
    assert!(after.at("/device").unwrap().get("iommus").is_none());
}

#[test]
fn the_hosts_interrupt_controller_cannot_be_kept() {
    for name in FIXTURES {
        let blob = fixture(name);
        let machine = MachineTree::parse(blob.bytes()).unwrap();
        let map = map_of(&machine, &[]);
        let gic = machine.gic().unwrap().ranges[0].start();
        let error = write_host(&host(&map, &[Kept::Reg(gic)], &[]), &machine).err().unwrap();
        assert!(matches!(error, WriteError::InterruptParent { .. }), "{name}: {error:?}");
    }
}

#[test]
fn aliases_symbols_and_stdout_of_a_kept_node_go() {
    let blob = Tree::root()
        .child(Tree::memory(&[(0, 0x100_0000)]))
        .child(
            Tree::new("aliases")
                .text("serial0", "/soc/uart@1")
                .text("serial1", "/soc/uart@10")
                .text("bus", "/soc"),
        )
        .child(Tree::new("chosen").text("stdout-path", "serial0:115200"))
        .child(
            Tree::new("soc")
                .child(Tree::new("uart@1").child(Tree::new("port")))
                .child(Tree::new("uart@10")),
        )
        .child(
            Tree::new("__symbols__")
                .text("port", "/soc/uart@1/port")
                .text("uart10", "/soc/uart@10"),
        )
        .blob();
    let machine = MachineTree::parse(blob.bytes()).unwrap();
    let map = MemoryMap::new(&machine, &BOARD, range(0x1000, 0x1000)).unwrap();
    let (_, after) = read(
        write_host(&host(&map, &[Kept::Path("/soc/uart@1")], &[]), &machine)
            .unwrap()
            .bytes(),
    );
    let names = |path| -> Vec<String> {
        after
            .at(path)
            .unwrap()
            .props
            .iter()
            .map(|(name, _)| name.clone())
            .collect()
    };
    assert_eq!(names("/aliases"), ["serial1", "bus"]);
    assert_eq!(names("/__symbols__"), ["uart10"]);
    assert!(names("/chosen").is_empty());
    assert_eq!(after.at("/soc").unwrap().children.len(), 1);
    // A path that names no node, or none that can go, changes nothing.
    for path in ["/", "", "soc/uart@1", "/soc/uart", "/soc/uart@1/", "/soc/uart@1/port/x"] {
        let kept = [Kept::Path(path)];
        let (_, after) = read(write_host(&host(&map, &kept, &[]), &machine).unwrap().bytes());
        assert_eq!(after, read(blob.bytes()).1, "{path}");
    }
}

#[test]
fn as_many_nodes_are_kept_as_their_paths_have_room() {
    // `/bus/device@000` and its NUL are 16 bytes.
    let write = |count: usize| {
        let bus = (0..count).fold(Tree::new("bus"), |bus, n| {
            bus.child(Tree::new(&format!("device@{n:03}")).text("compatible", "kept"))
        });
        let aliases = (0..count).fold(Tree::new("aliases"), |aliases, n| {
            aliases.text(&format!("a{n}"), &format!("/bus/device@{n:03}"))
        });
        let blob = Tree::root()
            .child(Tree::memory(&[(0, 0x100_0000)]))
            .child(aliases)
            .child(bus)
            .blob();
        let machine = MachineTree::parse(blob.bytes()).unwrap();
        let map = MemoryMap::new(&machine, &BOARD, range(0x1000, 0x1000)).unwrap();
        write_host(&host(&map, &[Kept::Compatible("kept")], &[]), &machine)
    };
    let (_, tree) = read(write(2048 / 16).unwrap().bytes());
    assert!(tree.at("/aliases").unwrap().props.is_empty() && tree.at("/bus").unwrap().children.is_empty());
    let error = write(2048 / 16 + 1).err();
    assert!(
        matches!(error, Some(WriteError::TooMany { limit: 2048, .. })),
        "{error:?}"
    );
}
