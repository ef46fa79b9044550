//! A page of a lease that goes back to its owner before the rest, whatever the borrower is at.

use super::lease::Phase;
use super::{Ownership, OwnershipError};
use crate::id::VmId;
use crate::machine::Machine;
use crate::stage2::Untaken;
use leasehold_memory_map::{Address, Ipa, PAGE_SIZE, PageRange};

/// What a guest has at an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum GuestPage {
    /// Memory that it can reach.
    Mapped,
    /// What was lent to it and was taken back.
    Taken,
    /// Nothing.
    Nothing,
}

impl<const LEASES: usize, const VMS: usize> Ownership<LEASES, VMS> {
    /// Takes the page at `ipa` of the host's, which is lent, from its borrower, and gives it back to the host, as
    /// zeroes. In this order, so that nobody sees what the borrower had in it: the borrower's entry becomes one that its
    /// next touch is told by; TLBs confirm that; the page is scrubbed; the memory controller, where there is one, moves it;
    /// the host's entry becomes valid. The rest of the lease stays as it is, and goes without the page from then on, also when it is retrieved once more.
    ///
    /// # Errors
    /// [`OwnershipError::NotOwner`] when it is not lent, [`OwnershipError::Pinned`] when it is a mailbox of the
    /// borrower's, [`OwnershipError::NoMemory`] when there is no table for it alone,
    /// [`OwnershipError::TimedOut`] when TLBs have not confirmed: who had what is as before. [`OwnershipError::Controller`]
    /// when the memory controller has not moved it: the borrower does not have it any more, and nobody else.
    pub fn take(&mut self, machine: &impl Machine, ipa: Ipa) -> Result<(), OwnershipError> {
        let ipa = ipa.page();
        let missing = OwnershipError::NotOwner(ipa);
        let page = PageRange::single(ipa).map_err(|_| missing)?;
        let index = self.host.tables.lease_at(machine, ipa).ok_or(missing)?;
        let borrower = self.leases.get(index).borrower;
        let untaken = |untaken| match untaken {
            Untaken::Nothing => missing,
            Untaken::NoTables => OwnershipError::NoMemory,
            Untaken::Unconfirmed => OwnershipError::TimedOut(borrower),
        };
        self.host
            .tables
            .unfold(machine, &mut self.pool, ipa, index)
            .map_err(untaken)?;
        match self.leases.get(index).phase {
            Phase::Retrieved => {
                let at = self.borrowed_at(machine, index, ipa).ok_or(missing)?;
                if self.guest(borrower)?.pins.iter().any(|pin| pin.start() == at) {
                    return Err(OwnershipError::Pinned(at));
                }
                let (tables, pool) = self.guest_tables(borrower)?;
                // It is, if the memory controller did not do its part the last time.
                if !tables.is_taken(machine, at) {
                    tables.poison(machine, pool, at).map_err(untaken)?;
                }
            }
            Phase::Unconfirmed => self.confirm_withdrawn(machine, index)?,
            Phase::Lent | Phase::Clean | Phase::Scrubbing | Phase::Returning | Phase::Undone => {}
        }
        machine.scrub(ipa.host_phys());
        machine.settle();
        self.move_page(machine, index, page)?;
        self.leases.get_mut(index).taken += 1;
        self.host.tables.restore(machine, &mut self.pool, page);
        self.publish_restored(machine);
        Ok(())
    }

    /// What a guest has at `ipa`.
    #[must_use]
    pub fn guest_page(&self, machine: &impl Machine, vm: VmId, ipa: Ipa) -> GuestPage {
        match self.guest(vm) {
            Ok(guest) if guest.tables.is_taken(machine, ipa) => GuestPage::Taken,
            Ok(_) if self.translate(machine, vm, ipa).is_ok() => GuestPage::Mapped,
            _ => GuestPage::Nothing,
        }
    }

    /// Where the borrower of a lease that it has sees the owner's page at `ipa`.
    fn borrowed_at(&self, machine: &impl Machine, index: u8, ipa: Ipa) -> Option<Ipa> {
        let lease = self.leases.get(index);
        let mut before = 0;
        for n in 0..lease.ranges.len() {
            let range = lease.ranges.get(machine, n)?;
            if (range.start()..range.end()).contains(&ipa) {
                let offset = ipa.get() - range.start().get();
                return lease.ipa.checked_add(before * PAGE_SIZE + offset);
            }
            before += range.count();
        }
        None
    }
}
