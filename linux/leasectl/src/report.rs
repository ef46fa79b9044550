//! The lines that `cargo xtask run` reads: one a step, and how many there were.

use anyhow::Result;
use std::fmt::Write as _;

/// Counts and prints steps.
#[derive(Debug, Default)]
pub struct Report {
    passed: u32,
    failed: u32,
}

impl Report {
    /// Prints a step, and what was seen. Returns whether it was as it should be.
    pub fn step(&mut self, name: &str, seen: Result<String>) -> bool {
        let ok = seen.is_ok();
        *if ok { &mut self.passed } else { &mut self.failed } += 1;
        println!("{}", line(name, &seen));
        ok
    }

    /// Prints how many steps there were. Returns whether all were as they should be.
    pub fn done(&self) -> bool {
        println!("LH-DONE {} {}", self.passed, self.failed);
        self.failed == 0 && self.passed > 0
    }
}

fn line(name: &str, seen: &Result<String>) -> String {
    let mut line = format!("LH-STEP {name}\t");
    let text = match seen {
        Ok(text) => {
            line.push_str("ok\t");
            text.clone()
        }
        Err(error) => {
            line.push_str("FAIL\t");
            format!("{error:#}")
        }
    };
    for character in text.chars() {
        // A line is a line, and has three fields.
        let _ = if character.is_control() {
            line.write_char(' ')
        } else {
            line.write_char(character)
        };
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_have_three_fields() {
        assert_eq!(
            line("dma", &Ok("was\trefused\n".into())),
            "LH-STEP dma\tok\twas refused "
        );
        let error = anyhow::anyhow!("no such device").context("cannot open it");
        assert_eq!(
            line("dma", &Err(error)),
            "LH-STEP dma\tFAIL\tcannot open it: no such device"
        );
    }

    #[test]
    fn one_failure_fails_all() {
        let mut report = Report::default();
        assert!(!report.done());
        assert!(report.step("a", Ok(String::new())));
        assert!(report.done());
        assert!(!report.step("b", Err(anyhow::anyhow!("no"))));
        assert!(!report.done());
    }
}
