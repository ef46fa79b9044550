//! The PrimeCell UART, PL011 (Arm DDI 0183).
//!
//! [`Console`] never waits. The `embedded_io` traits wait as those traits do, but with a bound, and then fail.

#[cfg(any(test, feature = "model"))]
pub mod model;
mod registers;

pub use super::Error;

use crate::mmio::{Io, Mmio};
use crate::wait::{self, TimedOut};
use leasehold_hal::{Console, ConsoleError};
use leasehold_memory_map::PhysRange;
use registers::{FIFO_DEPTH, UARTCR, UARTDR, UARTFBRD, UARTFR, UARTIBRD, UARTICR, UARTIMSC, UARTLCR_H};
use tock_registers::interfaces::{Readable, Writeable};

/// The speed of a port, and the clock that it is made from. Lines are 8 bits, no parity, one stop bit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Config {
    /// UARTCLK in Hz.
    pub clock_hz: u32,
    /// Bits per second.
    pub baud: u32,
}

impl Config {
    /// The divisor in 64ths: UARTCLK / (16 * baud), rounded to the nearest (DDI 0183, 3.3.6).
    fn divisor(self) -> Option<u32> {
        let baud = u64::from(self.baud);
        let divisor = (u64::from(self.clock_hz) * 4 + baud / 2).checked_div(baud)?;
        // UARTIBRD is 1 to 65535, and 65535 allows no fraction.
        (64..=65535 * 64).contains(&divisor).then_some(divisor as u32)
    }
}

/// A port.
#[derive(Debug)]
pub struct Pl011<I = Mmio> {
    io: I,
}

impl Pl011<Mmio> {
    /// The port with its registers at `registers`, as it is: set up by somebody before, or by
    /// [`init`](Self::init).
    ///
    /// # Safety
    /// `registers` are those of a PL011, mapped at their own addresses as device memory, and nobody else drives it.
    #[must_use]
    pub unsafe fn new(registers: PhysRange) -> Self {
        // SAFETY: as the caller vouches; a PL011 accesses no memory.
        Self::over(unsafe { Mmio::identity(registers) })
    }
}

impl<I: Io> Pl011<I> {
    /// The port behind `io`.
    pub const fn over(io: I) -> Self {
        Self { io }
    }

    /// Sets the port up: lets what is being sent go out, then 8N1 at the configured speed, FIFOs on, both ways, no flow
    /// control, no interrupts (DDI 0183, 3.3.8: disabled while it is programmed).
    ///
    /// # Errors
    /// [`ConsoleError::Speed`] when the clock cannot make the speed; the port is as it was.
    /// [`ConsoleError::TimedOut`] when characters do not go out.
    pub fn init(&mut self, config: Config) -> Result<(), ConsoleError> {
        let divisor = config.divisor().ok_or(ConsoleError::Speed(config.baud))?;
        self.drain()?;
        let io = &self.io;
        io.at(UARTCR).set(0);
        // FIFOs off empties them.
        io.at(UARTLCR_H).set(0);
        io.at(UARTIMSC).set(0);
        io.at(UARTICR).write(UARTICR::ALL::SET);
        io.at(UARTIBRD).write(UARTIBRD::BAUD_DIVINT.val(divisor >> 6));
        io.at(UARTFBRD).write(UARTFBRD::BAUD_DIVFRAC.val(divisor & 0x3f));
        io.at(UARTLCR_H).write(UARTLCR_H::WLEN::EightBits + UARTLCR_H::FEN::SET);
        io.at(UARTCR)
            .write(UARTCR::UARTEN::SET + UARTCR::TXE::SET + UARTCR::RXE::SET);
        Ok(())
    }

    /// Lets the port raise an interrupt for received characters, or not.
    pub fn set_receive_interrupt(&mut self, enabled: bool) {
        self.io.at(UARTIMSC).write(UARTIMSC::RXIM.val(u32::from(enabled)));
    }

    fn drain(&self) -> Result<(), TimedOut> {
        wait::until(|| !self.io.at(UARTFR).is_set(UARTFR::BUSY))
    }

    /// How many characters can be sent without looking again.
    fn room(&self) -> usize {
        let flags = self.io.at(UARTFR).extract();
        if flags.is_set(UARTFR::TXFE) {
            FIFO_DEPTH
        } else {
            usize::from(!flags.is_set(UARTFR::TXFF))
        }
    }

    fn send_some(&mut self, bytes: &[u8]) -> usize {
        let mut sent = 0;
        while sent < bytes.len() {
            let room = self.room().min(bytes.len() - sent);
            if room == 0 {
                break;
            }
            for byte in &bytes[sent..sent + room] {
                self.io.at(UARTDR).set(u32::from(*byte));
            }
            sent += room;
        }
        sent
    }

    /// The next received character, if there is one.
    ///
    /// # Errors
    /// [`Error::Overrun`], [`Error::Framing`]: the character it came with is dropped.
    pub fn read_byte(&mut self) -> Result<Option<u8>, Error> {
        if self.io.at(UARTFR).is_set(UARTFR::RXFE) {
            return Ok(None);
        }
        let data = self.io.at(UARTDR).extract();
        if data.is_set(UARTDR::OE) {
            return Err(Error::Overrun);
        }
        if data.any_matching_bits_set(UARTDR::BE::SET + UARTDR::PE::SET + UARTDR::FE::SET) {
            return Err(Error::Framing);
        }
        Ok(Some(data.read(UARTDR::DATA) as u8))
    }
}

impl<I: Io + Send> Console for Pl011<I> {
    fn write_some(&mut self, bytes: &[u8]) -> usize {
        self.send_some(bytes)
    }
}

impl<I: Io> embedded_io::ErrorType for Pl011<I> {
    type Error = Error;
}

impl<I: Io> embedded_io::Write for Pl011<I> {
    fn write(&mut self, buf: &[u8]) -> Result<usize, Error> {
        if buf.is_empty() {
            return Ok(0);
        }
        wait::until(|| self.room() > 0)?;
        Ok(self.send_some(buf))
    }

    fn flush(&mut self) -> Result<(), Error> {
        Ok(self.drain()?)
    }
}

impl<I: Io> embedded_io::WriteReady for Pl011<I> {
    fn write_ready(&mut self) -> Result<bool, Error> {
        Ok(self.room() > 0)
    }
}

impl<I: Io> embedded_io::Read for Pl011<I> {
    fn read(&mut self, buf: &mut [u8]) -> Result<usize, Error> {
        if buf.is_empty() {
            return Ok(0);
        }
        wait::until(|| !self.io.at(UARTFR).is_set(UARTFR::RXFE))?;
        super::read_available(buf, || self.read_byte())
    }
}

impl<I: Io> embedded_io::ReadReady for Pl011<I> {
    fn read_ready(&mut self) -> Result<bool, Error> {
        Ok(!self.io.at(UARTFR).is_set(UARTFR::RXFE))
    }
}

#[cfg(test)]
mod tests {
    use super::model::Model;
    use super::*;
    use embedded_io::{Read, ReadReady, Write, WriteReady};

    const CONFIG: Config = Config {
        clock_hz: 24_000_000,
        baud: 115_200,
    };

    fn port(model: &Model) -> Pl011<Model> {
        let mut port = Pl011::over(model.clone());
        port.init(CONFIG).unwrap();
        port
    }

    #[test]
    fn the_divisor_is_the_manuals() {
        // DDI 0183, 3.3.6: 4 MHz at 230400 is 1 and 5/64.
        let config = Config {
            clock_hz: 4_000_000,
            baud: 230_400,
        };
        assert_eq!(config.divisor(), Some(64 + 5));
        assert_eq!(CONFIG.divisor(), Some(13 * 64 + 1));
        for (clock_hz, baud) in [(24_000_000, 0), (24_000_000, 2_000_000), (24_000_000, 20), (0, 9600)] {
            assert_eq!(Config { clock_hz, baud }.divisor(), None);
        }
    }

    #[test]
    fn init_leaves_a_port_that_sends() {
        let model = Model::new();
        let mut port = port(&model);
        assert_eq!(model.line(), (13, 1, 0x70));
        assert_eq!(port.write_some(b"hello"), 5);
        model.transmit(5);
        assert_eq!(model.sent(), b"hello");
    }

    #[test]
    fn init_waits_for_what_is_being_sent() {
        let model = Model::new();
        port(&model).write_some(b"the last words");
        model.transmit_on_poll(true);
        port(&model);
        assert_eq!(model.sent(), b"the last words");
    }

    #[test]
    fn init_gives_up_on_a_port_that_does_not_send() {
        let model = Model::new();
        port(&model).write_some(b"stuck");
        assert_eq!(Pl011::over(model).init(CONFIG), Err(ConsoleError::TimedOut));
    }

    #[test]
    fn the_console_takes_what_fits_and_no_more() {
        let model = Model::new();
        let mut port = port(&model);
        let text = [b'x'; 40];
        assert_eq!(port.write_some(&text), FIFO_DEPTH);
        assert_eq!(port.write_some(&text[FIFO_DEPTH..]), 0);
        model.transmit(3);
        assert_eq!(port.write_some(&text[FIFO_DEPTH..]), 3);
        model.transmit(100);
        assert_eq!(model.sent(), &text[..FIFO_DEPTH + 3]);
    }

    #[test]
    fn write_waits_with_a_bound() {
        let model = Model::new();
        let mut port = port(&model);
        assert_eq!(port.write(b"sixteen letters."), Ok(16));
        assert_eq!(port.write_ready(), Ok(false));
        assert_eq!(port.write(b"x"), Err(Error::TimedOut));
        assert_eq!(port.flush(), Err(Error::TimedOut));
        model.transmit_on_poll(true);
        port.write_all(b" and many more than would fit at once").unwrap();
        port.flush().unwrap();
        assert_eq!(model.sent(), b"sixteen letters. and many more than would fit at once");
    }

    #[test]
    fn read_gives_what_has_arrived() {
        let model = Model::new();
        let mut port = port(&model);
        let mut buf = [0; 8];
        assert_eq!(port.read_ready(), Ok(false));
        assert_eq!(port.read(&mut buf), Err(Error::TimedOut));
        assert_eq!(port.read_byte(), Ok(None));
        model.receive(b"abc");
        assert_eq!(port.read_ready(), Ok(true));
        assert_eq!(port.read(&mut buf), Ok(3));
        assert_eq!(&buf[..3], b"abc");
    }

    #[test]
    fn damage_is_told_and_costs_one_character() {
        let model = Model::new();
        let mut port = port(&model);
        model.receive_raw(0x100 | u32::from(b'?'));
        model.receive_raw(0x800 | u32::from(b'!'));
        model.receive(b"ok");
        let mut buf = [0; 2];
        assert_eq!(port.read(&mut buf), Err(Error::Framing));
        assert_eq!(port.read(&mut buf), Err(Error::Overrun));
        assert_eq!(port.read(&mut buf), Ok(2));
        assert_eq!(&buf, b"ok");
    }
}
