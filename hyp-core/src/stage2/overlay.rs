//! A private copy of the way to a page of the host's, on which the page leads elsewhere.
//!
//! What the copy's own tables do not say is in the host's tables, to which it points. It is as old as the moment in
//! which it was made: who takes anything away from the host must revoke it.

use super::edit::index;
use super::entry::{self, Level, Memory};
use super::{Stage2, root_pages};
use crate::machine::Machine;
use heapless::Vec;
use leasehold_hal::MemoryAttributes;
use leasehold_memory_map::{Address, Ipa, PAGE_SIZE, PhysAddr};

/// Root tables that an overlay has room for: IPAs of 40 bits.
pub const OVERLAY_ROOTS: usize = 2;
/// Further tables: one of level 2 and one of level 3 for each page, where no two are near to each other.
pub const OVERLAY_TABLES: usize = 2 * OVERLAY_PAGES;
/// Pages that lead elsewhere, at most: an instruction that copies reads two and writes two.
pub const OVERLAY_PAGES: usize = 4;

/// Where an overlay is made: memory of the hypervisor's that nobody else uses meanwhile.
#[derive(Clone, Copy, Debug)]
pub struct OverlayMemory {
    /// [`OVERLAY_ROOTS`] pages, aligned to their size.
    pub root: PhysAddr,
    /// [`OVERLAY_TABLES`] pages.
    pub tables: PhysAddr,
    /// [`OVERLAY_PAGES`] pages, which the host will reach.
    pub pages: PhysAddr,
}

/// An overlay.
#[derive(Debug)]
pub struct Overlay {
    memory: OverlayMemory,
    attributes: MemoryAttributes,
    tables: u64,
    covered: Vec<Ipa, OVERLAY_PAGES>,
}

impl Stage2 {
    /// A copy of the host's map. `None` where its root is larger than `memory` has room for.
    pub(crate) fn overlay(&self, machine: &impl Machine, memory: OverlayMemory) -> Option<Overlay> {
        let roots = root_pages(self.limit);
        if roots > OVERLAY_ROOTS as u64 {
            return None;
        }
        for n in 0..roots {
            machine.copy_table(
                memory.root.checked_add(n * PAGE_SIZE)?,
                self.root.checked_add(n * PAGE_SIZE)?,
            );
        }
        Some(Overlay {
            memory,
            attributes: self.attributes,
            tables: 0,
            covered: Vec::new(),
        })
    }
}

impl Overlay {
    /// The root, for VTTBR_EL2.
    #[must_use]
    pub fn root(&self) -> PhysAddr {
        self.memory.root
    }

    /// Pages of the host's that lead elsewhere.
    #[must_use]
    pub fn covered(&self) -> &[Ipa] {
        &self.covered
    }

    /// Lets `page`, which the host's map does not have, lead to a page of the hypervisor's: which one. `None` when there
    /// are too many, or the map has it.
    pub fn cover(&mut self, machine: &impl Machine, page: Ipa) -> Option<PhysAddr> {
        let at = page.get();
        let target = self.memory.pages.checked_add(self.covered.len() as u64 * PAGE_SIZE)?;
        if self.covered.is_full() {
            return None;
        }
        let mut level = Level::One;
        let mut table = self.memory.root.checked_add((at >> 39) * PAGE_SIZE)?;
        while level != Level::Three {
            let slot = index(at, level);
            let raw = machine.read_entry(table, slot);
            table = self.own_table(machine, table, slot, raw, level)?;
            level = level.next();
        }
        let slot = index(at, level);
        if entry::is_valid(machine.read_entry(table, slot)) {
            return None;
        }
        machine.write_entry(table, slot, entry::leaf(target, Memory::Ram, self.attributes, level));
        machine.publish();
        self.covered.push(page).ok()?;
        Some(target)
    }

    /// The overlay's own table for what entry `slot` of `table`, which is its own, translates.
    fn own_table(
        &mut self,
        machine: &impl Machine,
        table: PhysAddr,
        slot: usize,
        raw: u64,
        level: Level,
    ) -> Option<PhysAddr> {
        let below = entry::is_table(raw, level).then(|| entry::address(raw));
        let end = self.memory.tables.checked_add(OVERLAY_TABLES as u64 * PAGE_SIZE)?;
        match below {
            Some(own) if self.memory.tables <= own && own < end => return Some(own),
            None if entry::is_valid(raw) => return None,
            _ => {}
        }
        let fresh = self.memory.tables.checked_add(self.tables * PAGE_SIZE)?;
        if fresh >= end {
            return None;
        }
        self.tables += 1;
        match below {
            Some(below) => machine.copy_table(fresh, below),
            None => machine.fill_table(fresh, 0, 0),
        }
        machine.write_entry(table, slot, entry::table(fresh, 0));
        Some(fresh)
    }
}
