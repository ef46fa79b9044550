//! The gate between devices and memory.

use crate::{Stage2Geometry, Vmid};
use leasehold_memory_map::{Ipa, PageRange, PhysAddr, PhysRange};

/// Why an IOMMU did not do as told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum IommuError {
    /// It cannot walk tables of this geometry, or cannot tell streams apart as it would have to. The value is the
    /// identification register that says so.
    Unsupported(u32),
    /// The root of the tables is not aligned to its size, or beyond what it can address.
    Root(PhysAddr),
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
    /// Events were lost: there were more than it had room for. Carries no stream and no address.
    Lost,
    /// Anything else. The value is the event's number.
    Other(u8),
}

/// A refused access of a device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct IommuEvent {
    /// What was wrong.
    pub kind: IommuEventKind,
    /// Who it was: the stream id, if the event says so.
    pub stream: Option<u32>,
    /// Where it wanted to go, if the event says so.
    pub address: Option<u64>,
    /// Whether it was a write, if the event says so.
    pub write: Option<bool>,
}

/// What a unit said about itself when it did not confirm in time, for the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct IommuTimeout {
    /// Its status registers.
    pub status: [u32; 2],
    /// Of the parts that hold translations, if the SoC says where to read it: which have power, which have acknowledged,
    /// and what is being waited for.
    pub buffers: Option<[u32; 3]>,
}

/// A unit that stands between devices and memory and, as yet, refuses every access; or, where firmware leaves masters
/// running that must not be interrupted, lets past what firmware let past.
///
/// The protocol is in the types: what is [`attach`](Iommu::attach)ed translates, and can be told to forget; what is
/// not has nothing to forget.
pub trait Iommu: Send {
    /// The unit once it walks the host's tables.
    type Attached: AttachedIommu;

    /// The break-before-make level of its walker (0, 1 or 2), as ID_AA64MMFR2_EL1.BBM counts.
    fn bbm_level(&self) -> u8;

    /// Whether it sees the tables as CPUs do. Else whoever writes an entry that it may walk cleans it to the point of
    /// coherency, before [`attach`](Self::attach) too.
    fn walks_coherently(&self) -> bool {
        false
    }

    /// The registers, which no VM may reach.
    fn registers(&self) -> PhysRange;

    /// Puts every stream on the tables at `root`, or refuses it. The tables must stay tables for ever, and hold only what
    /// devices of that VM may reach. Bounded.
    ///
    /// # Errors
    /// [`IommuError::Unsupported`] when it cannot walk them, else what went wrong. Whatever the error, no stream gets
    /// past it: those that are not refused are on the tables.
    fn attach(self, root: PhysAddr, geometry: &Stage2Geometry, vmid: Vmid) -> Result<Self::Attached, IommuError>;
}

/// A unit that translates the accesses of devices by the same stage-2 tables that CPUs walk.
///
/// Invalidations are in two steps, as the hardware has them: [`invalidate`](AttachedIommu::invalidate) any number of
/// times, then [`sync`](AttachedIommu::sync), after whose success no device uses a translation from before.
pub trait AttachedIommu: Send {
    /// Whether there are units of this kind that do not walk coherently. Where there are none, nothing is asked at run time.
    const MAY_WALK_PAST_CACHES: bool = true;

    /// Asks it to forget translations of `range`, and what it remembers of the tables that led there. Waits at most
    /// for room in a queue, with a bound.
    ///
    /// # Errors
    /// [`IommuError::TimedOut`] when it takes no command within the bound: some of the range may not have been asked
    /// for, and the next [`sync`](AttachedIommu::sync) does not speak for it.
    fn invalidate(&mut self, vmid: Vmid, range: PageRange<Ipa>) -> Result<(), IommuError>;

    /// Asks it to forget all translations of `vmid`. Waits at most for room in a queue, with a bound.
    ///
    /// # Errors
    /// As [`invalidate`](AttachedIommu::invalidate).
    fn invalidate_all(&mut self, vmid: Vmid) -> Result<(), IommuError>;

    /// Waits, with a bound, until everything asked for has happened.
    ///
    /// # Errors
    /// [`IommuError::TimedOut`] or [`IommuError::Failed`]: assume that stale translations are still in use, and ask
    /// again before the next sync.
    fn sync(&mut self) -> Result<(), IommuError>;

    /// Takes the oldest recorded event. `None` when there is none. A device can make events as fast as EL2 takes them:
    /// whoever drains sets a bound.
    fn next_event(&mut self) -> Option<IommuEvent>;

    /// What it said when it last did not confirm in time, if it says such things.
    fn timeout(&self) -> Option<IommuTimeout> {
        None
    }
}
