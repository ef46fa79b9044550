//! The SPI controller of Qualcomm's newer SoCs: a GENI serial engine that firmware has made one.
//!
//! Words are bytes, the most significant bit first. Transfers of any length are cut into commands that fit into the FIFOs,
//! between which the chip select stays as it is, so that nothing can overrun. The chip select is the engine's own, by
//! [`select`](GeniSpi::select) and [`deselect`](GeniSpi::deselect), or else any pin.

#[cfg(any(test, feature = "model"))]
pub mod model;
mod registers;
#[cfg(test)]
mod tests;

use crate::geni::registers::{BYTES_PER_WORD, GENI_IRQ};
use crate::geni::{BitOrder, Divider, Engine, GeniError, Irq, Packing, Protocol, QupVersion};
use crate::mmio::{Io, Mmio};
use crate::wait::TimedOut;
use embedded_hal::spi::{self, ErrorKind, Mode, Phase, Polarity, SpiBus};
use leasehold_memory_map::PhysRange;
use registers::{
    PARAMS, SE_SPI_CPHA, SE_SPI_CPOL, SE_SPI_DEMUX_OUTPUT_INV, SE_SPI_DEMUX_SEL, SE_SPI_LOOPBACK, SE_SPI_RX_TRANS_LEN,
    SE_SPI_TRANS_CFG, SE_SPI_TX_TRANS_LEN, SE_SPI_WORD_LEN, SPI_CPHA, SPI_CPOL, SPI_CS_ASSERT, SPI_CS_DEASSERT,
    SPI_DEMUX_SEL, SPI_RX_ONLY, SPI_TRANS_CFG, SPI_TX_ONLY, SPI_WORD_LEN,
};
use tock_registers::interfaces::{ReadWriteable, Writeable};

/// Who sees to the controller's clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Clocking {
    /// Firmware has set the bus's speed up.
    Firmware,
    /// The engine's clock runs, and the driver divides it.
    Divided {
        /// That clock in Hz.
        clock_hz: u32,
        /// The most bits per second.
        hz: u32,
    },
}

/// One of an engine's chip selects: 0 to 3.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ChipSelect(u8);

impl ChipSelect {
    /// The chip select of this number.
    #[must_use]
    pub const fn new(number: u8) -> Option<Self> {
        if number < 4 { Some(Self(number)) } else { None }
    }
}

/// What transfers fail with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Error {
    /// The controller did not do what it was told, or is not set up.
    Controller,
    /// Nothing moved for too long: the controller has no clock.
    TimedOut,
}

impl From<TimedOut> for Error {
    fn from(_: TimedOut) -> Self {
        Self::TimedOut
    }
}

impl spi::Error for Error {
    fn kind(&self) -> ErrorKind {
        ErrorKind::Other
    }
}

impl core::fmt::Display for Error {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(match self {
            Self::Controller => "the controller failed",
            Self::TimedOut => "nothing moved in time",
        })
    }
}

impl core::error::Error for Error {}

/// A controller.
#[derive(Debug)]
pub struct GeniSpi<I = Mmio> {
    engine: Engine<I>,
    /// It is set up: otherwise nobody knows how its FIFOs' words are packed.
    ready: bool,
}

impl GeniSpi<Mmio> {
    /// The controller with its registers at `registers`, in a wrapper of version `version`. It needs
    /// [`init`](Self::init).
    ///
    /// # Safety
    /// `registers` are those of a GENI serial engine, mapped at their own addresses as device memory, its clocks are on,
    /// nobody else drives it, and nothing on its bus can break the program's memory.
    #[must_use]
    pub unsafe fn new(registers: PhysRange, version: QupVersion) -> Self {
        // SAFETY: as the caller vouches; an engine that is driven by its FIFOs accesses no memory.
        Self::over(unsafe { Mmio::identity(registers) }, version)
    }
}

impl<I: Io> GeniSpi<I> {
    /// The controller behind `io`.
    pub const fn over(io: I, version: QupVersion) -> Self {
        Self {
            engine: Engine::over(io, version),
            ready: false,
        }
    }

    /// Sets the controller up, once a command in flight is through, or stopped when it does not come to an end.
    ///
    /// # Errors
    /// [`GeniError::Protocol`], [`GeniError::NoFifo`], and [`GeniError::Speed`] when the clock cannot be divided down to
    /// the speed: it is as it was. [`GeniError::TimedOut`].
    pub fn init(&mut self, clocking: Clocking, mode: Mode) -> Result<(), GeniError> {
        self.engine.check(Protocol::Spi)?;
        let divider = match clocking {
            Clocking::Firmware => None,
            Clocking::Divided { clock_hz, hz } => {
                // The first version takes two clocks for a bit (Linux spi_geni_init).
                let clock_hz = if self.engine.version() == QupVersion::new(1, 0) {
                    clock_hz.div_ceil(2)
                } else {
                    clock_hz
                };
                Some(Divider::at_most(clock_hz, hz).ok_or(GeniError::Speed(hz))?)
            }
        };
        self.ready = false;
        self.engine.settle()?;
        let packing = Packing::new(BYTES_PER_WORD, BitOrder::MsbFirst);
        self.engine.prepare(packing, packing);
        let io = &self.engine.io;
        io.at(SE_SPI_LOOPBACK).set(0);
        io.at(SE_SPI_DEMUX_OUTPUT_INV).set(0);
        io.at(SE_SPI_TRANS_CFG).modify(SPI_TRANS_CFG::CS_TOGGLE::CLEAR);
        io.at(SE_SPI_WORD_LEN).write(SPI_WORD_LEN::WORD_LEN.val(8 - 4));
        io.at(SE_SPI_CPHA)
            .write(SPI_CPHA::CPHA.val((mode.phase == Phase::CaptureOnSecondTransition).into()));
        io.at(SE_SPI_CPOL)
            .write(SPI_CPOL::CPOL.val((mode.polarity == Polarity::IdleHigh).into()));
        if let Some(divider) = divider {
            self.engine.set_divider(divider);
        }
        self.ready = true;
        Ok(())
    }

    /// Pulls a chip select low.
    ///
    /// # Errors
    /// [`Error::Controller`], [`Error::TimedOut`].
    pub fn select(&mut self, chip: ChipSelect) -> Result<(), Error> {
        self.free()?;
        self.engine
            .io
            .at(SE_SPI_DEMUX_SEL)
            .write(SPI_DEMUX_SEL::CS.val(chip.0.into()));
        self.command(SPI_CS_ASSERT, 0, (0, || 0), (0, |_| {}))
    }

    /// Lets the chip select that was pulled low go high.
    ///
    /// # Errors
    /// [`Error::Controller`], [`Error::TimedOut`].
    pub fn deselect(&mut self) -> Result<(), Error> {
        self.free()?;
        self.command(SPI_CS_DEASSERT, 0, (0, || 0), (0, |_| {}))
    }

    /// Stops a command that is still there after it has failed, and drops what it received.
    fn free(&self) -> Result<(), Error> {
        if !self.ready {
            return Err(Error::Controller);
        }
        if self.engine.main_active() {
            self.engine.stop()?;
        }
        self.engine.drop_received();
        Ok(())
    }

    fn command(
        &mut self,
        opcode: u32,
        params: u32,
        send: (usize, impl FnMut() -> u8),
        receive: (usize, impl FnMut(u8)),
    ) -> Result<(), Error> {
        self.engine.start(opcode, params);
        let result = match self.engine.exchange(send, receive, failures()) {
            Ok((status, true)) if !status.any_matching_bits_set(failures()) => Ok(()),
            Ok(_) => Err(Error::Controller),
            Err(timed_out) => Err(timed_out.into()),
        };
        if result.is_err() {
            self.free()?;
        }
        self.engine.forget();
        result
    }

    /// Moves `sends` bytes out and `receives` bytes in, at the same time, in pieces that fit into the FIFOs.
    fn shift(
        &mut self,
        (sends, mut next): (usize, impl FnMut() -> u8),
        (receives, mut put): (usize, impl FnMut(u8)),
    ) -> Result<(), Error> {
        self.free()?;
        let piece = self.engine.tx_depth().min(self.engine.rx_depth()) * BYTES_PER_WORD;
        let (mut sent, mut received) = (0, 0);
        while (sent, received) != (sends, receives) {
            let (out, back) = (piece.min(sends - sent), piece.min(receives - received));
            if (out, back) == (0, 0) {
                return Err(Error::Controller);
            }
            let mut opcode = 0;
            if out > 0 {
                opcode |= SPI_TX_ONLY;
                self.engine.io.at(SE_SPI_TX_TRANS_LEN).set(out as u32);
            }
            if back > 0 {
                opcode |= SPI_RX_ONLY;
                self.engine.io.at(SE_SPI_RX_TRANS_LEN).set(back as u32);
            }
            let params = PARAMS::FRAGMENTATION::SET.value;
            self.command(opcode, params, (out, &mut next), (back, &mut put))?;
            sent += out;
            received += back;
        }
        Ok(())
    }
}

fn failures() -> Irq {
    GENI_IRQ::CMD_OVERRUN::SET
        + GENI_IRQ::ILLEGAL_CMD::SET
        + GENI_IRQ::CMD_FAILURE::SET
        + GENI_IRQ::RX_FIFO_WR_ERR::SET
        + GENI_IRQ::TX_FIFO_RD_ERR::SET
}

impl<I: Io> spi::ErrorType for GeniSpi<I> {
    type Error = Error;
}

impl<I: Io> SpiBus for GeniSpi<I> {
    fn read(&mut self, words: &mut [u8]) -> Result<(), Error> {
        let len = words.len();
        let mut places = words.iter_mut();
        self.shift(
            (0, || 0),
            (len, |byte| {
                if let Some(place) = places.next() {
                    *place = byte;
                }
            }),
        )
    }

    fn write(&mut self, words: &[u8]) -> Result<(), Error> {
        let mut bytes = words.iter();
        self.shift((words.len(), || bytes.next().copied().unwrap_or(0)), (0, |_| {}))
    }

    fn transfer(&mut self, read: &mut [u8], write: &[u8]) -> Result<(), Error> {
        let len = read.len().max(write.len());
        let (mut bytes, mut places) = (write.iter(), read.iter_mut());
        self.shift(
            (len, || bytes.next().copied().unwrap_or(0)),
            (len, |byte| {
                if let Some(place) = places.next() {
                    *place = byte;
                }
            }),
        )
    }

    fn transfer_in_place(&mut self, words: &mut [u8]) -> Result<(), Error> {
        let len = words.len();
        // Each byte goes out before the one in its place comes in.
        let words = core::cell::Cell::from_mut(words).as_slice_of_cells();
        let (mut bytes, mut places) = (words.iter(), words.iter());
        self.shift(
            (len, || bytes.next().map_or(0, |byte| byte.get())),
            (len, |byte| {
                if let Some(place) = places.next() {
                    place.set(byte);
                }
            }),
        )
    }

    fn flush(&mut self) -> Result<(), Error> {
        // Each transfer is seen through.
        Ok(())
    }
}
