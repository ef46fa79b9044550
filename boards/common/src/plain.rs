//! The core's view of a board whose machine is one of `leasehold_soc::plain`.

use crate::{Described, Lists};
use core::marker::PhantomData;
use leasehold_hal::{Soc, SocError};
use leasehold_hyp_core::board::{Board, BoardConfig};
use leasehold_memory_map::MachineTree;
use leasehold_soc::plain::{Plain, PlainMachine};

/// The board that `D` describes, with machine `M`.
pub struct PlainBoard<D, M>(PhantomData<(D, M)>);

impl<D, M> PlainBoard<D, M> {
    /// The board.
    #[must_use]
    pub const fn new() -> Self {
        Self(PhantomData)
    }
}

impl<D, M> Default for PlainBoard<D, M> {
    fn default() -> Self {
        Self::new()
    }
}

impl<D: Described, M: PlainMachine> Board for PlainBoard<D, M> {
    type Soc = Plain<M>;

    const CONFIG: BoardConfig = D::BOARD.config(&Lists {
        registers: M::DESCRIPTION.registers,
        ram: M::DESCRIPTION.ram,
        kept: M::DESCRIPTION.kept,
        uncontained: M::DESCRIPTION.uncontained,
    });

    fn console() -> Result<<Self::Soc as Soc>::Console, SocError> {
        // SAFETY: this image is for the board; the core calls this once, with `CONFIG.registers` mapped for good.
        Ok(unsafe { Plain::<M>::console() }?)
    }

    fn soc(tree: &MachineTree<'_>) -> Result<Self::Soc, SocError> {
        // SAFETY: as above; the core calls this once, after it has mapped the image and `CONFIG.registers` for good,
        // and drives the interrupt controller through what it gets here alone.
        unsafe { Plain::new(tree) }
    }
}
