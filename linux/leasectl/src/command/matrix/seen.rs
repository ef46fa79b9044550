//! What an access came to, as the one who made it has seen it, and the words for it in the kernel's log.

use nix::errno::Errno;
use nix::sys::signal::Signal;
use std::fmt;

/// What was seen. `cargo xtask matrix` reads the words, and judges with all else that it knows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Seen {
    /// It went through.
    Done,
    /// It went through, and gave the bytes that a fix-up has to give.
    Right,
    /// It went through, and gave others.
    Wrong(u64),
    /// An error was returned.
    Error(Errno),
    /// A signal that a handler took, with its `si_code`.
    Signal(Signal, i32),
    /// The process was ended by a signal.
    Killed(Signal),
    /// It was tried again and again, but could be killed.
    Stuck,
    /// It cannot be made here; a reason of the list that xtask has.
    Skipped(&'static str),
}

impl From<Errno> for Seen {
    fn from(error: Errno) -> Seen {
        Seen::Error(error)
    }
}

impl fmt::Display for Seen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Seen::Done => f.write_str("done"),
            Seen::Right => f.write_str("right"),
            Seen::Wrong(value) => write!(f, "wrong {value:#x}"),
            Seen::Error(error) => write!(f, "error {error:?}"),
            Seen::Signal(signal, code) => write!(f, "signal {signal} {code}"),
            Seen::Killed(signal) => write!(f, "killed {signal}"),
            Seen::Stuck => f.write_str("stuck"),
            Seen::Skipped(reason) => write!(f, "skipped {reason}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_seen_has_its_words() {
        for (seen, words) in [
            (Seen::Wrong(0x12), "wrong 0x12"),
            (Seen::Error(Errno::EFAULT), "error EFAULT"),
            (Seen::Signal(Signal::SIGBUS, 3), "signal SIGBUS 3"),
            (Seen::Killed(Signal::SIGKILL), "killed SIGKILL"),
            (Seen::Skipped("no-aarch32"), "skipped no-aarch32"),
        ] {
            assert_eq!(seen.to_string(), words);
        }
    }
}
