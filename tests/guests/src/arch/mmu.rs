//! Stage 1 at EL1: everything where it is, 39 bits of address, 4 KiB granule.
//!
//! Both halves of the address space walk the same tables, so that what is at `a` is at [`kernel`]`(a)` too. RAM is at
//! [`user`]`(a)` once more, for EL0.

use super::cpu;
use super::entry::SCTLR_OFF;
use crate::pages::{Block, PAGE, Pages};
use crate::range::Range;
use crate::{read_register, write_register};

/// What a table maps at once one level above pages.
pub const BLOCK: u64 = 2 << 20;
const GIB: u64 = 1 << 30;

/// Attribute 0 is Device-nGnRnE, attribute 1 Normal Write-Back.
const MAIR: u64 = 0xff00;
const VALID: u64 = 1;
const TABLE: u64 = 1 << 1;
const NORMAL: u64 = 1 << 2;
const USER: u64 = 1 << 6;
const READ_ONLY: u64 = 1 << 7;
const INNER_SHAREABLE: u64 = 0b11 << 8;
const ACCESSED: u64 = 1 << 10;
const PXN: u64 = 1 << 53;
const UXN: u64 = 1 << 54;
const ADDRESS: u64 = 0xffff_ffff_f000;

/// Who may do what.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// EL1 reads, writes and executes.
    Kernel,
    /// EL0 and EL1 read and write.
    User,
    /// EL0 reads and executes, EL1 reads.
    UserCode,
    /// EL0 reads, writes and executes, EL1 reads and writes.
    UserAll,
}

impl Access {
    const fn bits(self) -> u64 {
        let normal = VALID | NORMAL | INNER_SHAREABLE | ACCESSED;
        match self {
            Access::Kernel => normal | UXN,
            Access::User => normal | USER | UXN | PXN,
            Access::UserCode => normal | USER | READ_ONLY | PXN,
            Access::UserAll => normal | USER | PXN,
        }
    }
}

/// What is at physical address `a`, by an address of the upper half.
pub const fn kernel(a: u64) -> u64 {
    a | 0xffff_ff80_0000_0000
}

/// What is at physical address `a` of RAM, by an address that EL0 can use.
pub const fn user(a: u64) -> u64 {
    a + USER_WINDOW
}

const USER_WINDOW: u64 = 128 * GIB;

/// Where what is at physical address `a`, in the first gigabyte of RAM, may be mapped for an EL0 with AArch32. Nothing
/// is mapped there of itself.
pub const fn narrow(a: u64) -> u64 {
    a % GIB + 3 * GIB
}

/// A set of tables.
pub struct Space {
    root: Block,
}

impl Space {
    /// Everything below 1 GiB and the gigabytes of `devices` as Device memory, `ram` as Normal memory in 2 MiB blocks.
    /// Holes in `ram` are mapped like the rest: it is for stage 2 to refuse what is not there.
    pub fn new(pages: &mut Pages, ram: Range, devices: impl IntoIterator<Item = u64>) -> Space {
        let space = Space { root: pages.take(1) };
        let leaf = VALID | ACCESSED | UXN | PXN;
        space.root.write(0, leaf);
        for base in devices {
            let base = base & !(GIB - 1);
            space.root.write((base / GIB * 8) as usize, base | leaf);
        }
        for (window, access) in [(0, Access::Kernel), (USER_WINDOW, Access::User)] {
            let mut at = ram.start & !(BLOCK - 1);
            while at < ram.end {
                let level2 = space.level2(pages, at + window);
                level2.write((at % GIB / BLOCK * 8) as usize, at | access.bits());
                at += BLOCK;
            }
        }
        space
    }

    /// Lets both windows map `area` in pages, or as blocks again, which it must then be made of.
    pub fn set_granule(&self, pages: &mut Pages, area: Block, in_pages: bool) {
        for (window, access) in [(0, Access::Kernel), (USER_WINDOW, Access::User)] {
            let (base, bytes) = (area.base(), area.bytes());
            if in_pages {
                self.map_pages(pages, base + window, base, bytes, access);
            } else {
                for offset in (0..bytes).step_by(BLOCK as usize) {
                    self.map_block(pages, base + offset + window, base + offset, access);
                }
            }
        }
    }

    /// The table that entry `index` points at, made if it is not there, with what the entry mapped before.
    fn next(pages: &mut Pages, table: &Block, index: usize, step: u64) -> Block {
        let entry = table.read(index * 8);
        if entry & (VALID | TABLE) == VALID | TABLE {
            return Block::of_table(entry & ADDRESS);
        }
        let next = pages.take(1);
        if entry & VALID != 0 {
            let kind = if step == PAGE { TABLE } else { 0 };
            for i in 0..512 {
                next.write(i * 8, (entry + i as u64 * step) | kind);
            }
        }
        // Break before make; what runs this is mapped by another entry, or the MMU is off.
        table.write(index * 8, 0);
        cpu::invalidate_translations();
        table.write(index * 8, next.base() | TABLE | VALID);
        cpu::dsb();
        next
    }

    fn level2(&self, pages: &mut Pages, va: u64) -> Block {
        Self::next(pages, &self.root, (va / GIB) as usize, BLOCK)
    }

    /// Maps `size` bytes from `va` at `pa` in pages.
    pub fn map_pages(&self, pages: &mut Pages, va: u64, pa: u64, size: u64, access: Access) {
        for offset in (0..size).step_by(PAGE as usize) {
            let (va, pa) = (va + offset, pa + offset);
            let level2 = self.level2(pages, va);
            let level3 = Self::next(pages, &level2, (va % GIB / BLOCK) as usize, PAGE);
            replace(&level3, (va % BLOCK / PAGE) as usize, pa | access.bits() | TABLE);
        }
    }

    /// Maps 2 MiB at `va` at `pa` as one block. Both are aligned to it.
    pub fn map_block(&self, pages: &mut Pages, va: u64, pa: u64, access: Access) {
        let level2 = self.level2(pages, va);
        replace(&level2, (va % GIB / BLOCK) as usize, pa | access.bits());
    }

    /// The table of pages that maps `va`, where one does.
    pub fn table_of(&self, pages: &mut Pages, va: u64) -> u64 {
        let level2 = self.level2(pages, va);
        level2.read((va % GIB / BLOCK) as usize * 8) & ADDRESS
    }

    /// Lets the 2 MiB of `va` be translated by the table of pages at `table`.
    pub fn set_table(&self, pages: &mut Pages, va: u64, table: u64) {
        let level2 = self.level2(pages, va);
        replace(&level2, (va % GIB / BLOCK) as usize, table | TABLE | VALID);
    }

    /// Takes 2 MiB from `va` out.
    pub fn unmap(&self, pages: &mut Pages, va: u64) {
        let level2 = self.level2(pages, va);
        replace(&level2, (va % GIB / BLOCK) as usize, 0);
    }

    /// Turns translation and caches on for this CPU.
    pub fn on(&self) {
        let (start, end) = super::entry::image();
        // What a loader left in caches, and what was written past them, must not meet.
        cpu::clean(start, end - start);
        let range = (read_register!("id_aa64mmfr0_el1") & 0xf).min(5);
        // TCR_EL1 (Arm ARM D24.2.185): T0SZ and T1SZ 25, walks Write-Back and Inner Shareable, granules 4 KiB.
        let half = 0b11 << 12 | 0b01 << 10 | 0b01 << 8 | 25;
        write_register!("mair_el1", MAIR);
        write_register!("tcr_el1", range << 32 | 0b10 << 30 | half << 16 & !(0b11 << 30) | half);
        write_register!("ttbr0_el1", self.root.base());
        write_register!("ttbr1_el1", self.root.base());
        cpu::invalidate_translations();
        // M, C and I.
        write_register!("sctlr_el1", SCTLR_OFF | 1 | 1 << 2 | 1 << 12);
    }
}

/// Changes an entry by way of an invalid one.
fn replace(table: &Block, index: usize, entry: u64) {
    table.write(index * 8, 0);
    cpu::invalidate_translations();
    table.write(index * 8, entry);
    cpu::dsb();
    // What was not there before may be remembered as such by the pipeline.
    cpu::invalidate_translations();
}

/// Is translation on for this CPU?
pub fn is_on() -> bool {
    read_register!("sctlr_el1") & 1 != 0
}
