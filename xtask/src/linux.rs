//! The Linux host's side: the driver, `leasectl`, and an initramfs to boot with.

use crate::setup::kernel::Kernel;
use anyhow::{Result, bail};
use std::path::PathBuf;

/// Builds the driver for a kernel, out of tree. Returns `leasehold.ko`.
///
/// # Errors
/// When the kernel has no headers, or the driver does not build.
pub fn driver(_kernel: &Kernel) -> Result<PathBuf> {
    bail!("not built yet")
}

/// Builds `leasectl`, a static program for AArch64 Linux.
///
/// # Errors
/// When there is no toolchain for it, or it does not build.
pub fn leasectl() -> Result<PathBuf> {
    bail!("not built yet")
}

/// What an initramfs holds beside busybox (at `/bin/busybox`, with `/bin/sh`) and the folders of a bare system.
#[derive(Clone, Debug)]
pub struct Parts {
    /// The name of the file: `target/images/NAME.cpio.gz`.
    pub name: String,
    /// The script `/init`, from `#!/bin/busybox sh` on.
    pub init: String,
    /// Further files; the folders above them are made.
    pub files: Vec<Entry>,
}

/// A file in an initramfs.
#[derive(Clone, Debug)]
pub struct Entry {
    /// Its path there, without the first `/`.
    pub path: String,
    /// Its permissions, as `chmod` takes them.
    pub mode: u32,
    /// Where its bytes come from.
    pub source: Source,
}

/// Where the bytes of a file come from.
#[derive(Clone, Debug)]
pub enum Source {
    /// A file on this machine.
    File(PathBuf),
    /// These bytes.
    Bytes(Vec<u8>),
}

/// Writes an initramfs (newc cpio, gzip). The same parts give the same bytes.
///
/// # Errors
/// When busybox cannot be had, or a file not read or written.
pub fn initramfs(_parts: &Parts) -> Result<PathBuf> {
    bail!("not built yet")
}
