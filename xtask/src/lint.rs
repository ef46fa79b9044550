//! `cargo xtask lint`: formatting, clippy on every target, the direction of the doors, and the generated files.

use crate::doors::{self, Crate, Target};
use crate::setup::cross;
use crate::setup::toolchain::{self, BARE_TARGET, Toolchain};
use crate::{abi, process, ui, workspace};
use anyhow::{Result, bail};
use cargo_metadata::MetadataCommand;
use std::process::Command;

/// Checks formatting, clippy on every target, which crate may depend on which, and that generated files are up to date.
#[derive(clap::Args, Debug)]
pub struct Args {}

/// Runs the command.
///
/// # Errors
/// When a check fails. The others are done all the same.
pub fn run(_args: Args) -> Result<()> {
    let mut lint = Lint {
        failed: Vec::new(),
        toolchain: toolchain::get()?,
    };
    let crates = Crate::all(&MetadataCommand::new().no_deps().current_dir(workspace::root()).exec()?);
    lint.check("doors", doors(&crates));
    lint.check("generated files", abi::check());
    lint.format();
    lint.machine(&crates);
    lint.bare(&crates);
    lint.linux(&crates);
    if lint.failed.is_empty() {
        ui::step("Passed", "all lints");
        return Ok(());
    }
    bail!("lints failed: {}; what they found stands above", lint.failed.join(", "))
}

struct Lint {
    failed: Vec<String>,
    toolchain: Toolchain,
}

impl Lint {
    fn check(&mut self, name: &str, result: Result<()>) {
        if let Err(error) = result {
            ui::error(&error.context(format!("the lint \"{name}\"")));
            self.failed.push(name.into());
        }
    }

    fn clippy(&mut self, name: &str, mut cargo: Command, arguments: &[String]) {
        ui::step("Linting", name);
        let arguments = arguments.iter().map(String::as_str);
        cargo.args(arguments).args(["--quiet", "--", "-D", "warnings"]);
        self.check(name, process::run(&mut cargo));
    }

    fn format(&mut self) {
        ui::step("Linting", "formatting");
        let result = process::run(self.own("fmt").args(["--all", "--check", "--", "-l"]));
        let result = result.map_err(|error| ui::failure(error, "run `cargo fmt --all`; the files are named above"));
        self.check("formatting", result);
    }

    /// What runs on the build machine, tests included.
    fn machine(&mut self, crates: &[Crate]) {
        let arguments = select(crates, &[Target::Anywhere, Target::Machine]);
        let cargo = self.own("clippy");
        self.clippy(
            "crates of the build machine",
            cargo,
            &[arguments, vec!["--all-targets".into()]].concat(),
        );
    }

    /// What runs on bare metal, with the log: without it the same crates are built for the build machine.
    fn bare(&mut self, crates: &[Crate]) {
        let logs = crates
            .iter()
            .filter(|package| package.logs && package.target().ok() == Some(Target::Anywhere));
        let logs: Vec<String> = logs.map(|package| format!("{}/defmt", package.name)).collect();
        let target = ["--target", BARE_TARGET].map(str::to_owned);
        let libraries = [
            &select(crates, &[Target::Anywhere])[..],
            &target,
            &["--features".into(), logs.join(",")],
        ]
        .concat();
        self.clippy("crates of bare metal", self.toolchain.cargo("clippy"), &libraries);
        let programs = [&select(crates, &[Target::Bare])[..], &target].concat();
        self.clippy("programs of bare metal", self.toolchain.cargo("clippy"), &programs);
    }

    /// What runs on a Linux host.
    fn linux(&mut self, crates: &[Crate]) {
        let arguments = select(crates, &[Target::Linux]);
        match cross::get() {
            Ok(linux) => self.clippy("programs of the Linux host", linux.cargo("clippy"), &arguments),
            Err(error) => self.check("programs of the Linux host", Err(error)),
        }
    }

    /// The cargo that runs xtask, or the set-up toolchain's where that one has no such subcommand.
    fn own(&self, subcommand: &str) -> Command {
        let own = toolchain::own_cargo();
        if process::quiet(toolchain::clean(&own).args([subcommand, "--version"])).is_ok() {
            let mut command = toolchain::clean(&own);
            command.arg(subcommand).current_dir(workspace::root());
            if let Some(folder) = std::env::var_os("CARGO_TARGET_DIR") {
                command.env("CARGO_TARGET_DIR", folder);
            }
            return command;
        }
        self.toolchain.cargo(subcommand)
    }
}

fn doors(crates: &[Crate]) -> Result<()> {
    ui::step("Linting", "the doors between the crates");
    let wrong = doors::check(crates);
    if !wrong.is_empty() {
        bail!("{}", wrong.join("\n"));
    }
    Ok(())
}

/// `--package NAME` for every package that is built for one of the targets.
fn select(crates: &[Crate], targets: &[Target]) -> Vec<String> {
    let built_for = |package: &&Crate| package.target().is_ok_and(|target| targets.contains(&target));
    crates
        .iter()
        .filter(built_for)
        .flat_map(|package| ["--package".to_owned(), package.name.clone()])
        .collect()
}
