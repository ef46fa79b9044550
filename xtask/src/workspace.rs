//! Where things are.

use std::path::{Path, PathBuf};

/// The root of the workspace: the folder with the top `Cargo.toml`.
pub fn root() -> PathBuf {
    // Cargo says at run time where the package is; a binary that is started by hand knows where it was built.
    let xtask = std::env::var_os("CARGO_MANIFEST_DIR").map_or_else(|| env!("CARGO_MANIFEST_DIR").into(), PathBuf::from);
    xtask.parent().map(Path::to_path_buf).unwrap_or(xtask)
}

/// `target/NAME` of the workspace. All that xtask makes goes there, wherever `CARGO_TARGET_DIR` points.
pub fn target(name: &str) -> PathBuf {
    root().join("target").join(name)
}
