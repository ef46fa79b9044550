//! Boots every board's twin, and compares what comes out with what a person has reviewed (`golden/`).
//!
//! `LEASEHOLD_TREES` names the folders of the kernels' trees, as `cargo xtask test` unpacks them, with colons between.
//! Without it, as in a plain `cargo test`, boards whose trees are not in the repository are skipped; `none` leaves them
//! out, for a run that others do.

use leasehold_boards::Tier;
use leasehold_trees::Tree;
use leasehold_twin::boards::{ALL, Subject};
use leasehold_twin::{golden, refusals, watchdog};
use libtest_mimic::{Arguments, Completion, Failed, Trial};
use std::path::PathBuf;
use std::process::ExitCode;

/// The variable that names the folders.
const VARIABLE: &str = "LEASEHOLD_TREES";

/// Why a test is skipped without them.
const NEEDS_TREES: &str = "needs device trees: `cargo xtask test`";

fn main() -> ExitCode {
    let arguments = Arguments::from_args();
    let folders = std::env::var(VARIABLE).unwrap_or_default();
    let others_do = folders == "none";
    let folders: Vec<PathBuf> = std::env::split_paths(&folders).collect();
    let mut trials: Vec<_> = ALL
        .iter()
        .filter(|subject| !(others_do && subject.needs_fetched_tree()))
        .map(|subject| {
            let file = subject.file(&folders);
            Trial::ignorable_test(format!("twin::{}", subject.name), move || boots(subject, file))
        })
        .collect();
    if let Some(subject) = ALL.iter().find(|subject| subject.name == watchdog::BOARD && !others_do) {
        let file = subject.file(&folders);
        trials.push(Trial::ignorable_test(
            "twin::a_watchdog_that_runs_is_petted",
            move || pets(file),
        ));
    }
    trials.push(Trial::test("twin::machines_that_do_not_start_say_why", || {
        refuse().map_err(Failed::from)
    }));
    trials.push(Trial::test("twin::every_board_that_does_not_run_in_ci_has_one", || {
        every_board_has_one().map_err(Failed::from)
    }));
    libtest_mimic::run(&arguments, trials).exit_code()
}

fn boots(subject: &Subject, file: Option<PathBuf>) -> Result<Completion, Failed> {
    let Some(file) = file else {
        return Ok(Completion::ignored_with(NEEDS_TREES));
    };
    let reports = subject.reports(&file)?;
    let files = [
        ("log.txt", reports.log),
        ("map.txt", reports.map),
        ("host-tree.txt", reports.tree),
    ];
    // All of them, so that one run shows, or writes, everything.
    let wrong: Vec<_> = files
        .iter()
        .filter_map(|(name, text)| golden::check(subject.name, name, text).err())
        .collect();
    if wrong.is_empty() {
        Ok(Completion::Completed)
    } else {
        Err(wrong.join("\n").into())
    }
}

fn pets(file: Option<PathBuf>) -> Result<Completion, Failed> {
    let Some(file) = file else {
        return Ok(Completion::ignored_with(NEEDS_TREES));
    };
    let blob = std::fs::read(&file).map_err(|error| error.to_string())?;
    let tree = Tree::read(&blob).map_err(|error| format!("{error:?}"))?;
    watchdog::is_petted(tree)?;
    Ok(Completion::Completed)
}

fn refuse() -> Result<(), String> {
    let virt = ALL[0];
    let file = virt.file(&[]).ok_or("the tree is in the repository")?;
    let blob = std::fs::read(&file).map_err(|error| error.to_string())?;
    let tree = Tree::read(&blob).map_err(|error| format!("{error:?}"))?;
    golden::check(virt.name, "refusals.txt", &refusals::all(&tree)?)
}

/// Those that run in CI boot there for real.
fn every_board_has_one() -> Result<(), String> {
    let missing: Vec<_> = leasehold_boards::all()
        .iter()
        .filter(|board| board.tier != Tier::RunsInCi)
        .map(|board| board.name)
        .filter(|name| !ALL.iter().any(|subject| subject.board == *name))
        .collect();
    if missing.is_empty() {
        Ok(())
    } else {
        Err(format!(
            "no twin of {}: add them to tests/twin/src/boards.rs",
            missing.join(", ")
        ))
    }
}
