//! The kernel's log.

use anyhow::{Context, Result};
use nix::errno::Errno;
use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, Read};
use std::os::unix::fs::OpenOptionsExt;

/// The longest record that `/dev/kmsg` gives (Linux, `PRINTK_MESSAGE_MAX`), with room to spare.
const RECORD: usize = 8192;

/// What a kernel says when something in it has gone wrong.
const BAD: [&str; 9] = [
    "Internal error",
    "Oops",
    "BUG:",
    "kernel BUG",
    "WARNING:",
    "Call trace",
    "Unable to handle kernel",
    "Bad page state",
    "rcu: INFO",
];

/// The log from some moment on.
#[derive(Debug)]
pub struct Log(File);

impl Log {
    /// Begins at this moment.
    ///
    /// # Errors
    /// When the log cannot be read.
    pub fn from_now() -> Result<Log> {
        let file = OpenOptions::new()
            .read(true)
            .custom_flags(nix::libc::O_NONBLOCK)
            .open("/dev/kmsg")
            .context("cannot open /dev/kmsg")?;
        let log = Log(file);
        while log.next()?.is_some() {}
        Ok(log)
    }

    /// Takes the next line, if there is one.
    ///
    /// # Errors
    /// When the log cannot be read.
    pub fn next(&self) -> Result<Option<String>> {
        let mut record = [0; RECORD];
        loop {
            match (&self.0).read(&mut record) {
                Ok(length) => {
                    let record = String::from_utf8_lossy(&record[..length]);
                    let text = record.split_once(';').map_or("", |(_, text)| text);
                    return Ok(Some(text.lines().next().unwrap_or("").to_owned()));
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(None),
                // Records were overwritten before they were read; the next read goes on behind them.
                Err(error) if error.raw_os_error() == Some(Errno::EPIPE as i32) => {}
                Err(error) => return Err(error).context("cannot read /dev/kmsg"),
            }
        }
    }

    /// Takes the lines since the last call, and returns those that tell of a fault in the kernel.
    ///
    /// # Errors
    /// When the log cannot be read.
    pub fn trouble(&self) -> Result<Vec<String>> {
        let mut trouble = Vec::new();
        while let Some(line) = self.next()? {
            if is_bad(&line) {
                trouble.push(line);
            }
        }
        Ok(trouble)
    }
}

fn is_bad(line: &str) -> bool {
    BAD.iter().any(|bad| line.contains(bad))
}

#[cfg(test)]
mod tests {
    use super::is_bad;

    #[test]
    fn an_oops_is_bad_and_a_refusal_is_not() {
        assert!(is_bad(
            "Internal error: synchronous external abort: 0000000096000010 [#1] SMP"
        ));
        assert!(is_bad(
            "Unable to handle kernel paging request at virtual address ffff0000"
        ));
        assert!(!is_bad("leasehold: VM 2: lend of page 0 of 16 refused: -1"));
    }
}
