//! `cargo xtask test`: the build machine's tests, then the whole system under QEMU.

mod count;
mod images;

use crate::build::{self, Profile};
use crate::run::hosts;
use crate::setup::kernel::{self, Version};
use crate::setup::{qemu, toolchain, trees};
use crate::{process, ui, workspace};
use anyhow::{Context, Result, bail};
use count::Counter;
use leasehold_tests::Board;
use leasehold_tests::artifacts::{Artifacts, LinuxHost, VARIABLE};
use leasehold_tests::bench::BOOT_HOST;
use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

/// The board that the scenarios run.
const BOARD: &str = "qemu-virt";
/// QEMU's other machines, on which the main job is done.
const MACHINES: [&str; 2] = ["qemu-zcu102", "qemu-imx8mp"];
/// The bare-metal programs that the scenarios run.
const GUESTS: [&str; 5] = ["demo", "guest", "testhost", "testguest", "stub"];

/// The bare-metal programs in which a driver drives a unit.
const UNITS: [&str; 1] = ["smmu"];

/// Tests every crate on this machine, then the whole system under QEMU.
///
/// Prints a line for each test, and at the end how many passed, failed and were skipped.
#[derive(clap::Args, Debug)]
pub struct Args {
    /// Leave out the tests that boot Linux.
    #[arg(long)]
    pub quick: bool,
    /// Only tests with this in their name.
    pub filter: Option<String>,
}

/// Runs the command.
///
/// # Errors
/// When a test fails, or what it needs cannot be set up or built.
pub fn run(args: Args) -> Result<()> {
    let mut counter = Counter::default();
    let mut tests = cargo_test(&args);
    // The scenarios come later, when what they run is built, and so does what needs real device trees.
    tests
        .arg("--no-fail-fast")
        .env(VARIABLE, "none")
        .env(trees::VARIABLE, "none");
    run_tests(tests, &args, &mut counter)?;
    if let Err(error) = run_tree_tests(&args, &mut counter) {
        ui::error(&error.context("the tests against device trees did not run"));
        counter.fail("the tests against device trees");
    }
    match toolchain::get() {
        Ok(toolchain) => images::test(&toolchain, args.filter.as_deref(), &mut counter),
        Err(error) => counter.judge("boards", Err(error)),
    }
    let built = artifacts(args.quick);
    let scenarios = built.and_then(|artifacts| {
        let path = workspace::target("run").join("artifacts.json");
        std::fs::create_dir_all(workspace::target("run"))?;
        artifacts.write(&path)?;
        let mut tests = cargo_test(&args);
        tests
            .args(["--package", "leasehold-tests", "--test", "qemu"])
            .env(VARIABLE, path);
        if args.quick {
            tests.env("LEASEHOLD_QUICK", "1");
        }
        run_tests(tests, &args, &mut counter)
    });
    if let Err(error) = scenarios {
        ui::error(&error.context("the tests under QEMU did not run"));
        counter.fail("the tests under QEMU");
    }
    println!("{counter}");
    if counter.failed > 0 {
        bail!("tests failed")
    } else {
        Ok(())
    }
}

/// What is compared with the trees of Debian's kernels.
fn run_tree_tests(args: &Args, counter: &mut Counter) -> Result<()> {
    // The newest come in a package of 5 MB, the others in those of their kernels.
    let kernels: &[Version] = if args.quick { &[Version::V7_3] } else { &Version::ALL };
    let folders = kernels
        .iter()
        .map(|kernel| trees::get(*kernel))
        .collect::<Result<Vec<_>>>()?;
    let mut tests = cargo_test(args);
    tests
        .args(["--package", "leasehold-trees", "--test", "boards"])
        .args(["--package", "leasehold-memory-map", "--test", "qualcomm"])
        .args(["--package", "leasehold-twin", "--test", "twin"])
        .args(["--no-fail-fast"])
        .env(trees::VARIABLE, std::env::join_paths(folders)?);
    run_tests(tests, args, counter)
}

fn cargo_test(args: &Args) -> Command {
    let mut command = toolchain::clean(&toolchain::own_cargo());
    command.arg("test").current_dir(workspace::root());
    command.args(args.filter.as_deref());
    command
}

/// Runs `cargo test`, passes on what a person wants to see, and counts.
fn run_tests(mut command: Command, args: &Args, counter: &mut Counter) -> Result<()> {
    let shown = process::describe(&command);
    // One pipe for both: which crate a test is of stands on the other stream.
    let (reader, writer) = std::io::pipe()?;
    command.stdin(Stdio::null()).stdout(writer.try_clone()?).stderr(writer);
    let mut child = command.spawn().with_context(|| format!("cannot start `{shown}`"))?;
    // It holds the pipe's other end: the reader would wait for it.
    drop(command);
    for line in BufReader::new(reader).split(b'\n') {
        if let Some(text) = counter.take(&String::from_utf8_lossy(&line?)) {
            println!("{text}");
        }
    }
    let status = child.wait()?;
    counter.end(status.success());
    if !status.success() && counter.failed == 0 {
        bail!(
            "`{shown}` failed ({status}){}",
            args.filter.as_ref().map_or("", |_| "; is the filter one?")
        );
    }
    Ok(())
}

/// Sets up and builds what the scenarios run.
fn artifacts(quick: bool) -> Result<Artifacts> {
    let toolchain = toolchain::get()?;
    let mut artifacts = Artifacts {
        qemu: qemu::get()?.program,
        ..Artifacts::default()
    };
    for (name, profile, features) in board_builds()? {
        ui::step("Building", format_args!("Leasehold for {BOARD}, {name}"));
        let features: Vec<&str> = features.iter().map(String::as_str).collect();
        let image = build::board(&toolchain, BOARD, profile, &features)?;
        let (elf, image) = (image.elf, image.image);
        artifacts.boards.insert(name, Board { elf, image });
    }
    for name in MACHINES {
        ui::step("Building", format_args!("Leasehold for {name}"));
        let image = build::board(&toolchain, name, Profile::Release, &[])?;
        let (elf, image) = (image.elf, image.image);
        artifacts.machines.insert(name.to_owned(), Board { elf, image });
    }
    ui::step("Building", "the bare-metal hosts and guests");
    for program in GUESTS {
        artifacts
            .guests
            .insert(program.to_owned(), build::guest(&toolchain, program)?.image);
    }
    for program in UNITS {
        let image = build::unit(&toolchain, program)?.image;
        artifacts.guests.insert(program.to_owned(), image);
    }
    ui::step("Building", "the plugin that counts instructions");
    artifacts.count_plugin = Some(build::count_plugin()?);
    if !quick {
        let boot = hosts::linux_boot(&kernel::get(Version::V6_12)?)?;
        artifacts.linux.insert(BOOT_HOST.to_owned(), boot);
        for version in Version::ALL {
            let kernel = kernel::get(version)?;
            let initrd = hosts::linux_initramfs(&toolchain, &kernel)?;
            let release = kernel.release.unwrap_or_default();
            let host = LinuxHost {
                release,
                kernel: kernel.image,
                initrd,
            };
            artifacts.linux.insert(version.name().to_owned(), host);
        }
    }
    Ok(artifacts)
}

/// Every way in which the board is built: its name, the profile, and the features. Each feature is switched on by itself.
fn board_builds() -> Result<Vec<(String, Profile, Vec<String>)>> {
    let mut builds = Vec::new();
    for (profile, end) in [(Profile::Release, ""), (Profile::Dev, "-dev")] {
        let plain = if end.is_empty() { "release" } else { "dev" };
        builds.push((plain.to_owned(), profile, Vec::new()));
        for feature in build::features(BOARD)? {
            builds.push((format!("{feature}{end}"), profile, vec![feature]));
        }
    }
    Ok(builds)
}
