//! From the device tree to the host's first instruction: all that is decided on the way.
//!
//! It reaches CPU, RAM and firmware through [`Platform`], the rest through [`Board`], so that it runs on the build machine
//! too, on models of a board's parts (`tests/twin`).

mod containment;
mod error;
mod host;
mod memory;
mod options;
mod platform;

pub use containment::Containment;
pub use error::BootError;
pub use host::HostEntry;
pub use platform::Platform;

use crate::board::{AttachedOf, Board, ControllerOf, InterruptsOf};
use crate::fault::{EntryRules, Policy};
use crate::features::Features;
use crate::layout::MAX_CPUS;
use crate::machine::{El2, Unit};
use crate::psci::{Firmware, Psci, StateFormat};
use crate::{Ownership, log};
use leasehold_abi::psci;
use leasehold_hal::{InterruptController, Iommu, MemoryController, Soc, Stage2Geometry, Watchdogs};
use leasehold_memory_map::{MachineTree, MemoryMap, PhysAddr};
use spin::mutex::SpinMutex;

/// What the boot changes of EL2's state.
pub struct Parts<'a, I, M, const LEASES: usize, const VMS: usize> {
    /// Who owns what: the host gets its memory.
    pub ownership: &'a mut Ownership<LEASES, VMS>,
    /// Where the IOMMU goes, if there is one.
    pub unit: &'a Unit<I>,
    /// Where the memory controller goes, if EL2 uses one.
    pub memory: &'a SpinMutex<Option<M>>,
}

/// What it finds.
pub struct Booted<B: Board> {
    /// The boot CPU's features.
    pub features: Features,
    /// How exceptions are taken to EL1.
    pub rules: EntryRules,
    /// What is done when the host touches what it has lent.
    pub policy: Policy,
    /// Whether every bus master of the host's is kept out of lent memory.
    pub containment: Containment,
    /// The host's stage 2.
    pub stage2: HostStage2,
    /// The interrupt controller, ready for this CPU.
    pub interrupts: InterruptsOf<B>,
    /// The host's CPUs.
    pub psci: Psci<MAX_CPUS>,
    /// The rest of the machine.
    pub soc: B::Soc,
    /// Whose each part of memory is.
    pub map: MemoryMap,
    /// Where the host starts.
    pub host: HostEntry,
}

/// Where the host's stage 2 is, and of which kind.
#[derive(Clone, Copy, Debug)]
pub struct HostStage2 {
    /// Size and attributes.
    pub geometry: Stage2Geometry,
    /// The first of the root tables.
    pub root: PhysAddr,
}

/// Everything up to the host, from the tree at `device_tree`. What comes of it is the log's last line.
///
/// # Errors
/// [`BootError`]: why the machine does not start.
pub fn run<B: Board, P: Platform, const LEASES: usize, const VMS: usize>(
    platform: &P,
    device_tree: u64,
    parts: Parts<'_, AttachedOf<B>, ControllerOf<B>, LEASES, VMS>,
) -> Result<Booted<B>, BootError> {
    let booted = boot(platform, device_tree, parts);
    match &booted {
        Ok(booted) => log::info!("host starts at {} on CPU 0", booted.host.entry),
        Err(error) => log::error!("EL2 stopped: {}", error),
    }
    booted
}

fn boot<B: Board, P: Platform, const LEASES: usize, const VMS: usize>(
    platform: &P,
    device_tree: u64,
    parts: Parts<'_, AttachedOf<B>, ControllerOf<B>, LEASES, VMS>,
) -> Result<Booted<B>, BootError> {
    let config = &B::CONFIG;
    let features = platform.features();
    log::info!(
        "Leasehold {=str} for {=str}, EL2",
        env!("CARGO_PKG_VERSION"),
        config.name
    );
    log::debug!("{}", features);
    // The platform checks what it can of the header; what follows checks the rest.
    let blob = platform
        .device_tree(device_tree)
        .ok_or(BootError::NoTree(device_tree))?;
    let tree = MachineTree::parse(blob)?;
    let arguments = tree.chosen().and_then(|chosen| chosen.bootargs).unwrap_or("");
    options::log_level(config, arguments);
    let mut map = memory::map(config, &tree, platform.image()?, device_tree, blob.len() as u64)?;
    for range in tree.memory() {
        platform.add_ram(*range, device_tree);
    }
    let mut soc = B::soc(&tree)?;
    match soc.calm_watchdogs() {
        Watchdogs::Quiet => {}
        Watchdogs::Stopped => log::info!("a watchdog ran: stopped"),
        Watchdogs::Petted => log::warn!("a watchdog runs: petted once, from here on it is the host's"),
    }
    let interrupts = soc.interrupt_controller()?;
    let iommu = soc.iommu()?;
    *parts.memory.lock() = controller::<B>(&mut soc)?;
    let geometry = memory::geometry(soc.ipa_bits(), &features)?;
    let layout = memory::layout(iommu.as_ref().map(Iommu::bbm_level), &features);
    parts
        .unit
        .walks_coherently(iommu.as_ref().is_none_or(Iommu::walks_coherently));
    let machine = El2::new(platform.cpu(), parts.unit, parts.memory);
    let pool = memory::host_memory(
        &mut map,
        &soc,
        interrupts.trapped_frames(),
        (geometry, layout),
        parts.ownership,
        &machine,
    )?;
    let root = parts.ownership.host_root();
    memory::report(&map, layout, pool);
    containment::attach(iommu, &parts.unit.iommu, root, &geometry)?;
    let policy = options::policy(config, arguments)?;
    platform.init_cpu(&features, &geometry, root);
    interrupts.init_cpu()?;
    let has_iommu = parts.unit.iommu.lock().is_some();
    let containment = Containment::of(config, &tree, arguments, has_iommu);
    let psci = cpus(platform, &tree)?;
    let host = host::load(config, platform, &tree, &mut map, blob.len() as u64)?;
    Ok(Booted {
        rules: EntryRules::new(features.entry()).with_new_syndrome(config.new_syndrome),
        features,
        policy,
        containment,
        stage2: HostStage2 { geometry, root },
        interrupts,
        psci,
        soc,
        map,
        host,
    })
}

/// What moves memory between masters, where this board's EL2 uses it.
fn controller<B: Board>(soc: &mut B::Soc) -> Result<Option<ControllerOf<B>>, BootError> {
    let controller = soc.memory_controller()?;
    if ControllerOf::<B>::MOVES {
        match &controller {
            Some(_) => log::info!("memory controller: moves what is lent"),
            None => log::warn!("memory controller: none answers, other masters reach what is lent"),
        }
    }
    Ok(controller)
}

/// The host's CPUs: this one first, which is on, then the tree's others.
fn cpus(platform: &impl Platform, tree: &MachineTree<'_>) -> Result<Psci<MAX_CPUS>, BootError> {
    let mut psci = Psci::new(firmware_features(platform));
    let this = platform.affinity();
    let others = tree
        .cpus()
        .iter()
        .map(|cpu| cpu.affinity)
        .filter(|affinity| *affinity != this);
    for affinity in core::iter::once(this).chain(others) {
        psci.add(affinity)
            .map_err(|_| BootError::TooManyCpus(tree.cpus().len()))?;
    }
    Ok(psci)
}

/// PSCI_FEATURES for CPU_SUSPEND, bit 1: the extended StateID format (DEN0022 section 5.15.2).
const EXTENDED_STATE_ID: u64 = 1 << 1;

/// Asks the firmware for what is optional.
fn firmware_features(platform: &impl Platform) -> Firmware {
    let feature = |function: u32| platform.firmware([u64::from(psci::FEATURES), u64::from(function), 0, 0])[0];
    let suspend = feature(psci::CPU_SUSPEND_64);
    let format = if suspend & EXTENDED_STATE_ID != 0 {
        StateFormat::Extended
    } else {
        StateFormat::Original
    };
    Firmware {
        suspend: ((suspend as i32) >= 0).then_some(format),
        reset2: (feature(psci::SYSTEM_RESET2_64) as i32) >= 0,
    }
}
