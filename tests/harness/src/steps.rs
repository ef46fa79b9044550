//! What a demo or a test host reports on its console.
//!
//! A line `LH-STEP <name>\t<ok|FAIL>\t<what was seen>` for each step, and `LH-DONE <passed> <failed>` at the end.

use std::fmt;
use thiserror::Error;

const STEP: &str = "LH-STEP ";
const DONE: &str = "LH-DONE ";

/// One step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// Its name.
    pub name: String,
    /// Whether what was seen is what should be.
    pub ok: bool,
    /// What was seen.
    pub seen: String,
}

/// The steps that a host reported.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Steps {
    /// In the order in which they came.
    pub steps: Vec<Step>,
    /// How many passed and how many failed, as the host counted them; none while it has not ended.
    pub done: Option<(usize, usize)>,
}

/// Why steps are not all that they should be.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum StepsError {
    /// The host never said that it was done.
    #[error("the host did not come to its end (no `LH-DONE` line) after {0} steps")]
    NotDone(usize),
    /// Steps failed.
    #[error("failed: {}", .0.join(", "))]
    Failed(Vec<String>),
    /// A step that should have been is missing.
    #[error("missing: {}", .0.join(", "))]
    Missing(Vec<String>),
    /// The host counted other numbers than there are lines.
    #[error("the host counted {counted:?} passed and failed steps, its lines say {lines:?}")]
    Miscounted {
        /// As the host counted.
        counted: (usize, usize),
        /// As its lines say.
        lines: (usize, usize),
    },
}

impl Steps {
    /// Reads them from the lines of a host's console.
    pub fn parse<'l>(lines: impl IntoIterator<Item = &'l str>) -> Steps {
        let mut steps = Steps::default();
        for line in lines {
            steps.take(line);
        }
        steps
    }

    fn take(&mut self, line: &str) {
        // A prompt or a kernel's message may stand before it on the line.
        if let Some((_, step)) = line.split_once(STEP) {
            self.steps.extend(Step::parse(step));
        } else if let Some((_, counts)) = line.split_once(DONE) {
            let mut counts = counts.split_whitespace().map(str::parse);
            if let (Some(Ok(passed)), Some(Ok(failed))) = (counts.next(), counts.next()) {
                self.done = Some((passed, failed));
            }
        }
    }

    /// Whether the host came to its end, all its steps passed, and those named in `expected` are among them.
    ///
    /// # Errors
    /// [`StepsError`] says what is amiss.
    pub fn check(&self, expected: &[&str]) -> Result<(), StepsError> {
        let failed: Vec<_> = self
            .steps
            .iter()
            .filter(|step| !step.ok)
            .map(|step| step.name.clone())
            .collect();
        if !failed.is_empty() {
            return Err(StepsError::Failed(failed));
        }
        let counted = self.done.ok_or(StepsError::NotDone(self.steps.len()))?;
        let lines = (self.steps.len(), 0);
        if counted != lines {
            return Err(StepsError::Miscounted { counted, lines });
        }
        let is_missing = |name: &&&str| !self.steps.iter().any(|step| step.name == **name);
        let missing: Vec<_> = expected
            .iter()
            .filter(is_missing)
            .map(|&name| name.to_owned())
            .collect();
        if missing.is_empty() {
            Ok(())
        } else {
            Err(StepsError::Missing(missing))
        }
    }
}

impl Step {
    fn parse(line: &str) -> Option<Step> {
        let mut fields = line.splitn(3, '\t');
        let name = fields.next()?.trim();
        let ok = match fields.next()?.trim() {
            "ok" => true,
            "FAIL" => false,
            _ => return None,
        };
        let seen = fields.next().unwrap_or_default().trim();
        (!name.is_empty()).then(|| Step {
            name: name.to_owned(),
            ok,
            seen: seen.to_owned(),
        })
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}: {} ({})",
            self.name,
            if self.ok { "ok" } else { "FAIL" },
            self.seen
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: [&str; 4] = [
        "LH-STEP kernel\tok\t6.12.0",
        "boot noise",
        "/ # LH-STEP lend\tok\t4096 pages, 17 ranges\tin 3 calls",
        "LH-DONE 2 0",
    ];

    #[test]
    fn steps_are_read_in_order() {
        let steps = Steps::parse(GOOD);
        assert_eq!(steps.done, Some((2, 0)));
        assert_eq!(
            steps.steps.iter().map(|step| step.name.as_str()).collect::<Vec<_>>(),
            ["kernel", "lend"]
        );
        assert_eq!(steps.steps[1].seen, "4096 pages, 17 ranges\tin 3 calls");
        assert_eq!(steps.check(&["lend", "kernel"]), Ok(()));
    }

    #[test]
    fn a_step_that_failed_or_is_not_there_is_named() {
        let failed = Steps::parse(["LH-STEP touch\tFAIL\tno signal", "LH-DONE 0 1"]);
        assert_eq!(failed.check(&[]), Err(StepsError::Failed(vec!["touch".into()])));
        assert_eq!(
            Steps::parse(GOOD).check(&["reclaim"]),
            Err(StepsError::Missing(vec!["reclaim".into()]))
        );
    }

    #[test]
    fn a_host_that_dies_or_loses_lines_does_not_pass() {
        assert_eq!(
            Steps::parse(GOOD[..3].iter().copied()).check(&[]),
            Err(StepsError::NotDone(2))
        );
        let lost = [GOOD[0], GOOD[3]];
        assert_eq!(
            Steps::parse(lost).check(&[]),
            Err(StepsError::Miscounted {
                counted: (2, 0),
                lines: (1, 0)
            })
        );
        assert_eq!(
            Steps::parse(["LH-DONE 0", "LH-STEP x\tmaybe\t", "LH-STEP \tok\t"]),
            Steps::default()
        );
    }
}
