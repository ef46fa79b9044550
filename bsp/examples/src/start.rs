//! From a loader's jump to a program's `main`, at EL1 or EL2 of the first CPU, with MMU and caches off before.

use core::arch::{asm, global_asm};
use core::cell::UnsafeCell;

global_asm!(
    r#"
    .section .head, "ax"
    .global _start
_start:
    b       1f                  // the arm64 Image header (Linux: Documentation/arch/arm64/booting.rst)
    .long   0
    .quad   0                   // text_offset
    .quad   __image_size
    .quad   0xa                 // flags: little-endian, 4 KiB pages, anywhere in memory
    .quad   0, 0, 0
    .ascii  "ARM\x64"
    .long   0
1:
    msr     daifset, #0xf
    // Linked at 0: what the base address has to be added to stands in .rela.dyn (R_AARCH64_RELATIVE, 1027).
    adrp    x0, _start
    adrp    x1, __rela_start
    add     x1, x1, :lo12:__rela_start
    adrp    x2, __rela_end
    add     x2, x2, :lo12:__rela_end
2:  cmp     x1, x2
    b.hs    3f
    ldp     x3, x4, [x1], #16
    ldr     x5, [x1], #8
    cmp     x4, #1027
    b.ne    2b
    add     x5, x5, x0
    str     x5, [x0, x3]
    b       2b
3:
    adrp    x1, __bss_start
    add     x1, x1, :lo12:__bss_start
    adrp    x2, __bss_end
    add     x2, x2, :lo12:__bss_end
4:  cmp     x1, x2
    b.hs    5f
    stp     xzr, xzr, [x1], #16
    b       4b
5:
    msr     spsel, #1
    adrp    x1, __stack_end
    add     x1, x1, :lo12:__stack_end
    mov     sp, x1
    bl      example_map
    bl      example_main
6:  wfi
    b       6b
    "#
);

/// Names the function that a program starts in.
#[macro_export]
macro_rules! entry {
    ($main:path) => {
        #[unsafe(no_mangle)]
        extern "C" fn example_main() -> ! {
            let main: fn() -> ! = $main;
            main()
        }

        #[panic_handler]
        fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
            loop {
                core::hint::spin_loop();
            }
        }
    };
}

unsafe extern "C" {
    safe static _start: u8;
    safe static __image_end: u8;
}

const GIB: u64 = 1 << 30;
/// Blocks of 1 GiB with AF; attribute 0 is Device-nGnRnE, attribute 1 Normal Write-Back (Arm ARM D8.3).
const BLOCK: u64 = 1 << 10 | 0b01;
const NORMAL: u64 = 1 << 2 | 0b11 << 8;
const MAIR: u64 = 0xff00;
/// Execute-never, of the one privilege or of both.
const NEVER: u64 = 0b11 << 53;
/// Bit 6, AP\[1\], is RES1 where there is one privilege level (Arm ARM D8.4.1.2).
const EL2_ALONE: u64 = 1 << 6;
/// 39 bits of addresses, 4 KiB granules, walks Write-Back and Inner Shareable (Arm ARM, TCR_EL1 and TCR_EL2).
const TCR: u64 = 0b11 << 12 | 0b01 << 10 | 0b01 << 8 | 25;
/// TCR_EL1: 40 bits out, no walks for the upper half.
const TCR_EL1: u64 = TCR | 2 << 32 | 1 << 23;
/// TCR_EL2: 40 bits out, and what is RES1.
const TCR_EL2: u64 = TCR | 2 << 16 | 1 << 31 | 1 << 23;
/// SCTLR.M, C and I.
const ON: u64 = 1 | 1 << 2 | 1 << 12;

#[repr(C, align(4096))]
struct Table(UnsafeCell<[u64; 512]>);

// SAFETY: the one CPU that runs writes it once, before it translates by it.
unsafe impl Sync for Table {}

static TABLE: Table = Table(UnsafeCell::new([0; 512]));

/// Maps everything at its own address, the image's memory as such and all else as devices, and turns the caches on: atomics
/// work in memory alone.
#[unsafe(no_mangle)]
extern "C" fn example_map() {
    let (start, end) = ((&raw const _start) as u64, (&raw const __image_end) as u64);
    let level: u64;
    // SAFETY: reads a register.
    unsafe { asm!("mrs {}, CurrentEL", out(reg) level, options(nomem, nostack)) };
    let at_el2 = level >> 2 & 3 == 2;
    let every = if at_el2 { BLOCK | EL2_ALONE } else { BLOCK };
    for gib in 0..512 {
        let is_image = (start / GIB..=end / GIB).contains(&gib);
        let kind = if is_image { NORMAL } else { NEVER };
        let entry = (gib * GIB) | every | kind;
        // SAFETY: inside of the table, which nobody else looks at yet.
        unsafe { TABLE.0.get().cast::<u64>().add(gib as usize).write_volatile(entry) };
    }
    let root = TABLE.0.get() as u64;
    // What was written went past the caches: what they have of it from before must not be seen.
    for line in (start & !15..end).step_by(16) {
        // SAFETY: cleans and invalidates the image's own memory, none of which is in a cache and dirty (boot protocol).
        unsafe { asm!("dc civac, {}", in(reg) line, options(nostack)) };
    }
    // SAFETY: every address that is in use stays where it is. HCR_EL2 becomes RW alone: EL2 has its registers to itself.
    unsafe {
        if at_el2 {
            asm!(
                "msr hcr_el2, {hcr}", "isb",
                "msr mair_el2, {mair}", "msr tcr_el2, {tcr}", "msr ttbr0_el2, {root}",
                "dsb sy", "tlbi alle2", "ic iallu", "dsb sy", "isb",
                "mrs {hcr}, sctlr_el2", "orr {hcr}, {hcr}, {on}", "msr sctlr_el2, {hcr}", "isb",
                hcr = inout(reg) 1u64 << 31 => _, mair = in(reg) MAIR, tcr = in(reg) TCR_EL2, root = in(reg) root,
                on = in(reg) ON, options(nostack),
            );
        } else {
            asm!(
                "msr mair_el1, {mair}", "msr tcr_el1, {tcr}", "msr ttbr0_el1, {root}",
                "dsb sy", "tlbi vmalle1", "ic iallu", "dsb sy", "isb",
                "mrs {scratch}, sctlr_el1", "orr {scratch}, {scratch}, {on}", "msr sctlr_el1, {scratch}", "isb",
                scratch = out(reg) _, mair = in(reg) MAIR, tcr = in(reg) TCR_EL1, root = in(reg) root, on = in(reg) ON,
                options(nostack),
            );
        }
    }
}
