//! PS_HOLD: the wire by which the SoC tells its PMIC to stay on.
//!
//! For where there is no PSCI firmware to ask. When the wire goes low the PMIC resets the SoC or switches it off, whichever
//! it was told before, over SPMI: that is not done here.

#[cfg(any(test, feature = "model"))]
pub mod model;
mod registers;

use crate::mmio::{Io, Mmio};
use leasehold_memory_map::PhysRange;
use registers::{HOLD, PS_HOLD};
use tock_registers::interfaces::{ReadWriteable, Readable};

/// How long the SoC may go on once the wire is low, in ms. Linux waits for so long before it says that it failed
/// (`msm-poweroff.c`).
pub const GONE_WITHIN_MS: u32 = 10_000;

/// The PMIC is not to be told: somebody keeps the register as it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Kept;

impl core::fmt::Display for Kept {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("PS_HOLD cannot be released")
    }
}

impl core::error::Error for Kept {}

/// The wire.
#[derive(Debug)]
pub struct PsHold<I = Mmio>(I);

impl PsHold<Mmio> {
    /// The wire with its register at `registers`.
    ///
    /// # Safety
    /// `registers` is the register MPM_PS_HOLD of a Qualcomm SoC, mapped at its own address as device memory, and nobody
    /// else drives it.
    #[must_use]
    pub unsafe fn new(registers: PhysRange) -> Self {
        // SAFETY: as the caller vouches; the register accesses no memory.
        Self::over(unsafe { Mmio::identity(registers) })
    }
}

impl<I: Io> PsHold<I> {
    /// The wire behind `io`.
    pub const fn over(io: I) -> Self {
        Self(io)
    }

    /// Whether the PMIC is told to stay on.
    pub fn holds(&self) -> bool {
        self.0.at(HOLD).is_set(PS_HOLD::HOLD)
    }

    /// Lets go. The SoC goes on for a while, up to [`GONE_WITHIN_MS`], in which the caller does nothing that matters.
    ///
    /// # Errors
    /// [`Kept`]: the wire is as it was.
    pub fn release(&mut self) -> Result<(), Kept> {
        // Whatever was written before is there before the power goes.
        self.0.publish();
        self.0.at(HOLD).modify(PS_HOLD::HOLD::CLEAR);
        if self.holds() { Err(Kept) } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::model::Model;
    use super::*;

    #[test]
    fn the_wire_goes_low_and_nothing_else_changes() {
        let model = Model::new(0xffff_0001);
        let mut wire = PsHold::over(model.clone());
        assert!(wire.holds() && model.is_powered());
        wire.release().unwrap();
        assert!(!wire.holds() && !model.is_powered());
        assert_eq!(model.register(), 0xffff_0000);
    }

    #[test]
    fn a_wire_that_firmware_keeps_is_told() {
        let model = Model::new(1);
        model.keep();
        assert_eq!(PsHold::over(model.clone()).release(), Err(Kept));
        assert!(model.is_powered());
    }
}
