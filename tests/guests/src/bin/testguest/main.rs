//! Guests that try what they may not: `scenario=NAME`, in the text that the host writes into the image or in the command
//! line, says which. Without one it does what `guest` does.
#![cfg_attr(target_os = "none", no_std, no_main)]

#[cfg(target_os = "none")]
mod program;
#[cfg(target_os = "none")]
mod scenarios;

/// There is nothing to run on the build machine.
#[cfg(not(target_os = "none"))]
fn main() {}
