//! EL2's log: defmt frames, pushed in as bytes, pulled out as events. No I/O.
//!
//! A frame is encoded with rzCOBS and ends with a 00 byte, which occurs nowhere else. So a reader that starts in the
//! middle, or after bytes were lost, is in step again at the next 00.
//!
//! ```no_run
//! use leasehold_flash::stream::{Formatter, LogDecoder};
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let elf = std::fs::read("leasehold-qemu-virt")?;
//! let mut decoder = LogDecoder::new(&elf)?;
//! let formatter = Formatter::default();
//! decoder.push(&std::fs::read("el2.bin")?);
//! for event in decoder.by_ref() {
//!     if let Some(text) = formatter.format(&event) {
//!         println!("{text}");
//!     }
//! }
//! # Ok(())
//! # }
//! ```

mod decoder;
mod event;
mod format;
mod shape;
mod strings;
mod trace;

pub use decoder::{LogDecoder, MAX_FRAME, StreamError};
pub use event::{Event, Level, Location, LogLine, LossReason, UnknownLevel};
pub use format::Formatter;
pub use strings::CONSOLE_FORMAT;
pub use trace::{TRACE_PREFIX, TraceFrame};
