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

use crate::device::{Device, Fault};
use anyhow::{Context, Result};
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use seen::Seen;
use std::fs::{self, File, OpenOptions};
use std::io::{Read, Write};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

/// Where a core dump goes.
const CORE: &str = "/tmp/core";
/// How long an access may take. The slowest that ends by itself is one that loops at EL0, after two seconds.
const PATIENCE: Duration = Duration::from_secs(4);
/// How long the kernel may take to show that it is well.
const ALIVE_PATIENCE: Duration = Duration::from_secs(5);
/// How long a process may take to end that is killed.
const KILL_PATIENCE: Duration = Duration::from_secs(1);
/// How long to look whether an access is made again and again.
const LOOP_TIME: Duration = Duration::from_millis(200);
/// How many touches in that time make a loop.
const LOOP_TOUCHES: u64 = 50;
/// How often to ask for fault records that have not come yet: a device's come late.
const RECORD_TRIES: u32 = 20;
const PAUSE: Duration = Duration::from_millis(10);
/// How long a console may take to write a line that was logged before the machine stops.
const CONSOLE_PAUSE: Duration = Duration::from_millis(30);

/// Makes accesses to lent memory.
#[derive(clap::Args, Clone, Debug)]
pub struct Args {
    /// The accesses, by the names that `cargo xtask matrix --help` has.
    #[arg(required = true)]
    accesses: Vec<String>,
}

/// What is open all the time.
struct Matrix {
    log: File,
    device: Device,
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
    for access in &args.accesses {
        if !matrix.cell(access)? {
            return Ok(false);
        }
    }
    matrix.say("LH-MATRIX done")?;
    Ok(true)
}

impl Matrix {
    /// Makes one access. Returns whether the system is as good as before.
    fn cell(&self, access: &str) -> Result<bool> {
        self.touches()?;
        self.say(&format!("LH-CELL {access} begin"))?;
        std::thread::sleep(CONSOLE_PAUSE);
        let end = watch(start(&["touch", access], Stdio::piped())?, PATIENCE)?;
        let touches = self.some_touches()?;
        let (seen, clean) = self.seen(access, end)?;
        self.say(&format!("LH-CELL {access} seen {seen}"))?;
        self.say(&format!("LH-CELL {access} touches {touches}"))?;
        let alive = watch(start(&["alive"], Stdio::null())?, ALIVE_PATIENCE)?;
        let well = matches!(alive, End::Itself(status, _) if status.success());
        self.say(&format!("LH-CELL {access} alive {}", if well { "yes" } else { "no" }))?;
        let clean = clean && well;
        self.say(&format!(
            "LH-CELL {access} end {}",
            if clean { "clean" } else { "dirty" }
        ))?;
        Ok(clean)
    }

    /// What the access came to, and whether its process is gone.
    fn seen(&self, access: &str, end: End) -> Result<(String, bool)> {
        Ok(match end {
            End::Itself(status, printed) => (printed_or(access, status, &printed)?, true),
            End::Killed => (Seen::Stuck.to_string(), true),
            End::Immortal if self.is_looping()? => ("looping".to_owned(), false),
            End::Immortal => ("hanging".to_owned(), false),
        })
    }

    fn is_looping(&self) -> Result<bool> {
        self.touches()?;
        std::thread::sleep(LOOP_TIME);
        Ok(self.touches()? > LOOP_TOUCHES)
    }

    /// How many touches there have been since the last call; waits for the first a little.
    fn some_touches(&self) -> Result<u64> {
        for _ in 0..RECORD_TRIES {
            let touches = self.touches()?;
            if touches > 0 {
                return Ok(touches);
            }
            std::thread::sleep(PAUSE);
        }
        Ok(0)
    }

    fn touches(&self) -> Result<u64> {
        let mut records: Vec<Fault> = Vec::new();
        let batch = self
            .device
            .some_faults(&mut records)
            .context("cannot take fault records")?;
        Ok(batch.lost + records.len() as u64)
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
    if let Some(status) = ended(&mut child, patience)? {
        let mut printed = String::new();
        if let Some(mut output) = child.stdout.take() {
            output.read_to_string(&mut printed)?;
        }
        return Ok(End::Itself(status, printed));
    }
    killpg(Pid::from_raw(child.id().cast_signed()), Signal::SIGKILL)?;
    Ok(match ended(&mut child, KILL_PATIENCE)? {
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
