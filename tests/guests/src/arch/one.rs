//! One instruction, with every general register before and after it known, at EL1 with either stack pointer.
//!
//! An exception is written down, and the instruction is left out.

use super::cpu;
use super::probe::Fault;
use super::vectors::Frame;
use core::arch::global_asm;

/// What an instruction is given, and what it leaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct Registers {
    /// `x0` to `x30`.
    pub x: [u64; 31],
    /// `NZCV`, as it stands in `SPSR_EL1`.
    pub nzcv: u64,
    /// The stack pointer in use.
    pub sp: u64,
    /// Not 0: with `SP_EL0`.
    pub sp0: u64,
}

impl Registers {
    /// All different, and `address` in x0.
    pub fn new(address: u64, sp0: bool) -> Registers {
        let mut x = core::array::from_fn(|n| 0x0123_4567_89ab_cd00 | n as u64);
        x[0] = address;
        Registers {
            x,
            nzcv: 0x6000_0000,
            sp: 0,
            sp0: u64::from(sp0),
        }
    }
}

global_asm!(
    r#"
    .arch_extension fp
    .arch_extension simd
    .arch_extension sve
    .arch_extension lse
    .arch_extension mops
    .arch_extension rcpc

    // x0: the registers, x1: which instruction. What is in between has no register to spare: TPIDR_EL0 and TPIDRRO_EL0
    // hold an address each.
    .section .text.one, "ax"
    .global lh_one
lh_one:
    stp     x29, x30, [sp, #-96]!
    stp     x19, x20, [sp, #16]
    stp     x21, x22, [sp, #32]
    stp     x23, x24, [sp, #48]
    stp     x25, x26, [sp, #64]
    stp     x27, x28, [sp, #80]
    adr     x2, lh_one_begin
    add     x1, x2, x1, lsl #3
    msr     tpidr_el0, x1
    msr     tpidrro_el0, x0
    ldr     x1, [x0, #248]
    msr     nzcv, x1
    ldr     x1, [x0, #264]
    cbz     x1, 1f
    mov     x1, sp
    sub     x1, x1, #256
    msr     spsel, #0
    mov     sp, x1
1:  ldp     x2, x3, [x0, #16]
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
    mrs     x30, tpidr_el0
    ldp     x0, x1, [x0]
    br      x30

    .macro one insn:vararg
    \insn
    b       lh_one_end
    .endm
    .global lh_one_begin
lh_one_begin:
    one     ldrb w3, [x0]
    one     ldr x3, [x0]
    one     ldar x3, [x0]
    one     ldp x3, x4, [x0]
    one     ldr x3, [x0], #8
    one     ldr q0, [x0]
    one     ld1d {{z0.d}}, p0/z, [x0]
    one     ldxr x3, [x0]
    one     str x1, [x0]
    one     stlr x1, [x0]
    one     stp x1, x2, [x0]
    one     ldadd x1, x3, [x0]
    one     swp x1, x3, [x0]
    one     cas x3, x1, [x0]
    one     casp x4, x5, x6, x7, [x0]
    one     dc zva, x0
    one     dc civac, x0
    one     stxr w3, x1, [x0]
    one     setp [x0]!, x2!, x1
    one     setm [x0]!, x2!, x1
    one     sete [x0]!, x2!, x1
    one     cpyfp [x3]!, [x0]!, x2!
    one     cpyfm [x3]!, [x0]!, x2!
    one     cpyfe [x3]!, [x0]!, x2!
    one     br x0
    one     at s1e1r, x0
    one     ldr w3, [x0]
    one     ldrsh x3, [x0]
    one     ldtr x3, [x0]
    one     ldapr x3, [x0]
    one     ldaxp x3, x4, [x0]
    one     ldp q0, q1, [x0]
    one     strb w1, [x0]
    one     sttr x1, [x0]
    one     str q0, [x0]
    one     st1d {{z0.d}}, p0, [x0]
    .global lh_one_end
lh_one_end:
    msr     tpidr_el0, x0
    mrs     x0, tpidrro_el0
    str     x1, [x0, #8]
    mrs     x1, tpidr_el0
    str     x1, [x0]
    mrs     x1, nzcv
    str     x1, [x0, #248]
    mov     x1, sp
    str     x1, [x0, #256]
    stp     x2, x3, [x0, #16]
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
    msr     spsel, #1
    ldp     x27, x28, [sp, #80]
    ldp     x25, x26, [sp, #64]
    ldp     x23, x24, [sp, #48]
    ldp     x21, x22, [sp, #32]
    ldp     x19, x20, [sp, #16]
    ldp     x29, x30, [sp], #96
    ret

    .global lh_one_vectors
lh_one_vectors:
    ptrue   p0.d
    ret
    .global lh_one_vector
lh_one_vector:
    umov    x0, v0.d[0]
    umov    x1, v0.d[1]
    orr     x0, x0, x1
    ret
    "#
);

unsafe extern "C" {
    safe static lh_one_begin: u8;
    safe static lh_one_end: u8;
    fn lh_one(registers: *mut Registers, which: u64);
    safe fn lh_one_vectors();
    safe fn lh_one_vector() -> u64;
}

/// An instruction. Its address is in `x0`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Instruction(u64);

impl Instruction {
    /// A byte into `x3`.
    pub const LOAD_BYTE: Instruction = Instruction(0);
    /// 64 bits into `x3`.
    pub const LOAD: Instruction = Instruction(1);
    /// The same, with acquire semantics.
    pub const LOAD_ACQUIRE: Instruction = Instruction(2);
    /// Two registers, `x3` and `x4`.
    pub const LOAD_PAIR: Instruction = Instruction(3);
    /// `x3`, and 8 is added to `x0`.
    pub const LOAD_BACK: Instruction = Instruction(4);
    /// `q0`.
    pub const LOAD_VECTOR: Instruction = Instruction(5);
    /// `z0`, as `p0` says.
    pub const LOAD_SVE: Instruction = Instruction(6);
    /// `x3`, exclusively.
    pub const LOAD_EXCLUSIVE: Instruction = Instruction(7);
    /// `x1`.
    pub const STORE: Instruction = Instruction(8);
    /// The same, with release semantics.
    pub const STORE_RELEASE: Instruction = Instruction(9);
    /// `x1` and `x2`.
    pub const STORE_PAIR: Instruction = Instruction(10);
    /// Adds `x1`; what was there into `x3`.
    pub const ADD: Instruction = Instruction(11);
    /// Exchanges `x1`; what was there into `x3`.
    pub const SWAP: Instruction = Instruction(12);
    /// `x1` where `x3` is; what was there into `x3`.
    pub const COMPARE_SWAP: Instruction = Instruction(13);
    /// `x6` and `x7` where `x4` and `x5` are; what was there into these.
    pub const COMPARE_SWAP_PAIR: Instruction = Instruction(14);
    /// Zeroes a block.
    pub const ZERO: Instruction = Instruction(15);
    /// Cleans and invalidates a line.
    pub const CLEAN: Instruction = Instruction(16);
    /// `x1`, exclusively.
    pub const STORE_EXCLUSIVE: Instruction = Instruction(17);
    /// Sets `x2` bytes to `x1`: the prologue.
    pub const SET_BEGIN: Instruction = Instruction(18);
    /// The same: the main part.
    pub const SET: Instruction = Instruction(19);
    /// The same: the epilogue.
    pub const SET_END: Instruction = Instruction(20);
    /// Copies `x2` bytes to `x3`: the prologue.
    pub const COPY_BEGIN: Instruction = Instruction(21);
    /// The same: the main part.
    pub const COPY: Instruction = Instruction(22);
    /// The same: the epilogue.
    pub const COPY_END: Instruction = Instruction(23);

    /// Jumps there.
    pub const JUMP: Instruction = Instruction(24);
    /// Asks for the translation of it, as for a load at EL1 (`AT S1E1R`).
    pub const TRANSLATE: Instruction = Instruction(25);
    /// 32 bits into `w3`.
    pub const LOAD_WORD: Instruction = Instruction(26);
    /// 16 bits into `x3`, with the sign.
    pub const LOAD_SIGNED: Instruction = Instruction(27);
    /// 64 bits into `x3`, as EL0 may.
    pub const LOAD_UNPRIVILEGED: Instruction = Instruction(28);
    /// 64 bits into `x3`, with acquire semantics of FEAT_LRCPC.
    pub const LOAD_ACQUIRE_PC: Instruction = Instruction(29);
    /// `x3` and `x4`, exclusively, with acquire semantics.
    pub const LOAD_EXCLUSIVE_PAIR: Instruction = Instruction(30);
    /// `q0` and `q1`.
    pub const LOAD_VECTOR_PAIR: Instruction = Instruction(31);
    /// A byte of `w1`.
    pub const STORE_BYTE: Instruction = Instruction(32);
    /// `x1`, as EL0 may.
    pub const STORE_UNPRIVILEGED: Instruction = Instruction(33);
    /// `q0`.
    pub const STORE_VECTOR: Instruction = Instruction(34);
    /// `z0`, as `p0` says.
    pub const STORE_SVE: Instruction = Instruction(35);

    /// Where it is.
    pub fn pc(self) -> u64 {
        (&raw const lh_one_begin) as u64 + self.0 * 8
    }

    /// Executes it with these registers. The link register's value is not among what it is given.
    ///
    /// # Errors
    /// The exception that came instead.
    ///
    /// # Safety
    /// Nothing that Rust holds a reference to may be where it writes.
    pub unsafe fn run(self, registers: &mut Registers) -> Result<(), Fault> {
        let fault = &FAULTS[cpu::number()];
        // SAFETY: this CPU's own, and no reference is made: the vector writes it while the instruction runs.
        unsafe { fault.0.get().write_volatile(Fault::default()) };
        // SAFETY: the assembly keeps to the calling convention; the caller answers for what is written.
        unsafe { lh_one(registers, self.0) };
        // SAFETY: as above.
        let fault = unsafe { fault.0.get().read_volatile() };
        if fault == Fault::default() { Ok(()) } else { Err(fault) }
    }
}

/// Makes all elements of `p0` active, for [`Instruction::LOAD_SVE`].
pub fn all_active() {
    lh_one_vectors();
}

/// All that is in the low 128 bits of `v0`, or-ed together.
pub fn vector() -> u64 {
    lh_one_vector()
}

struct OfCpu(core::cell::UnsafeCell<Fault>);

// SAFETY: each CPU uses its own.
unsafe impl Sync for OfCpu {}

static FAULTS: [OfCpu; cpu::MOST] = [const {
    OfCpu(core::cell::UnsafeCell::new(Fault {
        esr: 0,
        far: 0,
        elr: 0,
        spsr: 0,
        vector: 0,
        pstate: 0,
    }))
}; cpu::MOST];

/// Called by the vector.
pub(super) fn recover(frame: &mut Frame) -> bool {
    let at = |symbol: &u8| (&raw const *symbol) as u64;
    let all = at(&lh_one_begin)..at(&lh_one_end);
    if !matches!(frame.vector, 0 | 4) {
        return false;
    }
    // What it jumped to; x30 is where the jump is.
    let in_jump = frame.elr == frame.x[0] && all.contains(&frame.x[30]);
    let next = match all.contains(&frame.elr) {
        true => frame.elr + 4,
        false if in_jump => frame.x[30] + 4,
        false => return false,
    };
    // SAFETY: this CPU's own, which waits in `run`.
    unsafe { FAULTS[cpu::number()].0.get().write_volatile(frame.fault()) };
    frame.elr = next;
    true
}
