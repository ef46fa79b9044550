//! A boot loader: it fills the tree in, and puts everything where EL2 expects it.

use crate::platform::write_bytes;
use crate::profile::Profile;
use leasehold_drivers::smmu::v3::model::SimMemory;
use leasehold_memory_map::{Address, MachineTree, ModuleKind, PhysAddr, PhysRange};
use leasehold_trees::{NodeId, Tree};

/// What the loader leaves in memory.
pub struct Loaded {
    /// The tree, as it is there.
    pub tree: Tree,
    /// The same as a blob, and where it is.
    pub blob: (u64, Vec<u8>),
    /// What a display shows meanwhile.
    pub picture: PhysRange,
    /// Whether the size of RAM is the twin's own figure.
    pub filled: bool,
}

/// EL2's image with its stacks and zeroed memory, in bytes. On the board it is as large as it is linked; there is none
/// here, so this is a figure.
pub const IMAGE_BYTES: u64 = 4 << 20;
const KERNEL_BYTES: u64 = 32 << 20;
const RAMDISK_BYTES: u64 = 16 << 20;
const PICTURE_BYTES: u64 = 1 << 16;
const ALIGNMENT: u64 = 2 << 20;

/// Loads everything for the machine that `tree` is of, whose RAM begins at `ram` where the tree does not say.
///
/// # Errors
/// Why it cannot.
pub fn load(mut tree: Tree, profile: &Profile, image: PhysRange, memory: &SimMemory) -> Result<Loaded, String> {
    let filled = fill_memory(&mut tree, profile.ram)?;
    let mut busy = vec![image];
    let blob = tree.write();
    let parsed = MachineTree::parse(&blob).map_err(|error| format!("{error:?}"))?;
    busy.extend(parsed.reserved().iter().map(|reserved| reserved.range));
    busy.extend(parsed.reservations());
    let modules = parsed
        .chosen()
        .map(|chosen| chosen.modules().to_vec())
        .unwrap_or_default();
    busy.extend(modules.iter().map(|module| module.range));
    let ram = parsed.memory().to_vec();
    let mut place = |len| take(&ram, &mut busy, len).ok_or("there is no room in RAM");
    let kernel = match modules.iter().find(|module| module.kind == ModuleKind::Kernel) {
        Some(module) => module.range,
        None => place(KERNEL_BYTES)?,
    };
    let ramdisk = place(RAMDISK_BYTES)?;
    let picture = place(PICTURE_BYTES)?;
    let room = place(ALIGNMENT)?;
    if modules.is_empty() {
        add_modules(&mut tree, kernel, ramdisk);
    }
    write_kernel(memory, kernel);
    for word in 0..PICTURE_BYTES / 8 {
        memory.write(picture.start().get() + 8 * word, 0x5043_4954_5552_4500 | word & 0xff);
    }
    let blob = tree.write();
    write_bytes(memory, room.start().get(), &blob);
    Ok(Loaded {
        tree,
        blob: (room.start().get(), blob),
        picture,
        filled,
    })
}

/// Says how much RAM there is, where the tree leaves that to the loader: from the tree's first address on.
fn fill_memory(tree: &mut Tree, bytes: u64) -> Result<bool, String> {
    let memory = tree.root().children().find(|node| node.kind() == "memory");
    let memory = memory.ok_or("the tree has no memory node")?;
    let (id, reg) = (memory.id(), memory.words("reg").unwrap_or_default());
    let [high, low, size_high, size_low, ..] = reg[..] else {
        return Err("the memory node's reg is not of two and two cells".into());
    };
    if size_high | size_low != 0 {
        return Ok(false);
    }
    let start = u64::from(high) << 32 | u64::from(low);
    tree.set(id, "reg", &[start.to_be_bytes(), bytes.to_be_bytes()].concat());
    Ok(true)
}

/// The lowest free place.
fn take(ram: &[PhysRange], busy: &mut Vec<PhysRange>, len: u64) -> Option<PhysRange> {
    for ram in ram {
        let mut start = ram.start().get().next_multiple_of(ALIGNMENT);
        while start + len <= ram.end().get() {
            let place = PhysRange::new(PhysAddr::new(start), len).ok()?;
            match busy.iter().find(|busy| busy.overlaps(&place)) {
                Some(busy) => start = busy.end().get().next_multiple_of(ALIGNMENT),
                None => {
                    busy.push(place);
                    return Some(place);
                }
            }
        }
    }
    None
}

/// Tells of kernel and RAM disk as QEMU's guest-loader does, and U-Boot's `fdt` commands can.
fn add_modules(tree: &mut Tree, kernel: PhysRange, ramdisk: PhysRange) {
    let chosen = match tree.at("/chosen") {
        Some(chosen) => chosen.id(),
        None => tree.add(tree.root().id(), "chosen"),
    };
    tree.set(chosen, "#address-cells", &2_u32.to_be_bytes());
    tree.set(chosen, "#size-cells", &2_u32.to_be_bytes());
    let kernel = add_module(tree, chosen, kernel, "multiboot,kernel");
    tree.set(kernel, "bootargs", b"console=ttyMSM0\0");
    add_module(tree, chosen, ramdisk, "multiboot,ramdisk");
}

fn add_module(tree: &mut Tree, chosen: NodeId, range: PhysRange, kind: &str) -> NodeId {
    let module = tree.add(chosen, &format!("module@{:x}", range.start().get()));
    let reg = [range.start().get().to_be_bytes(), range.len().to_be_bytes()].concat();
    tree.set(module, "reg", &reg);
    tree.set(module, "compatible", format!("{kind}\0multiboot,module\0").as_bytes());
    module
}

/// An arm64 `Image`, of which only the header is there (Documentation/arch/arm64/booting.rst).
fn write_kernel(memory: &SimMemory, at: PhysRange) {
    let mut header = [0; 64];
    header[16..24].copy_from_slice(&at.len().to_le_bytes());
    header[24] = 0b1010;
    header[56..60].copy_from_slice(b"ARM\x64");
    write_bytes(memory, at.start().get(), &header);
}
