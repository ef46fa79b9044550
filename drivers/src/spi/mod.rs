//! SPI controllers.

pub mod geni;
