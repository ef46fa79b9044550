//! The first instructions: from whatever a loader hands over to EL2 with its MMU off and all that it runs on known.
//!
//! A loader may leave the MMU and caches on, at EL2 or at EL1 under Gunyah; the registers of an earlier owner of EL2,
//! in the layout of VHE too; interrupts pending. Nothing of it is taken over: what is dirty is cleaned, what counts for
//! EL2 itself is written here, and what counts for the host in [`init_cpu`](super::host::init_cpu). What cannot be
//! coped with is said in plain text, as nothing stands yet that a log line needs.

use super::calls::park;
use super::sysreg::read;
use core::arch::global_asm;
use leasehold_hal::Console;
use leasehold_memory_map::{Address, PhysAddr};

/// SCTLR_EL2 (Arm ARM D24.2.176): RES1 bits 29, 28, 23, 22, 18, 16, 11, 5, 4. MMU and caches are off.
pub(super) const SCTLR_EL2_OFF: u64 = 0x30C5_0830;
/// HCR_EL2.E2H (Arm ARM D24.2.58): the registers have VHE's layout.
const E2H: u64 = 1 << 34;
/// SCTLR_ELx.C: data caches are on.
const CACHES: u64 = 1 << 2;
/// SCTLR_ELx.M: the MMU is on.
const MMU: u64 = 1;

/// The call by which Gunyah is asked to leave EL2: SiP service, 32 bits, function 0x121, and how its arguments are
/// typed. On RB3 Gen 2 (Qualcomm's U-Boot, arch/arm/mach-snapdragon/include/mach/gunyah_exit_boot0.h; edk2-platforms,
/// KodiakPkg/Library/KodiakLib/KodiakHelper.S). It answers 0, at EL2; 1 where it was pre-empted; else it has refused: 4
/// where it was asked before in this boot, 0x37 where the secure world does not say whether it may, 0x10 and 0x11 where
/// it could not clean up the SMMU (edk2-flange, edk2-qualcomm, GunyahExit.S: seen on one QCS6490 board, unconfirmed on
/// others).
const GUNYAH_EXIT: u64 = 0x0200_0121;
const GUNYAH_EXIT_TYPES: u64 = 0x23;
/// How often a call that was pre-empted is made again at most. How often is needed is published nowhere.
const GUNYAH_PATIENCE: u64 = 100_000;

/// Why the image does not run where it is. Numbers that the assembly below gives.
mod reason {
    pub const ADDRESS: u64 = 0;
    pub const EL1: u64 = 1;
    pub const EL3: u64 = 2;
    pub const GUNYAH_REFUSES: u64 = 3;
    pub const GUNYAH_DAWDLES: u64 = 4;
}

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
    mov     x19, x0             // the device tree
    mrs     x1, CurrentEL
    cmp     x1, #(2 << 2)
    b.eq    lh_at_el2
    b.hi    lh_at_el3

    // EL1: Gunyah is asked to leave, if it is the board's way. From the call on nothing of ours may be in a cache.
    mrs     x20, sctlr_el1
    bl      lh_clean_file
    ldr     x1, ={sctlr_el1}
    msr     sctlr_el1, x1
    isb
    bl      lh_purge_image
    mov     x23, #{el1}
    adrp    x1, lh_leave_gunyah
    ldrb    w1, [x1, :lo12:lh_leave_gunyah]
    cbz     w1, lh_refuse_entry
    ldr     x22, ={patience}
    ldr     x0, ={gunyah_exit}
    mov     x6, #0
2:  mov     x1, #{types}
    mov     x2, #0
    mov     x3, #0
    mov     x4, #1              // leave
    mov     x5, #0
    smc     #0
    mrs     x1, CurrentEL
    cmp     x1, #(2 << 2)
    b.eq    3f
    mov     x24, x0
    mov     x23, #{refuses}
    cmp     x0, #1              // pre-empted: x0 and x6 as they came
    b.ne    lh_refuse_entry
    mov     x23, #{dawdles}
    subs    x22, x22, #1
    b.ne    2b
    b       lh_refuse_entry
3:  msr     daifset, #0xf
    mrs     x21, hcr_el2
    bl      lh_el2_off
    b       4f

lh_at_el2:
    mrs     x20, sctlr_el2
    mrs     x21, hcr_el2
    bl      lh_clean_file
    bl      lh_el2_off
4:  bl      lh_purge_image

    adr     x24, _start
    ldr     x1, =_start
    mov     x23, #{address}
    cmp     x24, x1
    b.ne    lh_refuse_entry

    ldr     x0, =__bss_start
    ldr     x1, =__bss_end
5:  cmp     x0, x1
    b.hs    6f
    stp     xzr, xzr, [x0], #16
    b       5b
6:
    ldr     x1, =lh_entered
    stp     x20, x21, [x1]
    msr     spsel, #1
    ldr     x1, =__boot_stack_end
    mov     sp, x1
    ldr     x1, =lh_host_vectors
    msr     vbar_el2, x1
    mov     x0, x19
    bl      lh_boot_tables
    bl      lh_forget_image
    bl      lh_mmu_on
    mov     x0, x19
    bl      lh_boot_main
    b       lh_park

lh_at_el3:
    mov     x23, #{el3}
    // x23 why, x24 a detail. The image may be anywhere: nothing here knows an address.
lh_refuse_entry:
    adr     x1, _start
    tst     x1, #0xfff          // pages are reached by their distance
    b.ne    lh_park
    msr     spsel, #1
    adrp    x1, __boot_stack_end
    mov     sp, x1
    mov     x0, x23
    mov     x1, x24
    bl      lh_refuse
    b       lh_park

    // A CPU that the host has asked for: x0 is its number.
    .global lh_secondary_start
lh_secondary_start:
    msr     daifset, #0xf
    mov     x19, x0
    bl      lh_el2_off
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

    // MMU and caches off, and what else decides how EL2 translates, whoever had it before. Code that runs from here on
    // is clean in memory. E2H stays 1 only on a CPU that has nothing else.
lh_el2_off:
    ldr     x1, ={sctlr_el2}
    msr     sctlr_el2, x1
    isb
    mov     x1, #(1 << 31)      // RW; not E2H, not TGE
    msr     hcr_el2, x1
    mrs     x1, s3_0_c0_c7_3    // ID_AA64MMFR3_EL1
    tst     x1, #0xf
    b.eq    7f
    msr     s3_4_c2_c0_3, xzr   // TCR2_EL2
7:  tst     x1, #0xf0
    b.eq    8f
    msr     s3_4_c1_c0_3, xzr   // SCTLR2_EL2
8:  isb
    mrs     x1, hcr_el2
    tbz     x1, #34, 9f
    .inst   0xd500409f          // msr pan, #0: EL2's pages look like EL0's to VHE
9:  ic      iallu
    dsb     sy
    isb
    ret

    // What a loader's cache holds of the image's file goes to memory, so that it can be run without caches.
lh_clean_file:
    adr     x0, _start
    adrp    x1, __bss_start
    mrs     x2, ctr_el0
    ubfx    x2, x2, #16, #4
    mov     x3, #4
    lsl     x3, x3, x2
10: dc      cvac, x0
    add     x0, x0, x3
    cmp     x0, x1
    b.lo    10b
    dsb     sy
    ret

    // The same for the whole image, of which nothing stays in a cache. With the MMU off, as a loader may have mapped
    // less.
lh_purge_image:
    adr     x0, _start
    adrp    x1, __image_end
    mrs     x2, ctr_el0
    ubfx    x2, x2, #16, #4
    mov     x3, #4
    lsl     x3, x3, x2
11: dc      civac, x0
    add     x0, x0, x3
    cmp     x0, x1
    b.lo    11b
    dsb     sy
    ic      iallu
    dsb     sy
    isb
    ret

    // What is in a cache of the image is old: memory was written past it.
lh_forget_image:
    adr     x0, _start
    adrp    x1, __image_end
    mrs     x2, ctr_el0
    ubfx    x2, x2, #16, #4
    mov     x3, #4
    lsl     x3, x3, x2
12: dc      ivac, x0
    add     x0, x0, x3
    cmp     x0, x1
    b.lo    12b
    dsb     sy
    ret

    .section .data.lh_entered, "aw"
    .balign 16
lh_entered:
    .quad   0
    .quad   0
    .text
    "#,
    sctlr_el1 = const super::host::SCTLR_EL1_OFF,
    sctlr_el2 = const SCTLR_EL2_OFF,
    gunyah_exit = const GUNYAH_EXIT,
    types = const GUNYAH_EXIT_TYPES,
    patience = const GUNYAH_PATIENCE,
    address = const reason::ADDRESS,
    el1 = const reason::EL1,
    el3 = const reason::EL3,
    refuses = const reason::GUNYAH_REFUSES,
    dawdles = const reason::GUNYAH_DAWDLES,
    stack_pitch = const crate::layout::STACK_PITCH,
);

unsafe extern "C" {
    /// SCTLR and HCR_EL2 as the loader left them.
    safe static lh_entered: [u64; 2];
    fn lh_secondary_start();
}

/// Where the firmware is to start a secondary.
pub fn secondary_entry() -> u64 {
    lh_secondary_start as *const () as u64
}

/// How a loader handed over.
#[derive(Clone, Copy, Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub(crate) struct HandOver {
    /// The MMU was on.
    pub mmu: bool,
    /// Data caches were on: what the loader wrote may not be in memory.
    pub caches: bool,
    /// EL2's registers had VHE's layout.
    pub vhe: bool,
}

/// How the loader handed over.
pub(crate) fn hand_over() -> HandOver {
    let [sctlr, hcr] = lh_entered;
    HandOver {
        mmu: sctlr & MMU != 0,
        caches: sctlr & CACHES != 0,
        vhe: hcr & E2H != 0,
    }
}

/// Whether this CPU's EL2 has VHE's layout alone: HCR_EL2.E2H has not become 0.
pub(crate) fn vhe_only() -> bool {
    read!("hcr_el2") & E2H != 0
}

/// Says why the image does not run here, where there is a channel to say it on, and stops.
///
/// Runs with the MMU off, at EL1, EL2 or EL3, and where the image is not linked for: so without formatting, whose
/// tables are addresses, and without atomics.
pub(crate) fn refuse(reason: u64, detail: u64, linked: PhysAddr, console: Option<&mut impl Console>) -> ! {
    if let Some(console) = console {
        let mut line = PlainLine(console);
        line.bytes(b"\0EL2 stopped: ");
        // Apart, by `black_box`: together they would become a table of addresses.
        let is = |this: u64| core::hint::black_box(reason) == this;
        if is(reason::ADDRESS) {
            line.bytes(b"the image is at ");
            line.hex(detail);
            line.bytes(b", and linked for ");
            line.hex(linked.get());
        }
        if is(reason::EL1) {
            line.bytes(b"entered at EL1: the loader must enter at EL2");
        }
        if is(reason::EL3) {
            line.bytes(b"entered at EL3: the loader must enter at EL2");
        }
        if is(reason::GUNYAH_REFUSES) {
            line.bytes(b"Gunyah does not leave EL2, and answers ");
            line.hex(detail);
        }
        if is(reason::GUNYAH_DAWDLES) {
            line.bytes(b"Gunyah does not leave EL2: its exit does not come to an end");
        }
        line.bytes(b"\0");
    }
    park()
}

/// Text that waits, with a bound, until the channel has it.
struct PlainLine<'a, C>(&'a mut C);

impl<C: Console> PlainLine<'_, C> {
    fn bytes(&mut self, mut bytes: &[u8]) {
        /// Looks at a full channel, one after the other: far more than a character takes at 9600 bits a second.
        const LOOKS: u32 = 1_000_000;
        let mut looks = 0;
        while !bytes.is_empty() && looks < LOOKS {
            let taken = self.0.write_some(bytes);
            looks = if taken == 0 { looks + 1 } else { 0 };
            bytes = bytes.get(taken..).unwrap_or_default();
        }
    }

    fn hex(&mut self, value: u64) {
        self.bytes(b"0x");
        let digits = (64 - value.leading_zeros()).div_ceil(4).max(1);
        for digit in (0..digits).rev() {
            let nibble = (value >> (digit * 4)) as u8 & 0xf;
            self.bytes(&[if nibble < 10 { b'0' + nibble } else { b'a' + nibble - 10 }]);
        }
    }
}
