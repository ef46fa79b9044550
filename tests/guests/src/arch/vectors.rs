//! EL1's exception vectors: what a probe or an EL0 program ran into is handed to whoever waits for it, and the program
//! goes on.

use super::probe::{self, Fault};
use super::{cpu, el0, one, sdei};
use core::arch::global_asm;

/// What the vector saved, in the order of the assembly below.
#[repr(C)]
pub struct Frame {
    /// `x0` to `x30`.
    pub x: [u64; 31],
    /// `ELR_EL1`.
    pub elr: u64,
    /// `SPSR_EL1`.
    pub spsr: u64,
    /// `ESR_EL1`.
    pub esr: u64,
    /// `FAR_EL1`.
    pub far: u64,
    /// Which of the sixteen vectors was taken: 4 is synchronous from EL1 with SP_EL1, 8 synchronous from EL0.
    pub vector: u64,
}

impl Frame {
    /// What is reported of it.
    pub fn fault(&self) -> Fault {
        Fault {
            esr: self.esr,
            far: self.far,
            elr: self.elr,
            spsr: self.spsr,
            vector: self.vector,
            pstate: cpu::pstate(),
        }
    }

    /// ESR_EL1.EC, the exception class.
    pub fn class(&self) -> u64 {
        self.esr >> 26 & 0x3f
    }
}

/// An interrupt from EL1 with SP_EL1.
const VECTOR_IRQ: u64 = 5;

global_asm!(
    r#"
    .macro entry number
    .balign 128
    sub     sp, sp, #288
    stp     x0, x1, [sp]
    mov     x0, #\number
    b       lh_vector_common
    .endm

    .section .text.vectors, "ax"
    .balign 2048
lh_vectors:
    .irp    number, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15
    entry   \number
    .endr

    // Where an SDEI handler resumes.
    .global lh_resumed
lh_resumed:
    sub     sp, sp, #288
    stp     x0, x1, [sp]
    mov     x0, #{resumed}
    b       lh_vector_common

lh_vector_common:
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
    mrs     x1, elr_el1
    stp     x30, x1, [sp, #240]
    mrs     x1, spsr_el1
    mrs     x2, esr_el1
    stp     x1, x2, [sp, #256]
    mrs     x1, far_el1
    stp     x1, x0, [sp, #272]
    mov     x0, sp
    bl      lh_exception
    ldp     x30, x1, [sp, #240]
    ldr     x2, [sp, #256]
    msr     elr_el1, x1
    msr     spsr_el1, x2
    ldp     x28, x29, [sp, #224]
    ldp     x26, x27, [sp, #208]
    ldp     x24, x25, [sp, #192]
    ldp     x22, x23, [sp, #176]
    ldp     x20, x21, [sp, #160]
    ldp     x18, x19, [sp, #144]
    ldp     x16, x17, [sp, #128]
    ldp     x14, x15, [sp, #112]
    ldp     x12, x13, [sp, #96]
    ldp     x10, x11, [sp, #80]
    ldp     x8, x9, [sp, #64]
    ldp     x6, x7, [sp, #48]
    ldp     x4, x5, [sp, #32]
    ldp     x2, x3, [sp, #16]
    ldp     x0, x1, [sp]
    add     sp, sp, #288
    eret
    "#,
    resumed = const super::RESUMED,
);

#[unsafe(no_mangle)]
extern "C" fn lh_exception(frame: &mut Frame) {
    let taken = frame.vector == VECTOR_IRQ && super::gic::take()
        || sdei::recover(frame)
        || el0::recover(frame)
        || one::recover(frame)
        || probe::recover(frame);
    if !taken {
        crate::stop(format_args!(
            "exception {} on CPU {}: ESR {:#x} FAR {:#x} ELR {:#x} (image+{:#x}) SPSR {:#x}",
            frame.vector,
            cpu::number(),
            frame.esr,
            frame.far,
            frame.elr,
            frame.elr.wrapping_sub(super::entry::image().0),
            frame.spsr
        ));
    }
}
