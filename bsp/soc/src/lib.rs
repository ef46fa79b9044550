//! Which driver sits where, with which quirks: one file per SoC.
#![cfg_attr(not(test), no_std)]

pub mod description;
pub mod family;
pub mod list;
pub mod qcs6490;
pub mod qemu_virt;
pub mod qualcomm;
