//! What only one architecture has.
//!
//! All `asm!`, all system registers and all raw pointers of the core are in here.

#[cfg(all(target_arch = "aarch64", target_os = "none"))]
pub mod aarch64;
#[cfg(all(feature = "defmt", not(target_os = "none")))]
pub mod build_machine;
