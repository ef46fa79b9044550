//! `cargo xtask bench`: counts what Leasehold costs, in instructions, entries and bytes.

mod table;

use crate::build::{self, Profile};
use crate::run::hosts;
use crate::setup::kernel::{self, Version};
use crate::setup::{qemu, toolchain};
use crate::ui;
use anyhow::{Context, Result};
use leasehold_tests::Board;
use leasehold_tests::artifacts::Artifacts;
use leasehold_tests::bench::{BOOT_HOST, Bench, Entries, Figure, HostBoot, KINDS, Source, exceeded};
use std::path::{Path, PathBuf};

/// Counts what Leasehold costs under QEMU, and compares it with what it may cost.
///
/// Instructions, entries and bytes, not seconds: the figures are the same on every run. docs/measurements.md says what
/// each of them is. The command fails when a figure is more than it may be.
#[derive(clap::Args, Debug)]
pub struct Args {
    /// Also write the figures into this file: an array of {"name", "unit", "value"}.
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
    /// Leave out the figures for which Linux is booted.
    #[arg(long)]
    pub quick: bool,
    /// Only figures with one of these in their name.
    #[arg(value_name = "NAME")]
    pub names: Vec<String>,
}

/// Runs the command.
///
/// # Errors
/// When something cannot be set up or built, a run is not as it should be, or a figure is more than it may be.
pub fn run(args: Args) -> Result<()> {
    let sources = args.sources()?;
    let artifacts = artifacts(sources.contains(&Source::HostBoot))?;
    let bench = Bench::new(&artifacts, "bench")?;
    let mut measured = Measured::default();
    for source in sources {
        measured.take(&bench, source)?;
    }
    measured
        .figures
        .sort_by_key(|figure| KINDS.iter().position(|kind| kind.name == figure.name));
    let over = exceeded(&measured.figures, |name| args.wants(name));
    // A figure that was not asked for may be what another is compared with.
    let shown: Vec<_> = measured
        .figures
        .iter()
        .filter(|figure| args.wants(&figure.name))
        .cloned()
        .collect();
    println!("{}", table::of(&shown, &measured.figures).trim_fmt());
    if !measured.entries.is_empty() {
        println!("\n{}", table::of_entries(&measured.entries).trim_fmt());
    }
    if let Some(path) = &args.json {
        write(path, &shown)?;
        ui::step("Wrote", path.display());
    }
    if !over.is_empty() {
        return Err(ui::failure(
            format_args!("more than it may be: {}", over.join("; ")),
            "look for what has grown since the table of docs/measurements.md, which also says what each figure is",
        ));
    }
    Ok(())
}

impl Args {
    fn wants(&self, name: &str) -> bool {
        self.names.is_empty() || self.names.iter().any(|part| name.contains(part.as_str()))
    }

    /// The runs that are needed.
    fn sources(&self) -> Result<Vec<Source>> {
        for part in &self.names {
            if !KINDS.iter().any(|kind| kind.name.contains(part.as_str())) {
                let names: Vec<_> = KINDS.iter().map(|kind| kind.name).collect();
                let next = format!("name a part of one of {}", names.join(", "));
                return Err(ui::failure(format_args!("no figure has `{part}` in its name"), next));
            }
        }
        let mut sources: Vec<Source> = Vec::new();
        let left_out = |source: Source| self.quick && source == Source::HostBoot;
        for kind in KINDS.iter().filter(|kind| self.wants(kind.name)) {
            if !sources.contains(&kind.source) && !left_out(kind.source) {
                sources.push(kind.source);
            }
        }
        if sources.is_empty() {
            return Err(ui::failure("nothing is left to measure", "leave out --quick"));
        }
        Ok(sources)
    }
}

#[derive(Default)]
struct Measured {
    figures: Vec<Figure>,
    /// Why the host's boot came to EL2.
    entries: Vec<Entries>,
}

impl Measured {
    fn take(&mut self, bench: &Bench<'_>, source: Source) -> Result<()> {
        let counting = |what: &str| ui::step("Counting", what);
        let figures = match source {
            Source::Calls => {
                counting("calls of a bare-metal host");
                bench.calls()?
            }
            Source::Fault(mechanism) => {
                counting(&format!("the delivery of a fault by {mechanism}"));
                bench.fault(mechanism)?
            }
            Source::Sizes => {
                counting("bytes");
                bench.sizes()?
            }
            Source::HostBoot => {
                counting("two boots of Linux, with and without Leasehold");
                let HostBoot { figures, entries } = bench.host_boot()?;
                self.entries = entries;
                figures
            }
        };
        self.figures.extend(figures);
        Ok(())
    }
}

/// Sets up and builds what is measured.
fn artifacts(linux: bool) -> Result<Artifacts> {
    let qemu = qemu::get()?;
    let toolchain = toolchain::get()?;
    ui::step(
        "Building",
        "Leasehold for qemu-virt, the tests' host and guest, and the plugin that counts",
    );
    let image = build::board(&toolchain, "qemu-virt", Profile::Release, &[])?;
    let board = Board {
        elf: image.elf,
        image: image.image,
    };
    let mut artifacts = Artifacts {
        qemu: qemu.program,
        boards: [("release".to_owned(), board)].into(),
        count_plugin: Some(build::count_plugin()?),
        ..Artifacts::default()
    };
    for program in ["testhost", "testguest"] {
        let image = build::guest(&toolchain, program)?.image;
        artifacts.guests.insert(program.to_owned(), image);
    }
    if linux {
        let host = hosts::linux_boot(&kernel::get(Version::V6_12)?)?;
        artifacts.linux.insert(BOOT_HOST.to_owned(), host);
    }
    Ok(artifacts)
}

fn write(path: &Path, figures: &[Figure]) -> Result<()> {
    let mut json = serde_json::to_vec_pretty(figures)?;
    json.push(b'\n');
    std::fs::write(path, json).with_context(|| format!("cannot write {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use leasehold_tests::bench::{Value, kind_of, mechanisms};

    fn sources(names: &[&str], quick: bool) -> Result<Vec<Source>> {
        let names = names.iter().map(|name| (*name).to_owned()).collect();
        Args {
            json: None,
            quick,
            names,
        }
        .sources()
    }

    #[test]
    fn only_what_is_asked_for_is_run() {
        assert_eq!(
            sources(&["lend", "image"], false).unwrap(),
            [Source::Calls, Source::Sizes]
        );
        assert_eq!(
            sources(&["fault.granule"], false).unwrap(),
            [Source::Fault("granule-abort")]
        );
        let all = sources(&[], false).unwrap();
        assert_eq!(all.len(), 3 + mechanisms().count());
        let quick = sources(&[], true).unwrap();
        assert!(all.contains(&Source::HostBoot) && !quick.contains(&Source::HostBoot));
        assert_eq!(quick.len() + 1, all.len());
    }

    #[test]
    fn what_nobody_can_measure_is_said_at_once() {
        let error = sources(&["lend", "nothing"], false).unwrap_err().to_string();
        assert!(
            error.contains("`nothing`") && error.contains("hypercall.null"),
            "{error}"
        );
        let error = sources(&["host_boot.bare"], true).unwrap_err().to_string();
        assert!(error.contains("--quick"), "{error}");
    }

    #[test]
    fn json_is_an_array_of_three_keys() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("figures.json");
        let figure = kind_of("hypercall.null").unwrap().figure(Value::Count(119));
        write(&path, &[figure]).unwrap();
        let json: serde_json::Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
        let expected = serde_json::json!([{"name": "hypercall.null", "unit": "instructions", "value": 119}]);
        assert_eq!(json, expected);
    }
}
