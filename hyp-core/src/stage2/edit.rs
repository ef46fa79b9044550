//! Changing a range of a VM's tables: one walk, each table visited once.

use super::Stage2;
use super::entry::{self, ENTRIES, Level};
use super::pool::Pool;
use crate::machine::Machine;
use leasehold_memory_map::{Address, Ipa, PAGE_SIZE, PageRange, PhysAddr};

/// Why a change stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reason {
    /// The same call has claimed the page already.
    Claimed,
    /// The page is lent.
    Leased,
    /// There is nothing.
    Nothing,
    /// The page is the hypervisor's.
    Hypervisor,
    /// It is a device's registers.
    Device,
    /// The guest has something there.
    Occupied,
    /// The pool has no page left.
    NoTables,
}

/// A change that stopped, and where: all before `at` is changed, nothing from there on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Refusal {
    pub(crate) at: Ipa,
    pub(crate) reason: Reason,
}

impl Refusal {
    /// What of `range`, the range that was to be changed, is changed: `None` for nothing.
    pub(crate) fn done(&self, range: PageRange<Ipa>) -> Option<PageRange<Ipa>> {
        let bytes = self.at.get().checked_sub(range.start().get())?;
        PageRange::new(range.start(), bytes / PAGE_SIZE).ok()
    }

    pub(super) fn new(at: u64, reason: Reason) -> Self {
        // `at` is inside of a `PageRange<Ipa>`, so it is an address.
        Self {
            at: Ipa::checked(at).unwrap_or(Ipa::new(0)),
            reason,
        }
    }
}

/// What becomes of an entry all of whose memory is in the range.
pub(super) enum Whole {
    /// It gets this value, and the number of exceptions in its table changes by so much.
    Replace(u64, i32),
    /// It becomes a table.
    Fill(Fill),
    /// Its table is changed page by page, after a split where it has none.
    Descend,
}

/// What a new table starts with: entry `n` is `first + n * step`, and so many are exceptions.
#[derive(Clone, Copy)]
pub(super) struct Fill {
    pub(super) first: u64,
    pub(super) step: u64,
    pub(super) exceptions: u16,
}

impl Fill {
    /// What a new table below `raw` at `at` starts with where only what is unmapped may be mapped: nothing.
    ///
    /// # Errors
    /// [`Reason::Occupied`].
    pub(super) fn unoccupied(raw: u64, at: u64) -> Result<Self, Refusal> {
        if raw == 0 {
            Ok(Self {
                first: 0,
                step: 0,
                exceptions: 0,
            })
        } else {
            Err(Refusal::new(at, Reason::Occupied))
        }
    }
}

/// A run of level-3 entries.
#[derive(Clone, Copy, Debug)]
pub(super) struct Run {
    pub(super) table: PhysAddr,
    pub(super) first: usize,
    pub(super) count: usize,
    /// What the first entry translates. Like all such numbers here it is inside of a range that was checked, so sums
    /// up to that range's end do not overflow.
    pub(super) at: u64,
}

impl Run {
    /// Of no entries.
    pub(super) const NONE: Self = Self {
        table: PhysAddr::new(0),
        first: 0,
        count: 0,
        at: 0,
    };
}

/// What a change does to the entries that it meets. An *exception* is an entry that is not what the table's join
/// would say: not the host's own RAM, or not a guest's nothing.
pub(super) trait Edit {
    /// Whether a table without exceptions is joined.
    const JOINS: bool;

    /// The range covers all that `raw` at level 1 or 2 translates.
    fn whole(&mut self, raw: u64, level: Level, at: u64) -> Result<Whole, Refusal>;

    /// The range is about to change a part of what `raw` translates, which is not a table.
    fn split(&mut self, raw: u64, level: Level, at: u64) -> Result<Fill, Refusal>;

    /// The range is about to change entries of the table that `raw` points at.
    fn enter(&mut self, raw: u64, at: u64) -> Result<(), Refusal>;

    /// Changes a run of pages. Gives by how much the number of exceptions changed, and why it stopped early.
    fn pages(&mut self, machine: &impl Machine, run: Run) -> (i32, Option<Refusal>);
}

/// A change on its way through the tables.
pub(super) struct Editor<'a, M, E> {
    machine: &'a M,
    pool: &'a mut Pool,
    tables: &'a mut Stage2,
    edit: E,
    refusal: Option<Refusal>,
    /// The last run of pages.
    run: Run,
}

impl<'a, M: Machine, E: Edit> Editor<'a, M, E> {
    pub(super) fn new(machine: &'a M, pool: &'a mut Pool, tables: &'a mut Stage2, edit: E) -> Self {
        Self {
            machine,
            pool,
            tables,
            edit,
            refusal: None,
            run: Run::NONE,
        }
    }

    /// Changes `range`, which the tables cover.
    ///
    /// # Errors
    /// The first refusal. What was before it in the range is changed; the caller undoes that.
    pub(super) fn run(self, range: PageRange<Ipa>) -> Result<(), Refusal> {
        self.run_and_tell(range).0
    }

    /// As [`run`](Self::run), and tells the last run of pages on the way.
    #[inline(always)]
    pub(super) fn run_and_tell(mut self, range: PageRange<Ipa>) -> (Result<(), Refusal>, Run) {
        let (at, end) = (range.start().get(), range.end().get());
        if !self.within_a_table(at, end) {
            self.across_tables(at, end);
        }
        (self.refusal.map_or(Ok(()), Err), self.run)
    }

    /// Changes `at..end` if that is a part of what one table of pages translates, as most changes are. `false` when it is
    /// not, and then nothing was done.
    #[inline(always)]
    fn within_a_table(&mut self, at: u64, end: u64) -> bool {
        let (top, block) = (Level::One, Level::Two);
        if end > boundary(at, block) || end - at == block.size() {
            return false;
        }
        let (root, number) = self.tables.root_slot(at);
        let raw = self.machine.read_entry(root, number);
        if !entry::is_table(raw, top) {
            return false;
        }
        let (middle, index) = (entry::address(raw), index(at, block));
        let below = self.machine.read_entry(middle, index);
        if !entry::is_table(below, block) {
            return false;
        }
        let entered = self.edit.enter(raw, at).and_then(|()| self.edit.enter(below, at));
        if let Err(refusal) = entered {
            self.refuse(refusal);
            return true;
        }
        let pages = entry::address(below);
        let change = self.pages(pages, at, end);
        let change = self.count(
            Slot::new(middle, index, block, at),
            pages,
            entry::exceptions(below),
            change,
            None,
        );
        self.count(
            Slot::new(root, number, top, at),
            middle,
            entry::exceptions(raw),
            change,
            None,
        );
        true
    }

    #[inline(never)]
    fn across_tables(&mut self, start: u64, end: u64) {
        let mut at = start;
        while at < end && self.refusal.is_none() {
            let next = end.min(boundary(at, Level::One));
            let (table, index) = self.tables.root_slot(at);
            self.entry::<1>(table, index, at, next);
            at = next;
        }
    }

    /// Changes `at..end`, which is inside of what entry `index` of `table` translates. Gives by how much the number of
    /// exceptions in `table` changed.
    #[inline(always)]
    fn entry<const LEVEL: u8>(&mut self, table: PhysAddr, index: usize, at: u64, end: u64) -> i32 {
        let level = if LEVEL == 1 { Level::One } else { Level::Two };
        let raw = self.machine.read_entry(table, index);
        if end - at == level.size() {
            match self.edit.whole(raw, level, at) {
                Ok(Whole::Replace(new, change)) => {
                    set(self.machine, table, index, new);
                    return change;
                }
                Ok(Whole::Fill(fill)) => return self.fill(table, index, raw, fill, at),
                Ok(Whole::Descend) => {}
                Err(refusal) => return self.refuse(refusal),
            }
        }
        let fresh = !entry::is_table(raw, level);
        let (child, before) = if fresh {
            match self.split(raw, level, at) {
                Ok(split) => split,
                Err(refusal) => return self.refuse(refusal),
            }
        } else {
            if let Err(refusal) = self.edit.enter(raw, at) {
                return self.refuse(refusal);
            }
            (entry::address(raw), entry::exceptions(raw))
        };
        let change = if LEVEL == 1 {
            self.blocks(child, at, end)
        } else {
            self.pages(child, at, end)
        };
        if fresh && change == 0 && self.refusal.is_some() {
            // No walker has seen it.
            self.pool.give(self.machine, child);
            return 0;
        }
        self.count(
            Slot::new(table, index, level, at),
            child,
            before,
            change,
            fresh.then_some(raw),
        )
    }

    fn blocks(&mut self, table: PhysAddr, start: u64, end: u64) -> i32 {
        let mut change = 0;
        let mut at = start;
        while at < end && self.refusal.is_none() {
            let next = end.min(boundary(at, Level::Two));
            change += self.entry::<2>(table, index(at, Level::Two), at, next);
            at = next;
        }
        change
    }

    #[inline(always)]
    fn pages(&mut self, table: PhysAddr, at: u64, end: u64) -> i32 {
        let run = Run {
            table,
            first: index(at, Level::Three),
            count: ((end - at) / PAGE_SIZE) as usize,
            at,
        };
        self.run = run;
        let (change, refusal) = self.edit.pages(self.machine, run);
        self.machine.clean_entries(run.table, run.first, run.count);
        if refusal.is_some() {
            self.refusal = refusal;
        }
        change
    }

    /// Writes the entry of a table whose exceptions changed, or joins it. Gives by how much the exceptions one level
    /// up changed.
    #[inline(always)]
    fn count(&mut self, slot: Slot, child: PhysAddr, before: u16, change: i32, split: Option<u64>) -> i32 {
        let after = (i32::from(before) + change) as u16;
        match self.tables.joined(slot.level, slot.at) {
            Some(joined) if E::JOINS && after == 0 => {
                set(self.machine, slot.table, slot.index, joined);
                self.tables.forget_block(self.machine, slot.level, slot.at);
                self.pool.chain(self.machine, &mut self.tables.retired, child);
            }
            _ => {
                if split.is_some() || change != 0 {
                    set(self.machine, slot.table, slot.index, entry::table(child, after));
                }
                if split.is_some_and(entry::is_valid) {
                    self.tables.forget_block(self.machine, slot.level, slot.at);
                }
            }
        }
        i32::from(after != 0) - i32::from(before != 0)
    }

    /// A table for what `raw` translates, not yet written to the entry.
    #[cold]
    fn split(&mut self, raw: u64, level: Level, at: u64) -> Result<(PhysAddr, u16), Refusal> {
        let fill = self.edit.split(raw, level, at)?;
        Ok((self.new_table(fill, at)?, fill.exceptions))
    }

    #[cold]
    fn fill(&mut self, table: PhysAddr, index: usize, raw: u64, fill: Fill, at: u64) -> i32 {
        match self.new_table(fill, at) {
            Ok(child) => {
                set(self.machine, table, index, entry::table(child, fill.exceptions));
                i32::from(fill.exceptions != 0) - i32::from(self.tables.is_exception(raw))
            }
            Err(refusal) => self.refuse(refusal),
        }
    }

    fn new_table(&mut self, fill: Fill, at: u64) -> Result<PhysAddr, Refusal> {
        let table = self.pool.take(self.machine).ok_or(Refusal::new(at, Reason::NoTables))?;
        self.machine.fill_table(table, fill.first, fill.step);
        self.machine.clean_entries(table, 0, ENTRIES as usize);
        Ok(table)
    }

    #[cold]
    fn refuse(&mut self, refusal: Refusal) -> i32 {
        self.refusal = Some(refusal);
        0
    }
}

#[derive(Clone, Copy)]
struct Slot {
    table: PhysAddr,
    index: usize,
    level: Level,
    at: u64,
}

impl Slot {
    const fn new(table: PhysAddr, index: usize, level: Level, at: u64) -> Self {
        Self {
            table,
            index,
            level,
            at,
        }
    }
}

/// Writes an entry, through to walkers that do not look into caches.
#[inline(always)]
pub(super) fn set(machine: &impl Machine, table: PhysAddr, index: usize, value: u64) {
    machine.write_entry(table, index, value);
    machine.clean_entries(table, index, 1);
}

/// The index of the entry for `at` in its table of `level`.
pub(super) fn index(at: u64, level: Level) -> usize {
    ((at >> level.shift()) % ENTRIES) as usize
}

/// The end of what the entry for `at` translates.
fn boundary(at: u64, level: Level) -> u64 {
    (at | (level.size() - 1)) + 1
}
