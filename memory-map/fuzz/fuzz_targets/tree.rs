//! Bytes taken for a machine's device tree: nothing panics, and what is written can be read.
#![no_main]

use leasehold_memory_map::{
    BoardMemory, HostTree, Kept, MachineTree, MemoryMap, Node, PhysAddr, PhysRange, Prop, RegionKind, Value,
};
use libfuzzer_sys::fuzz_target;

const ALL: PhysRange = PhysRange::constant(PhysAddr::new(0), (1 << 52) - 1);

const KEPT: [Kept<'_>; 3] = [
    Kept::Compatible("arm,smmu-v3"),
    Kept::Reg(PhysAddr::new(0x0904_0000)),
    Kept::Path("/intc@8000000/its@8080000"),
];

const SDEI: Node<'_> = Node {
    name: "firmware",
    props: &[],
    children: &[Node {
        name: "sdei",
        props: &[Prop::new("method", Value::Text("smc"))],
        children: &[],
    }],
};

fuzz_target!(|bytes: &[u8]| {
    let mut storage = vec![0; bytes.len() + 7];
    let start = storage.as_ptr().align_offset(8);
    storage[start..start + bytes.len()].copy_from_slice(bytes);
    let _ = exercise(&storage[start..start + bytes.len()]);
});

fn exercise(blob: &[u8]) -> Option<()> {
    let machine = MachineTree::parse(blob).ok()?;
    assert!(machine.fdt().token_count() * 4 <= machine.fdt().bytes().len());
    let _ = machine.stdout();
    let board = BoardMemory {
        ram: &[ALL],
        carveouts: &[],
    };
    let place = PhysRange::new(machine.memory().first()?.start(), 1).ok()?;
    let mut map = MemoryMap::new(&machine, &board, place).ok()?;
    let own = map.find_free(0x1000, 0x1000)?;
    map.carve(own, RegionKind::Hypervisor).expect("what is free can be carved");
    let host = HostTree {
        map: &map,
        kept: &KEPT,
        bootargs: "quiet",
        ramdisk: Some(own),
        extra: &[SDEI],
    };
    let mut out = vec![0; blob.len() + 1024];
    let start = out.as_ptr().align_offset(8);
    let len = host.write(&machine, &mut out[start..]).ok()?;
    let again = MachineTree::parse(&out[start..start + len]).expect("what is written can be read");
    assert!(again.memory().iter().all(|range| !range.overlaps(&own)));
    assert_eq!(again.cpus(), machine.cpus());
    Some(())
}
