//! A board's digital twin: the whole boot path of `hyp-core`, up to the host's first instruction, on the build machine.
//!
//! The tree is the board's own; the configuration, the description of the SoC and all drivers are those of the board's
//! image. What stands in for silicon are the models of its parts, which act (`leasehold-drivers`), memory, a boot loader, and
//! a CPU that does nothing but what [`Platform`](leasehold_hyp_core::boot::Platform) asks of it. What comes of it is text
//! that a person can review: the log, the map, and what the host's device tree differs in from the machine's.
//!
//! No board is proven to work so; but what is wrong with its description, its map or the order in which its parts are
//! brought up shows here, without the board.

pub mod board;
pub mod boards;
pub mod golden;
mod lease;
mod loader;
pub mod log;
pub mod machine;
mod platform;
pub mod profile;
mod reach;
pub mod refusals;
pub mod report;
mod text;
mod twin;
pub mod watchdog;

pub use loader::Loaded;
pub use twin::{SOUND, Setting, Twin, nothing};
