//! Calls to the firmware, and the ends of a CPU.

use super::barrier::wfe;
use core::arch::asm;

/// Calls the firmware with `arguments` in x0 to x3 (Arm DEN0028, 2.6: a callee that is SMCCC 1.0 may change x4 to
/// x17). Returns x0 to x3.
///
/// The caller has made sure that the call exposes no memory: EL3 takes physical addresses.
pub fn firmware(arguments: [u64; 4]) -> [u64; 4] {
    let [mut x0, mut x1, mut x2, mut x3] = arguments;
    // SAFETY: SMC goes to EL3, which keeps to the calling convention: it changes x0 to x17 and memory that is its own,
    // or returns at an entry point that the caller, in this crate, has prepared (CPU_ON).
    unsafe {
        asm!(
            "smc #0",
            inout("x0") x0, inout("x1") x1, inout("x2") x2, inout("x3") x3,
            lateout("x4") _, lateout("x5") _, lateout("x6") _, lateout("x7") _,
            lateout("x8") _, lateout("x9") _, lateout("x10") _, lateout("x11") _,
            lateout("x12") _, lateout("x13") _, lateout("x14") _, lateout("x15") _,
            lateout("x16") _, lateout("x17") _,
            options(nostack)
        );
    }
    [x0, x1, x2, x3]
}

/// Stops this CPU for good.
pub fn park() -> ! {
    loop {
        wfe();
    }
}
