//! From the device tree to the host's first instruction.

use super::boot_error::BootError;
use super::{Containment, ControllerOf, Facts, Hypervisor};
use crate::arch::aarch64::{self as arch, Features, IdRegisters, PerCpu, Stage2Registers};
use crate::board::Board;
use crate::fault::{EntryRules, Policy, PolicyError};
use crate::layout::MAX_CPUS;
use crate::psci::Psci;
use crate::{HostMap, Layout};
use heapless::Vec;
use leasehold_hal::{InterruptController, Iommu, MemoryAttributes, MemoryController, Soc};
use leasehold_hal::{Stage2Geometry, Vmid};
use leasehold_memory_map::{
    Address, BoardMemory, Carveout, CarveoutKind, Conduit, HostTree, Ipa, Kept, MachineTree, MemoryMap, ModuleKind,
    Node, PAGE_SIZE, PageRange, PhysAddr, PhysRange, Prop, RegionKind, Value,
};
use spin::mutex::TicketMutex;

/// arm64 kernels start at a multiple of 2 MiB (Documentation/arch/arm64/booting.rst).
const KERNEL_ALIGNMENT: u64 = 2 << 20;

/// The most ranges of RAM or of devices.
const MAX_RANGES: usize = 32;

/// The most nodes that are kept from the host.
const MAX_KEPT: usize = 16;

/// `compatible` of SDEI (Documentation/devicetree/bindings/arm/firmware/sdei.txt).
const SDEI: &str = "arm,sdei-1.0";

/// Where the host starts, and what is in its x0.
struct HostEntry {
    entry: Ipa,
    tree: u64,
}

impl<B: Board> Hypervisor<B> {
    /// With the MMU off: makes EL2's first map.
    pub fn boot_tables(&self, device_tree: u64) {
        arch::make_tables(device_tree, B::CONFIG.registers);
    }

    /// With the MMU on: everything up to the host.
    pub fn boot_main(&self, device_tree: u64) -> ! {
        self.channel.lock().console = B::console().ok();
        match self.boot(device_tree) {
            Ok(host) => {
                crate::log::info!("host starts at {} on CPU 0", host.entry);
                self.drain(usize::MAX);
                arch::start_host(host.entry, host.tree)
            }
            Err(error) => {
                crate::log::error!("EL2 stopped: {}", error);
                self.last_words()
            }
        }
    }

    /// A further CPU, which the host has asked for.
    pub fn secondary_main(&self, index: usize) -> ! {
        arch::install(index);
        let facts = self.facts();
        arch::init_cpu(&facts.features, &facts.stage2);
        if let Err(error) = facts.interrupts.init_cpu() {
            crate::log::error!("EL2 stopped: CPU {=usize}: {}", index, error);
            self.last_words();
        }
        let (entry, argument) = PerCpu::this().host_entry();
        if facts.psci.lock().arrived(index) {
            self.state.lock().sdei.reset(index);
        }
        crate::log::info!("CPU {=usize}: host starts at {=u64:#x}", index, entry);
        self.drain_if_pending();
        arch::start_host(Ipa::checked(entry).unwrap_or(Ipa::new(0)), argument)
    }

    fn boot(&self, device_tree: u64) -> Result<HostEntry, BootError> {
        let features = Features::read();
        crate::log::info!(
            "Leasehold {=str} for {=str}, EL2",
            env!("CARGO_PKG_VERSION"),
            B::CONFIG.name
        );
        crate::log::debug!("{}", features);
        // `arch` checks what it can of the header; what follows checks the rest.
        let blob = arch::device_tree(device_tree).ok_or(BootError::NoTree(device_tree))?;
        let tree = MachineTree::parse(blob)?;
        let arguments = tree.chosen().and_then(|chosen| chosen.bootargs).unwrap_or("");
        self.log_level(arguments);
        let mut map = self.memory(&tree, device_tree, blob.len() as u64)?;
        for range in tree.memory() {
            arch::add_ram(*range, device_tree);
        }
        let mut soc = B::soc(&tree)?;
        let interrupts = soc.interrupt_controller()?;
        let iommu = soc.iommu()?;
        *self.memory.lock() = self.controller(&mut soc)?;
        let firmware = soc.firmware();
        let geometry = geometry(soc.ipa_bits(), &features)?;
        let stage2 = self.host_memory(&mut map, &soc, &interrupts, iommu, geometry, &features)?;
        let policy = self.policy(arguments)?;
        arch::init_cpu(&features, &stage2);
        interrupts.init_cpu()?;
        self.state.lock().containment = self.containment(&tree, arguments);
        let ids = IdRegisters::read();
        let rules = EntryRules::new(features.entry()).with_new_syndrome(B::CONFIG.new_syndrome);
        let hz = arch::counter_frequency();
        self.state.lock().faults.configure(policy, rules, hz);
        let psci = TicketMutex::new(cpus(&tree)?);
        let facts = Facts {
            features,
            rules,
            ids,
            stage2,
            interrupts,
            psci,
            firmware,
        };
        self.facts.call_once(|| facts);
        self.load_host(&tree, &mut map, blob.len() as u64)
    }

    /// What moves memory between masters, where this board's EL2 uses it.
    fn controller(&self, soc: &mut B::Soc) -> Result<Option<ControllerOf<B>>, BootError> {
        let controller = soc.memory_controller()?;
        if ControllerOf::<B>::MOVES {
            match &controller {
                Some(_) => crate::log::info!("memory controller: moves what is lent"),
                None => crate::log::warn!("memory controller: none answers, other masters reach what is lent"),
            }
        }
        Ok(controller)
    }

    /// The memory map, with the hypervisor's image and the machine's tree in it.
    fn memory(&self, tree: &MachineTree<'_>, at: u64, len: u64) -> Result<MemoryMap, BootError> {
        let image = PhysAddr::new(arch::image::start() as u64);
        let image = PhysRange::new(image, (arch::image::end() - arch::image::start()) as u64)?;
        let carveouts = [Carveout {
            name: "image",
            range: image,
            kind: CarveoutKind::Hypervisor,
        }];
        let board = BoardMemory {
            ram: B::CONFIG.ram,
            carveouts: &carveouts,
        };
        let blob = PhysRange::new(PhysAddr::checked(at).ok_or(BootError::NoTree(at))?, len)?;
        Ok(MemoryMap::new(tree, &board, blob)?)
    }

    /// The host's stage 2, for its CPUs and its devices.
    fn host_memory(
        &self,
        map: &mut MemoryMap,
        soc: &B::Soc,
        interrupts: &<B::Soc as Soc>::InterruptController,
        iommu: Option<<B::Soc as Soc>::Iommu>,
        geometry: Stage2Geometry,
        features: &Features,
    ) -> Result<Stage2Registers, BootError> {
        let bbm = iommu.as_ref().map_or(2, Iommu::bbm_level).min(features.bbm_level);
        let layout = if bbm >= 2 { Layout::Blocks } else { Layout::KeptPages };
        let pool = pool(map, &geometry)?;
        map.carve(pool.bytes(), RegionKind::Hypervisor)?;
        let ram: Vec<PhysRange, MAX_RANGES> = map.host_memory().collect();
        let mut hypervisor: Vec<PhysRange, MAX_RANGES> = Vec::new();
        let kept = map
            .regions()
            .iter()
            .filter(|region| region.kind == RegionKind::Hypervisor)
            .map(|region| region.range);
        for range in kept
            .chain(interrupts.trapped_frames().iter().copied())
            .chain(soc.hidden().iter().copied())
        {
            hypervisor
                .push(range)
                .map_err(|_| BootError::NoRoom(MAX_RANGES as u64))?;
        }
        let mut state = self.state.lock();
        let machine = self.machine();
        state.ownership.init_host(
            &machine,
            &HostMap {
                pool,
                geometry,
                layout,
                ram: &ram,
                devices: soc.device_windows(),
                hypervisor: &hypervisor,
            },
        )?;
        let root = state.ownership.host_root();
        crate::log::info!(
            "host memory: {=u64} MiB in {}, {=u64} KiB of tables at {}",
            ram.iter().map(PhysRange::len).sum::<u64>() >> 20,
            layout,
            pool.bytes().len() >> 10,
            pool.start(),
        );
        if let Some(iommu) = iommu {
            let attached = iommu.attach(root, &geometry, Vmid::HOST)?;
            *self.iommu.lock() = Some(attached);
            crate::log::info!("iommu: every stream is on the host's tables");
        } else {
            crate::log::warn!("no iommu: devices reach all memory");
        }
        Ok(Stage2Registers::new(&geometry, root, Vmid::HOST, features))
    }

    /// The log's level, from the boot arguments where the board lets them.
    fn log_level(&self, arguments: &str) {
        if let Some(level) = argument(arguments, "leasehold.log=") {
            if !B::CONFIG.overrides {
                crate::log::warn!("this board does not let boot arguments change the log level");
            } else if !crate::log::set_level(level) {
                crate::log::warn!("there is no log level {=str}", level);
            }
        }
    }

    /// The board's fault policy, or what the boot arguments say where the board lets them.
    fn policy(&self, arguments: &str) -> Result<Policy, BootError> {
        let Some(text) = argument(arguments, "leasehold.fault=") else {
            return Ok(B::CONFIG.policy);
        };
        if !B::CONFIG.overrides {
            crate::log::warn!("this board does not let boot arguments change the fault policy");
            return Ok(B::CONFIG.policy);
        }
        match Policy::parse(text, &B::CONFIG.policy) {
            Ok(policy) => {
                crate::log::info!("fault policy from boot arguments: {=str}", text);
                Ok(policy)
            }
            Err(error) => {
                let error: PolicyError<'_> = error;
                crate::log::error!("fault policy {=str}: {}", text, defmt::Display2Format(&error));
                Err(BootError::Policy)
            }
        }
    }

    /// Which bus masters of the machine no SMMU contains, and what that means for lending.
    fn containment(&self, tree: &MachineTree<'_>, arguments: &str) -> Containment {
        let config = &B::CONFIG;
        for master in config.uncontained_masters {
            crate::log::warn!("no SMMU contains {=str}", *master);
        }
        if let Some(bridge) = tree.bypass() {
            crate::log::warn!("no SMMU contains what is behind {}", bridge);
        }
        if tree.bypass().is_none() && config.uncontained_masters.is_empty() {
            return Containment::Whole;
        }
        let accepted = config.overrides && argument(arguments, "leasehold.uncontained=") == Some("accept");
        if accepted || config.accept_uncontained {
            crate::log::warn!("lent memory is within their reach: accepted");
            Containment::Accepted
        } else {
            crate::log::warn!("lent memory would be within their reach: lending is refused");
            Containment::Refused
        }
    }

    /// Finds the host's kernel, and writes its tree.
    fn load_host(&self, tree: &MachineTree<'_>, map: &mut MemoryMap, blob_len: u64) -> Result<HostEntry, BootError> {
        let chosen = tree.chosen().ok_or(BootError::NoKernel)?;
        let kernel = chosen.module(ModuleKind::Kernel).ok_or(BootError::NoKernel)?;
        let entry = kernel_entry(map, kernel.range)?;
        let ramdisk = chosen
            .module(ModuleKind::Ramdisk)
            .map(|module| module.range)
            .or(chosen.initrd);
        /// What nodes and properties of ours may add.
        const EXTRA: u64 = 8192;
        let room = (blob_len + EXTRA).next_multiple_of(PAGE_SIZE);
        let place = map.find_free(room, KERNEL_ALIGNMENT).ok_or(BootError::NoRoom(room))?;
        let out = arch::host_tree_buffer(place);
        let mut kept: Vec<Kept<'_>, MAX_KEPT> = Vec::new();
        // To the host, EL2 is the firmware that has SDEI.
        for node in B::CONFIG.kept.iter().copied().chain([Kept::Compatible(SDEI)]) {
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
        let len = host.write(tree, out)?;
        arch::clean(place);
        crate::log::debug!("host's tree: {=usize} bytes at {}", len, place.start());
        Ok(HostEntry {
            entry: entry.as_host_ipa(),
            tree: place.start().get(),
        })
    }
}

/// By which instruction the host calls its firmware: as for PSCI.
fn method(tree: &MachineTree<'_>) -> &'static str {
    match tree.psci() {
        Some(Conduit::Smc) => "smc",
        Some(Conduit::Hvc) | None => "hvc",
    }
}

/// The host's CPUs: this one first, which is on, then the tree's others.
fn cpus(tree: &MachineTree<'_>) -> Result<Psci<MAX_CPUS>, BootError> {
    let mut psci = Psci::new(super::power::firmware_features());
    let this = arch::affinity();
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

/// Stage 2 as the machine needs it and the CPU has it.
fn geometry(needed: u8, features: &Features) -> Result<Stage2Geometry, BootError> {
    if features.physical_bits < needed {
        return Err(BootError::AddressBits {
            cpu: features.physical_bits,
            needed,
        });
    }
    Ok(Stage2Geometry::new(needed, MemoryAttributes::Combine)?)
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

/// Where the kernel in `module` starts, from its header (Documentation/arch/arm64/booting.rst).
fn kernel_entry(map: &mut MemoryMap, module: PhysRange) -> Result<PhysAddr, BootError> {
    const MAGIC: &[u8; 4] = b"ARM\x64";
    let not_a_kernel = BootError::NotAKernel(module.start());
    if module.len() < 64 {
        return Err(not_a_kernel);
    }
    let mut header = [0; 64];
    arch::read_ram(module.start(), &mut header);
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
        map.carve(rest, RegionKind::Payload(leasehold_memory_map::Payload::Kernel))
            .map_err(|_| does_not_fit)?;
    }
    Ok(module.start())
}

/// The value of `name` (with its equals sign) among `arguments`: the last one, as Linux has it.
fn argument<'a>(arguments: &'a str, name: &str) -> Option<&'a str> {
    arguments
        .split_ascii_whitespace()
        .rev()
        .find_map(|word| word.strip_prefix(name))
}
