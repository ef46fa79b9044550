//! QEMU, new enough.

use super::machine::{self, Machine};
use crate::{process, ui};
use anyhow::{Context, Result};
use std::path::{Path, PathBuf};
use std::process::Command;

/// The oldest version that will do: stage 2 in its SMMUv3, and a second UART when two `-serial` are given.
const OLDEST: (u32, u32) = (9, 1);

const PACKAGES: [&str; 3] = ["qemu-system-arm", "qemu-system-common", "qemu-system-data"];

/// The variable that names a QEMU to use instead of the one on `PATH`.
const VARIABLE: &str = "LEASEHOLD_QEMU";

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
    if let Some(program) = std::env::var_os(VARIABLE) {
        let qemu = probe(Path::new(&program)).with_context(|| format!("{VARIABLE} names no QEMU"))?;
        return qemu.new_enough().map_err(|found| {
            ui::failure(
                format_args!("{VARIABLE} is QEMU {found}; {} or newer is needed", show(OLDEST)),
                "unset it",
            )
        });
    }
    let found = match machine::program("qemu-system-aarch64") {
        None => "there is no QEMU for AArch64".into(),
        Some(program) => match probe(&program)?.new_enough() {
            Ok(qemu) => return Ok(qemu),
            Err(version) => format!("QEMU is {version}"),
        },
    };
    let reason = format!("{found}; {} or newer is needed", show(OLDEST));
    let machine = Machine::debian().with_context(|| {
        format!("{reason}: install it from your system's packages or https://www.qemu.org, or name it in {VARIABLE}")
    })?;
    let suite = suite(&machine.codename);
    machine.install(&PACKAGES, suite.as_deref(), &reason)?;
    let program = machine::program("qemu-system-aarch64").context("QEMU was installed, and yet is not on PATH")?;
    probe(&program)?.new_enough().map_err(|version| {
        ui::failure(
            format_args!("{} is still QEMU {version} after the installation", program.display()),
            format_args!("name a newer one in {VARIABLE}"),
        )
    })
}

impl Qemu {
    /// The program as a command, without arguments.
    pub fn command(&self) -> Command {
        Command::new(&self.program)
    }

    /// This QEMU, or its version when it is too old.
    fn new_enough(self) -> std::result::Result<Qemu, String> {
        if self.version >= OLDEST {
            Ok(self)
        } else {
            Err(show(self.version))
        }
    }
}

/// Debian 12's own QEMU is 7.2; Debian 13's is 10.0.
fn suite(codename: &str) -> Option<String> {
    (codename == "bookworm").then(|| "bookworm-backports".into())
}

fn probe(program: &Path) -> Result<Qemu> {
    let text = process::output(Command::new(program).arg("--version"))?;
    let version = version(&text).with_context(|| format!("`{} --version` names no version", program.display()))?;
    Ok(Qemu {
        program: program.to_path_buf(),
        version,
    })
}

/// Reads `QEMU emulator version 10.0.2 (Debian 1:10.0.2+ds-2)`.
fn version(text: &str) -> Option<(u32, u32)> {
    let (_, rest) = text.split_once("version ")?;
    let mut numbers = rest.split(|c: char| !c.is_ascii_digit()).map(str::parse);
    Some((numbers.next()?.ok()?, numbers.next()?.ok()?))
}

fn show((major, minor): (u32, u32)) -> String {
    format!("{major}.{minor}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_compared_as_numbers() {
        assert_eq!(
            version("QEMU emulator version 10.0.2 (Debian 1:10.0.2+ds-2+deb13u1~bpo12+1)"),
            Some((10, 0))
        );
        assert_eq!(
            version("QEMU emulator version 9.1.90 (v9.2.0-rc0)\nCopyright"),
            Some((9, 1))
        );
        assert_eq!(version("no such thing"), None);
        let qemu = |version| Qemu {
            program: "qemu".into(),
            version,
        };
        assert!(qemu((10, 0)).new_enough().is_ok() && qemu((9, 1)).new_enough().is_ok());
        assert_eq!(qemu((7, 2)).new_enough().unwrap_err(), "7.2");
        assert!(qemu((9, 0)).new_enough().is_err());
    }

    #[test]
    fn only_debian_12_needs_backports() {
        assert_eq!(suite("bookworm").as_deref(), Some("bookworm-backports"));
        assert_eq!(suite("trixie"), None);
    }
}
