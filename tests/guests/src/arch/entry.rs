//! From the first instruction to `lh_main`, on the first CPU and on the others.

use core::arch::global_asm;

/// `SCTLR_EL1` with MMU and caches off: the bits that are RES1 or that keep today's behaviour (Arm ARM D24.2.175:
/// LSMAOE, nTLSMD, SPAN, EIS, TSCXT, EOS), and EL0 may do cache maintenance and wait (UCI, UCT, DZE, nTWI, nTWE).
pub const SCTLR_OFF: u64 = 0x30D0_0800 | 1 << 26 | 1 << 15 | 1 << 14 | 1 << 16 | 1 << 18;

/// Where in the image the text lies that a loader may write there: after the 64 bytes of the header.
pub const ARGS_OFFSET: usize = 64;
/// How long it is.
pub const ARGS_BYTES: usize = 192;

global_asm!(
    r#"
    .section .head, "ax"
    .global _start
_start:
    b       1f                  // code0, the arm64 Image header (Linux: Documentation/arch/arm64/booting.rst)
    .long   0                   // code1
    .quad   0                   // text_offset
    .quad   __image_size
    .quad   0xa                 // flags: little-endian, 4 KiB pages, anywhere in memory
    .quad   0, 0, 0
    .ascii  "ARM\x64"
    .long   0
    .global lh_args
lh_args:
    .space  {args}
1:
    msr     daifset, #0xf
    mov     x19, x0
    ldr     x1, ={sctlr}
    msr     sctlr_el1, x1
    isb

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
    mov     sp, x1
    msr     tpidr_el1, xzr
    bl      lh_vectors_on
    mov     x0, x19
    bl      lh_main
6:  wfi
    b       6b

    // PSCI CPU_ON: x0 is the context id, here the address of three words: stack, number, function.
    .global lh_secondary
lh_secondary:
    msr     daifset, #0xf
    ldr     x1, ={sctlr}
    msr     sctlr_el1, x1
    isb
    msr     spsel, #1
    ldr     x1, [x0]
    mov     sp, x1
    ldr     x1, [x0, #8]
    msr     tpidr_el1, x1
    mov     x19, x0
    bl      lh_vectors_on
    ldr     x0, [x19, #8]
    ldr     x1, [x19, #16]
    blr     x1
7:  wfi
    b       7b

lh_vectors_on:
    adrp    x1, lh_vectors
    add     x1, x1, :lo12:lh_vectors
    msr     vbar_el1, x1
    isb
    ret
    "#,
    args = const ARGS_BYTES,
    sctlr = const SCTLR_OFF,
);

/// Names the function that a program starts in, with the address of its device tree.
#[macro_export]
macro_rules! entry {
    ($main:path) => {
        #[unsafe(no_mangle)]
        extern "C" fn lh_main(tree: u64) -> ! {
            let main: fn(u64) -> ! = $main;
            main(tree)
        }
    };
}

unsafe extern "C" {
    safe static lh_args: [u8; ARGS_BYTES];
    safe static _start: u8;
    safe static __image_end: u8;
    fn lh_secondary();
}

/// First and last address of this program's image, stack included (half-open).
pub fn image() -> (u64, u64) {
    ((&raw const _start) as u64, (&raw const __image_end) as u64)
}

/// Where a CPU starts that PSCI is asked to turn on.
pub fn secondary_entry() -> u64 {
    lh_secondary as *const () as u64
}

/// The text that a loader wrote into the image, empty if none.
pub fn image_args() -> &'static str {
    let end = lh_args.iter().position(|&b| b == 0).unwrap_or(ARGS_BYTES);
    core::str::from_utf8(&lh_args[..end]).unwrap_or("")
}
