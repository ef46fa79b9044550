//! From the first instruction to Rust with the MMU on.
//!
//! `aarch64-rt` does the like for programs that own their machine; here the vectors are the world switch, stacks have
//! guard pages and secondaries come up for the host, so the entry is our own.

use super::percpu;
use super::stage1;
use crate::features::Features;
use crate::layout::STACK_PITCH;
use core::arch::global_asm;
use leasehold_memory_map::PhysRange;

/// SCTLR_EL2 (Arm ARM D24.2.176): RES1 bits 29, 28, 23, 22, 18, 16, 11, 5, 4.
const SCTLR_RES1: u64 = 0x30C5_0830;
/// M, C, SA, I and WXN: MMU, caches, stack alignment checks, nothing both writable and executable.
const SCTLR_ON: u64 = SCTLR_RES1 | 1 | 1 << 2 | 1 << 3 | 1 << 12 | 1 << 19;
/// MAIR_EL2: attribute 0 Device-nGnRE, attribute 1 Normal Write-Back (Arm ARM D24.2.107).
const MAIR: u64 = 0xff_04;
/// TCR_EL2: 39 bits of address (T0SZ 25), walks Write-Back and Inner Shareable, 4 KiB granule; RES1 bits 31 and 23.
const TCR: u64 = 1 << 31 | 1 << 23 | 0b11 << 12 | 0b01 << 10 | 0b01 << 8 | 25;

global_asm!(
    r#"
    .section .head, "ax"
    .global _start
_start:
    b       1f
    .long   0
    .quad   0                   // text_offset
    .quad   __image_size
    .quad   0xa                 // little-endian, 4 KiB pages, anywhere in memory
    .quad   0
    .quad   0
    .quad   0
    .ascii  "ARM\x64"
    .long   0
1:
    msr     daifset, #0xf
    mrs     x1, CurrentEL
    cmp     x1, #(2 << 2)
    b.ne    lh_park
    adrp    x1, _start
    ldr     x2, =_start
    cmp     x1, x2
    b.ne    lh_park
    mov     x19, x0
    ldr     x1, ={sctlr}
    msr     sctlr_el2, x1
    isb

    // What a boot loader's cache may still hold of our memory must not come back over what is written with the MMU off.
    ldr     x0, =__image_start
    ldr     x1, =__image_end
    bl      lh_invalidate_data

    ldr     x0, =__bss_start
    ldr     x1, =__bss_end
2:  cmp     x0, x1
    b.hs    3f
    stp     xzr, xzr, [x0], #16
    b       2b
3:
    msr     spsel, #1
    ldr     x1, =__boot_stack_end
    mov     sp, x1
    ldr     x1, =lh_host_vectors
    msr     vbar_el2, x1
    mov     x0, x19
    bl      lh_boot_tables
    ldr     x0, =__image_start
    ldr     x1, =__image_end
    bl      lh_invalidate_data
    bl      lh_mmu_on
    mov     x0, x19
    bl      lh_boot_main
    b       lh_park

    // A CPU that the host has asked for: x0 is its number.
    .global lh_secondary_start
lh_secondary_start:
    msr     daifset, #0xf
    mov     x19, x0
    ldr     x1, ={sctlr}
    msr     sctlr_el2, x1
    isb
    msr     spsel, #1
    ldr     x1, =__stacks_start
    mov     x2, {stack_pitch}
    madd    x1, x19, x2, x1
    add     sp, x1, {stack_pitch}
    ldr     x1, =lh_host_vectors
    msr     vbar_el2, x1
    bl      lh_mmu_on
    mov     x0, x19
    bl      lh_secondary_main

    .global lh_park
lh_park:
    wfe
    b       lh_park

    // x0 start, x1 end: invalidates to the point of coherency.
lh_invalidate_data:
    mrs     x2, ctr_el0
    ubfx    x2, x2, #16, #4
    mov     x3, #4
    lsl     x3, x3, x2
4:  dc      ivac, x0
    add     x0, x0, x3
    cmp     x0, x1
    b.lo    4b
    dsb     sy
    ret

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
    sctlr = const SCTLR_RES1,
    sctlr_on = const SCTLR_ON,
    mair = const MAIR,
    stack_pitch = const STACK_PITCH,
);

unsafe extern "C" {
    /// What `lh_mmu_on` loads: TTBR0_EL2 and TCR_EL2.
    static mut lh_translation: [u64; 2];
    fn lh_secondary_start();
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

/// Where the firmware is to start a secondary.
pub fn secondary_entry() -> u64 {
    lh_secondary_start as *const () as u64
}

/// Makes EL2's tables for the image, the device tree's neighbourhood and `devices`. The MMU is off.
pub fn make_tables(device_tree: u64, devices: &[PhysRange]) {
    percpu::install(0);
    let features = Features::read();
    let root = stage1::build(device_tree, devices);
    // SAFETY: one CPU runs, with the MMU off; nobody else has a reference. `lh_mmu_on` reads it afterwards.
    unsafe { lh_translation = [root, TCR | features.physical_range << 16] }
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
