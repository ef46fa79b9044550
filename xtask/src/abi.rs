//! `cargo xtask abi`: the C header and the tables of `docs/abi.md`, from the crate `abi`.

use anyhow::{Result, bail};

/// Writes `linux/leasehold_abi.h` and the tables of `docs/abi.md` from the crate `abi`.
#[derive(clap::Args, Debug)]
pub struct Args {
    /// Write nothing; fail when a file is not as it would be written.
    #[arg(long)]
    pub check: bool,
}

/// Runs the command.
///
/// # Errors
/// When a file cannot be written, or `--check` finds one that differs.
pub fn run(_args: Args) -> Result<()> {
    bail!("not built yet")
}
