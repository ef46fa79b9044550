//! DragonBoard 410c (APQ8016).

use super::pins;
use leasehold_drivers::gpio::tlmm::{Config, Tlmm};
use leasehold_drivers::i2c::qup::QupI2c;
use leasehold_memory_map::PhysRange;
use leasehold_soc::apq8016::APQ8016;

/// The pins.
pub const PINS: Config = pins(&APQ8016, &[]);
/// The LED `apq8016-sbc:green:user1`, which is on when its pin is high (`/leds/led-1` of `apq8016-sbc.dtb`).
pub const LED: u16 = 21;
/// The bus of the HDMI bridge, an ADV7533 (`/soc@0/i2c@78b8000`).
pub const BUS: PhysRange = APQ8016.serials[1].block.first();

/// The pins, and the bus.
///
/// # Safety
/// The program runs on this board, with its registers mapped at their own addresses as device memory; this is called once,
/// and nobody else drives either. Firmware has left the controller's clocks on and its pins with it (unconfirmed).
#[must_use]
pub unsafe fn take() -> (Tlmm, QupI2c) {
    // SAFETY: as the caller vouches.
    unsafe { (Tlmm::new(APQ8016.tlmm.block.first(), PINS), QupI2c::new(BUS)) }
}
