//! Pins for general purposes.

pub mod tlmm;
