//! What keeps the SoC powered.

pub mod ps_hold;
