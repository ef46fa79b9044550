//! What the models of the units share: physical memory, and a walker of stage-2 tables with what it remembers.

#[cfg(test)]
pub(super) mod forgetting;
mod memory;
mod stage2;
#[cfg(test)]
pub(super) mod tables;

pub use memory::{SimMemory, Window};
pub(super) use stage2::{Fault, Stage2, Translations};

/// Bits `high` to `low` of `value`.
pub(super) const fn bits(value: u64, high: u32, low: u32) -> u64 {
    value >> low & (u64::MAX >> (63 - (high - low)))
}

/// How wide addresses are, by OAS, PS and their like.
pub(super) const SIZES: [u32; 8] = [32, 36, 40, 42, 44, 48, 52, 52];
