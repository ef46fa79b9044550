//! MMU and caches on, with a map that has just what a loader must have: the image's file, and that read-only.

use leasehold_guests::arch::cpu;
use leasehold_guests::arch::entry::image;
use leasehold_guests::{read_register, write_register};

const GIB: u64 = 1 << 30;
const BLOCK: u64 = 2 << 20;
const PAGE: u64 = 4096;

const VALID: u64 = 1;
const TABLE: u64 = 0b11;
const ACCESSED: u64 = 1 << 10;
const INNER_SHAREABLE: u64 = 0b11 << 8;
/// Attribute 1.
const NORMAL: u64 = 1 << 2;
const READ_ONLY: u64 = 1 << 7;

/// HCR_EL2: E2H, RW, TGE (Arm ARM D24.2.58).
const HCR_VHE: u64 = 1 << 34 | 1 << 31 | 1 << 27;
/// SCTLR_EL2: what is RES1 without VHE, M, C and I.
const SCTLR_ON: u64 = 0x30c5_0830 | 1 | 1 << 2 | 1 << 12;
/// Walks Write-Back and Inner Shareable, T0SZ 25.
const WALKS: u64 = 0b11 << 12 | 0b01 << 10 | 0b01 << 8 | 25;

#[repr(C, align(4096))]
struct Table([u64; 512]);

static mut ROOT: Table = Table([0; 512]);
static mut BLOCKS: Table = Table([0; 512]);
static mut PAGES: Table = Table([0; 512]);

/// Maps devices, this program and `bytes` from `entry` on, and nothing else.
pub fn on(entry: u64, bytes: u64, vhe: bool) {
    let normal = VALID | ACCESSED | INNER_SHAREABLE | NORMAL;
    let index = |address: u64, size: u64| (address / size % 512) as usize;
    let tables = [&raw mut ROOT, &raw mut BLOCKS, &raw mut PAGES];
    // SAFETY: one CPU, and nobody has a reference.
    let [root, blocks, pages] = tables.map(|table| unsafe { &mut *table });
    root.0[0] = VALID | ACCESSED;
    root.0[index(entry, GIB)] = (&raw const *blocks) as u64 | TABLE;
    blocks.0[index(entry, BLOCK)] = (&raw const *pages) as u64 | TABLE;
    for at in (entry..entry + bytes).step_by(PAGE as usize) {
        pages.0[index(at, PAGE)] = at | normal | READ_ONLY | TABLE;
    }
    let (start, end) = image();
    for at in (start & !(BLOCK - 1)..end).step_by(BLOCK as usize) {
        blocks.0[index(at, BLOCK)] = at | normal;
    }
    cpu::clean(start, end - start);
    let range = (read_register!("id_aa64mmfr0_el1") & 0xf).min(5);
    if vhe {
        write_register!("hcr_el2", HCR_VHE);
        // The upper half is on too (T1SZ 25, TG1 4 KiB), with tables that are none: TTBR1_EL2.
        write_register!(
            "tcr_el2",
            range << 32 | 0b10 << 30 | (WALKS & !0x3f | 25) << 16 & !(0b11 << 30) | WALKS
        );
        write_register!("S3_4_C2_C0_1", 0xdead_0000);
    } else {
        write_register!("tcr_el2", 1 << 31 | 1 << 23 | range << 16 | WALKS);
    }
    write_register!("mair_el2", 0xff00);
    write_register!("ttbr0_el2", (&raw const *root) as u64);
    // SAFETY: what is forgotten is looked up in the tables above.
    unsafe { core::arch::asm!("tlbi alle2", "dsb sy", "isb", options(nostack)) };
    write_register!("sctlr_el2", SCTLR_ON);
}
