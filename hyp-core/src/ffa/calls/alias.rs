//! Lends of memory that the lender has promised not to map any more: the mechanism `unmapped`.
//!
//! It helps an honest host to find out before the fact. It is no protection: the host may map the memory again at any time.

use super::{Refusal, Surroundings};
use crate::ownership::Constituent;
use leasehold_memory_map::PAGE_SIZE;

/// The most pages that are looked up in a call: 64 MiB. The lock is held meanwhile, and each takes a walk of the CPU's.
const MOST: u64 = 1 << 14;

/// The ranges of a lend, each of which has been looked for in the lender's stage 1 when it is yielded. Where one is there
/// still, a range that nobody can own comes in its place, and is found in [`refusal`](Self::refusal).
pub(super) struct Unmapped<'a, I, S> {
    ranges: I,
    surroundings: &'a S,
    offset: u64,
    left: u64,
    refusal: Option<Refusal>,
}

impl<'a, I: Iterator<Item = Constituent>, S: Surroundings> Unmapped<'a, I, S> {
    /// `ranges`, whose virtual addresses are `offset` above their IPAs.
    pub(super) fn new(ranges: I, surroundings: &'a S, offset: u64) -> Self {
        Self {
            ranges,
            surroundings,
            offset,
            left: MOST,
            refusal: None,
        }
    }

    /// Why the last range was none.
    pub(super) fn refusal(&self) -> Option<Refusal> {
        self.refusal
    }

    fn look(&mut self, range: &Constituent) -> Result<(), Refusal> {
        let pages = u64::from(range.pages);
        self.left = self.left.checked_sub(pages).ok_or(Refusal::TooManyAliases(MOST))?;
        for page in 0..pages {
            // Any sum is an address: one that is none is not mapped.
            let va = range.address.wrapping_add(page * PAGE_SIZE).wrapping_add(self.offset);
            if self.surroundings.stage1_maps(va) {
                return Err(Refusal::Mapped(va));
            }
        }
        Ok(())
    }
}

impl<I: Iterator<Item = Constituent>, S: Surroundings> Iterator for Unmapped<'_, I, S> {
    type Item = Constituent;

    fn next(&mut self) -> Option<Constituent> {
        let range = self.ranges.next()?;
        match self.look(&range) {
            Ok(()) => Some(range),
            Err(refusal) => {
                self.refusal = Some(refusal);
                Some(Constituent::NOBODYS)
            }
        }
    }
}
