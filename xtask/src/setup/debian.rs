//! Debian packages that are unpacked, not installed: private apt roots in `target/debian`, one for each release.

use super::machine::Machine;
use crate::{process, ui, workspace};
use anyhow::{Context, Result, bail};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, SystemTime};

/// Package lists older than this are fetched again.
const LISTS_LAST: Duration = Duration::from_secs(24 * 60 * 60);

/// A release of Debian that packages are taken from, whatever release runs on this machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Release {
    /// Debian 12.
    Bookworm,
    /// Debian 13.
    Trixie,
}

impl Release {
    /// The name that the archive uses.
    pub fn name(self) -> &'static str {
        match self {
            Release::Bookworm => "bookworm",
            Release::Trixie => "trixie",
        }
    }

    /// The release of a name, if it is one of these.
    pub fn named(name: &str) -> Option<Release> {
        [Release::Bookworm, Release::Trixie]
            .into_iter()
            .find(|release| release.name() == name)
    }
}

/// A private apt root. It knows amd64 and arm64, and nothing of the machine's own packages.
#[derive(Clone, Debug)]
pub struct Packages {
    folder: PathBuf,
    config: PathBuf,
}

/// What the archive says of a package.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Package {
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// The names of the packages that it needs, the first of each choice, without version bounds.
    pub depends: Vec<String>,
}

/// A package file as `apt-get download --print-uris` lists it.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Download {
    file: String,
    bytes: u64,
}

impl Packages {
    /// Opens the private apt root for a release, and makes it when it is missing.
    ///
    /// # Errors
    /// When this is no Debian machine, or the archive cannot be reached.
    pub fn open(release: Release) -> Result<Packages> {
        let machine = Machine::debian()?;
        let folder = workspace::target("debian").join(release.name());
        let packages = Packages {
            config: folder.join("apt.conf"),
            folder,
        };
        let _lock = packages.lock()?;
        for needed in ["none", "lists/partial", "cache/archives/partial", "unpacked"] {
            std::fs::create_dir_all(packages.folder.join(needed))?;
        }
        let sources = machine.sources(release.name(), &["amd64", "arm64"]);
        write_if_changed(&packages.folder.join("sources.list"), &sources)?;
        write_if_changed(&packages.config, &packages.configuration())?;
        if packages.lists_age().is_none_or(|age| age > LISTS_LAST) {
            packages.update(release)?;
        }
        Ok(packages)
    }

    /// Every version of a package (`NAME:ARCHITECTURE`) in the archive; none when it is not there.
    ///
    /// # Errors
    /// When apt cannot be run.
    pub fn versions(&self, package: &str) -> Result<Vec<Package>> {
        // apt-cache fails when there is no such package; a root that is broken has failed in `open`.
        let text = process::output(self.apt("apt-cache").args(["show", package])).unwrap_or_default();
        Ok(stanzas(&text))
    }

    /// Unpacks packages (`NAME:ARCHITECTURE`, or `NAME:ARCHITECTURE=VERSION`) into one folder, and returns it.
    /// Where the same versions have been unpacked before, that folder is returned.
    ///
    /// # Errors
    /// When a package is not in the archive, or cannot be fetched or unpacked.
    pub fn unpack(&self, packages: &[&str]) -> Result<PathBuf> {
        self.unpack_only(packages, &[])
    }

    /// As [`Packages::unpack`], but only what is below some folders (`./boot`); all where none is named.
    ///
    /// # Errors
    /// As there.
    pub fn unpack_only(&self, packages: &[&str], folders: &[&str]) -> Result<PathBuf> {
        let listing = process::output(self.apt("apt-get").args(["download", "--print-uris"]).args(packages))
            .with_context(|| format!("Debian's archive has not all of {}", packages.join(", ")))?;
        let downloads = downloads(&listing);
        let (Some(first), true) = (downloads.first(), downloads.len() == packages.len()) else {
            bail!(
                "apt names {} files for the {} packages {}",
                downloads.len(),
                packages.len(),
                packages.join(", ")
            );
        };
        let mut hasher = DefaultHasher::new();
        (
            folders,
            downloads.iter().map(|download| &download.file).collect::<Vec<_>>(),
        )
            .hash(&mut hasher);
        let name = first
            .file
            .trim_end_matches(".deb")
            .replace("%3a", "-")
            .replace(['~', '+'], "-");
        let unpacked = self
            .folder
            .join("unpacked")
            .join(format!("{name}-{:08x}", hasher.finish() as u32));
        let _lock = self.lock()?;
        if !unpacked.exists() {
            self.fetch(packages, &downloads, folders, &unpacked)?;
        }
        Ok(unpacked)
    }

    fn fetch(&self, packages: &[&str], downloads: &[Download], folders: &[&str], unpacked: &Path) -> Result<()> {
        let bytes: u64 = downloads.iter().map(|download| download.bytes).sum();
        ui::step(
            "Fetching",
            format_args!("{} ({} MB)", packages.join(" "), bytes.div_ceil(1_000_000)),
        );
        let work = self.folder.join("work");
        if work.exists() {
            std::fs::remove_dir_all(&work)?;
        }
        let root = work.join("root");
        std::fs::create_dir_all(&root)?;
        process::quiet(
            self.apt("apt-get")
                .args(["-qq", "download"])
                .args(packages)
                .current_dir(&work),
        )?;
        for download in downloads {
            unpack_file(&work.join(&download.file), &root, folders)?;
        }
        std::fs::rename(&root, unpacked)?;
        std::fs::remove_dir_all(&work)?;
        Ok(())
    }

    /// An apt program with this root as its world.
    fn apt(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        command.env("APT_CONFIG", &self.config).env("LC_ALL", "C");
        command
    }

    fn update(&self, release: Release) -> Result<()> {
        ui::step("Fetching", format_args!("package lists of Debian {}", release.name()));
        let had_lists = self.lists_age().is_some();
        match process::quiet(
            self.apt("apt-get")
                .args(["-qq", "update", "-oAPT::Update::Error-Mode=any"]),
        ) {
            Ok(()) => std::fs::write(self.stamp(), "").context("cannot write the lists' stamp"),
            Err(error) if had_lists => {
                ui::warn(format_args!("going on with older package lists: {error}"));
                Ok(())
            }
            Err(error) => Err(ui::failure(
                error,
                "see that the machine reaches Debian's archive, and run it again",
            )),
        }
    }

    /// How old the package lists are, if there are any.
    fn lists_age(&self) -> Option<Duration> {
        let fetched = std::fs::metadata(self.stamp())
            .and_then(|stamp| stamp.modified())
            .ok()?;
        Some(SystemTime::now().duration_since(fetched).unwrap_or_default())
    }

    fn stamp(&self) -> PathBuf {
        self.folder.join("lists.stamp")
    }

    fn lock(&self) -> Result<process::Lock> {
        process::lock(&self.folder.with_extension("lock"))
    }

    fn configuration(&self) -> String {
        let folder = self.folder.display();
        // Proxies and the like are the machine's; sources, lists and installed packages are not.
        let acquire = process::output(Command::new("apt-config").args(["dump", "Acquire"])).unwrap_or_default();
        format!(
            "{acquire}\
             Dir::Etc \"{folder}\";\n\
             Dir::Etc::main \"/dev/null\";\n\
             Dir::Etc::parts \"{folder}/none\";\n\
             Dir::Etc::preferencesparts \"{folder}/none\";\n\
             Dir::Etc::sourcelist \"{folder}/sources.list\";\n\
             Dir::Etc::sourceparts \"{folder}/none\";\n\
             Dir::State::lists \"{folder}/lists\";\n\
             Dir::State::status \"/dev/null\";\n\
             Dir::Cache \"{folder}/cache\";\n\
             APT::Architectures {{ \"amd64\"; \"arm64\"; }};\n\
             APT::Sandbox::User \"root\";\n\
             Acquire::Languages \"none\";\n"
        )
    }
}

fn unpack_file(package: &Path, root: &Path, folders: &[&str]) -> Result<()> {
    if folders.is_empty() {
        return process::quiet(Command::new("dpkg-deb").arg("-x").args([package, root]));
    }
    let script = "package=$1; root=$2; shift 2; dpkg-deb --fsys-tarfile \"$package\" | tar -x -C \"$root\" \"$@\"";
    process::quiet(
        Command::new("sh")
            .args(["-c", script, "sh"])
            .args([package, root])
            .args(folders),
    )
}

fn write_if_changed(path: &Path, text: &str) -> Result<()> {
    if std::fs::read_to_string(path).ok().as_deref() != Some(text) {
        std::fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))?;
    }
    Ok(())
}

/// Parses what `apt-cache show` prints: stanzas of `Field: value` lines, apart by an empty line.
fn stanzas(text: &str) -> Vec<Package> {
    let stanza = |stanza: &str| {
        let field = |name: &str| {
            let value = stanza
                .lines()
                .find_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
            value.unwrap_or_default().trim().to_owned()
        };
        let depends = field("Depends");
        let depends = depends.split(',').filter_map(|choice| {
            let name = choice.split(['|', '(', ':']).next()?.trim();
            (!name.is_empty()).then(|| name.to_owned())
        });
        Package {
            name: field("Package"),
            version: field("Version"),
            depends: depends.collect(),
        }
    };
    text.split("\n\n")
        .filter(|text| !text.trim().is_empty())
        .map(stanza)
        .collect()
}

/// Parses lines of the form `'URI' FILE BYTES HASH`.
fn downloads(text: &str) -> Vec<Download> {
    let line = |line: &str| {
        let mut words = line.strip_prefix('\'')?.split(' ').skip(1);
        Some(Download {
            file: words.next()?.to_owned(),
            bytes: words.next()?.parse().ok()?,
        })
    };
    text.lines().filter_map(line).collect()
}

/// The newest of some packages, by Debian's order of versions.
///
/// # Errors
/// When dpkg cannot be run.
pub fn newest(packages: Vec<Package>) -> Result<Option<Package>> {
    let mut best: Option<Package> = None;
    for package in packages {
        let newer = match &best {
            None => true,
            Some(best) => is_newer(&package.version, &best.version)?,
        };
        if newer {
            best = Some(package);
        }
    }
    Ok(best)
}

fn is_newer(version: &str, than: &str) -> Result<bool> {
    let status = Command::new("dpkg")
        .args(["--compare-versions", version, "gt", than])
        .status();
    Ok(status.context("cannot start dpkg")?.success())
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHOW: &str = "\
Package: linux-image-arm64
Source: linux-signed-arm64 (6.1.192+2)
Version: 6.1.192-2
Architecture: arm64
Depends: linux-image-6.1.0-56-arm64 (= 6.1.192-2)
Description: Linux

Package: linux-headers-6.1.0-56-arm64
Version: 6.1.9-1
Pre-Depends: dpkg
Depends: linux-headers-6.1.0-56-common (= 6.1.192-2), linux-kbuild-6.1 (>= 6.1.192-2) | other, gcc-12:any

";

    #[test]
    fn stanzas_give_versions_and_plain_dependencies() {
        let packages = stanzas(SHOW);
        assert_eq!(packages.len(), 2);
        assert_eq!(
            (packages[0].name.as_str(), packages[0].version.as_str()),
            ("linux-image-arm64", "6.1.192-2")
        );
        assert_eq!(packages[0].depends, ["linux-image-6.1.0-56-arm64"]);
        assert_eq!(
            packages[1].depends,
            ["linux-headers-6.1.0-56-common", "linux-kbuild-6.1", "gcc-12"]
        );
        assert!(stanzas("").is_empty());
    }

    #[test]
    fn downloads_are_read_from_lines_with_a_uri() {
        let text = "'http://a/b_1%3a1.35.deb' busybox-static_1%3a1.35_arm64.deb 847552 SHA256:c8\nReading lists...\n";
        let expected = Download {
            file: "busybox-static_1%3a1.35_arm64.deb".into(),
            bytes: 847_552,
        };
        assert_eq!(downloads(text), [expected]);
    }

    #[test]
    fn versions_are_ordered_as_debian_orders_them() {
        if process::find("dpkg").is_none() {
            eprintln!("skipped: there is no dpkg on this machine");
            return;
        }
        let package = |version: &str| Package {
            version: version.into(),
            ..Package::default()
        };
        let packages = ["6.12.95-1~bpo12+1", "6.12.117-1~deb12u1", "6.12.117-1~deb12u1~rc1"].map(package);
        assert_eq!(newest(packages.to_vec()).unwrap(), Some(package("6.12.117-1~deb12u1")));
        assert_eq!(newest(vec![]).unwrap(), None);
    }
}
