//! What can go wrong with a run.

use crate::layout::LayoutError;
use crate::report::{End, Report};
use crate::steps::StepsError;
use leasehold_flash::stream::StreamError;
use std::io;
use std::path::PathBuf;
use std::time::Duration;
use thiserror::Error;

/// Why a machine was not started, or did not do what was waited for.
#[derive(Debug, Error)]
pub enum Error {
    /// A file or folder could not be read or written.
    #[error("{path}: {error}")]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// A kernel is no arm64 `Image`.
    #[error("{0} is no arm64 Image: the magic number `ARM\\x64` is not at byte 56")]
    NotAnImage(PathBuf),
    /// EL2's image is larger than what is kept for it.
    #[error("{path} takes {memory} bytes of memory, more than the {limit} that are kept for it")]
    TooLarge {
        /// The image.
        path: PathBuf,
        /// What it takes, in bytes.
        memory: u64,
        /// What there is, in bytes.
        limit: u64,
    },
    /// The machine's memory does not hold it all.
    #[error(transparent)]
    Layout(#[from] LayoutError),
    /// EL2's ELF file gives no decoder for its log.
    #[error("{path}: {error}")]
    Log {
        /// The ELF file.
        path: PathBuf,
        /// Why.
        error: StreamError,
    },
    /// QEMU could not be started.
    #[error("QEMU ({program}) could not be started: {error}")]
    Start {
        /// The program.
        program: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// What was waited for did not come.
    #[error("{waited:?} went by without {wanted}\n{report}")]
    NotSeen {
        /// What was waited for.
        wanted: String,
        /// How long.
        waited: Duration,
        /// The last lines of each stream.
        report: Report,
    },
    /// The run ended before what was waited for came.
    #[error("{end} before {wanted}\n{report}")]
    Ended {
        /// How it ended.
        end: End,
        /// What was waited for.
        wanted: String,
        /// The last lines of each stream.
        report: Report,
    },
    /// The run did not end as it should.
    #[error("{end}\n{report}")]
    BadEnd {
        /// How it ended.
        end: End,
        /// The last lines of each stream.
        report: Report,
    },
    /// The host's steps are not what they should be.
    #[error("{error}\n{report}")]
    Steps {
        /// What is amiss.
        error: StepsError,
        /// The last lines of each stream.
        report: Report,
    },
    /// Nothing could be sent to the host's console.
    #[error("the host's console takes nothing: {0}")]
    Send(io::Error),
}

impl Error {
    pub(crate) fn file(path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Error {
        let path = path.into();
        |error| Error::File { path, error }
    }
}
