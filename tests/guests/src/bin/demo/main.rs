//! The main job with a bare-metal host: lend memory to a guest, run it, touch what is lent, and get it back clean.
#![cfg_attr(target_os = "none", no_std, no_main)]

#[cfg(target_os = "none")]
mod dma;
#[cfg(target_os = "none")]
mod program;
#[cfg(target_os = "none")]
mod touch;

/// There is nothing to run on the build machine.
#[cfg(not(target_os = "none"))]
fn main() {}
