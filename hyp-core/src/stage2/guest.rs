//! Changes to a guest's tables.

use super::edit::{Edit, Editor, Fill, Reason, Refusal, Run, Whole};
use super::entry::{self, Entry, Level, Memory, Owner};
use super::pool::{List, Pool};
use super::{Kind, Stage2};
use crate::machine::Machine;
use leasehold_hal::{MemoryAttributes, Stage2Geometry, Vmid};
use leasehold_memory_map::{Address, Ipa, PAGE_SIZE, PageRange, PhysAddr};

impl Stage2 {
    /// Tables of a guest, in which nothing is mapped. The root is one page of the pool, so `geometry` has 39 bits at
    /// most. `None` when the pool is empty.
    pub(crate) fn guest(
        machine: &impl Machine,
        pool: &mut Pool,
        geometry: &Stage2Geometry,
        vmid: Vmid,
    ) -> Option<Self> {
        debug_assert_eq!(geometry.root_tables(), 1);
        let root = pool.take(machine)?;
        machine.fill_table(root, 0, 0);
        Some(Self {
            root,
            limit: 1 << geometry.ipa_bits(),
            vmid,
            attributes: geometry.attributes(),
            kind: Kind::Guest,
            retired: List::EMPTY,
            invalidations: 0,
        })
    }

    /// Checks that nothing is mapped in `range`, which the tables cover.
    ///
    /// # Errors
    /// [`Reason::Occupied`] at the first address where there is.
    pub(crate) fn vacant(&self, machine: &impl Machine, range: PageRange<Ipa>) -> Result<(), Refusal> {
        let mut at = range.start();
        while at < range.end() {
            let (entry, level) = self.lookup(machine, at);
            let nothing = matches!(
                entry,
                Entry::Invalid {
                    owner: Owner::Nobody,
                    ..
                }
            );
            if !nothing {
                return Err(Refusal {
                    at,
                    reason: Reason::Occupied,
                });
            }
            match at.align_down(level.size()).checked_add(level.size()) {
                Some(next) => at = next,
                None => break,
            }
        }
        Ok(())
    }

    /// Maps the pages from `from` at `range`, which is vacant, in blocks where both are aligned.
    ///
    /// # Errors
    /// [`Reason::NoTables`]; what is before the refusal is mapped.
    pub(crate) fn map(
        &mut self,
        machine: &impl Machine,
        pool: &mut Pool,
        range: PageRange<Ipa>,
        from: PhysAddr,
    ) -> Result<(), Refusal> {
        let edit = Map {
            offset: from.get().wrapping_sub(range.start().get()),
            attributes: self.attributes,
        };
        Editor::new(machine, pool, self, edit).run(range)
    }

    /// Unmaps `range`, which was mapped by the same ranges, and asks for its translations to be forgotten. Tables
    /// that are empty then go back to the pool with the next confirmation.
    pub(crate) fn unmap(&mut self, machine: &impl Machine, pool: &mut Pool, range: PageRange<Ipa>) {
        // Nothing is split, so that there is nothing to refuse.
        let _ = Editor::new(machine, pool, self, Unmap).run(range);
        self.forget(machine, range);
    }

    /// Gives the root of empty tables back to the pool, when no TLB knows it any more.
    pub(crate) fn release(self, machine: &impl Machine, pool: &mut Pool) {
        pool.give(machine, self.root);
    }
}

struct Map {
    /// From an intermediate to its physical address, modulo 2^64.
    offset: u64,
    attributes: MemoryAttributes,
}

impl Map {
    fn leaf(&self, at: u64, level: Level) -> u64 {
        // Within the pages given, so always an address.
        let address = PhysAddr::checked(at.wrapping_add(self.offset)).unwrap_or(PhysAddr::new(0));
        entry::leaf(address, Memory::Ram, self.attributes, level)
    }
}

impl Edit for Map {
    const JOINS: bool = false;

    fn whole(&mut self, raw: u64, level: Level, at: u64) -> Result<Whole, Refusal> {
        let aligned = self.offset & (level.size() - 1) == 0;
        Ok(if raw == 0 && aligned {
            Whole::Replace(self.leaf(at, level), 1)
        } else {
            Whole::Descend
        })
    }

    fn split(&mut self, raw: u64, _level: Level, at: u64) -> Result<Fill, Refusal> {
        Fill::unoccupied(raw, at)
    }

    fn enter(&mut self, _raw: u64, _at: u64) -> Result<(), Refusal> {
        Ok(())
    }

    fn pages(&mut self, machine: &impl Machine, run: Run) -> (i32, Option<Refusal>) {
        let first = self.leaf(run.at, Level::Three);
        for n in 0..run.count {
            machine.write_entry(run.table, run.first + n, first + n as u64 * PAGE_SIZE);
        }
        (run.count as i32, None)
    }
}

struct Unmap;

impl Edit for Unmap {
    const JOINS: bool = true;

    fn whole(&mut self, raw: u64, level: Level, _at: u64) -> Result<Whole, Refusal> {
        Ok(if entry::is_table(raw, level) {
            Whole::Descend
        } else {
            Whole::Replace(0, -i32::from(raw != 0))
        })
    }

    fn split(&mut self, _raw: u64, _level: Level, at: u64) -> Result<Fill, Refusal> {
        Err(Refusal::new(at, Reason::Nothing))
    }

    fn enter(&mut self, _raw: u64, _at: u64) -> Result<(), Refusal> {
        Ok(())
    }

    fn pages(&mut self, machine: &impl Machine, run: Run) -> (i32, Option<Refusal>) {
        for n in 0..run.count {
            machine.write_entry(run.table, run.first + n, 0);
        }
        (-(run.count as i32), None)
    }
}
