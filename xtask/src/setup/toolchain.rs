//! A Rust toolchain that builds for bare-metal AArch64.

use anyhow::{Result, bail};
use std::path::PathBuf;
use std::process::Command;

/// The target of EL2 and of the bare-metal hosts and guests: no FP or SIMD registers are used behind the back of a VM.
pub const BARE_TARGET: &str = "aarch64-unknown-none-softfloat";

/// A toolchain that has [`BARE_TARGET`].
#[derive(Clone, Debug)]
pub struct Toolchain {
    _cargo: PathBuf,
}

/// Finds a toolchain for [`BARE_TARGET`], or makes one.
///
/// # Errors
/// When there is none and none can be made; the error names the commands to run by hand.
pub fn get() -> Result<Toolchain> {
    bail!("not built yet")
}

impl Toolchain {
    /// `cargo SUBCOMMAND` with the environment that this toolchain needs; built things go into `target/bare`.
    ///
    /// Bare-metal builds add `--target` [`BARE_TARGET`].
    pub fn cargo(&self, subcommand: &str) -> Command {
        let mut command = Command::new("cargo");
        command.arg(subcommand);
        command
    }
}
