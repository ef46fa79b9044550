//! Debian's own arm64 kernels, unpacked under `target/debian`, and kernels of the user's own.

use super::cross;
use super::debian::{self, Package, Packages, Release};
use crate::{process, ui, workspace};
use anyhow::{Context, Result, bail};
use object::{Object, ObjectSection};
use std::fmt;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The magic of an arm64 `Image`, "ARM\x64", at byte 56 (Linux, Documentation/arch/arm64/booting.rst).
const IMAGE_MAGIC: (usize, [u8; 4]) = (56, *b"ARM\x64");

/// For `make`: BTF of a module would need pahole, and nobody reads it.
const NO_BTF: &str = "CONFIG_DEBUG_INFO_BTF_MODULES=";
/// How a gzip file starts (RFC 1952, 2.3.1).
const GZIP: [u8; 2] = [0x1f, 0x8b];

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

impl Version {
    /// All of them.
    pub const ALL: [Version; 3] = [Version::V6_1, Version::V6_12, Version::V7_3];

    /// As the command line names it.
    pub fn name(self) -> &'static str {
        match self {
            Version::V6_1 => "6.1",
            Version::V6_12 => "6.12",
            Version::V7_3 => "7.3",
        }
    }

    /// The release whose archive has it.
    pub(super) fn release(self) -> Release {
        match self {
            Version::V6_1 | Version::V6_12 => Release::Bookworm,
            Version::V7_3 => Release::Trixie,
        }
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
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
pub fn get(version: Version) -> Result<Kernel> {
    let archive = Packages::open(version.release())?;
    let names = Names::resolve(&archive, version)?;
    let image = names.unpack_image(&archive)?.join(&names.image_file);
    let packages: Vec<&str> = names.headers.iter().map(String::as_str).collect();
    let root = archive.unpack(&packages)?;
    let headers = root.join("usr/src").join(format!("linux-headers-{}", names.release));
    let _lock = process::lock(&workspace::target("debian/headers.lock"))?;
    point_into(&root, &headers)?;
    make_runnable(&archive, &headers.join("scripts/mod"))?;
    check_image(&image)?;
    Ok(Kernel {
        release: Some(names.release),
        image,
        headers: Some(headers),
        make_args: make_args(version),
    })
}

impl Kernel {
    /// A kernel of the user's own.
    ///
    /// # Errors
    /// When the image is no arm64 `Image`, or the folder no kernel build tree.
    pub fn from_path(image: &Path, headers: Option<&Path>) -> Result<Kernel> {
        check_image(image)?;
        let release = headers.map(read_release).transpose()?;
        Ok(Kernel {
            release,
            image: image.to_path_buf(),
            headers: headers.map(std::path::absolute).transpose()?,
            make_args: vec![NO_BTF.into()],
        })
    }
}

/// The packages of a kernel. Their names carry its version, which changes with every update.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Names {
    /// What `uname -r` will say.
    pub release: String,
    image: String,
    /// What matters of the image's package: the modules are large.
    image_folders: Vec<String>,
    /// The image, in that package.
    image_file: String,
    /// The package with the trees, where that is another one.
    trees: Option<String>,
    /// The folder of device trees, in the package that has them.
    trees_folder: String,
    headers: Vec<String>,
}

impl Names {
    /// Follows the archive's meta packages.
    pub fn resolve(archive: &Packages, version: Version) -> Result<Names> {
        let suffix = "-arm64";
        let image = newest_meta(archive, "linux-image", version)?;
        let image = one_dependency(&image, "linux-image-")?;
        let Some(release) = image
            .strip_prefix("linux-image-")
            .filter(|release| release.ends_with(suffix))
        else {
            bail!("the meta package of Linux {version} names {image}, which is no arm64 kernel");
        };
        let headers = format!("linux-headers-{release}");
        let package = archive.versions(&format!("{headers}:arm64"))?;
        let package = debian::newest(package)?.with_context(|| format!("Debian's archive has no {headers}"))?;
        let common = one_dependency(&package, "linux-headers-")?;
        let kbuild = one_dependency(&package, "linux-kbuild-")?;
        // From 7.3 on image and trees are in packages of their own, which the one named after the kernel needs.
        let split = archive.versions(&format!("{image}:arm64"))?;
        let part = |prefix: &str| {
            let mut needed = split.iter().flat_map(|package| &package.depends);
            needed.find(|name| name.starts_with(prefix)).cloned()
        };
        let build = build_architecture();
        let headers = vec![
            format!("{headers}:arm64"),
            format!("{common}:{build}"),
            format!("{kbuild}:{build}"),
        ];
        let release = release.to_owned();
        Ok(match (part("linux-binary-"), part("linux-base-")) {
            (Some(binary), Some(base)) => Names {
                image: format!("{binary}:arm64"),
                image_folders: vec!["./usr/lib/modules".into()],
                image_file: format!("usr/lib/modules/{release}/vmlinuz"),
                trees: Some(format!("{base}:arm64")),
                trees_folder: format!("usr/lib/modules/{release}/dtb/qcom"),
                release,
                headers,
            },
            _ => {
                let trees_folder = format!("usr/lib/linux-image-{release}/qcom");
                Names {
                    image: format!("{image}:arm64"),
                    image_folders: vec!["./boot".into(), format!("./{trees_folder}")],
                    image_file: format!("boot/vmlinuz-{release}"),
                    trees: None,
                    trees_folder,
                    release,
                    headers,
                }
            }
        })
    }

    fn unpack_image(&self, archive: &Packages) -> Result<PathBuf> {
        let folders: Vec<&str> = self.image_folders.iter().map(String::as_str).collect();
        archive.unpack_only(&[&self.image], &folders)
    }

    /// Unpacks the device trees of boards with Qualcomm SoCs, and gives their folder. Where they are in the package of the
    /// image, that is fetched once for both.
    ///
    /// # Errors
    /// As [`Packages::unpack_only`].
    pub fn unpack_trees(&self, archive: &Packages) -> Result<PathBuf> {
        let root = match &self.trees {
            Some(package) => archive.unpack_only(&[package], &[&format!("./{}", self.trees_folder)])?,
            None => self.unpack_image(archive)?,
        };
        Ok(root.join(&self.trees_folder))
    }
}

/// Debian's name for the architecture of this machine: kbuild's programs run on it.
fn build_architecture() -> &'static str {
    if cfg!(target_arch = "aarch64") {
        "arm64"
    } else {
        "amd64"
    }
}

/// The newest meta package (`linux-image` or `linux-headers`) whose version is of this series.
fn newest_meta(archive: &Packages, stem: &str, version: Version) -> Result<Package> {
    let prefix = format!("{version}.");
    let mut found = Vec::new();
    for meta in [format!("{stem}-arm64:arm64"), format!("{stem}-{version}-arm64:arm64")] {
        found.extend(archive.versions(&meta)?);
    }
    let all: Vec<String> = found.iter().map(|package| package.version.clone()).collect();
    found.retain(|package| package.version.starts_with(&prefix));
    debian::newest(found)?.ok_or_else(|| {
        ui::failure(
            format_args!(
                "Debian {} has no Linux {version} for arm64 any more; it has {}",
                version.release().name(),
                all.join(", ")
            ),
            "name another version, or an image of your own with `--kernel PATH`",
        )
    })
}

fn one_dependency(package: &Package, prefix: &str) -> Result<String> {
    let matching: Vec<&String> = package.depends.iter().filter(|name| name.starts_with(prefix)).collect();
    match matching[..] {
        [one] => Ok(one.clone()),
        _ => bail!(
            "{} {} needs {matching:?}; one package {prefix}… was expected",
            package.name,
            package.version
        ),
    }
}

/// The headers' Makefile includes the common ones by an absolute path: it is pointed into the folder they are in.
fn point_into(root: &Path, headers: &Path) -> Result<()> {
    let makefile = headers.join("Makefile");
    let text = fs::read_to_string(&makefile).with_context(|| format!("cannot read {}", makefile.display()))?;
    let pointed = relocate(&text, root);
    if pointed != text {
        fs::write(&makefile, pointed).with_context(|| format!("cannot write {}", makefile.display()))?;
    }
    Ok(())
}

/// Puts `root` before every `/usr/src/`, in place of what stood there.
fn relocate(makefile: &str, root: &Path) -> String {
    const SOURCES: &str = "/usr/src/";
    let (mut text, mut rest) = (String::new(), makefile);
    while let Some(at) = rest.find(SOURCES) {
        let start = rest[..at].rfind([' ', '=', '\n']).map_or(0, |before| before + 1);
        text.push_str(&rest[..start]);
        text.push_str(&root.display().to_string());
        text.push_str(SOURCES);
        rest = &rest[at + SOURCES.len()..];
    }
    text + rest
}

/// Makes kbuild's modpost run where the C library is older than that of the release it was built for: it gets that
/// release's own, which is unpacked beside it.
fn make_runnable(archive: &Packages, folder: &Path) -> Result<()> {
    let (program, original) = (
        folder.join("modpost.real-lsb-64"),
        folder.join("modpost.real-lsb-64.elf"),
    );
    // Without arguments it does nothing, and does it well.
    let missing = !program.exists() && !original.exists();
    if missing || program.exists() && process::quiet(&mut Command::new(&program)).is_ok() {
        return Ok(());
    }
    let libraries = libraries(&archive.unpack(&[&format!("libc6:{}", build_architecture())])?)?;
    let loader = file_of(&libraries, "ld-linux-")?;
    if !original.exists() {
        fs::rename(&program, &original)?;
    }
    let [loader, library_path, original] =
        [&loader, &libraries, &original].map(|path| format!("'{}'", path.display().to_string().replace('\'', r"'\''")));
    let script = format!("#!/bin/sh\nexec {loader} --library-path {library_path} {original} \"$@\"\n");
    fs::write(&program, script).and_then(|()| fs::set_permissions(&program, fs::Permissions::from_mode(0o755)))?;
    process::quiet(&mut Command::new(&program)).context("kbuild's modpost does not run on this machine")
}

/// The folder of shared libraries in an unpacked libc6: `usr/lib/TRIPLE`.
fn libraries(libc: &Path) -> Result<PathBuf> {
    file_of(
        &libc.join("usr/lib"),
        if cfg!(target_arch = "aarch64") {
            "aarch64-linux-gnu"
        } else {
            "x86_64-linux-gnu"
        },
    )
}

fn file_of(folder: &Path, prefix: &str) -> Result<PathBuf> {
    let files = fs::read_dir(folder).with_context(|| format!("cannot read {}", folder.display()))?;
    let mut paths = files.flatten().map(|file| file.path());
    paths
        .find(|path| {
            path.file_name()
                .is_some_and(|name| name.to_string_lossy().starts_with(prefix))
        })
        .with_context(|| format!("{} has no {prefix}…", folder.display()))
}

fn make_args(version: Version) -> Vec<String> {
    let mut args = vec![
        // The headers ask for the very compiler of the kernel, gcc-12 or gcc-14; this machine has one of them.
        format!("CC={}gcc", cross::prefix()),
        NO_BTF.into(),
    ];
    if version == Version::V7_3 {
        // An option of gcc 14 that gcc 12 does not have.
        args.push("CONFIG_CC_HAS_MIN_FUNCTION_ALIGNMENT=".into());
    }
    args
}

fn check_image(image: &Path) -> Result<()> {
    let next = "give arch/arm64/boot/Image of a kernel, or /boot/vmlinuz-… of an arm64 distribution";
    let bytes = fs::read(image)
        .map_err(|error| ui::failure(format_args!("{} cannot be read: {error}", image.display()), next))?;
    let (offset, magic) = IMAGE_MAGIC;
    if bytes.get(offset..offset + magic.len()) != Some(&magic) {
        let what = what_it_is(&bytes);
        return Err(ui::failure(
            format_args!("{} is no arm64 Image{what}", image.display()),
            if bytes.starts_with(&GZIP) {
                "gunzip it first"
            } else {
                next
            },
        ));
    }
    match missing(&bytes) {
        0 => Ok(()),
        missing => Err(ui::failure(
            format_args!(
                "{} is cut short: {missing} bytes are missing at its end",
                image.display()
            ),
            "copy it anew",
        )),
    }
}

/// What a file that is no arm64 `Image` is instead, as far as its first bytes tell.
fn what_it_is(bytes: &[u8]) -> &'static str {
    if bytes.starts_with(&GZIP) {
        ": it is compressed with gzip"
    } else if bytes.get(514..518) == Some(b"HdrS") {
        // Documentation/arch/x86/boot.rst, "The Real-Mode Kernel Header".
        ": it is a kernel for x86"
    } else if bytes.get(4..8) == Some(b"zimg") {
        // drivers/firmware/efi/libstub/zboot-header.S.
        ": it is a compressed EFI program (vmlinuz.efi)"
    } else if bytes.starts_with(b"\x7fELF") {
        ": it is an ELF file, as vmlinux is"
    } else if bytes.len() < 64 {
        ": it has not even the 64 bytes of the header"
    } else {
        ""
    }
}

/// How many bytes a file is shorter than its sections, where it has any: with the EFI stub an `Image` is a PE file too.
fn missing(image: &[u8]) -> u64 {
    let Ok(file) = object::read::pe::PeFile64::parse(image) else {
        return 0;
    };
    let ends = file
        .sections()
        .filter_map(|section| section.file_range())
        .map(|(start, length)| start + length);
    ends.max().unwrap_or(0).saturating_sub(image.len() as u64)
}

/// What `uname -r` will say, from a kernel build tree.
fn read_release(headers: &Path) -> Result<String> {
    let file = headers.join("include/config/kernel.release");
    let text = fs::read_to_string(&file).map_err(|error| {
        ui::failure(
            format_args!(
                "{} is no kernel build tree: {}: {error}",
                headers.display(),
                file.display()
            ),
            "give the folder in which the kernel was built, or that its headers' package has under /usr/src",
        )
    })?;
    Ok(text.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_of_the_headers_makefile_are_moved_and_moved_again() {
        let text = "include /usr/src/linux-headers-6.1-common/Makefile\nKBUILD_OUTPUT=/usr/src/x\n";
        let moved = relocate(text, Path::new("/r"));
        assert_eq!(
            moved,
            "include /r/usr/src/linux-headers-6.1-common/Makefile\nKBUILD_OUTPUT=/r/usr/src/x\n"
        );
        assert_eq!(relocate(&moved, Path::new("/r")), moved);
        assert_eq!(relocate(&moved, Path::new("/other")), moved.replace("/r/", "/other/"));
    }

    /// The header of an arm64 `Image`, a PE file of one section whose 512 bytes start at 512.
    fn image() -> Vec<u8> {
        let mut image = vec![0; 1024];
        let mut set = |at: usize, bytes: &[u8]| image[at..at + bytes.len()].copy_from_slice(bytes);
        set(0, b"MZ");
        set(56, b"ARM\x64");
        set(60, &64_u32.to_le_bytes());
        set(64, b"PE\0\0\x64\xaa\x01\0");
        // The optional header: its length, its magic.
        set(84, &112_u16.to_le_bytes());
        set(88, &0x20b_u16.to_le_bytes());
        // The section: sizes in memory and in the file, and where it starts in each.
        for (at, word) in [(208, 512_u32), (212, 512), (216, 512), (220, 512)] {
            set(at, &word.to_le_bytes());
        }
        image
    }

    #[test]
    fn an_image_is_told_from_what_is_none() {
        let folder = tempfile::tempdir().unwrap();
        let check = |bytes: &[u8]| {
            let path = folder.path().join("file");
            fs::write(&path, bytes).unwrap();
            check_image(&path).map_err(|error| error.to_string())
        };
        assert_eq!(check(&image()), Ok(()));
        let mut pc = vec![0; 1024];
        pc[514..518].copy_from_slice(b"HdrS");
        for (bytes, says) in [
            (
                &b"some text that is longer than a header, which has 64 bytes, by far"[..],
                "is no arm64 Image\n",
            ),
            (b"short", "64 bytes of the header"),
            (&[&GZIP[..], &[0; 100]].concat(), "gunzip"),
            (&[b"MZ\0\0zimg", &[0; 100][..]].concat(), "vmlinuz.efi"),
            (&[b"\x7fELF", &[0; 100][..]].concat(), "vmlinux"),
            (&pc, "x86"),
            (&image()[..1000], "24 bytes are missing"),
        ] {
            let refusal = check(bytes).unwrap_err();
            assert!(refusal.contains(says), "{refusal}");
        }
        let refusal = check_image(&folder.path().join("nothing")).unwrap_err().to_string();
        assert!(refusal.contains("cannot be read"), "{refusal}");
    }

    #[test]
    fn a_dependency_must_be_the_only_one_of_its_kind() {
        let package = |depends: &[&str]| Package {
            name: "meta".into(),
            version: "1".into(),
            depends: depends.iter().map(|name| name.to_string()).collect(),
        };
        assert_eq!(
            one_dependency(&package(&["gcc", "linux-kbuild-6.1"]), "linux-kbuild-").unwrap(),
            "linux-kbuild-6.1"
        );
        assert!(one_dependency(&package(&["gcc"]), "linux-kbuild-").is_err());
        assert!(one_dependency(&package(&["linux-kbuild-1", "linux-kbuild-2"]), "linux-kbuild-").is_err());
    }
}
