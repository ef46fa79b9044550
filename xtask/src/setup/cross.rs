//! What builds for AArch64 Linux on this machine: gcc for the driver, Rust for static programs.

use super::debian::{Packages, Release};
use super::machine::{self, Machine};
use super::toolchain::{self, Toolchain};
use crate::{process, ui, workspace};
use anyhow::{Context, Result};
use std::path::Path;
use std::process::Command;

/// The target of programs for a Linux host.
pub const GNU_TARGET: &str = "aarch64-unknown-linux-gnu";

/// The same, with musl: what rustup offers for static programs.
pub const MUSL_TARGET: &str = "aarch64-unknown-linux-musl";

/// A toolchain that builds static programs for AArch64 Linux, and the target to name.
#[derive(Clone, Debug)]
pub struct CrossToolchain {
    toolchain: Toolchain,
    /// The target's triple.
    pub target: &'static str,
}

/// Finds or makes a toolchain for static AArch64 Linux programs.
///
/// # Errors
/// As [`toolchain::get`].
pub fn get() -> Result<CrossToolchain> {
    for target in [MUSL_TARGET, GNU_TARGET] {
        if toolchain::has_target(target) {
            if target == GNU_TARGET {
                gcc()?;
            }
            return Ok(CrossToolchain {
                toolchain: Toolchain::own(),
                target,
            });
        }
    }
    let machine = match Machine::debian() {
        Ok(machine) => machine,
        Err(no_debian) => {
            let toolchain = toolchain::rustup(MUSL_TARGET).map_err(|error| error.context(no_debian))?;
            return Ok(CrossToolchain {
                toolchain,
                target: MUSL_TARGET,
            });
        }
    };
    let toolchain = toolchain::debian(&machine)?;
    gcc()?;
    if let Some(sysroot) = toolchain.sysroot() {
        link_linux_library(sysroot)?;
    }
    Ok(CrossToolchain {
        toolchain,
        target: GNU_TARGET,
    })
}

/// Puts Debian's arm64 standard library, of the compiler's own release, beside the bare-metal one.
fn link_linux_library(sysroot: &Path) -> Result<()> {
    let _lock = process::lock(&workspace::target("toolchain/lock"))?;
    let place = sysroot.join("lib/rustlib").join(GNU_TARGET);
    if place.join("lib").exists() {
        return Ok(());
    }
    let version = machine::version_of("libstd-rust-web-dev").context("libstd-rust-web-dev is not installed")?;
    let package = format!("libstd-rust-web-dev:arm64={version}");
    let machine = Machine::debian()?;
    let release = Release::named(&machine.codename).unwrap_or(Release::Bookworm);
    let unpacked = Packages::open(release)?.unpack(&[&package]).map_err(|error| {
        ui::failure(
            error,
            "bring the machine's rustc-web up to the archive's version: `apt-get install rustc-web`",
        )
    })?;
    if place.is_symlink() {
        std::fs::remove_file(&place)?;
    }
    std::os::unix::fs::symlink(unpacked.join("usr/lib/rustlib").join(GNU_TARGET), &place)
        .with_context(|| format!("cannot make {}", place.display()))
}

impl CrossToolchain {
    /// `cargo SUBCOMMAND` for static programs of [`CrossToolchain::target`]; built things go into `target/linux`.
    pub fn cargo(&self, subcommand: &str) -> Command {
        let mut command = self.toolchain.cargo(subcommand);
        let name = self.target.to_uppercase().replace('-', "_");
        command
            .args(["--target", self.target])
            .env("CARGO_TARGET_DIR", workspace::target("linux"))
            // It goes into an initramfs: symbols stay, for a panic's trace, line tables do not.
            .env("CARGO_PROFILE_RELEASE_STRIP", "debuginfo")
            .env(format!("CARGO_TARGET_{name}_RUSTFLAGS"), "-Ctarget-feature=+crt-static");
        if self.target == GNU_TARGET {
            command.env(format!("CARGO_TARGET_{name}_LINKER"), format!("{}gcc", prefix()));
        } else {
            // rustup's musl target brings its own C library and start files, and its own linker.
            command.env(format!("CARGO_TARGET_{name}_LINKER"), "rust-lld");
        }
        command
    }
}

/// What C compilers for AArch64 Linux have before their name: nothing on a machine that is one.
pub fn prefix() -> &'static str {
    if cfg!(all(target_arch = "aarch64", target_os = "linux")) {
        ""
    } else {
        "aarch64-linux-gnu-"
    }
}

/// Finds gcc and make for AArch64 Linux, or installs them.
///
/// # Errors
/// When they are missing and cannot be installed; the error names the command to run by hand.
pub fn gcc() -> Result<()> {
    let gcc = format!("{}gcc", prefix());
    // On Debian a C library for static programs comes with libc6-dev, here a cross one.
    if machine::program(&gcc).is_some() && machine::program("make").is_some() && has_libc(&gcc) {
        return Ok(());
    }
    let native = prefix().is_empty();
    let packages: &[&str] = if native {
        &["gcc", "make", "libc6-dev"]
    } else {
        &["gcc-aarch64-linux-gnu", "make", "libc6-dev-arm64-cross"]
    };
    let machine = Machine::debian().with_context(|| format!("{gcc} or make is missing, or has no static libc"))?;
    machine.install(packages, None, "a C compiler for the host's driver")
}

/// Whether gcc finds a static C library.
fn has_libc(gcc: &str) -> bool {
    let path = process::output(Command::new(gcc).arg("-print-file-name=libc.a")).unwrap_or_default();
    Path::new(path.trim()).is_absolute()
}
