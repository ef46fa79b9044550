//! Debian's own arm64 kernels, unpacked under `target/kernels`.

use anyhow::{Result, bail};
use std::path::{Path, PathBuf};

/// A kernel that the tests boot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Version {
    /// Debian 12's own.
    #[value(name = "6.1")]
    V6_1,
    /// Debian 12's newer one: the host that the README boots.
    #[value(name = "6.12")]
    V6_12,
    /// The newest, from Debian 13's backports.
    #[value(name = "7.3")]
    V7_3,
}

/// A kernel on disk.
#[derive(Clone, Debug)]
pub struct Kernel {
    /// What `uname -r` says under it; unknown for an image of the user's own without headers.
    pub release: Option<String>,
    /// The arm64 `Image`.
    pub image: PathBuf,
    /// What `make -C` wants to build a module, where there is such a folder.
    pub headers: Option<PathBuf>,
    /// What `make` must be told beside, as `NAME=VALUE`.
    pub make_args: Vec<String>,
}

/// Unpacks a kernel and its headers.
///
/// # Errors
/// When the archive does not have it or cannot be reached.
pub fn get(_version: Version) -> Result<Kernel> {
    bail!("not built yet")
}

impl Kernel {
    /// A kernel of the user's own.
    ///
    /// # Errors
    /// When the image is no arm64 `Image`, or the folder no kernel build tree.
    pub fn from_path(_image: &Path, _headers: Option<&Path>) -> Result<Kernel> {
        bail!("not built yet")
    }
}
