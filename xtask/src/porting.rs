//! The board of `docs/porting.md`, built as it stands there: in a workspace of its own under `target/`, with everything else
//! linked from here.
//!
//! Cargo tells packages apart by their place below the workspace. So what both have is built once; only the crate that looks
//! for boards, and finds others there, has another place ([`COMMON`]).

use crate::build::{self, Image};
use crate::setup::toolchain::{BARE_TARGET, Toolchain};
use crate::workspace;
use anyhow::{Context, Result, ensure};
use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

/// What a board's folder needs beside it.
const ROOMS: [&str; 6] = ["abi", "bsp", "drivers", "hyp-core", "memory-map", ".cargo"];

/// Where `boards/common` is there.
const COMMON: &str = "boards/found";

/// The build script that boards name.
const LINK: &str = "boards/common/link.rs";

/// A file of the example: its path, and what is in it.
#[derive(Debug, PartialEq, Eq)]
struct File<'a> {
    path: &'a str,
    text: String,
}

/// The files in `doc`: each fenced, after a line that is its path in backticks.
fn files(doc: &str) -> Vec<File<'_>> {
    let mut files = Vec::new();
    let mut path = None;
    let mut lines = doc.lines();
    while let Some(line) = lines.next() {
        let named = line.strip_prefix('`').and_then(|line| line.strip_suffix('`'));
        if let Some(named) = named.filter(|named| named.starts_with("boards/")) {
            path = Some(named);
        } else if line.starts_with("```") {
            let text: String = lines
                .by_ref()
                .take_while(|line| *line != "```")
                .flat_map(|line| [line, "\n"])
                .collect();
            files.extend(path.take().map(|path| File { path, text }));
        }
    }
    files
}

fn doc() -> Result<String> {
    let path = workspace::root().join("docs/porting.md");
    fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))
}

/// Builds the example board.
///
/// # Errors
/// When the document has no example, or it does not build.
pub fn build_example(toolchain: &Toolchain) -> Result<Image> {
    let folder = workspace::target("porting");
    if folder.exists() {
        fs::remove_dir_all(&folder)?;
    }
    lay_out(&folder, &doc()?)?;
    let mut cargo = toolchain.cargo("build");
    cargo.current_dir(&folder);
    cargo.args(["--package", "leasehold-example", "--bin", "leasehold-example"]);
    cargo.args(["--target", BARE_TARGET]);
    build::image(cargo, "leasehold-example", "leasehold-example-dev")
}

/// Makes the workspace in `folder`.
fn lay_out(folder: &Path, doc: &str) -> Result<()> {
    let root = workspace::root();
    fs::create_dir_all(folder.join("boards/common"))?;
    for room in ROOMS {
        symlink(root.join(room), folder.join(room))?;
    }
    symlink(root.join("boards/common"), folder.join(COMMON))?;
    symlink(root.join(LINK), folder.join(LINK))?;
    let manifest: String = fs::read_to_string(root.join("Cargo.toml"))?;
    fs::write(folder.join("Cargo.toml"), boards_alone(&manifest)?)?;
    fs::copy(root.join("Cargo.lock"), folder.join("Cargo.lock"))?;
    let files = files(doc);
    ensure!(files.len() == 3, "docs/porting.md has {} files of a board", files.len());
    for file in files {
        let path = folder.join(file.path);
        fs::create_dir_all(path.parent().context("a file is in a folder")?)?;
        fs::write(path, file.text)?;
    }
    Ok(())
}

/// The workspace's manifest with the example as its only member.
fn boards_alone(manifest: &str) -> Result<String> {
    let mut text = manifest.to_owned();
    for (list, replacement) in [
        ("\nmembers = [", "\nmembers = [\"boards/example\"]"),
        ("\ndefault-members = [", ""),
    ] {
        let start = text.find(list).with_context(|| format!("Cargo.toml has no {list}"))?;
        let end = text[start..].find(']').context("a list ends")? + start + 1;
        text.replace_range(start..end, replacement);
    }
    let common = "path = \"boards/common\"";
    ensure!(text.contains(common), "Cargo.toml has no {common}");
    Ok(text.replace(common, &format!("path = \"{COMMON}\"")))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The most lines that a board with a known SoC takes.
    const MAX_LINES: usize = 60;

    #[test]
    fn a_board_with_a_known_soc_is_one_folder_of_less_than_60_lines() {
        let doc = doc().unwrap();
        let files = files(&doc);
        let paths: Vec<&str> = files.iter().map(|file| file.path).collect();
        let folder = "boards/example";
        assert_eq!(
            paths,
            ["Cargo.toml", "src/main.rs", "src/board.rs"].map(|file| format!("{folder}/{file}"))
        );
        let lines: usize = files.iter().map(|file| file.text.lines().count()).sum();
        assert!(lines < MAX_LINES, "{lines} lines");
    }

    #[test]
    fn so_is_every_board_of_qualcomm_s() {
        for board in leasehold_boards::all().iter().filter(|board| board.soc().is_some()) {
            let folder = workspace::root().join("boards").join(board.name);
            let lines: usize = ["Cargo.toml", "src/main.rs", "src/board.rs"]
                .iter()
                .map(|file| fs::read_to_string(folder.join(file)).unwrap().lines().count())
                .sum();
            assert!(lines <= MAX_LINES, "{}: {lines} lines", board.name);
            assert_eq!(
                fs::read_dir(&folder).unwrap().count(),
                2,
                "{}: another file",
                board.name
            );
        }
    }

    #[test]
    fn files_are_found_by_their_paths() {
        let found = files("text\n\n`boards/x/a`\n\n```toml\none\n\ntwo\n```\n\n```text\nnot a file\n```\n");
        let text = "one\n\ntwo\n".to_owned();
        assert_eq!(
            found,
            [File {
                path: "boards/x/a",
                text
            }]
        );
    }
}
