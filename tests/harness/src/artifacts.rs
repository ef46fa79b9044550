//! What the scenarios run: built by `cargo xtask test`, which writes down where it is.

use crate::error::Error;
use crate::machine::Board;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

/// The variable that names the file with an [`Artifacts`] in it.
pub const VARIABLE: &str = "LEASEHOLD_ARTIFACTS";

/// What was built, and where it is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Artifacts {
    /// QEMU.
    pub qemu: PathBuf,
    /// The board's images by how they were built: `release` or `dev`, or a feature's name, with `-dev` behind it where it
    /// was not optimised.
    pub boards: BTreeMap<String, Board>,
    /// The images of QEMU's other machines, by the board's name.
    #[serde(default)]
    pub machines: BTreeMap<String, Board>,
    /// The bare-metal hosts and guests, as flat images, by the name of their program.
    pub guests: BTreeMap<String, PathBuf>,
    /// The Linux hosts by their version, as `6.12`; `6.12-boot` has an initramfs that switches off at once.
    pub linux: BTreeMap<String, LinuxHost>,
    /// The plugin that counts instructions.
    pub count_plugin: Option<PathBuf>,
}

/// A Linux host.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LinuxHost {
    /// What `uname -r` says under it.
    pub release: String,
    /// Its kernel.
    pub kernel: PathBuf,
    /// Its initramfs, with driver, `leasectl` and guest. The word `leasectl=COMMAND,ARGUMENT,…` of its command line says
    /// what it does.
    pub initrd: PathBuf,
}

impl Artifacts {
    /// Reads what [`VARIABLE`] names; none where it is not set.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn from_environment() -> Result<Option<Artifacts>, Error> {
        std::env::var_os(VARIABLE)
            .map(|path| Artifacts::read(Path::new(&path)))
            .transpose()
    }

    /// Reads a file that [`Artifacts::write`] wrote.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn read(path: &Path) -> Result<Artifacts, Error> {
        let text = std::fs::read(path).map_err(Error::file(path))?;
        serde_json::from_slice(&text)
            .map_err(io::Error::from)
            .map_err(Error::file(path))
    }

    /// Writes them down.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn write(&self, path: &Path) -> Result<(), Error> {
        let text = serde_json::to_vec_pretty(self)
            .map_err(io::Error::from)
            .map_err(Error::file(path))?;
        std::fs::write(path, text).map_err(Error::file(path))
    }
}
