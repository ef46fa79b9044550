//! `leasectl alive`: whether the kernel still runs a process (this one), allocates memory, and takes an interrupt on every
//! CPU.

use anyhow::{Context, Result, bail};
use nix::sched::{CpuSet, sched_setaffinity};
use nix::unistd::Pid;
use std::fs;
use std::time::{Duration, Instant};

/// How much memory to ask for: anonymous, and then as a file of the root file system's.
const MEMORY: usize = 8 << 20;
const FILE: usize = 1 << 20;
/// How long a CPU may take to have a timer's interrupt.
const PATIENCE: Duration = Duration::from_secs(5);
/// The timer, as `/proc/interrupts` calls it.
const TIMER: &str = "arch_timer";

/// Runs the command.
///
/// # Errors
/// When the kernel is not well, and how.
pub fn run() -> Result<bool> {
    memory()?;
    for cpu in 0..timer_counts()?.len() {
        interrupt(cpu)?;
    }
    Ok(true)
}

fn memory() -> Result<()> {
    let bytes = vec![0x5a_u8; MEMORY];
    let path = "/tmp/alive";
    fs::write(path, &bytes[..FILE]).context("cannot write a file")?;
    let same = fs::read(path).context("cannot read a file")? == bytes[..FILE];
    fs::remove_file(path).context("cannot remove a file")?;
    if !same {
        bail!("a file does not hold what was written");
    }
    Ok(())
}

/// Has CPU number `cpu` run this process until its timer has interrupted it.
fn interrupt(cpu: usize) -> Result<()> {
    pin(cpu)?;
    let before = count(cpu)?;
    let start = Instant::now();
    while count(cpu)? == before {
        if start.elapsed() > PATIENCE {
            bail!("CPU {cpu} takes no interrupts of its timer");
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    Ok(())
}

/// Keeps this process on one CPU.
///
/// # Errors
/// When there is no such CPU.
pub fn pin(cpu: usize) -> Result<()> {
    let mut set = CpuSet::new();
    set.set(cpu)?;
    sched_setaffinity(Pid::from_raw(0), &set).with_context(|| format!("cannot run on CPU {cpu}"))
}

/// Lets this process run on the first `cpus` CPUs.
///
/// # Errors
/// When there are not that many.
pub fn pin_to_all(cpus: usize) -> Result<()> {
    let mut set = CpuSet::new();
    for cpu in 0..cpus {
        set.set(cpu)?;
    }
    sched_setaffinity(Pid::from_raw(0), &set).context("cannot run on all CPUs")
}

fn count(cpu: usize) -> Result<u64> {
    timer_counts()?.get(cpu).copied().context("a CPU went away")
}

fn timer_counts() -> Result<Vec<u64>> {
    let text = fs::read_to_string("/proc/interrupts").context("cannot read /proc/interrupts")?;
    counts(&text).with_context(|| format!("/proc/interrupts has no {TIMER}"))
}

/// How often each CPU's timer has interrupted it.
fn counts(interrupts: &str) -> Option<Vec<u64>> {
    let line = interrupts.lines().find(|line| line.contains(TIMER))?;
    let words = line.split_whitespace().skip(1);
    Some(words.map_while(|word| word.parse().ok()).collect())
}

#[cfg(test)]
mod tests {
    use super::counts;

    #[test]
    fn the_timers_counts_are_read() {
        let text = "           CPU0       CPU1\n 10:  5  6  GICv3 30 Level  other\n 11:  1903  712  GICv3 27 Level  arch_timer\n";
        assert_eq!(counts(text), Some(vec![1903, 712]));
        assert_eq!(counts("           CPU0\n"), None);
    }
}
