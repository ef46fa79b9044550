//! `leasectl peer HOW PID ADDRESS`: reads a word of another process's memory, and prints what was seen.

use super::seen::Seen;
use anyhow::{Context, Result, bail};
use nix::errno::Errno;
use nix::sys::ptrace;
use nix::sys::uio::{RemoteIoVec, process_vm_readv};
use nix::sys::wait::waitpid;
use nix::unistd::Pid;
use std::fs::File;
use std::io::IoSliceMut;
use std::os::unix::fs::FileExt;

/// Reads another process's memory.
#[derive(clap::Args, Clone, Debug)]
pub struct Args {
    /// ptrace, process-vm-readv or proc-mem.
    how: String,
    /// Whose.
    pid: i32,
    /// Where.
    address: usize,
}

/// Runs the command.
///
/// # Errors
/// When the other process cannot be reached.
pub fn run(args: &Args) -> Result<bool> {
    let seen = match args.how.as_str() {
        "ptrace" => peek(args)?,
        "process-vm-readv" => copy(args),
        "proc-mem" => file(args)?,
        other => bail!("{other} is no way to read another process's memory"),
    };
    println!("{seen}");
    Ok(true)
}

fn peek(args: &Args) -> Result<Seen> {
    let pid = Pid::from_raw(args.pid);
    ptrace::attach(pid).context("cannot attach to the other process")?;
    waitpid(pid, None).context("the other process does not stop")?;
    let word = ptrace::read(pid, args.address as ptrace::AddressType);
    let seen = word.map_or_else(Seen::from, |_| Seen::Done);
    ptrace::detach(pid, None).context("cannot detach from the other process")?;
    Ok(seen)
}

fn copy(args: &Args) -> Seen {
    let mut word = [0; 8];
    let remote = RemoteIoVec {
        base: args.address,
        len: word.len(),
    };
    let copied = process_vm_readv(Pid::from_raw(args.pid), &mut [IoSliceMut::new(&mut word)], &[remote]);
    copied.map_or_else(Seen::from, |_| Seen::Done)
}

fn file(args: &Args) -> Result<Seen> {
    let path = format!("/proc/{}/mem", args.pid);
    let file = File::open(&path).with_context(|| format!("cannot open {path}"))?;
    let read = file.read_exact_at(&mut [0; 8], args.address as u64);
    Ok(match read {
        Ok(()) => Seen::Done,
        Err(error) => Errno::from_raw(error.raw_os_error().context("a short read")?).into(),
    })
}
