//! EL2's image where the board has it linked, in the memory that the board's tree leaves.

use crate::{Outcome, own_files, read};
use leasehold_boards::Description;
use leasehold_memory_map::{Address, BoardMemory, MachineTree, MemoryMap, PhysAddr, PhysRange, RegionKind};
use leasehold_trees::{Node, Tree};
use std::path::Path;

/// More than the image takes, with its stacks.
const IMAGE: u64 = 4 << 20;

/// With all RAM that the SoC can have, as a boot loader fills it in: the image is in nobody's memory, and what the tree
/// reserves is nobody's but those that it is reserved for.
pub fn image_fits(board: &'static Description, folder: &Path) -> Outcome {
    let soc = board.soc().ok_or("a board without a description of its SoC")?;
    for file in own_files(board, folder) {
        let mut tree = Tree::read(&read(&file)?).map_err(|error| format!("{error:?}"))?;
        let memory = tree
            .root()
            .children()
            .find(|node| node.strings("device_type") == ["memory"]);
        let memory = memory.map(Node::id).ok_or("no memory node")?;
        let ranges = soc.ram.iter().flat_map(|ram| [ram.start().get(), ram.len()]);
        tree.set(memory, "reg", &ranges.flat_map(u64::to_be_bytes).collect::<Vec<u8>>());
        fits(board, soc.ram, &tree.write()).map_err(|error| format!("{}: {error}", file.display()))?;
    }
    Ok(())
}

fn fits(board: &Description, ram: &[PhysRange], blob: &[u8]) -> Result<(), String> {
    let mut storage = vec![0; blob.len() + 8];
    let start = storage.as_ptr().align_offset(8);
    storage[start..start + blob.len()].copy_from_slice(blob);
    let machine = MachineTree::parse(&storage[start..start + blob.len()]).map_err(told)?;
    let top = ram.last().ok_or("no RAM")?.end();
    let place = top.checked_sub(IMAGE).ok_or("no RAM")?;
    let place = PhysRange::new(place, blob.len() as u64).map_err(told)?;
    let memory = BoardMemory { ram, carveouts: &[] };
    let mut map = MemoryMap::new(&machine, &memory, place).map_err(told)?;
    let image = PhysRange::new(PhysAddr::new(board.load_address.get()), IMAGE).map_err(told)?;
    map.carve(image, RegionKind::Hypervisor).map_err(told)?;
    let reserved = machine.reserved();
    let taken = reserved.iter().filter(|reserved| {
        let mut regions = map
            .regions()
            .iter()
            .filter(|region| region.range.overlaps(&reserved.range));
        regions.any(|region| !matches!(region.kind, RegionKind::Reserved { .. }))
    });
    match taken.map(|reserved| reserved.name).next() {
        None if reserved.len() >= 9 => Ok(()),
        None => Err(format!("only {} reserved ranges", reserved.len())),
        Some(name) => Err(format!("{name} is not left alone")),
    }
}

fn told(error: impl std::fmt::Debug) -> String {
    format!("{error:?}")
}
