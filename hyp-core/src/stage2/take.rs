//! Single pages of a lease that go back before the rest: what that does to the host's tables and to a guest's.

use super::edit::{Edit, Editor, Fill, Refusal, Run, Whole, index, set};
use super::entry::{self, ENTRIES, Entry, Level, Memory, Owner};
use super::pool::Pool;
use super::{Place, Stage2};
use crate::machine::{Machine, SyncError};
use leasehold_memory_map::{Address, Ipa, PAGE_SIZE, PageRange, PhysAddr};

/// Why a page stays where it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Untaken {
    /// It is not there.
    Nothing,
    /// The pool has no page left for the table that names it alone.
    NoTables,
    /// TLBs have not confirmed.
    Unconfirmed,
}

impl From<SyncError> for Untaken {
    fn from(_: SyncError) -> Self {
        Self::Unconfirmed
    }
}

impl Stage2 {
    /// Gives `page`, which is withheld for `lease`, an entry of its own, so that it can be given back alone. Nobody sees
    /// a difference. A table that the host's map keeps is used again, so there it takes none.
    ///
    /// # Errors
    /// [`Untaken::NoTables`], [`Untaken::Nothing`] when it is not withheld.
    pub(crate) fn unfold(
        &mut self,
        machine: &impl Machine,
        pool: &mut Pool,
        page: Ipa,
        lease: u8,
    ) -> Result<(), Untaken> {
        let withheld = |kept| entry::invalid(Owner::Lease(lease), kept);
        loop {
            let place = self.find(machine, page).ok_or(Untaken::Nothing)?;
            if place.level == Level::Three {
                return Ok(());
            }
            let Entry::Invalid { kept, .. } = Entry::decode(place.raw, place.level) else {
                return Err(Untaken::Nothing);
            };
            let table = match kept {
                Some(table) => table,
                None => pool.take(machine).ok_or(Untaken::NoTables)?,
            };
            // No walker reaches the table: a kept one left the map when the range was lent.
            if kept.is_some() && place.level == Level::One {
                for n in 0..ENTRIES as usize {
                    let raw = machine.read_entry(table, n);
                    let below = entry::is_table(raw, Level::Two).then(|| entry::address(raw));
                    machine.write_entry(table, n, withheld(below));
                }
            } else {
                machine.fill_table(table, withheld(None), 0);
            }
            machine.clean_entries(table, 0, ENTRIES as usize);
            set(machine, place.table, place.index, entry::table(table, ENTRIES as u16));
        }
    }

    /// Takes `page` from a guest, whose every later touch finds that out, and waits until no CPU can reach it. A block
    /// around it is broken up: for that moment the guest has none of it.
    ///
    /// # Errors
    /// [`Untaken`]: the guest has all that it had.
    pub(crate) fn poison(&mut self, machine: &impl Machine, pool: &mut Pool, page: Ipa) -> Result<PhysAddr, Untaken> {
        let poison = entry::invalid(Owner::Taken, None);
        loop {
            let place = self.find(machine, page).ok_or(Untaken::Nothing)?;
            let Place {
                table,
                index: slot,
                raw,
                level,
            } = place;
            if !entry::is_valid(raw) {
                return Err(Untaken::Nothing);
            }
            let offset = page.get() & (level.size() - 1);
            let found = entry::address(raw).checked_add(offset).ok_or(Untaken::Nothing)?;
            if level == Level::Three {
                self.swap(machine, pool, &place, poison)?;
                return Ok(found);
            }
            let next = level.next();
            let child = pool.take(machine).ok_or(Untaken::NoTables)?;
            machine.fill_table(
                child,
                entry::leaf(entry::address(raw), Memory::Ram, self.attributes, next),
                next.size(),
            );
            if next == Level::Three {
                machine.write_entry(child, index(page.get(), next), poison);
            }
            if let Err(error) = self.swap(machine, pool, &place, entry::invalid(Owner::Nobody, None)) {
                pool.give(machine, child);
                return Err(error);
            }
            machine.write_entry(table, slot, entry::table(child, ENTRIES as u16));
            machine.publish();
            if next == Level::Three {
                return Ok(found);
            }
        }
    }

    /// Replaces a valid entry by an invalid one and waits until no TLB has it any more; else it is put back.
    fn swap(&mut self, machine: &impl Machine, pool: &mut Pool, place: &Place, invalid: u64) -> Result<(), Untaken> {
        machine.write_entry(place.table, place.index, invalid);
        self.forget_all();
        self.confirm(machine, pool).map_err(|error| {
            // What TLBs may still hold is what the entry says again.
            machine.write_entry(place.table, place.index, place.raw);
            machine.publish();
            error.into()
        })
    }

    /// Makes `range` of a guest's, which is vacant, pages that it finds taken.
    ///
    /// # Errors
    /// [`Reason::NoTables`]; what is before the refusal is done.
    pub(crate) fn map_taken(
        &mut self,
        machine: &impl Machine,
        pool: &mut Pool,
        range: PageRange<Ipa>,
    ) -> Result<(), Refusal> {
        Editor::new(machine, pool, self, MapTaken).run(range)
    }

    /// The first part of `range`, in the host's map, all of which is withheld for `lease`, or none of it; and which.
    pub(crate) fn stretch(
        &self,
        machine: &impl Machine,
        range: PageRange<Ipa>,
        lease: u8,
    ) -> Option<(bool, PageRange<Ipa>)> {
        let mut withheld = None;
        let mut at = range.start();
        while at < range.end() {
            let place = self.find(machine, at)?;
            let here = entry::lease(place.raw) == Some(lease);
            if *withheld.get_or_insert(here) != here {
                break;
            }
            at = at.align_down(place.level.size()).checked_add(place.level.size())?;
        }
        let end = at.min(range.end());
        let count = (end.get() - range.start().get()) / PAGE_SIZE;
        Some((withheld?, PageRange::new(range.start(), count).ok()?))
    }

    /// Whether a guest's page at `ipa` was taken from it.
    pub(crate) fn is_taken(&self, machine: &impl Machine, ipa: Ipa) -> bool {
        matches!(
            self.lookup(machine, ipa).0,
            Entry::Invalid {
                owner: Owner::Taken,
                ..
            }
        )
    }
}

struct MapTaken;

impl Edit for MapTaken {
    const JOINS: bool = false;

    fn whole(&mut self, _raw: u64, _level: Level, _at: u64) -> Result<Whole, Refusal> {
        Ok(Whole::Descend)
    }

    fn split(&mut self, raw: u64, _level: Level, at: u64) -> Result<Fill, Refusal> {
        Fill::unoccupied(raw, at)
    }

    fn enter(&mut self, _raw: u64, _at: u64) -> Result<(), Refusal> {
        Ok(())
    }

    fn pages(&mut self, machine: &impl Machine, run: Run) -> (i32, Option<Refusal>) {
        for n in 0..run.count {
            machine.write_entry(run.table, run.first + n, entry::invalid(Owner::Taken, None));
        }
        (run.count as i32, None)
    }
}
