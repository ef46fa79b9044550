//! What a borrower writes to give a lease back.

use super::{Bounded, Field, Malformed, bad, flags};
use crate::ffa::words::{Source, bits};
use crate::id::Handle;

/// A borrower gives a lease back (`FFA_MEM_RELINQUISH`; DEN0140, descriptor to relinquish a memory region).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Relinquish {
    /// Which lease.
    pub handle: Handle,
    /// Who gives it back.
    pub endpoint: u16,
}

impl Relinquish {
    /// Decodes what is in the caller's buffer: +0 handle, +8 flags | number of endpoints << 32, +16 endpoints. One
    /// endpoint, as for any that runs on CPUs.
    ///
    /// # Errors
    /// [`Malformed`].
    pub fn decode<S: Source + ?Sized>(source: &S) -> Result<Self, Malformed> {
        let from = Bounded::new(source, 24)?;
        let word = from.word(8)?;
        let flags = bits(word, 31, 0) as u32;
        if flags & !(flags::ZERO | flags::TIME_SLICE) != 0 {
            return bad(Field::Flags, 8, flags.into());
        }
        let count = bits(word, 63, 32);
        if count != 1 {
            return bad(Field::AccessCount, 12, count);
        }
        Ok(Self {
            handle: Handle::from_raw(from.word(0)?),
            endpoint: bits(from.word(16)?, 15, 0) as u16,
        })
    }
}
