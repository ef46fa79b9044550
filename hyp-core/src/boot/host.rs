//! The host: its kernel, and its tree.

use super::{BootError, Platform};
use crate::board::BoardConfig;
use crate::log;
use heapless::Vec;
use leasehold_memory_map::{
    Address, Conduit, HostTree, Ipa, Kept, MachineTree, MemoryMap, ModuleKind, Node, PAGE_SIZE, Payload, PhysAddr,
    PhysRange, Prop, RegionKind, Value,
};

/// arm64 kernels start at a multiple of 2 MiB (Documentation/arch/arm64/booting.rst).
const KERNEL_ALIGNMENT: u64 = 2 << 20;

/// The most nodes that are kept from the host.
const MAX_KEPT: usize = 48;

/// `compatible` of SDEI (Documentation/devicetree/bindings/arm/firmware/sdei.txt).
const SDEI: &str = "arm,sdei-1.0";

/// Where the host starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HostEntry {
    /// Its kernel's first instruction.
    pub entry: Ipa,
    /// Its device tree, which is in its x0.
    pub tree: PhysAddr,
}

/// Finds the host's kernel, and writes its tree.
pub(super) fn load(
    config: &BoardConfig,
    platform: &impl Platform,
    tree: &MachineTree<'_>,
    map: &mut MemoryMap,
    blob_len: u64,
) -> Result<HostEntry, BootError> {
    let chosen = tree.chosen().ok_or(BootError::NoKernel)?;
    let kernel = chosen.module(ModuleKind::Kernel).ok_or(BootError::NoKernel)?;
    let entry = kernel_entry(platform, map, kernel.range)?;
    let ramdisk = chosen
        .module(ModuleKind::Ramdisk)
        .map(|module| module.range)
        .or(chosen.initrd);
    /// What nodes and properties of ours may add.
    const EXTRA: u64 = 8192;
    let room = (blob_len + EXTRA).next_multiple_of(PAGE_SIZE);
    let place = map.find_free(room, KERNEL_ALIGNMENT).ok_or(BootError::NoRoom(room))?;
    let mut kept: Vec<Kept<'_>, MAX_KEPT> = Vec::new();
    // To the host, EL2 is the firmware that has SDEI.
    for node in config.kept.iter().copied().chain([Kept::Compatible(SDEI)]) {
        kept.push(node).map_err(|_| BootError::NoRoom(MAX_KEPT as u64))?;
    }
    let version = [Prop::new("compatible", Value::Text("leasehold,hypervisor"))];
    let sdei = [
        Prop::new("compatible", Value::Text(SDEI)),
        Prop::new("method", Value::Text(method(tree))),
    ];
    let firmware = [Node {
        name: "sdei",
        props: &sdei,
        children: &[],
    }];
    let extra = [
        Node {
            name: "hypervisor",
            props: &version,
            children: &[],
        },
        Node {
            name: "firmware",
            props: &[],
            children: &firmware,
        },
    ];
    let host = HostTree {
        map,
        kept: &kept,
        bootargs: kernel.bootargs.unwrap_or(""),
        ramdisk,
        extra: &extra,
    };
    let len = platform.fill_ram(place, |out| host.write(tree, out))?;
    log::debug!("host's tree: {=usize} bytes at {}", len, place.start());
    Ok(HostEntry {
        entry: entry.as_host_ipa(),
        tree: place.start(),
    })
}

/// By which instruction the host calls its firmware: as for PSCI.
fn method(tree: &MachineTree<'_>) -> &'static str {
    match tree.psci() {
        Some(Conduit::Smc) => "smc",
        Some(Conduit::Hvc) | None => "hvc",
    }
}

/// Where the kernel in `module` starts, from its header (Documentation/arch/arm64/booting.rst).
fn kernel_entry(platform: &impl Platform, map: &mut MemoryMap, module: PhysRange) -> Result<PhysAddr, BootError> {
    const MAGIC: &[u8; 4] = b"ARM\x64";
    let not_a_kernel = BootError::NotAKernel(module.start());
    if module.len() < 64 {
        return Err(not_a_kernel);
    }
    let mut header = [0; 64];
    platform.read_ram(module.start(), &mut header);
    let word = |at: usize| u64::from_le_bytes(header[at..at + 8].try_into().unwrap_or_default());
    let (text_offset, image_size) = (word(8), word(16));
    if &header[56..60] != MAGIC {
        return Err(not_a_kernel);
    }
    let base = module.start().checked_sub(text_offset).ok_or(not_a_kernel)?;
    if !base.is_aligned(KERNEL_ALIGNMENT) {
        return Err(BootError::KernelUnaligned(module.start()));
    }
    // What is behind the file until `image_size` must be the kernel's alone.
    let does_not_fit = BootError::KernelDoesNotFit(module.start());
    let whole = PhysRange::new(module.start(), image_size.max(module.len())).map_err(|_| does_not_fit)?;
    let file = module.page_cover().ok_or(does_not_fit)?;
    if let Ok(rest) = PhysRange::between(file.end(), whole.end()) {
        map.carve(rest, RegionKind::Payload(Payload::Kernel))
            .map_err(|_| does_not_fit)?;
    }
    Ok(module.start())
}
