//! The gate between devices and memory.

use crate::{Stage2Geometry, Vmid};
use leasehold_memory_map::{Ipa, PageRange, PhysAddr, PhysRange};

/// Why an IOMMU did not do as told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum IommuError {
    /// It cannot walk tables of this geometry. The value is the identification register that says so.
    Unsupported(u32),
    /// It did not answer within its bound. What it was asked for may or may not be done.
    TimedOut,
    /// It reported an error about a command or about itself. The value is its error register.
    Failed(u32),
}

/// What an IOMMU recorded about a refused access.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum IommuEventKind {
    /// No valid translation at stage 2.
    Translation,
    /// A translation without the permission.
    Permission,
    /// An address outside of what the tables cover.
    AddressSize,
    /// The configuration refused the stream.
    Stream,
    /// Anything else. The value is the event's number.
    Other(u8),
}

/// A refused access of a device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct IommuEvent {
    /// What was wrong.
    pub kind: IommuEventKind,
    /// Who it was: the stream id.
    pub stream: u32,
    /// Where it wanted to go, if the event says so.
    pub address: Option<u64>,
    /// Whether it was a write, if the event says so.
    pub write: Option<bool>,
}

/// A unit that translates the accesses of devices by the same stage-2 tables that CPUs walk.
///
/// Invalidations are in two steps, as the hardware has them: [`invalidate`](Iommu::invalidate) any number of times,
/// then [`sync`](Iommu::sync), after whose success no device uses a translation from before.
pub trait Iommu: Send {
    /// Puts every stream on the tables at `root`. Until then every stream is refused.
    ///
    /// # Errors
    /// [`IommuError::Unsupported`] when it cannot walk them; every stream stays refused.
    fn attach(&mut self, root: PhysAddr, geometry: &Stage2Geometry, vmid: Vmid) -> Result<(), IommuError>;

    /// The break-before-make level of its walker (0, 1 or 2), as ID_AA64MMFR2_EL1.BBM counts.
    fn bbm_level(&self) -> u8;

    /// Asks it to forget translations of `range`. Bounded; does not wait.
    ///
    /// # Errors
    /// [`IommuError::TimedOut`] when it takes no command within the bound.
    fn invalidate(&mut self, vmid: Vmid, range: PageRange<Ipa>) -> Result<(), IommuError>;

    /// Asks it to forget all translations of `vmid`. Bounded; does not wait.
    ///
    /// # Errors
    /// As [`invalidate`](Iommu::invalidate).
    fn invalidate_all(&mut self, vmid: Vmid) -> Result<(), IommuError>;

    /// Waits, with a bound, until everything asked for has happened.
    ///
    /// # Errors
    /// [`IommuError::TimedOut`] or [`IommuError::Failed`]: assume that stale translations are still in use.
    fn sync(&mut self) -> Result<(), IommuError>;

    /// Takes the oldest recorded event. `None` when there is none.
    fn next_event(&mut self) -> Option<IommuEvent>;

    /// The registers, which no VM may reach.
    fn registers(&self) -> PhysRange;
}
