//! Changes to the host's tables.

use super::edit::{Edit, Editor, Fill, Reason, Refusal, Run, Whole};
use super::entry::{self, CLAIMED, ENTRIES, Entry, Level, Memory, Owner};
use super::pool::{List, Pool};
use super::{Kind, Layout, Stage2, root_size};
use crate::machine::Machine;
use leasehold_hal::{MemoryAttributes, Stage2Geometry, Vmid};
use leasehold_memory_map::{Address, Ipa, PAGE_SIZE, PageRange, PhysAddr};

/// What boot makes of a range.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// The host's RAM.
    Ram,
    /// Registers that the host may reach.
    Device,
    /// The hypervisor's.
    Hypervisor,
}

impl Stage2 {
    /// Tables of the host, in which nothing is mapped, and the pool that is left of `memory` after the root.
    /// `None` when `memory` is too small.
    pub(crate) fn host(
        machine: &impl Machine,
        memory: PageRange<PhysAddr>,
        geometry: &Stage2Geometry,
        layout: Layout,
    ) -> Option<(Self, Pool)> {
        let size = root_size(geometry);
        let root = PhysAddr::checked(memory.start().get().checked_next_multiple_of(size)?)?;
        let rest = root.checked_add(size)?;
        let left = memory.end().get().checked_sub(rest.get())?;
        let pool = Pool::new(PageRange::new(rest, left / PAGE_SIZE).ok()?);
        for n in 0..geometry.root_tables() as u64 {
            let table = root.checked_add(n * PAGE_SIZE)?;
            machine.fill_table(table, entry::invalid(Owner::Nobody, None), 0);
            machine.clean_entries(table, 0, ENTRIES as usize);
        }
        let tables = Self {
            root,
            limit: 1 << geometry.ipa_bits(),
            vmid: Vmid::HOST,
            attributes: geometry.attributes(),
            kind: Kind::Host(layout),
            retired: List::EMPTY,
            // Nobody has walked them: nothing is to be forgotten before `finish_boot`.
            invalidations: u32::MAX,
        };
        Some((tables, pool))
    }

    /// Ends the time in which nobody walks the tables.
    pub(crate) fn finish_boot(&mut self, machine: &impl Machine, pool: &mut Pool) {
        self.invalidations = 0;
        pool.give_all(machine, &mut self.retired);
    }

    /// Says what a range is for. For boot, before anyone walks the tables.
    ///
    /// # Errors
    /// [`Reason::NoTables`].
    pub(crate) fn assign(
        &mut self,
        machine: &impl Machine,
        pool: &mut Pool,
        range: PageRange<Ipa>,
        purpose: Purpose,
    ) -> Result<(), Refusal> {
        let edit = Assign {
            purpose,
            keeps: self.kind == Kind::Host(Layout::KeptPages),
            attributes: self.attributes,
        };
        Editor::new(machine, pool, self, edit).run(range)
    }

    /// Claims a range for a lease: every page of it is the host's alone. Nobody but [`withhold`](Self::withhold) and
    /// [`restore`](Self::restore) sees a difference; blocks are split where the range's edges are.
    ///
    /// # Errors
    /// The first page that the host does not own, that is claimed already, or for which there is no table.
    pub(crate) fn claim(
        &mut self,
        machine: &impl Machine,
        pool: &mut Pool,
        range: PageRange<Ipa>,
    ) -> (Result<(), Refusal>, Claimed) {
        let edit = Claim {
            attributes: self.attributes,
        };
        let (claimed, run) = Editor::new(machine, pool, self, edit).run_and_tell(range);
        (claimed, Claimed(run))
    }

    /// Takes a claimed range from the host and asks for its translations to be forgotten.
    pub(crate) fn withhold(
        &mut self,
        machine: &impl Machine,
        pool: &mut Pool,
        range: PageRange<Ipa>,
        claimed: Claimed,
        lease: u8,
    ) {
        let mut edit = Withhold { lease };
        // What is claimed has its tables already, so that there is nothing to refuse.
        if claimed.0.count as u64 == range.count() {
            let Run {
                table, first, count, ..
            } = claimed.0;
            edit.pages(machine, claimed.0);
            machine.clean_entries(table, first, count);
        } else {
            let _ = Editor::new(machine, pool, self, edit).run(range);
        }
        self.forget(machine, range);
    }

    /// Gives a claimed or withheld range back to the host and joins tables that have no exceptions left.
    pub(crate) fn restore(&mut self, machine: &impl Machine, pool: &mut Pool, range: PageRange<Ipa>) {
        let edit = Restore {
            attributes: self.attributes,
        };
        // Nothing is split, so that there is nothing to refuse.
        let _ = Editor::new(machine, pool, self, edit).run(range);
    }
}

/// The last run of pages of a claimed range: all of it, if it has as many. Good until something else is changed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Claimed(Run);

impl Claimed {
    /// It is to be looked for.
    pub(crate) const ANYWHERE: Self = Self(Run::NONE);
}

fn own(at: u64, level: Level, attributes: MemoryAttributes) -> u64 {
    let address = PhysAddr::checked(at).unwrap_or(PhysAddr::new(0));
    entry::leaf(address, Memory::Ram, attributes, level)
}

/// The table that says what the host's own block at `at` says.
fn own_table(at: u64, level: Level, attributes: MemoryAttributes) -> Fill {
    let next = level.next();
    Fill {
        first: own(at & !(level.size() - 1), next, attributes),
        step: next.size(),
        exceptions: 0,
    }
}

struct Assign {
    purpose: Purpose,
    keeps: bool,
    attributes: MemoryAttributes,
}

impl Assign {
    fn value(&self, at: u64, level: Level) -> u64 {
        let address = PhysAddr::checked(at).unwrap_or(PhysAddr::new(0));
        match self.purpose {
            Purpose::Ram => entry::leaf(address, Memory::Ram, self.attributes, level),
            Purpose::Device => entry::leaf(address, Memory::Device, self.attributes, level),
            Purpose::Hypervisor => entry::invalid(Owner::Hypervisor, None),
        }
    }

    fn exceptions(&self) -> i32 {
        i32::from(self.purpose != Purpose::Ram)
    }
}

impl Edit for Assign {
    const JOINS: bool = true;

    fn whole(&mut self, raw: u64, level: Level, at: u64) -> Result<Whole, Refusal> {
        Ok(match (level, Entry::decode(raw, level)) {
            // Boot assigns from the large to the small; a table that is there already is changed page by page.
            (_, Entry::Table { .. }) => Whole::Descend,
            (Level::One, _) if self.keeps && self.purpose == Purpose::Ram => Whole::Descend,
            (_, _) if self.keeps && self.purpose == Purpose::Ram => Whole::Fill(own_table(at, level, self.attributes)),
            (_, before) => {
                let exception = !matches!(
                    before,
                    Entry::Leaf {
                        memory: Memory::Ram,
                        ..
                    }
                );
                Whole::Replace(self.value(at, level), self.exceptions() - i32::from(exception))
            }
        })
    }

    fn split(&mut self, raw: u64, level: Level, _at: u64) -> Result<Fill, Refusal> {
        let next = level.next();
        Ok(match Entry::decode(raw, level) {
            Entry::Leaf { address, memory, .. } => Fill {
                first: entry::leaf(address, memory, self.attributes, next),
                step: next.size(),
                exceptions: if memory == Memory::Ram { 0 } else { ENTRIES as u16 },
            },
            _ => Fill {
                first: raw,
                step: 0,
                exceptions: ENTRIES as u16,
            },
        })
    }

    fn enter(&mut self, _raw: u64, _at: u64) -> Result<(), Refusal> {
        Ok(())
    }

    fn pages(&mut self, machine: &impl Machine, run: Run) -> (i32, Option<Refusal>) {
        let mut change = 0;
        for n in 0..run.count {
            let raw = machine.read_entry(run.table, run.first + n);
            let own = matches!(
                Entry::decode(raw, Level::Three),
                Entry::Leaf {
                    memory: Memory::Ram,
                    ..
                }
            );
            let value = self.value(run.at + n as u64 * PAGE_SIZE, Level::Three);
            machine.write_entry(run.table, run.first + n, value);
            change += self.exceptions() - i32::from(!own);
        }
        (change, None)
    }
}

struct Claim {
    attributes: MemoryAttributes,
}

impl Claim {
    #[cold]
    fn refusal(raw: u64, level: Level, at: u64) -> Refusal {
        let reason = match Entry::decode(raw, level) {
            Entry::Invalid {
                owner: Owner::Hypervisor,
                ..
            } => Reason::Hypervisor,
            Entry::Invalid {
                owner: Owner::Lease(_), ..
            } => Reason::Leased,
            Entry::Leaf {
                memory: Memory::Device, ..
            } => Reason::Device,
            Entry::Leaf { claimed: true, .. } | Entry::Table { claimed: true, .. } => Reason::Claimed,
            _ => Reason::Nothing,
        };
        Refusal::new(at, reason)
    }
}

impl Edit for Claim {
    const JOINS: bool = false;

    fn whole(&mut self, raw: u64, level: Level, at: u64) -> Result<Whole, Refusal> {
        let uniform = raw == own(at, level, self.attributes)
            || (entry::is_table(raw, level) && entry::exceptions(raw) == 0 && raw & CLAIMED == 0);
        if uniform {
            Ok(Whole::Replace(raw | CLAIMED, 1))
        } else if entry::is_table(raw, level) {
            // Some page in there is not the host's alone: it will be found.
            Ok(Whole::Descend)
        } else {
            Err(Self::refusal(raw, level, at))
        }
    }

    fn split(&mut self, raw: u64, level: Level, at: u64) -> Result<Fill, Refusal> {
        if raw == own(at & !(level.size() - 1), level, self.attributes) {
            Ok(own_table(at, level, self.attributes))
        } else {
            Err(Self::refusal(raw, level, at))
        }
    }

    fn enter(&mut self, raw: u64, at: u64) -> Result<(), Refusal> {
        if raw & CLAIMED == 0 {
            Ok(())
        } else {
            Err(Refusal::new(at, Reason::Claimed))
        }
    }

    fn pages(&mut self, machine: &impl Machine, run: Run) -> (i32, Option<Refusal>) {
        let first = own(run.at, Level::Three, self.attributes);
        for n in 0..run.count {
            let offset = n as u64 * PAGE_SIZE;
            let raw = machine.read_entry(run.table, run.first + n);
            if raw != first + offset {
                return (n as i32, Some(Self::refusal(raw, Level::Three, run.at + offset)));
            }
            machine.write_entry(run.table, run.first + n, raw | CLAIMED);
        }
        (run.count as i32, None)
    }
}

struct Withhold {
    lease: u8,
}

impl Edit for Withhold {
    const JOINS: bool = false;

    fn whole(&mut self, raw: u64, level: Level, _at: u64) -> Result<Whole, Refusal> {
        if raw & CLAIMED == 0 {
            return Ok(Whole::Descend);
        }
        let kept = entry::is_table(raw, level).then(|| entry::address(raw));
        Ok(Whole::Replace(entry::invalid(Owner::Lease(self.lease), kept), 0))
    }

    fn split(&mut self, _raw: u64, _level: Level, at: u64) -> Result<Fill, Refusal> {
        Err(Refusal::new(at, Reason::NoTables))
    }

    fn enter(&mut self, _raw: u64, _at: u64) -> Result<(), Refusal> {
        Ok(())
    }

    fn pages(&mut self, machine: &impl Machine, run: Run) -> (i32, Option<Refusal>) {
        let value = entry::invalid(Owner::Lease(self.lease), None);
        for n in 0..run.count {
            machine.write_entry(run.table, run.first + n, value);
        }
        (0, None)
    }
}

struct Restore {
    attributes: MemoryAttributes,
}

impl Edit for Restore {
    const JOINS: bool = true;

    fn whole(&mut self, raw: u64, level: Level, at: u64) -> Result<Whole, Refusal> {
        Ok(match Entry::decode(raw, level) {
            Entry::Table { claimed: false, .. } => Whole::Descend,
            Entry::Table { table, .. } => Whole::Replace(entry::table(table, 0), -1),
            Entry::Invalid { kept: Some(table), .. } => Whole::Replace(entry::table(table, 0), -1),
            Entry::Leaf { .. } | Entry::Invalid { .. } => Whole::Replace(own(at, level, self.attributes), -1),
        })
    }

    fn split(&mut self, _raw: u64, _level: Level, at: u64) -> Result<Fill, Refusal> {
        Err(Refusal::new(at, Reason::NoTables))
    }

    fn enter(&mut self, _raw: u64, _at: u64) -> Result<(), Refusal> {
        Ok(())
    }

    fn pages(&mut self, machine: &impl Machine, run: Run) -> (i32, Option<Refusal>) {
        let first = own(run.at, Level::Three, self.attributes);
        for n in 0..run.count {
            machine.write_entry(run.table, run.first + n, first + n as u64 * PAGE_SIZE);
        }
        (-(run.count as i32), None)
    }
}
