//! All that the hypervisor does with a device tree, for the tests and for the fuzzer (`fuzz/`).

use leasehold_memory_map::{
    BoardMemory, HostTree, Kept, MachineTree, MemoryMap, Node, PhysAddr, PhysRange, Prop, Region, RegionKind, Value,
};

/// Wherever a tree may say that RAM is.
const BOARD: BoardMemory<'_> = BoardMemory {
    ram: &[PhysRange::constant(PhysAddr::new(0), (1 << 52) - 1)],
    carveouts: &[],
};

const KEPT: [Kept<'_>; 3] = [
    Kept::Compatible("arm,smmu-v3"),
    Kept::Reg(PhysAddr::new(0x0904_0000)),
    Kept::Path("/intc@8000000/its@8080000"),
];

const EXTRA: [Node<'_>; 2] = [
    Node {
        name: "hypervisor",
        props: &[Prop::new("compatible", Value::Text("leasehold,hypervisor"))],
        children: &[],
    },
    // A node that may be there already.
    Node {
        name: "firmware",
        props: &[],
        children: &[Node {
            name: "sdei",
            props: &[Prop::new("method", Value::Text("smc"))],
            children: &[],
        }],
    },
];

/// Parses, maps, carves, writes the host's tree, parses that. How far it comes is of no matter; that it comes back is.
/// `bytes` start at a multiple of eight.
///
/// # Panics
/// When something is not as it should be.
pub fn exercise(bytes: &[u8]) -> Option<()> {
    let machine = MachineTree::parse(bytes).ok()?;
    let fdt = machine.fdt();
    assert!(fdt.token_count() * 4 <= fdt.bytes().len());
    let _ = machine.stdout();
    let start = machine.memory().first()?.start();
    let blob = PhysRange::new(start, fdt.bytes().len() as u64).ok()?;
    let mut map = MemoryMap::new(&machine, &BOARD, blob).ok()?;
    let own = map.find_free(0x1000, 0x1000)?;
    map.carve(own, RegionKind::Hypervisor)
        .expect("what is free can be carved");
    let ordered = |pair: &[Region]| pair[0].range.end() <= pair[1].range.start();
    assert!(map.regions().windows(2).all(ordered));
    let host = HostTree {
        map: &map,
        kept: &KEPT,
        bootargs: "console=ttyAMA0",
        ramdisk: Some(own),
        extra: &EXTRA,
    };
    let mut out = vec![0; bytes.len() + 1024 + 7];
    let start = out.as_ptr().align_offset(8);
    let len = host.write(&machine, &mut out[start..]).ok()?;
    let again = MachineTree::parse(&out[start..start + len]).expect("what is written can be read");
    assert!(again.memory().iter().all(|range| !range.overlaps(&own)));
    assert_eq!(again.cpus(), machine.cpus());
    Some(())
}
