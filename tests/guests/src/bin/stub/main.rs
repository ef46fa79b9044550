//! A loader with bad manners: it runs at EL2 before Leasehold, sets one of the states that loaders leave a machine in,
//! and jumps to Leasehold.
//!
//! What it is told stands in its image: `state=NAME`, `entry=ADDRESS` of Leasehold, `bytes=` of its file, and what the
//! state needs.
#![cfg_attr(target_os = "none", no_std, no_main)]

#[cfg(target_os = "none")]
mod dma;
#[cfg(target_os = "none")]
mod gunyah;
#[cfg(target_os = "none")]
mod jump;
#[cfg(target_os = "none")]
mod program;
#[cfg(target_os = "none")]
mod registers;
#[cfg(target_os = "none")]
mod translation;

/// There is nothing to run on the build machine.
#[cfg(not(target_os = "none"))]
fn main() {}
