//! What comes out of a log stream.

use super::trace::TraceFrame;
use std::{fmt, path::PathBuf, str::FromStr};
use thiserror::Error;

/// What a frame, or a run of bytes that is none, turned out to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// A line of EL2's own.
    Log(LogLine),
    /// Bytes that a guest wrote to its console.
    Console {
        /// The VM's id.
        vm: u8,
        /// The bytes, as the guest wrote them.
        bytes: Vec<u8>,
    },
    /// Bytes that could not be decoded. The stream goes on behind them.
    Lost {
        /// How many, the 00 that ends them left out.
        bytes: usize,
        /// Why.
        reason: LossReason,
    },
}

/// A line of EL2's own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogLine {
    /// Its level; none for `println!`.
    pub level: Option<Level>,
    /// When, in the target's own format, where the target stamps its frames.
    pub timestamp: Option<String>,
    /// The text, which may have line breaks in it.
    pub message: String,
    /// Where in the source it was written, where the ELF file has debug information.
    pub location: Option<Location>,
    /// What stands behind the addresses of a line that begins with [`TRACE_PREFIX`](super::TRACE_PREFIX).
    pub trace: Vec<TraceFrame>,
}

/// A place in the source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Location {
    /// The module path, as in `leasehold_hyp_core::boot`.
    pub module: String,
    /// The file, as the compiler was told it.
    pub file: PathBuf,
    /// The line, from 1.
    pub line: u64,
}

/// Why bytes were skipped.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum LossReason {
    /// The bytes are not rzCOBS.
    #[error("not an rzCOBS frame")]
    Encoding,
    /// The frame names no string of this ELF file: another build's log, or a frame that lost its head.
    #[error("no log statement has the index {0:#06x}")]
    UnknownIndex(u16),
    /// The frame's arguments do not fit its format string.
    #[error("arguments do not fit the log statement {0:#06x}")]
    Arguments(u16),
    /// No 00 within [`MAX_FRAME`](super::MAX_FRAME) bytes.
    #[error("no end of frame within {} bytes", super::MAX_FRAME)]
    TooLong,
    /// The stream ended inside a frame.
    #[error("the stream ended inside a frame")]
    Truncated,
}

/// How much a line matters. The greater, the more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Level {
    /// Every step.
    Trace,
    /// What a developer of EL2 asks for.
    Debug,
    /// What happens once, or seldom.
    Info,
    /// Something was refused, or is odd.
    Warn,
    /// Something is broken.
    Error,
}

/// A word that is no level.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("`{0}` is no log level; there are trace, debug, info, warn and error")]
pub struct UnknownLevel(pub String);

impl Level {
    /// All of them, the least first.
    pub const ALL: [Level; 5] = [Level::Trace, Level::Debug, Level::Info, Level::Warn, Level::Error];

    /// Its name, in small letters.
    pub const fn name(self) -> &'static str {
        match self {
            Level::Trace => "trace",
            Level::Debug => "debug",
            Level::Info => "info",
            Level::Warn => "warn",
            Level::Error => "error",
        }
    }
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for Level {
    type Err = UnknownLevel;

    fn from_str(word: &str) -> Result<Level, UnknownLevel> {
        Level::ALL
            .into_iter()
            .find(|level| level.name() == word)
            .ok_or_else(|| UnknownLevel(word.to_owned()))
    }
}

impl From<defmt_parser::Level> for Level {
    fn from(level: defmt_parser::Level) -> Level {
        match level {
            defmt_parser::Level::Trace => Level::Trace,
            defmt_parser::Level::Debug => Level::Debug,
            defmt_parser::Level::Info => Level::Info,
            defmt_parser::Level::Warn => Level::Warn,
            defmt_parser::Level::Error => Level::Error,
        }
    }
}
