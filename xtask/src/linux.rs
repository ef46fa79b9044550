//! The Linux host's side: the driver, `leasectl`, and an initramfs to boot with.

use crate::setup::cross;
use crate::setup::kernel::Kernel;
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

/// Builds the module that makes the kernel's own accesses to lent memory, for `cargo xtask matrix`.
///
/// # Errors
/// As [`driver`].
pub fn matrix_module(kernel: &Kernel) -> Result<PathBuf> {
    module(kernel, "matrix", &workspace::root().join("linux/matrix"), &[])
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
    cross::gcc()?;
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
    make.arg(format!("CROSS_COMPILE={}", cross::prefix()))
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
    let mut cargo = cross::get()?.cargo("build");
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

/// The files of a folder, and of those below it, that a kernel module is built from, by their paths in it.
fn sources(folder: &Path) -> Result<BTreeMap<PathBuf, PathBuf>> {
    let mut found = BTreeMap::new();
    let mut folders = vec![PathBuf::new()];
    while let Some(inner) = folders.pop() {
        let path = folder.join(&inner);
        for entry in fs::read_dir(&path).with_context(|| format!("cannot read {}", path.display()))? {
            let entry = entry?;
            let name = inner.join(entry.file_name());
            if entry.file_type()?.is_dir() {
                folders.push(name);
            } else if is_source(&entry.file_name().to_string_lossy()) {
                found.insert(name, entry.path());
            }
        }
    }
    Ok(found)
}

/// Whether a file is a source. What kbuild leaves beside them is not.
fn is_source(name: &str) -> bool {
    let made = name.ends_with(".mod.c") || name.starts_with('.');
    let source = [".c", ".h", ".S"].iter().any(|suffix| name.ends_with(suffix));
    source && !made || name == "Kbuild" || name == "Makefile"
}

fn copy_if_changed(from: &Path, to: &Path) -> Result<()> {
    let bytes = fs::read(from).with_context(|| format!("cannot read {}", from.display()))?;
    if fs::read(to).ok().as_ref() != Some(&bytes) {
        if let Some(folder) = to.parent() {
            fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
        }
        fs::write(to, bytes).with_context(|| format!("cannot write {}", to.display()))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_as_it_was_is_not_touched_and_what_is_gone_takes_its_products() {
        let folder = std::env::temp_dir().join(format!("leasehold-xtask-linux-{}", std::process::id()));
        let (from, to) = (folder.join("from"), folder.join("to"));
        fs::create_dir_all(from.join("uapi")).unwrap();
        for name in ["Makefile", "a.c", "b.c", "uapi/c.h", "a.mod.c", "a.o", "notes.txt"] {
            fs::write(from.join(name), name).unwrap();
        }
        copy_sources(&from, &to).unwrap();
        let copied: Vec<PathBuf> = sources(&to).unwrap().into_keys().collect();
        assert_eq!(copied, ["Makefile", "a.c", "b.c", "uapi/c.h"].map(PathBuf::from));
        assert!(!to.join("a.o").exists());

        fs::write(to.join("a.o"), "built").unwrap();
        let before = fs::metadata(to.join("a.c")).unwrap().modified().unwrap();
        copy_sources(&from, &to).unwrap();
        assert_eq!(fs::metadata(to.join("a.c")).unwrap().modified().unwrap(), before);
        assert!(to.join("a.o").exists());

        fs::remove_file(from.join("b.c")).unwrap();
        copy_sources(&from, &to).unwrap();
        assert!(!to.join("b.c").exists() && !to.join("a.o").exists() && to.join("uapi/c.h").exists());
        fs::remove_dir_all(&folder).unwrap();
    }
}
