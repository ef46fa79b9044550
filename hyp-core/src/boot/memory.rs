//! The map of the machine, and the host's stage 2 from it.

use super::BootError;
use crate::board::BoardConfig;
use crate::features::Features;
use crate::machine::Machine;
use crate::ownership::Use;
use crate::{HostMap, Layout, Ownership, log};
use heapless::Vec;
use leasehold_hal::{MemoryAttributes, Soc, Stage2Geometry};
use leasehold_memory_map::{
    Address, BoardMemory, Carveout, CarveoutKind, IpaRange, MachineTree, MemoryMap, PAGE_SIZE, PageRange, PhysAddr,
    PhysRange, RegionKind,
};

/// The most ranges of RAM, of devices or of what is hidden: of X1E80100, a dozen redistributors have two each.
const MAX_RANGES: usize = 72;

/// The memory map, with the hypervisor's `image` and the machine's tree in it.
pub(super) fn map(
    config: &BoardConfig,
    tree: &MachineTree<'_>,
    image: PhysRange,
    at: u64,
    len: u64,
) -> Result<MemoryMap, BootError> {
    let image = Carveout {
        name: "image",
        range: image,
        kind: CarveoutKind::Hypervisor,
    };
    // Where RAM begins at 0, that page is nobody's: nothing that EL2 or the host has an address of may be there.
    let null = Carveout {
        name: "null",
        range: PhysRange::new(PhysAddr::new(0), PAGE_SIZE)?,
        kind: CarveoutKind::Hypervisor,
    };
    let has_null = config.ram.iter().any(|ram| ram.start().get() == 0);
    let carveouts: Vec<Carveout<'_>, 2> = core::iter::once(image).chain(has_null.then_some(null)).collect();
    let board = BoardMemory {
        ram: config.ram,
        carveouts: &carveouts,
    };
    let blob = PhysRange::new(PhysAddr::checked(at).ok_or(BootError::NoTree(at))?, len)?;
    Ok(MemoryMap::new(tree, &board, blob)?)
}

/// Stage 2 as the machine needs it and the CPU has it.
pub(super) fn geometry(needed: u8, features: &Features) -> Result<Stage2Geometry, BootError> {
    if features.physical_bits < needed {
        return Err(BootError::AddressBits {
            cpu: features.physical_bits,
            needed,
        });
    }
    Ok(Stage2Geometry::new(needed, MemoryAttributes::Combine)?)
}

/// How the host's RAM is mapped where these walk the tables: an IOMMU of this break-before-make level, and the CPUs.
pub(super) fn layout(iommu: Option<u8>, features: &Features) -> Layout {
    let bbm = iommu.unwrap_or(2).min(features.bbm_level);
    if bbm >= 2 { Layout::Blocks } else { Layout::KeptPages }
}

/// Makes the host's stage 2 from memory that it takes out of `map`. Returns the pages that it took.
pub(super) fn host_memory<const LEASES: usize, const VMS: usize>(
    map: &mut MemoryMap,
    soc: &impl Soc,
    trapped: &[PhysRange],
    (geometry, layout): (Stage2Geometry, Layout),
    ownership: &mut Ownership<LEASES, VMS>,
    machine: &impl Machine,
) -> Result<PageRange<PhysAddr>, BootError> {
    let pool = pool(map, &geometry)?;
    map.carve(pool.bytes(), RegionKind::Hypervisor)?;
    let ram: Vec<PhysRange, MAX_RANGES> = map.host_memory().collect();
    let mut hypervisor: Vec<PhysRange, MAX_RANGES> = Vec::new();
    let kept = map
        .regions()
        .iter()
        .filter(|region| region.kind == RegionKind::Hypervisor)
        .map(|region| region.range);
    for range in kept.chain(trapped.iter().copied()).chain(soc.hidden().iter().copied()) {
        hypervisor
            .push(range)
            .map_err(|_| BootError::NoRoom(MAX_RANGES as u64))?;
    }
    ownership.init_host(
        machine,
        &HostMap {
            pool,
            geometry,
            layout,
            ram: &ram,
            devices: soc.device_windows(),
            hypervisor: &hypervisor,
        },
    )?;
    keep_away(map, ownership, machine)?;
    Ok(pool)
}

/// Memory that the host must not even map is firmware's, or a remote processor's: EL2 must not touch it either, so it
/// cannot be lent.
fn keep_away<const LEASES: usize, const VMS: usize>(
    map: &MemoryMap,
    ownership: &mut Ownership<LEASES, VMS>,
    machine: &impl Machine,
) -> Result<(), BootError> {
    let unmapped = RegionKind::Reserved { no_map: true };
    for region in map.regions().iter().filter(|region| region.kind == unmapped) {
        let start = region.range.start().as_host_ipa();
        ownership.hold(machine, IpaRange::new(start, region.range.len())?, Use::Away)?;
    }
    Ok(())
}

/// Says what the host has.
pub(super) fn report(map: &MemoryMap, layout: Layout, pool: PageRange<PhysAddr>) {
    log::info!(
        "host memory: {=u64} MiB in {}, {=u64} KiB of tables at {}",
        map.host_memory().map(|range| range.len()).sum::<u64>() >> 20,
        layout,
        pool.bytes().len() >> 10,
        pool.start(),
    );
}

/// Table pages: one for each 2 MiB of RAM (split or kept), half as many again for guests, and some for what is fixed.
/// Together less than 0.4 % of RAM.
fn pool(map: &MemoryMap, geometry: &Stage2Geometry) -> Result<PageRange<PhysAddr>, BootError> {
    const FIXED: u64 = 128;
    let ram: u64 = map.host_memory().map(|range| range.len()).sum();
    let blocks = ram.div_ceil(2 << 20);
    let pages = blocks + blocks / 2 + FIXED;
    let bytes = pages * PAGE_SIZE;
    let root = geometry.root_tables() as u64 * PAGE_SIZE;
    let place = map
        .find_free(bytes, root.max(PAGE_SIZE))
        .ok_or(BootError::NoRoom(bytes))?;
    Ok(PageRange::new(place.start(), pages)?)
}
