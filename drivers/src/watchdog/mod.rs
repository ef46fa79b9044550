//! Watchdogs: they reset the SoC unless they are petted.

pub mod imx;
pub mod kpss;
