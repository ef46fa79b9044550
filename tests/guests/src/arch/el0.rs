//! Small programs at EL0, in AArch64 and in AArch32 state.
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
    /// Stores two times 64 bits.
    StorePair,
    /// Loads `q0`.
    Vector,
    /// `DC ZVA`.
    Zero,
    /// In AArch32 state: `LDR`, a word.
    A32Load,
    /// In AArch32 state: `STR`, a word.
    A32Store,
    /// In AArch32 state: `LDM`, two words.
    A32Multiple,
    /// In AArch32 state: `LDREX`, a word.
    A32Exclusive,
    /// In AArch32 state: `BX`, which jumps there.
    A32Jump,
    /// In AArch32 state: the 16-bit `LDR` of T32, a word.
    T32Load,
}

impl Stub {
    const ALL: [Stub; 18] = [
        Stub::Load,
        Stub::Store,
        Stub::Jump,
        Stub::Clean,
        Stub::Smc,
        Stub::Hvc,
        Stub::Pair,
        Stub::Add,
        Stub::Exclusive,
        Stub::StorePair,
        Stub::Vector,
        Stub::Zero,
        Stub::A32Load,
        Stub::A32Store,
        Stub::A32Multiple,
        Stub::A32Exclusive,
        Stub::A32Jump,
        Stub::T32Load,
    ];

    /// Its instructions. What it does is the first one.
    const fn code(self) -> [u32; LONGEST] {
        const SVC: u32 = 0xd400_0001;
        const A32_SVC: u32 = 0xef00_0000;
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
            Stub::StorePair => [0xa900_0401, SVC, UDF, UDF],
            Stub::Vector => [0x3dc0_0000, SVC, UDF, UDF],
            Stub::Zero => [0xd50b_7420, SVC, UDF, UDF],
            Stub::A32Load => [0xe590_0000, A32_SVC, UDF, UDF],
            Stub::A32Store => [0xe580_1000, A32_SVC, UDF, UDF],
            Stub::A32Multiple => [0xe890_0003, A32_SVC, UDF, UDF],
            Stub::A32Exclusive => [0xe190_0f9f, A32_SVC, UDF, UDF],
            Stub::A32Jump => [0xe12f_ff10, UDF, UDF, UDF],
            // The two halves of a word: `ldr r0, [r0]` and `svc #0`.
            Stub::T32Load => [0xdf00_6800, UDF, UDF, UDF],
        }
    }

    /// Its name.
    pub const fn name(self) -> &'static str {
        match self {
            Stub::Load => "load",
            Stub::Store => "store",
            Stub::Jump => "fetch",
            Stub::Clean => "clean",
            Stub::Smc => "smc",
            Stub::Hvc => "hvc",
            Stub::Pair => "load pair",
            Stub::Add => "add",
            Stub::Exclusive => "load exclusive",
            Stub::StorePair => "store pair",
            Stub::Vector => "load vector",
            Stub::Zero => "dc zva",
            Stub::A32Load => "A32 load",
            Stub::A32Store => "A32 store",
            Stub::A32Multiple => "A32 multiple",
            Stub::A32Exclusive => "A32 exclusive",
            Stub::A32Jump => "A32 fetch",
            Stub::T32Load => "T32 load",
        }
    }

    /// Whether it runs in AArch32 state.
    pub const fn is_aarch32(self) -> bool {
        self.state() & AARCH32 != 0
    }

    /// The state that it runs in, as it stands in SPSR_EL1: EL0, with DAIF (in AArch32 state AIF) masked.
    const fn state(self) -> u64 {
        match self {
            Stub::A32Load | Stub::A32Store | Stub::A32Multiple | Stub::A32Exclusive | Stub::A32Jump => AARCH32 | 0x1c0,
            Stub::T32Load => AARCH32 | 0x1c0 | T32,
            _ => 0x3c0,
        }
    }
}

global_asm!(
    r#"
    .section .text.el0, "ax"
    .global lh_el0_enter
lh_el0_enter:                   // x0: entry, x1 and x2: its arguments, x3: where the fault goes, x4: its stack, x5: its state
    stp     x29, x30, [sp, #-112]!
    stp     x19, x20, [sp, #16]
    stp     x21, x22, [sp, #32]
    stp     x23, x24, [sp, #48]
    stp     x25, x26, [sp, #64]
    stp     x27, x28, [sp, #80]
    str     x3, [sp, #96]
    msr     elr_el1, x0
    msr     spsr_el1, x5
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
    fn lh_el0_enter(entry: u64, x0: u64, x1: u64, fault: *mut Fault, stack: u64, state: u64) -> u64;
}

/// SPSR_EL1.M\[4\]: AArch32 state.
const AARCH32: u64 = 1 << 4;
/// SPSR_EL1.T of AArch32 state.
const T32: u64 = 1 << 5;
/// EL0 with AArch64 and with AArch32, synchronous.
const SYNC_EL0: [u64; 2] = [8, 12];
/// SVC from AArch64 and from AArch32.
const CLASS_SVC: [u64; 2] = [0x15, 0x11];
/// EL1 with its own stack pointer, DAIF masked.
const EL1H_MASKED: u64 = 0x3c5;

/// Called by the vector.
pub(super) fn recover(frame: &mut Frame) -> bool {
    if !SYNC_EL0.contains(&frame.vector) {
        return false;
    }
    let fault = if CLASS_SVC.contains(&frame.class()) {
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
        // SAFETY: as the caller says.
        unsafe { self.run_with(stub, x0, x1, 0) }
    }

    /// The same, with more bits of SPSR_EL1 set.
    ///
    /// # Errors
    /// The exception that ended it, other than its own `svc`.
    ///
    /// # Safety
    /// What it writes to must not be anything that Rust holds a reference to. The bits change no Exception level.
    pub unsafe fn run_with(&self, stub: Stub, x0: u64, x1: u64, bits: u64) -> Result<u64, Fault> {
        let mut fault = Fault::default();
        let state = stub.state() | bits;
        // SAFETY: the assembly keeps to the calling convention; EL0 comes back by way of the vector at its first
        // exception. The caller answers for what is written.
        let value = unsafe { lh_el0_enter(self.pc(stub), x0, x1, &raw mut fault, probe::slide(), state) };
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
