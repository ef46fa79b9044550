//! The Linux host's side: the driver, `leasectl`, and an initramfs to boot with.

use crate::setup::kernel::Kernel;
use crate::setup::toolchain;
use crate::{build, process, ui, workspace};
use anyhow::{Context, Result, bail};
use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

pub use crate::initramfs::{Entry, Parts, Source, initramfs};

/// The header that the driver shares with EL2.
const HEADER: &str = "leasehold_abi.h";

/// Builds the driver for a kernel, out of tree. Returns the module.
///
/// # Errors
/// When the kernel has no headers, or the driver does not build.
pub fn driver(kernel: &Kernel) -> Result<PathBuf> {
    let linux = workspace::root().join("linux");
    module(kernel, "driver", &linux.join("driver"), &[&linux.join(HEADER)])
}

/// Builds a kernel module out of tree, from a copy in `target/linux-modules`. `beside` are files that it includes from
/// the folder above its own. Returns the module.
///
/// # Errors
/// When the kernel has no headers, or the module does not build.
pub fn module(kernel: &Kernel, name: &str, source: &Path, beside: &[&Path]) -> Result<PathBuf> {
    let (Some(headers), Some(release)) = (&kernel.headers, &kernel.release) else {
        return Err(ui::failure(
            "the kernel has no headers to build the driver with",
            "name them with --headers DIR",
        ));
    };
    toolchain::cross_gcc()?;
    let work = workspace::target("linux-modules").join(release);
    let copy = work.join(name);
    let _lock = process::lock(&work.join("lock"))?;
    for file in beside {
        let name = file
            .file_name()
            .with_context(|| format!("{} is no file", file.display()))?;
        copy_if_changed(file, &work.join(name))?;
    }
    copy_sources(source, &copy)?;
    let jobs = std::thread::available_parallelism().map_or(1, usize::from);
    let mut make = Command::new("make");
    make.arg("-C").arg(headers);
    make.arg(format!("M={}", copy.display()))
        .arg(format!("-j{jobs}"))
        .arg("ARCH=arm64");
    make.arg(format!("CROSS_COMPILE={}", toolchain::cross_prefix()))
        .args(&kernel.make_args)
        .arg("modules");
    // A jobserver of a make above would be no use to this one.
    make.env_remove("MAKEFLAGS").env_remove("MFLAGS");
    process::quiet(&mut make).with_context(|| format!("the module {name} does not build for Linux {release}"))?;
    the_module(&copy)
}

/// Builds `leasectl`, a static program for AArch64 Linux.
///
/// # Errors
/// When there is no toolchain for it, or it does not build.
pub fn leasectl() -> Result<PathBuf> {
    static_program("leasectl", "leasectl")
}

/// Builds a program of a workspace package, static, for AArch64 Linux.
///
/// # Errors
/// When there is no toolchain for it, or it does not build.
pub fn static_program(package: &str, bin: &str) -> Result<PathBuf> {
    toolchain::cross_gcc()?;
    let mut cargo = toolchain::linux()?.cargo("build");
    cargo.args(["--release", "--package", package, "--bin", bin]);
    build::executable(cargo, bin)
}

/// The one module in a folder.
fn the_module(folder: &Path) -> Result<PathBuf> {
    let is_module = |path: &PathBuf| path.extension() == Some(OsStr::new("ko"));
    let modules: Vec<PathBuf> = fs::read_dir(folder)?
        .flatten()
        .map(|file| file.path())
        .filter(is_module)
        .collect();
    match &modules[..] {
        [one] => Ok(one.clone()),
        _ => bail!("{} has {} modules; one was expected", folder.display(), modules.len()),
    }
}

/// Copies sources, without touching those that are as they were, so that make builds only what changed.
/// A source that is gone takes what was built with it.
fn copy_sources(from: &Path, to: &Path) -> Result<()> {
    let files = sources(from)?;
    let stale = sources(to)
        .unwrap_or_default()
        .into_keys()
        .any(|name| !files.contains_key(&name));
    if stale {
        fs::remove_dir_all(to).with_context(|| format!("cannot remove {}", to.display()))?;
    }
    fs::create_dir_all(to).with_context(|| format!("cannot make {}", to.display()))?;
    for (name, path) in files {
        copy_if_changed(&path, &to.join(name))?;
    }
    Ok(())
}

/// The files of a folder that a kernel module is built from.
fn sources(folder: &Path) -> Result<BTreeMap<String, PathBuf>> {
    let mut found = BTreeMap::new();
    for entry in fs::read_dir(folder).with_context(|| format!("cannot read {}", folder.display()))? {
        let path = entry?.path();
        let Some(name) = path.file_name().and_then(OsStr::to_str) else {
            continue;
        };
        let source = name.ends_with(".c") && !name.ends_with(".mod.c") || name.ends_with(".h") || name.ends_with(".S");
        if path.is_file() && (source || name == "Kbuild" || name == "Makefile") {
            found.insert(name.to_owned(), path);
        }
    }
    Ok(found)
}

fn copy_if_changed(from: &Path, to: &Path) -> Result<()> {
    let bytes = fs::read(from).with_context(|| format!("cannot read {}", from.display()))?;
    if fs::read(to).ok().as_ref() != Some(&bytes) {
        fs::write(to, bytes).with_context(|| format!("cannot write {}", to.display()))?;
    }
    Ok(())
}
