//! QEMU, new enough.

use anyhow::{Result, bail};
use std::path::PathBuf;
use std::process::Command;

/// A `qemu-system-aarch64` that is new enough: 9.1, for stage 2 in its SMMUv3 and for a second UART.
#[derive(Clone, Debug)]
pub struct Qemu {
    /// The program.
    pub program: PathBuf,
    /// Its version: major and minor.
    pub version: (u32, u32),
}

/// Finds QEMU in `LEASEHOLD_QEMU` or on `PATH`, or installs it.
///
/// # Errors
/// When it is missing or too old and cannot be installed; the error names the commands to run by hand.
pub fn get() -> Result<Qemu> {
    bail!("not built yet")
}

impl Qemu {
    /// The program as a command, without arguments.
    pub fn command(&self) -> Command {
        Command::new(&self.program)
    }
}
