//! The memory of a transaction: the composite region descriptor and its constituents.

use super::{Bounded, COMPOSITE, CONSTITUENT, Field, Header, Malformed, bad, must_be_zero};
use crate::ffa::words::{Source, bits};
use crate::ownership::Constituent;

/// Finds the constituents, which must fill the rest of the descriptor.
#[inline(always)]
pub(super) fn composite<'s, S: Source + ?Sized>(
    from: Bounded<'s, S>,
    header: &Header,
    at: usize,
) -> Result<Constituents<'s, S>, Malformed> {
    let field_at = header.access + 4;
    let behind_access = header.access + header.access_size;
    if at < behind_access || !at.is_multiple_of(COMPOSITE) || at + COMPOSITE > from.len {
        return bad(Field::CompositeOffset, field_at, at as u64);
    }
    let word = from.word(at)?;
    must_be_zero(Field::Reserved, at + 8, from.word(at + 8)?)?;
    let total = bits(word, 31, 0) as u32;
    let count = bits(word, 63, 32);
    let first = at + COMPOSITE;
    if count == 0 || count.checked_mul(CONSTITUENT as u64) != Some((from.len - first) as u64) {
        return bad(Field::RangeCount, at + 4, count);
    }
    Ok(Constituents {
        from,
        next: first,
        missing: total,
        total,
        total_at: at,
        error: None,
        ended: false,
    })
}

/// The ranges of a lend, each read from the source once, when it is asked for.
///
/// Who takes them takes all or none, but an error may show only at the last one. So a range with an error, and a sum
/// that differs from the total, is yielded as a range that nobody can own, and is found in [`error`](Self::error) then.
#[derive(Debug)]
pub struct Constituents<'s, S: ?Sized> {
    from: Bounded<'s, S>,
    next: usize,
    /// Pages of the total that no range had yet.
    missing: u32,
    total: u32,
    total_at: usize,
    error: Option<Malformed>,
    ended: bool,
}

impl<S: Source + ?Sized> Constituents<'_, S> {
    /// How many ranges are left.
    #[must_use]
    pub fn len(&self) -> usize {
        (self.from.len - self.next) / CONSTITUENT
    }

    /// Whether no ranges are left.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The total number of pages, as the descriptor gives it.
    #[must_use]
    pub const fn total_pages(&self) -> u32 {
        self.total
    }

    /// Where the composite region descriptor is.
    pub(super) const fn offset(&self) -> usize {
        self.total_at
    }

    /// What was wrong with a range that was yielded.
    #[must_use]
    pub const fn error(&self) -> Option<Malformed> {
        self.error
    }

    #[inline(always)]
    fn read(&mut self) -> Result<Option<Constituent>, Malformed> {
        if self.next == self.from.len {
            return if self.missing == 0 {
                Ok(None)
            } else {
                bad(Field::TotalPages, self.total_at, self.total.into())
            };
        }
        let at = self.next;
        let address = self.from.word(at)?;
        let word = self.from.word(at + 8)?;
        must_be_zero(Field::Reserved, at + 12, bits(word, 63, 32))?;
        let pages = bits(word, 31, 0) as u32;
        match self.missing.checked_sub(pages) {
            Some(missing) => self.missing = missing,
            None => return bad(Field::TotalPages, self.total_at, self.total.into()),
        }
        self.next += CONSTITUENT;
        Ok(Some(Constituent { address, pages }))
    }
}

impl<S: Source + ?Sized> Iterator for Constituents<'_, S> {
    type Item = Constituent;

    fn next(&mut self) -> Option<Constituent> {
        if self.ended {
            return None;
        }
        match self.read() {
            Ok(Some(range)) => Some(range),
            Ok(None) => {
                self.ended = true;
                None
            }
            Err(error) => {
                self.error = Some(error);
                self.ended = true;
                Some(Constituent::NOBODYS)
            }
        }
    }
}
