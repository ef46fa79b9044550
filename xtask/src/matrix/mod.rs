//! `cargo xtask matrix`: what real kernels do with each kind of access to lent memory, under each way to refuse it.

mod boot;
mod cell;
mod doc;
mod picture;
mod plan;
mod results;

use crate::build::{self, Profile};
use crate::run::{KernelChoice, hosts};
use crate::setup::kernel::{self, Kernel, Version};
use crate::setup::{qemu, toolchain};
use crate::{process, ui, workspace};
use anyhow::{Context, Result, bail};
use cell::{Outcome, Verdict};
use leasehold_tests::scenarios::LINUX_BOOTARGS;
use leasehold_tests::{Board, Machine};
use plan::{ACCESSES, Access, CHAINS, Chain};
use results::Cell;
use std::path::PathBuf;
use std::sync::Mutex;
use std::time::Instant;

/// Records what real kernels do with each kind of access to lent memory, under each chain of mechanisms.
///
/// Each kernel is booted with each chain, and again after whatever it did not survive, until every cell is filled. The
/// streams of the last boot are in target/run/matrix-KERNEL-CHAIN. A cell that cannot be told fails the command.
#[derive(clap::Args, Debug)]
pub struct Args {
    /// A version of Debian's, 6.1, 6.12 or 7.3, or an arm64 Image of your own; may be repeated. [default: all of Debian's]
    #[arg(long, value_name = "VERSION|PATH")]
    pub kernel: Vec<KernelChoice>,
    /// Where to build our modules for an Image of your own: its build tree or headers.
    #[arg(long, value_name = "DIR")]
    pub headers: Option<PathBuf>,
    /// Only these chains.
    #[arg(long, value_name = "NAME", num_args = 1.., value_parser = chain_names())]
    pub chain: Vec<String>,
    /// Only these accesses.
    #[arg(long, value_name = "NAME", num_args = 1.., value_parser = access_names())]
    pub access: Vec<String>,
    /// Write the cells to this file: an array of {"kernel", "chain", "access", "outcome", "alive"}.
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
    /// How many machines at a time.
    #[arg(long, value_name = "N", default_value_t = 2, value_parser = clap::value_parser!(u8).range(1..))]
    pub jobs: u8,
    /// Write the tables and the picture into docs/fault-delivery.md and .svg.
    #[arg(long)]
    pub doc: bool,
}

fn chain_names() -> clap::builder::PossibleValuesParser {
    CHAINS.map(|chain| chain.name).into()
}

fn access_names() -> clap::builder::PossibleValuesParser {
    ACCESSES.map(|access| access.name).into()
}

/// A kernel, ready to boot.
struct Host {
    release: String,
    kernel: Kernel,
    initrd: PathBuf,
}

/// What all boots have in common.
struct Lab {
    qemu: PathBuf,
    board: Board,
    accesses: Vec<Access>,
}

/// Runs the command.
///
/// # Errors
/// When something cannot be set up or built, or a cell cannot be told.
pub fn run(args: &Args) -> Result<()> {
    let qemu = qemu::get()?.program;
    let toolchain = toolchain::get()?;
    ui::step("Building", "Leasehold for qemu-virt");
    let board = build::board(&toolchain, "qemu-virt", Profile::Release, &[])?;
    let hosts = hosts(args, &toolchain)?;
    let lab = Lab {
        qemu,
        board: Board {
            elf: board.elf,
            image: board.image,
        },
        accesses: chosen(&ACCESSES, &args.access, |access| access.name),
    };
    let chains = chosen(&CHAINS, &args.chain, |chain| chain.name);
    // Two at a time would write the same files.
    let _lock = process::lock(&workspace::target("run/matrix.lock"))?;
    let start = Instant::now();
    let cells = fill(&lab, &hosts, &chains, args.jobs)?;
    for host in &hosts {
        println!("\n{}", results::terminal(&cells, &host.release));
    }
    ui::step(
        "Finished",
        format_args!("{} cells in {} s", cells.len(), start.elapsed().as_secs()),
    );
    if let Some(path) = &args.json {
        let text = serde_json::to_string_pretty(&results::json(&cells))?;
        std::fs::write(path, text + "\n").with_context(|| format!("cannot write {}", path.display()))?;
    }
    if args.doc {
        doc::write(&cells, &command_line())?;
    }
    judge(&cells)
}

fn command_line() -> String {
    let words: Vec<String> = std::env::args().skip(1).collect();
    format!("cargo xtask {}", words.join(" "))
}

/// Fails for cells that could not be told.
fn judge(cells: &[Cell]) -> Result<()> {
    let unknown: Vec<String> = cells
        .iter()
        .filter(|cell| cell.outcome == Outcome::Unknown)
        .map(|cell| format!("{} {} {}: {}", cell.kernel, cell.chain, cell.access, cell.why))
        .collect();
    if unknown.is_empty() {
        return Ok(());
    }
    bail!("{} cells cannot be told:\n  {}", unknown.len(), unknown.join("\n  "))
}

/// Those of all that were named; all where none was.
fn chosen<T: Copy>(all: &[T], names: &[String], name: impl Fn(&T) -> &'static str) -> Vec<T> {
    let wanted = |item: &&T| names.is_empty() || names.iter().any(|wanted| wanted == name(item));
    all.iter().filter(wanted).copied().collect()
}

fn hosts(args: &Args, toolchain: &toolchain::Toolchain) -> Result<Vec<Host>> {
    let choices = if args.kernel.is_empty() {
        Version::ALL.map(KernelChoice::Debian).to_vec()
    } else {
        args.kernel.clone()
    };
    let host = |choice: &KernelChoice| {
        let kernel = match choice {
            KernelChoice::Debian(version) => kernel::get(*version)?,
            KernelChoice::Path(path) => Kernel::from_path(path, args.headers.as_deref())?,
        };
        Ok(Host {
            initrd: hosts::linux_initramfs(toolchain, &kernel)?,
            release: kernel.release.clone().unwrap_or_default(),
            kernel,
        })
    };
    choices.iter().map(host).collect()
}

/// Fills all cells, some machines at a time.
fn fill(lab: &Lab, hosts: &[Host], chains: &[Chain], jobs: u8) -> Result<Vec<Cell>> {
    let pairs: Vec<(&Host, &Chain)> = hosts
        .iter()
        .flat_map(|host| chains.iter().map(move |chain| (host, chain)))
        .collect();
    let next = Mutex::new(0..pairs.len());
    let filled = Mutex::new(Vec::new());
    let work = || -> Result<()> {
        loop {
            let Some(n) = next.lock().unwrap_or_else(|lock| lock.into_inner()).next() else {
                return Ok(());
            };
            let (host, chain) = pairs[n];
            let cells = lab.fill_pair(host, chain)?;
            filled.lock().unwrap_or_else(|lock| lock.into_inner()).push((n, cells));
        }
    };
    std::thread::scope(|scope| {
        let workers: Vec<_> = (0..jobs).map(|_| scope.spawn(work)).collect();
        workers
            .into_iter()
            .try_for_each(|worker| worker.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
    })?;
    let mut filled = filled.into_inner().unwrap_or_else(|lock| lock.into_inner());
    filled.sort_by_key(|(n, _)| *n);
    Ok(filled.into_iter().flat_map(|(_, cells)| cells).collect())
}

impl Lab {
    /// Fills the cells of one kernel and chain.
    fn fill_pair(&self, host: &Host, chain: &Chain) -> Result<Vec<Cell>> {
        let (mut pending, skipped): (Vec<Access>, Vec<Access>) =
            self.accesses.iter().partition(|access| access.skipped.is_none());
        let fill = |access: &Access, verdict: Verdict| Cell {
            kernel: host.release.clone(),
            chain: chain.name,
            access: access.name,
            outcome: verdict.outcome,
            alive: verdict.alive,
            why: verdict.why,
        };
        let mut cells = Vec::new();
        for access in &skipped {
            cells.extend(access.skipped.map(|reason| fill(access, Verdict::skipped(reason))));
        }
        let mut boots = 0;
        while let Some(first) = pending.first().copied() {
            let boot = boot::boot(&self.machine(host, chain, &pending))?;
            boots += 1;
            let mut judged: Vec<(Access, Verdict)> = Vec::new();
            for (name, observed) in &boot.cells {
                let access = pending.iter().find(|access| access.name == name.as_str());
                judged.extend(access.map(|access| (*access, observed.judge(name))));
            }
            if judged.is_empty() {
                judged.push((first, Verdict::unknown(&boot.end)));
            }
            for (access, verdict) in judged {
                pending.retain(|pending| pending.name != access.name);
                cells.push(fill(&access, verdict));
            }
        }
        ui::step(
            "Filled",
            format_args!("{} {} in {boots} boots", host.release, chain.name),
        );
        Ok(cells)
    }

    fn machine(&self, host: &Host, chain: &Chain, accesses: &[Access]) -> Machine {
        let names: Vec<&str> = accesses.iter().map(|access| access.name).collect();
        let bootargs = format!(
            "{LINUX_BOOTARGS} loglevel=5 printk.devkmsg=on {} leasectl=matrix,{}",
            chain.bootargs,
            names.join(",")
        );
        Machine::leasehold(&format!("matrix-{}-{}", host.release, chain.name), self.board.clone())
            .kernel(&host.kernel.image)
            .initrd(&host.initrd)
            .bootargs(bootargs)
            .el2_arg(format!("leasehold.fault={}", chain.fault))
            .smp(2)
            .edu()
            .qemu(&self.qemu)
            .limit(None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_cell_fails_the_command() {
        let good = results::tests::cell("default", "user-read", Outcome::SigBus, true);
        assert!(judge(std::slice::from_ref(&good)).is_ok());
        let bad = Cell {
            outcome: Outcome::Unknown,
            why: "no word".into(),
            ..good.clone()
        };
        let error = judge(&[good, bad]).unwrap_err().to_string();
        assert!(
            error.contains("1 cells") && error.contains("user-read: no word"),
            "{error}"
        );
    }

    #[test]
    fn nothing_named_is_everything() {
        assert_eq!(chosen(&CHAINS, &[], |chain| chain.name).len(), CHAINS.len());
        let one = chosen(&CHAINS, &["default".to_owned()], |chain| chain.name);
        assert_eq!(one.iter().map(|chain| chain.name).collect::<Vec<_>>(), ["default"]);
    }
}
