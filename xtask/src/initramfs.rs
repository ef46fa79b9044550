//! The initramfs that Linux hosts boot with: busybox, a script, and what the caller adds. Written here, so that the
//! same parts give the same bytes.

use crate::build::replace;
use crate::setup::debian::{Packages, Release};
use crate::workspace;
use anyhow::{Context, Result, bail};
use cpio::NewcBuilder;
use cpio::newc::trailer;
use flate2::{Compression, GzBuilder};
use std::collections::BTreeSet;
use std::fs;
use std::io::Write;
use std::path::PathBuf;

/// File types in a mode, as `stat` has them (POSIX, `<sys/stat.h>`).
const DIRECTORY: u32 = 0o040_000;
const REGULAR: u32 = 0o100_000;
const SYMLINK: u32 = 0o120_000;

/// The folders that a script may count on.
const FOLDERS: [&str; 7] = ["bin", "dev", "etc", "proc", "root", "sys", "tmp"];

/// What an initramfs holds beside busybox (at `/bin/busybox`, with `/bin/sh`) and the folders of a bare system.
#[derive(Clone, Debug)]
pub struct Parts {
    /// The name of the file: `target/images/NAME.cpio.gz`.
    pub name: String,
    /// The script `/init`, from `#!/bin/sh` on. `/bin/busybox --install -s /bin` gives it its other commands.
    pub init: String,
    /// Further files; the folders above them are made.
    pub files: Vec<Entry>,
}

/// A file in an initramfs.
#[derive(Clone, Debug)]
pub struct Entry {
    /// Its path there, without the first `/`.
    pub path: String,
    /// Its permissions, as `chmod` takes them.
    pub mode: u32,
    /// Where its bytes come from.
    pub source: Source,
}

/// Where the bytes of a file come from.
#[derive(Clone, Debug)]
pub enum Source {
    /// A file on this machine.
    File(PathBuf),
    /// These bytes.
    Bytes(Vec<u8>),
}

/// Writes an initramfs (newc cpio, gzip). The same parts give the same bytes.
///
/// # Errors
/// When busybox cannot be had, or a file not read or written.
pub fn initramfs(parts: &Parts) -> Result<PathBuf> {
    let busybox = Packages::open(Release::Bookworm)?.unpack_only(&["busybox-static:arm64"], &["./bin"])?;
    let busybox = fs::read(busybox.join("bin/busybox")).context("the package busybox-static has no bin/busybox")?;
    let packed = compress(&archive(parts, busybox)?)?;
    let folder = workspace::target("images");
    fs::create_dir_all(&folder)?;
    let path = folder.join(format!("{}.cpio.gz", parts.name));
    replace(&path, &packed)?;
    Ok(path)
}

fn compress(archive: &[u8]) -> Result<Vec<u8>> {
    // Without a time or a name in its header.
    let mut encoder = GzBuilder::new().mtime(0).write(Vec::new(), Compression::fast());
    encoder.write_all(archive)?;
    Ok(encoder.finish()?)
}

fn archive(parts: &Parts, busybox: Vec<u8>) -> Result<Vec<u8>> {
    let mut writer = Writer {
        bytes: Vec::new(),
        inode: 0,
    };
    let mut folders: BTreeSet<&str> = FOLDERS.into();
    for entry in &parts.files {
        check_path(&entry.path)?;
        folders.extend(entry.path.match_indices('/').map(|(end, _)| &entry.path[..end]));
    }
    // In order, a folder stands before what is in it.
    for folder in folders {
        writer.add(folder, DIRECTORY | 0o755, &[])?;
    }
    writer.add("bin/busybox", REGULAR | 0o755, &busybox)?;
    writer.add("bin/sh", SYMLINK | 0o777, b"busybox")?;
    writer.add("init", REGULAR | 0o755, parts.init.as_bytes())?;
    for entry in &parts.files {
        let read;
        let bytes = match &entry.source {
            Source::Bytes(bytes) => bytes,
            Source::File(path) => {
                read = fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
                &read
            }
        };
        writer.add(&entry.path, REGULAR | (entry.mode & 0o7777), bytes)?;
    }
    Ok(trailer(writer.bytes)?)
}

/// A path that leaves the archive's root, or that the kernel would read otherwise, is the caller's mistake.
fn check_path(path: &str) -> Result<()> {
    if path
        .split('/')
        .any(|part| part.is_empty() || part == "." || part == "..")
    {
        bail!("{path:?} is no path in an initramfs: relative, without `.` and `..`");
    }
    Ok(())
}

struct Writer {
    bytes: Vec<u8>,
    inode: u32,
}

impl Writer {
    fn add(&mut self, path: &str, mode: u32, data: &[u8]) -> Result<()> {
        self.inode += 1;
        let size = u32::try_from(data.len()).with_context(|| format!("{path} is too long for a cpio archive"))?;
        let links = if mode & DIRECTORY == DIRECTORY { 2 } else { 1 };
        let builder = NewcBuilder::new(path).ino(self.inode).mode(mode).nlink(links).mtime(0);
        let mut entry = builder.write(&mut self.bytes, size);
        entry.write_all(data)?;
        entry.finish()?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::{Command, Stdio};

    fn parts() -> Parts {
        let entry = |path: &str, mode| Entry {
            path: path.into(),
            mode,
            source: Source::Bytes(vec![7; 5]),
        };
        Parts {
            name: "test".into(),
            init: "#!/bin/sh\n".into(),
            files: vec![entry("lib/modules/a.ko", 0o644), entry("lib/b", 0o755)],
        }
    }

    /// Reads the archive by hand, from the format's description (`cpio(5)`, "New ASCII Format").
    fn listing(archive: &[u8]) -> Vec<(String, u32, Vec<u8>)> {
        let field = |at: usize, index: usize| {
            let digits = &archive[at + 6 + 8 * index..at + 14 + 8 * index];
            u32::from_str_radix(std::str::from_utf8(digits).unwrap(), 16).unwrap()
        };
        let (mut at, mut found) = (0, Vec::new());
        loop {
            assert_eq!(&archive[at..at + 6], b"070701", "at {at}");
            assert_eq!(field(at, 5), 0, "the time");
            let (mode, size, name) = (field(at, 1), field(at, 6) as usize, field(at, 11) as usize);
            let path = String::from_utf8(archive[at + 110..at + 110 + name - 1].to_vec()).unwrap();
            let data = (at + 110 + name).next_multiple_of(4);
            if path == "TRAILER!!!" {
                return found;
            }
            found.push((path, mode, archive[data..data + size].to_vec()));
            at = (data + size).next_multiple_of(4);
        }
    }

    #[test]
    fn the_archive_holds_every_part() {
        let found = listing(&archive(&parts(), vec![1, 2, 3]).unwrap());
        let paths: Vec<&str> = found.iter().map(|(path, ..)| path.as_str()).collect();
        let expected = "bin dev etc lib lib/modules proc root sys tmp bin/busybox bin/sh init lib/modules/a.ko lib/b";
        assert_eq!(paths.join(" "), expected);
        let of = |path: &str| found.iter().find(|(found, ..)| found == path).unwrap();
        assert_eq!(of("bin/busybox").2, [1, 2, 3]);
        assert_eq!(of("bin/sh"), &("bin/sh".into(), 0o120_777, b"busybox".to_vec()));
        assert_eq!(of("init"), &("init".into(), 0o100_755, b"#!/bin/sh\n".to_vec()));
        assert_eq!(
            of("lib/modules/a.ko"),
            &("lib/modules/a.ko".into(), 0o100_644, vec![7; 5])
        );
        assert_eq!(of("lib").1, 0o040_755);
    }

    #[test]
    fn the_same_parts_give_the_same_bytes() {
        let pack = || compress(&archive(&parts(), vec![9; 10_000]).unwrap()).unwrap();
        assert_eq!(pack(), pack());
    }

    #[test]
    fn a_path_that_leaves_the_root_is_refused() {
        for path in ["/etc/x", "../x", "a//b", "a/./b", ""] {
            let mut parts = parts();
            parts.files[0].path = path.into();
            assert!(archive(&parts, vec![]).is_err(), "{path}");
        }
    }

    #[test]
    fn cpio_lists_it_too() {
        let Ok(mut child) = Command::new("cpio")
            .args(["-t", "--quiet"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
        else {
            eprintln!("skipped: there is no cpio on this machine");
            return;
        };
        let bytes = archive(&parts(), vec![1; 1001]).unwrap();
        child.stdin.take().unwrap().write_all(&bytes).unwrap();
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success());
        let expected: Vec<String> = listing(&bytes).into_iter().map(|(path, ..)| path).collect();
        assert_eq!(
            String::from_utf8(output.stdout).unwrap().lines().collect::<Vec<_>>(),
            expected
        );
    }
}
