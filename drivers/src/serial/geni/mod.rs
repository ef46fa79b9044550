//! The debug port of Qualcomm's newer SoCs: a GENI serial engine that firmware has made a UART.
//!
//! Sending is by commands of a known length. Each of them takes no more than the transmit FIFO holds, so that all of it
//! is handed over at once, and nothing is ever owed to the engine. [`Console`] never waits: while a command runs it takes
//! nothing. A command that makes no progress is cancelled, then aborted; a port on which that does not help either
//! (its clock is off) loses what it is given, and [`lost`](GeniUart::lost) counts it, until it answers again.
//! The `embedded_io` traits wait as those traits do, but with a bound, and then fail.

#[cfg(any(test, feature = "model"))]
pub mod model;
mod registers;
#[cfg(test)]
mod tests;

pub use super::{Clocking, Error};

use crate::geni::registers::{BYTES_PER_WORD, GENI_IRQ, SE_GENI_S_IRQ_EN_CLEAR, SE_GENI_S_IRQ_EN_SET};
use crate::geni::{BitOrder, Divider, Ended, Engine, GeniError, Packing, Protocol, QupVersion};
use crate::mmio::{Io, Mmio};
use crate::wait::{self, POLLS, TimedOut};
use leasehold_hal::{Console, ConsoleError};
use leasehold_memory_map::PhysRange;
use registers::{
    SE_UART_RX_PARITY_CFG, SE_UART_RX_STALE_CNT, SE_UART_RX_TRANS_CFG, SE_UART_RX_WORD_LEN, SE_UART_TX_PARITY_CFG,
    SE_UART_TX_STOP_BIT_LEN, SE_UART_TX_TRANS_CFG, SE_UART_TX_TRANS_LEN, SE_UART_TX_WORD_LEN, UART_RX_STALE_CNT,
    UART_START_READ, UART_START_TX, UART_TX_STOP_BIT_LEN, UART_TX_TRANS_CFG,
};
use tock_registers::interfaces::Writeable;

/// A burst of received characters ends after a pause of 16 characters of 10 bits (Linux `qcom_geni_serial.c`,
/// STALE_TIMEOUT and DEFAULT_BITS_PER_CHAR).
const STALE_BITS: u32 = 16 * 10;

/// How far off the speed may be, in percent (Linux `qcom_geni_serial.c`, get_clk_div_rate).
const TOLERANCE: u64 = 5;

/// What the main sequencer does, as far as the driver knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sender {
    /// Whatever somebody else has told it, of words that are packed in whatever way: the port is not set up.
    Unknown,
    /// Nothing.
    Idle,
    /// A command of this many bytes.
    Sending(u32),
    /// It was told to cancel such a command.
    Cancelling(u32),
    /// It was told to abort such a command.
    Aborting(u32),
    /// It did not even do that.
    Stuck,
}

/// A port.
#[derive(Debug)]
pub struct GeniUart<I = Mmio> {
    engine: Engine<I>,
    sender: Sender,
    /// What had moved when it was last seen to move, and how often it has not since.
    seen: (u32, u32),
    lost: u64,
}

impl GeniUart<Mmio> {
    /// The port with its registers at `registers`, in a wrapper of version `version`. It takes nothing before
    /// [`init`](Self::init).
    ///
    /// # Safety
    /// `registers` are those of a GENI serial engine, mapped at their own addresses as device memory, its clocks are on,
    /// and nobody else drives it.
    #[must_use]
    pub unsafe fn new(registers: PhysRange, version: QupVersion) -> Self {
        // SAFETY: as the caller vouches; an engine that is driven by its FIFOs accesses no memory.
        Self::over(unsafe { Mmio::identity(registers) }, version)
    }
}

impl<I: Io> GeniUart<I> {
    /// The port behind `io`.
    pub const fn over(io: I, version: QupVersion) -> Self {
        Self {
            engine: Engine::over(io, version),
            sender: Sender::Unknown,
            seen: (0, 0),
            lost: 0,
        }
    }

    /// Sets the port up: lets what is being sent go out, or stops it when it does not; then 8N1, both ways, no flow
    /// control, no interrupts, no DMA.
    ///
    /// # Errors
    /// [`GeniError::Protocol`], [`GeniError::NoFifo`], and [`GeniError::Speed`] when the clock cannot make the speed:
    /// the port is as it was. [`GeniError::TimedOut`] when what runs on it cannot be stopped.
    pub fn init(&mut self, clocking: Clocking) -> Result<(), GeniError> {
        self.engine.check(Protocol::Uart)?;
        let divider = match clocking {
            Clocking::Firmware => None,
            Clocking::Divided { clock_hz, baud } => {
                let bit = u64::from(baud) * u64::from(self.engine.version().oversampling());
                Some(Divider::nearest(clock_hz, bit, TOLERANCE).ok_or(GeniError::Speed(baud))?)
            }
        };
        let sender = core::mem::replace(&mut self.sender, Sender::Unknown);
        let settled = self.engine.settle();
        if settled != Ok(Ended::Done)
            && let Sender::Sending(bytes) | Sender::Cancelling(bytes) | Sender::Aborting(bytes) = sender
        {
            self.lose_unsent(bytes);
        }
        settled?;
        self.engine.stop_secondary()?;
        // A received character has a FIFO word of its own, so that none waits for others.
        self.engine.prepare(
            Packing::new(BYTES_PER_WORD, BitOrder::LsbFirst),
            Packing::new(1, BitOrder::LsbFirst),
        );
        let io = &self.engine.io;
        io.at(SE_UART_TX_TRANS_CFG).write(UART_TX_TRANS_CFG::CTS_MASK::SET);
        io.at(SE_UART_TX_PARITY_CFG).set(0);
        io.at(SE_UART_TX_WORD_LEN).set(8);
        io.at(SE_UART_TX_STOP_BIT_LEN).write(UART_TX_STOP_BIT_LEN::LEN::One);
        io.at(SE_UART_RX_TRANS_CFG).set(0);
        io.at(SE_UART_RX_PARITY_CFG).set(0);
        io.at(SE_UART_RX_WORD_LEN).set(8);
        io.at(SE_UART_RX_STALE_CNT)
            .write(UART_RX_STALE_CNT::COUNT.val(STALE_BITS));
        if let Some(divider) = divider {
            self.engine.set_divider(divider);
        }
        self.engine.start_secondary(UART_START_READ);
        self.turn(Sender::Idle);
        Ok(())
    }

    /// How many bytes the port took and did not send.
    #[must_use]
    pub const fn lost(&self) -> u64 {
        self.lost
    }

    /// Lets the port raise an interrupt for received characters, or not.
    pub fn set_receive_interrupt(&mut self, enabled: bool) {
        let received = GENI_IRQ::RX_FIFO_WATERMARK::SET + GENI_IRQ::RX_FIFO_LAST::SET;
        if enabled {
            self.engine.io.at(SE_GENI_S_IRQ_EN_SET).write(received);
        } else {
            self.engine.io.at(SE_GENI_S_IRQ_EN_CLEAR).write(received);
        }
    }

    /// Looks once at what the main sequencer does, and moves on. `true` when it takes a command now.
    fn look(&mut self) -> bool {
        match self.sender {
            Sender::Idle => return true,
            Sender::Unknown => return false,
            Sender::Sending(_) | Sender::Cancelling(_) | Sender::Aborting(_) | Sender::Stuck => {}
        }
        if !self.engine.main_active() {
            if let Sender::Cancelling(bytes) | Sender::Aborting(bytes) = self.sender {
                self.lose_unsent(bytes);
            }
            self.turn(Sender::Idle);
            return true;
        }
        let moved = self.engine.moved();
        let (before, still) = self.seen;
        self.seen = if moved == before {
            (before, still.saturating_add(1))
        } else {
            (moved, 0)
        };
        if self.seen.1 >= POLLS {
            self.give_up();
        }
        false
    }

    /// The next step when the one before did not help.
    fn give_up(&mut self) {
        match self.sender {
            Sender::Sending(bytes) => {
                self.engine.cancel();
                self.turn(Sender::Cancelling(bytes));
            }
            Sender::Cancelling(bytes) => {
                self.engine.abort();
                self.turn(Sender::Aborting(bytes));
            }
            Sender::Aborting(bytes) => {
                self.lose_unsent(bytes);
                self.turn(Sender::Stuck);
            }
            Sender::Unknown | Sender::Idle | Sender::Stuck => {}
        }
    }

    fn turn(&mut self, sender: Sender) {
        self.sender = sender;
        self.seen = (self.seen.0, 0);
    }

    fn lose_unsent(&mut self, bytes: u32) {
        self.lost += u64::from(bytes.saturating_sub(self.engine.moved()));
    }

    /// Sends as much of `bytes` as fits into the FIFO of a sequencer that takes a command now.
    fn send(&mut self, bytes: &[u8]) -> usize {
        let count = bytes.len().min(self.engine.tx_depth() * BYTES_PER_WORD);
        if count == 0 {
            return 0;
        }
        self.engine.io.at(SE_UART_TX_TRANS_LEN).set(count as u32);
        self.engine.start(UART_START_TX, 0);
        for chunk in bytes[..count].chunks(BYTES_PER_WORD) {
            let mut word = [0; BYTES_PER_WORD];
            word[..chunk.len()].copy_from_slice(chunk);
            self.engine.push(u32::from_le_bytes(word));
        }
        self.sender = Sender::Sending(count as u32);
        self.seen = (0, 0);
        count
    }

    fn send_some(&mut self, bytes: &[u8]) -> usize {
        if self.look() {
            self.send(bytes)
        } else if self.sender == Sender::Stuck {
            self.lost += bytes.len() as u64;
            bytes.len()
        } else {
            0
        }
    }

    /// Waits until the sequencer takes a command. Slow lines are no error as long as something moves.
    fn wait_idle(&mut self) -> Result<(), TimedOut> {
        if self.sender == Sender::Unknown {
            return Err(TimedOut);
        }
        // Each round but the last moves something, and no command of the driver's moves more.
        for _ in 0..=self.engine.tx_depth() * BYTES_PER_WORD {
            let moved = self.engine.moved();
            let mut idle = false;
            wait::until(|| {
                idle = self.look();
                idle || self.engine.moved() != moved
            })?;
            if idle {
                return Ok(());
            }
        }
        Err(TimedOut)
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
        // The port's firmware uses GP_IRQ 0 and 1 for parity, 2 and 3 for breaks (Linux qcom_geni_serial_isr).
        let damage =
            GENI_IRQ::GP_IRQ_0::SET + GENI_IRQ::GP_IRQ_1::SET + GENI_IRQ::GP_IRQ_2::SET + GENI_IRQ::GP_IRQ_3::SET;
        let overrun = GENI_IRQ::RX_FIFO_WR_ERR::SET;
        let status = self.engine.secondary_status();
        let seen = damage + overrun + GENI_IRQ::RX_FIFO_LAST::SET;
        self.engine.forget_secondary(status.get() & seen.value);
        if status.any_matching_bits_set(overrun) {
            return Err(Error::Overrun);
        }
        if status.any_matching_bits_set(damage) {
            return Err(Error::Framing);
        }
        Ok(())
    }

    fn has_received(&self) -> bool {
        self.sender != Sender::Unknown && self.engine.rx_words() > 0
    }

    fn pop(&mut self) -> Option<u8> {
        if !self.has_received() {
            return None;
        }
        let byte = self.engine.pop() as u8;
        // It follows the FIFO's level, so it is forgotten after what lowers that, and comes back if it must.
        self.engine.forget_secondary(GENI_IRQ::RX_FIFO_WATERMARK::SET.value);
        Some(byte)
    }
}

impl From<GeniError> for ConsoleError {
    fn from(error: GeniError) -> Self {
        match error {
            GeniError::Speed(speed) => Self::Speed(speed),
            GeniError::TimedOut => Self::TimedOut,
            GeniError::Protocol(_) | GeniError::NoFifo => Self::Unfit,
        }
    }
}

impl<I: Io + Send> Console for GeniUart<I> {
    fn write_some(&mut self, bytes: &[u8]) -> usize {
        self.send_some(bytes)
    }
}

impl<I: Io> embedded_io::ErrorType for GeniUart<I> {
    type Error = Error;
}

impl<I: Io> embedded_io::Write for GeniUart<I> {
    fn write(&mut self, buf: &[u8]) -> Result<usize, Error> {
        if buf.is_empty() {
            return Ok(0);
        }
        self.wait_idle()?;
        Ok(self.send(buf))
    }

    fn flush(&mut self) -> Result<(), Error> {
        Ok(self.wait_idle()?)
    }
}

impl<I: Io> embedded_io::WriteReady for GeniUart<I> {
    fn write_ready(&mut self) -> Result<bool, Error> {
        Ok(self.look())
    }
}

impl<I: Io> embedded_io::Read for GeniUart<I> {
    fn read(&mut self, buf: &mut [u8]) -> Result<usize, Error> {
        if buf.is_empty() {
            return Ok(0);
        }
        self.check_received()?;
        wait::until(|| self.has_received())?;
        super::read_available(buf, || Ok(self.pop()))
    }
}

impl<I: Io> embedded_io::ReadReady for GeniUart<I> {
    fn read_ready(&mut self) -> Result<bool, Error> {
        Ok(self.has_received())
    }
}
