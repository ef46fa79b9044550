//! How a description of a machine gets to the blocks that it describes: the machine itself, or models of it.

use crate::mmio::{Io, Mmio};
use leasehold_memory_map::PhysRange;

/// Everything that has physical addresses.
pub trait Bus {
    /// A way to a range of them.
    type Io: Io + Send + Sync + 'static;

    /// The way to `range`: a block's registers, or memory that a block and its driver share.
    ///
    /// A model panics where nothing is.
    fn io(&self, range: PhysRange) -> Self::Io;
}

/// The machine that the program runs on, where virtual addresses are physical ones.
#[derive(Debug)]
pub struct Identity(());

impl Identity {
    /// The machine.
    ///
    /// # Safety
    /// Whoever is given this value asks it for ranges for which the caller can vouch as [`Mmio::identity`] wants it:
    /// registers of the blocks that are to be driven, mapped as device memory, or write-back memory that nothing else in
    /// the program refers to. Of all drivers that are made so, each block has one.
    #[must_use]
    pub const unsafe fn new() -> Self {
        Self(())
    }
}

impl Bus for Identity {
    type Io = Mmio;

    fn io(&self, range: PhysRange) -> Mmio {
        // SAFETY: `new`'s caller has vouched for every range that is asked for.
        unsafe { Mmio::identity(range) }
    }
}
