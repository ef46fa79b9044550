//! A hypervisor at EL2 that leaves when it is asked to, in the way that is known of Gunyah (docs/porting.md).

use crate::registers;
use core::arch::global_asm;
use core::sync::atomic::{AtomicU64, Ordering};
use leasehold_guests::{args, line, read_register, stop, write_register};

/// HCR_EL2: RW, and SMC traps.
const HCR: u64 = 1 << 31 | 1 << 19;
/// The call's registers, first to last.
const CALL: [u64; 7] = [0x0200_0121, 0x23, 0, 0, 1, 0, 0];
/// What it answers where it was pre-empted.
const PREEMPTED: u64 = 1;
/// What x6 is then: it must come back.
const TOKEN: u64 = 0x5eed_0000;
/// EL2 with its own stack pointer.
const EL2H: u64 = 9;
/// PSTATE's mode field in an SPSR.
const MODE: u64 = 0xf;

/// How often it is pre-empted before it is through.
static AGAIN: AtomicU64 = AtomicU64::new(0);
/// What it answers at the end: 0 leaves.
static ANSWER: AtomicU64 = AtomicU64::new(0);
static CALLS: AtomicU64 = AtomicU64::new(0);

/// Takes EL2.
pub fn install(told: &str) {
    AGAIN.store(args::number_of(told, "again", 0), Ordering::Relaxed);
    ANSWER.store(args::number_of(told, "answer", 0), Ordering::Relaxed);
    write_register!("vbar_el2", &raw const lh_gunyah_vectors as u64);
    write_register!("hcr_el2", HCR);
}

/// A trap from EL1. Whether EL2 is the caller's from here on.
#[unsafe(no_mangle)]
extern "C" fn lh_gunyah_trap(x: &mut [u64; 31]) -> bool {
    /// ESR_EL2.EC of an SMC (Arm ARM D24.2.40).
    const SMC: u64 = 0x17;
    let esr = read_register!("esr_el2");
    if esr >> 26 != SMC {
        stop(format_args!(
            "Gunyah: ESR_EL2 {esr:#x} at {:#x}",
            read_register!("elr_el2")
        ));
    }
    write_register!("elr_el2", read_register!("elr_el2") + 4);
    let (before, again) = (CALLS.fetch_add(1, Ordering::Relaxed), AGAIN.load(Ordering::Relaxed));
    let wanted = match before {
        0 => CALL,
        _ => [PREEMPTED, 0x23, 0, 0, 1, 0, TOKEN + before],
    };
    if x[..7] != wanted || before > again {
        stop(format_args!(
            "Gunyah: call {before}: {:x?}, wanted {wanted:x?}",
            &x[..7]
        ));
    }
    if before < again {
        (x[0], x[6]) = (PREEMPTED, TOKEN + before + 1);
        return false;
    }
    x[0] = ANSWER.load(Ordering::Relaxed);
    line!("LH-STUB Gunyah was asked, and answers {:#x} after {before} times", x[0]);
    if x[0] != 0 {
        return false;
    }
    // What it leaves at EL2 is its own, but for these: EL2, and the caller's vectors and stack.
    let (spsr, vbar) = (read_register!("spsr_el2"), read_register!("vbar_el1"));
    registers::spoil();
    write_register!("vbar_el2", vbar);
    write_register!("spsr_el2", spsr & !MODE | EL2H);
    true
}

unsafe extern "C" {
    safe static lh_gunyah_vectors: u8;
}

global_asm!(
    r#"
    .section .text.gunyah_vectors, "ax"
    .balign 2048
    .global lh_gunyah_vectors
lh_gunyah_vectors:
    .rept 16
    .balign 128
    b       1f
    .endr
1:  sub     sp, sp, #256
    stp     x0, x1, [sp]
    stp     x2, x3, [sp, #16]
    stp     x4, x5, [sp, #32]
    stp     x6, x7, [sp, #48]
    stp     x8, x9, [sp, #64]
    stp     x10, x11, [sp, #80]
    stp     x12, x13, [sp, #96]
    stp     x14, x15, [sp, #112]
    stp     x16, x17, [sp, #128]
    stp     x18, x19, [sp, #144]
    stp     x20, x21, [sp, #160]
    stp     x22, x23, [sp, #176]
    stp     x24, x25, [sp, #192]
    stp     x26, x27, [sp, #208]
    stp     x28, x29, [sp, #224]
    str     x30, [sp, #240]
    mov     x0, sp
    bl      lh_gunyah_trap
    mov     x2, x0
    ldp     x0, x1, [sp]
    ldp     x4, x5, [sp, #32]
    ldp     x6, x7, [sp, #48]
    ldp     x8, x9, [sp, #64]
    ldp     x10, x11, [sp, #80]
    ldp     x12, x13, [sp, #96]
    ldp     x14, x15, [sp, #112]
    ldp     x16, x17, [sp, #128]
    ldp     x18, x19, [sp, #144]
    ldp     x20, x21, [sp, #160]
    ldp     x22, x23, [sp, #176]
    ldp     x24, x25, [sp, #192]
    ldp     x26, x27, [sp, #208]
    ldp     x28, x29, [sp, #224]
    ldr     x30, [sp, #240]
    ldr     x3, [sp, #24]
    add     sp, sp, #256
    cbz     w2, 2f
    mrs     x2, sp_el1
    mov     sp, x2
2:  mov     x2, #0
    eret
    "#
);
