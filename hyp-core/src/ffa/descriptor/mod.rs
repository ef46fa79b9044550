//! Memory transaction descriptors (Arm DEN0140, the memory management protocol of FF-A 1.2, chapter 1; up to FF-A 1.1
//! DEN0077A section 10.8): what a lender or a borrower writes, decoded and checked.
//!
//! Layouts, in doublewords:
//!
//! ```text
//! transaction (Table 1.20)        +0  sender | attributes << 16 | flags << 32
//!                                 +8  handle
//!                                 +16 tag
//!                                 +24 size of an access descriptor | their number << 32
//!                                 +32 offset of the first one | 0
//!                                 +40 0
//! endpoint access (Table 1.16)    +0  endpoint | permissions << 16 | flags << 24 | offset of composite << 32
//!   of 16 bytes (FF-A 1.1)        +8  0
//!   of 32 bytes (FF-A 1.2)        +8  IMPLEMENTATION DEFINED, 16 bytes
//!                                 +24 0
//! composite region (Table 1.13)   +0  total pages | number of ranges << 32
//!                                 +8  0
//! constituent (Table 1.14)        +0  address
//!                                 +8  pages | 0 << 32
//! ```
//!
//! Every offset, count, size, alignment and reserved field is checked against the length before it is used, and every
//! doubleword is read once: the writer may change the buffer meanwhile. A descriptor of FF-A 1.0 has zero where the size
//! of an access descriptor is, and is refused for that.
//!
//! The crate `arm-ffa` (0.5, no_std, MIT OR Apache-2.0) was tried first. It takes only the 16-byte access descriptor of
//! 1.1, looks at the first one's composite only, does not look at reserved fields, at the handle of a lend or at whether
//! parts overlap, and wants a copy of the whole buffer as a slice, which would cost more than the lend of a page may.
//! It is the reference in the tests: what it packs is decoded here to the same.

mod lend;
mod region;
mod relinquish;
mod retrieve;

pub use lend::Lend;
pub use region::Constituents;
pub use relinquish::Relinquish;
pub use retrieve::{RetrieveRequest, RetrieveResponse};

use super::words::{Source, bits};
use leasehold_abi::ffa;

/// Bytes of a transaction descriptor without what follows.
const TRANSACTION: usize = 48;
/// Bytes of an endpoint access descriptor in FF-A 1.1.
const ACCESS_1_1: usize = 16;
/// Bytes of an endpoint access descriptor in FF-A 1.2.
const ACCESS_1_2: usize = 32;
/// Bytes of a composite region descriptor without its constituents, and alignment of all parts.
const COMPOSITE: usize = 16;
/// Bytes of a constituent.
const CONSTITUENT: usize = 16;

/// Flags of a transaction, Tables 1.21 to 1.23.
mod flags {
    /// Zero the memory first. EL2 always does.
    pub const ZERO: u32 = 1 << 0;
    /// The call may come back before it is done. EL2's may.
    pub const TIME_SLICE: u32 = 1 << 1;
    /// Zero the memory when it is given back. EL2 always does.
    pub const ZERO_AFTER: u32 = 1 << 2;
    /// Type of the transaction.
    pub const TYPE_MASK: u32 = 0b11 << 3;
    /// It is a lend.
    pub const TYPE_LEND: u32 = 0b10 << 3;
    /// Do not check who else borrows: nobody does.
    pub const BYPASS_BORROWERS: u32 = 1 << 10;
}

/// A field of a descriptor, or of the call that announces one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Field {
    /// The length given with the call.
    Length,
    /// Memory region attributes.
    Attributes,
    /// Flags of the transaction.
    Flags,
    /// The handle.
    Handle,
    /// The size of an endpoint access descriptor.
    AccessSize,
    /// The number of endpoints.
    AccessCount,
    /// The offset of the first endpoint access descriptor.
    AccessOffset,
    /// A field that must be zero.
    Reserved,
    /// The endpoint's id.
    Endpoint,
    /// The endpoint's permissions.
    Permissions,
    /// Flags of an endpoint access descriptor.
    AccessFlags,
    /// The offset of the composite region descriptor.
    CompositeOffset,
    /// The total number of pages.
    TotalPages,
    /// The number of constituents.
    RangeCount,
    /// A constituent's address and number of pages.
    Range,
}

/// A descriptor is not what the standard says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Malformed {
    /// What is wrong.
    pub field: Field,
    /// At which offset of the descriptor.
    pub offset: u32,
    /// What stands there.
    pub value: u64,
}

impl Malformed {
    /// `offset` is within a buffer, or just behind it.
    const fn new(field: Field, offset: usize, value: u64) -> Self {
        Self {
            field,
            offset: offset as u32,
            value,
        }
    }

    /// The FF-A error code: a descriptor that is not encoded as it must be is an invalid parameter in each call.
    #[must_use]
    pub const fn code(&self) -> i32 {
        ffa::INVALID_PARAMETERS
    }
}

#[inline(always)]
const fn bad<T>(field: Field, offset: usize, value: u64) -> Result<T, Malformed> {
    Err(Malformed::new(field, offset, value))
}

#[inline(always)]
fn must_be_zero(field: Field, offset: usize, value: u64) -> Result<(), Malformed> {
    if value == 0 { Ok(()) } else { bad(field, offset, value) }
}

/// A view of the first `len` bytes of a source.
#[derive(Debug)]
struct Bounded<'s, S: ?Sized> {
    source: &'s S,
    len: usize,
}

impl<'s, S: Source + ?Sized> Bounded<'s, S> {
    /// The first `len` bytes, if there are as many.
    #[inline(always)]
    fn new(source: &'s S, len: usize) -> Result<Self, Malformed> {
        if len <= source.size() {
            Ok(Self { source, len })
        } else {
            bad(Field::Length, source.size(), len as u64)
        }
    }

    #[inline(always)]
    fn word(&self, offset: usize) -> Result<u64, Malformed> {
        if offset.checked_add(8).is_some_and(|end| end <= self.len) {
            Ok(self.source.doubleword(offset))
        } else {
            bad(Field::Length, offset, self.len as u64)
        }
    }
}

/// The fixed part of a transaction.
struct Header {
    sender: u16,
    attributes: u16,
    flags: u32,
    handle: u64,
    tag: u64,
    access: usize,
    access_size: usize,
}

#[inline(always)]
fn header<S: Source + ?Sized>(from: &Bounded<'_, S>) -> Result<Header, Malformed> {
    let word = from.word(0)?;
    let sizes = from.word(24)?;
    let places = from.word(32)?;
    let access_size = bits(sizes, 31, 0) as usize;
    if access_size != ACCESS_1_1 && access_size != ACCESS_1_2 {
        return bad(Field::AccessSize, 24, access_size as u64);
    }
    let count = bits(sizes, 63, 32);
    if count != 1 {
        return bad(Field::AccessCount, 28, count);
    }
    must_be_zero(Field::Reserved, 36, bits(places, 63, 32))?;
    must_be_zero(Field::Reserved, 40, from.word(40)?)?;
    let access = bits(places, 31, 0) as usize;
    // 32 bits and a small constant: no overflow.
    if access < TRANSACTION || !access.is_multiple_of(COMPOSITE) || access + access_size > from.len {
        return bad(Field::AccessOffset, 32, access as u64);
    }
    Ok(Header {
        sender: bits(word, 15, 0) as u16,
        attributes: bits(word, 31, 16) as u16,
        flags: bits(word, 63, 32) as u32,
        handle: from.word(8)?,
        tag: from.word(16)?,
        access,
        access_size,
    })
}

/// What one endpoint may do.
struct EndpointAccess {
    endpoint: u16,
    permissions: u8,
    composite: usize,
    implementation_defined: [u64; 2],
}

#[inline(always)]
fn endpoint_access<S: Source + ?Sized>(from: &Bounded<'_, S>, header: &Header) -> Result<EndpointAccess, Malformed> {
    let at = header.access;
    let word = from.word(at)?;
    must_be_zero(Field::AccessFlags, at + 3, bits(word, 31, 24))?;
    let implementation_defined = if header.access_size == ACCESS_1_2 {
        must_be_zero(Field::Reserved, at + 24, from.word(at + 24)?)?;
        [from.word(at + 8)?, from.word(at + 16)?]
    } else {
        must_be_zero(Field::Reserved, at + 8, from.word(at + 8)?)?;
        [0; 2]
    };
    Ok(EndpointAccess {
        endpoint: bits(word, 15, 0) as u16,
        permissions: bits(word, 23, 16) as u8,
        composite: bits(word, 63, 32) as usize,
        implementation_defined,
    })
}

/// What an endpoint may do with the data (permissions, bits 1:0; Table 1.15).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum DataAccess {
    /// Read.
    ReadOnly,
    /// Read and write.
    ReadWrite,
}

#[inline(always)]
fn permissions(raw: u8, at: usize) -> Result<(Option<DataAccess>, Option<bool>), Malformed> {
    let wrong = Malformed::new(Field::Permissions, at, raw as u64);
    let data = match raw & 0b11 {
        0 => None,
        ffa::PERMISSION_RO => Some(DataAccess::ReadOnly),
        ffa::PERMISSION_RW => Some(DataAccess::ReadWrite),
        _ => return Err(wrong),
    };
    let executable = match raw & 0b1100 {
        0 => None,
        ffa::PERMISSION_NOEXEC => Some(false),
        ffa::PERMISSION_EXEC => Some(true),
        _ => return Err(wrong),
    };
    if raw >> 4 == 0 {
        Ok((data, executable))
    } else {
        Err(wrong)
    }
}

#[cfg(test)]
mod tests;
