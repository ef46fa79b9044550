//! What the hypervisor's core expects of a machine, as traits, and the stage-2 geometry that CPUs and SMMUs share.
//!
//! Implemented by `drivers`, composed by `bsp/soc`, used by `hyp-core`. None of the three sees another's insides.
#![cfg_attr(not(test), no_std)]
#![forbid(unsafe_code)]

#[cfg(feature = "fake")]
extern crate std;

mod console;
#[cfg(feature = "fake")]
pub mod fake;
mod firmware;
mod geometry;
mod interrupt;
mod iommu;
mod memory;
mod soc;
mod vmid;

pub use console::{Console, ConsoleError};
pub use firmware::{Firmware, NoFirmware, SmcAction, SmcBuffer, SmcPolicy, SmcRegisters, SmcRule, SmcSize, scm};
pub use geometry::{GeometryError, MemoryAttributes, Stage2Geometry};
pub use interrupt::{InterruptController, InterruptError};
pub use iommu::{AttachedIommu, Iommu, IommuError, IommuEvent, IommuEventKind, IommuTimeout};
pub use memory::{AssignError, MemoryController, MemoryFault, MemoryOwner, MemoryPart, NoMemoryController};
pub use soc::{Soc, SocError, Watchdogs};
pub use vmid::Vmid;
