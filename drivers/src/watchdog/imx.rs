//! The watchdog of i.MX SoCs (i.MX 8M Plus reference manual, IMX8MPRM, chapter "Watchdog Timer").
//!
//! Once it runs, nothing but a reset stops it.

#[cfg(any(test, feature = "model"))]
pub mod model;

use crate::mmio::{Io, Mmio, Rw, Wo};
use leasehold_memory_map::PhysRange;
use tock_registers::interfaces::{Readable, Writeable};
use tock_registers::register_bitfields;

register_bitfields![u16,
    WDOG_WCR [
        /// It runs.
        WDE OFFSET(2) NUMBITS(1) []
    ],
];

const WCR: Rw<u16, WDOG_WCR::Register> = Rw::new(0x0);
/// Takes the two values below, in their order.
const WSR: Wo<u16> = Wo::new(0x2);
const SERVICE: [u16; 2] = [0x5555, 0xaaaa];

/// A watchdog.
#[derive(Debug)]
pub struct ImxWatchdog<I = Mmio> {
    io: I,
}

impl ImxWatchdog<Mmio> {
    /// The watchdog with its registers at `registers`, as it is: off or running.
    ///
    /// # Safety
    /// `registers` are those of an i.MX watchdog, mapped at their own addresses as device memory, and nobody else
    /// drives it.
    #[must_use]
    pub unsafe fn new(registers: PhysRange) -> Self {
        // SAFETY: as the caller vouches; a watchdog accesses no memory.
        Self::over(unsafe { Mmio::identity(registers) })
    }
}

impl<I: Io> ImxWatchdog<I> {
    /// The watchdog behind `io`.
    pub const fn over(io: I) -> Self {
        Self { io }
    }

    /// Whether it runs.
    #[must_use]
    pub fn is_running(&self) -> bool {
        self.io.at(WCR).is_set(WDOG_WCR::WDE)
    }

    /// Lets it start over with its whole time.
    pub fn pet(&mut self) {
        for value in SERVICE {
            self.io.at(WSR).set(value);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::model::Model;
    use super::*;

    #[test]
    fn petted_in_time_it_does_not_bite() {
        let model = Model::new();
        let mut watchdog = ImxWatchdog::over(model.clone());
        assert!(!watchdog.is_running());
        model.start(10);
        assert!(watchdog.is_running());
        for _ in 0..3 {
            model.advance(9);
            watchdog.pet();
        }
        assert!(!model.has_bitten());
        model.advance(10);
        assert!(model.has_bitten());
    }
}
