//! The UART of Qualcomm's older SoCs (MSM8916, APQ8016): UARTDM v1.4.
//!
//! Sending is in single-character mode, which owes the block nothing: no counts, no transfers. Receiving is by FIFO words
//! of four characters, and the rest of a burst is forced out of the block's packing buffer; stale events, which would do
//! that after a pause, are off, as they do not tell how many characters of a word count. So there is no interrupt for a
//! single received character: whoever reads polls.
//!
//! [`Console`] never waits. A port that does not take characters any more (its clock is off) loses what it is given, and
//! [`lost`](Uartdm::lost) counts it, until it takes characters again. The `embedded_io` traits wait as those traits do,
//! but with a bound, and then fail.

#[cfg(any(test, feature = "model"))]
pub mod model;
mod registers;
#[cfg(test)]
mod tests;

pub use super::{Clocking, Error};

use crate::mmio::{Io, Mmio};
use crate::wait::{self, POLLS, TimedOut};
use leasehold_hal::{Console, ConsoleError};
use leasehold_memory_map::PhysRange;
use registers::{
    CR, CSR, CSR_DIVISORS, DMEN, DMRX, DMRX_MAX, IMR, MR1, MR2, RF, RXFS, SR, TF, UART_DM_CR, UART_DM_CSR,
    UART_DM_DMEN, UART_DM_MR2, UART_DM_RXFS, UART_DM_SR,
};
use tock_registers::fields::FieldValue;
use tock_registers::interfaces::{Readable, Writeable};

/// How far off the speed may be, in percent.
const TOLERANCE: u64 = 2;

/// The code of CSR that makes `baud` out of `clock_hz`.
fn clock_code(clock_hz: u32, baud: u32) -> Option<u32> {
    let fits = |divisor: u32| {
        let target = u64::from(baud) * u64::from(divisor);
        target != 0 && u64::from(clock_hz).abs_diff(target) * 100 <= TOLERANCE * target
    };
    (0..)
        .zip(CSR_DIVISORS)
        .find_map(|(code, divisor)| fits(divisor).then_some(code))
}

/// A port.
#[derive(Debug)]
pub struct Uartdm<I = Mmio> {
    io: I,
    /// It is set up: otherwise nobody knows what its FIFOs' words mean.
    ready: bool,
    /// Received characters that have left the FIFO, the next one lowest, and how many those are.
    received: (u32, u8),
    /// How often in a row there was no room.
    still: u32,
    lost: u64,
}

impl Uartdm<Mmio> {
    /// The port with its registers at `registers`. It takes nothing before [`init`](Self::init).
    ///
    /// # Safety
    /// `registers` are those of a UARTDM v1.4, mapped at their own addresses as device memory, its clocks are on, and
    /// nobody else drives it.
    #[must_use]
    pub unsafe fn new(registers: PhysRange) -> Self {
        // SAFETY: as the caller vouches; without BAM the block accesses no memory.
        Self::over(unsafe { Mmio::identity(registers) })
    }
}

impl<I: Io> Uartdm<I> {
    /// The port behind `io`.
    pub const fn over(io: I) -> Self {
        Self {
            io,
            ready: false,
            received: (0, 0),
            still: 0,
            lost: 0,
        }
    }

    /// Sets the port up: lets what is being sent go out, then 8N1, both ways, no flow control, no interrupts, no DMA.
    ///
    /// # Errors
    /// [`ConsoleError::Speed`] when the clock cannot make the speed; the port is as it was.
    /// [`ConsoleError::TimedOut`] when characters do not go out.
    pub fn init(&mut self, clocking: Clocking) -> Result<(), ConsoleError> {
        let code = match clocking {
            Clocking::Firmware => None,
            Clocking::Divided { clock_hz, baud } => Some(clock_code(clock_hz, baud).ok_or(ConsoleError::Speed(baud))?),
        };
        self.ready = false;
        self.drain()?;
        let io = &self.io;
        io.at(IMR).set(0);
        if let Some(code) = code {
            io.at(CSR)
                .write(UART_DM_CSR::RX_CLOCK.val(code) + UART_DM_CSR::TX_CLOCK.val(code));
        }
        io.at(MR1).set(0);
        io.at(MR2).write(
            UART_DM_MR2::BITS_PER_CHAR::EightBits + UART_DM_MR2::STOP_BIT_LEN::One + UART_DM_MR2::PARITY_MODE::None,
        );
        for reset in [
            UART_DM_CR::COMMAND::ResetRx,
            UART_DM_CR::COMMAND::ResetTx,
            UART_DM_CR::COMMAND::ResetErr,
            UART_DM_CR::COMMAND::ResetBreakInt,
            UART_DM_CR::COMMAND::ResetStaleInt,
            UART_DM_CR::COMMAND::StaleEventDisable,
        ] {
            self.command(reset);
        }
        self.io.at(DMEN).write(UART_DM_DMEN::TX_SC_ENABLE::SET);
        self.io.at(CR).write(UART_DM_CR::TX_EN::SET + UART_DM_CR::RX_EN::SET);
        self.io.at(DMRX).set(DMRX_MAX);
        self.received = (0, 0);
        self.ready = true;
        Ok(())
    }

    /// How many bytes the port took and did not send.
    #[must_use]
    pub const fn lost(&self) -> u64 {
        self.lost
    }

    fn command(&self, command: FieldValue<u32, UART_DM_CR::Register>) {
        self.io.at(CR).write(command);
    }

    fn drain(&self) -> Result<(), TimedOut> {
        wait::until(|| self.io.at(SR).is_set(UART_DM_SR::TX_EMPTY))
    }

    fn has_room(&self) -> bool {
        self.ready && self.io.at(SR).is_set(UART_DM_SR::TX_READY)
    }

    /// Sends while there is room.
    fn send(&mut self, bytes: &[u8]) -> usize {
        let mut sent = 0;
        while sent < bytes.len() && self.has_room() {
            self.io.at(TF).set(u32::from(bytes[sent]));
            sent += 1;
        }
        sent
    }

    fn send_some(&mut self, bytes: &[u8]) -> usize {
        let sent = self.send(bytes);
        if sent > 0 || bytes.is_empty() || !self.ready {
            self.still = 0;
            return sent;
        }
        if self.still < POLLS {
            self.still += 1;
            return 0;
        }
        self.lost += bytes.len() as u64;
        bytes.len()
    }

    /// The next received character, if there is one.
    ///
    /// # Errors
    /// [`Error::Overrun`], [`Error::Framing`]: once for all that happened since the last call; the characters that are
    /// left are given by the next calls.
    pub fn read_byte(&mut self) -> Result<Option<u8>, Error> {
        self.check_received()?;
        Ok(self.pop())
    }

    fn check_received(&mut self) -> Result<(), Error> {
        let status = self.io.at(SR).extract();
        let error = if status.is_set(UART_DM_SR::OVERRUN) {
            Error::Overrun
        } else if status.any_matching_bits_set(UART_DM_SR::PAR_FRAME_ERR::SET + UART_DM_SR::RX_BREAK::SET) {
            Error::Framing
        } else {
            return Ok(());
        };
        self.command(UART_DM_CR::COMMAND::ResetErr);
        self.command(UART_DM_CR::COMMAND::ResetBreakInt);
        Err(error)
    }

    fn has_received(&self) -> bool {
        self.ready
            && (self.received.1 > 0
                || self.io.at(SR).is_set(UART_DM_SR::RX_READY)
                || self.io.at(RXFS).read(UART_DM_RXFS::RX_BUFFER_STATE) > 0)
    }

    fn pop(&mut self) -> Option<u8> {
        if !self.ready {
            return None;
        }
        if self.received.1 == 0 {
            self.received = self.fetch()?;
        }
        let (characters, count) = self.received;
        self.received = (characters >> 8, count - 1);
        Some(characters as u8)
    }

    /// A word out of the receive FIFO, or else what waits to become one; and how many characters those are.
    fn fetch(&self) -> Option<(u32, u8)> {
        if self.io.at(SR).is_set(UART_DM_SR::RX_READY) {
            return Some((self.io.at(RF).get(), 4));
        }
        let rest = self.io.at(RXFS).read(UART_DM_RXFS::RX_BUFFER_STATE);
        if rest == 0 {
            return None;
        }
        self.command(UART_DM_CR::COMMAND::ForceStale);
        let characters = self.io.at(RF).get();
        // The stale event has ended the transfer: begin another.
        self.command(UART_DM_CR::COMMAND::ResetStaleInt);
        self.io.at(DMRX).set(DMRX_MAX);
        Some((characters, rest.min(4) as u8))
    }
}

impl<I: Io + Send> Console for Uartdm<I> {
    fn write_some(&mut self, bytes: &[u8]) -> usize {
        self.send_some(bytes)
    }
}

impl<I: Io> embedded_io::ErrorType for Uartdm<I> {
    type Error = Error;
}

impl<I: Io> embedded_io::Write for Uartdm<I> {
    fn write(&mut self, buf: &[u8]) -> Result<usize, Error> {
        if buf.is_empty() {
            return Ok(0);
        }
        wait::until(|| self.has_room())?;
        Ok(self.send(buf))
    }

    fn flush(&mut self) -> Result<(), Error> {
        Ok(self.drain()?)
    }
}

impl<I: Io> embedded_io::WriteReady for Uartdm<I> {
    fn write_ready(&mut self) -> Result<bool, Error> {
        Ok(self.has_room())
    }
}

impl<I: Io> embedded_io::Read for Uartdm<I> {
    fn read(&mut self, buf: &mut [u8]) -> Result<usize, Error> {
        if buf.is_empty() {
            return Ok(0);
        }
        self.check_received()?;
        wait::until(|| self.has_received())?;
        super::read_available(buf, || Ok(self.pop()))
    }
}

impl<I: Io> embedded_io::ReadReady for Uartdm<I> {
    fn read_ready(&mut self) -> Result<bool, Error> {
        Ok(self.has_received())
    }
}
