//! Interrupt controllers.
//!
//! Two users: EL2, which leaves interrupts to the host and keeps the controller from being a bus master
//! ([`InterruptController`]), and the bare-metal hosts and guests of the tests, which take interrupts ([`Host`]).

pub mod gicv2;
pub mod gicv3;
pub mod pdc;

use crate::mmio::{Io, Mmio};
use gicv2::Gicv2;
use gicv3::Gicv3;
use leasehold_hal::{InterruptController, InterruptError};
use leasehold_memory_map::PhysRange;

/// The priority that [`Host`] gives everything: the middle, as Linux does.
const PRIORITY: u8 = 0xa0;

/// The controller in the hands of a program that takes interrupts.
pub trait Host {
    /// Lets the controller forward interrupts. Once, before the rest.
    ///
    /// # Errors
    /// [`InterruptError::TimedOut`].
    fn start(&self) -> Result<(), InterruptError>;

    /// Prepares the calling CPU to take interrupts of every priority.
    ///
    /// # Errors
    /// [`InterruptError::NoFrame`], [`InterruptError::TimedOut`].
    fn start_cpu(&self) -> Result<(), InterruptError>;

    /// Lets the calling CPU's private interrupt `intid` (0 to 31) through. Other numbers do nothing.
    fn enable(&self, intid: u32);

    /// Holds the calling CPU's private interrupt `intid` (0 to 31) back. Other numbers do nothing.
    fn disable(&self, intid: u32);

    /// Takes the calling CPU's most urgent interrupt: its number, to be given to [`end`](Self::end). `None` when there
    /// is none.
    fn acknowledge(&self) -> Option<u32>;

    /// The interrupt has been handled.
    fn end(&self, intid: u32);

    /// Sends the software-generated interrupt `intid` (0 to 15) to the CPU with this affinity (MPIDR_EL1's layout).
    /// What cannot be named is not sent.
    fn send(&self, affinity: u64, intid: u32);
}

/// The GIC of a machine that has one or the other.
#[allow(clippy::large_enum_variant, reason = "there is one per machine")]
pub enum Gic<I = Mmio> {
    /// GICv2.
    V2(Gicv2<I>),
    /// GICv3 or GICv4.
    V3(Gicv3<I>),
}

macro_rules! either {
    ($self:ident, $gic:ident => $do:expr) => {
        match $self {
            Self::V2($gic) => $do,
            Self::V3($gic) => $do,
        }
    };
}

impl<I: Io + Send + Sync> InterruptController for Gic<I> {
    fn init_cpu(&self) -> Result<(), InterruptError> {
        either!(self, gic => gic.init_cpu())
    }

    fn set_private_enabled(&self, intid: u32, enabled: bool) {
        either!(self, gic => gic.set_private_enabled(intid, enabled));
    }

    fn read_trapped(&self, frame: usize, offset: u64, size: u8) -> u64 {
        either!(self, gic => gic.read_trapped(frame, offset, size))
    }

    fn write_trapped(&self, frame: usize, offset: u64, size: u8, value: u64) -> bool {
        either!(self, gic => gic.write_trapped(frame, offset, size, value))
    }

    fn trapped_frames(&self) -> &[PhysRange] {
        either!(self, gic => gic.trapped_frames())
    }

    fn hidden(&self) -> &[PhysRange] {
        either!(self, gic => gic.hidden())
    }
}
