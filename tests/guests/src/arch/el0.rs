//! Small programs at EL0.
//!
//! A stub runs until its first exception: `svc`, with its result in `x0`, or the fault that it was sent for. It has no
//! stack; its stack pointer differs from one run to the next, as that of probes does.

use super::probe::{self, Fault};
use super::vectors::Frame;
use crate::pages::Block;
use core::arch::global_asm;

/// The longest stub, in instructions.
const LONGEST: usize = 4;

/// What a stub does: `x0` is an address, `x1` a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stub {
    /// Loads 64 bits.
    Load,
    /// Stores 64 bits.
    Store,
    /// Jumps there. The instructions there end with `svc`, or fault.
    Jump,
    /// `DC CIVAC`.
    Clean,
    /// `SMC #0`, with `x0` as it is.
    Smc,
    /// `HVC #0`, with `x0` as it is.
    Hvc,
    /// Loads two times 64 bits.
    Pair,
    /// Adds `x1` to 64 bits, atomically.
    Add,
    /// Loads 64 bits exclusively.
    Exclusive,
}

impl Stub {
    const ALL: [Stub; 9] = [
        Stub::Load,
        Stub::Store,
        Stub::Jump,
        Stub::Clean,
        Stub::Smc,
        Stub::Hvc,
        Stub::Pair,
        Stub::Add,
        Stub::Exclusive,
    ];

    /// Its instructions. What it does is the first one.
    const fn code(self) -> [u32; LONGEST] {
        const SVC: u32 = 0xd400_0001;
        const UDF: u32 = 0;
        match self {
            Stub::Load => [0xf940_0000, SVC, UDF, UDF],
            Stub::Store => [0xf900_0001, SVC, UDF, UDF],
            Stub::Jump => [0xd61f_0000, UDF, UDF, UDF],
            Stub::Clean => [0xd50b_7e20, SVC, UDF, UDF],
            Stub::Smc => [0xd400_0003, SVC, UDF, UDF],
            Stub::Hvc => [0xd400_0002, SVC, UDF, UDF],
            Stub::Pair => [0xa940_0400, SVC, UDF, UDF],
            Stub::Add => [0xf821_0000, SVC, UDF, UDF],
            Stub::Exclusive => [0xc85f_7c00, SVC, UDF, UDF],
        }
    }
}

global_asm!(
    r#"
    .section .text.el0, "ax"
    .global lh_el0_enter
lh_el0_enter:                   // x0: entry, x1 and x2: its arguments, x3: where the fault goes, x4: its stack
    stp     x29, x30, [sp, #-112]!
    stp     x19, x20, [sp, #16]
    stp     x21, x22, [sp, #32]
    stp     x23, x24, [sp, #48]
    stp     x25, x26, [sp, #64]
    stp     x27, x28, [sp, #80]
    str     x3, [sp, #96]
    msr     elr_el1, x0
    mov     x0, #0x3c0          // EL0t, DAIF masked
    msr     spsr_el1, x0
    msr     sp_el0, x4
    mov     x0, x1
    mov     x1, x2
    eret

    .global lh_el0_leave
lh_el0_leave:
    ldp     x19, x20, [sp, #16]
    ldp     x21, x22, [sp, #32]
    ldp     x23, x24, [sp, #48]
    ldp     x25, x26, [sp, #64]
    ldp     x27, x28, [sp, #80]
    ldp     x29, x30, [sp], #112
    ret
    "#
);

unsafe extern "C" {
    safe static lh_el0_leave: u8;
    fn lh_el0_enter(entry: u64, x0: u64, x1: u64, fault: *mut Fault, stack: u64) -> u64;
}

/// EL0 with AArch64, synchronous.
const SYNC_EL0: u64 = 8;
/// SVC from AArch64.
const CLASS_SVC: u64 = 0x15;
/// EL1 with its own stack pointer, DAIF masked.
const EL1H_MASKED: u64 = 0x3c5;

/// Called by the vector.
pub(super) fn recover(frame: &mut Frame) -> bool {
    if frame.vector != SYNC_EL0 {
        return false;
    }
    let fault = if frame.class() == CLASS_SVC {
        Fault::default()
    } else {
        frame.fault()
    };
    let stack = (&raw const *frame).wrapping_add(1) as u64;
    // SAFETY: EL0 was entered by `lh_el0_enter` only, whose frame lies above this one; its word at 96 is the address of
    // the `Fault` of `run`.
    unsafe { (*((stack + 96) as *const *mut Fault)).write_volatile(fault) };
    frame.elr = (&raw const lh_el0_leave) as u64;
    frame.spsr = EL1H_MASKED;
    true
}

/// A page that EL0 can execute.
#[derive(Clone, Copy)]
pub struct Program {
    base: u64,
}

impl Program {
    /// Writes the stubs into a page, and runs them there. Where the MMU is on, it must be executable at EL0.
    pub fn new(page: Block) -> Program {
        for (i, stub) in Stub::ALL.iter().enumerate() {
            for (j, word) in stub.code().iter().enumerate() {
                page.write32((i * LONGEST + j) * 4, *word);
            }
        }
        page.clean();
        super::cpu::invalidate_instructions();
        Program { base: page.base() }
    }

    /// Stubs that [`Program::new`] has written, by the address that their page has now.
    pub fn existing(base: u64) -> Program {
        Program { base }
    }

    /// Where a stub's first instruction is.
    pub fn pc(&self, stub: Stub) -> u64 {
        self.base + (stub as usize * LONGEST * 4) as u64
    }

    /// Runs a stub at EL0.
    ///
    /// # Errors
    /// The exception that ended it, other than its own `svc`.
    ///
    /// # Safety
    /// What it writes to must not be anything that Rust holds a reference to.
    pub unsafe fn run(&self, stub: Stub, x0: u64, x1: u64) -> Result<u64, Fault> {
        let mut fault = Fault::default();
        // SAFETY: the assembly keeps to the calling convention; EL0 comes back by way of the vector at its first
        // exception. The caller answers for what is written.
        let value = unsafe { lh_el0_enter(self.pc(stub), x0, x1, &raw mut fault, probe::slide()) };
        // SAFETY: a plain local variable, written by way of the pointer.
        let fault = unsafe { (&raw const fault).read_volatile() };
        if fault == Fault::default() {
            Ok(value)
        } else {
            Err(fault)
        }
    }

    /// Loads 64 bits at EL0.
    ///
    /// # Errors
    /// The exception that came instead.
    pub fn load(&self, address: u64) -> Result<u64, Fault> {
        // SAFETY: a load writes nothing.
        unsafe { self.run(Stub::Load, address, 0) }
    }
}
