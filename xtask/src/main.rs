//! `cargo xtask`: one command line for people and CI.

use anyhow::Result;
use clap::{Parser, Subcommand};
use std::process::ExitCode;
use xtask::{abi, bench, boards, build, check_tree, lint, matrix, run, setup, test, ui};

/// Sets up, builds, runs and checks Leasehold.
///
/// Every command sets up what it needs and says so. All that is made goes under `target/`.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask", max_term_width = 100)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Setup(setup::Args),
    Build(build::Args),
    Boards(boards::Args),
    CheckTree(check_tree::Args),
    Run(Box<run::Args>),
    Test(test::Args),
    Matrix(matrix::Args),
    Bench(bench::Args),
    Lint(lint::Args),
    Abi(abi::Args),
}

impl Command {
    fn run(self) -> Result<()> {
        match self {
            Command::Setup(args) => setup::run(args),
            Command::Build(args) => build::run(args),
            Command::Boards(args) => boards::run(&args),
            Command::CheckTree(args) => check_tree::run(&args),
            Command::Run(args) => run::run(*args),
            Command::Test(args) => test::run(args),
            Command::Matrix(args) => matrix::run(&args),
            Command::Bench(args) => bench::run(args),
            Command::Lint(args) => lint::run(args),
            Command::Abi(args) => abi::run(args),
        }
    }
}

fn main() -> ExitCode {
    match Cli::parse().command.run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            ui::error(&error);
            ExitCode::FAILURE
        }
    }
}
