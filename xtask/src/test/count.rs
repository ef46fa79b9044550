//! The output of `cargo test`, read line by line.

use crate::ui;
use anyhow::Result;
use std::fmt;

/// Counts tests, and says which lines a person wants to see.
#[derive(Debug, Default)]
pub(super) struct Counter {
    pub passed: usize,
    pub failed: usize,
    pub skipped: usize,
    /// Whose tests run: a crate, or one of its test programs.
    program: String,
    /// The program has begun, and has not said how it ended.
    running: bool,
    /// The program's failures are being told.
    telling: bool,
    /// How many failures there were before this call of cargo.
    before: usize,
}

/// What a line says of a test.
enum Verdict {
    Passed,
    Failed,
    Skipped,
}

impl Counter {
    /// Takes a line; gives what to show of it.
    pub fn take(&mut self, line: &str) -> Option<String> {
        if let Some(program) = program(line) {
            let died = self.end_program();
            self.program = program;
            return died;
        }
        if line.starts_with("running ") && line.ends_with(" tests") || line == "running 1 test" {
            self.running = true;
            return None;
        }
        if line.starts_with("test result: ") {
            (self.running, self.telling) = (false, false);
            return None;
        }
        if self.telling {
            return Some(line.to_owned());
        }
        if line == "failures:" {
            self.telling = self.running;
            return None;
        }
        match test(line) {
            Some((name, verdict)) => {
                self.count(&verdict);
                let rest = &line[line.find(" ... ").unwrap_or(line.len())..];
                Some(format!("test {}::{name}{rest}", self.program))
            }
            None => (!line.is_empty() && !line.starts_with("all doctests ran in ")).then(|| line.to_owned()),
        }
    }

    /// Cargo has ended. Failures that no line told of are counted too.
    pub fn end(&mut self, success: bool) {
        self.end_program();
        if !success && self.failed == self.before {
            self.fail("cargo test");
        }
        self.before = self.failed;
    }

    /// Counts a failure that is none of a test's own.
    pub fn fail(&mut self, what: &str) {
        self.failed += 1;
        println!("test {what} ... FAILED");
    }

    /// Counts a test that is none of cargo's, and says how it went.
    pub fn judge(&mut self, what: &str, result: Result<()>) {
        match result {
            Ok(()) => {
                self.passed += 1;
                println!("test {what} ... ok");
            }
            Err(error) => {
                ui::error(&error);
                self.fail(what);
            }
        }
        self.before = self.failed;
    }

    fn count(&mut self, verdict: &Verdict) {
        match verdict {
            Verdict::Passed => self.passed += 1,
            Verdict::Failed => self.failed += 1,
            Verdict::Skipped => self.skipped += 1,
        }
    }

    /// A program that has begun and not said how it ended has died: that is a failure.
    fn end_program(&mut self) -> Option<String> {
        self.telling = false;
        if !std::mem::take(&mut self.running) {
            return None;
        }
        self.failed += 1;
        Some(format!("test {} (the program died) ... FAILED", self.program))
    }
}

impl fmt::Display for Counter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} passed, {} failed, {} skipped",
            self.passed, self.failed, self.skipped
        )
    }
}

/// The program whose tests follow: `Running unittests src/lib.rs (target/debug/deps/NAME-HASH)`, or `Doc-tests NAME`.
fn program(line: &str) -> Option<String> {
    let line = line.trim_start();
    if let Some(name) = line.strip_prefix("Doc-tests ") {
        return Some(format!("{name} (docs)"));
    }
    let (_, path) = line.strip_prefix("Running ")?.rsplit_once('(')?;
    let file = path.trim_end_matches(')').rsplit('/').next()?;
    Some(file.rsplit_once('-').map_or(file, |(name, _)| name).to_owned())
}

/// The name and the verdict of `test NAME ... VERDICT`.
fn test(line: &str) -> Option<(&str, Verdict)> {
    let (name, verdict) = line.strip_prefix("test ")?.split_once(" ... ")?;
    let verdict = match verdict.split([',', ' ']).next()? {
        "ok" => Verdict::Passed,
        "FAILED" => Verdict::Failed,
        "ignored" => Verdict::Skipped,
        _ => return None,
    };
    Some((name.trim_end(), verdict))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn take(counter: &mut Counter, lines: &[&str]) -> Vec<String> {
        lines.iter().filter_map(|line| counter.take(line)).collect()
    }

    const GOOD: [&str; 12] = [
        "   Compiling leasehold-abi v0.1.0",
        "     Running unittests src/lib.rs (target/debug/deps/leasehold_abi-0123abcd)",
        "",
        "running 3 tests",
        "test ffa::tests::ids ... ok",
        "test slow ... ignored, on purpose",
        "test should - should panic ... ok",
        "",
        "test result: ok. 2 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.01s",
        "   Doc-tests leasehold_abi",
        "running 1 test",
        "test abi/src/lib.rs - f (line 6) - compile ... ok",
    ];
    const BAD: [&str; 9] = [
        "     Running tests/qemu.rs (target/debug/deps/qemu-77)",
        "running 2 tests",
        "test machine/gicv3          ... FAILED",
        "test linux/demo             ... ignored (boots Linux)",
        "",
        "failures:",
        "---- machine/gicv3 ----",
        "no end within 3 s",
        "test result: FAILED. 0 passed; 1 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.01s",
    ];

    #[test]
    fn tests_are_counted_and_named_by_their_crate() {
        let mut counter = Counter::default();
        let mut shown = take(&mut counter, &GOOD);
        shown.extend(take(&mut counter, &["test result: ok.", "all doctests ran in 0.3s"]));
        counter.end(true);
        assert_eq!(counter.to_string(), "3 passed, 0 failed, 1 skipped");
        assert_eq!(
            shown[1..],
            [
                "test leasehold_abi::ffa::tests::ids ... ok",
                "test leasehold_abi::slow ... ignored, on purpose",
                "test leasehold_abi::should - should panic ... ok",
                "test leasehold_abi (docs)::abi/src/lib.rs - f (line 6) - compile ... ok",
            ]
        );
    }

    #[test]
    fn failures_are_told() {
        let mut counter = Counter::default();
        let shown = take(&mut counter, &BAD);
        counter.end(false);
        assert_eq!(counter.to_string(), "0 passed, 1 failed, 1 skipped");
        assert_eq!(shown[0], "test qemu::machine/gicv3 ... FAILED");
        assert_eq!(shown[2..], ["---- machine/gicv3 ----", "no end within 3 s"]);
    }

    #[test]
    fn a_program_that_dies_is_a_failure() {
        let mut counter = Counter::default();
        take(&mut counter, &BAD[..2]);
        let shown = take(&mut counter, &GOOD[1..2]);
        assert_eq!(shown, ["test qemu (the program died) ... FAILED"]);
        take(&mut counter, &GOOD[2..4]);
        counter.end(false);
        assert_eq!(counter.to_string(), "0 passed, 2 failed, 0 skipped");
    }

    #[test]
    fn cargo_that_fails_without_a_test_is_a_failure_of_each_call() {
        let mut counter = Counter::default();
        assert_eq!(
            take(&mut counter, &["error: could not compile"]),
            ["error: could not compile"]
        );
        counter.end(false);
        counter.end(true);
        counter.end(false);
        assert_eq!(counter.failed, 2);
    }
}
