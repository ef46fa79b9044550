//! `cargo xtask lint`: formatting, clippy on every target, and the direction of the doors.

use anyhow::{Result, bail};

/// Checks formatting, clippy on every target, and which crate may depend on which.
#[derive(clap::Args, Debug)]
pub struct Args {}

/// Runs the command.
///
/// # Errors
/// When a check fails.
pub fn run(_args: Args) -> Result<()> {
    bail!("not built yet")
}
