//! The I2C controller of Qualcomm's newer SoCs: a GENI serial engine that firmware has made one.
//!
//! A message is one command of the engine, which sends the start and the address, and a stop or (STOP_STRETCH) none.
//! The engine knows addresses of seven bits; those of ten are put together from bytes.

#[cfg(any(test, feature = "model"))]
pub mod model;
mod registers;
#[cfg(test)]
mod tests;

use super::{Address, Error, Message, Messages};
use crate::geni::registers::{BYTES_PER_WORD, GENI_IRQ};
use crate::geni::{BitOrder, Divider, Engine, GeniError, Irq, Irqs, Packing, Protocol, QupVersion};
use crate::mmio::{Io, Mmio};
use crate::wait::TimedOut;
use embedded_hal::i2c::{self, I2c, NoAcknowledgeSource, Operation, SevenBitAddress, TenBitAddress};
use leasehold_memory_map::PhysRange;
use registers::{
    I2C_READ, I2C_SCL_COUNTERS, I2C_WRITE, PARAMS, SE_I2C_RX_TRANS_LEN, SE_I2C_SCL_COUNTERS, SE_I2C_TX_TRANS_LEN,
};
use tock_registers::interfaces::Writeable;

/// The most bytes in a message; the lengths' registers have 24 bits in the engine's SPI variant (Linux spi-geni-qcom.c,
/// TRANS_LEN_MSK).
const MAX_LEN: usize = 0xff_ffff;

/// How fast a bus is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Speed {
    /// 100 kHz.
    Standard,
    /// 400 kHz.
    Fast,
    /// 1 MHz.
    FastPlus,
}

impl Speed {
    /// The divider of 19.2 MHz, and how many ticks of what is left SCL is high and low, and its cycle takes (Linux
    /// i2c-qcom-geni.c, geni_i2c_clk_map; coreboot has the same).
    const fn timing(self) -> (Divider, [u32; 3]) {
        match self {
            Self::Standard => (Divider::exactly(7), [10, 11, 26]),
            Self::Fast => (Divider::exactly(2), [5, 12, 24]),
            Self::FastPlus => (Divider::exactly(1), [3, 9, 18]),
        }
    }
}

/// Who sees to the controller's clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Clocking {
    /// Firmware has set the bus's speed up.
    Firmware,
    /// The engine's clock is the crystal's, 19.2 MHz, and the driver divides it.
    Crystal(Speed),
}

/// A controller.
#[derive(Debug)]
pub struct GeniI2c<I = Mmio> {
    engine: Engine<I>,
    /// It is set up: otherwise nobody knows how its FIFOs' words are packed.
    ready: bool,
}

impl GeniI2c<Mmio> {
    /// The controller with its registers at `registers`, in a wrapper of version `version`. It needs
    /// [`init`](Self::init).
    ///
    /// # Safety
    /// `registers` are those of a GENI serial engine, mapped at their own addresses as device memory, its clocks are on,
    /// nobody else drives it, and no target on its bus can break the program's memory.
    #[must_use]
    pub unsafe fn new(registers: PhysRange, version: QupVersion) -> Self {
        // SAFETY: as the caller vouches; an engine that is driven by its FIFOs accesses no memory.
        Self::over(unsafe { Mmio::identity(registers) }, version)
    }
}

impl<I: Io> GeniI2c<I> {
    /// The controller behind `io`.
    pub const fn over(io: I, version: QupVersion) -> Self {
        Self {
            engine: Engine::over(io, version),
            ready: false,
        }
    }

    /// Sets the controller up, once a message in flight is through, or stopped when it does not come to an end.
    ///
    /// # Errors
    /// [`GeniError::Protocol`], [`GeniError::NoFifo`]: it is as it was. [`GeniError::TimedOut`].
    pub fn init(&mut self, clocking: Clocking) -> Result<(), GeniError> {
        self.engine.check(Protocol::I2c)?;
        self.ready = false;
        self.engine.settle()?;
        let packing = Packing::new(BYTES_PER_WORD, BitOrder::MsbFirst);
        self.engine.prepare(packing, packing);
        if let Clocking::Crystal(speed) = clocking {
            let (divider, [high, low, cycle]) = speed.timing();
            self.engine.set_divider(divider);
            self.engine.io.at(SE_I2C_SCL_COUNTERS).write(
                I2C_SCL_COUNTERS::HIGH.val(high) + I2C_SCL_COUNTERS::LOW.val(low) + I2C_SCL_COUNTERS::CYCLE.val(cycle),
            );
        }
        self.ready = true;
        Ok(())
    }

    fn run(&mut self, address: Address, operations: &mut [Operation<'_>]) -> Result<(), Error> {
        // Lengths first, so that a transaction that cannot be is not begun.
        for message in Messages::new(address, operations) {
            let len = message.len();
            if len == 0 || len > MAX_LEN {
                return Err(Error::Length(len));
            }
        }
        if !self.ready {
            return Err(Error::Controller);
        }
        self.free()?;
        Messages::new(address, operations).try_for_each(|message| self.message(message))
    }

    /// Stops a command that is still there after it has failed, and drops what it received.
    fn free(&self) -> Result<(), TimedOut> {
        if self.engine.main_active() {
            self.engine.stop()?;
        }
        self.engine.drop_received();
        Ok(())
    }

    fn message(&mut self, mut message: Message<'_, '_>) -> Result<(), Error> {
        let (address, len, more) = (message.address, message.len(), message.more);
        let address_bytes = message.address_bytes();
        let params = PARAMS::SLV_ADDR.val(address.into()) + PARAMS::STOP_STRETCH.val(more.into());
        let failures = failures();
        let ended = if message.is_read() {
            self.engine.io.at(SE_I2C_RX_TRANS_LEN).set(len as u32);
            self.engine.start(I2C_READ, params.value);
            let mut places = message.read();
            let put = |byte| {
                if let Some(place) = places.next() {
                    *place = byte;
                }
            };
            self.engine.exchange((0, || 0), (len, put), failures)
        } else {
            self.engine.io.at(SE_I2C_TX_TRANS_LEN).set(len as u32);
            self.engine.start(I2C_WRITE, params.value);
            let mut bytes = message.written();
            let next = || bytes.next().unwrap_or(0);
            self.engine.exchange((len, next), (0, |_| {}), failures)
        };
        let result = ended
            .map_err(Error::from)
            .and_then(|ended| self.outcome(ended, address_bytes));
        if result.is_err() {
            self.free()?;
            self.engine.forget();
        }
        result
    }

    /// What a command came to that ended with `status`, the first bytes of which were an address' rest. The bits' meaning: Linux i2c-qcom-geni.c, geni_i2c_irq.
    fn outcome(&self, (status, whole): (Irqs, bool), address_bytes: usize) -> Result<(), Error> {
        if status.is_set(GENI_IRQ::GP_IRQ_1) {
            // Nothing has moved when it was the start's byte that nobody acknowledged.
            let source = if self.engine.moved() as usize <= address_bytes {
                NoAcknowledgeSource::Address
            } else {
                NoAcknowledgeSource::Data
            };
            return Err(Error::NoAcknowledge(source));
        }
        if status.is_set(GENI_IRQ::GP_IRQ_4) {
            return Err(Error::ArbitrationLost);
        }
        if status.is_set(GENI_IRQ::GP_IRQ_3) {
            return Err(Error::Bus);
        }
        if status.any_matching_bits_set(failures()) || !whole {
            return Err(Error::Controller);
        }
        Ok(())
    }
}

fn failures() -> Irq {
    GENI_IRQ::CMD_OVERRUN::SET
        + GENI_IRQ::ILLEGAL_CMD::SET
        + GENI_IRQ::CMD_FAILURE::SET
        + GENI_IRQ::GP_IRQ_1::SET
        + GENI_IRQ::GP_IRQ_3::SET
        + GENI_IRQ::GP_IRQ_4::SET
}

impl<I: Io> i2c::ErrorType for GeniI2c<I> {
    type Error = Error;
}

/// A transaction whose neighbouring operations of one kind have no bytes at all fails with [`Error::Length`]: the engine
/// is not known to send an address alone.
impl<I: Io> I2c<SevenBitAddress> for GeniI2c<I> {
    fn transaction(&mut self, address: u8, operations: &mut [Operation<'_>]) -> Result<(), Error> {
        self.run(Address::seven(address)?, operations)
    }
}

impl<I: Io> I2c<TenBitAddress> for GeniI2c<I> {
    fn transaction(&mut self, address: u16, operations: &mut [Operation<'_>]) -> Result<(), Error> {
        self.run(Address::ten(address)?, operations)
    }
}
