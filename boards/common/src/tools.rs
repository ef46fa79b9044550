//! For tools on the build machine: which boards there are, and how an image is linked.

use crate::Description;
use std::path::PathBuf;

/// A module for each folder of `boards/` with a `src/board.rs`, and `ALL`, which refers to their constants by name.
mod found {
    include!(concat!(env!("OUT_DIR"), "/boards.rs"));
}

/// All boards, by name.
#[must_use]
pub fn all() -> &'static [&'static Description] {
    found::ALL
}

/// The board `name`.
#[must_use]
pub fn find(name: &str) -> Option<&'static Description> {
    all().iter().copied().find(|board| board.name == name)
}

/// What a board's build script does: makes the linker script from the board's load address and the core's layout.
///
/// # Panics
/// When this is not the build script of the package `leasehold-NAME`, or the script cannot be written.
pub fn link() {
    let variable = |name| std::env::var(name).unwrap_or_else(|_| panic!("cargo sets {name}"));
    let package = variable("CARGO_PKG_NAME");
    let board = package.strip_prefix("leasehold-").and_then(find);
    let board = board.unwrap_or_else(|| panic!("{package} is no board's package: its folder needs a src/board.rs"));
    let out = PathBuf::from(variable("OUT_DIR")).join("leasehold.ld");
    let script = leasehold_hyp_core::layout::linker_script(board.load_address());
    std::fs::write(&out, script).expect("the script is written");
    if variable("CARGO_CFG_TARGET_OS") == "none" {
        println!("cargo::rustc-link-arg-bins=-T{}", out.display());
        println!("cargo::rustc-link-arg-bins=-Tdefmt.x");
    }
    // It stands on the build-dependency alone, which cargo watches.
    println!("cargo::rerun-if-changed=Cargo.toml");
}
