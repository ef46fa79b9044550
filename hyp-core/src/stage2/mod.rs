//! Stage-2 tables of the host and of guests.
//!
//! 4 KiB granule, walked from level 1. The host's map is the identity: what is not an *exception* is its own RAM, and
//! a lease is exceptions written over it. A guest's map is empty, and what it retrieves are the exceptions. A table's
//! descriptor counts its exceptions in bits that hardware ignores, so that a table that says no more than one block
//! (or nothing) is known for that without a look at its entries.

mod edit;
mod entry;
mod guest;
mod host;
mod overlay;
mod pool;
mod take;

pub(crate) use edit::{Reason, Refusal};
pub(crate) use entry::{Entry, Level, Memory, Owner};
pub(crate) use host::{Claimed, Purpose};
pub use overlay::{OVERLAY_PAGES, OVERLAY_ROOTS, OVERLAY_TABLES, Overlay, OverlayMemory};
pub(crate) use pool::{List, Pool};
pub(crate) use take::Untaken;

use crate::machine::{Machine, SyncError};
use edit::index;
use leasehold_hal::{MemoryAttributes, Stage2Geometry, Vmid};
use leasehold_memory_map::{Address, Ipa, PAGE_SIZE, PageRange, PhysAddr};

/// How the host's RAM is mapped. Devices walk the same tables, and their accesses cannot be retried: no valid mapping
/// is ever taken away to be split.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Layout {
    /// The largest blocks, split live and joined again. For machines where every walker (CPUs and SMMUs) has BBM
    /// level 2 (Arm ARM D8.16.1).
    Blocks,
    /// 4 KiB tables built at boot and kept: lending all of one swaps it for an invalid entry, reclaim swaps it back.
    KeptPages,
}

/// What entries that are no exceptions say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// The host's own RAM, at its own address.
    Host(Layout),
    /// Nothing.
    Guest,
}

/// Range invalidations asked for between two confirmations before all of the VMID is invalidated instead.
const MAX_INVALIDATIONS: u32 = 16;

/// The tables of one VM.
#[derive(Debug)]
pub(crate) struct Stage2 {
    root: PhysAddr,
    /// The first address that is not translated.
    limit: u64,
    vmid: Vmid,
    attributes: MemoryAttributes,
    kind: Kind,
    /// Tables that are not in use any more but may still be walked until TLBs confirm.
    retired: List,
    /// Range invalidations asked for and not confirmed; more than [`MAX_INVALIDATIONS`] stand for "all".
    invalidations: u32,
}

/// The entry that decides about an address as it is in its table, and where that is.
struct Place {
    table: PhysAddr,
    index: usize,
    raw: u64,
    level: Level,
}

impl Stage2 {
    /// Tables that translate nothing.
    pub(crate) const NONE: Self = Self {
        root: PhysAddr::new(0),
        limit: 0,
        vmid: Vmid::HOST,
        attributes: MemoryAttributes::Combine,
        kind: Kind::Guest,
        retired: List::EMPTY,
        invalidations: 0,
    };

    /// The root of the tables, for VTTBR_EL2 and the SMMU.
    pub(crate) fn root(&self) -> PhysAddr {
        self.root
    }

    /// Whether all of `range` can be translated.
    pub(crate) fn covers(&self, range: PageRange<Ipa>) -> bool {
        range.end().get() <= self.limit
    }

    /// The entry that decides about `ipa`, and its level.
    pub(crate) fn lookup(&self, machine: &impl Machine, ipa: Ipa) -> (Entry, Level) {
        match self.find(machine, ipa) {
            Some(Place { raw, level, .. }) => (Entry::decode(raw, level), level),
            None => (
                Entry::Invalid {
                    owner: Owner::Nobody,
                    kept: None,
                },
                Level::One,
            ),
        }
    }

    /// The lease that `ipa` is withheld for.
    #[inline(always)]
    pub(crate) fn lease_at(&self, machine: &impl Machine, ipa: Ipa) -> Option<u8> {
        entry::lease(self.find(machine, ipa)?.raw)
    }

    /// The entry that decides about `ipa`, and where it is. `None` beyond what is translated.
    #[inline(always)]
    fn find(&self, machine: &impl Machine, ipa: Ipa) -> Option<Place> {
        let at = ipa.get();
        if at >= self.limit {
            return None;
        }
        let (mut table, mut slot) = self.root_slot(at);
        let mut level = Level::One;
        loop {
            let raw = machine.read_entry(table, slot);
            if !entry::is_table(raw, level) {
                return Some(Place {
                    table,
                    index: slot,
                    raw,
                    level,
                });
            }
            table = entry::address(raw);
            level = level.next();
            slot = index(at, level);
        }
    }

    /// Asks for the translations of `range` to be forgotten.
    #[inline(always)]
    pub(crate) fn forget(&mut self, machine: &impl Machine, range: PageRange<Ipa>) {
        if self.invalidations < MAX_INVALIDATIONS {
            machine.invalidate(self.vmid, range);
        }
        self.invalidations = self.invalidations.saturating_add(1);
    }

    /// Asks for all translations to be forgotten.
    pub(crate) fn forget_all(&mut self) {
        self.invalidations = u32::MAX;
    }

    /// Whether something was asked for that is not confirmed.
    pub(crate) fn is_unconfirmed(&self) -> bool {
        self.invalidations != 0
    }

    /// Waits until all that was to be forgotten is, then gives retired tables back to the pool.
    ///
    /// # Errors
    /// [`SyncError`]: retired tables stay retired, and the next call asks for all translations to be forgotten.
    #[inline(always)]
    pub(crate) fn confirm(&mut self, machine: &impl Machine, pool: &mut Pool) -> Result<(), SyncError> {
        if self.invalidations > MAX_INVALIDATIONS {
            machine.invalidate_all(self.vmid);
        }
        self.forget_all();
        machine.sync(self.vmid)?;
        self.invalidations = 0;
        pool.give_all(machine, &mut self.retired);
        Ok(())
    }

    fn forget_block(&mut self, machine: &impl Machine, level: Level, at: u64) {
        let start = Ipa::checked(at).map(|at| at.align_down(level.size()));
        match start.map(|start| PageRange::new(start, level.size() / PAGE_SIZE)) {
            Some(Ok(block)) => self.forget(machine, block),
            _ => self.forget_all(),
        }
    }

    #[inline(always)]
    fn root_slot(&self, at: u64) -> (PhysAddr, usize) {
        // Concatenated root tables stand side by side, each for 512 GiB, aligned to the size of them all.
        let table = entry::address(self.root.get() | ((at >> 39) * PAGE_SIZE));
        (table, index(at, Level::One))
    }

    /// What an entry of `level` says instead of a table without exceptions, if tables are joined here.
    fn joined(&self, level: Level, at: u64) -> Option<u64> {
        match self.kind {
            Kind::Host(Layout::Blocks) => Some(self.own(at & !(level.size() - 1), level)),
            Kind::Host(Layout::KeptPages) => None,
            Kind::Guest => Some(0),
        }
    }

    /// The entry for the host's own RAM at `at`.
    fn own(&self, at: u64, level: Level) -> u64 {
        let address = PhysAddr::checked(at).unwrap_or(PhysAddr::new(0));
        entry::leaf(address, Memory::Ram, self.attributes, level)
    }

    fn is_exception(&self, raw: u64) -> bool {
        match self.kind {
            Kind::Host(_) => !entry::is_valid(raw) || entry::is_device(raw),
            Kind::Guest => raw != 0,
        }
    }
}

fn root_size(geometry: &Stage2Geometry) -> u64 {
    geometry.root_tables() as u64 * PAGE_SIZE
}

/// How many root tables reach up to `limit`.
fn root_pages(limit: u64) -> u64 {
    limit.div_ceil(1 << 39)
}
