//! RB3 Gen 2 (QCS6490).

use super::pins;
use leasehold_drivers::geni::QupVersion;
use leasehold_drivers::gpio::tlmm::{Config, Tlmm};
use leasehold_drivers::i2c::geni::GeniI2c;
use leasehold_drivers::mmio::Mmio;
use leasehold_memory_map::PhysRange;
use leasehold_soc::qcs6490::QCS6490;

/// The pins, without those that secure firmware keeps (`gpio-reserved-ranges` of `qcs6490-rb3gen2.dtb`).
pub const PINS: Config = pins(&QCS6490, &[32..34, 48..52]);
/// A pin for an LED that the user connects: the board's own are behind its PMICs. No node of the tree uses it; where it is
/// on the connectors is unconfirmed.
pub const LED: u16 = 91;
/// The bus of the HDMI bridge, an LT9611UXC (`/soc@0/geniqup@9c0000/i2c@980000`).
pub const BUS: PhysRange = QCS6490.serials[0].block.first();
/// The wrapper that the bus's engine is in.
const WRAPPER: PhysRange = QCS6490.wrappers[0].block.first();

/// The pins, and the bus.
///
/// # Safety
/// The program runs on this board, with its registers mapped at their own addresses as device memory; this is called once,
/// and nobody else drives either. Firmware has left the engine's clocks on and its pins with it (unconfirmed).
#[must_use]
pub unsafe fn take() -> (Tlmm, GeniI2c) {
    // SAFETY: as the caller vouches; the wrapper's version is only read.
    unsafe {
        let version = QupVersion::read(&Mmio::identity(WRAPPER));
        (Tlmm::new(QCS6490.tlmm.block.first(), PINS), GeniI2c::new(BUS, version))
    }
}
