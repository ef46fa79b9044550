//! `leasectl matrix ACCESS…`: makes accesses to lent memory, one process for each, and writes into the kernel's log what
//! came of them, in order with what the kernel itself has to say. `cargo xtask matrix` reads it.

pub mod alive;
mod kcore;
mod lent;
pub mod peer;
mod program32;
mod seen;
mod system_call;
pub mod touch;

use super::faults::describe;
use crate::device::{Device, Fault};
use anyhow::{Context, Result};
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use seen::Seen;
use std::fs::{self, File, OpenOptions};
use std::io::{Read, Write};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

/// Where a core dump goes.
const CORE: &str = "/tmp/core";
/// How long an access may take that is in no loop: a build machine may be busy.
const PATIENCE: Duration = Duration::from_secs(8);
/// How long the kernel may take to show that it is well. It takes a tenth of a second on a machine that is not busy.
const ALIVE_PATIENCE: Duration = Duration::from_secs(10);
/// The same where a process could not be killed: one CPU of it is lost already, most of the time.
const LOST_PATIENCE: Duration = Duration::from_secs(2);
/// How long a process may take to end that is killed, on a build machine that is busy.
const KILL_PATIENCE: Duration = Duration::from_secs(3);
/// How long to look whether an access is made again and again.
const LOOP_TIME: Duration = Duration::from_millis(250);
/// How many touches in that time make a loop.
const LOOP_TOUCHES: u64 = 50;
/// How many such times in a row are enough: no access that comes to an end touches for so long.
const LOOP_TIMES: u32 = 3;
/// How often to ask for fault records that have not come yet: a device's come late.
const RECORD_TRIES: u32 = 20;
const PAUSE: Duration = Duration::from_millis(10);
/// How long a console may take to write a line that was logged before the machine stops.
const CONSOLE_PAUSE: Duration = Duration::from_millis(30);

/// Makes accesses to lent memory.
#[derive(clap::Args, Clone, Debug)]
pub struct Args {
    /// Without it every access is skipped.
    #[arg(long, value_enum)]
    needs: Option<Need>,
    /// The accesses, by the names that `cargo xtask matrix --help` has.
    #[arg(required = true)]
    accesses: Vec<String>,
}

/// What a module has to have found in the kernel, which its parameter then says.
#[derive(clap::ValueEnum, Clone, Copy, Debug, PartialEq, Eq)]
enum Need {
    /// Memory that is lent can be taken out of the kernel's map.
    Unmap,
    /// The kernel's answer to an External abort can be hooked.
    Handler,
    /// The kernel has an answer to what pKVM reflects.
    Pkvm,
}

impl Need {
    /// Where the parameter is, and why accesses are skipped where it says no: a reason of the list that xtask has.
    fn parameter(self) -> (&'static str, &'static str) {
        match self {
            Need::Unmap => ("leasehold/parameters/unmap", "fixed-kernel-map"),
            Need::Handler => ("leasehold_matrix/parameters/handler", "no-handler-hook"),
            Need::Pkvm => ("leasehold_matrix/parameters/pkvm", "no-pkvm-handler"),
        }
    }

    /// Why accesses are skipped, if they are.
    fn missing(self) -> Result<Option<&'static str>> {
        let (parameter, reason) = self.parameter();
        let path = Path::new("/sys/module").join(parameter);
        let text = fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
        Ok((text.trim() != "Y").then_some(reason))
    }
}

/// What is open all the time.
struct Matrix {
    log: File,
    device: Device,
}

/// What EL2 has recorded in some time.
#[derive(Default)]
struct Touches {
    count: u64,
    last: Option<Fault>,
    /// They did not end.
    endless: bool,
}

impl Touches {
    fn add(&mut self, later: Touches) {
        self.count += later.count;
        self.last = later.last.or(self.last);
    }
}

/// How the process that makes the access ended.
enum End {
    /// By itself, or by a signal that was not ours; with what it printed.
    Itself(ExitStatus, String),
    /// It had to be killed, and was.
    Killed,
    /// It cannot be killed.
    Immortal,
}

/// Runs the command.
///
/// # Errors
/// When the module or the driver is not there.
pub fn run(args: &Args) -> Result<bool> {
    alive::pin(0)?;
    fs::write("/proc/sys/kernel/core_pattern", CORE).context("cannot say where core dumps go")?;
    let log = OpenOptions::new().write(true).open("/dev/kmsg");
    let matrix = Matrix {
        log: log.context("cannot open the kernel's log")?,
        device: Device::open()?,
    };
    let missing = args.needs.map(Need::missing).transpose()?.flatten();
    for access in &args.accesses {
        match missing {
            Some(reason) => matrix.skip(access, reason)?,
            None if !matrix.cell(access)? => return Ok(false),
            None => {}
        }
    }
    matrix.say("LH-MATRIX done")?;
    Ok(true)
}

impl Matrix {
    /// Says that an access cannot be made.
    fn skip(&self, access: &str, reason: &'static str) -> Result<()> {
        self.say(&format!("LH-CELL {access} begin"))?;
        self.say(&format!("LH-CELL {access} seen {}", Seen::Skipped(reason)))?;
        self.say(&format!("LH-CELL {access} end clean"))
    }

    /// Makes one access. Returns whether the system is as good as before.
    fn cell(&self, access: &str) -> Result<bool> {
        self.touches()?;
        self.say(&format!("LH-CELL {access} begin"))?;
        std::thread::sleep(CONSOLE_PAUSE);
        let (end, touches) = self.watch_access(access, start(&["touch", access], Stdio::piped())?)?;
        let patience = match end {
            End::Immortal => LOST_PATIENCE,
            End::Itself(..) | End::Killed => ALIVE_PATIENCE,
        };
        let (seen, clean) = self.seen(access, end, touches.endless)?;
        self.say(&format!("LH-CELL {access} seen {seen}"))?;
        self.say(&format!("LH-CELL {access} touches {}", touches.count))?;
        if let Some(last) = touches.last {
            self.say(&format!("LH-CELL {access} culprit {}", describe(&last)))?;
        }
        let alive = watch(start(&["alive"], Stdio::null())?, patience)?;
        let well = matches!(alive, End::Itself(status, _) if status.success());
        self.say(&format!("LH-CELL {access} alive {}", if well { "yes" } else { "no" }))?;
        let clean = clean && well;
        self.say(&format!(
            "LH-CELL {access} end {}",
            if clean { "clean" } else { "dirty" }
        ))?;
        Ok(clean)
    }

    /// Waits for the process that makes an access, for less than [`PATIENCE`] where it is in a loop.
    fn watch_access(&self, access: &str, mut child: Child) -> Result<(End, Touches)> {
        let (begin, mut touches, mut busy) = (Instant::now(), Touches::default(), 0);
        let status = loop {
            let status = ended(&mut child, LOOP_TIME)?;
            let new = self.touches()?;
            let is_busy = new.count > LOOP_TOUCHES && access != touch::AGAIN;
            busy = if is_busy { busy + 1 } else { 0 };
            touches.add(new);
            if status.is_some() || busy == LOOP_TIMES || begin.elapsed() > PATIENCE {
                break status;
            }
        };
        touches.endless = busy == LOOP_TIMES;
        let end = match status {
            Some(status) => End::Itself(status, printed(&mut child)?),
            None => kill(&mut child)?,
        };
        if touches.count == 0 {
            touches = self.some_touches()?;
        }
        Ok((end, touches))
    }

    /// What the access came to, and whether its process is gone.
    fn seen(&self, access: &str, end: End, endless: bool) -> Result<(String, bool)> {
        Ok(match end {
            End::Itself(status, printed) => (printed_or(access, status, &printed)?, true),
            End::Killed if endless => (Seen::Stuck.to_string(), true),
            End::Killed => ("late".to_owned(), true),
            End::Immortal if self.is_looping()? => ("looping".to_owned(), false),
            End::Immortal => ("hanging".to_owned(), false),
        })
    }

    fn is_looping(&self) -> Result<bool> {
        self.touches()?;
        std::thread::sleep(LOOP_TIME);
        Ok(self.touches()?.count > LOOP_TOUCHES)
    }

    /// The touches since the last call; waits for the first a little.
    fn some_touches(&self) -> Result<Touches> {
        for _ in 0..RECORD_TRIES {
            let touches = self.touches()?;
            if touches.count > 0 {
                return Ok(touches);
            }
            std::thread::sleep(PAUSE);
        }
        Ok(Touches::default())
    }

    fn touches(&self) -> Result<Touches> {
        let mut records: Vec<Fault> = Vec::new();
        let batch = self
            .device
            .some_faults(&mut records)
            .context("cannot take fault records")?;
        Ok(Touches {
            count: batch.lost + records.len() as u64,
            last: records.last().copied(),
            endless: false,
        })
    }

    fn say(&self, line: &str) -> Result<()> {
        // Level 4, a warning: a console that is quiet shows it nevertheless.
        let written = (&self.log).write_all(format!("<4>{line}\n").as_bytes());
        written.context("cannot write into the kernel's log")
    }
}

/// What the process printed; where it did not come to that, how it ended.
fn printed_or(access: &str, status: ExitStatus, printed: &str) -> Result<String> {
    let dumped = fs::metadata(CORE).is_ok_and(|core| core.len() > 0);
    let _ = fs::remove_file(CORE);
    if access == "core-dump" && status.core_dumped() && dumped {
        return Ok(Seen::Done.to_string());
    }
    Ok(match (printed.lines().next(), status.signal()) {
        (Some(line), None) if status.success() => line.to_owned(),
        (_, Some(signal)) => Seen::Killed(Signal::try_from(signal)?).to_string(),
        _ => format!("broken {status}"),
    })
}

fn start(args: &[&str], output: Stdio) -> Result<Child> {
    let mut command = Command::new(std::env::current_exe()?);
    // In a group of its own: what it starts has to go with it.
    let child = command.args(args).stdout(output).process_group(0).spawn();
    child.context("cannot start another process")
}

/// Waits for a process, kills it when it takes too long, and leaves it behind when it does not die.
fn watch(mut child: Child, patience: Duration) -> Result<End> {
    match ended(&mut child, patience)? {
        Some(status) => Ok(End::Itself(status, printed(&mut child)?)),
        None => kill(&mut child),
    }
}

/// What a process that has ended has printed.
fn printed(child: &mut Child) -> Result<String> {
    let mut printed = String::new();
    if let Some(mut output) = child.stdout.take() {
        output.read_to_string(&mut printed)?;
    }
    Ok(printed)
}

/// Kills a process and all that it has started, as far as it can be killed.
fn kill(child: &mut Child) -> Result<End> {
    killpg(Pid::from_raw(child.id().cast_signed()), Signal::SIGKILL)?;
    Ok(match ended(child, KILL_PATIENCE)? {
        Some(_) => End::Killed,
        None => End::Immortal,
    })
}

fn ended(child: &mut Child, patience: Duration) -> Result<Option<ExitStatus>> {
    let start = Instant::now();
    loop {
        match child.try_wait()? {
            None if start.elapsed() < patience => std::thread::sleep(PAUSE),
            status => return Ok(status),
        }
    }
}
