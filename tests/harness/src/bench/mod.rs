//! Instructions, entries and bytes: what Leasehold costs, counted by a plugin inside QEMU.
//!
//! The same code prints them (`cargo xtask bench`) and asserts the limits (the scenarios `bench/…`).

mod count;
mod figures;
mod symbols;

pub use count::{BadLine, Counter, Counts, Entries, Window};
pub use figures::{
    CHAIN, Figure, KINDS, Kind, Limit, POLICY, Source, Value, Verdict, exceeded, figures_missing, judge, kind_of,
    mechanisms,
};
pub use symbols::Symbols;

use crate::artifacts::Artifacts;
use crate::error::Error;
use crate::layout::RAM;
use crate::machine::{Board, Machine};
use crate::report::{self, Outcome};
use crate::scenarios::{self, LIMIT};
use leasehold_memory_map::Address;
use std::path::PathBuf;

/// The Linux host that boots and switches off, among [`Artifacts::linux`].
pub const BOOT_HOST: &str = "6.12-boot";

/// What the host's command line says when its boot is counted. The kernel's tests of its own ciphers make up keys by
/// chance, and what they take differs by several percent from one address layout, or one tick, to the next.
const BOOT_ARGUMENT: &str = "cryptomgr.notests";

/// QEMU's arguments by which runs are alike: an instruction takes a nanosecond of the machine's time, and an idle CPU none
/// of the world's; random numbers (those in the device tree among them) and the clock on the wall begin the same.
const ALIKE: [&str; 6] = [
    "-icount",
    "shift=0,sleep=off",
    "-seed",
    "1",
    "-rtc",
    "base=2020-01-01,clock=vm",
];

/// The scenario of the tests' host that touches what is lent.
const FAULTS: &str = "bench-faults";
/// The file of a run's folder that gets the plugin's report.
const REPORT: &str = "count.txt";
/// The `compatible` of SDEI's node (Linux, Documentation/devicetree/bindings/arm/firmware/sdei.txt), and one as long that
/// no driver knows.
const SDEI: &[u8; 12] = b"arm,sdei-1.0";
const NOTHING: &[u8; 12] = b"none,nothing";
/// The file that gets the host's device tree.
const TREE: &str = "host.dtb";
/// The plugin's names for EL2's code, and for the part of it that zeroes pages and cleans caches.
const EL2: &str = "el2";
const SCRUB: &str = "scrub";
/// The plugin's names for windows: EL2 from its entry to the host's, and the host from there to its end.
const BOOT: &str = "boot";
const HOST: &str = "host";

/// Why figures could not be taken.
#[derive(Debug, thiserror::Error)]
pub enum BenchError {
    /// Something was not built.
    #[error("{0} was not built")]
    Missing(String),
    /// A machine did not start, or did not do what it should.
    #[error(transparent)]
    Run(#[from] Error),
    /// The plugin's report is none.
    #[error("{path}: {error}")]
    Report {
        /// The report.
        path: PathBuf,
        /// Why.
        error: BadLine,
    },
    /// A run did not show what it should.
    #[error("{what} is missing; all of the run is in {dir}")]
    Absent {
        /// What.
        what: String,
        /// The run's folder.
        dir: PathBuf,
    },
}

/// What is measured.
#[derive(Clone, Debug)]
pub struct Bench<'a> {
    artifacts: &'a Artifacts,
    name: String,
    board: Board,
    /// Counts what EL2 does, apart.
    counter: Counter,
    /// Counts without knowing of EL2.
    plain: Counter,
    symbols: Symbols,
}

/// A host's boot, and what it did at EL2.
#[derive(Clone, Debug)]
pub struct HostBoot {
    /// The figures.
    pub figures: Vec<Figure>,
    /// The entries into EL2, by cause.
    pub entries: Vec<Entries>,
}

/// What a run showed.
struct Seen {
    outcome: Outcome,
    counts: Counts,
}

impl<'a> Bench<'a> {
    /// Measures what was built, as released. The runs' folders begin with `name`.
    ///
    /// # Errors
    /// When something was not built, or is not what it should be.
    pub fn new(artifacts: &'a Artifacts, name: &str) -> Result<Bench<'a>, BenchError> {
        let missing = |what: &str| BenchError::Missing(what.to_owned());
        let board = artifacts.boards.get("release").cloned();
        let board = board.ok_or_else(|| missing("board release"))?;
        let plugin = artifacts.count_plugin.as_ref();
        let plain = Counter::new(plugin.ok_or_else(|| missing("the count plugin"))?);
        let symbols = Symbols::read(&board.elf)?;
        Ok(Bench {
            artifacts,
            name: name.to_owned(),
            counter: plain
                .clone()
                .range(EL2, symbols.code.clone())
                .range(SCRUB, symbols.scrub.clone())
                .entries(symbols.host_vectors),
            plain,
            symbols,
            board,
        })
    }

    /// What the tests' host needs of EL2 for its calls.
    ///
    /// # Errors
    /// When the run is not as it should be.
    pub fn calls(&self) -> Result<Vec<Figure>, BenchError> {
        let machine = self.testhost("calls", "bench")?;
        let to_host = Some(machine.host_entry()?.get());
        let counter = self.counter.clone().window(BOOT, self.symbols.entry, to_host);
        let seen = self.steps(machine, &counter)?;
        let mut figures = vec![count("boot.to_host", seen.window(BOOT)?.all)];
        for (name, times, window) in seen.marks()? {
            let (scrub, el2) = (window.range(SCRUB), window.range(EL2));
            figures.push(count(&name, (el2 - scrub).div_ceil(times)));
            // Memory is zeroed when it is mapped for the borrower, and when that has it no more.
            let owner = [("map.", "lend."), ("unmap.", "reclaim.")];
            if let Some((size, owner)) = owner
                .iter()
                .find_map(|(mark, owner)| Some((name.strip_prefix(mark)?, owner)))
            {
                figures.push(count(&format!("{owner}{size}_scrub"), scrub));
            }
        }
        Ok(figures)
    }

    /// What the delivery of a fault takes, by this mechanism or by the board's own policy ([`POLICY`]), to a touch by EL0
    /// and to one by EL1, and to the very same touch, made again.
    ///
    /// # Errors
    /// When the run is not as it should be.
    pub fn fault(&self, mechanism: &'static str) -> Result<Vec<Figure>, BenchError> {
        let machine = self.testhost(&format!("fault-{}", mechanism.replace(',', "+")), FAULTS)?;
        let machine = if mechanism == POLICY {
            machine
        } else {
            let how = match mechanism {
                "decoy" => " again served",
                "sdei" => " again served event",
                "force-reclaim" => " again served taken",
                _ => " again",
            };
            // The mark: also by those which a kernel may answer by the same access for ever.
            machine
                .bootargs(format!("scenario={FAULTS}{how}"))
                .el2_arg(format!("leasehold.fault=all={mechanism}!"))
        };
        let seen = self.steps(machine, &self.counter)?;
        // Faults on RAM are seen where there are some: the host's boot has none.
        if faults_on_ram(&seen.counts.entries) == 0 {
            return Err(absent(
                "an abort for a page of RAM in the plugin's report",
                &seen.outcome,
            ));
        }
        let figure = |(name, times, window): (String, u64, &Window)| {
            let name = match name.as_str() {
                "fault.el0" => format!("fault.{mechanism}"),
                "fault.el1" => format!("fault.{mechanism}_el1"),
                "fault.again" if mechanism == CHAIN => "fault.second_link".to_owned(),
                "fault.again" => format!("fault.{mechanism}.again"),
                _ => name,
            };
            count(&name, window.range(EL2).div_ceil(times))
        };
        let figures = seen.marks()?.into_iter().map(figure);
        // What a line of log takes is told once.
        Ok(figures
            .filter(|figure| kind_of(&figure.name).is_some_and(|kind| kind.source == Source::Fault(mechanism)))
            .collect())
    }

    /// What a touch of lent memory takes of EL2 at the start, and after so many others, by this mechanism: the least of some
    /// windows, each of a few touches, in which there may be a line of log.
    ///
    /// # Errors
    /// When the run is not as it should be.
    pub fn first_and_last(&self, mechanism: &str, faults: u64) -> Result<[u64; 2], BenchError> {
        let machine = self.testhost(&format!("many-{mechanism}"), &format!("many faults={faults}"))?;
        let machine = machine.el2_arg(format!("leasehold.fault=all={mechanism}!"));
        let seen = self.steps(machine.limit(None), &self.counter)?;
        let marks = seen.marks()?;
        let least = |name: &str| {
            let windows = marks.iter().filter(|mark| mark.0 == name);
            let least = windows.map(|(_, _, window)| window.range(EL2)).min();
            least.ok_or_else(|| absent(&format!("the windows {name}"), &seen.outcome))
        };
        Ok([least("first")?, least("last")?])
    }

    /// The image's size, and the memory that the host does not get because of Leasehold.
    ///
    /// # Errors
    /// When the run is not as it should be.
    pub fn sizes(&self) -> Result<Vec<Figure>, BenchError> {
        let machine = self.testhost("sizes", "given")?;
        let memory = machine.memory_size();
        let outcome = machine.start().and_then(|run| run.finish_steps(LIMIT, &[]))?;
        let given = after(&outcome, "LH-RAM ")
            .next()
            .and_then(|text| text.parse::<u64>().ok());
        let given = given.ok_or_else(|| absent("LH-RAM", &outcome))?;
        let image = std::fs::metadata(&self.board.image).map_err(Error::file(&self.board.image))?;
        Ok(vec![
            count("image.bytes", image.len()),
            count("el2.resident_bytes", memory.saturating_sub(given)),
        ])
    }

    /// A boot of Linux to user space and its power-off, from its first instruction on, with and without Leasehold.
    ///
    /// Without it the host gets the same device tree, so that it has the same devices.
    ///
    /// # Errors
    /// When a run is not as it should be.
    pub fn host_boot(&self) -> Result<HostBoot, BenchError> {
        let tree = self.host_tree()?;
        let bare = Machine::bare(&format!("{}-bare", self.name)).dtb(tree);
        let bare = self.boot(bare, &self.plain)?.window(HOST)?.all;
        let machine = Machine::leasehold(&format!("{}-leasehold", self.name), self.board.clone());
        let seen = self.boot(machine, &self.counter)?;
        let window = seen.window(HOST)?;
        let entries = seen.counts.entries.clone();
        let overhead = (window.all as f64 / bare as f64 - 1.0) * 100.0;
        let figures = vec![
            count("host_boot.bare", bare),
            count("host_boot.leasehold", window.all),
            figure("host_boot.overhead", Value::Share((overhead * 1e4).round() / 1e4)),
            count("host_boot.el2", window.range(EL2)),
            count("host_boot.stage2_faults", faults_on_ram(&entries)),
            count("host_boot.el2_entries", entries.iter().map(|it| it.count).sum()),
        ];
        Ok(HostBoot { figures, entries })
    }

    /// The device tree that a host gets, as a file, for a machine without what EL2 is to the host: its SDEI firmware, which
    /// a kernel would call in vain.
    fn host_tree(&self) -> Result<PathBuf, BenchError> {
        let machine = self.testhost("tree", "given")?;
        let outcome = machine.start().and_then(|run| run.finish_steps(LIMIT, &[]))?;
        let digits: String = after(&outcome, "LH-TREE ").collect();
        let byte = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok();
        let tree: Option<Vec<u8>> = digits.as_bytes().chunks(2).map(byte).collect();
        let mut tree = tree
            .filter(|tree| !tree.is_empty())
            .ok_or_else(|| absent("LH-TREE", &outcome))?;
        let mut places = (0..tree.len()).filter(|at| tree[*at..].starts_with(SDEI));
        let at = places
            .next()
            .ok_or_else(|| absent("SDEI in the host's tree", &outcome))?;
        tree[at..at + SDEI.len()].copy_from_slice(NOTHING);
        let path = outcome.dir.join(TREE);
        std::fs::write(&path, tree).map_err(Error::file(&path))?;
        Ok(path)
    }

    /// The tests' host with one of its scenarios, on one CPU.
    fn testhost(&self, case: &str, scenario: &str) -> Result<Machine, BenchError> {
        let guest = |name: &str| {
            let path = self.artifacts.guests.get(name).cloned();
            path.ok_or_else(|| BenchError::Missing(format!("guest {name}")))
        };
        let machine = Machine::leasehold(&format!("{}-{case}", self.name), self.board.clone())
            .kernel(guest("testhost")?)
            .initrd(guest("testguest")?)
            .bootargs(format!("scenario={scenario}"));
        Ok(self.alike(machine))
    }

    /// Runs it with Linux, which must have come to user space.
    fn boot(&self, machine: Machine, counter: &Counter) -> Result<Seen, BenchError> {
        let host = self.artifacts.linux.get(BOOT_HOST);
        let host = host.ok_or_else(|| BenchError::Missing(format!("Linux {BOOT_HOST}")))?;
        let machine = machine.kernel(&host.kernel).initrd(&host.initrd);
        let machine = self.alike(machine.bootargs(format!("{} {BOOT_ARGUMENT}", scenarios::LINUX_BOOTARGS)));
        let counter = counter.clone().window(HOST, machine.host_entry()?.get(), None);
        let seen = self.run(machine, &counter, |run| {
            let outcome = run.finish(LIMIT);
            match outcome.end.is_success() {
                true => Ok(outcome),
                false => Err(Error::BadEnd {
                    end: outcome.end.clone(),
                    report: outcome.report(),
                }),
            }
        })?;
        if after(&seen.outcome, "").any(|line| line == host.release) {
            Ok(seen)
        } else {
            Err(absent(
                &format!("`{}` on the host's console", host.release),
                &seen.outcome,
            ))
        }
    }

    /// Runs a host that reports steps, all of which must pass.
    fn steps(&self, machine: Machine, counter: &Counter) -> Result<Seen, BenchError> {
        self.run(machine, counter, |run| run.finish_steps(LIMIT, &["leasehold is there"]))
    }

    fn run(
        &self,
        machine: Machine,
        counter: &Counter,
        finish: impl FnOnce(crate::Run) -> Result<Outcome, Error>,
    ) -> Result<Seen, BenchError> {
        let path = machine.folder().join(REPORT);
        let outcome = finish(machine.args(counter.arguments(&path)).start()?)?;
        let report = std::fs::read_to_string(&path).map_err(Error::file(&path))?;
        let counts = Counts::parse(&report).map_err(|error| BenchError::Report { path, error })?;
        if counts.entries.iter().all(Entries::is_told) {
            Ok(Seen { outcome, counts })
        } else {
            Err(absent(
                "ESR_EL2 or HPFAR_EL2 among the registers that QEMU shows to the plugin",
                &outcome,
            ))
        }
    }

    fn alike(&self, machine: Machine) -> Machine {
        let machine = machine.args(ALIKE).qemu(&self.artifacts.qemu);
        machine.smp(1).limit(Some(LIMIT))
    }
}

impl Seen {
    fn window(&self, name: &str) -> Result<&Window, BenchError> {
        let window = self.counts.window(name);
        window.ok_or_else(|| absent(&format!("the window {name}"), &self.outcome))
    }

    /// The marked windows, with the names that the host gave them and how often it did the work in each.
    fn marks(&self) -> Result<Vec<(String, u64, &Window)>, BenchError> {
        let windows = self.counts.windows.iter().filter(|window| window.is_marked());
        let windows: Vec<_> = windows.collect();
        let marks: Vec<_> = after(&self.outcome, "LH-MARK ").collect();
        if marks.is_empty() || marks.len() != windows.len() {
            let what = format!(
                "one LH-MARK line for each of {} windows ({} are there)",
                windows.len(),
                marks.len()
            );
            return Err(absent(&what, &self.outcome));
        }
        let named = marks.iter().zip(windows).map(|(mark, window)| {
            let (name, times) = parse_mark(mark, window)?;
            Some((name, times, window))
        });
        named
            .collect::<Option<_>>()
            .ok_or_else(|| absent("an LH-MARK line that fits its window", &self.outcome))
    }
}

/// `<number>\t<name>\t<times>`, for the window of that number.
fn parse_mark(mark: &str, window: &Window) -> Option<(String, u64)> {
    let mut parts = mark.split('\t');
    let (number, name, times) = (parts.next()?, parts.next()?, parts.next()?.parse().ok()?);
    (number == window.name && times > 0).then(|| (name.to_owned(), times))
}

/// What follows `start` on the lines of the host's console that begin so.
fn after<'o>(outcome: &'o Outcome, start: &'o str) -> impl Iterator<Item = &'o str> {
    let lines = outcome.of(report::Source::Host);
    lines.filter_map(move |line| line.text.trim_end().strip_prefix(start))
}

/// How many of these are aborts for an address in RAM.
fn faults_on_ram(entries: &[Entries]) -> u64 {
    let ram = entries
        .iter()
        .filter(|it| it.page.is_some_and(|page| page >= RAM.get()));
    ram.map(|it| it.count).sum()
}

fn absent(what: &str, outcome: &Outcome) -> BenchError {
    BenchError::Absent {
        what: what.to_owned(),
        dir: outcome.dir.clone(),
    }
}

fn count(name: &str, count: u64) -> Figure {
    figure(name, Value::Count(count))
}

/// A figure of [`KINDS`], or one of that name that nobody knows, which is shown without a limit.
fn figure(name: &str, value: Value) -> Figure {
    let unit = kind_of(name).map_or("instructions", |kind| kind.unit);
    Figure {
        name: name.to_owned(),
        unit: unit.to_owned(),
        value,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::{End, Line};
    use std::time::Duration;

    fn seen(console: &[&str], report: &str) -> Seen {
        let line = |text: &&str| Line {
            at: Duration::ZERO,
            source: report::Source::Host,
            text: (*text).to_owned(),
            log: None,
        };
        Seen {
            outcome: Outcome {
                end: End::Killed,
                lines: console.iter().map(line).collect(),
                dir: "/run".into(),
            },
            counts: Counts::parse(report).unwrap(),
        }
    }

    const REPORT: &str = "window boot 0 9 el2=9\nwindow 1 0 20 el2=12\nwindow 0 0 30 el2=25\nwindow host 0 99 el2=37\n";

    #[test]
    fn a_mark_belongs_to_the_window_of_its_place() {
        let seen = seen(
            &[
                "LH-MARK 1\tlend.4k\t1",
                "LH-STEP x\tok\t",
                "LH-MARK 0\thypercall.null\t5",
            ],
            REPORT,
        );
        let marks = seen.marks().unwrap();
        let found: Vec<_> = marks
            .iter()
            .map(|(name, times, window)| (name.as_str(), *times, window.range(EL2)))
            .collect();
        assert_eq!(found, [("lend.4k", 1, 12), ("hypercall.null", 5, 25)]);
    }

    #[test]
    fn marks_that_do_not_fit_their_windows_are_an_error() {
        let fits = |console: &[&str]| seen(console, REPORT).marks().is_ok();
        assert!(fits(&["LH-MARK 1\ta\t1", "LH-MARK 0\tb\t1"]));
        assert!(!fits(&["LH-MARK 1\ta\t1"]), "one is lost");
        assert!(!fits(&["LH-MARK 0\ta\t1", "LH-MARK 1\tb\t1"]), "another order");
        assert!(
            !fits(&["LH-MARK 1\ta\t0", "LH-MARK 0\tb\t1"]),
            "work that was never done"
        );
        assert!(!fits(&["LH-MARK 1\ta", "LH-MARK 0\tb\t1"]), "not how often");
        assert!(seen(&[], "").marks().is_err(), "nothing at all");
    }
}
