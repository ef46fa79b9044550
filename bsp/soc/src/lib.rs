//! Which driver sits where, with which quirks: one file per SoC.
#![cfg_attr(not(test), no_std)]

pub mod qemu_virt;
pub mod secure;
