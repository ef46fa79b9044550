//! Other programs: started, waited for, and quoted when they fail.

use crate::ui;
use anyhow::{Context, Result, bail};
use std::fs::File;
use std::io::{Read, Seek};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Output, Stdio};
use std::time::Duration;
use wait_timeout::ChildExt;

/// How many lines of a failed program's output an error quotes.
const QUOTED_LINES: usize = 30;

/// The command as a person would type it, without its environment.
pub fn describe(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    let quoted = words.map(|word| {
        let word = word.to_string_lossy();
        let plain = |c: char| c.is_ascii_alphanumeric() || "-_=./:,+@%".contains(c);
        if !word.is_empty() && word.chars().all(plain) {
            word.into_owned()
        } else {
            format!("'{word}'")
        }
    });
    quoted.collect::<Vec<_>>().join(" ")
}

/// Runs a command and returns what it wrote to standard output.
///
/// # Errors
/// When it cannot be started or fails; the error quotes the end of what it wrote.
pub fn output(command: &mut Command) -> Result<String> {
    let output = command
        .stdin(Stdio::null())
        .output()
        .with_context(|| cannot_start(command))?;
    check(command, output)
}

/// Runs a command in silence. An error quotes the end of what it wrote.
///
/// # Errors
/// When it cannot be started or fails.
pub fn quiet(command: &mut Command) -> Result<()> {
    output(command).map(drop)
}

/// Runs a command that shows its own progress.
///
/// # Errors
/// When it cannot be started or fails.
pub fn run(command: &mut Command) -> Result<()> {
    let status = command
        .stdin(Stdio::null())
        .status()
        .with_context(|| cannot_start(command))?;
    if !status.success() {
        bail!("`{}` failed ({status})", describe(command));
    }
    Ok(())
}

/// Runs a command in silence, and kills it when it takes longer than `limit`.
///
/// # Errors
/// When it cannot be started, fails, or is killed.
pub fn bounded(command: &mut Command, limit: Duration) -> Result<()> {
    // A file takes the output: a pipe would fill up while nobody reads.
    let mut log = tempfile()?;
    let mut child = command
        .stdin(Stdio::null())
        .stdout(log.try_clone()?)
        .stderr(log.try_clone()?)
        .spawn()
        .with_context(|| cannot_start(command))?;
    let Some(status) = child.wait_timeout(limit)? else {
        child.kill()?;
        child.wait()?;
        bail!("`{}` had not ended after {} s", describe(command), limit.as_secs());
    };
    let mut stdout = Vec::new();
    log.rewind()?;
    log.read_to_end(&mut stdout)?;
    check(
        command,
        Output {
            status,
            stdout,
            stderr: Vec::new(),
        },
    )
    .map(drop)
}

/// The file that runs when `name` is called, by `PATH`.
pub fn find(name: &str) -> Option<PathBuf> {
    std::env::split_paths(&std::env::var_os("PATH")?)
        .map(|folder| folder.join(name))
        .find(|file| file.is_file())
}

/// A lock between runs of xtask; it is held until the value is dropped.
#[must_use]
#[derive(Debug)]
pub struct Lock {
    _file: File,
}

/// Takes the lock `PATH`, and says so when it has to wait.
///
/// # Errors
/// When the lock's file cannot be made.
pub fn lock(path: &Path) -> Result<Lock> {
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
    }
    let file = File::create(path).with_context(|| format!("cannot make {}", path.display()))?;
    if file.try_lock().is_err() {
        ui::step("Waiting", format_args!("for another run that holds {}", path.display()));
        file.lock().with_context(|| format!("cannot lock {}", path.display()))?;
    }
    Ok(Lock { _file: file })
}

fn tempfile() -> Result<File> {
    let path = std::env::temp_dir().join(format!("leasehold-xtask-{}", std::process::id()));
    let file = File::options().read(true).write(true).create_new(true).open(&path)?;
    std::fs::remove_file(&path)?;
    Ok(file)
}

fn cannot_start(command: &Command) -> String {
    format!("cannot start `{}`", describe(command))
}

fn check(command: &Command, output: Output) -> Result<String> {
    if !output.status.success() {
        bail!("{}", explain(command, output.status, &output));
    }
    String::from_utf8(output.stdout).with_context(|| format!("`{}` wrote something that is no text", describe(command)))
}

fn explain(command: &Command, status: ExitStatus, output: &Output) -> String {
    let written = [&output.stdout[..], &output.stderr[..]].concat();
    let written = String::from_utf8_lossy(&written);
    let lines: Vec<&str> = written.trim_end().lines().collect();
    let tail = lines[lines.len().saturating_sub(QUOTED_LINES)..].join("\n  | ");
    format!("`{}` failed ({status}):\n  | {tail}", describe(command))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_is_shown_as_typed() {
        let mut command = Command::new("make");
        command.args(["-C", "/usr/src", "CFLAGS=-O2 -g", ""]);
        assert_eq!(describe(&command), "make -C /usr/src 'CFLAGS=-O2 -g' ''");
    }

    #[test]
    fn a_failure_quotes_the_end_of_the_output() {
        let error = output(Command::new("sh").args(["-c", "seq 100; echo last >&2; exit 3"]))
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("exit status: 3") && error.ends_with("  | 100\n  | last"),
            "{error}"
        );
        assert!(!error.contains("| 50\n"), "{error}");
    }

    #[test]
    fn a_command_that_hangs_is_killed() {
        let error = bounded(Command::new("sleep").arg("60"), Duration::from_millis(50))
            .unwrap_err()
            .to_string();
        assert!(error.contains("had not ended"), "{error}");
    }
}
