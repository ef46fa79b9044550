//! `leasectl kill-test`: processes are killed at every point of a VM's life; all memory has to be there afterwards.

use super::features;
use crate::device::Device;
use crate::guest::{self, Layout, SPIN};
use crate::kmsg::Log;
use crate::memory::{Memory, PAGE};
use crate::report::Report;
use anyhow::{Context, Result, bail};
use std::io::{Read, Write};
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::Duration;

/// So many processes are killed at most for each that is to be killed within its phase.
const TRIES: u32 = 20;

/// A part of a VM's life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Phase {
    /// `VM_CREATE`.
    Create,
    /// `FFA_MEM_LEND` and `VM_MAP`.
    Lend,
    /// `VM_LOAD`.
    Load,
    /// `VM_RUN`.
    Run,
    /// `VM_DESTROY` and `FFA_MEM_RECLAIM`.
    Reclaim,
}

const PHASES: [Phase; 5] = [Phase::Create, Phase::Lend, Phase::Load, Phase::Run, Phase::Reclaim];

impl Phase {
    /// The byte by which a victim says that it is there.
    fn mark(self) -> u8 {
        match self {
            Phase::Create => b'c',
            Phase::Lend => b'l',
            Phase::Load => b'o',
            Phase::Run => b'r',
            Phase::Reclaim => b'd',
        }
    }

    fn name(self) -> String {
        format!("{self:?}").to_lowercase()
    }
}

/// Kills processes at random points.
#[derive(clap::Args, Debug)]
pub struct Args {
    /// How many processes to kill within each phase.
    #[arg(long, default_value_t = 10)]
    rounds: u32,
    /// What the random delays start from.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// The longest delay, in microseconds, from the first time in a phase to the kill.
    #[arg(long, default_value_t = 20_000)]
    delay: u64,
    #[command(flatten)]
    layout: Layout,
}

/// Is in a phase of a VM's life as often as can be.
#[derive(clap::Args, Debug)]
pub struct VictimArgs {
    /// Which.
    #[arg(value_enum)]
    phase: Phase,
    #[command(flatten)]
    layout: Layout,
}

/// Runs the command.
///
/// # Errors
/// When the test cannot be made. What it finds is in the report.
pub fn run(args: &Args) -> Result<bool> {
    let mut report = Report::default();
    let log = Log::from_now()?;
    let mut random = Random(args.seed);
    let before = pins()?;
    for phase in PHASES {
        report.step(&format!("kill.{}", phase.name()), kill_in(args, phase, &mut random));
    }
    report.step("kill.vms", all_vms());
    report.step(
        "kill.again",
        whole(&args.layout).map(|()| format!("{} KiB lent and back", args.layout.mem >> 10)),
    );
    report.step("kill.memory", memory_is_there(before));
    report.step("kill.log", no_trouble(&log));
    Ok(report.done())
}

/// Kills processes until enough of them were killed within the phase.
fn kill_in(args: &Args, phase: Phase, random: &mut Random) -> Result<String> {
    let (mut hits, mut kills) = (0, 0);
    while hits < args.rounds {
        if kills == args.rounds * TRIES {
            bail!("only {hits} of {kills} processes were killed within the phase");
        }
        let delay = Duration::from_micros(random.below(args.delay));
        kills += 1;
        if kill_one(&args.layout, phase, delay)? == phase.mark() {
            hits += 1;
        }
        whole(&args.layout).with_context(|| format!("after a kill {delay:?} behind the first time in the phase"))?;
    }
    Ok(format!(
        "{hits} processes killed in it, {} elsewhere; whole after each",
        kills - hits
    ))
}

/// Kills one process, some time after it has first come to its phase. Returns where it was.
fn kill_one(layout: &Layout, phase: Phase, delay: Duration) -> Result<u8> {
    let mut child = spawn(layout, phase)?;
    let mut marks = child.stdout.take().context("the victim has no standard output")?;
    let killed = (|| {
        let mut at = next_mark(&mut marks)?;
        while at != phase.mark() {
            at = next_mark(&mut marks)?;
        }
        std::thread::sleep(delay);
        child.kill().context("cannot kill the victim")?;
        let status = child.wait().context("cannot wait for the victim")?;
        if status.signal() != Some(nix::libc::SIGKILL) {
            bail!("the victim ended with {status}");
        }
        let mut rest = Vec::new();
        marks.read_to_end(&mut rest).context("cannot read the victim's marks")?;
        Ok(rest.last().copied().unwrap_or(at))
    })();
    if killed.is_err() {
        end(&mut child);
    }
    killed
}

/// Gets rid of a victim after a failure.
fn end(child: &mut Child) {
    if let Err(error) = child.kill().and_then(|()| child.wait().map(drop)) {
        eprintln!("leasectl: cannot end the victim: {error}");
    }
}

fn spawn(layout: &Layout, phase: Phase) -> Result<Child> {
    let itself = std::env::current_exe().context("cannot find this program")?;
    Command::new(itself)
        .args(["victim", &phase.name()])
        .args(["--mem", &layout.mem.to_string(), "--ipa", &layout.ipa.to_string()])
        .stdout(Stdio::piped())
        .spawn()
        .context("cannot start a victim")
}

fn next_mark(marks: &mut ChildStdout) -> Result<u8> {
    let mut byte = [0];
    marks.read_exact(&mut byte).context("the victim has ended by itself")?;
    Ok(byte[0])
}

/// What a victim does, until it is killed.
///
/// # Errors
/// When a call is refused.
pub fn victim(args: &VictimArgs) -> Result<bool> {
    let layout = &args.layout;
    let device = Device::open()?;
    let memory = Memory::new(layout.length(), 3 * PAGE)?;
    loop {
        mark(Phase::Create)?;
        device.create().context("create")?;
        if args.phase != Phase::Create {
            mark(Phase::Lend)?;
            device
                .lend(memory.address(), memory.length(), layout.ipa)
                .context("lend")?;
        }
        if args.phase == Phase::Load {
            mark(Phase::Load)?;
            let image = vec![0; layout.length() / 2];
            loop {
                device.load(&image, layout.ipa).context("load")?;
            }
        }
        if args.phase == Phase::Run {
            guest::start(&device, layout, &SPIN)?;
            mark(Phase::Run)?;
            device.run().context("run")?;
        }
        mark(Phase::Reclaim)?;
        device.destroy().context("destroy")?;
    }
}

fn mark(phase: Phase) -> Result<()> {
    let mut out = std::io::stdout();
    out.write_all(&[phase.mark()])
        .and_then(|()| out.flush())
        .context("cannot tell the phase")
}

/// A new VM can be made and lent memory, and all of it comes back, zeroed.
fn whole(layout: &Layout) -> Result<()> {
    let device = Device::open()?;
    let memory = Memory::new(layout.length(), 3 * PAGE)?;
    memory.fill(0, memory.length(), !0);
    device.create().context("no new VM can be made")?;
    device
        .lend(memory.address(), memory.length(), layout.ipa)
        .context("nothing can be lent to a new VM")?;
    guest::start(&device, layout, &SPIN)?;
    let destroyed = device.destroy().context("the new VM cannot be destroyed")?;
    if destroyed.pages_lost != 0 || destroyed.pages_back != (layout.length() / PAGE) as u64 {
        bail!(
            "{} pages are back and {} lost",
            destroyed.pages_back,
            destroyed.pages_lost
        );
    }
    match memory.find_other(|_| 0) {
        None => Ok(()),
        Some((offset, value)) => bail!("{value:#x} at offset {offset:#x}, which should be zero"),
    }
}

/// As many VMs can be made as the hypervisor says that there may be: none was left behind.
fn all_vms() -> Result<String> {
    let most = features::get(&Device::open()?)?.max_vms;
    let mut devices = Vec::new();
    for number in 0..most {
        let device = Device::open()?;
        device
            .create()
            .with_context(|| format!("{number} of {most} VMs could be made"))?;
        devices.push(device);
    }
    Ok(format!("{most} VMs at a time"))
}

/// As many pages are pinned as before, and every page of most of the free memory can be written: what is lent still is
/// either pinned, or refuses that.
fn memory_is_there(before: u64) -> Result<String> {
    let now = pins()?;
    if now != before {
        bail!("{before} pages were pinned before, {now} are now");
    }
    let free = number("/proc/meminfo", "MemFree:")?;
    let length = (free as usize * 1024 / 4 * 3).next_multiple_of(PAGE);
    let memory = Memory::new(length, 0)?;
    for page in (0..length).step_by(PAGE) {
        memory.write(page, page as u64);
    }
    Ok(format!(
        "{now} pages pinned, as before; {} of {free} KiB free were written",
        length >> 10
    ))
}

/// A read of it, by root, makes the kernel add what each CPU has counted for itself to the numbers of `/proc/vmstat`,
/// which is done when the read returns (Linux, mm/vmstat.c, `vmstat_refresh`, since 4.8). Without that they lag behind.
const FOLD: &str = "/proc/sys/vm/stat_refresh";

/// How many pages drivers have pinned.
fn pins() -> Result<u64> {
    std::fs::read(FOLD).with_context(|| format!("cannot read {FOLD}"))?;
    let count = |name| number("/proc/vmstat", name);
    Ok(count("nr_foll_pin_acquired ")?.wrapping_sub(count("nr_foll_pin_released ")?))
}

/// A number in a file of `/proc`, by what its line begins with.
fn number(path: &str, name: &str) -> Result<u64> {
    let text = std::fs::read_to_string(path).with_context(|| format!("cannot read {path}"))?;
    let line = text.lines().find_map(|line| line.strip_prefix(name));
    let line = line.with_context(|| format!("{path} has no {name}"))?;
    line.trim()
        .trim_end_matches(" kB")
        .parse()
        .with_context(|| format!("{path}: {name} is no number"))
}

fn no_trouble(log: &Log) -> Result<String> {
    match log.trouble()?.first() {
        None => Ok("no oops".into()),
        Some(line) => bail!("the kernel says: {line}"),
    }
}

/// Marsaglia's xorshift64*, for delays that are the same for the same seed.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.max(1);
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) % limit.max(1)
    }
}

#[cfg(test)]
mod tests {
    use super::Random;

    #[test]
    fn delays_repeat_and_differ() {
        let draw = |seed| {
            let mut random = Random(seed);
            (0..100).map(|_| random.below(3000)).collect::<Vec<_>>()
        };
        assert_eq!(draw(1), draw(1));
        assert_ne!(draw(1), draw(2));
        assert!(draw(0).iter().all(|&delay| delay < 3000));
        assert!(draw(1).windows(2).any(|pair| pair[0] != pair[1]));
    }
}
