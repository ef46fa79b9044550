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
    /// It did not answer within the bound.
    TimedOut,
}

/// The interrupt controller, as EL2 sees it.
///
/// Interrupts are the host's; EL2 takes none while it runs. What is left: keeping the host's and the guests' hands
/// off what would make the controller a bus master, and one private interrupt by which EL2's own timer ends a guest's
/// run.
pub trait InterruptController: Send + Sync {
    /// Prepares the calling CPU's interface for a host at EL1.
    ///
    /// # Errors
    /// [`InterruptError`]; the CPU must not be given to the host.
    fn init_cpu(&self) -> Result<(), InterruptError>;

    /// Enables or disables the calling CPU's private interrupt `intid` (16 to 31).
    fn set_private_enabled(&self, intid: u32, enabled: bool);

    /// Whether [`read_trapped`](Self::read_trapped) and [`write_trapped`](Self::write_trapped) answer for `offset`s of
    /// the frame number `frame` of [`trapped_frames`](Self::trapped_frames).
    fn read_trapped(&self, frame: usize, offset: u64, size: u8) -> u64;

    /// A write by the host to a trapped frame: passed on where harmless, else dropped. Says whether it was passed on.
    fn write_trapped(&self, frame: usize, offset: u64, size: u8, value: u64) -> bool;

    /// Ranges whose host accesses EL2 takes and answers: for GICv3 each CPU's redistributor control frame.
    fn trapped_frames(&self) -> &[PhysRange];

    /// Ranges that the host does not see at all: GICH and GICV, the ITS.
    fn hidden(&self) -> &[PhysRange];
}
