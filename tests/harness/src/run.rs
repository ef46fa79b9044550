//! A machine that runs.

use crate::error::Error;
use crate::process::Process;
use crate::report::{End, Line, Outcome, Report, Source};
use crate::streams::{self, Channel, Message};
use crate::text::LineCutter;
use leasehold_flash::stream::{Event, Level, LogLine};
use std::collections::BTreeMap;
use std::io::{self, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

/// How EL2's last line begins when it stops.
pub const EL2_STOPPED: &str = "EL2 stopped:";

/// How long the streams may take to end after QEMU has.
const AFTERMATH: Duration = Duration::from_secs(5);
/// How long the host's console may refuse what is sent to it.
const SEND_LIMIT: Duration = Duration::from_secs(5);

/// A machine that runs. Dropping it ends QEMU.
pub struct Run {
    // The order matters when it is dropped: the threads must find nobody listening, then QEMU ends.
    messages: Receiver<Message>,
    process: Process,
    console: Option<UnixStream>,
    start: Instant,
    limit: Option<Duration>,
    dir: PathBuf,
    lines: Vec<Line>,
    /// How many of the lines [`Run::next_line`] has given.
    seen: usize,
    host: LineCutter,
    guests: BTreeMap<u8, LineCutter>,
    /// The channels that have not ended.
    open: Vec<Channel>,
    /// Set when the end is known, although lines may still come.
    end: Option<End>,
    over: bool,
}

/// What [`Machine`](crate::Machine) hands over.
pub(crate) struct Parts {
    pub(crate) messages: Receiver<Message>,
    pub(crate) process: Process,
    pub(crate) console: Option<UnixStream>,
    pub(crate) start: Instant,
    pub(crate) limit: Option<Duration>,
    pub(crate) dir: PathBuf,
    pub(crate) channels: Vec<Channel>,
}

impl Run {
    pub(crate) fn new(parts: Parts) -> Run {
        Run {
            messages: parts.messages,
            process: parts.process,
            console: parts.console,
            start: parts.start,
            limit: parts.limit,
            dir: parts.dir,
            lines: Vec::new(),
            seen: 0,
            host: LineCutter::default(),
            guests: BTreeMap::new(),
            open: parts.channels,
            end: None,
            over: false,
        }
    }

    /// The folder with each stream in a file of its own.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Whether QEMU has ended and every line has been taken in.
    pub fn is_over(&self) -> bool {
        self.over
    }

    /// The lines that came so far.
    pub fn lines(&self) -> &[Line] {
        &self.lines
    }

    /// The next line of any stream; none when the run is over, or `limit` has gone by.
    pub fn next_line(&mut self, limit: Duration) -> Option<Line> {
        let until = Instant::now() + limit;
        while self.seen == self.lines.len() {
            if !self.take_in(until) {
                return None;
            }
        }
        let line = self.lines.get(self.seen).cloned();
        self.seen += 1;
        line
    }

    /// Waits for a line of any stream that has `text` in it, behind the lines already waited for or given out.
    ///
    /// A line of the host's that has no end yet, as a prompt, counts too.
    ///
    /// # Errors
    /// When the run ends before, or `limit` goes by.
    pub fn wait_for(&mut self, text: &str, limit: Duration) -> Result<Line, Error> {
        self.wait_until(&format!("`{text}`"), limit, |line| line.text.contains(text))
    }

    /// As [`Run::wait_for`], on one stream.
    ///
    /// # Errors
    /// When the run ends before, or `limit` goes by.
    pub fn wait_for_on(&mut self, source: Source, text: &str, limit: Duration) -> Result<Line, Error> {
        self.wait_until(&format!("`{text}` on `{source}`"), limit, |line| {
            line.source == source && line.text.contains(text)
        })
    }

    /// As [`Run::wait_for`], for what `matches` says; `wanted` is its name in an error.
    ///
    /// # Errors
    /// When the run ends before, or `limit` goes by.
    pub fn wait_until(
        &mut self,
        wanted: &str,
        limit: Duration,
        matches: impl Fn(&Line) -> bool,
    ) -> Result<Line, Error> {
        let until = Instant::now() + limit;
        loop {
            while let Some(line) = self.lines.get(self.seen) {
                self.seen += 1;
                if matches(line) {
                    return Ok(line.clone());
                }
            }
            if let Some(line) = self.prompt().filter(|line| matches(line)) {
                self.host.take();
                self.lines.push(line.clone());
                self.seen = self.lines.len();
                return Ok(line);
            }
            if !self.take_in(until) {
                return Err(self.not_seen(wanted, limit));
            }
        }
    }

    /// Sends bytes to the host's console.
    ///
    /// # Errors
    /// When QEMU has ended, or takes nothing for some seconds.
    pub fn send(&mut self, bytes: &[u8]) -> Result<(), Error> {
        let console = self
            .console
            .as_mut()
            .ok_or_else(|| Error::Send(io::ErrorKind::NotConnected.into()))?;
        console
            .set_write_timeout(Some(SEND_LIMIT))
            .and_then(|()| console.write_all(bytes))
            .map_err(Error::Send)
    }

    /// Waits until QEMU ends by itself, for `limit` at most.
    pub fn finish(mut self, limit: Duration) -> Outcome {
        let until = Instant::now() + limit;
        while self.take_in(until) {}
        if !self.over {
            self.stop(End::TimedOut(limit));
        }
        self.outcome()
    }

    /// Ends QEMU now.
    pub fn kill(mut self) -> Outcome {
        self.stop(End::Killed);
        self.outcome()
    }

    /// Waits until QEMU ends by itself, for `limit` at most. It must end with status 0, the host must have come to its
    /// end, and every step of it must have passed, those named in `expected` among them.
    ///
    /// # Errors
    /// What of that is not so, with the last lines of each stream.
    pub fn finish_steps(self, limit: Duration, expected: &[&str]) -> Result<Outcome, Error> {
        let outcome = self.finish(limit);
        if !outcome.end.is_success() {
            return Err(Error::BadEnd {
                end: outcome.end.clone(),
                report: outcome.report(),
            });
        }
        match outcome.steps().check(expected) {
            Ok(()) => Ok(outcome),
            Err(error) => Err(Error::Steps {
                error,
                report: outcome.report(),
            }),
        }
    }

    /// The host's line that has begun.
    fn prompt(&self) -> Option<Line> {
        self.host
            .partial()
            .map(|text| self.line(Instant::now(), Source::Host, text))
    }

    fn line(&self, at: Instant, source: Source, text: String) -> Line {
        Line {
            at: at.duration_since(self.start),
            source,
            text,
            log: None,
        }
    }

    /// Takes in one message. False when the run is over, or there was none before `until`.
    fn take_in(&mut self, until: Instant) -> bool {
        if self.over {
            return false;
        }
        match self
            .messages
            .recv_timeout(until.saturating_duration_since(Instant::now()))
        {
            Ok(message) => self.take(message),
            Err(RecvTimeoutError::Timeout) => return false,
            Err(RecvTimeoutError::Disconnected) => self.over = true,
        }
        true
    }

    fn take(&mut self, message: Message) {
        match message {
            Message::Host(at, bytes) => {
                let lines = self.host.push(&bytes);
                let lines: Vec<_> = lines
                    .into_iter()
                    .map(|text| self.line(at, Source::Host, text))
                    .collect();
                self.lines.extend(lines);
            }
            Message::El2(at, event) => self.take_event(at, event),
            Message::Flooded(channel) => self.ends(End::Flooded(channel.into())),
            Message::Broken(channel, error) => {
                self.ends(End::Broken(format!("{}: {error}", Source::from(channel))));
            }
            Message::Closed(channel) => self.open.retain(|&open| open != channel),
            Message::Exited(exit) => {
                self.ends(match (exit.timed_out, exit.status) {
                    (true, _) => End::TimedOut(self.limit.unwrap_or_default()),
                    (false, Some(status)) => End::Exited(status),
                    (false, None) => End::Broken("QEMU cannot be waited for".to_owned()),
                });
                self.take_rest();
            }
        }
    }

    fn take_event(&mut self, at: Instant, event: Event) {
        match event {
            Event::Console { vm, bytes } => {
                let lines = self.guests.entry(vm).or_default().push(&bytes);
                let lines: Vec<_> = lines
                    .into_iter()
                    .map(|text| self.line(at, Source::Guest(vm), text))
                    .collect();
                self.lines.extend(lines);
            }
            Event::Lost { bytes, reason } => {
                let text = format!("[log: skipped {bytes} bytes: {reason}]");
                let line = self.line(at, Source::El2, text.clone());
                let log = LogLine {
                    level: Some(Level::Warn),
                    timestamp: None,
                    message: text,
                    location: None,
                    trace: Vec::new(),
                };
                self.lines.push(Line { log: Some(log), ..line });
            }
            Event::Log(log) => {
                if log.level == Some(Level::Error) && log.message.starts_with(EL2_STOPPED) {
                    self.ends(End::El2Stopped(log.message.clone()));
                    // What follows is the trace of its stack.
                    self.process.killer().kill_after_dump();
                }
                let text = log.message.clone() + &streams::formatter().trace(&log);
                let line = self.line(at, Source::El2, text);
                self.lines.push(Line { log: Some(log), ..line });
            }
        }
    }

    /// The first reason stands: what comes behind it is its consequence.
    fn ends(&mut self, end: End) {
        self.end.get_or_insert(end);
    }

    /// QEMU has ended: what is still on its way comes in, and lines that have begun end.
    fn take_rest(&mut self) {
        let until = Instant::now() + AFTERMATH;
        while !self.open.is_empty() {
            match self
                .messages
                .recv_timeout(until.saturating_duration_since(Instant::now()))
            {
                Ok(message) => self.take(message),
                Err(_) => break,
            }
        }
        self.lines.extend(self.prompt());
        self.host = LineCutter::default();
        for (vm, mut cutter) in std::mem::take(&mut self.guests) {
            let rest = cutter
                .take()
                .map(|text| self.line(Instant::now(), Source::Guest(vm), text));
            self.lines.extend(rest);
        }
        self.over = true;
    }

    fn stop(&mut self, end: End) {
        let killer = self.process.killer();
        if matches!(end, End::TimedOut(_)) {
            killer.kill_as_late()
        } else {
            killer.kill()
        }
        self.ends(end);
        let until = Instant::now() + AFTERMATH;
        while self.take_in(until) {}
    }

    fn not_seen(&self, wanted: &str, waited: Duration) -> Error {
        let wanted = wanted.to_owned();
        let report = Report::new(&self.lines, self.dir.clone());
        match &self.end {
            Some(end) if self.over => Error::Ended {
                end: end.clone(),
                wanted,
                report,
            },
            _ => Error::NotSeen { wanted, waited, report },
        }
    }

    fn outcome(self) -> Outcome {
        let end = self.end.unwrap_or(End::Killed);
        Outcome {
            end,
            lines: self.lines,
            dir: self.dir,
        }
    }
}

impl From<Channel> for Source {
    fn from(channel: Channel) -> Source {
        match channel {
            Channel::Host => Source::Host,
            Channel::El2 => Source::El2,
        }
    }
}
