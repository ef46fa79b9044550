//! `cargo xtask matrix`: what real kernels do with each kind of access to lent memory, under each way to refuse it.

mod advice;
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
use plan::{ACCESSES, Access, CHAINS, Chain, Need};
use results::Cell;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
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
    /// Take over the cells that an earlier run has written with --json, and make only the others.
    #[arg(long, value_name = "FILE")]
    pub from: Option<PathBuf>,
    /// How many machines at a time.
    #[arg(long, value_name = "N", default_value_t = 2, value_parser = clap::value_parser!(u8).range(1..))]
    pub jobs: u8,
    /// Write tables, advice, picture and cells into docs/fault-delivery.md, .svg and .json.
    #[arg(long)]
    pub doc: bool,
}

fn chain_names() -> clap::builder::PossibleValuesParser {
    CHAINS.map(|chain| chain.name).into()
}

fn access_names() -> clap::builder::PossibleValuesParser {
    ACCESSES.map(|access| access.name).into()
}

/// A kernel and a chain, and the accesses to make under them.
struct Pair<'k> {
    kernel: &'k Kernel,
    release: String,
    chain: Chain,
    accesses: Vec<Access>,
}

/// What is booted.
struct Lab {
    qemu: PathBuf,
    board: Board,
    /// The initrds, by their kernels' releases.
    initrds: BTreeMap<String, PathBuf>,
}

/// Runs the command.
///
/// # Errors
/// When something cannot be set up or built, or a cell cannot be told.
pub fn run(args: &Args) -> Result<()> {
    let kernels = kernels(args)?;
    let chains = chosen(&CHAINS, &args.chain, |chain| chain.name);
    let accesses = chosen(&ACCESSES, &args.access, |access| access.name);
    let mut cells = match &args.from {
        Some(path) => results::from_json(&std::fs::read_to_string(path)?)
            .with_context(|| format!("{} is not what --json writes", path.display()))?,
        None => Vec::new(),
    };
    let pairs = missing(&cells, &kernels, &chains, &accesses);
    let start = Instant::now();
    if !pairs.is_empty() {
        // Two at a time would write the same files.
        let _lock = process::lock(&workspace::target("run/matrix.lock"))?;
        let lab = Lab::set_up(&pairs)?;
        cells = lab.fill(&pairs, cells, args)?;
    }
    results::sort(&mut cells);
    for kernel in results::unique(&cells, |cell| cell.kernel.as_str()) {
        println!("\n{}", results::terminal(&cells, kernel));
    }
    ui::step(
        "Finished",
        format_args!("{} cells in {} s", cells.len(), start.elapsed().as_secs()),
    );
    keep(&cells, args)?;
    if args.doc {
        doc::write(&cells, &command_line())?;
    }
    judge(&cells)
}

/// Writes the file of `--json`, if there is to be one.
fn keep(cells: &[Cell], args: &Args) -> Result<()> {
    let Some(path) = &args.json else { return Ok(()) };
    std::fs::write(path, results::json_text(cells)).with_context(|| format!("cannot write {}", path.display()))
}

/// The command, without the files that are this machine's.
fn command_line() -> String {
    let mut words = vec!["cargo xtask".to_owned()];
    let mut arguments = std::env::args().skip(1);
    while let Some(word) = arguments.next() {
        match word.as_str() {
            "--from" | "--json" => drop(arguments.next()),
            _ => words.push(word),
        }
    }
    words.join(" ")
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

fn kernels(args: &Args) -> Result<Vec<Kernel>> {
    let choices = if args.kernel.is_empty() {
        Version::ALL.map(KernelChoice::Debian).to_vec()
    } else {
        args.kernel.clone()
    };
    let kernel = |choice: &KernelChoice| match choice {
        KernelChoice::Debian(version) => kernel::get(*version),
        KernelChoice::Path(path) => Kernel::from_path(path, args.headers.as_deref()),
    };
    choices.iter().map(kernel).collect()
}

/// What is to be booted: each kernel and chain, with the accesses whose cells are not there.
fn missing<'k>(cells: &[Cell], kernels: &'k [Kernel], chains: &[Chain], accesses: &[Access]) -> Vec<Pair<'k>> {
    let mut pairs = Vec::new();
    for (kernel, chain) in kernels
        .iter()
        .flat_map(|kernel| chains.iter().map(move |chain| (kernel, *chain)))
    {
        let release = kernel.release.clone().unwrap_or_default();
        let is_there = |access: &Access| {
            let same = |cell: &Cell| (&cell.kernel, cell.chain, cell.access) == (&release, chain.name, access.name);
            cells.iter().any(same)
        };
        let accesses: Vec<Access> = accesses.iter().filter(|access| !is_there(access)).copied().collect();
        if !accesses.is_empty() {
            pairs.push(Pair {
                kernel,
                release,
                chain,
                accesses,
            });
        }
    }
    pairs
}

/// The verdicts that stand. The kernel's warning about a fault is rate-limited (`WARN_RATELIMIT`: ten in five seconds): behind
/// one in the same boot, silence says nothing, and the access is made again in a boot of its own.
fn audible(judged: Vec<(Access, Verdict)>) -> Vec<(Access, Verdict)> {
    let mut warned = false;
    let mut stands = |verdict: &Verdict| {
        let muted = warned && verdict.outcome == Outcome::NoEffect;
        warned |= verdict.outcome == Outcome::Warning;
        !muted
    };
    judged.into_iter().filter(|(_, verdict)| stands(verdict)).collect()
}

impl Lab {
    /// Builds what these pairs need.
    fn set_up(pairs: &[Pair<'_>]) -> Result<Lab> {
        let qemu = qemu::get()?.program;
        let toolchain = toolchain::get()?;
        ui::step("Building", "Leasehold for qemu-virt");
        let board = build::board(&toolchain, "qemu-virt", Profile::Release, &[])?;
        let mut initrds = BTreeMap::new();
        for pair in pairs {
            if !initrds.contains_key(&pair.release) {
                initrds.insert(pair.release.clone(), hosts::linux_initramfs(&toolchain, pair.kernel)?);
            }
        }
        let (elf, image) = (board.elf, board.image);
        let board = Board { elf, image };
        Ok(Lab { qemu, board, initrds })
    }

    /// Fills all cells, some machines at a time. `cells` are those that there are; they are kept where a run that is broken
    /// off can be taken up again.
    fn fill(&self, pairs: &[Pair<'_>], cells: Vec<Cell>, args: &Args) -> Result<Vec<Cell>> {
        let (next, cells) = (AtomicUsize::new(0), Mutex::new(cells));
        let work = || -> Result<()> {
            while let Some(pair) = pairs.get(next.fetch_add(1, Ordering::Relaxed)) {
                let filled = self.fill_pair(pair)?;
                let mut cells = cells.lock().unwrap_or_else(PoisonError::into_inner);
                cells.extend(filled);
                keep(&cells, args)?;
            }
            Ok(())
        };
        let done: Result<()> = std::thread::scope(|scope| {
            let workers: Vec<_> = (0..args.jobs).map(|_| scope.spawn(work)).collect();
            let join = |worker: std::thread::ScopedJoinHandle<'_, Result<()>>| {
                worker.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
            };
            workers.into_iter().try_for_each(join)
        });
        done?;
        Ok(cells.into_inner().unwrap_or_else(PoisonError::into_inner))
    }

    /// Fills the cells of one kernel and chain.
    fn fill_pair(&self, pair: &Pair<'_>) -> Result<Vec<Cell>> {
        let (mut pending, skipped): (Vec<Access>, Vec<Access>) =
            pair.accesses.iter().partition(|access| access.skipped.is_none());
        let fill = |access: &Access, verdict: Verdict| Cell {
            kernel: pair.release.clone(),
            chain: pair.chain.name,
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
            let boot = boot::boot(&self.machine(pair, &pending))?;
            boots += 1;
            let unmapped = pair.chain.needs == Some(Need::Unmap);
            let judged = boot.cells.iter().filter_map(|(name, observed)| {
                let access = pending.iter().find(|access| access.name == name.as_str())?;
                Some((*access, observed.judge(name, unmapped)))
            });
            let mut judged = audible(judged.collect());
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
            format_args!("{} {} in {boots} boots", pair.release, pair.chain.name),
        );
        Ok(cells)
    }

    fn machine(&self, pair: &Pair<'_>, accesses: &[Access]) -> Machine {
        let needs = pair.chain.needs.into_iter().flat_map(|need| ["--needs", need.name()]);
        let names = accesses.iter().map(|access| access.name);
        let words: Vec<&str> = ["matrix"].into_iter().chain(needs).chain(names).collect();
        let bootargs = format!(
            "{LINUX_BOOTARGS} loglevel=5 printk.devkmsg=on {} leasectl={}",
            pair.chain.bootargs,
            words.join(",")
        );
        Machine::leasehold(
            &format!("matrix-{}-{}", pair.release, pair.chain.name),
            self.board.clone(),
        )
        .kernel(&pair.kernel.image)
        .initrd(&self.initrds[&pair.release])
        .bootargs(bootargs)
        .el2_arg(format!("leasehold.fault={}", pair.chain.fault))
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
        let good = results::tests::cell("shipped", "user-read", Outcome::SigBus, true);
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
    fn what_an_earlier_run_has_is_not_made_again() {
        let kernel = Kernel {
            release: Some("6.12".into()),
            image: "k".into(),
            headers: None,
            make_args: Vec::new(),
        };
        let shipped = chosen(&CHAINS, &["shipped".to_owned()], |chain| chain.name);
        let accesses = &ACCESSES[..2];
        let first = results::tests::cell("shipped", accesses[0].name, Outcome::SigBus, true);
        let kernels = [kernel];
        let pairs = missing(std::slice::from_ref(&first), &kernels, &shipped, accesses);
        assert_eq!((pairs.len(), pairs[0].accesses.as_slice()), (1, &accesses[1..]));
        assert!(missing(&[first], &kernels, &shipped, &accesses[..1]).is_empty());
    }

    #[test]
    fn silence_behind_a_warning_says_nothing() {
        use Outcome::{NoEffect, Oops, Warning};
        let of = |outcomes: &[Outcome]| {
            let verdict = |(access, outcome): (&Access, &Outcome)| {
                let verdict = Verdict {
                    outcome: *outcome,
                    ..Verdict::unknown("")
                };
                (*access, verdict)
            };
            let judged = ACCESSES.iter().zip(outcomes).map(verdict).collect();
            audible(judged)
                .into_iter()
                .map(|(access, _)| access.name)
                .collect::<Vec<_>>()
        };
        let [a, b, c, d, ..] = ACCESSES.map(|access| access.name);
        assert_eq!(of(&[NoEffect, Warning, Warning, Oops]), [a, b, c, d]);
        assert_eq!(of(&[Warning, NoEffect, Oops, NoEffect]), [a, c]);
    }

    #[test]
    fn nothing_named_is_everything() {
        assert_eq!(chosen(&CHAINS, &[], |chain| chain.name).len(), CHAINS.len());
        let one = chosen(&CHAINS, &["shipped".to_owned()], |chain| chain.name);
        assert_eq!(one.iter().map(|chain| chain.name).collect::<Vec<_>>(), ["shipped"]);
    }
}
