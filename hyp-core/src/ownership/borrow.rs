//! What a borrower does, or is done for it: retrieve, relinquish, end.

use super::lease::{Cursor, Phase};
use super::lend::behind;
use super::{Ownership, OwnershipError, SCRUB_STEP_PAGES, checked_range};
use crate::id::{Handle, VmId};
use crate::machine::Machine;
use crate::stage2::{Reason, Refusal};
use leasehold_memory_map::{Address, Ipa, PageRange};

/// How far a call came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[must_use]
pub enum Step {
    /// To the end.
    Done,
    /// As far as one call goes. The same call goes on from there.
    Again,
}

impl<const LEASES: usize, const VMS: usize> Ownership<LEASES, VMS> {
    /// Gives a lease to its borrower: all of it is scrubbed, in steps, and then mapped from `ipa` on, range after range
    /// in the order in which they were lent. Called by the borrower, or for it before it runs.
    ///
    /// # Errors
    /// [`OwnershipError::NoSuchLease`], [`OwnershipError::NotParty`], [`OwnershipError::NoSuchVm`],
    /// [`OwnershipError::WrongState`] when it has it already, [`OwnershipError::InvalidRange`],
    /// [`OwnershipError::Occupied`], [`OwnershipError::NoMemory`], [`OwnershipError::Controller`]: the borrower sees none of it.
    pub fn retrieve(
        &mut self,
        machine: &impl Machine,
        borrower: VmId,
        handle: Handle,
        ipa: Ipa,
    ) -> Result<Step, OwnershipError> {
        let index = self.leases.find(handle)?;
        let lease = self.leases.get(index);
        if lease.borrower != borrower || lease.ended {
            return Err(OwnershipError::NotParty(borrower));
        }
        if matches!(lease.phase, Phase::Retrieved | Phase::Returning | Phase::Undone) {
            return Err(OwnershipError::WrongState(handle));
        }
        let guest = self.live_guest(borrower)?;
        let range = checked_range(guest, ipa.get(), u64::from(lease.pages))?;
        if !lease.is_being_scrubbed() {
            // Before anything is done, rather than after the last step.
            guest.tables.vacant(machine, range)?;
        }
        self.make_sure(machine, index)?;
        if self.cleanse(machine, index)? == Step::Again {
            return Ok(Step::Again);
        }
        self.guest(borrower)?.tables.vacant(machine, range)?;
        self.map(machine, index, range)?;
        let lease = self.leases.get_mut(index);
        lease.phase = Phase::Retrieved;
        lease.ipa = ipa;
        machine.publish();
        Ok(Step::Done)
    }

    /// Takes a lease from its borrower, who asks for that, and scrubs it in steps.
    ///
    /// # Errors
    /// [`OwnershipError::NoSuchLease`], [`OwnershipError::NotParty`], [`OwnershipError::WrongState`] when it does not
    /// have it, [`OwnershipError::Pinned`] when a mailbox is in it, [`OwnershipError::TimedOut`] when TLBs have not
    /// confirmed: the borrower does not have it any more, but nobody else gets it until they have.
    pub fn relinquish(
        &mut self,
        machine: &impl Machine,
        borrower: VmId,
        handle: Handle,
    ) -> Result<Step, OwnershipError> {
        let index = self.leases.find(handle)?;
        let lease = self.leases.get(index);
        if lease.borrower != borrower || lease.ended {
            return Err(OwnershipError::NotParty(borrower));
        }
        match lease.phase {
            Phase::Retrieved => {
                let range = checked_range(self.guest(borrower)?, lease.ipa.get(), u64::from(lease.pages))?;
                if let Some(pin) = self.guest(borrower)?.pins.iter().find(|pin| pin.overlaps(&range)) {
                    return Err(OwnershipError::Pinned(pin.start()));
                }
                self.withdraw(machine, index, range)?;
            }
            Phase::Unconfirmed | Phase::Scrubbing => {}
            Phase::Lent | Phase::Clean | Phase::Returning | Phase::Undone => {
                return Err(OwnershipError::WrongState(handle));
            }
        }
        self.cleanse(machine, index)
    }

    /// Ends a VM, whatever it has and however far: takes all leases from it, scrubs them, and gives its tables back to
    /// the pool, a lease or [`SCRUB_STEP_PAGES`] a call. From the first call on it can neither be lent to nor retrieve;
    /// the owner can reclaim each lease as soon as it is scrubbed. None of its CPUs may run any more, and its pins are
    /// gone: nobody may use its mailboxes.
    ///
    /// # Errors
    /// [`OwnershipError::NoSuchVm`]; [`OwnershipError::TimedOut`] when TLBs have not confirmed.
    pub fn destroy_vm(&mut self, machine: &impl Machine, vm: VmId) -> Result<Step, OwnershipError> {
        let slot = vm.slot().and_then(|slot| self.guests.get_mut(slot));
        let guest = slot.and_then(Option::as_mut).ok_or(OwnershipError::NoSuchVm(vm))?;
        guest.ending = true;
        guest.pins.clear();
        if let Some(index) = self.leases.some_of(vm) {
            self.end_lease(machine, index)?;
            return Ok(Step::Again);
        }
        let (tables, pool) = self.guest_tables(vm)?;
        tables.forget_all();
        tables
            .confirm(machine, pool)
            .map_err(|_| OwnershipError::TimedOut(vm))?;
        if let Some(slot) = vm.slot().and_then(|slot| self.guests.get_mut(slot))
            && let Some(guest) = slot.take()
        {
            guest.tables.release(machine, &mut self.pool);
        }
        Ok(Step::Done)
    }

    fn end_lease(&mut self, machine: &impl Machine, index: u8) -> Result<(), OwnershipError> {
        let lease = self.leases.get(index);
        if lease.phase == Phase::Retrieved {
            let range = checked_range(self.guest(lease.borrower)?, lease.ipa.get(), u64::from(lease.pages))?;
            self.withdraw(machine, index, range)?;
        }
        let untouched = matches!(
            self.leases.get(index).phase,
            Phase::Lent | Phase::Returning | Phase::Undone
        );
        if untouched || self.cleanse(machine, index)? == Step::Done {
            self.leases.get_mut(index).ended = true;
        }
        Ok(())
    }

    /// Makes a lease that nobody sees zeroes, a bounded step at a time.
    pub(super) fn cleanse(&mut self, machine: &impl Machine, index: u8) -> Result<Step, OwnershipError> {
        let lease = self.leases.get(index);
        if lease.phase == Phase::Unconfirmed {
            self.confirm_withdrawn(machine, index)?;
        }
        let lease = self.leases.get_mut(index);
        if matches!(lease.phase, Phase::Clean | Phase::Retrieved) {
            return Ok(Step::Done);
        }
        for _ in 0..SCRUB_STEP_PAGES {
            let Some(page) = lease.ranges.next_page(machine, &mut lease.cursor) else {
                break;
            };
            // A page that went back before is its new holder's.
            if lease.taken == 0 || self.host.tables.lease_at(machine, page) == Some(index) {
                machine.scrub(page.host_phys());
            }
        }
        machine.settle();
        if !lease.ranges.is_at_end(&lease.cursor) {
            return Ok(Step::Again);
        }
        lease.phase = Phase::Clean;
        Ok(Step::Done)
    }

    /// Maps a lease's ranges side by side at `to`.
    fn map(&mut self, machine: &impl Machine, index: u8, to: PageRange<Ipa>) -> Result<(), OwnershipError> {
        let Err(refusal) = self.map_ranges(machine, index, to) else {
            return Ok(());
        };
        if let Some(mapped) = refusal.done(to) {
            // The guest may have reached it for a moment: it is as if it had had it. When TLBs do not confirm now, the
            // next call waits for them.
            let _ = self.withdraw(machine, index, mapped);
        }
        Err(refusal.into())
    }

    fn map_ranges(&mut self, machine: &impl Machine, index: u8, to: PageRange<Ipa>) -> Result<(), Refusal> {
        let lease = self.leases.get(index);
        let guest = lease
            .borrower
            .slot()
            .and_then(|slot| self.guests.get_mut(slot)?.as_mut());
        let nowhere = Refusal {
            at: to.start(),
            reason: Reason::Nothing,
        };
        let tables = &mut guest.ok_or(nowhere)?.tables;
        let mut at = to.start();
        for n in 0..lease.ranges.len() {
            let from = lease.ranges.get(machine, n).ok_or(nowhere)?;
            let target = PageRange::new(at, from.count()).map_err(|_| nowhere)?;
            at = target.end();
            if lease.taken == 0 {
                tables.map(machine, &mut self.pool, target, from.start().host_phys())?;
                continue;
            }
            let (mut rest, mut to) = (Some(from), target.start());
            while let Some(from) = rest {
                let (withheld, part) = self.host.tables.stretch(machine, from, index).ok_or(nowhere)?;
                let target = PageRange::new(to, part.count()).map_err(|_| nowhere)?;
                if withheld {
                    tables.map(machine, &mut self.pool, target, part.start().host_phys())?;
                } else {
                    tables.map_taken(machine, &mut self.pool, target)?;
                }
                to = target.end();
                rest = behind(from, part);
            }
        }
        Ok(())
    }

    /// Waits until no CPU of the borrower's can reach a lease that is gone from its tables.
    pub(super) fn confirm_withdrawn(&mut self, machine: &impl Machine, index: u8) -> Result<(), OwnershipError> {
        let borrower = self.leases.get(index).borrower;
        let (tables, pool) = self.guest_tables(borrower)?;
        tables
            .confirm(machine, pool)
            .map_err(|_| OwnershipError::TimedOut(borrower))?;
        let lease = self.leases.get_mut(index);
        lease.phase = Phase::Scrubbing;
        lease.cursor = Cursor::default();
        Ok(())
    }

    /// Takes `range` of a lease from its borrower and waits until no CPU can reach it.
    fn withdraw(&mut self, machine: &impl Machine, index: u8, range: PageRange<Ipa>) -> Result<(), OwnershipError> {
        let borrower = self.leases.get(index).borrower;
        let (tables, pool) = self.guest_tables(borrower)?;
        tables.unmap(machine, pool, range);
        self.leases.get_mut(index).phase = Phase::Unconfirmed;
        self.confirm_withdrawn(machine, index)
    }
}
