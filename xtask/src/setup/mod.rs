//! `cargo xtask setup`: what the other commands need and the machine lacks.

use anyhow::{Result, bail};

pub mod debian;
pub mod kernel;
pub mod qemu;
pub mod toolchain;

/// Sets up what is missing: the bare-metal toolchain, QEMU, and a Linux kernel.
///
/// The other commands do it on their own; this one does it ahead.
#[derive(clap::Args, Debug)]
pub struct Args {
    /// The kernel to fetch beside the toolchain and QEMU.
    #[arg(long, value_name = "VERSION", default_value = "6.12")]
    pub kernel: kernel::Version,
    /// Fetch every kernel that the tests use.
    #[arg(long, conflicts_with = "kernel")]
    pub all: bool,
}

/// Runs the command.
///
/// # Errors
/// When something can neither be found nor be made.
pub fn run(_args: Args) -> Result<()> {
    bail!("not built yet")
}
