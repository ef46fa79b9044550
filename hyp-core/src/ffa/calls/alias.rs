//! Lends of memory that the lender has promised not to map any more: the mechanism `unmapped`.
//!
//! It helps an honest host to find out before the fact. It is no protection: the host may map the memory again at any time.

use super::{Refusal, Surroundings};
use crate::ownership::Constituent;
use leasehold_memory_map::PAGE_SIZE;

/// The most pages that are looked up in a call: 64 MiB. The lock is held meanwhile, and each takes a walk of the CPU's.
const MOST: u64 = 1 << 14;

/// The ranges of a lend. If the lender has promised not to map them, each has been looked for in its stage 1 when it is
/// yielded; where one is there still, a range that nobody can own comes in its place, and is found in
/// [`refusal`](Self::refusal).
pub(super) struct Unmapped<'a, I, S> {
    ranges: I,
    surroundings: &'a S,
    offset: Option<u64>,
    /// Pages that were looked up.
    looked_up: u64,
    refusal: Option<Refusal>,
}

impl<'a, I: Iterator<Item = Constituent>, S: Surroundings> Unmapped<'a, I, S> {
    /// `ranges`, whose virtual addresses are above their IPAs by what the surroundings say.
    pub(super) fn new(ranges: I, surroundings: &'a S) -> Self {
        Self {
            ranges,
            surroundings,
            offset: surroundings.alias(),
            looked_up: 0,
            refusal: None,
        }
    }

    /// The ranges as they are.
    pub(super) fn inner(&self) -> &I {
        &self.ranges
    }

    /// Why the last range was none.
    pub(super) fn refusal(&self) -> Option<Refusal> {
        self.refusal
    }

    #[cold]
    fn look(&mut self, range: &Constituent, offset: u64) -> Result<(), Refusal> {
        let pages = u64::from(range.pages);
        self.looked_up += pages;
        if self.looked_up > MOST {
            return Err(Refusal::TooManyAliases(MOST));
        }
        for page in 0..pages {
            // Any sum is an address: one that is none is not mapped.
            let va = range.address.wrapping_add(page * PAGE_SIZE).wrapping_add(offset);
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
        if let Some(offset) = self.offset
            && let Err(refusal) = self.look(&range, offset)
        {
            self.refusal = Some(refusal);
            return Some(Constituent::NOBODYS);
        }
        Some(range)
    }
}
