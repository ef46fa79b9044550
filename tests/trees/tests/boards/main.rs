//! Every board against its trees, every other board's, and its own with single properties changed.
//!
//! `LEASEHOLD_TREES` names the folders of the kernels' trees, as `cargo xtask test` unpacks them, with colons between.
//! Without it, as in a plain `cargo test`, what needs them is skipped, and says so; `none` has no such tests at all, for
//! a run that others do.

mod memory;
mod mutations;

use leasehold_boards::{Description, Tier};
use leasehold_trees::known::{self, Fact};
use leasehold_trees::{CheckError, Tree, check};
use libtest_mimic::{Arguments, Completion, Failed, Trial};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// The variable that names the folders.
const VARIABLE: &str = "LEASEHOLD_TREES";
/// The kernels whose trees are compared.
const KERNELS: [&str; 3] = ["6.1", "6.12", "7.3"];
/// Boards whose trees came later: `(board, kernel)` without a tree.
const CAME_LATER: [&str; 4] = ["rb3gen2", "sm8550-hdk", "sm8650-hdk", "x1e80100-crd"];

type Outcome = Result<(), Failed>;

fn main() -> ExitCode {
    let arguments = Arguments::from_args();
    let folders = std::env::var(VARIABLE).unwrap_or_default();
    let mut trials = vec![
        Trial::test("what_is_no_tree_is_told", no_tree),
        Trial::test("every_board_has_a_page_with_its_tier", pages),
    ];
    if folders == "none" {
        trials.clear();
    } else {
        let folders: Vec<PathBuf> = std::env::split_paths(&folders).collect();
        trials.extend(KERNELS.iter().flat_map(|kernel| of_kernel(kernel, &folders)));
        let complete = KERNELS.iter().all(|kernel| folder(kernel, &folders).is_some());
        for board in boards() {
            let folders = folders.clone();
            let name = format!("{}::known_differences_are_there", board.name);
            trials.push(needs(complete, name, move || known_lines(board, &folders)));
        }
    }
    libtest_mimic::run(&arguments, trials).exit_code()
}

/// The boards that have trees.
fn boards() -> impl Iterator<Item = &'static Description> {
    leasehold_boards::all()
        .iter()
        .copied()
        .filter(|board| board.tree.is_some())
}

/// The folder with a kernel's trees: its name starts with the kernel's version.
fn folder(kernel: &str, folders: &[PathBuf]) -> Option<PathBuf> {
    let is_kernels = |folder: &&PathBuf| {
        let name = folder.file_name().unwrap_or_default().to_string_lossy();
        name.strip_prefix(kernel).is_some_and(|rest| rest.starts_with('.'))
    };
    folders.iter().find(is_kernels).cloned()
}

/// A test that needs trees.
fn needs(there: bool, name: String, test: impl FnOnce() -> Outcome + Send + 'static) -> Trial {
    Trial::ignorable_test(name, move || match there {
        false => Ok(Completion::ignored_with("needs the trees of `cargo xtask test`")),
        true => test().map(|()| Completion::Completed),
    })
}

fn of_kernel(kernel: &'static str, folders: &[PathBuf]) -> Vec<Trial> {
    let folder = folder(kernel, folders);
    let there = folder.is_some();
    let folder = folder.unwrap_or_default();
    let mut trials = Vec::new();
    for board in boards().filter(|board| has_tree(board, kernel)) {
        let name = |test: &str| format!("{}::{kernel}::{test}", board.name);
        let of = folder.clone();
        trials.push(needs(there, name("own_tree_is_accepted"), move || own(board, &of)));
        let of = folder.clone();
        trials.push(needs(there, name("other_boards_trees_are_refused"), move || {
            others(board, kernel, &of)
        }));
        let of = folder.clone();
        let test = move || memory::image_fits(board, &of);
        trials.push(needs(there, name("what_is_reserved_is_left_alone"), test));
        let of = folder.clone();
        trials.push(needs(there, name("damage_is_told"), move || {
            mutations::damage(board, &of)
        }));
        let of = folder.clone();
        trials.push(needs(there, name("every_changed_property_is_told"), move || {
            mutations::all(board, &of)
        }));
    }
    trials
}

fn has_tree(board: &Description, kernel: &str) -> bool {
    kernel != "6.1" || !CAME_LATER.contains(&board.name)
}

/// The files that are a board's own in a folder: the one that it names, and one for EL2 beside it.
fn own_files(board: &Description, folder: &Path) -> Vec<PathBuf> {
    let Some(tree) = &board.tree else { return Vec::new() };
    let file = folder.join(tree.file);
    let for_el2 = folder.join(tree.file.replace(".dtb", "-el2.dtb"));
    let for_el2 = for_el2.exists().then_some(for_el2);
    std::iter::once(file).chain(for_el2).collect()
}

fn read(file: &Path) -> Result<Vec<u8>, Failed> {
    std::fs::read(file).map_err(|error| format!("{}: {error}", file.display()).into())
}

fn own(board: &Description, folder: &Path) -> Outcome {
    for file in own_files(board, folder) {
        let differences = check(board, &read(&file)?).map_err(|error| error.to_string())?;
        if !differences.is_empty() {
            let told: Vec<String> = differences.iter().map(ToString::to_string).collect();
            return Err(format!("{}:\n{}", file.display(), told.join("\n")).into());
        }
    }
    Ok(())
}

fn others(board: &Description, kernel: &str, folder: &Path) -> Outcome {
    for other in boards().filter(|other| other.name != board.name && has_tree(other, kernel)) {
        for file in own_files(other, folder) {
            let differences = check(board, &read(&file)?).map_err(|error| error.to_string())?;
            let at_root = differences
                .iter()
                .any(|difference| difference.place() == "/:compatible");
            // A name is not all: another SoC has other blocks.
            let same_soc = other.soc().map(|soc| soc.name) == board.soc().map(|soc| soc.name);
            if !at_root || !same_soc && differences.len() < 10 {
                return Err(format!("{}: {differences:?}", file.display()).into());
            }
        }
    }
    Ok(())
}

/// Each line of the table is true of some tree of each kernel that it names: none has outlived its reason.
fn known_lines(board: &Description, folders: &[PathBuf]) -> Outcome {
    for (number, line) in known::lines() {
        let line = line?;
        if line.board != board.name {
            continue;
        }
        for kernel in line.kernels.split(", ") {
            let folder = folder(kernel, folders).ok_or_else(|| format!("line {number}: no kernel {kernel}"))?;
            let mut found = false;
            for file in own_files(board, &folder) {
                let tree = Tree::read(&read(&file)?).map_err(|error| format!("{error:?}"))?;
                found |= match line.fact {
                    Fact::Moved { from, to } => tree.at(from).is_none() && tree.at(to).is_some(),
                    Fact::Differs { place, found } => {
                        let all = leasehold_trees::compare_all(board, &tree).unwrap_or_default();
                        all.iter()
                            .any(|one| (one.place().as_str(), one.found.as_str()) == (place, found))
                    }
                };
            }
            if !found {
                return Err(format!("known.txt, line {number}: it is not so in any tree of Linux {kernel}").into());
            }
        }
    }
    Ok(())
}

/// `docs/boards/NAME.md` says of a board what its constant says.
fn pages() -> Outcome {
    let docs = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/boards");
    for board in boards() {
        let page = String::from_utf8(read(&docs.join(format!("{}.md", board.name)))?)?;
        let tier = format!("Tier: **{}**", board.tier.words());
        let route = board.tier == Tier::DocumentedRoute;
        let says_none = page.contains("## How it gets to EL2\n\nNone known.");
        if !page.contains(&tier) || route == says_none || !page.contains("## Unconfirmed") {
            return Err(format!(
                "docs/boards/{}.md does not say what the board's constant says",
                board.name
            )
            .into());
        }
    }
    Ok(())
}

fn no_tree() -> Outcome {
    let board = boards().next().ok_or("there is no board with a tree")?;
    let mut magic = vec![0xd0, 0x0d, 0xfe, 0xed];
    magic.extend(0x1000_u32.to_be_bytes());
    magic.resize(64, 0);
    for (blob, says) in [
        (
            &b"/dts-v1/;\n/ { compatible = \"a tree that nobody has compiled\"; };\n"[..],
            "source text",
        ),
        (b"", "cut short"),
        (&magic, "cut short"),
    ] {
        match check(board, blob) {
            Err(error @ CheckError::NotATree(_)) if error.to_string().contains(says) => {}
            other => return Err(format!("{says}: {other:?}").into()),
        }
    }
    Ok(())
}
