//! What a program has seen, for whoever reads its console.

use crate::line;
use core::fmt;

/// Counts and prints steps: `LH-STEP <name>\t<ok|FAIL>\t<what was seen>`, and `LH-DONE <passed> <failed>` at the end.
/// Guests print `LH-GUEST step …` and `LH-GUEST done …` instead.
#[derive(Debug)]
pub struct Report {
    step: &'static str,
    done: &'static str,
    passed: u32,
    failed: u32,
}

impl Report {
    /// A host's.
    pub const fn of_host() -> Report {
        Report {
            step: "LH-STEP",
            done: "LH-DONE",
            passed: 0,
            failed: 0,
        }
    }

    /// A guest's.
    pub const fn of_guest() -> Report {
        Report {
            step: "LH-GUEST step",
            done: "LH-GUEST done",
            passed: 0,
            failed: 0,
        }
    }

    /// A step that is good when `good`.
    pub fn step(&mut self, name: &str, good: bool, seen: fmt::Arguments<'_>) -> bool {
        if good {
            self.passed += 1;
        } else {
            self.failed += 1;
        }
        line!("{} {name}\t{}\t{seen}", self.step, if good { "ok" } else { "FAIL" });
        good
    }

    /// A step that is good when what came is what was to come.
    pub fn same<T: PartialEq + fmt::Debug>(&mut self, name: &str, found: T, wanted: T) -> bool {
        if found == wanted {
            self.step(name, true, format_args!("{found:?}"))
        } else {
            self.step(name, false, format_args!("{found:?}, wanted {wanted:?}"))
        }
    }

    /// A step that is good when what came is one of what may come.
    pub fn among<T: PartialEq + fmt::Debug>(&mut self, name: &str, found: T, wanted: &[T]) -> bool {
        if wanted.contains(&found) {
            self.step(name, true, format_args!("{found:?}"))
        } else {
            self.step(name, false, format_args!("{found:?}, wanted one of {wanted:?}"))
        }
    }

    /// A step that gives a value, or the program's end of this scenario.
    pub fn value<T, E: fmt::Debug>(&mut self, name: &str, result: Result<T, E>) -> Option<T> {
        match result {
            Ok(value) => {
                self.step(name, true, format_args!(""));
                Some(value)
            }
            Err(error) => {
                self.step(name, false, format_args!("{error:?}"));
                None
            }
        }
    }

    /// The end.
    pub fn done(&self) {
        line!("{} {} {}", self.done, self.passed, self.failed);
    }
}
