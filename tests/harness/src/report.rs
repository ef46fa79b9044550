//! What a run left behind: lines, how it ended, and the last words of each stream.

use crate::machine::QEMU_OUTPUT;
use crate::steps::Steps;
use crate::streams::CPUS;
use crate::text::printable;
use leasehold_flash::stream::{Level, LogLine};
use std::fmt;
use std::path::PathBuf;
use std::process::ExitStatus;
use std::time::Duration;

/// How many lines of each stream an error shows.
const TAIL: usize = 20;

/// Where a line came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Source {
    /// The host's console.
    Host,
    /// EL2's log.
    El2,
    /// The console of the VM of this id.
    Guest(u8),
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Source::Host => f.pad("host"),
            Source::El2 => f.pad("el2"),
            Source::Guest(vm) => f.pad(&format!("vm{vm}")),
        }
    }
}

/// A line of one of the streams.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// When it had come whole, since QEMU was started.
    pub at: Duration,
    /// Where it came from.
    pub source: Source,
    /// Its text; of EL2's lines the message alone.
    pub text: String,
    /// All of a line of EL2's: level, timestamp, place in the source.
    pub log: Option<LogLine>,
}

impl Line {
    /// The level, of a line of EL2's.
    pub fn level(&self) -> Option<Level> {
        self.log.as_ref().and_then(|log| log.level)
    }
}

/// How a run ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum End {
    /// QEMU ended by itself, which a host's SYSTEM_OFF makes it do with status 0.
    Exited(ExitStatus),
    /// It was ended because its time was up.
    TimedOut(Duration),
    /// EL2 stopped, with this line at error level.
    El2Stopped(String),
    /// A stream carried more than a run may write.
    Flooded(Source),
    /// The harness could not go on.
    Broken(String),
    /// It was ended because nobody wanted more of it.
    Killed,
}

impl End {
    /// Whether QEMU ended by itself with status 0.
    pub fn is_success(&self) -> bool {
        matches!(self, End::Exited(status) if status.success())
    }
}

impl fmt::Display for End {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            End::Exited(status) => write!(f, "QEMU ended with {status}"),
            End::TimedOut(limit) => write!(f, "no end within {:.0} s, QEMU was stopped", limit.as_secs_f64()),
            End::El2Stopped(line) => write!(f, "{}", printable(line)),
            End::Flooded(source) => write!(f, "the stream `{source}` carried more than a run may write"),
            End::Broken(error) => write!(f, "the harness could not go on: {error}"),
            End::Killed => f.write_str("QEMU was stopped by the harness"),
        }
    }
}

/// What a run came to.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// How it ended.
    pub end: End,
    /// Every line of every stream, in order of arrival.
    pub lines: Vec<Line>,
    /// The folder with each stream in a file of its own.
    pub dir: PathBuf,
}

impl Outcome {
    /// The lines of one stream.
    pub fn of(&self, source: Source) -> impl Iterator<Item = &Line> {
        self.lines.iter().filter(move |line| line.source == source)
    }

    /// Whether a line of this stream has `text` in it.
    pub fn has(&self, source: Source, text: &str) -> bool {
        self.of(source).any(|line| line.text.contains(text))
    }

    /// The steps that the host reported.
    pub fn steps(&self) -> Steps {
        Steps::parse(self.of(Source::Host).map(|line| line.text.as_str()))
    }

    /// The last lines of each stream, for an error.
    pub fn report(&self) -> Report {
        Report::new(&self.lines, self.dir.clone())
    }
}

/// The last lines of each stream, and where the whole of them is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// Of each stream its name and its last lines; also of QEMU's own output, and, when a run hung, where each CPU was.
    pub tails: Vec<(String, Vec<String>)>,
    /// The folder with each stream in a file of its own.
    pub dir: PathBuf,
}

impl Report {
    pub(crate) fn new(lines: &[Line], dir: PathBuf) -> Report {
        let mut sources: Vec<_> = lines.iter().map(|line| line.source).collect();
        sources.extend([Source::Host, Source::El2]);
        sources.sort_unstable();
        sources.dedup();
        let tail = |source| {
            let texts = lines
                .iter()
                .filter(|line| line.source == source)
                .flat_map(|line| line.text.lines());
            (source.to_string(), last(texts))
        };
        let mut tails: Vec<_> = sources.into_iter().map(tail).collect();
        let file = |name| std::fs::read_to_string(dir.join(name)).unwrap_or_default();
        tails.push(("qemu".to_owned(), last(file(QEMU_OUTPUT).lines())));
        let cpus = file(CPUS);
        let at: Vec<_> = cpus
            .lines()
            .filter(|line| line.starts_with("CPU#") || line.contains("PC="))
            .collect();
        if !at.is_empty() {
            tails.push(("cpus".to_owned(), last(at.into_iter())));
        }
        Report { tails, dir }
    }
}

fn last<'t>(texts: impl Iterator<Item = &'t str>) -> Vec<String> {
    let all: Vec<_> = texts.collect();
    all[all.len().saturating_sub(TAIL)..]
        .iter()
        .map(|text| printable(text))
        .collect()
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (name, lines) in &self.tails {
            if lines.is_empty() {
                writeln!(f, "{name:<4} | (nothing)")?;
            }
            for line in lines {
                writeln!(f, "{name:<4} | {line}")?;
            }
        }
        write!(f, "all of it is in {}", self.dir.display())
    }
}
