//! The gates between bus masters and memory that are not an IOMMU's, and how memory itself is.

use leasehold_memory_map::{PageRange, PhysAddr};

/// Whose a range of memory is, as the gates tell masters apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum MemoryOwner {
    /// The host's: its CPUs, and every master that works for it, reach the range.
    Host,
    /// A borrower's: no master reaches the range but the CPUs, whose way to it EL2's tables decide about.
    Borrower,
}

/// Why ranges have not moved, or not all of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum AssignError {
    /// It refused, with this code of its own: nothing has moved.
    Refused(i64),
    /// It refused on the way, with this code: so many ranges, the first ones, have moved, the others have not.
    Partial {
        /// How many.
        moved: usize,
        /// Its own code.
        code: i64,
    },
    /// It did not answer within its bound: what has moved is unknown, and may change until the same ranges are moved, in
    /// whichever direction, with success.
    Late,
}

/// A part of a memory controller that keeps bits, and counts those that turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum MemoryPart {
    /// Tags of the system's cache.
    CacheTags,
    /// Data in the system's cache.
    CacheData,
}

/// Bits that turned since the last report.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct MemoryFault {
    /// In which bank.
    pub bank: usize,
    /// In which part.
    pub part: MemoryPart,
    /// Whether they were corrected. If not, what was read was wrong.
    pub corrected: bool,
    /// How often.
    pub count: u32,
    /// In which ways of the cache, a bit for each.
    pub ways: u32,
    /// The first word of what was seen of the last one.
    pub syndrome: u32,
}

/// What stands between bus masters and memory beside IOMMUs: protection units that secure firmware programs.
pub trait MemoryController: Send {
    /// Whether EL2 has it move memory. A constant, so that lending on other machines pays nothing for it.
    const MOVES: bool;

    /// Moves `ranges`, which are the other owner's, to `to`. What is `to`'s already, since an earlier call was late or
    /// partial, stays and is no error. Bounded.
    ///
    /// To be called between the moment when no IOMMU and no CPU leads the old owner to the ranges any more, and the one when
    /// any leads the new owner there.
    ///
    /// # Errors
    /// [`AssignError`]: what has moved can be moved back by a call for all of `ranges`.
    fn assign(&mut self, ranges: &[PageRange<PhysAddr>], to: MemoryOwner) -> Result<(), AssignError>;

    /// Tells `report` which bits have turned since the last call, and forgets them. Bounded. Nothing where the hardware's
    /// registers are not EL2's to read.
    fn check(&mut self, report: &mut dyn FnMut(MemoryFault));
}

/// What machines have where EL2 knows of no such controller.
#[derive(Clone, Copy, Debug)]
pub enum NoMemoryController {}

impl MemoryController for NoMemoryController {
    const MOVES: bool = false;

    fn assign(&mut self, _: &[PageRange<PhysAddr>], _: MemoryOwner) -> Result<(), AssignError> {
        match *self {}
    }

    fn check(&mut self, _: &mut dyn FnMut(MemoryFault)) {
        match *self {}
    }
}
