//! What a person sees: progress lines on standard error, and errors that say what to do next.

use anstyle::{AnsiColor, Style};
use std::fmt::Display;

const VERB: Style = AnsiColor::Green.on_default().bold();
const WARNING: Style = AnsiColor::Yellow.on_default().bold();
const ERROR: Style = AnsiColor::Red.on_default().bold();

/// A step that begins, in cargo's manner: a verb, right-aligned, and what it is done to.
pub fn step(verb: &str, what: impl Display) {
    anstream::eprintln!("{VERB}{verb:>12}{VERB:#} {what}");
}

/// Something that is odd but does not stop the work.
pub fn warn(what: impl Display) {
    anstream::eprintln!("{WARNING}warning:{WARNING:#} {what}");
}

/// The end of a command that failed: what went wrong, then why, a line for each cause.
pub fn error(error: &anyhow::Error) {
    anstream::eprintln!("{ERROR}error:{ERROR:#} {error}");
    for cause in error.chain().skip(1) {
        anstream::eprintln!("  because: {cause}");
    }
}

/// An error that says what to do next.
pub fn failure(what: impl Display, next: impl Display) -> anyhow::Error {
    anyhow::anyhow!("{what}\n  what to do: {next}")
}
