//! What the bare-metal hosts and guests of the tests are made of.
//!
//! Nothing here is shared with the hypervisor but the numbers of `leasehold-abi`: descriptors are laid out by hand from
//! the standard, trees are read with `fdt-rs`, and the only way to the hypervisor is `SMC` and `HVC` from EL1.
#![cfg_attr(target_os = "none", no_std)]

pub mod args;
pub mod descriptor;
pub mod expect;
pub mod pattern;
pub mod range;

#[cfg(target_os = "none")]
pub mod arch;
#[cfg(target_os = "none")]
pub mod console;
#[cfg(target_os = "none")]
pub mod edu;
#[cfg(target_os = "none")]
pub mod ffa;
#[cfg(target_os = "none")]
pub mod host;
#[cfg(target_os = "none")]
pub mod lender;
#[cfg(target_os = "none")]
pub mod lock;
#[cfg(target_os = "none")]
pub mod pages;
#[cfg(target_os = "none")]
pub mod psci;
#[cfg(target_os = "none")]
pub mod report;
#[cfg(target_os = "none")]
pub mod tenant;
#[cfg(target_os = "none")]
pub mod tree;
#[cfg(target_os = "none")]
pub mod vm;

/// Says why and switches the machine off.
#[cfg(target_os = "none")]
pub fn stop(why: core::fmt::Arguments<'_>) -> ! {
    line!("LH-PANIC {why}");
    psci::system_off()
}
