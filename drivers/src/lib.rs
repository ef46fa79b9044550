//! One driver per IP block, a folder per class of device.
//!
//! A block's folder has its registers (named as in the manual), its driver, and a model that acts. Drivers reach
//! registers and shared memory through [`mmio::Io`], so that they run on the device and on the model alike. Each has
//! one `unsafe` constructor, which says what the caller vouches for; every wait is bounded.
#![cfg_attr(not(test), no_std)]

#[cfg(all(feature = "model", not(test)))]
extern crate std;

mod cpu;
pub mod firmware;
pub mod geni;
pub mod gpio;
pub mod i2c;
pub mod interrupt;
pub mod llcc;
pub mod memory;
pub mod mmio;
pub mod power;
pub mod rpmh;
pub mod serial;
pub mod smmu;
pub mod spi;
pub mod timer;
mod wait;
pub mod watchdog;

pub use wait::TimedOut;
