//! What a borrower writes to get a lease, and what it is answered.

use super::region::{Constituents, composite};
use super::{
    ACCESS_1_1, ACCESS_1_2, Bounded, COMPOSITE, CONSTITUENT, DataAccess, Field, Malformed, TRANSACTION, bad,
    endpoint_access, flags, header, must_be_zero, permissions,
};
use crate::ffa::words::{Sink, Source};
use crate::id::{Handle, VmId};
use leasehold_abi::ffa;
use leasehold_memory_map::{Address, Ipa, PageRange};

/// A borrower's request for what was lent to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RetrieveRequest {
    /// Who lent it.
    pub sender: u16,
    /// Who asks.
    pub receiver: u16,
    /// Which lease.
    pub handle: Handle,
    /// The lender's number.
    pub tag: u64,
    /// The lender's other number.
    pub implementation_defined: [u64; 2],
    /// Memory region attributes, 0 for "not specified".
    pub attributes: u16,
    /// What it wants to do, if it says so.
    pub data: Option<DataAccess>,
    /// Whether it wants to execute, if it says so.
    pub executable: Option<bool>,
    /// Where it wants it, if it says so.
    pub place: Option<PageRange<Ipa>>,
}

impl RetrieveRequest {
    /// Decodes the `len` bytes that came with `FFA_MEM_RETRIEVE_REQ`. Where a place is named, it is one range.
    ///
    /// # Errors
    /// [`Malformed`].
    pub fn decode<S: Source + ?Sized>(source: &S, len: usize) -> Result<Self, Malformed> {
        let from = Bounded::new(source, len)?;
        let header = header(&from)?;
        must_be_zero(Field::Attributes, 2, (header.attributes >> 7).into())?;
        let known = flags::ZERO | flags::TIME_SLICE | flags::ZERO_AFTER | flags::TYPE_MASK | flags::BYPASS_BORROWERS;
        let kind = header.flags & flags::TYPE_MASK;
        // Bits 9:5, a hint about alignment, are not offered.
        if header.flags & !known != 0 || kind & !flags::TYPE_LEND != 0 {
            return bad(Field::Flags, 4, header.flags.into());
        }
        let access = endpoint_access(&from, &header)?;
        let (data, executable) = permissions(access.permissions, header.access + 2)?;
        let place = if access.composite == 0 {
            let end = header.access + header.access_size;
            if len != end {
                return bad(Field::Length, end, len as u64);
            }
            None
        } else {
            Some(one_range(composite(from, &header, access.composite)?)?)
        };
        Ok(Self {
            sender: header.sender,
            receiver: access.endpoint,
            handle: Handle::from_raw(header.handle),
            tag: header.tag,
            implementation_defined: access.implementation_defined,
            attributes: header.attributes,
            data,
            executable,
            place,
        })
    }
}

/// The one range of `constituents`, which are asked twice: the second time they compare the sum.
fn one_range<S: Source + ?Sized>(mut constituents: Constituents<'_, S>) -> Result<PageRange<Ipa>, Malformed> {
    let at = constituents.offset();
    if constituents.len() != 1 {
        return bad(Field::RangeCount, at + 4, constituents.len() as u64);
    }
    let range = constituents.next();
    let _ = constituents.next();
    if let Some(error) = constituents.error() {
        return Err(error);
    }
    let range = range.and_then(|range| PageRange::new(Ipa::checked(range.address)?, range.pages.into()).ok());
    let value = constituents.total_pages().into();
    range.ok_or(Malformed::new(Field::Range, at + COMPOSITE, value))
}

/// What `FFA_MEM_RETRIEVE_RESP` tells a borrower.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RetrieveResponse {
    /// Who lent it.
    pub sender: VmId,
    /// Who has it now.
    pub receiver: VmId,
    /// Which lease.
    pub handle: Handle,
    /// The lender's number.
    pub tag: u64,
    /// The lender's other number.
    pub implementation_defined: [u64; 2],
    /// Where it is, all of it read, written and executed.
    pub place: PageRange<Ipa>,
}

impl RetrieveResponse {
    /// Writes the response to `rx`, with access descriptors as `version` (of FF-A) has them, and gives its length.
    pub fn encode<S: Sink + ?Sized>(&self, rx: &mut S, version: u32) -> usize {
        let access_size = if version >= ffa::VERSION_1_2 {
            ACCESS_1_2
        } else {
            ACCESS_1_1
        };
        let composite = TRANSACTION + access_size;
        let attributes = u64::from(ffa::ATTRIBUTES_NORMAL_WB_ISH);
        let flags = u64::from(flags::ZERO | flags::TYPE_LEND);
        rx.put(0, u64::from(self.sender.endpoint()) | attributes << 16 | flags << 32);
        rx.put(8, self.handle.raw());
        rx.put(16, self.tag);
        rx.put(24, access_size as u64 | 1 << 32);
        rx.put(32, TRANSACTION as u64);
        rx.put(40, 0);
        let permissions = u64::from(ffa::PERMISSION_RW | ffa::PERMISSION_EXEC);
        let endpoint = u64::from(self.receiver.endpoint());
        rx.put(TRANSACTION, endpoint | permissions << 16 | (composite as u64) << 32);
        if access_size == ACCESS_1_2 {
            rx.put(TRANSACTION + 8, self.implementation_defined[0]);
            rx.put(TRANSACTION + 16, self.implementation_defined[1]);
        }
        rx.put(composite - 8, 0);
        rx.put(composite, self.place.count() & u64::from(u32::MAX) | 1 << 32);
        rx.put(composite + 8, 0);
        rx.put(composite + COMPOSITE, self.place.start().get());
        rx.put(composite + COMPOSITE + 8, self.place.count() & u64::from(u32::MAX));
        composite + COMPOSITE + CONSTITUENT
    }
}
