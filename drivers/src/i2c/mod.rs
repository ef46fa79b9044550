//! I2C controllers.

mod address;
pub mod geni;
#[cfg(any(test, feature = "model"))]
pub mod model;
pub mod qup;

pub(crate) use address::{Address, Message, Messages};

use crate::wait::TimedOut;
use embedded_hal::i2c::{self, ErrorKind, NoAcknowledgeSource};

/// What transactions fail with. The bus is free again, but for [`TimedOut`](Error::TimedOut).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Error {
    /// The address has too many bits. Nothing was sent.
    Address(u16),
    /// A message has no bytes, or more than the controller counts. Nothing of it was sent.
    Length(usize),
    /// Nobody acknowledged the address, or a byte.
    NoAcknowledge(NoAcknowledgeSource),
    /// Another controller has the bus.
    ArbitrationLost,
    /// There was a start or stop where none belongs.
    Bus,
    /// The controller did not do what it was told, or is not set up.
    Controller,
    /// Nothing moved for too long. Somebody may hold the clock, or the controller has none.
    TimedOut,
}

impl From<TimedOut> for Error {
    fn from(_: TimedOut) -> Self {
        Self::TimedOut
    }
}

impl i2c::Error for Error {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::NoAcknowledge(source) => ErrorKind::NoAcknowledge(*source),
            Self::ArbitrationLost => ErrorKind::ArbitrationLoss,
            Self::Bus => ErrorKind::Bus,
            Self::Address(_) | Self::Length(_) | Self::Controller | Self::TimedOut => ErrorKind::Other,
        }
    }
}

impl core::fmt::Display for Error {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Self::Address(address) => write!(f, "{address:#x} is no address"),
            Self::Length(length) => write!(f, "{length} bytes are no message"),
            Self::NoAcknowledge(_) => f.write_str("nobody acknowledged"),
            Self::ArbitrationLost => f.write_str("another controller has the bus"),
            Self::Bus => f.write_str("an unexpected start or stop"),
            Self::Controller => f.write_str("the controller failed"),
            Self::TimedOut => f.write_str("nothing moved in time"),
        }
    }
}

impl core::error::Error for Error {}
