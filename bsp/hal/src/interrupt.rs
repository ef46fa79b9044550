//! What EL2 needs of an interrupt controller, which it otherwise leaves to the host.

use leasehold_memory_map::PhysRange;

/// Why the interrupt controller is not as it must be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum InterruptError {
    /// The identification register is not one of the architecture this driver is for.
    Unidentified(u32),
    /// This CPU has no frame of its own.
    NoFrame,
    /// There are more CPUs than the driver has room for. The value is that room.
    TooManyCpus(usize),
    /// LPIs are enabled and cannot be disabled: it writes to tables that somebody before EL2 chose.
    LpisEnabled,
    /// It did not answer within the bound.
    TimedOut,
}

/// The interrupt controller, as EL2 sees it.
///
/// Interrupts are the host's; EL2 takes none while it runs. What is left: keeping the host's and the guests' hands
/// off what would make the controller a bus master, and one private interrupt by which EL2's own timer ends a guest's
/// run. All methods take `&self`: what they touch is the calling CPU's own, or takes one store.
pub trait InterruptController: Send + Sync {
    /// Prepares the calling CPU's part for a host at EL1. Comes before the first use of that CPU's other methods.
    ///
    /// # Errors
    /// [`InterruptError`]; the CPU must not be given to the host.
    fn init_cpu(&self) -> Result<(), InterruptError>;

    /// Enables or disables the calling CPU's private interrupt `intid` (16 to 31). Other numbers do nothing.
    fn set_private_enabled(&self, intid: u32, enabled: bool);

    /// The answer to a host's read of `size` bytes (1, 2, 4 or 8) at `offset` into frame number `frame` of
    /// [`trapped_frames`](Self::trapped_frames). What the host must not see, what is not there and what cannot be read
    /// in that size reads as zero.
    fn read_trapped(&self, frame: usize, offset: u64, size: u8) -> u64;

    /// A write by the host to a trapped frame: passed on where harmless, perhaps with bits cleared, else dropped.
    /// Says whether any of it was passed on.
    fn write_trapped(&self, frame: usize, offset: u64, size: u8, value: u64) -> bool;

    /// Ranges whose host accesses EL2 takes and answers: for GICv3 each CPU's redistributor control frame.
    fn trapped_frames(&self) -> &[PhysRange];

    /// Ranges that the host does not see at all: GICH and GICV, the ITS.
    fn hidden(&self) -> &[PhysRange];
}
