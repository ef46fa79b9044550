//! Why a call is refused, and the error code that says so.

use crate::ffa::{MailboxError, Malformed};
use crate::ownership::OwnershipError;
use leasehold_abi::ffa;
use leasehold_hal::AssignError;

/// Why a call was refused. It has changed nothing, unless [`OwnershipError`] says otherwise.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Refusal {
    /// The function, or the feature asked about, is not offered. The value is its id.
    NotOffered(u32),
    /// A register that must be zero is not, or has a reserved bit set.
    Reserved(u64),
    /// A buffer's address is not a page's, or the two are one.
    BadBuffer(u64),
    /// Buffers of so many pages are not offered: one page each.
    BufferPages(u64),
    /// The page is none that the caller can have for a buffer.
    Buffer(OwnershipError),
    /// The mailbox is not in a state for this.
    Mailbox(MailboxError),
    /// A descriptor in a buffer of its own. It goes into TX.
    OwnBuffer(u64),
    /// A descriptor in fragments: the total length, and that of the first.
    Fragmented(u32, u32),
    /// The descriptor would be longer than TX. The value is its length.
    TooLong(u32),
    /// The descriptor is not what it must be.
    Malformed(Malformed),
    /// The descriptor names another one than the caller as sender.
    NotSender(u16),
    /// The descriptor names another one than the caller as receiver.
    NotReceiver(u16),
    /// No VM that could borrow has this id.
    NoSuchEndpoint(u16),
    /// The memory was not lent by the one whom the borrower names.
    NotLender(u16),
    /// The borrower names another tag or IMPLEMENTATION DEFINED value than the lender. The tag that it names.
    WrongTag(u64),
    /// Memory attributes other than Normal, Write-Back, Inner Shareable.
    Attributes(u16),
    /// Less access than reading and writing (a lender) or than reading, writing and executing (a borrower): it could
    /// not be enforced.
    LessAccess,
    /// The borrower wants the lease in so many pages, and it has another number.
    WrongPages(u64),
    /// There is no place for the lease in the borrower's memory.
    NoPlace,
    /// Not all masters of this machine can be kept out of lent memory, and the board does not accept that.
    Uncontained,
    /// The lender has promised not to map the memory, and does: at this virtual address.
    Mapped(u64),
    /// The lender has promised not to map more pages than that can be looked up for in one call.
    TooManyAliases(u64),
    /// Ownership does not change like that.
    Ownership(OwnershipError),
}

impl Refusal {
    /// The error code (DEN0077A Table 12.1). For each call, as its own table in DEN0077A or DEN0140 has it: what the
    /// caller could have known to be wrong is an invalid parameter, what depends on who owns what is denied.
    #[must_use]
    pub const fn code(&self) -> i32 {
        match self {
            Self::NotOffered(_) => ffa::NOT_SUPPORTED,
            Self::Reserved(_)
            | Self::BadBuffer(_)
            | Self::BufferPages(_)
            | Self::Buffer(_)
            | Self::OwnBuffer(_)
            | Self::Fragmented(..)
            | Self::TooLong(_)
            | Self::NotReceiver(_)
            | Self::NoSuchEndpoint(_)
            | Self::NotLender(_)
            | Self::WrongTag(_)
            | Self::WrongPages(_) => ffa::INVALID_PARAMETERS,
            Self::TooManyAliases(_) => ffa::NO_MEMORY,
            Self::Malformed(malformed) => malformed.code(),
            Self::NotSender(_)
            | Self::Attributes(_)
            | Self::LessAccess
            | Self::NoPlace
            | Self::Uncontained
            | Self::Mapped(_) => ffa::DENIED,
            Self::Mailbox(error) => match error {
                MailboxError::Mapped | MailboxError::RxEmpty => ffa::DENIED,
                MailboxError::NotMapped => ffa::INVALID_PARAMETERS,
                MailboxError::RxFull => ffa::BUSY,
            },
            Self::Ownership(error) => ownership_code(error),
        }
    }
}

/// A handle that names nothing and one that names another's lease are answered alike.
const fn ownership_code(error: &OwnershipError) -> i32 {
    match error {
        OwnershipError::InvalidRange { .. }
        | OwnershipError::BadLayout { .. }
        | OwnershipError::NoRanges
        | OwnershipError::Overlap(_)
        | OwnershipError::NoSuchVm(_)
        | OwnershipError::NoSuchLease(_)
        | OwnershipError::NotParty(_) => ffa::INVALID_PARAMETERS,
        OwnershipError::TooManyRanges(_)
        | OwnershipError::TooManyPages(_)
        | OwnershipError::TooManyLeases(_)
        | OwnershipError::TooManyPins(_)
        | OwnershipError::NoMemory => ffa::NO_MEMORY,
        OwnershipError::NotOwner(_)
        | OwnershipError::Hypervisor(_)
        | OwnershipError::Device(_)
        | OwnershipError::Pinned(_)
        | OwnershipError::Occupied(_)
        | OwnershipError::VmExists(_)
        | OwnershipError::Denied(_)
        | OwnershipError::WrongState(_) => ffa::DENIED,
        OwnershipError::Controller(AssignError::Refused(_) | AssignError::Partial { .. }) => ffa::DENIED,
        OwnershipError::TimedOut(_) | OwnershipError::Controller(AssignError::Late) => ffa::ABORTED,
    }
}

impl From<Malformed> for Refusal {
    fn from(malformed: Malformed) -> Self {
        Self::Malformed(malformed)
    }
}

impl From<MailboxError> for Refusal {
    fn from(error: MailboxError) -> Self {
        Self::Mailbox(error)
    }
}

impl From<OwnershipError> for Refusal {
    fn from(error: OwnershipError) -> Self {
        Self::Ownership(error)
    }
}
