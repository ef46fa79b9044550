//! Every number that Leasehold, its hosts and its guests share, once.
//!
//! No logic: constants, and the same constants as tables ([`CALLS`], [`STATUSES`], …), from which the C header of the
//! Linux driver and the tables of `docs/abi.md` are generated (`cargo xtask abi`).
//!
//! Standards come first. Function ids, error codes and descriptors of PSCI (Arm DEN0022), SMCCC (DEN0028), FF-A
//! (DEN0077A) and SDEI (DEN0054) are in [`psci`], [`smccc`], [`ffa`] and [`sdei`]; the calls of our own are in [`vendor`].
#![no_std]
#![forbid(unsafe_code)]

mod table;

pub mod ffa;
pub mod psci;
pub mod sdei;
pub mod smccc;
pub mod vendor;

pub use table::{Call, Constant};
pub use vendor::{ACCESS_CLASSES, CALLS, EXIT_REASONS, FEATURE_BITS, LIMITS, MECHANISMS, STATUSES};
