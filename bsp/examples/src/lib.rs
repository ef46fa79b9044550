//! Blinky with an I2C scan, on the drivers alone: no hypervisor is in it.
//!
//! [`blinky`] is the application, over the traits of `embedded-hal`. [`boards`] says which pin and which bus it has on a
//! board, by the SoC's description. `start` is what a program needs before its first Rust. None has run on a board yet.
#![cfg_attr(not(test), no_std)]

pub mod blinky;
pub mod boards;
#[cfg(target_os = "none")]
pub mod start;
