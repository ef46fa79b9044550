//! From bytes to events.

use super::event::{Event, Level, Location, LogLine, LossReason};
use super::shape::Walk;
use super::strings::Strings;
use super::trace;
use defmt_decoder::{Encoding, Locations, Table};
use std::collections::VecDeque;
use thiserror::Error;

/// The longest encoded frame that is taken for one, in bytes. EL2's own are shorter than 4 KiB.
pub const MAX_FRAME: usize = 16 * 1024;

/// How what EL2 says in plain text, before it can log, begins: its last line.
const PLAIN: &[u8] = b"EL2 stopped: ";

/// rzCOBS works in groups of seven bytes, and fills the last one with zeroes.
const MAX_PADDING: usize = 6;

/// Why an ELF file gives no decoder.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum StreamError {
    /// The bytes are no ELF file.
    #[error("not an ELF file: {0}")]
    NotElf(String),
    /// The ELF file was built without defmt.
    #[error("the ELF file has no defmt strings")]
    NoStrings,
    /// The ELF file's defmt strings cannot be read; another version of defmt, mostly.
    #[error("the defmt strings of the ELF file cannot be read: {0}")]
    BadStrings(String),
    /// The target sends frames that have no end of their own.
    #[error("the target's frames are not rzCOBS encoded, so that a loss would end the log")]
    NotRzcobs,
}

/// Turns the bytes of a log stream into events.
///
/// It is an iterator that may give more events after it gave none, once more bytes were pushed.
pub struct LogDecoder {
    table: Table,
    strings: Strings,
    locations: Result<Locations, String>,
    /// The program, for its dump: what a trace needs is read when there is one.
    elf: Vec<u8>,
    /// The bytes of a frame whose end has not come yet.
    partial: Vec<u8>,
    /// How many bytes of an overlong frame were thrown away.
    overlong: usize,
    events: VecDeque<Event>,
}

impl LogDecoder {
    /// A decoder for the log of this program.
    ///
    /// # Errors
    /// When the bytes are no ELF file, or one without defmt strings that this version of defmt can read.
    pub fn new(elf: &[u8]) -> Result<LogDecoder, StreamError> {
        let strings = Strings::parse(elf)?;
        let table = Table::parse(elf)
            .map_err(|error| StreamError::BadStrings(format!("{error:#}")))?
            .ok_or(StreamError::NoStrings)?;
        if table.encoding() != Encoding::Rzcobs {
            return Err(StreamError::NotRzcobs);
        }
        let locations = table.get_locations(elf).map_err(|error| format!("{error:#}"));
        Ok(LogDecoder {
            table,
            strings,
            locations,
            elf: elf.to_vec(),
            partial: Vec::new(),
            overlong: 0,
            events: VecDeque::new(),
        })
    }

    /// Why log lines come without their place in the source: the ELF file's debug information cannot be read.
    /// An ELF file that has none is no error.
    pub fn location_error(&self) -> Option<&str> {
        self.locations.as_ref().err().map(String::as_str)
    }

    /// Takes bytes of the stream, cut wherever they were.
    pub fn push(&mut self, bytes: &[u8]) {
        for part in bytes.split_inclusive(|&byte| byte == 0) {
            match part.split_last() {
                Some((0, tail)) => {
                    self.extend(tail);
                    self.end_frame();
                }
                _ => self.extend(part),
            }
        }
    }

    /// The stream has ended: what is left of it is a loss.
    pub fn end(&mut self) {
        let reason = if self.overlong > 0 {
            LossReason::TooLong
        } else {
            LossReason::Truncated
        };
        let bytes = std::mem::take(&mut self.overlong) + std::mem::take(&mut self.partial).len();
        if bytes > 0 {
            self.events.push_back(Event::Lost { bytes, reason });
        }
    }

    fn extend(&mut self, bytes: &[u8]) {
        if self.overlong > 0 || self.partial.len() + bytes.len() > MAX_FRAME {
            self.overlong += self.partial.len() + bytes.len();
            self.partial.clear();
        } else {
            self.partial.extend_from_slice(bytes);
        }
    }

    fn end_frame(&mut self) {
        if self.overlong > 0 {
            return self.end();
        }
        let encoded = std::mem::take(&mut self.partial);
        // Two ends in a row: a target that marks both ends of a frame, or a line that idles.
        if !encoded.is_empty() {
            let event = self.decode(&encoded).unwrap_or_else(|reason| Event::Lost {
                bytes: encoded.len(),
                reason,
            });
            self.events.push_back(event);
        }
    }

    fn decode(&self, encoded: &[u8]) -> Result<Event, LossReason> {
        if let Some(line) = plain(encoded) {
            return Ok(Event::Log(line));
        }
        let frame = rzcobs::decode(encoded).map_err(|_| LossReason::Encoding)?;
        let (index, arguments) = frame.split_first_chunk().ok_or(LossReason::Encoding)?;
        let index = u16::from_le_bytes(*index);
        let format = self.strings.statement(index).ok_or(LossReason::UnknownIndex(index))?;
        let misfit = || LossReason::Arguments(index);
        let mut walk = Walk::new(&self.strings, arguments);
        walk.format(self.strings.timestamp().unwrap_or_default())
            .map_err(|_| misfit())?;
        let own = walk.rest();
        walk.format(format).map_err(|_| misfit())?;
        let padding = walk.rest();
        if padding.len() > MAX_PADDING || padding.iter().any(|&byte| byte != 0) {
            return Err(misfit());
        }
        if self.strings.is_console(index) {
            return console(&own[..own.len() - padding.len()]).ok_or_else(misfit);
        }
        let (frame, _) = self.table.decode(&frame).map_err(|_| misfit())?;
        let message = frame.display_message().to_string();
        let level = frame.level().map(Into::into);
        Ok(Event::Log(LogLine {
            level,
            timestamp: frame.display_timestamp().map(|timestamp| timestamp.to_string()),
            trace: if level == Some(Level::Error) {
                trace::of_message(&self.elf, &message)
            } else {
                Vec::new()
            },
            message,
            location: self.location(index),
        }))
    }

    fn location(&self, index: u16) -> Option<Location> {
        let location = self.locations.as_ref().ok()?.get(&index.into())?;
        Some(Location {
            module: location.module.clone(),
            file: location.file.clone(),
            line: location.line,
        })
    }
}

impl Iterator for LogDecoder {
    type Item = Event;

    fn next(&mut self) -> Option<Event> {
        self.events.pop_front()
    }
}

/// A line of plain text.
fn plain(encoded: &[u8]) -> Option<LogLine> {
    let is_text = encoded.starts_with(PLAIN) && encoded.iter().all(|byte| matches!(byte, b' '..=b'~'));
    let message = str::from_utf8(encoded).ok().filter(|_| is_text)?;
    Some(LogLine {
        level: Some(Level::Error),
        timestamp: None,
        trace: Vec::new(),
        message: message.to_owned(),
        location: None,
    })
}

/// The arguments of a [`CONSOLE_FORMAT`](super::CONSOLE_FORMAT) frame: the VM, a length in 32 bits, the bytes.
fn console(arguments: &[u8]) -> Option<Event> {
    let (&[vm, _, _, _, _], bytes) = arguments.split_first_chunk()?;
    Some(Event::Console {
        vm,
        bytes: bytes.to_vec(),
    })
}
