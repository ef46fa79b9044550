//! Events as text.

use super::event::{Event, Level, LogLine};
use anstyle::{AnsiColor, Style};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

const DIM: Style = Style::new().dimmed();

/// How events become text.
#[derive(Clone, Debug)]
pub struct Formatter {
    /// Lines below this level are left out. Lines without a level never are.
    pub level: Level,
    /// Whether `file:line` stands behind each line.
    pub locations: bool,
    /// Whether to write colours, as ANSI escape sequences.
    pub colours: bool,
    /// The folder that file names are shortened against.
    pub root: Option<PathBuf>,
}

impl Default for Formatter {
    /// All of it, plain.
    fn default() -> Self {
        Formatter {
            level: Level::Trace,
            locations: false,
            colours: false,
            root: None,
        }
    }
}

impl Formatter {
    /// The text of an event, without a line break at its end.
    ///
    /// None for what is filtered out, and for a guest's console: its bytes are no line of EL2's.
    pub fn format(&self, event: &Event) -> Option<String> {
        match event {
            Event::Log(line) if line.level.is_none_or(|level| level >= self.level) => Some(self.line(line)),
            Event::Log(_) | Event::Console { .. } => None,
            Event::Lost { bytes, reason } => {
                let style = level_style(Level::Warn);
                Some(self.styled(style, &format!("[log: skipped {bytes} bytes: {reason}]")))
            }
        }
    }

    fn line(&self, line: &LogLine) -> String {
        let mut text = String::new();
        if let Some(timestamp) = &line.timestamp {
            text += &self.styled(DIM, timestamp);
            text.push(' ');
        }
        if let Some(level) = line.level {
            let name = level.name().to_uppercase();
            text += &self.styled(level_style(level), &format!("{name:<5}"));
            text.push(' ');
        }
        text += &line.message;
        if let Some(location) = line.location.as_ref().filter(|_| self.locations) {
            let file = self.short(&location.file).display();
            text += &self.styled(DIM, &format!(" ({file}:{})", location.line));
        }
        text += &self.trace(line);
        text
    }

    /// The functions on the stack that a line names by their addresses, each on a line of its own behind a line break.
    pub fn trace(&self, line: &LogLine) -> String {
        let frames = line.trace.iter();
        frames
            .map(|frame| format!("\n  {}", frame.text(|file| self.short(file))))
            .collect()
    }

    fn short<'p>(&self, file: &'p Path) -> &'p Path {
        let root = self.root.as_ref();
        root.and_then(|root| file.strip_prefix(root).ok()).unwrap_or(file)
    }

    fn styled(&self, style: Style, text: &str) -> String {
        let mut styled = String::with_capacity(text.len());
        // Writing to a string cannot fail.
        let _ = if self.colours {
            write!(styled, "{style}{text}{style:#}")
        } else {
            write!(styled, "{text}")
        };
        styled
    }
}

fn level_style(level: Level) -> Style {
    match level {
        Level::Trace => DIM,
        Level::Debug => AnsiColor::Blue.on_default(),
        Level::Info => AnsiColor::Green.on_default(),
        Level::Warn => AnsiColor::Yellow.on_default(),
        Level::Error => AnsiColor::Red.on_default().bold(),
    }
}
