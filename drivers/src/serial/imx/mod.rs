//! The UART of i.MX SoCs (i.MX 8M Plus reference manual, IMX8MPRM, chapter "Universal Asynchronous
//! Receiver/Transmitter").
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
use registers::{BIR, BMR, CR1, CR2, CR3, CR4, FCR, RXD, SR2, TS, TXD, UCR1, UCR2, UCR3, UFCR, URXD, USR2, UTS};
use tock_registers::interfaces::{Readable, Writeable};

/// The speed of a port, and the clock that it is made from. Lines are 8 bits, no parity, one stop bit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Config {
    /// The port's module clock in Hz.
    pub clock_hz: u32,
    /// Bits per second.
    pub baud: u32,
}

impl Config {
    /// The increment that is used: the modulator alone makes the speed.
    const INCREMENT: u32 = 15;

    /// The modulator: speed = clock / 16 * (increment + 1) / (modulator + 1), within 2 %: what a receiver forgives.
    fn modulator(self) -> Option<u32> {
        let (clock, baud) = (u64::from(self.clock_hz), u64::from(self.baud));
        let divisor = (clock + baud / 2).checked_div(baud)?;
        let near = clock.abs_diff(divisor * baud) * 50 <= divisor * baud;
        ((17..=0x1_0000).contains(&divisor) && near).then(|| divisor as u32 - 1)
    }
}

/// A port.
#[derive(Debug)]
pub struct ImxUart<I = Mmio> {
    io: I,
}

impl ImxUart<Mmio> {
    /// The port with its registers at `registers`, as it is: set up by somebody before, or by
    /// [`init`](Self::init).
    ///
    /// # Safety
    /// `registers` are those of an i.MX UART, mapped at their own addresses as device memory, and nobody else drives
    /// it.
    #[must_use]
    pub unsafe fn new(registers: PhysRange) -> Self {
        // SAFETY: as the caller vouches; the block accesses no memory.
        Self::over(unsafe { Mmio::identity(registers) })
    }
}

impl<I: Io> ImxUart<I> {
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
        let modulator = config.modulator().ok_or(ConsoleError::Speed(config.baud))?;
        self.drain()?;
        let io = &self.io;
        io.at(CR1).set(0);
        io.at(CR2).set(0);
        wait::until(|| io.at(CR2).is_set(UCR2::SRST))?;
        io.at(CR3).write(UCR3::RXDMUXSEL::SET);
        io.at(CR4).set(0);
        io.at(FCR)
            .write(UFCR::TXTL.val(2) + UFCR::RFDIV::By1 + UFCR::RXTL.val(1));
        io.at(CR1).write(UCR1::UARTEN::SET);
        io.at(CR2)
            .write(UCR2::SRST::SET + UCR2::IRTS::SET + UCR2::WS::SET + UCR2::TXEN::SET + UCR2::RXEN::SET);
        io.at(BIR).set(Config::INCREMENT);
        io.at(BMR).set(modulator);
        Ok(())
    }

    fn drain(&self) -> Result<(), TimedOut> {
        // A port that is off has nothing to send.
        wait::until(|| !self.io.at(CR1).is_set(UCR1::UARTEN) || self.io.at(SR2).is_set(USR2::TXDC))
    }

    fn has_room(&self) -> bool {
        !self.io.at(TS).is_set(UTS::TXFULL)
    }

    fn send_some(&mut self, bytes: &[u8]) -> usize {
        let mut sent = 0;
        while sent < bytes.len() && self.has_room() {
            self.io.at(TXD).set(u32::from(bytes[sent]));
            sent += 1;
        }
        sent
    }

    fn has_received(&self) -> bool {
        self.io.at(SR2).is_set(USR2::RDR)
    }

    /// The next received character, if there is one.
    ///
    /// # Errors
    /// [`Error::Overrun`], [`Error::Framing`]: the character it came with is dropped.
    pub fn read_byte(&mut self) -> Result<Option<u8>, Error> {
        let data = self.io.at(RXD).extract();
        if !data.is_set(URXD::CHARRDY) {
            return Ok(None);
        }
        if data.is_set(URXD::OVRRUN) {
            return Err(Error::Overrun);
        }
        if data.any_matching_bits_set(URXD::FRMERR::SET + URXD::BRK::SET + URXD::PRERR::SET) {
            return Err(Error::Framing);
        }
        Ok(Some(data.read(URXD::RX_DATA) as u8))
    }
}

impl<I: Io + Send> Console for ImxUart<I> {
    fn write_some(&mut self, bytes: &[u8]) -> usize {
        self.send_some(bytes)
    }
}

impl<I: Io> embedded_io::ErrorType for ImxUart<I> {
    type Error = Error;
}

impl<I: Io> embedded_io::Write for ImxUart<I> {
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

impl<I: Io> embedded_io::WriteReady for ImxUart<I> {
    fn write_ready(&mut self) -> Result<bool, Error> {
        Ok(self.has_room())
    }
}

impl<I: Io> embedded_io::Read for ImxUart<I> {
    fn read(&mut self, buf: &mut [u8]) -> Result<usize, Error> {
        if buf.is_empty() {
            return Ok(0);
        }
        wait::until(|| self.has_received())?;
        super::read_available(buf, || self.read_byte())
    }
}

impl<I: Io> embedded_io::ReadReady for ImxUart<I> {
    fn read_ready(&mut self) -> Result<bool, Error> {
        Ok(self.has_received())
    }
}
