//! The device trees of boards with Qualcomm SoCs, as Debian's kernel packages have them, under `target/trees`.
//!
//! They are not part of the project (GPL-2.0 or BSD-3-Clause, as their sources say): they are fetched, never kept.

use super::debian::Packages;
use super::kernel::{Names, Version};
use crate::{process, ui, workspace};
use anyhow::{Context, Result};
use std::fs;
use std::path::{Path, PathBuf};

/// The variable that names, for tests, the folders that [`get`] gave, with colons between; `none` for a run of tests that
/// leaves out those that need them.
pub const VARIABLE: &str = "LEASEHOLD_TREES";

/// The folder that has all of them: a folder for each kernel, named by its release, with `qcom/NAME.dtb` in it.
pub fn root() -> PathBuf {
    workspace::target("trees")
}

/// Unpacks the trees of a kernel, and gives the folder `target/trees/RELEASE`.
///
/// # Errors
/// When the archive does not have them or cannot be reached.
pub fn get(version: Version) -> Result<PathBuf> {
    let archive = Packages::open(version.release())?;
    let names = Names::resolve(&archive, version)?;
    let unpacked = names.unpack_trees(&archive)?;
    let count = count_trees(&unpacked)?;
    if count == 0 {
        return Err(ui::failure(
            format_args!(
                "Debian's Linux {} has no device tree in {}",
                names.release,
                unpacked.display()
            ),
            "see where its packages have them now: `dpkg-deb -c` lists what is in one",
        ));
    }
    fs::create_dir_all(root())?;
    let _lock = process::lock(&workspace::target("trees.lock"))?;
    place(&root(), version.name(), &names.release, &unpacked)
}

/// Puts `unpacked` at `ROOT/RELEASE/qcom`, and takes away what an older release of the same series left there.
fn place(root: &Path, series: &str, release: &str, unpacked: &Path) -> Result<PathBuf> {
    for entry in fs::read_dir(root)?.flatten() {
        let name = entry.file_name();
        let name = name.to_string_lossy();
        let of_series = name.strip_prefix(series).is_some_and(|rest| rest.starts_with('.'));
        if of_series && name != release {
            ui::step(
                "Removing",
                format_args!("the device trees of Linux {name}, which {release} replaces"),
            );
            fs::remove_dir_all(entry.path())?;
        }
    }
    let folder = root.join(release);
    let link = folder.join("qcom");
    if fs::read_link(&link).ok().as_deref() != Some(unpacked) {
        fs::create_dir_all(&folder)?;
        if link.is_symlink() {
            fs::remove_file(&link)?;
        }
        std::os::unix::fs::symlink(unpacked, &link).with_context(|| format!("cannot make {}", link.display()))?;
        ui::step(
            "Unpacked",
            format_args!("device trees of Linux {release} at {}", link.display()),
        );
    }
    Ok(folder)
}

fn count_trees(folder: &Path) -> Result<usize> {
    let files = fs::read_dir(folder).with_context(|| format!("cannot read {}", folder.display()))?;
    let paths = files.flatten().map(|file| file.path());
    Ok(paths
        .filter(|path| path.extension().is_some_and(|end| end == "dtb"))
        .count())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_newer_release_replaces_the_older_one_of_its_series_alone() {
        let folder = tempfile::tempdir().unwrap();
        let (root, packages) = (folder.path().join("trees"), folder.path().join("packages"));
        fs::create_dir_all(&root).unwrap();
        fs::create_dir_all(packages.join("old")).unwrap();
        fs::create_dir_all(packages.join("new")).unwrap();
        fs::write(packages.join("new/a.dtb"), "").unwrap();
        fs::write(packages.join("new/README"), "").unwrap();
        assert_eq!(count_trees(&packages.join("new")).unwrap(), 1);
        assert_eq!(count_trees(&packages.join("old")).unwrap(), 0);
        for (series, release, from) in [
            ("6.1", "6.1.0-56-arm64", "old"),
            ("6.12", "6.12.95", "old"),
            ("6.12", "6.12.117", "new"),
            ("6.12", "6.12.117", "new"),
        ] {
            let placed = place(&root, series, release, &packages.join(from)).unwrap();
            assert_eq!(placed, root.join(release));
        }
        let mut left: Vec<_> = fs::read_dir(&root)
            .unwrap()
            .map(|entry| entry.unwrap().file_name())
            .collect();
        left.sort();
        assert_eq!(left, ["6.1.0-56-arm64", "6.12.117"]);
        assert!(root.join("6.12.117/qcom/a.dtb").exists());
        assert!(packages.join("old").exists(), "what a link points at stays");
    }
}
