//! What an owner does: lend, and take back.

use super::borrow::Step;
use super::lease::{PAGES_PER_LEASE, Phase, Ranges};
use super::{Ownership, OwnershipError, checked_range};
use crate::id::{Handle, VmId};
use crate::machine::Machine;
use crate::stage2::Claimed;
use leasehold_memory_map::{Ipa, PageRange};

/// A range as a caller names it: nothing about it is known to be true (FF-A's constituent memory region descriptor,
/// DEN0140 Table 1.14).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Constituent {
    /// Where it starts, as the caller sees memory.
    pub address: u64,
    /// How many pages of 4 KiB it has.
    pub pages: u32,
}

impl Constituent {
    /// What nobody can own: empty, and not aligned.
    pub const NOBODYS: Self = Self {
        address: u64::MAX,
        pages: 0,
    };
}

impl<const LEASES: usize, const VMS: usize> Ownership<LEASES, VMS> {
    /// Lends `constituents` to `borrower`: when it returns, `lender`'s CPUs and devices cannot reach them any more, and
    /// nobody else can yet. Each constituent is taken from the iterator once, so they may come straight from memory
    /// that the lender can write.
    ///
    /// # Errors
    /// All or nothing: after any error every page is the lender's as before. [`OwnershipError::TimedOut`] when not all
    /// TLBs confirmed; the lender has its pages back then too. [`OwnershipError::Controller`] when the memory controller
    /// did not move them; the lender has its pages back as soon as that has undone what it did.
    pub fn lend<M: Machine>(
        &mut self,
        machine: &M,
        lender: VmId,
        borrower: VmId,
        constituents: impl IntoIterator<Item = Constituent>,
    ) -> Result<Handle, OwnershipError> {
        if lender != VmId::HOST {
            return Err(OwnershipError::Denied(lender));
        }
        self.live_guest(borrower)?;
        self.undo_some(machine);
        let index = self.leases.take()?;
        let mut ranges = Ranges::EMPTY;
        let lent = self
            .claim(machine, constituents, &mut ranges)
            .and_then(|(pages, claimed)| self.withhold(machine, index, &ranges, claimed).map(|()| pages));
        match lent {
            Ok(pages) if M::MOVES => self.hand_over(machine, index, borrower, pages, ranges),
            Ok(pages) => Ok(self.leases.fill(index, borrower, pages, ranges)),
            Err(error) => {
                self.restore(machine, ranges, None);
                self.leases.free(index);
                Err(error)
            }
        }
    }

    /// Takes a lease back that its borrower does not have (any more). What the borrower had is scrubbed first, in
    /// steps; what it never had comes back as it is.
    ///
    /// # Errors
    /// [`OwnershipError::NoSuchLease`], [`OwnershipError::NotParty`], [`OwnershipError::WrongState`] while the borrower
    /// has it, [`OwnershipError::TimedOut`] when the borrower's TLBs have not confirmed, [`OwnershipError::Controller`] when
    /// the memory controller has not moved it.
    pub fn reclaim(&mut self, machine: &impl Machine, owner: VmId, handle: Handle) -> Result<Step, OwnershipError> {
        let index = self.leases.find(handle)?;
        if owner != VmId::HOST {
            return Err(OwnershipError::NotParty(owner));
        }
        match self.leases.get(index).phase {
            Phase::Lent | Phase::Clean | Phase::Returning | Phase::Undone => {}
            Phase::Retrieved => return Err(OwnershipError::WrongState(handle)),
            Phase::Unconfirmed | Phase::Scrubbing => {
                if self.cleanse(machine, index)? == Step::Again {
                    return Ok(Step::Again);
                }
            }
        }
        self.give_back(machine, index)?;
        self.undo_some(machine);
        Ok(Step::Done)
    }

    /// Gives a lease that nobody sees, and of which nobody's bytes are left but the owner's, back to the owner.
    pub(super) fn give_back(&mut self, machine: &impl Machine, index: u8) -> Result<(), OwnershipError> {
        self.move_back(machine, index)?;
        let lease = self.leases.get_mut(index);
        let holed = (lease.taken != 0).then_some(index);
        let ranges = core::mem::replace(&mut lease.ranges, Ranges::EMPTY);
        self.restore(machine, ranges, holed);
        self.leases.free(index);
        Ok(())
    }

    /// Claims every constituent and records it in `ranges`. Gives the number of pages, and where they are if `ranges` is
    /// a single one.
    fn claim(
        &mut self,
        machine: &impl Machine,
        constituents: impl IntoIterator<Item = Constituent>,
        ranges: &mut Ranges,
    ) -> Result<(u32, Claimed), OwnershipError> {
        let mut pages: u64 = 0;
        let mut claimed = Claimed::ANYWHERE;
        for Constituent { address, pages: count } in constituents {
            let range = checked_range(&self.host, address, u64::from(count))?;
            pages += range.count();
            if pages > PAGES_PER_LEASE {
                return Err(OwnershipError::TooManyPages(PAGES_PER_LEASE));
            }
            if let Some(pin) = self.host.pins.iter().find(|pin| pin.overlaps(&range)) {
                return Err(OwnershipError::Pinned(pin.start()));
            }
            if let Some(held) = self.holds.in_range(range) {
                return Err(OwnershipError::Pinned(held));
            }
            claimed = self.claim_range(machine, range)?;
            if let Err(error) = ranges.push(machine, &mut self.pool, range) {
                self.host.tables.restore(machine, &mut self.pool, range);
                return Err(error);
            }
        }
        if ranges.len() > 1 {
            claimed = Claimed::ANYWHERE;
        }
        // `PAGES_PER_LEASE` fits.
        if pages == 0 {
            Err(OwnershipError::NoRanges)
        } else {
            Ok((pages as u32, claimed))
        }
    }

    fn claim_range(&mut self, machine: &impl Machine, range: PageRange<Ipa>) -> Result<Claimed, OwnershipError> {
        let (done, claimed) = self.host.tables.claim(machine, &mut self.pool, range);
        let Err(refusal) = done else {
            return Ok(claimed);
        };
        if let Some(done) = refusal.done(range) {
            self.host.tables.restore(machine, &mut self.pool, done);
        }
        Err(refusal.into())
    }

    /// Takes what is claimed from the host, and waits until no CPU or device can reach it.
    fn withhold(
        &mut self,
        machine: &impl Machine,
        index: u8,
        ranges: &Ranges,
        claimed: Claimed,
    ) -> Result<(), OwnershipError> {
        for n in 0..ranges.len() {
            if let Some(range) = ranges.get(machine, n) {
                self.host
                    .tables
                    .withhold(machine, &mut self.pool, range, claimed, index);
            }
        }
        let confirmed = self.host.tables.confirm(machine, &mut self.pool);
        confirmed.map_err(|_| OwnershipError::TimedOut(VmId::HOST))
    }

    /// Gives claimed or withheld ranges back to the host, and forgets them. Of those of a lease that is `holed`, what
    /// names it still: the rest went back before, and may be in another lease by now.
    pub(super) fn restore(&mut self, machine: &impl Machine, mut ranges: Ranges, holed: Option<u8>) {
        for n in 0..ranges.len() {
            match (ranges.get(machine, n), holed) {
                (Some(range), None) => self.host.tables.restore(machine, &mut self.pool, range),
                (Some(range), Some(index)) => self.restore_rest(machine, range, index),
                (None, _) => {}
            }
        }
        ranges.clear(machine, &mut self.pool);
        self.publish_restored(machine);
    }

    #[cold]
    fn restore_rest(&mut self, machine: &impl Machine, range: PageRange<Ipa>, index: u8) {
        let mut rest = Some(range);
        while let Some(range) = rest {
            let Some((withheld, part)) = self.host.tables.stretch(machine, range, index) else {
                return;
            };
            if withheld {
                self.host.tables.restore(machine, &mut self.pool, part);
            }
            rest = behind(range, part);
        }
    }

    /// Lets walkers see what was given back to the host.
    pub(super) fn publish_restored(&mut self, machine: &impl Machine) {
        machine.publish();
        if self.host.tables.is_unconfirmed() {
            // Old and new translations say the same. If they are not confirmed, just the tables that are not in use any
            // more stay with us, until they are.
            let _ = self.host.tables.confirm(machine, &mut self.pool);
        }
    }
}

/// What of `range` comes after its first part.
pub(super) fn behind(range: PageRange<Ipa>, part: PageRange<Ipa>) -> Option<PageRange<Ipa>> {
    PageRange::new(part.end(), range.count() - part.count()).ok()
}
