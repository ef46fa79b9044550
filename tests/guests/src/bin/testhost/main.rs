//! Hosts that do one thing and look closely: `scenario=NAME` in the command line says which.
#![cfg_attr(target_os = "none", no_std, no_main)]

#[cfg(target_os = "none")]
mod scenarios;

/// There is nothing to run on the build machine.
#[cfg(not(target_os = "none"))]
fn main() {}
