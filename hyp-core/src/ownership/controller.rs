//! The memory controller's part in leases, on machines that have one.
//!
//! It is asked when nobody is led to the pages, and is the last to be asked before somebody is: what it does not do, or not in
//! time, keeps the pages with nobody. It may be asked for the same again, and then what was done already is no error.

use super::lease::{Cursor, Phase, Ranges};
use super::lend::behind;
use super::{Ownership, OwnershipError};
use crate::id::{Handle, VmId};
use crate::machine::Machine;
use heapless::Vec;
use leasehold_hal::{AssignError, MemoryOwner};
use leasehold_memory_map::{Ipa, PageRange, PhysAddr};

/// How many ranges are moved at once.
const BATCH: usize = 16;

/// Ranges on their way to the controller.
struct Batches<'a, M> {
    machine: &'a M,
    to: MemoryOwner,
    ranges: Vec<PageRange<PhysAddr>, BATCH>,
}

impl<'a, M: Machine> Batches<'a, M> {
    const fn new(machine: &'a M, to: MemoryOwner) -> Self {
        Self {
            machine,
            to,
            ranges: Vec::new(),
        }
    }

    fn add(&mut self, range: PageRange<Ipa>) -> Result<(), AssignError> {
        // What is a range of IPAs is one of the host's addresses.
        if let Ok(range) = PageRange::new(range.start().host_phys(), range.count())
            && self.ranges.push(range).is_err()
        {
            self.send()?;
            let _ = self.ranges.push(range);
        }
        Ok(())
    }

    fn send(&mut self) -> Result<(), AssignError> {
        let sent = if self.ranges.is_empty() {
            Ok(())
        } else {
            self.machine.assign(&self.ranges, self.to)
        };
        self.ranges.clear();
        sent
    }
}

impl<const LEASES: usize, const VMS: usize> Ownership<LEASES, VMS> {
    /// The last step of a lend: what is gone from the owner leaves the masters that work for it.
    #[inline(never)]
    pub(super) fn hand_over(
        &mut self,
        machine: &impl Machine,
        index: u8,
        borrower: VmId,
        pages: u32,
        ranges: Ranges,
    ) -> Result<Handle, OwnershipError> {
        let handle = self.leases.fill(index, borrower, pages, ranges);
        let Err(error) = self.move_lease(machine, index, MemoryOwner::Borrower) else {
            return Ok(handle);
        };
        let lease = self.leases.get_mut(index);
        lease.phase = Phase::Undone;
        lease.ended = true;
        self.undone += 1;
        self.undo(machine, index);
        Err(error.into())
    }

    /// Before memory is lent and after it came back: undoes a lend that failed, if there is one.
    pub(super) fn undo_some<M: Machine>(&mut self, machine: &M) {
        if M::MOVES
            && self.undone != 0
            && let Some(index) = self.leases.some_undone()
        {
            self.undo(machine, index);
        }
    }

    /// The owner has its pages back if the controller has moved all of them.
    fn undo(&mut self, machine: &impl Machine, index: u8) {
        // Else it is tried again.
        let _ = self.give_back(machine, index);
    }

    /// What goes back to the owner is for the masters again that work for it. If the controller does not say so, it can only
    /// be tried again.
    pub(super) fn move_back<M: Machine>(&mut self, machine: &M, index: u8) -> Result<(), OwnershipError> {
        if !M::MOVES {
            return Ok(());
        }
        let moved = self.move_lease(machine, index, MemoryOwner::Host);
        let lease = self.leases.get_mut(index);
        match (&moved, lease.phase) {
            (Ok(()), Phase::Undone) => self.undone -= 1,
            (Ok(()), _) | (Err(_), Phase::Undone) => {}
            (Err(_), _) => lease.phase = Phase::Returning,
        }
        Ok(moved?)
    }

    /// A page of a lease is for the owner's masters again.
    pub(super) fn move_page<M: Machine>(
        &mut self,
        machine: &M,
        index: u8,
        page: PageRange<Ipa>,
    ) -> Result<(), OwnershipError> {
        if !M::MOVES {
            return Ok(());
        }
        let mut batches = Batches::new(machine, MemoryOwner::Host);
        batches.add(page)?;
        batches
            .send()
            .inspect_err(|_| self.leases.get_mut(index).unsure = true)?;
        Ok(())
    }

    /// Before a borrower gets a lease of which a page may have been for the owner's masters again: none is, and all of it is
    /// to be scrubbed once more.
    pub(super) fn make_sure<M: Machine>(&mut self, machine: &M, index: u8) -> Result<(), OwnershipError> {
        if !M::MOVES || !self.leases.get(index).unsure {
            return Ok(());
        }
        self.move_lease(machine, index, MemoryOwner::Borrower)?;
        let lease = self.leases.get_mut(index);
        lease.unsure = false;
        lease.cursor = Cursor::default();
        if lease.phase == Phase::Clean {
            lease.phase = Phase::Scrubbing;
        }
        Ok(())
    }

    /// Moves what is in a lease still.
    fn move_lease(&self, machine: &impl Machine, index: u8, to: MemoryOwner) -> Result<(), AssignError> {
        let lease = self.leases.get(index);
        let mut batches = Batches::new(machine, to);
        for n in 0..lease.ranges.len() {
            let mut rest = lease.ranges.get(machine, n);
            if lease.taken == 0 {
                rest.take().map_or(Ok(()), |range| batches.add(range))?;
            }
            while let Some(range) = rest {
                let Some((withheld, part)) = self.host.tables.stretch(machine, range, index) else {
                    break;
                };
                if withheld {
                    batches.add(part)?;
                }
                rest = behind(range, part);
            }
        }
        batches.send()
    }
}
