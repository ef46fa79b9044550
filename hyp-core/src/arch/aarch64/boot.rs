//! EL2's own translation from the first instruction with the MMU on, and where it starts the host.
//!
//! `aarch64-rt` does the like for programs that own their machine; here the vectors are the world switch, stacks have
//! guard pages and secondaries come up for the host, so the entry is our own.

use super::entry::{self, SCTLR_EL2_OFF};
use super::percpu;
use super::stage1;
use crate::features::Features;
use crate::layout::STACK_PITCH;
use core::arch::global_asm;
use leasehold_memory_map::PhysRange;

/// M, C, SA, I and WXN: MMU, caches, stack alignment checks, nothing both writable and executable.
const SCTLR_ON: u64 = SCTLR_EL2_OFF | 1 | 1 << 2 | 1 << 3 | 1 << 12 | 1 << 19;
/// MAIR_EL2: attribute 0 Device-nGnRE, attribute 1 Normal Write-Back (Arm ARM D24.2.107).
const MAIR: u64 = 0xff_04;
/// TCR_EL2: 39 bits of address (T0SZ 25), walks Write-Back and Inner Shareable, 4 KiB granule; RES1 bits 31 and 23.
const TCR: u64 = 1 << 31 | 1 << 23 | WALKS;
/// The same in VHE's layout: the upper half is off (EPD1), and its granule is 4 KiB (TG1).
const TCR_VHE: u64 = 0b10 << 30 | 1 << 23 | 25 << 16 | WALKS;
/// What both layouts have in common: SH0, ORGN0, IRGN0, T0SZ.
const WALKS: u64 = 0b11 << 12 | 0b01 << 10 | 0b01 << 8 | 25;

global_asm!(
    r#"
    .text
    .global lh_mmu_on
lh_mmu_on:
    ldr     x0, =lh_translation
    ldp     x1, x2, [x0]        // TTBR0_EL2, TCR_EL2
    ldr     x3, ={mair}
    msr     mair_el2, x3
    msr     tcr_el2, x2
    msr     ttbr0_el2, x1
    isb
    tlbi    alle2
    dsb     nsh
    ic      iallu
    dsb     nsh
    isb
    ldr     x0, ={sctlr_on}
    msr     sctlr_el2, x0
    isb
    ret
    "#,
    sctlr_on = const SCTLR_ON,
    mair = const MAIR,
);

unsafe extern "C" {
    /// What `lh_mmu_on` loads: TTBR0_EL2 and TCR_EL2.
    static mut lh_translation: [u64; 2];
}

global_asm!(
    r#"
    .section .data.lh_translation, "aw"
    .balign 16
    .global lh_translation
lh_translation:
    .quad   0
    .quad   0
    .text
    "#
);

/// Makes EL2's tables for the image, the device tree's neighbourhood and `devices`. The MMU is off.
pub fn make_tables(device_tree: u64, devices: &[PhysRange]) {
    percpu::install(0);
    let features = Features::read();
    let root = stage1::build(device_tree, devices);
    // PS, and IPS of VHE's layout.
    let tcr = if entry::vhe_only() {
        TCR_VHE | features.physical_range << 32
    } else {
        TCR | features.physical_range << 16
    };
    // SAFETY: one CPU runs, with the MMU off; nobody else has a reference. `lh_mmu_on` reads it afterwards.
    unsafe { lh_translation = [root, tcr] }
}

/// The bytes of the device tree at `address`, as far as its header says and EL2's map goes. `None` where there is no
/// tree.
///
/// For boot, which calls it once, with what the loader left in x0 and `make_tables` was given.
pub(super) fn device_tree(address: u64) -> Option<&'static [u8]> {
    /// The header's magic (Devicetree specification 0.4, 5.2).
    const MAGIC: u32 = 0xd00d_feed;
    let start = address as usize;
    if start == 0 || !start.is_multiple_of(8) {
        return None;
    }
    let window = stage1::DEVICE_TREE_WINDOW - (start & 0xfff);
    // SAFETY: `make_tables` has mapped the window; it is RAM that no Rust object is in.
    let header = unsafe { &*(start as *const [[u8; 4]; 2]) };
    let length = u32::from_be_bytes(header[1]) as usize;
    if u32::from_be_bytes(header[0]) != MAGIC || length > window {
        return None;
    }
    // SAFETY: as above, and `length` ends in the window.
    Some(unsafe { core::slice::from_raw_parts(start as *const u8, length) })
}

/// Enters the host with an empty stack.
pub(super) fn enter_host(entry: u64, argument: u64, index: usize) -> ! {
    unsafe extern "C" {
        fn lh_enter_host(entry: u64, argument: u64, stack: usize) -> !;
    }
    let top = stage1::image::stacks() + (index + 1) * STACK_PITCH;
    // SAFETY: `top` is the top of this CPU's stack, on which nothing is needed any more, since this never returns.
    unsafe { lh_enter_host(entry, argument, top) }
}
