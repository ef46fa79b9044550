//! Why ownership does not change.

use crate::id::{Handle, VmId};
use crate::stage2::{Reason, Refusal};
use leasehold_hal::AssignError;
use leasehold_memory_map::Ipa;

/// Why a call was refused. A refused call changes nothing, unless the variant says otherwise.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum OwnershipError {
    /// Not whole pages, empty, wrapping, or beyond what the VM's addresses reach. The values are the caller's.
    InvalidRange {
        /// The address given.
        address: u64,
        /// The number of pages given.
        pages: u64,
    },
    /// A lend of no ranges.
    NoRanges,
    /// More ranges than a lease can have. The value is the most.
    TooManyRanges(usize),
    /// More pages than a lease can have. The value is the most.
    TooManyPages(u64),
    /// The page is in two ranges of the same call.
    Overlap(Ipa),
    /// The caller does not own the page: it is lent already, or there is nothing.
    NotOwner(Ipa),
    /// The page is the hypervisor's own.
    Hypervisor(Ipa),
    /// There are registers of a device, not RAM.
    Device(Ipa),
    /// The page is in use as a mailbox of its holder, or by firmware for it, or other masters have it.
    Pinned(Ipa),
    /// The VM already has something mapped there.
    Occupied(Ipa),
    /// There is no VM of this id, or it is being destroyed.
    NoSuchVm(VmId),
    /// There is a VM of this id already.
    VmExists(VmId),
    /// This VM cannot lend, or not to this borrower.
    Denied(VmId),
    /// The handle names no lease.
    NoSuchLease(Handle),
    /// The caller has no part in the lease.
    NotParty(VmId),
    /// The lease is not in a state for this call.
    WrongState(Handle),
    /// The pool of table pages is empty.
    NoMemory,
    /// All leases are in use. The value is how many there are.
    TooManyLeases(usize),
    /// A VM cannot pin, or have firmware use, more pages or ranges. The value is the most.
    TooManyPins(usize),
    /// The boot's ranges are not whole pages, or do not fit the tables.
    BadLayout {
        /// Where the range starts.
        start: u64,
        /// How many bytes it has.
        len: u64,
    },
    /// TLBs that hold translations of this VM did not confirm in time. The same call can be made again; until it
    /// succeeds the pages concerned stay with their old holder (a lend) or with nobody (all else).
    TimedOut(VmId),
    /// The memory controller did not move the pages. A lend that it refuses is undone; where it does not even undo it in
    /// time, and where it does not move back what is reclaimed or taken, nobody has the pages until it has: the same call,
    /// or for a lend any later lend or reclaim, tries again.
    Controller(AssignError),
}

impl From<AssignError> for OwnershipError {
    fn from(error: AssignError) -> Self {
        Self::Controller(error)
    }
}

impl From<Refusal> for OwnershipError {
    fn from(refusal: Refusal) -> Self {
        match refusal.reason {
            Reason::Claimed => Self::Overlap(refusal.at),
            Reason::Leased | Reason::Nothing => Self::NotOwner(refusal.at),
            Reason::Hypervisor => Self::Hypervisor(refusal.at),
            Reason::Device => Self::Device(refusal.at),
            Reason::Occupied => Self::Occupied(refusal.at),
            Reason::NoTables => Self::NoMemory,
        }
    }
}
