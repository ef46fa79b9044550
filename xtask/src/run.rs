//! `cargo xtask run`: boots Leasehold under QEMU with a host that lends memory, and watches.

mod check;
mod fault;
pub(crate) mod hosts;
mod table;
mod view;

use crate::build::{self, Profile};
use crate::setup::kernel::{Kernel, Version};
use crate::setup::{kernel, qemu, toolchain};
use crate::{process, ui, workspace};
use anyhow::{Context, Result, bail};
use clap::ValueEnum;
use hosts::Host;
use leasehold_tests::scenarios::BARE_METAL_POLICY;
use leasehold_tests::{Board, End, Gic, Level, MIB, Machine, Outcome, Run};
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;
use view::View;

/// The port that a debugger connects to.
const GDB_PORT: u16 = 1234;
/// How long a run may take when the command line does not say, in seconds.
const TIMEOUT: u64 = 120;

/// Boots Leasehold under QEMU with a host that lends memory to a guest, touches it, survives, and takes it back clean.
///
/// Everything that it needs is set up and built. The host's console, EL2's log and the guests' consoles come as they are
/// written; each also goes into a file of its own in target/run/run: host.log, el2.log (el2.bin before it is decoded) and
/// vmN.log. The run ends by itself, with a table of what was seen.
#[derive(clap::Args, Debug)]
pub struct Args {
    /// The host: Debian's Linux with our driver, or a bare-metal program.
    #[arg(long, value_enum, default_value_t = HostKind::Linux)]
    pub host: HostKind,
    /// Linux: a version of Debian's, 6.1, 6.12 or 7.3, or an arm64 Image of your own. [default: 6.12]
    #[arg(long, value_name = "VERSION|PATH")]
    pub kernel: Option<KernelChoice>,
    /// Where to build our driver for an Image of your own: its build tree or headers.
    #[arg(long, value_name = "DIR")]
    pub headers: Option<PathBuf>,
    /// An initrd of your own, instead of the demo's. With --host demo: a guest's flat binary.
    #[arg(long, value_name = "PATH")]
    pub initrd: Option<PathBuf>,
    /// Words for the host's command line, put behind its own.
    #[arg(long, value_name = "STR", default_value = "")]
    pub append: String,
    /// How many CPUs, 8 at most.
    #[arg(long, value_name = "N", default_value_t = 4)]
    pub smp: u32,
    /// How much RAM: MiB, or with a suffix M or G.
    #[arg(long, value_name = "SIZE", default_value = "1G", value_parser = parse_size)]
    pub mem: u64,
    /// The CPU, as QEMU's -cpu takes it.
    #[arg(long, value_name = "MODEL", default_value = "max,pauth-impdef=on")]
    pub cpu: String,
    /// The interrupt controller: 2 for GICv2, 3 for GICv3.
    #[arg(long, value_name = "2|3", value_parser = clap::value_parser!(u8).range(2..=3), default_value_t = 3)]
    pub gic: u8,
    /// What answers the host's touch of lent memory: CLASS=LINK,LINK;… with `all=` for every class, or a policy's name.
    ///
    /// Each class of access has a chain of links; where a touch comes back, the next link answers. `!` behind the last
    /// link says that it may be tried for ever. Quote it, for a shell ends its command at `;`.
    /// Classes: el0, el1-user, el1-kernel, walk, fetch, cache. Links: external-abort, alignment-abort,
    /// translation-abort, tag-check-abort, granule-abort, abort(CODE), tagged-abort, new-syndrome, sdei, decoy,
    /// force-reclaim, unmapped, halt. Policies: default, bring-up, gunyah, pkvm. For instance
    /// --fault 'el0=external-abort;el1-kernel=alignment-abort,halt'. The board's own is the default, for the bare-metal
    /// host bring-up.
    #[arg(long, value_name = "SPEC")]
    pub fault: Option<String>,
    /// The least level that EL2 logs: trace, debug, info, warn or error. [default: info]
    #[arg(long, value_name = "LEVEL")]
    pub log: Option<Level>,
    /// Show FILE:LINE in the source behind each line of EL2's log. In el2.log it always stands.
    #[arg(long, alias = "lines", alias = "log-lines")]
    pub locations: bool,
    /// Wait for a debugger before the first instruction; the command that attaches one is printed.
    #[arg(long)]
    pub gdb: bool,
    /// End the run after so many seconds. [default: 120, with --gdb never]
    #[arg(long, value_name = "S")]
    pub timeout: Option<u64>,
}

/// What runs at EL1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum HostKind {
    /// Linux, with our driver.
    Linux,
    /// A bare-metal program that does the same: no download, and seconds.
    Demo,
}

/// The Linux to boot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KernelChoice {
    /// One of Debian's.
    Debian(Version),
    /// An image of the user's own.
    Path(PathBuf),
}

impl FromStr for KernelChoice {
    type Err = std::convert::Infallible;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let version = Version::from_str(text, false).ok();
        Ok(version.map_or_else(|| KernelChoice::Path(text.into()), KernelChoice::Debian))
    }
}

/// Runs the command.
///
/// # Errors
/// When something cannot be set up or built, the run does not come to a good end, or a step is not as it should be.
pub fn run(args: Args) -> Result<()> {
    check::values(&args)?;
    let qemu = qemu::get()?;
    check::cpu(&qemu.program, &args.cpu)?;
    let toolchain = toolchain::get()?;
    ui::step("Building", "Leasehold for qemu-virt");
    let board = build::board(&toolchain, "qemu-virt", Profile::Release, &[])?;
    let host = args.build_host(&toolchain)?;
    let machine = args
        .machine(
            Board {
                elf: board.elf.clone(),
                image: board.image,
            },
            &host,
        )
        .qemu(qemu.program);
    ui::step(
        "Running",
        format_args!("{}, its streams go to {}", host.name, machine.folder().display()),
    );
    // Two at a time would write the same files.
    let _lock = process::lock(&workspace::target("run/run.lock"))?;
    if args.gdb {
        ui::step("Waiting", format_args!("for {}", debugger(&board.elf)));
    }
    let view = View::new(args.log.unwrap_or(Level::Trace), args.locations);
    let outcome = watch(machine.start()?, &view);
    let steps = outcome.steps();
    if !steps.steps.is_empty() {
        println!("\n{}", table::of(&steps).trim_fmt());
    }
    ui::step("Finished", format_args!("the streams are in {}", streams(&outcome.dir)));
    judge(&outcome, &host)
}

impl Args {
    fn build_host(&self, toolchain: &toolchain::Toolchain) -> Result<Host> {
        match self.host {
            HostKind::Demo => hosts::demo(toolchain, self.initrd.as_deref(), self.policy()),
            HostKind::Linux => {
                let kernel = self.find_kernel()?;
                match &self.initrd {
                    Some(initrd) => Ok(hosts::linux_with(&kernel, initrd)),
                    None => hosts::linux(toolchain, &kernel, self.fault.as_deref()),
                }
            }
        }
    }

    fn find_kernel(&self) -> Result<Kernel> {
        match self.kernel.as_ref().unwrap_or(&KernelChoice::Debian(Version::V6_12)) {
            KernelChoice::Debian(version) if self.headers.is_none() => kernel::get(*version),
            KernelChoice::Debian(version) => Err(ui::failure(
                format_args!("--headers is for a kernel of your own; Debian's {version} brings its headers"),
                "leave it out, or name the kernel with --kernel PATH",
            )),
            KernelChoice::Path(path) => {
                let kernel = Kernel::from_path(path, self.headers.as_deref());
                kernel.with_context(|| {
                    let path = path.display();
                    format!("--kernel {path} is neither a version (6.1, 6.12, 7.3) nor an arm64 Image that can be used")
                })
            }
        }
    }

    /// What is to be EL2's policy, where it is not the board's: a bare-metal host has to see an abort of each access.
    fn policy(&self) -> Option<&str> {
        let hosts_own = match self.host {
            HostKind::Demo => Some(BARE_METAL_POLICY),
            HostKind::Linux => None,
        };
        self.fault.as_deref().or(hosts_own)
    }

    fn machine(&self, board: Board, host: &Host) -> Machine {
        let gic = if self.gic == 2 { Gic::V2 } else { Gic::V3 };
        let bootargs = [host.bootargs.as_str(), self.append.as_str()].map(str::trim).join(" ");
        let limit = match (self.timeout, self.gdb) {
            (Some(seconds), _) => Some(seconds),
            (None, true) => None,
            (None, false) => Some(TIMEOUT),
        };
        let mut machine = Machine::leasehold("run", board)
            .kernel(&host.kernel)
            .bootargs(bootargs.trim())
            .smp(self.smp)
            .memory(self.mem)
            .cpu(&self.cpu)
            .gic(gic)
            .edu();
        if let Some(initrd) = &host.initrd {
            machine = machine.initrd(initrd);
        }
        if let Some(spec) = self.policy() {
            machine = machine.el2_arg(format!("leasehold.fault={spec}"));
        }
        if let Some(level) = self.log {
            machine = machine.el2_arg(format!("leasehold.log={level}"));
        }
        if self.gdb {
            machine = machine.gdb(GDB_PORT);
        }
        machine.limit(limit.map(Duration::from_secs))
    }
}

/// The command that attaches to a run with `--gdb`. The end of the run is no business of the debugger's.
fn debugger(elf: &Path) -> String {
    format!(
        "gdb-multiarch -ex 'target remote 127.0.0.1:{GDB_PORT}' '{}'",
        elf.display()
    )
}

/// The folder of a run, and the files of it that have something in them.
fn streams(folder: &Path) -> String {
    let files = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let written = files.filter(|file| file.metadata().is_ok_and(|file| file.len() > 0));
    let mut names: Vec<_> = written
        .map(|file| file.file_name().to_string_lossy().into_owned())
        .collect();
    names.sort();
    format!("{}: {}", folder.display(), names.join(", "))
}

/// Shows the lines as they come, until QEMU has ended.
fn watch(mut run: Run, view: &View) -> Outcome {
    while !run.is_over() {
        if let Some(line) = run.next_line(Duration::from_secs(1)) {
            view.show(&line);
        }
    }
    while let Some(line) = run.next_line(Duration::ZERO) {
        view.show(&line);
    }
    run.finish(Duration::ZERO)
}

/// Whether the run came to a good end, and every step was as it should be.
fn judge(outcome: &Outcome, host: &Host) -> Result<()> {
    if !outcome.end.is_success() {
        let next = match &outcome.end {
            End::TimedOut(_) => "\n(--timeout gives it longer)",
            _ => "",
        };
        bail!("{}{next}\n{}", outcome.end, outcome.report());
    }
    let steps = outcome.steps();
    if host.steps.is_empty() && steps.steps.is_empty() {
        return Ok(());
    }
    if let Err(error) = steps.check(host.steps) {
        bail!("{error}\n{}", outcome.report());
    }
    Ok(())
}

/// A size as QEMU's `-m` takes it: MiB, or with a suffix.
fn parse_size(text: &str) -> Result<u64, String> {
    let (digits, unit) = match text.strip_suffix(['G', 'g']) {
        Some(digits) => (digits, 1024 * MIB),
        None => (text.strip_suffix(['M', 'm']).unwrap_or(text), MIB),
    };
    let count: Option<u64> = digits.parse().ok();
    let size = count.and_then(|count| count.checked_mul(unit)).filter(|&size| size > 0);
    size.ok_or_else(|| format!("`{text}` is no size: 1G, 512M or 512"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Parser)]
    struct Cli {
        #[command(flatten)]
        args: Args,
    }

    pub(super) fn args(line: &str) -> Args {
        Cli::try_parse_from(["run"].into_iter().chain(line.split_whitespace()))
            .map(|cli| cli.args)
            .unwrap()
    }

    fn host() -> Host {
        let steps = &[];
        Host {
            name: "a host".into(),
            kernel: "k".into(),
            initrd: None,
            bootargs: "console=ttyAMA0".into(),
            steps,
        }
    }

    #[test]
    fn sizes_are_qemus() {
        assert_eq!(parse_size("512"), Ok(512 * MIB));
        assert_eq!(parse_size("512M"), Ok(512 * MIB));
        assert_eq!(parse_size("2G"), Ok(2048 * MIB));
        for bad in ["", "0", "-1", "1T", "G", "99999999999999999G"] {
            assert!(parse_size(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_kernel_is_a_version_or_a_file() {
        assert_eq!(args("--kernel 6.1").kernel, Some(KernelChoice::Debian(Version::V6_1)));
        assert_eq!(
            args("--kernel ./Image").kernel,
            Some(KernelChoice::Path("./Image".into()))
        );
    }

    #[test]
    fn headers_belong_to_a_kernel_of_ones_own() {
        let error = args("--kernel 6.12 --headers /x").find_kernel().unwrap_err();
        assert!(error.to_string().contains("--headers"), "{error}");
    }

    /// QEMU's arguments, each pair of option and value as one text.
    fn qemu_arguments(line: &str) -> String {
        let folder = tempfile::tempdir().unwrap();
        let image = folder.path().join("image");
        let mut header = vec![0; 64];
        header[56..60].copy_from_slice(b"ARM\x64");
        std::fs::write(&image, header).unwrap();
        let board = Board {
            elf: image.clone(),
            image: image.clone(),
        };
        let machine = args(line).machine(
            board,
            &Host {
                kernel: image,
                ..host()
            },
        );
        let socket = std::path::Path::new("/s");
        let arguments = machine.arguments(socket, socket, socket).unwrap();
        arguments
            .iter()
            .map(|word| word.to_string_lossy())
            .collect::<Vec<_>>()
            .join(" ")
    }

    fn outcome(end: End, host_says: &[&str]) -> Outcome {
        let line = |text: &&str| leasehold_tests::Line {
            at: Duration::ZERO,
            source: leasehold_tests::Source::Host,
            text: (*text).into(),
            log: None,
        };
        Outcome {
            end,
            lines: host_says.iter().map(line).collect(),
            dir: "/nowhere".into(),
        }
    }

    #[test]
    fn only_a_good_end_with_every_step_is_success() {
        let good = || End::Exited(std::process::ExitStatus::default());
        let done = ["LH-STEP lend\tok\t", "LH-DONE 1 0"];
        let demo = Host {
            steps: &["lend"],
            ..host()
        };
        assert!(judge(&outcome(good(), &done), &demo).is_ok());
        assert!(
            judge(&outcome(good(), &[]), &host()).is_ok(),
            "a host of one's own need not report"
        );
        for (end, says, part) in [
            (
                End::El2Stopped("EL2 stopped: no kernel".into()),
                &done[..],
                "EL2 stopped: no kernel",
            ),
            (End::TimedOut(Duration::from_secs(7)), &done, "--timeout"),
            (End::Killed, &done, "QEMU was stopped"),
            (good(), &["last words"], "host | last words"),
            (good(), &["LH-STEP lend\tFAIL\t", "LH-DONE 0 1"], "lend"),
        ] {
            let error = judge(&outcome(end, says), &demo).unwrap_err().to_string();
            assert!(error.contains(part), "{error}");
        }
    }

    #[test]
    fn the_command_for_the_debugger_names_port_and_symbols() {
        let command = debugger(Path::new("/x/el2.elf"));
        assert_eq!(command, "gdb-multiarch -ex 'target remote 127.0.0.1:1234' '/x/el2.elf'");
    }

    #[test]
    fn the_end_names_the_streams_that_have_something() {
        let folder = tempfile::tempdir().unwrap();
        for (name, bytes) in [("host.log", "x"), ("el2.log", "x"), ("qemu.log", "")] {
            std::fs::write(folder.path().join(name), bytes).unwrap();
        }
        let text = streams(folder.path());
        assert_eq!(text, format!("{}: el2.log, host.log", folder.path().display()));
    }

    #[test]
    fn options_reach_qemu() {
        let line = "--smp 8 --mem 512M --cpu cortex-a53 --gic 2 --fault el0=external-abort;all=halt --log debug --gdb";
        let arguments = qemu_arguments(line);
        for part in [
            "-smp 8",
            "-m 512M",
            "-cpu cortex-a53",
            "gic-version=2",
            "-append leasehold.fault=el0=external-abort;all=halt leasehold.log=debug",
            "-gdb tcp:127.0.0.1:1234 -S",
        ] {
            assert!(arguments.contains(part), "{part} in {arguments}");
        }
    }

    #[test]
    fn the_hosts_command_line_is_its_modules() {
        let arguments = qemu_arguments("--append a,b");
        let loader = "guest-loader,addr=0x44000000,kernel=";
        assert!(arguments.contains(loader), "{arguments}");
        assert!(arguments.contains("bootargs=console=ttyAMA0 a,,b"), "{arguments}");
        assert!(!arguments.contains("-append"), "{arguments}");
    }
}
