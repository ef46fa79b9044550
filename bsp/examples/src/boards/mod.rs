//! What the application has on each board. Registers are the SoC description's; here is what a board does with them.

pub mod db410c;
pub mod rb3gen2;
#[cfg(test)]
mod tests;

use leasehold_drivers::gpio::tlmm;
use leasehold_soc::description::SocDescription;

/// The pins of a board of that SoC.
const fn pins(soc: &SocDescription, reserved: &'static [core::ops::Range<u16>]) -> tlmm::Config {
    tlmm::Config {
        pins: soc.tlmm.config.pins,
        placement: soc.tlmm.config.placement,
        target: soc.tlmm.config.target,
        egpio: soc.tlmm.config.egpio,
        reserved,
    }
}
