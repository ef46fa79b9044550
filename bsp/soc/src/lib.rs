//! Which driver sits where, with which quirks: one file per SoC.
#![cfg_attr(not(test), no_std)]

pub mod apq8016;
pub mod description;
pub mod family;
pub mod imx8mp;
pub mod list;
pub mod plain;
pub mod qcs6490;
pub mod qemu_virt;
pub mod qualcomm;
pub mod sdm845;
pub mod secure;
pub mod sm8250;
pub mod sm8550;
pub mod sm8650;
pub mod x1e80100;
pub mod zynqmp;

use leasehold_hal::SocError;

/// Notes that a part of a machine is given away, which it is once.
fn take(taken: &mut bool) -> Result<(), SocError> {
    if core::mem::replace(taken, true) {
        Err(SocError::Taken)
    } else {
        Ok(())
    }
}
