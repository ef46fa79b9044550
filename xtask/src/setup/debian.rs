//! Debian packages that are unpacked, not installed: a private apt root in `target/debian`.

use anyhow::{Result, bail};
use std::path::PathBuf;

/// A private apt root. It knows amd64 and arm64, and nothing of the machine's own packages.
#[derive(Clone, Debug)]
pub struct Packages {
    root: PathBuf,
}

impl Packages {
    /// Opens the private apt root, and makes it when it is missing.
    ///
    /// # Errors
    /// When this is no Debian machine, or the archive cannot be reached.
    pub fn open() -> Result<Packages> {
        bail!("not built yet")
    }

    /// Unpacks packages (`NAME:ARCHITECTURE`, or `NAME:ARCHITECTURE=VERSION`) into one folder, and returns it.
    ///
    /// # Errors
    /// When a package is not in the archive, or cannot be fetched or unpacked.
    pub fn unpack(&self, _packages: &[&str]) -> Result<PathBuf> {
        bail!("not built yet: {}", self.root.display())
    }
}
