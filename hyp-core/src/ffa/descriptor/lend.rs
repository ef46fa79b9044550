//! What a lender writes.

use super::region::{Constituents, composite};
use super::{Bounded, DataAccess, Field, Malformed, bad, endpoint_access, flags, header, must_be_zero, permissions};
use crate::ffa::words::Source;

/// A lend to one borrower.
#[derive(Debug)]
pub struct Lend<'s, S: ?Sized> {
    /// Who lends.
    pub sender: u16,
    /// Who borrows.
    pub receiver: u16,
    /// What the borrower may do.
    pub access: DataAccess,
    /// A number of the lender's that the borrower must name when it retrieves.
    pub tag: u64,
    /// Another, of 16 bytes; zero up to FF-A 1.1.
    pub implementation_defined: [u64; 2],
    /// The memory.
    pub constituents: Constituents<'s, S>,
}

impl<'s, S: Source + ?Sized> Lend<'s, S> {
    /// Decodes the `len` bytes that came with `FFA_MEM_LEND`.
    ///
    /// With one borrower the lender leaves memory attributes and instruction access to it (DEN0140 sections 1.10.3 and
    /// 1.10.4): both must be 0. The handle must be 0.
    ///
    /// # Errors
    /// [`Malformed`].
    #[inline(always)]
    pub fn decode(source: &'s S, len: usize) -> Result<Self, Malformed> {
        let from = Bounded::new(source, len)?;
        let header = header(&from)?;
        must_be_zero(Field::Attributes, 2, header.attributes.into())?;
        let flags = header.flags & !(flags::ZERO | flags::TIME_SLICE);
        if flags != 0 {
            return bad(Field::Flags, 4, header.flags.into());
        }
        must_be_zero(Field::Handle, 8, header.handle)?;
        let access = endpoint_access(&from, &header)?;
        let at = header.access + 2;
        let (Some(data), None) = permissions(access.permissions, at)? else {
            return bad(Field::Permissions, at, access.permissions.into());
        };
        Ok(Self {
            sender: header.sender,
            receiver: access.endpoint,
            access: data,
            tag: header.tag,
            implementation_defined: access.implementation_defined,
            constituents: composite(from, &header, access.composite)?,
        })
    }
}
