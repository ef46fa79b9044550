//! Why a machine does not start, as a person reads it.

use crate::OwnershipError;
#[cfg(feature = "defmt")]
use crate::layout::MAX_CPUS;
use leasehold_hal::{GeometryError, InterruptError, IommuError, SocError};
use leasehold_memory_map::{MapError, PhysAddr, RangeError, TreeError, WriteError};

/// Why the machine does not start.
#[derive(Clone, Copy, Debug)]
pub enum BootError {
    /// EL2 has VHE's layout alone.
    VheOnly,
    /// There is no device tree at the address in x0.
    NoTree(u64),
    /// The device tree is none that can be read.
    Tree(TreeError),
    /// The memory that it describes makes no sense, or not for this board.
    Map(MapError),
    /// It has more CPUs than this build has stacks for. The value is how many those are.
    TooManyCpus(usize),
    /// A part of the machine is missing or not as it must be.
    Soc(SocError),
    /// No place for this many bytes.
    NoRoom(u64),
    /// The machine's addresses do not fit stage 2.
    Geometry(GeometryError),
    /// The CPU has fewer address bits than the machine's devices need.
    AddressBits {
        /// What the CPU has.
        cpu: u8,
        /// What the machine needs.
        needed: u8,
    },
    /// The host's map cannot be made.
    HostMap(OwnershipError),
    /// Devices could not be contained.
    Iommu(IommuError),
    /// The interrupt controller does not do as told.
    Interrupts(InterruptError),
    /// A range is none.
    Range(RangeError),
    /// `/chosen` has no module that is a kernel.
    NoKernel,
    /// The module at this address is no arm64 `Image`.
    NotAKernel(PhysAddr),
    /// The kernel at this address is not as far above a multiple of 2 MiB as its header says.
    KernelUnaligned(PhysAddr),
    /// The kernel at this address, with what it needs behind its file, does not fit.
    KernelDoesNotFit(PhysAddr),
    /// The host's tree cannot be written.
    Write(WriteError),
    /// The fault policy in the boot arguments is none. The log says why.
    Policy,
}

#[cfg(feature = "defmt")]
impl defmt::Format for BootError {
    fn format(&self, f: defmt::Formatter<'_>) {
        use defmt::write;
        match self {
            Self::VheOnly => write!(
                f,
                "this CPU's EL2 is VHE's alone (HCR_EL2.E2H stays 1), which this version does not run on"
            ),
            Self::NoTree(at) => write!(f, "no device tree at {=u64:#x}, the address in x0", at),
            Self::Tree(error) => write!(f, "the device tree cannot be read: {}", error),
            Self::Map(error) => write!(f, "the device tree's memory makes no sense: {}", error),
            Self::TooManyCpus(count) => write!(f, "{=usize} CPUs, but stacks for {=usize}", count, MAX_CPUS),
            Self::Soc(error) => write!(f, "a part of the machine is missing or not as it must be: {}", error),
            Self::NoRoom(bytes) => write!(f, "no free memory for {=u64} bytes", bytes),
            Self::Geometry(error) => write!(f, "the machine's addresses do not fit stage 2: {}", error),
            Self::AddressBits { cpu, needed } => write!(
                f,
                "the CPU has {=u8} address bits, the machine's devices need {=u8}",
                cpu, needed
            ),
            Self::HostMap(error) => write!(f, "the host's map cannot be made: {}", error),
            Self::Iommu(error) => write!(f, "devices cannot be contained: {}", error),
            Self::Interrupts(error) => write!(f, "the interrupt controller does not do as told: {}", error),
            Self::Range(error) => write!(f, "a range of memory is none: {}", error),
            Self::NoKernel => write!(f, "no kernel: /chosen of the device tree has no module that is one"),
            Self::NotAKernel(at) => write!(f, "the kernel at {} is no arm64 Image", at),
            Self::KernelUnaligned(at) => write!(
                f,
                "the kernel at {} is not where its header wants it, text_offset above a multiple of 2 MiB",
                at
            ),
            Self::KernelDoesNotFit(at) => write!(
                f,
                "the kernel at {} does not fit: the memory that its header asks for is not all free",
                at
            ),
            Self::Write(error) => write!(f, "the host's device tree cannot be written: {}", error),
            Self::Policy => write!(f, "the fault policy in the boot arguments is none"),
        }
    }
}

macro_rules! from {
    ($($error:ident => $variant:ident),+ $(,)?) => {
        $(impl From<$error> for BootError {
            fn from(error: $error) -> Self {
                Self::$variant(error)
            }
        })+
    };
}
from!(TreeError => Tree, MapError => Map, SocError => Soc, GeometryError => Geometry, OwnershipError => HostMap,
    IommuError => Iommu, InterruptError => Interrupts, RangeError => Range, WriteError => Write);
