//! SMC and HVC.

use super::vectors::Frame;
use core::arch::global_asm;
use core::sync::atomic::{AtomicBool, Ordering};

/// `x0` to `x28` before or after a call.
pub type Registers = [u64; 29];

/// Which instruction a call is made with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Conduit {
    /// `HVC #0`.
    Hvc,
    /// `SMC #0`.
    Smc,
}

global_asm!(
    r#"
    .macro call name, insn
    .global \name
\name:                          // x0: the address of x0 to x28
    stp     x29, x30, [sp, #-112]!
    stp     x19, x20, [sp, #16]
    stp     x21, x22, [sp, #32]
    stp     x23, x24, [sp, #48]
    stp     x25, x26, [sp, #64]
    stp     x27, x28, [sp, #80]
    stp     x18, x0, [sp, #96]
    mov     x30, x0
    ldp     x2, x3, [x30, #16]
    ldp     x4, x5, [x30, #32]
    ldp     x6, x7, [x30, #48]
    ldp     x8, x9, [x30, #64]
    ldp     x10, x11, [x30, #80]
    ldp     x12, x13, [x30, #96]
    ldp     x14, x15, [x30, #112]
    ldp     x16, x17, [x30, #128]
    ldp     x18, x19, [x30, #144]
    ldp     x20, x21, [x30, #160]
    ldp     x22, x23, [x30, #176]
    ldp     x24, x25, [x30, #192]
    ldp     x26, x27, [x30, #208]
    ldr     x28, [x30, #224]
    ldp     x0, x1, [x30]
    .global \name\()_at
\name\()_at:
    \insn   #0
    ldr     x30, [sp, #104]
    stp     x0, x1, [x30]
    stp     x2, x3, [x30, #16]
    stp     x4, x5, [x30, #32]
    stp     x6, x7, [x30, #48]
    stp     x8, x9, [x30, #64]
    stp     x10, x11, [x30, #80]
    stp     x12, x13, [x30, #96]
    stp     x14, x15, [x30, #112]
    stp     x16, x17, [x30, #128]
    stp     x18, x19, [x30, #144]
    stp     x20, x21, [x30, #160]
    stp     x22, x23, [x30, #176]
    stp     x24, x25, [x30, #192]
    stp     x26, x27, [x30, #208]
    str     x28, [x30, #224]
    ldr     x18, [sp, #96]
    ldp     x19, x20, [sp, #16]
    ldp     x21, x22, [sp, #32]
    ldp     x23, x24, [sp, #48]
    ldp     x25, x26, [sp, #64]
    ldp     x27, x28, [sp, #80]
    ldp     x29, x30, [sp], #112
    ret
    .endm

    .section .text.call, "ax"
    call    lh_hvc, hvc
    call    lh_smc, smc
    "#
);

unsafe extern "C" {
    fn lh_hvc(registers: *mut Registers);
    fn lh_smc(registers: *mut Registers);
    safe static lh_hvc_at: u8;
    safe static lh_smc_at: u8;
}

static BY_SMC: AtomicBool = AtomicBool::new(false);

/// The conduit of calls that name none.
pub fn conduit() -> Conduit {
    if BY_SMC.load(Ordering::Relaxed) {
        Conduit::Smc
    } else {
        Conduit::Hvc
    }
}

/// Sets the conduit of calls that name none.
pub fn set_conduit(conduit: Conduit) {
    BY_SMC.store(conduit == Conduit::Smc, Ordering::Relaxed);
}

/// Makes a call with all of `x0` to `x28`, and takes them all back.
///
/// An instruction that is UNDEFINED (nobody is there to answer) gives `NOT_SUPPORTED` in `x0`.
pub fn raw(conduit: Conduit, registers: &mut Registers) {
    // SAFETY: the assembly keeps to the calling convention, also where the callee does not. What the callee does with
    // memory it does to pages that this program names to it; those are blocks of `pages`, never Rust's own.
    unsafe {
        match conduit {
            Conduit::Hvc => lh_hvc(registers),
            Conduit::Smc => lh_smc(registers),
        }
    }
}

/// Makes a call, with `x1` onwards given and the rest zero, and gives `x0` to `x17`.
pub fn call(function: u32, arguments: &[u64]) -> [u64; 18] {
    let mut registers = [0; 29];
    registers[0] = u64::from(function);
    registers[1..=arguments.len()].copy_from_slice(arguments);
    raw(conduit(), &mut registers);
    let mut results = [0; 18];
    results.copy_from_slice(&registers[..18]);
    results
}

/// Called by the vector: an UNDEFINED call is answered as nobody would.
pub(super) fn recover(frame: &mut Frame) -> bool {
    let at = |symbol: &u8| (&raw const *symbol) as u64;
    let ours = frame.elr == at(&lh_hvc_at) || frame.elr == at(&lh_smc_at);
    if !ours || frame.class() != 0 {
        return false;
    }
    frame.x[0] = u64::MAX;
    frame.elr += 4;
    true
}
