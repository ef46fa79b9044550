//! A channel for bytes that never blocks.

/// Why a channel could not be brought up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum ConsoleError {
    /// Its clock cannot make the speed asked for. The value is that speed, in bits per second.
    Speed(u32),
    /// It did not become quiet within the bound.
    TimedOut,
    /// Firmware has made something else of it than a port that can be written to.
    Unfit,
}

/// Where log bytes go.
///
/// The writer is EL2 on a path that a VM may have caused, so nothing here waits: bytes that the channel cannot take
/// now stay with the caller.
pub trait Console: Send {
    /// Takes as many of `bytes` as fit without waiting, and says how many those were (possibly none).
    fn write_some(&mut self, bytes: &[u8]) -> usize;
}
