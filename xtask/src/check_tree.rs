//! `cargo xtask check-tree`: a board's description, held against a device tree.

use crate::ui;
use anyhow::{Context, Result};
use leasehold_trees::{CheckError, check};
use std::path::PathBuf;

/// Compares a board with a device tree: addresses, interrupts, streams, memory, who sees which registers.
///
/// Prints each difference with the property's path. The exit status is 0 only where the tree is the board's own.
#[derive(clap::Args, Debug)]
pub struct Args {
    /// The board, by the name of its folder.
    #[arg(long, value_name = "NAME")]
    pub board: String,
    /// The device tree, compiled. Those of Debian's kernels are under target/trees after `cargo xtask setup`.
    #[arg(value_name = "FILE.dtb")]
    pub file: PathBuf,
}

/// Runs the command.
///
/// # Errors
/// When the tree is not the board's own, when there is no such board, when the file is no tree.
pub fn run(args: &Args) -> Result<()> {
    let board = leasehold_boards::find(&args.board).ok_or_else(|| {
        let names: Vec<&str> = leasehold_boards::all().iter().map(|board| board.name).collect();
        ui::failure(
            format_args!("there is no board {:?}", args.board),
            format_args!("name one of {}", names.join(", ")),
        )
    })?;
    let shown = args.file.display();
    let blob = std::fs::read(&args.file).with_context(|| format!("{shown} cannot be read"))?;
    let differences = check(board, &blob).map_err(|error| {
        let next = match error {
            CheckError::NoTree(_) => "name a board with a tree of its own",
            _ => "give a compiled device tree (.dtb), as Debian's kernels have them under target/trees",
        };
        ui::failure(format_args!("{shown}: {error}"), next)
    })?;
    for difference in &differences {
        println!("{difference}");
    }
    match differences.len() {
        0 => {
            ui::step("Passed", format_args!("{shown} is {}'s own", board.name));
            Ok(())
        }
        count => Err(ui::failure(
            format_args!("{shown} is not {}'s own: {count} differences", board.name),
            "take the board's own tree, or correct its description in boards/ and bsp/soc; what is known to differ \
             between kernels is in tests/trees/src/known.txt",
        )),
    }
}
