//! Runs the whole system under QEMU, and watches it.
//!
//! A [`Machine`] says what is started; [`Machine::start`] gives a [`Run`], whose streams (the host's console, EL2's log
//! and the guests' consoles inside it) come as [`Line`]s in order of arrival; the run ends in an [`Outcome`].
//! QEMU never outlives the run: not its time-out, not a panic, not the death of the process.
//!
//! The tests are [`scenarios`]; `tests/qemu.rs` runs them on what was built ([`artifacts`]). [`bench`] counts what
//! Leasehold costs.

pub mod artifacts;
pub mod bench;
mod error;
pub mod gdb;
mod hardware;
mod image;
mod layout;
mod machine;
mod patch;
mod process;
mod report;
mod run;
pub mod scenarios;
mod steps;
mod streams;
mod text;
mod tree;
pub mod walker;

pub use error::Error;
pub use hardware::Hardware;
pub use image::ImageHeader;
pub use layout::{Item, Layout, LayoutError, MIB};
pub use leasehold_flash::stream::Level;
pub use machine::{Board, Gic, Machine};
pub use report::{End, Line, Outcome, Report, Source};
pub use run::{EL2_STOPPED, Run};
pub use steps::{Step, Steps, StepsError};
pub use streams::CHANNEL_LIMIT;
pub use text::printable;
