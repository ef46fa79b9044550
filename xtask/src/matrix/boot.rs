//! One boot: makes accesses until all are made, or the kernel is no longer what it was.

use super::cell::{Broke, Observed};
use leasehold_tests::{End, Line, Machine, Outcome, Source};
use std::time::{Duration, Instant};

/// How long a host may take to come to its first access.
const BOOT_LIMIT: Duration = Duration::from_secs(90);
/// How long it may take from one word of an access to the next: `leasectl matrix` waits 11 s at most.
const SILENCE_LIMIT: Duration = Duration::from_secs(16);
/// How long EL2's log is listened to, and QEMU given to end, after the last word.
const AFTERMATH: Duration = Duration::from_secs(3);

/// What a boot came to.
#[derive(Clone, Debug, Default)]
pub struct Boot {
    /// The accesses that were begun, in order, with all that is known of them.
    pub cells: Vec<(String, Observed)>,
    /// How the host ended, where no access was begun.
    pub end: String,
}

/// Boots a machine whose host runs `leasectl matrix`, and listens.
///
/// # Errors
/// When QEMU cannot be started.
pub fn boot(machine: &Machine) -> Result<Boot, leasehold_tests::Error> {
    let mut run = machine.start()?;
    let mut until = Instant::now() + BOOT_LIMIT;
    let mut silent = false;
    let mut over = false;
    while !run.is_over() && !over {
        let Some(line) = run.next_line(until.saturating_duration_since(Instant::now())) else {
            silent = Instant::now() >= until && !run.is_over();
            break;
        };
        match word(&line) {
            Some(["end", "dirty"]) => over = true,
            Some(_) => until = Instant::now() + SILENCE_LIMIT,
            None if is_last(&line) => break,
            None => {}
        }
    }
    let outcome = if over || silent {
        run.kill()
    } else {
        run.finish(AFTERMATH)
    };
    Ok(Boot {
        cells: cells(&outcome, silent),
        end: outcome.end.to_string(),
    })
}

/// The two last words of `LH-CELL ACCESS KEY VALUE`; of a begin, the key and nothing.
fn word(line: &Line) -> Option<[&str; 2]> {
    if line.source != Source::Host {
        return None;
    }
    let (_, rest) = line.text.split_once("LH-CELL ")?;
    let (_, rest) = rest.split_once(' ')?;
    Some(match rest.split_once(' ') {
        Some((key, value)) => [key, value.trim()],
        None => [rest.trim(), ""],
    })
}

/// Whether nothing is to be expected behind this line, but QEMU's end.
fn is_last(line: &Line) -> bool {
    line.source == Source::Host && (line.text.contains("LH-MATRIX done") || line.text.contains("Kernel panic"))
}

/// Cuts the lines of a run into those of each access.
fn cells(outcome: &Outcome, silent: bool) -> Vec<(String, Observed)> {
    let mut cells: Vec<(String, Observed)> = Vec::new();
    let mut ended = true;
    for line in &outcome.lines {
        let word = word(line);
        if let Some(["begin", _]) = word {
            let access = line
                .text
                .split_once("LH-CELL ")
                .and_then(|(_, rest)| rest.split_once(' '));
            let observed = Observed {
                host: Vec::new(),
                el2: Vec::new(),
                broke: Broke::No,
            };
            cells.push((access.map_or("", |(name, _)| name).to_owned(), observed));
            ended = false;
        }
        if let (false, Some((_, observed))) = (ended, cells.last_mut()) {
            match line.source {
                Source::Host => observed.host.push(line.text.clone()),
                Source::El2 => observed.el2.push(line.text.clone()),
                Source::Guest(_) => {}
            }
        }
        ended = ended || matches!(word, Some(["end", _]));
    }
    if let (false, Some((_, last))) = (ended, cells.last_mut()) {
        last.broke = match &outcome.end {
            End::El2Stopped(line) => Broke::El2Stopped(line.clone()),
            _ if silent => Broke::Silent,
            _ => Broke::Exited,
        };
    }
    cells
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(lines: &[(Source, &str)], end: End) -> Outcome {
        let line = |(source, text): &(Source, &str)| Line {
            at: Duration::ZERO,
            source: *source,
            text: (*text).to_owned(),
            log: None,
        };
        Outcome {
            end,
            lines: lines.iter().map(line).collect(),
            dir: "/nowhere".into(),
        }
    }

    #[test]
    fn each_access_has_its_own_lines() {
        let lines = [
            (Source::Host, "[ 1.0] before"),
            (Source::Host, "[ 1.0] LH-CELL user-read begin"),
            (Source::El2, "refused: one"),
            (Source::Host, "[ 1.1] LH-CELL user-read seen signal SIGBUS 3"),
            (Source::Host, "[ 1.2] LH-CELL user-read end clean"),
            (Source::Host, "[ 1.2] between"),
            (Source::Host, "[ 1.3] LH-CELL kernel-read begin"),
            (Source::El2, "refused: two"),
        ];
        let cells = cells(&run(&lines, End::Killed), true);
        let names: Vec<_> = cells.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["user-read", "kernel-read"]);
        assert_eq!((cells[0].1.host.len(), cells[0].1.el2.len()), (3, 1));
        assert_eq!(cells[0].1.broke, Broke::No);
        assert_eq!(cells[1].1.el2, ["refused: two"]);
        assert_eq!(cells[1].1.broke, Broke::Silent);
    }

    #[test]
    fn a_stop_of_el2_is_the_last_accesss() {
        let stop = "EL2 stopped: CPU 1 halted by the fault policy";
        let lines = [(Source::Host, "LH-CELL kernel-read begin"), (Source::El2, stop)];
        let cells = cells(&run(&lines, End::El2Stopped(stop.into())), false);
        assert_eq!(cells[0].1.broke, Broke::El2Stopped(stop.into()));
    }
}
