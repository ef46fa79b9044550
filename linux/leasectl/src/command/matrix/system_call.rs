//! System calls that are given lent memory.

use super::lent::Lent;
use super::seen::Seen;
use anyhow::{Context, Result};
use nix::errno::Errno;
use nix::libc;
use nix::unistd::pipe;
use std::os::fd::AsRawFd;

/// How many bytes to copy.
const LENGTH: usize = 8;
/// How often to make a call that is made again and again.
const TIMES: u32 = 1000;
/// How long to wait on a futex, in nanoseconds.
const WAIT: libc::c_long = 50_000_000;

/// `read(2)` from a pipe into lent memory.
pub fn read(lent: &Lent) -> Result<Seen> {
    let (reader, writer) = pipe().context("cannot make a pipe")?;
    nix::unistd::write(&writer, &[0x77; LENGTH]).context("cannot write to a pipe")?;
    // SAFETY: the page is mapped, and no Rust object; the kernel writes to it, or refuses to.
    let result = unsafe { libc::read(reader.as_raw_fd(), lent.pointer().cast(), LENGTH) };
    Ok(seen(result as i64))
}

/// `read(2)` from a pipe into lent memory, [`TIMES`] times in a row: what came of each, if it was always the same, else the
/// first that was not.
pub fn read_again(lent: &Lent) -> Result<Seen> {
    let first = read(lent)?;
    for _ in 1..TIMES {
        let next = read(lent)?;
        if next != first {
            return Ok(next);
        }
    }
    Ok(first)
}

/// `write(2)` into a pipe, from lent memory.
pub fn write(lent: &Lent) -> Result<Seen> {
    let (_reader, writer) = pipe().context("cannot make a pipe")?;
    // SAFETY: the page is mapped; the kernel reads it, or refuses to.
    let result = unsafe { libc::write(writer.as_raw_fd(), lent.pointer().cast(), LENGTH) };
    Ok(seen(result as i64))
}

/// `FUTEX_WAIT`: the kernel reads the word, with page faults disabled.
pub fn futex_wait(lent: &Lent) -> Result<Seen> {
    let timeout = libc::timespec {
        tv_sec: 0,
        tv_nsec: WAIT,
    };
    // SAFETY: the futex word is mapped, and the time-out is valid. A word that is not 1 ends the call at once.
    let result = unsafe { libc::syscall(libc::SYS_futex, lent.pointer(), libc::FUTEX_WAIT, 1, &raw const timeout) };
    Ok(match seen(result) {
        // It has read the word.
        Seen::Error(Errno::EAGAIN | Errno::ETIMEDOUT) => Seen::Done,
        other => other,
    })
}

/// `FUTEX_WAKE_OP`: the kernel changes the second word by an atomic operation.
pub fn futex_wake_op(lent: &Lent) -> Result<Seen> {
    let own = 0_u32;
    let operation = libc::FUTEX_OP(libc::FUTEX_OP_ADD, 1, libc::FUTEX_OP_CMP_EQ, 0);
    // SAFETY: both words are mapped; of `own` the kernel needs the address alone.
    let result = unsafe {
        libc::syscall(
            libc::SYS_futex,
            &raw const own,
            libc::FUTEX_WAKE_OP,
            1,
            1_usize,
            lent.pointer(),
            operation,
        )
    };
    Ok(seen(result))
}

fn seen(result: i64) -> Seen {
    if result < 0 { Errno::last().into() } else { Seen::Done }
}
