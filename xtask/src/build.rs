//! `cargo xtask build`: the boards' images, and the bare-metal hosts and guests of the tests.

use crate::setup::toolchain::Toolchain;
use anyhow::{Result, bail};
use std::path::PathBuf;

/// Builds a board's image and prints its memory map.
#[derive(clap::Args, Debug)]
pub struct Args {
    /// The board: a folder of `boards/`.
    #[arg(long, default_value = "qemu-virt")]
    pub board: String,
    /// How to build it.
    #[arg(long, value_enum, default_value_t = Profile::Release)]
    pub profile: Profile,
    /// Features of the board's package to switch on.
    #[arg(long, value_delimiter = ',')]
    pub features: Vec<String>,
}

/// A cargo profile.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Profile {
    /// Optimised, with overflow checks.
    Release,
    /// Not optimised.
    Dev,
}

/// A bare-metal program, as an ELF file and as the flat binary that is loaded.
#[derive(Clone, Debug)]
pub struct Image {
    /// The ELF file: symbols, and defmt's strings.
    pub elf: PathBuf,
    /// The flat binary of its loaded sections, from the lowest address on.
    pub image: PathBuf,
    /// The lowest address: where the ELF file says that the flat binary begins.
    pub base: u64,
    /// The address at which it is entered.
    pub entry: u64,
    /// Bytes of memory from `base` on that it takes, with what is zeroed at start.
    pub memory: u64,
    /// The sections that take memory, by address.
    pub sections: Vec<Section>,
}

/// A section that takes memory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Section {
    /// Its name.
    pub name: String,
    /// Its address.
    pub address: u64,
    /// Its length in bytes.
    pub size: u64,
    /// Its access rights, `r`, `w` and `x` or `-`.
    pub access: String,
    /// Whether its bytes are in the image; otherwise it is zeroed at start.
    pub loaded: bool,
}

/// Builds the package `leasehold-NAME`.
///
/// # Errors
/// When there is no such board, or it does not build.
pub fn board(_toolchain: &Toolchain, _name: &str, _profile: Profile, _features: &[&str]) -> Result<Image> {
    bail!("not built yet")
}

/// Builds a program of the package `leasehold-guests`.
///
/// # Errors
/// When there is no such program, or it does not build.
pub fn guest(_toolchain: &Toolchain, _bin: &str) -> Result<Image> {
    bail!("not built yet")
}

/// Runs the command.
///
/// # Errors
/// When the board does not build.
pub fn run(_args: Args) -> Result<()> {
    bail!("not built yet")
}
