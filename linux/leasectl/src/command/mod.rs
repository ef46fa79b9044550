//! The subcommands, a file each.

pub mod demo;
pub mod driver_test;
pub mod faults;
pub mod features;
pub mod kill_test;
pub mod matrix;
pub mod run;
