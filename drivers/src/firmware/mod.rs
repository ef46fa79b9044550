//! Firmware at EL3, and what stands behind it.

pub mod scm;

use crate::cpu;
use leasehold_hal::{Firmware, SmcRegisters};

/// The firmware of the machine that the program runs on, by the SMC instruction.
#[derive(Debug)]
pub struct Smc(());

impl Smc {
    /// # Safety
    /// There is firmware at EL3 that keeps to Arm DEN0028. Whoever calls it through this value gives it no address of memory
    /// that the program, or anyone it protects, relies on.
    #[must_use]
    pub const unsafe fn new() -> Self {
        Self(())
    }
}

impl Firmware for Smc {
    const PRESENT: bool = true;

    fn call(&self, registers: SmcRegisters) -> SmcRegisters {
        cpu::smc(registers)
    }
}
