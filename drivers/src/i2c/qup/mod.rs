//! The I2C controller of Qualcomm's older SoCs (MSM8916, APQ8016): QUP of a BLSP, version 2.
//!
//! What goes over the bus is told by tags between the bytes in the FIFOs. A message is cut into blocks that fit into the
//! FIFOs; between them the controller pauses, and holds the clock.

#[cfg(any(test, feature = "model"))]
pub mod model;
mod registers;
#[cfg(test)]
mod tests;

use super::{Address, Error, Message, Messages};
use crate::mmio::{Io, Mmio};
use crate::wait::{self, TimedOut};
use embedded_hal::i2c::{self, I2c, NoAcknowledgeSource, Operation, SevenBitAddress, TenBitAddress};
use leasehold_memory_map::PhysRange;
use registers::{
    BLOCK_SIZES, CONFIG, ERROR_FLAGS, I2C_CLK_CTL, I2C_MASTER_GEN, I2C_STATUS, IN_FIFO, IO_MODE, MX_INPUT_CNT,
    MX_OUTPUT_CNT, MX_READ_CNT, MX_WRITE_CNT, OPERATIONAL, OUT_FIFO, QUP_CONFIG, QUP_ERROR_FLAGS, QUP_I2C_CLK_CTL,
    QUP_I2C_MASTER_GEN, QUP_I2C_STATUS, QUP_IO_MODE, QUP_MX_CNT, QUP_OPERATIONAL, QUP_STATE, STATE, SW_RESET, tag,
};
use tock_registers::LocalRegisterCopy;
use tock_registers::fields::FieldValue;
use tock_registers::interfaces::{Readable, Writeable};

/// Bytes in a word of the FIFOs.
const BYTES_PER_WORD: usize = 4;

/// The most tags before the bytes of a block: start, address, what to do, count.
const TAGS: usize = 4;

/// The tags before the bytes that a block has read: what was done, count.
const READ_TAGS: usize = 2;

/// The most bytes of a block that is written, and of one that is read (Linux, QUP_READ_LIMIT and RECV_MAX_DATA_LEN).
const MAX_WRITE: usize = 256;
const MAX_READ: usize = 254;

/// Up to this speed in Hz SCL is high for half of a cycle, and for a third beyond.
const STANDARD_HZ: u32 = 100_000;

/// The most that the controller can, in Hz.
const FASTEST_HZ: u32 = 1_000_000;

/// Who sees to the controller's clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Clocking {
    /// Firmware has set the bus's speed up.
    Firmware,
    /// The controller's clock runs, and the driver divides it.
    Divided {
        /// That clock in Hz.
        clock_hz: u32,
        /// The bus's speed in Hz.
        hz: u32,
    },
}

/// Why a controller cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum QupError {
    /// Its clock cannot make the speed asked for. The value is that speed in Hz.
    Speed(u32),
    /// Its FIFOs have no size that is known. The value is IO_MODE.
    Fifo(u32),
    /// It did not reset within the bound. Its clock may be off.
    TimedOut,
}

impl From<TimedOut> for QupError {
    fn from(_: TimedOut) -> Self {
        Self::TimedOut
    }
}

impl core::fmt::Display for QupError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Self::Speed(hz) => write!(f, "the clock cannot make {hz} Hz"),
            Self::Fifo(mode) => write!(f, "FIFOs of unknown size: {mode:#x}"),
            Self::TimedOut => f.write_str("the controller did not reset in time"),
        }
    }
}

impl core::error::Error for QupError {}

/// The value of CLK_CTL for a speed (Linux qup_i2c_probe).
fn clock_control(clock_hz: u32, hz: u32) -> Option<u32> {
    if hz > FASTEST_HZ {
        return None;
    }
    let cycle = clock_hz.checked_div(hz)?;
    let (divider, high) = if hz <= STANDARD_HZ {
        ((cycle / 2).checked_sub(3)?, 0)
    } else {
        let divider = cycle.checked_sub(6)?.checked_mul(2)? / 3;
        (divider, divider / 2)
    };
    let fits = (1..=0xff).contains(&divider);
    fits.then(|| {
        (QUP_I2C_CLK_CTL::HIGH.val(high)
            + QUP_I2C_CLK_CTL::HS_DIVIDER.val(3)
            + QUP_I2C_CLK_CTL::FS_DIVIDER.val(divider))
        .value
    })
}

/// A block of a message.
struct Block {
    /// What is before its bytes in the FIFO.
    tags: heapless::Vec<u8, TAGS>,
    /// How many bytes it has.
    count: usize,
    read: bool,
    /// Nothing follows in the transaction.
    last: bool,
}

/// A controller.
#[derive(Debug)]
pub struct QupI2c<I = Mmio> {
    io: I,
    clock_control: u32,
    /// The most bytes of a block that is written, and of one that is read.
    limits: (usize, usize),
    /// A block of the transaction has been sent.
    running: bool,
}

impl QupI2c<Mmio> {
    /// The controller with its registers at `registers`. It needs [`init`](Self::init).
    ///
    /// # Safety
    /// `registers` are those of a QUP of version 2 in a BLSP, mapped at their own addresses as device memory, its clocks
    /// are on, nobody else drives it, and no target on its bus can break the program's memory.
    #[must_use]
    pub unsafe fn new(registers: PhysRange) -> Self {
        // SAFETY: as the caller vouches; without BAM the block accesses no memory.
        Self::over(unsafe { Mmio::identity(registers) })
    }
}

impl<I: Io> QupI2c<I> {
    /// The controller behind `io`.
    pub const fn over(io: I) -> Self {
        Self {
            io,
            clock_control: 0,
            limits: (0, 0),
            running: false,
        }
    }

    /// Resets the controller; what firmware was doing on the bus ends.
    ///
    /// # Errors
    /// [`QupError::Speed`]: it is as it was. [`QupError::Fifo`], [`QupError::TimedOut`].
    pub fn init(&mut self, clocking: Clocking) -> Result<(), QupError> {
        self.clock_control = match clocking {
            Clocking::Firmware => self.io.at(I2C_CLK_CTL).get(),
            Clocking::Divided { clock_hz, hz } => clock_control(clock_hz, hz).ok_or(QupError::Speed(hz))?,
        };
        self.reset()?;
        let mode = self.io.at(IO_MODE).extract();
        let size = |block, fifo| {
            let block = BLOCK_SIZES.get(mode.read(block) as usize)?;
            Some(block * (2 << mode.read(fifo)))
        };
        let sizes = (
            size(QUP_IO_MODE::OUTPUT_BLOCK_SIZE, QUP_IO_MODE::OUTPUT_FIFO_SIZE),
            size(QUP_IO_MODE::INPUT_BLOCK_SIZE, QUP_IO_MODE::INPUT_FIFO_SIZE),
        );
        let (Some(output), Some(input)) = sizes else {
            return Err(QupError::Fifo(mode.get()));
        };
        self.limits = ((output - TAGS).min(MAX_WRITE), (input - READ_TAGS).min(MAX_READ));
        if self.limits.0 == 0 {
            return Err(QupError::Fifo(mode.get()));
        }
        Ok(())
    }

    fn reset(&self) -> Result<(), TimedOut> {
        self.io.at(SW_RESET).set(1);
        self.await_state(QUP_STATE::STATE::Reset)
    }

    fn await_state(&self, state: FieldValue<u32, QUP_STATE::Register>) -> Result<(), TimedOut> {
        wait::until(|| {
            let now = self.io.at(STATE).extract();
            now.is_set(QUP_STATE::VALID) && now.matches_all(state)
        })
    }

    fn change_state(&self, state: FieldValue<u32, QUP_STATE::Register>) -> Result<(), TimedOut> {
        wait::until(|| self.io.at(STATE).is_set(QUP_STATE::VALID))?;
        self.io.at(STATE).write(state);
        self.await_state(state)
    }

    fn run(&mut self, address: Address, operations: &mut [Operation<'_>]) -> Result<(), Error> {
        for message in Messages::new(address, operations) {
            if message.len() == 0 {
                return Err(Error::Length(0));
            }
        }
        if operations.is_empty() {
            return Ok(());
        }
        let result = self
            .begin()
            .and_then(|()| Messages::new(address, operations).try_for_each(|message| self.message(message)))
            .and_then(|()| self.end());
        if result.is_err() {
            self.reset()?;
        }
        result
    }

    /// Makes the controller one for I2C, in FIFO mode.
    fn begin(&mut self) -> Result<(), Error> {
        if self.limits == (0, 0) {
            return Err(Error::Controller);
        }
        self.reset()?;
        let io = &self.io;
        io.at(CONFIG)
            .write(QUP_CONFIG::MINI_CORE::I2c + QUP_CONFIG::N.val(8 - 1));
        io.at(I2C_MASTER_GEN).write(QUP_I2C_MASTER_GEN::V2_TAGS_EN::SET);
        wait::until(|| io.at(STATE).is_set(QUP_STATE::I2C_MAST_GEN))?;
        io.at(IO_MODE).write(
            QUP_IO_MODE::PACK_EN::SET
                + QUP_IO_MODE::UNPACK_EN::SET
                + QUP_IO_MODE::INPUT_MODE::Fifo
                + QUP_IO_MODE::OUTPUT_MODE::Fifo,
        );
        io.at(MX_OUTPUT_CNT).set(0);
        io.at(MX_INPUT_CNT).set(0);
        self.forget();
        self.running = false;
        Ok(())
    }

    /// Waits until the bus is free, which is when the last byte has been acknowledged or not.
    fn end(&self) -> Result<(), Error> {
        wait::until(|| !self.io.at(I2C_STATUS).is_set(QUP_I2C_STATUS::BUS_ACTIVE))?;
        self.outcome()?;
        Ok(self.change_state(QUP_STATE::STATE::Reset)?)
    }

    fn message(&mut self, mut message: Message<'_, '_>) -> Result<(), Error> {
        let (len, more, read) = (message.len(), message.more, message.is_read());
        let limit = if read { self.limits.1 } else { self.limits.0 };
        let mut first = Some(message.address << 1 | u8::from(read));
        let mut left = len;
        let blocks = core::iter::from_fn(|| {
            let count = left.min(limit);
            if count == 0 {
                return None;
            }
            left -= count;
            let start = first.take();
            let tag = match (read, left == 0, more) {
                (false, true, false) => tag::DATA_WRITE_STOP,
                (false, ..) => tag::DATA_WRITE,
                (true, true, false) => tag::DATA_READ_STOP,
                (true, true, true) => tag::DATA_READ_NACK,
                (true, false, _) => tag::DATA_READ,
            };
            // A count of 256 is written as zero.
            let tags = start.into_iter().flat_map(|address| [tag::START, address]);
            Some(Block {
                tags: tags.chain([tag, count as u8]).collect(),
                count,
                read,
                last: left == 0 && !more,
            })
        });
        if read {
            let mut places = message.read();
            let mut put = |byte| {
                if let Some(place) = places.next() {
                    *place = byte;
                }
            };
            for block in blocks {
                self.transfer(&block, core::iter::empty(), &mut put)?;
            }
        } else {
            let mut bytes = message.written();
            for block in blocks {
                let count = block.count;
                self.transfer(&block, bytes.by_ref().take(count), |_| {})?;
            }
        }
        Ok(())
    }

    /// One block: out of `bytes`, or into `put`.
    fn transfer(&mut self, block: &Block, bytes: impl Iterator<Item = u8>, put: impl FnMut(u8)) -> Result<(), Error> {
        let io = &self.io;
        let written = if block.read { 0 } else { block.count };
        let count =
            |bytes: usize| QUP_MX_CNT::COUNT.val(bytes as u32) + QUP_MX_CNT::CONFIG_DURING_RUN.val(self.running.into());
        io.at(MX_WRITE_CNT).write(count(block.tags.len() + written));
        if block.read {
            io.at(MX_READ_CNT).write(count(READ_TAGS + block.count));
        }
        io.at(CONFIG).write(
            QUP_CONFIG::MINI_CORE::I2c + QUP_CONFIG::N.val(8 - 1) + QUP_CONFIG::NO_INPUT.val((!block.read).into()),
        );
        if !self.running {
            // The clock's divider is set in Run only.
            self.change_state(QUP_STATE::STATE::Run)?;
            io.at(I2C_CLK_CTL).set(self.clock_control);
            self.change_state(QUP_STATE::STATE::Pause)?;
        }
        self.fill(block.tags.iter().copied().chain(bytes));
        self.change_state(QUP_STATE::STATE::Run)?;
        self.running = true;
        self.await_service(block.read)?;
        if block.read {
            self.drain(block.count, put);
        }
        self.io
            .at(OPERATIONAL)
            .write(QUP_OPERATIONAL::IN_SVC::SET + QUP_OPERATIONAL::OUT_SVC::SET);
        if !block.last {
            self.change_state(QUP_STATE::STATE::Pause)?;
        }
        Ok(())
    }

    /// Puts a block into the FIFO, which is empty, and large enough for it.
    fn fill(&self, mut bytes: impl Iterator<Item = u8>) {
        while let Some(byte) = bytes.next() {
            let mut word = [byte, 0, 0, 0];
            for place in &mut word[1..] {
                *place = bytes.next().unwrap_or(0);
            }
            self.io.at(OUT_FIFO).set(u32::from_le_bytes(word));
        }
    }

    /// Takes a block out of the FIFO, where all of it is.
    fn drain(&self, count: usize, mut put: impl FnMut(u8)) {
        let mut skipped = READ_TAGS;
        let mut left = count;
        for _ in 0..(READ_TAGS + count).div_ceil(BYTES_PER_WORD) {
            for byte in self.io.at(IN_FIFO).get().to_le_bytes() {
                if skipped > 0 {
                    skipped -= 1;
                } else if left > 0 {
                    left -= 1;
                    put(byte);
                }
            }
        }
    }

    /// Waits until a block is through.
    fn await_service(&self, read: bool) -> Result<(), Error> {
        let service = if read {
            QUP_OPERATIONAL::IN_SVC::SET
        } else {
            QUP_OPERATIONAL::OUT_SVC::SET
        };
        let mut outcome = Ok(());
        wait::until(|| {
            outcome = self.outcome();
            outcome.is_err() || self.io.at(OPERATIONAL).matches_all(service)
        })?;
        outcome
    }

    /// Whether something has gone wrong.
    fn outcome(&self) -> Result<(), Error> {
        let status = self.io.at(I2C_STATUS).extract();
        if status.is_set(QUP_I2C_STATUS::PACKET_NACK) {
            return Err(Error::NoAcknowledge(NoAcknowledgeSource::Unknown));
        }
        if status.is_set(QUP_I2C_STATUS::ARB_LOST) {
            return Err(Error::ArbitrationLost);
        }
        if status.is_set(QUP_I2C_STATUS::BUS_ERROR) {
            return Err(Error::Bus);
        }
        let failed =
            status.any_matching_bits_set(failures()) || self.io.at(ERROR_FLAGS).read(QUP_ERROR_FLAGS::ERRORS) != 0;
        if failed {
            return Err(Error::Controller);
        }
        Ok(())
    }

    /// Forgets what has gone wrong, and what has been done.
    fn forget(&self) {
        let io = &self.io;
        io.at(ERROR_FLAGS).write(QUP_ERROR_FLAGS::ERRORS.val(0x1f));
        let seen: LocalRegisterCopy<u32, QUP_I2C_STATUS::Register> = io.at(I2C_STATUS).extract();
        io.at(I2C_STATUS).set(seen.get());
        io.at(OPERATIONAL)
            .write(QUP_OPERATIONAL::IN_SVC::SET + QUP_OPERATIONAL::OUT_SVC::SET);
    }
}

fn failures() -> FieldValue<u32, QUP_I2C_STATUS::Register> {
    QUP_I2C_STATUS::INVALID_READ_SEQ::SET
        + QUP_I2C_STATUS::INVALID_READ_ADDR::SET
        + QUP_I2C_STATUS::INVALID_TAG::SET
        + QUP_I2C_STATUS::FAILED.val(0b11)
        + QUP_I2C_STATUS::INVALID_WRITE::SET
}

impl<I: Io> i2c::ErrorType for QupI2c<I> {
    type Error = Error;
}

/// A transaction whose neighbouring operations of one kind have no bytes at all fails with [`Error::Length`]: a block has
/// at least one byte. The controller does not say what was not acknowledged.
impl<I: Io> I2c<SevenBitAddress> for QupI2c<I> {
    fn transaction(&mut self, address: u8, operations: &mut [Operation<'_>]) -> Result<(), Error> {
        self.run(Address::seven(address)?, operations)
    }
}

impl<I: Io> I2c<TenBitAddress> for QupI2c<I> {
    fn transaction(&mut self, address: u16, operations: &mut [Operation<'_>]) -> Result<(), Error> {
        self.run(Address::ten(address)?, operations)
    }
}
