//! A machine, as its device tree describes it.

use super::chosen::Chosen;
use super::error::NodeName;
use super::value;
use crate::range::PhysRange;
use heapless::Vec;
use leasehold_fdt::Fdt;

/// How many ranges of memory a tree may have.
pub const MAX_MEMORY: usize = 32;
/// How many entries the memory reservation block may have.
pub const MAX_RESERVATIONS: usize = 16;
/// How many ranges `/reserved-memory` may have. Linux 6.12's Qualcomm trees reach 50.
pub const MAX_RESERVED: usize = 96;
/// How many nodes of `/reserved-memory` may have a size and no place.
pub const MAX_DYNAMIC: usize = 16;
/// How many CPUs a tree may have.
pub const MAX_CPUS: usize = 64;
/// How many ranges the interrupt controller may have.
pub const MAX_GIC_RANGES: usize = 8;
/// How many SMMUs of version 3 a tree may have.
pub const MAX_SMMUS: usize = 4;

/// What may be done with a reserved range
/// (Documentation/devicetree/bindings/reserved-memory/reserved-memory.yaml, dt-schema).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum ReservationKind {
    /// Not for general use, but mapped.
    Plain,
    /// `no-map`: the operating system must not even map it.
    NoMap,
    /// `reusable`: the operating system may use it until its owner wants it.
    Reusable,
}

/// A range of `/reserved-memory`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct ReservedRange<'a> {
    /// The node's name.
    pub name: &'a str,
    /// What is reserved.
    pub range: PhysRange,
    /// What may be done with it.
    pub kind: ReservationKind,
}

/// A node of `/reserved-memory` that asks for a size and leaves the place to the operating system.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct DynamicReservation<'a> {
    /// The node's name.
    pub name: &'a str,
    /// How many bytes it asks for.
    pub len: u64,
    /// The alignment that it asks for, in bytes; 0 where it does not say.
    pub alignment: u64,
    /// What may be done with the place that is found.
    pub kind: ReservationKind,
}

/// How a CPU is started.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum EnableMethod {
    /// By PSCI `CPU_ON`.
    Psci,
    /// It spins until this address (`cpu-release-addr`) holds an entry point.
    SpinTable(u64),
    /// In a way that the tree does not say, or that this reader does not know.
    Unknown,
}

/// A CPU.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Cpu {
    /// The affinity fields of its MPIDR_EL1, where they stand in the register: bits 39:32 and 23:0.
    pub affinity: u64,
    /// How it is started.
    pub enable: EnableMethod,
}

/// The instruction by which firmware is called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Conduit {
    /// `SMC`: the firmware is at EL3.
    Smc,
    /// `HVC`: the firmware is at EL2.
    Hvc,
}

/// The architecture version of a GIC.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum GicVersion {
    /// GICv2: distributor, CPU interface, then GICH and GICV where it virtualises.
    V2,
    /// GICv3 and GICv4: distributor, then redistributors.
    V3,
}

/// The interrupt controller.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Gic {
    /// Its version.
    pub version: GicVersion,
    /// Its register frames, in the order of `reg`: at least distributor and CPU interface, or distributor and
    /// [`Gic::redistributor_regions`] ranges of redistributors.
    pub ranges: Vec<PhysRange, MAX_GIC_RANGES>,
    /// How many of the ranges hold redistributors, after the distributor. 0 for GICv2.
    pub redistributor_regions: usize,
    /// The distance of two redistributors in bytes, where the tree says.
    pub redistributor_stride: Option<u64>,
}

impl Gic {
    /// How many of the ranges the host may see: all but what GICv2 has to virtualise CPU interfaces (GICH, GICV) and
    /// the memory-mapped CPU interfaces of a GICv3.
    #[must_use]
    pub fn host_ranges(&self) -> usize {
        match self.version {
            GicVersion::V2 => 2,
            GicVersion::V3 => 1 + self.redistributor_regions,
        }
    }
}

/// What the hypervisor needs to know of its machine, read from the device tree `'a`.
///
/// Some 7 KiB: make it once, early, and hand it on by reference.
#[derive(Clone, Debug)]
pub struct MachineTree<'a> {
    pub(super) fdt: Fdt<'a>,
    pub(super) compatible: &'a [u8],
    pub(super) memory: Vec<PhysRange, MAX_MEMORY>,
    pub(super) reservations: Vec<PhysRange, MAX_RESERVATIONS>,
    pub(super) reserved: Vec<ReservedRange<'a>, MAX_RESERVED>,
    pub(super) dynamic: Vec<DynamicReservation<'a>, MAX_DYNAMIC>,
    pub(super) chosen: Option<Chosen<'a>>,
    pub(super) cpus: Vec<Cpu, MAX_CPUS>,
    pub(super) psci: Option<Conduit>,
    pub(super) gic: Option<Gic>,
    pub(super) smmus: Vec<PhysRange, MAX_SMMUS>,
    pub(super) bypass: Option<NodeName>,
    pub(super) timer: bool,
}

impl<'a> MachineTree<'a> {
    /// The tree itself.
    #[must_use]
    pub fn fdt(&self) -> &Fdt<'a> {
        &self.fdt
    }

    /// Whether the machine calls itself `name` in the root's `compatible`.
    #[must_use]
    pub fn is_machine(&self, name: &str) -> bool {
        value::lists_any(self.compatible, &[name])
    }

    /// Memory, in the order of the tree. Entries of length zero are left out; overlaps are not looked for
    /// ([`MemoryMap`](crate::MemoryMap) does that).
    #[must_use]
    pub fn memory(&self) -> &[PhysRange] {
        &self.memory
    }

    /// The entries of the memory reservation block.
    #[must_use]
    pub fn reservations(&self) -> &[PhysRange] {
        &self.reservations
    }

    /// The ranges of `/reserved-memory`, in the order of the tree.
    #[must_use]
    pub fn reserved(&self) -> &[ReservedRange<'a>] {
        &self.reserved
    }

    /// The nodes of `/reserved-memory` without a place.
    #[must_use]
    pub fn dynamic_reservations(&self) -> &[DynamicReservation<'a>] {
        &self.dynamic
    }

    /// `/chosen`, if there is one.
    #[must_use]
    pub fn chosen(&self) -> Option<&Chosen<'a>> {
        self.chosen.as_ref()
    }

    /// The CPUs that may be used, in the order of the tree.
    #[must_use]
    pub fn cpus(&self) -> &[Cpu] {
        &self.cpus
    }

    /// How PSCI is called, if there is a node for it.
    #[must_use]
    pub fn psci(&self) -> Option<Conduit> {
        self.psci
    }

    /// The interrupt controller, if it is a GIC.
    #[must_use]
    pub fn gic(&self) -> Option<&Gic> {
        self.gic.as_ref()
    }

    /// The register frames of the SMMUs of version 3.
    #[must_use]
    pub fn smmus(&self) -> &[PhysRange] {
        &self.smmus
    }

    /// A PCI host bridge whose devices no IOMMU contains: it has no `iommu-map` (Devicetree binding `pci-iommu`).
    #[must_use]
    pub fn bypass(&self) -> Option<&NodeName> {
        self.bypass.as_ref()
    }

    /// Whether there is a node for the generic timer.
    #[must_use]
    pub fn has_timer(&self) -> bool {
        self.timer
    }
}
