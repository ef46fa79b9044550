//! Exception vectors: one table for while the host runs, one for while a guest does.
//!
//! A trap of the host saves its registers on this CPU's EL2 stack and calls Rust: for an abort first what answers those
//! of lent memory, with no more registers saved than that needs; for all else, and for aborts that were something else,
//! what answers any trap. A trap of a guest saves them in the guest's context and returns from
//! [`enter_guest`](super::guest): to EL2 a run is a function call.

use core::arch::global_asm;
use core::mem::offset_of;

use super::guest::GuestContext;
use super::percpu::PerCpu;

/// Where the host goes on, and why it came.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct Return {
    /// Where it goes on.
    pub elr: u64,
    /// In what state.
    pub spsr: u64,
    /// Why it came.
    pub esr: u64,
}

impl Return {
    /// Steps over the instruction that trapped. All AArch64 instructions have four bytes.
    pub fn skip(&mut self) {
        self.elr = self.elr.wrapping_add(4);
    }
}

/// What a trap of the host leaves on the stack.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct TrapFrame {
    /// x0 to x30.
    pub x: [u64; 31],
    /// Where it goes on.
    pub back: Return,
}

impl TrapFrame {
    /// The same, for what answers aborts.
    pub fn as_abort(&mut self) -> &mut AbortFrame {
        // SAFETY: a transparent wrapper; the borrow lasts as long.
        unsafe { &mut *core::ptr::from_mut(self).cast() }
    }
}

/// What an abort of the host has left on the stack when its first answer is sought: of the registers that a Rust
/// function keeps, x20 to x28, none is there yet.
#[repr(transparent)]
#[derive(Debug)]
pub struct AbortFrame(TrapFrame);

impl AbortFrame {
    /// Where the host goes on.
    pub fn back(&mut self) -> &mut Return {
        &mut self.0.back
    }

    /// x0 to x17, which are there.
    pub fn low(&mut self) -> &mut [u64; 18] {
        let (low, _) = self.0.x.split_at_mut(18);
        // SAFETY: of that length, by the line above.
        unsafe { &mut *low.as_mut_ptr().cast() }
    }

    /// The same, for those who know that all registers are there.
    pub fn whole(&mut self) -> &mut TrapFrame {
        &mut self.0
    }

    /// x30: where the function that made the access was called from, most often.
    pub fn link(&self) -> u64 {
        self.0.x[30]
    }
}

const FRAME: usize = size_of::<TrapFrame>();
const _: () = assert!(FRAME == 272 && FRAME.is_multiple_of(16));
const _: () = assert!(offset_of!(TrapFrame, x) == 0 && offset_of!(TrapFrame, back) == 248);
const _: () = assert!(offset_of!(Return, spsr) == 8 && offset_of!(Return, esr) == 16);

global_asm!(
    r#"
    .text
    .macro vector target
    .balign 0x80
    b       \target
    .endm

    .balign 0x800
    .global lh_host_vectors
lh_host_vectors:
    vector  lh_crash_sp0
    vector  lh_crash_sp0
    vector  lh_crash_sp0
    vector  lh_crash_sp0
    vector  lh_crash_sync
    vector  lh_crash_irq
    vector  lh_crash_irq
    vector  lh_crash_serror
    vector  lh_host_trap
    vector  lh_host_stray
    vector  lh_host_stray
    vector  lh_host_stray
    vector  lh_host_trap
    vector  lh_host_stray
    vector  lh_host_stray
    vector  lh_host_stray

    .balign 0x800
    .global lh_guest_vectors
lh_guest_vectors:
    vector  lh_crash_sp0
    vector  lh_crash_sp0
    vector  lh_crash_sp0
    vector  lh_crash_sp0
    vector  lh_crash_sync
    vector  lh_crash_irq
    vector  lh_crash_irq
    vector  lh_crash_serror
    vector  lh_guest_sync
    vector  lh_guest_irq
    vector  lh_guest_irq
    vector  lh_guest_serror
    vector  lh_guest_sync
    vector  lh_guest_irq
    vector  lh_guest_irq
    vector  lh_guest_serror

    .balign 64
lh_host_trap:
    stp     x0, x1, [sp, #-{frame}]!
    stp     x2, x3, [sp, #16]
    stp     x4, x5, [sp, #32]
    stp     x6, x7, [sp, #48]
    stp     x8, x9, [sp, #64]
    stp     x10, x11, [sp, #80]
    stp     x12, x13, [sp, #96]
    stp     x14, x15, [sp, #112]
    stp     x16, x17, [sp, #128]
    stp     x18, x19, [sp, #144]
    stp     x29, x30, [sp, #232]
    mrs     x1, elr_el2
    mrs     x2, spsr_el2
    mrs     x3, esr_el2
    stp     x1, x2, [sp, #248]
    str     x3, [sp, #264]
    mov     x0, sp
    mov     x29, xzr
    tbnz    w3, #31, 2f         // EC 0x20 and up: an abort, most likely
1:  stp     x20, x21, [sp, #160]
    stp     x22, x23, [sp, #176]
    stp     x24, x25, [sp, #192]
    stp     x26, x27, [sp, #208]
    str     x28, [sp, #224]
    bl      lh_host_sync
    ldp     x20, x21, [sp, #160]
    ldp     x22, x23, [sp, #176]
    ldp     x24, x25, [sp, #192]
    ldp     x26, x27, [sp, #208]
    ldr     x28, [sp, #224]
    b       3f
2:  bl      lh_host_abort
    cbz     w0, 4f
3:  ldp     x1, x2, [sp, #248]
    msr     elr_el2, x1
    msr     spsr_el2, x2
    ldp     x29, x30, [sp, #232]
    ldp     x2, x3, [sp, #16]
    ldp     x4, x5, [sp, #32]
    ldp     x6, x7, [sp, #48]
    ldp     x8, x9, [sp, #64]
    ldp     x10, x11, [sp, #80]
    ldp     x12, x13, [sp, #96]
    ldp     x14, x15, [sp, #112]
    ldp     x16, x17, [sp, #128]
    ldp     x18, x19, [sp, #144]
    ldp     x0, x1, [sp], #{frame}
    eret
    dsb     nsh
    isb
4:  mov     x0, sp
    b       1b

    // x0: entry of the host, x1: its x0, x2: top of this CPU's stack.
    .global lh_enter_host
lh_enter_host:
    mov     sp, x2
    msr     elr_el2, x0
    mov     x0, #0x3c5          // EL1 with SP_EL1, all masked
    msr     spsr_el2, x0
    mov     x0, x1
    .irp n, 1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,24,25,26,27,28,29,30
    mov     x\n, xzr
    .endr
    eret
    dsb     nsh
    isb

    // What comes to EL2 unasked while the host runs: an interrupt or a system error that was not routed here.
lh_host_stray:
    mov     x0, #5
    b       lh_crash_common
    "#,
    frame = const FRAME,
);

global_asm!(
    r#"
    // x0: the guest's context. Returns what ended the run: 0 a synchronous trap, 1 an interrupt, 2 a system error.
    .global lh_enter_guest
lh_enter_guest:
    mrs     x1, tpidr_el2
    str     x0, [x1, {guest}]
    add     x2, x1, {el2}
    stp     x19, x20, [x2, #0]
    stp     x21, x22, [x2, #16]
    stp     x23, x24, [x2, #32]
    stp     x25, x26, [x2, #48]
    stp     x27, x28, [x2, #64]
    stp     x29, x30, [x2, #80]
    mov     x3, sp
    str     x3, [x2, #96]
    ldr     x1, =lh_guest_vectors
    msr     vbar_el2, x1
    ldp     x1, x2, [x0, {pc}]
    msr     elr_el2, x1
    msr     spsr_el2, x2
    ldp     x2, x3, [x0, #16]
    ldp     x4, x5, [x0, #32]
    ldp     x6, x7, [x0, #48]
    ldp     x8, x9, [x0, #64]
    ldp     x10, x11, [x0, #80]
    ldp     x12, x13, [x0, #96]
    ldp     x14, x15, [x0, #112]
    ldp     x16, x17, [x0, #128]
    ldp     x18, x19, [x0, #144]
    ldp     x20, x21, [x0, #160]
    ldp     x22, x23, [x0, #176]
    ldp     x24, x25, [x0, #192]
    ldp     x26, x27, [x0, #208]
    ldp     x28, x29, [x0, #224]
    ldr     x30, [x0, #240]
    ldp     x0, x1, [x0, #0]
    eret
    dsb     nsh
    isb

    .macro leave_guest why
    stp     x0, x1, [sp, #-16]!
    mov     x1, \why
    b       lh_leave_guest
    .endm

lh_guest_sync:
    leave_guest #0
lh_guest_irq:
    leave_guest #1
lh_guest_serror:
    leave_guest #2

lh_leave_guest:
    mrs     x0, tpidr_el2
    ldr     x0, [x0, {guest}]
    stp     x2, x3, [x0, #16]
    ldp     x2, x3, [sp], #16   // the guest's x0 and x1
    stp     x2, x3, [x0, #0]
    stp     x4, x5, [x0, #32]
    stp     x6, x7, [x0, #48]
    stp     x8, x9, [x0, #64]
    stp     x10, x11, [x0, #80]
    stp     x12, x13, [x0, #96]
    stp     x14, x15, [x0, #112]
    stp     x16, x17, [x0, #128]
    stp     x18, x19, [x0, #144]
    stp     x20, x21, [x0, #160]
    stp     x22, x23, [x0, #176]
    stp     x24, x25, [x0, #192]
    stp     x26, x27, [x0, #208]
    stp     x28, x29, [x0, #224]
    str     x30, [x0, #240]
    mrs     x2, elr_el2
    mrs     x3, spsr_el2
    stp     x2, x3, [x0, {pc}]
    mov     x0, x1
    ldr     x1, =lh_host_vectors
    msr     vbar_el2, x1
    mrs     x1, tpidr_el2
    str     xzr, [x1, {guest}]
    add     x2, x1, {el2}
    ldp     x19, x20, [x2, #0]
    ldp     x21, x22, [x2, #16]
    ldp     x23, x24, [x2, #32]
    ldp     x25, x26, [x2, #48]
    ldp     x27, x28, [x2, #64]
    ldp     x29, x30, [x2, #80]
    ldr     x3, [x2, #96]
    mov     sp, x3
    ret
    "#,
    guest = const offset_of!(PerCpu, guest),
    el2 = const offset_of!(PerCpu, el2_registers),
    pc = const offset_of!(GuestContext, pc),
);
const _: () = assert!(offset_of!(GuestContext, x) == 0);

global_asm!(
    r#"
    // An exception of EL2's own. Its stack may be what is broken: the dump has a stack of its own. SP_EL0 is a
    // scratch here, for nothing returns.
lh_crash_sp0:
    msr     sp_el0, x0
    mov     x0, #0
    b       lh_crash_common
lh_crash_sync:
    msr     sp_el0, x0
    mov     x0, #1
    b       lh_crash_common
lh_crash_irq:
    msr     sp_el0, x0
    mov     x0, #2
    b       lh_crash_common
lh_crash_serror:
    msr     sp_el0, x0
    mov     x0, #3
lh_crash_common:
    mov     x1, sp
    mov     x2, x29
    mov     x3, x30
    ldr     x4, =lh_crash_stack_top
    mov     sp, x4
    bl      lh_crash
    b       lh_park

    .section .bss.lh_crash_stack, "aw", @nobits
    .balign 16
    .space  8192
lh_crash_stack_top:
    .text
    "#
);
