//! The Cadence UART of Zynq and Zynq UltraScale+ (AMD UG1085, chapter "UART Controllers"; registers: UG1087, module
//! UART).
//!
//! [`Console`] never waits. The `embedded_io` traits wait as those traits do, but with a bound, and then fail.

#[cfg(any(test, feature = "model"))]
pub mod model;
mod registers;
#[cfg(test)]
mod tests;

pub use super::Error;

use crate::mmio::{Io, Mmio};
use crate::wait::{self, TimedOut};
use leasehold_hal::{Console, ConsoleError};
use leasehold_memory_map::PhysRange;
use registers::{BDIVR, BRGR, CONTROL, CR, FIFO, IDR, INTERRUPTS, MODE, MR, SR, STATUS, TXRX};
use tock_registers::interfaces::{Readable, Writeable};

/// The speed of a port, and the clock that it is made from. Lines are 8 bits, no parity, one stop bit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Config {
    /// The port's reference clock in Hz.
    pub clock_hz: u32,
    /// Bits per second.
    pub baud: u32,
}

/// The two dividers: baud = clock / (CD * (BDIV + 1)).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Dividers {
    cd: u32,
    bdiv: u32,
}

impl Config {
    /// The largest BDIV, and the least: below 4 the receiver does not sample.
    const BDIV: core::ops::RangeInclusive<u32> = 4..=255;

    /// The dividers that come nearest, if within 2 %: what a receiver forgives.
    fn dividers(self) -> Option<Dividers> {
        let wanted = u64::from(self.baud).max(1);
        let error = |dividers: &Dividers| {
            let divisor = u64::from(dividers.cd) * (u64::from(dividers.bdiv) + 1);
            u64::from(self.clock_hz).abs_diff(wanted * divisor) / divisor
        };
        let best = Self::BDIV
            .filter_map(|bdiv| {
                let step = wanted * (u64::from(bdiv) + 1);
                let cd = (u64::from(self.clock_hz) + step / 2) / step;
                (1..=0xffff).contains(&cd).then_some(Dividers { cd: cd as u32, bdiv })
            })
            .min_by_key(error)?;
        (self.baud != 0 && error(&best) * 50 <= wanted).then_some(best)
    }
}

/// A port.
#[derive(Debug)]
pub struct CadenceUart<I = Mmio> {
    io: I,
}

impl CadenceUart<Mmio> {
    /// The port with its registers at `registers`, as it is: set up by somebody before, or by
    /// [`init`](Self::init).
    ///
    /// # Safety
    /// `registers` are those of a Cadence UART, mapped at their own addresses as device memory, and nobody else drives
    /// it.
    #[must_use]
    pub unsafe fn new(registers: PhysRange) -> Self {
        // SAFETY: as the caller vouches; the block accesses no memory.
        Self::over(unsafe { Mmio::identity(registers) })
    }
}

impl<I: Io> CadenceUart<I> {
    /// The port behind `io`.
    pub const fn over(io: I) -> Self {
        Self { io }
    }

    /// Sets the port up: lets what is being sent go out, then 8N1 at the configured speed, both ways, no interrupts.
    ///
    /// # Errors
    /// [`ConsoleError::Speed`] when the clock cannot make the speed; the port is as it was.
    /// [`ConsoleError::TimedOut`] when characters do not go out.
    pub fn init(&mut self, config: Config) -> Result<(), ConsoleError> {
        let Dividers { cd, bdiv } = config.dividers().ok_or(ConsoleError::Speed(config.baud))?;
        self.drain()?;
        let io = &self.io;
        // Dividers are changed with both ways off.
        io.at(CR).write(CONTROL::TXDIS::SET + CONTROL::RXDIS::SET);
        io.at(IDR).write(INTERRUPTS::ALL.val(0x3fff));
        io.at(MR)
            .write(MODE::CHMODE::Normal + MODE::NBSTOP::One + MODE::PAR::None + MODE::CHRL::EightBits);
        io.at(BRGR).set(cd);
        io.at(BDIVR).set(bdiv);
        io.at(CR)
            .write(CONTROL::TXEN::SET + CONTROL::RXEN::SET + CONTROL::TXRES::SET + CONTROL::RXRES::SET);
        Ok(())
    }

    fn drain(&self) -> Result<(), TimedOut> {
        wait::until(|| {
            let status = self.io.at(SR).extract();
            status.is_set(STATUS::TEMPTY) && !status.is_set(STATUS::TACTIVE)
        })
    }

    fn has_room(&self) -> bool {
        !self.io.at(SR).is_set(STATUS::TFUL)
    }

    fn send_some(&mut self, bytes: &[u8]) -> usize {
        let mut sent = 0;
        while sent < bytes.len() && self.has_room() {
            self.io.at(TXRX).set(u32::from(bytes[sent]));
            sent += 1;
        }
        sent
    }

    /// The next received character, if there is one.
    pub fn read_byte(&mut self) -> Option<u8> {
        if self.io.at(SR).is_set(STATUS::REMPTY) {
            return None;
        }
        Some(self.io.at(TXRX).read(FIFO::DATA) as u8)
    }
}

impl<I: Io + Send> Console for CadenceUart<I> {
    fn write_some(&mut self, bytes: &[u8]) -> usize {
        self.send_some(bytes)
    }
}

impl<I: Io> embedded_io::ErrorType for CadenceUart<I> {
    type Error = Error;
}

impl<I: Io> embedded_io::Write for CadenceUart<I> {
    fn write(&mut self, buf: &[u8]) -> Result<usize, Error> {
        if buf.is_empty() {
            return Ok(0);
        }
        wait::until(|| self.has_room())?;
        Ok(self.send_some(buf))
    }

    fn flush(&mut self) -> Result<(), Error> {
        Ok(self.drain()?)
    }
}

impl<I: Io> embedded_io::WriteReady for CadenceUart<I> {
    fn write_ready(&mut self) -> Result<bool, Error> {
        Ok(self.has_room())
    }
}

impl<I: Io> embedded_io::Read for CadenceUart<I> {
    fn read(&mut self, buf: &mut [u8]) -> Result<usize, Error> {
        if buf.is_empty() {
            return Ok(0);
        }
        wait::until(|| !self.io.at(SR).is_set(STATUS::REMPTY))?;
        super::read_available(buf, || Ok(self.read_byte()))
    }
}

impl<I: Io> embedded_io::ReadReady for CadenceUart<I> {
    fn read_ready(&mut self) -> Result<bool, Error> {
        Ok(!self.io.at(SR).is_set(STATUS::REMPTY))
    }
}
