//! The streams on a terminal: each line with its stream before it.

use crate::workspace;
use anstyle::{AnsiColor, Style};
use leasehold_flash::stream::{Event, Formatter, LogLine};
use leasehold_tests::{Level, Line, Source, printable};

/// How lines are shown.
pub(super) struct View {
    formatter: Formatter,
}

impl View {
    /// Shows EL2's lines from this level on, with their place in the source if asked.
    pub(super) fn new(level: Level, locations: bool) -> View {
        // Colours are taken out again where standard output is no terminal.
        View {
            formatter: Formatter {
                level,
                locations,
                colours: true,
                root: Some(workspace::root()),
            },
        }
    }

    /// Shows a line.
    pub(super) fn show(&self, line: &Line) {
        let style = style(line.source);
        for text in self.text(line).iter().flat_map(|text| text.lines()) {
            anstream::println!("{style}{:<4} |{style:#} {text}", line.source);
        }
    }

    /// None when the line is filtered out. What a host or a guest wrote does nothing to the terminal.
    fn text(&self, line: &Line) -> Option<String> {
        match &line.log {
            None => Some(format!("{}\n", printable(&line.text))),
            Some(log) => {
                let log = LogLine {
                    message: printable(&log.message),
                    ..log.clone()
                };
                self.formatter.format(&Event::Log(log))
            }
        }
    }
}

fn style(source: Source) -> Style {
    match source {
        Source::Host => AnsiColor::Cyan.on_default(),
        Source::El2 => AnsiColor::Magenta.on_default(),
        Source::Guest(_) => AnsiColor::Green.on_default(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use leasehold_flash::stream::TraceFrame;
    use std::time::Duration;

    fn line(source: Source, text: &str, level: Option<Level>) -> Line {
        let log = level.map(|level| LogLine {
            level: Some(level),
            timestamp: Some("0.001000".into()),
            message: text.into(),
            location: None,
            trace: Vec::new(),
        });
        Line {
            at: Duration::ZERO,
            source,
            text: text.into(),
            log,
        }
    }

    #[test]
    fn a_guest_does_nothing_to_the_terminal() {
        let view = View::new(Level::Trace, false);
        let text = view.text(&line(Source::Guest(2), "\x1b[2J\x1b]0;x\x07", None)).unwrap();
        assert!(!text.contains('\x1b'), "{text:?}");
        let view = View {
            formatter: Formatter::default(),
        };
        let text = view
            .text(&line(Source::El2, "a VM is called \x1b[2J", Some(Level::Info)))
            .unwrap();
        assert_eq!(text, "0.001000 INFO  a VM is called \\u{1b}[2J");
    }

    #[test]
    fn a_trace_stands_below_its_line() {
        let mut dump = line(Source::El2, "trace: 0x40201000 []", Some(Level::Error));
        let log = dump.log.as_mut().unwrap();
        log.trace = vec![TraceFrame {
            address: 0x4020_1000,
            function: Some("core::lend".into()),
            place: Some((workspace::root().join("hyp-core/src/x.rs"), 7)),
            inlined: false,
        }];
        let text = View::new(Level::Trace, false).text(&dump).unwrap();
        let lines: Vec<_> = text.lines().collect();
        assert_eq!(lines.len(), 2);
        assert_eq!(lines[1], "  0x40201000 core::lend (hyp-core/src/x.rs:7)");
    }

    #[test]
    fn only_lines_of_el2_have_a_level() {
        let view = View::new(Level::Warn, false);
        assert_eq!(view.text(&line(Source::El2, "x", Some(Level::Info))), None);
        assert!(view.text(&line(Source::El2, "x", Some(Level::Warn))).is_some());
        assert!(view.text(&line(Source::Host, "", None)).is_some());
    }
}
