//! The suite that every SMMU has to pass, on the SMMUv3 that there is, with the `edu` device behind it.
#![cfg_attr(target_os = "none", no_std, no_main)]

#[cfg(target_os = "none")]
mod program;

/// There is nothing to run on the build machine.
#[cfg(not(target_os = "none"))]
fn main() {}
