//! What is AArch64's: entry, exceptions, accesses that may fail, calls, translation, other CPUs.

pub mod call;
pub mod cpu;
pub mod el0;
pub mod entry;
pub mod fp;
pub mod gic;
pub mod mmu;
pub mod one;
pub mod probe;
pub mod sdei;
pub mod smp;
pub mod sweep;
pub mod vectors;

/// The vector of a synchronous exception from EL1 with SP_EL1.
const SYNC_EL1: u64 = 4;
/// What stands for a vector's number where an SDEI handler has resumed at what looks like one.
const RESUMED: u64 = 16;
