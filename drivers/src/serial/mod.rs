//! Serial ports.

pub mod cadence;
pub mod geni;
pub mod imx;
pub mod pl011;
pub mod uartdm;

use crate::wait::TimedOut;

/// Who sees to the port's clock. Lines are 8 bits, no parity, one stop bit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Clocking {
    /// Firmware has clocked the port, and its speed stays as it is.
    Firmware,
    /// The block's clock runs, and the driver divides it.
    Divided {
        /// That clock in Hz.
        clock_hz: u32,
        /// Bits per second.
        baud: u32,
    },
}

/// What `embedded_io` operations fail with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Error {
    /// The port did not take or give a character within the bound.
    TimedOut,
    /// Characters before the next one were lost.
    Overrun,
    /// The character was received with a wrong parity or stop bit, or as a break.
    Framing,
}

impl core::fmt::Display for Error {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(match self {
            Self::TimedOut => "no character moved in time",
            Self::Overrun => "received characters were lost",
            Self::Framing => "a character was received damaged",
        })
    }
}

impl core::error::Error for Error {}

impl embedded_io::Error for Error {
    fn kind(&self) -> embedded_io::ErrorKind {
        match self {
            Self::TimedOut => embedded_io::ErrorKind::TimedOut,
            Self::Overrun | Self::Framing => embedded_io::ErrorKind::InvalidData,
        }
    }
}

impl From<TimedOut> for Error {
    fn from(_: TimedOut) -> Self {
        Self::TimedOut
    }
}

/// Fills `buf` from what `next` gives, as far as that goes without waiting.
fn read_available(buf: &mut [u8], mut next: impl FnMut() -> Result<Option<u8>, Error>) -> Result<usize, Error> {
    let mut count = 0;
    while count < buf.len() {
        match next() {
            Ok(Some(byte)) => buf[count] = byte,
            Ok(None) => break,
            // What arrived before the damage is good: hand it out first.
            Err(_) if count > 0 => break,
            Err(error) => return Err(error),
        }
        count += 1;
    }
    Ok(count)
}
