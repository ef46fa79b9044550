//! The GENI serial engine of Qualcomm's QUP v3 wrapper: what a serial port, an I2C controller and an SPI controller have
//! in common.
//!
//! Firmware decides at boot what an engine speaks and clocks it. An engine has a main sequencer, which runs one command
//! at a time, and a secondary one, which serial ports use to receive. Here engines are driven by their FIFOs, never by
//! DMA.

#[cfg(any(test, feature = "model"))]
pub mod model;
mod packing;
pub(crate) mod registers;

pub use packing::BitOrder;
pub(crate) use packing::Packing;

use crate::mmio::Io;
use crate::wait::{self, TimedOut};
use registers::{
    BYTES_PER_WORD, GENI_CGC, GENI_CGC_CTRL, GENI_CMD_CTRL_REG, GENI_CMD0, GENI_FORCE_DEFAULT, GENI_FORCE_DEFAULT_REG,
    GENI_FW_REVISION, GENI_FW_REVISION_RO, GENI_IF_DISABLE, GENI_IF_DISABLE_RO, GENI_IRQ, GENI_OUTPUT,
    GENI_OUTPUT_CTRL, GENI_RX_FIFO_STATUS, GENI_SER_CLK_CFG, GENI_SER_M_CLK_CFG, GENI_SER_S_CLK_CFG, GENI_STATUS,
    GENI_TX_FIFO_STATUS, GENI_WATERMARK_REG, QUP_HW_VER, QUP_HW_VER_REG, SE_DMA_GENERAL, SE_DMA_GENERAL_CFG,
    SE_GENI_BYTE_GRAN, SE_GENI_DMA_MODE_EN, SE_GENI_M_CMD_CTRL_REG, SE_GENI_M_CMD0, SE_GENI_M_GP_LENGTH,
    SE_GENI_M_IRQ_CLEAR, SE_GENI_M_IRQ_EN, SE_GENI_M_IRQ_STATUS, SE_GENI_RX_FIFO, SE_GENI_RX_FIFO_STATUS,
    SE_GENI_RX_PACKING_CFG0, SE_GENI_RX_PACKING_CFG1, SE_GENI_RX_RFR_WATERMARK_REG, SE_GENI_RX_WATERMARK_REG,
    SE_GENI_S_CMD_CTRL_REG, SE_GENI_S_CMD0, SE_GENI_S_IRQ_CLEAR, SE_GENI_S_IRQ_EN, SE_GENI_S_IRQ_STATUS,
    SE_GENI_STATUS, SE_GENI_TX_FIFO, SE_GENI_TX_FIFO_STATUS, SE_GENI_TX_PACKING_CFG0, SE_GENI_TX_PACKING_CFG1,
    SE_GENI_TX_WATERMARK_REG, SE_GSI_EVENTS, SE_HW_PARAM, SE_HW_PARAM_0, SE_HW_PARAM_1, SE_IRQ, SE_IRQ_EN,
};
use tock_registers::LocalRegisterCopy;
use tock_registers::fields::FieldValue;
use tock_registers::interfaces::{Readable, Writeable};

/// The version of the QUP v3 wrapper that an engine is part of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct QupVersion {
    major: u16,
    minor: u16,
}

impl QupVersion {
    /// Version `major`.`minor`.
    #[must_use]
    pub const fn new(major: u16, minor: u16) -> Self {
        Self { major, minor }
    }

    /// What the wrapper whose registers are behind `wrapper` says (Linux `qcom-geni-se.c`, QUP_HW_VER_REG).
    pub fn read(wrapper: &impl Io) -> Self {
        let version = wrapper.at(QUP_HW_VER_REG).extract();
        Self::new(
            version.read(QUP_HW_VER::MAJOR) as u16,
            version.read(QUP_HW_VER::MINOR) as u16,
        )
    }

    /// Clocks in a bit of a serial port: 32, and 16 from version 2.5 on (Linux `qcom_geni_serial.c`,
    /// UART_OVERSAMPLING).
    #[must_use]
    pub const fn oversampling(self) -> u32 {
        if self.at_least(2, 5) { 16 } else { 32 }
    }

    /// FIFOs may have 64 words and more (Linux `geni-se.h`, TX_FIFO_DEPTH_MSK_256_BYTES).
    const fn deep(self) -> bool {
        self.at_least(3, 10)
    }

    const fn at_least(self, major: u16, minor: u16) -> bool {
        self.major > major || self.major == major && self.minor >= minor
    }
}

/// Why an engine cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum GeniError {
    /// It speaks something else, or nothing at all (0 or 255): the value is FW_REVISION's PROTOCOL.
    Protocol(u8),
    /// Firmware allows DMA only.
    NoFifo,
    /// Its clock cannot make the speed asked for. The value is that speed, in Hz or bits per second.
    Speed(u32),
    /// A command could be neither finished, nor cancelled, nor aborted within the bound. Its clock may be off.
    TimedOut,
}

impl From<TimedOut> for GeniError {
    fn from(_: TimedOut) -> Self {
        Self::TimedOut
    }
}

impl core::fmt::Display for GeniError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Self::Protocol(protocol) => write!(f, "the engine speaks protocol {protocol}"),
            Self::NoFifo => f.write_str("the engine's FIFOs are disabled"),
            Self::Speed(speed) => write!(f, "the clock cannot make {speed} per second"),
            Self::TimedOut => f.write_str("the engine did not stop in time"),
        }
    }
}

impl core::error::Error for GeniError {}

/// What an engine's firmware speaks (Linux `geni-se.h`, enum geni_se_protocol_type).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Protocol {
    Spi = 1,
    Uart = 2,
    I2c = 3,
}

/// Bits of the interrupt status of a sequencer.
pub(crate) type Irqs = LocalRegisterCopy<u32, GENI_IRQ::Register>;

/// Some of those bits.
pub(crate) type Irq = FieldValue<u32, GENI_IRQ::Register>;

/// How the main sequencer's command came to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ended {
    /// By itself; or there was none.
    Done,
    /// By CANCEL: at a boundary of what the protocol moves.
    Cancelled,
    /// By ABORT: anywhere.
    Aborted,
}

/// A divider of the engine's clock, 1 to 4095.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Divider(u16);

impl Divider {
    /// The divider that comes nearest to `target` from `clock` (both in Hz), when that is within `percent` of it.
    pub fn nearest(clock: u32, target: u64, percent: u64) -> Option<Self> {
        let clock = u64::from(clock);
        let divider = (clock + target / 2).checked_div(target)?;
        let within = (1..=0xfff).contains(&divider)
            && clock.abs_diff(target.checked_mul(divider)?) * 100 <= percent * target * divider;
        within.then_some(Self(divider as u16))
    }

    /// The least divider that does not go beyond `target` from `clock` (both in Hz).
    pub fn at_most(clock: u32, target: u32) -> Option<Self> {
        let divider = clock.checked_add(target.checked_sub(1)?)? / target;
        (1..=0xfff).contains(&divider).then_some(Self(divider as u16))
    }

    /// This very divider.
    pub const fn exactly(divider: u16) -> Self {
        assert!(
            1 <= divider && divider <= 0xfff,
            "the divider has 12 bits, and is not zero"
        );
        Self(divider)
    }

    const fn get(self) -> u32 {
        self.0 as u32
    }
}

/// An engine.
#[derive(Debug)]
pub(crate) struct Engine<I> {
    pub io: I,
    version: QupVersion,
}

impl<I: Io> Engine<I> {
    pub const fn over(io: I, version: QupVersion) -> Self {
        Self { io, version }
    }

    pub const fn version(&self) -> QupVersion {
        self.version
    }

    /// The engine speaks `protocol`, by FIFO.
    pub fn check(&self, protocol: Protocol) -> Result<(), GeniError> {
        let spoken = self.io.at(GENI_FW_REVISION).read(GENI_FW_REVISION_RO::PROTOCOL);
        if spoken != protocol as u32 {
            return Err(GeniError::Protocol(spoken as u8));
        }
        if self.io.at(GENI_IF_DISABLE).is_set(GENI_IF_DISABLE_RO::FIFO_IF_DISABLE) {
            return Err(GeniError::NoFifo);
        }
        Ok(())
    }

    /// Words that the transmit FIFO holds.
    pub fn tx_depth(&self) -> usize {
        self.depth(self.io.at(SE_HW_PARAM_0).read(SE_HW_PARAM::FIFO_DEPTH))
    }

    /// Words that the receive FIFO holds.
    pub fn rx_depth(&self) -> usize {
        self.depth(self.io.at(SE_HW_PARAM_1).read(SE_HW_PARAM::FIFO_DEPTH))
    }

    fn depth(&self, field: u32) -> usize {
        (if self.version.deep() { field } else { field & 0x3f }) as usize
    }

    /// Words in the transmit FIFO.
    fn tx_words(&self) -> usize {
        self.io.at(SE_GENI_TX_FIFO_STATUS).read(GENI_TX_FIFO_STATUS::TX_FIFO_WC) as usize
    }

    /// Words in the receive FIFO.
    pub fn rx_words(&self) -> usize {
        self.io.at(SE_GENI_RX_FIFO_STATUS).read(GENI_RX_FIFO_STATUS::RX_FIFO_WC) as usize
    }

    /// Puts a word into the transmit FIFO, which has room.
    pub fn push(&self, word: u32) {
        self.io.at(SE_GENI_TX_FIFO).set(word);
    }

    /// Takes a word out of the receive FIFO, which has one.
    pub fn pop(&self) -> u32 {
        self.io.at(SE_GENI_RX_FIFO).get()
    }

    /// What has happened to the main sequencer's command.
    fn status(&self) -> Irqs {
        self.io.at(SE_GENI_M_IRQ_STATUS).extract()
    }

    /// How many bytes the main sequencer's command has moved.
    pub fn moved(&self) -> u32 {
        self.io.at(SE_GENI_M_GP_LENGTH).get()
    }

    pub fn main_active(&self) -> bool {
        self.io.at(SE_GENI_STATUS).is_set(GENI_STATUS::M_GENI_CMD_ACTIVE)
    }

    pub fn secondary_active(&self) -> bool {
        self.io.at(SE_GENI_STATUS).is_set(GENI_STATUS::S_GENI_CMD_ACTIVE)
    }

    /// Starts a command of the main sequencer, which runs none. What the one before left is forgotten.
    pub fn start(&self, opcode: u32, params: u32) {
        self.forget();
        self.io
            .at(SE_GENI_M_CMD0)
            .write(GENI_CMD0::OPCODE.val(opcode) + GENI_CMD0::PARAMS.val(params));
    }

    /// Starts a command of the secondary sequencer, which runs none.
    pub fn start_secondary(&self, opcode: u32) {
        self.io.at(SE_GENI_S_IRQ_CLEAR).set(u32::MAX);
        self.io.at(SE_GENI_S_CMD0).write(GENI_CMD0::OPCODE.val(opcode));
    }

    /// Forgets what has happened to the main sequencer's commands.
    pub fn forget(&self) {
        self.io.at(SE_GENI_M_IRQ_CLEAR).set(u32::MAX);
    }

    /// Asks the main sequencer to stop at the next boundary.
    pub fn cancel(&self) {
        self.io.at(SE_GENI_M_CMD_CTRL_REG).write(GENI_CMD_CTRL_REG::CANCEL::SET);
    }

    /// Tells the main sequencer to stop where it is.
    pub fn abort(&self) {
        self.io.at(SE_GENI_M_CMD_CTRL_REG).write(GENI_CMD_CTRL_REG::ABORT::SET);
    }

    /// Lets the command in flight end, whoever started it: by itself, or else by cancelling it, or else by aborting it.
    pub fn settle(&self) -> Result<Ended, TimedOut> {
        if wait::until(|| !self.main_active()).is_ok() {
            self.forget();
            return Ok(Ended::Done);
        }
        self.stop()
    }

    /// Ends the command in flight now.
    pub fn stop(&self) -> Result<Ended, TimedOut> {
        self.cancel();
        let ended = if wait::until(|| !self.main_active()).is_ok() {
            Ended::Cancelled
        } else {
            self.abort();
            wait::until(|| !self.main_active())?;
            Ended::Aborted
        };
        self.forget();
        Ok(ended)
    }

    /// Ends the secondary sequencer's command, if it runs one, and drops what it has received.
    pub fn stop_secondary(&self) -> Result<(), TimedOut> {
        let control = self.io.at(SE_GENI_S_CMD_CTRL_REG);
        if self.secondary_active() {
            control.write(GENI_CMD_CTRL_REG::CANCEL::SET);
            // Received words keep a sequencer from ending.
            let drained = wait::until(|| {
                self.drop_received();
                !self.secondary_active()
            });
            if drained.is_err() {
                control.write(GENI_CMD_CTRL_REG::ABORT::SET);
                wait::until(|| !self.secondary_active())?;
            }
        }
        self.drop_received();
        self.io.at(SE_GENI_S_IRQ_CLEAR).set(u32::MAX);
        Ok(())
    }

    /// Drops the words that are in the receive FIFO now.
    pub fn drop_received(&self) {
        for _ in 0..self.rx_words().min(self.rx_depth()) {
            self.pop();
        }
    }

    /// Sees the main sequencer's command through, with `sends` bytes from `next` and `receives` bytes to `put`, four to a
    /// FIFO word. `failures` end it too. Returned are what has happened at its end, and whether all bytes were moved.
    pub fn exchange(
        &self,
        (sends, mut next): (usize, impl FnMut() -> u8),
        (receives, mut put): (usize, impl FnMut(u8)),
        failures: Irq,
    ) -> Result<(Irqs, bool), TimedOut> {
        let (mut to_send, mut to_receive) = (sends, receives);
        let depth = self.tx_depth();
        // Each round but the last moves something.
        for _ in 0..=sends + receives {
            let mut ended = None;
            wait::until(|| {
                let status = self.status();
                if status.any_matching_bits_set(failures) {
                    ended = Some(status);
                    return true;
                }
                let before = (to_send, to_receive);
                for _ in 0..self.rx_words().min(to_receive.div_ceil(BYTES_PER_WORD)) {
                    let count = to_receive.min(BYTES_PER_WORD);
                    self.pop().to_le_bytes()[..count].iter().for_each(|byte| put(*byte));
                    to_receive -= count;
                }
                for _ in 0..depth
                    .saturating_sub(self.tx_words())
                    .min(to_send.div_ceil(BYTES_PER_WORD))
                {
                    let count = to_send.min(BYTES_PER_WORD);
                    let mut word = [0; BYTES_PER_WORD];
                    word[..count].fill_with(&mut next);
                    self.push(u32::from_le_bytes(word));
                    to_send -= count;
                }
                let moved = (to_send, to_receive) != before;
                if status.is_set(GENI_IRQ::CMD_DONE) {
                    ended = Some(status);
                }
                moved || ended.is_some()
            })?;
            if let Some(status) = ended {
                return Ok((status, (to_send, to_receive) == (0, 0)));
            }
        }
        Err(TimedOut)
    }

    /// Prepares an engine that runs no command to be driven by its FIFOs, without interrupts; Linux `qcom-geni-se.c`,
    /// `geni_se_init` and `geni_se_select_mode`.
    pub fn prepare(&self, tx: Packing, rx: Packing) {
        let io = &self.io;
        io.at(SE_GSI_EVENTS).set(0);
        io.at(SE_GENI_DMA_MODE_EN).set(0);
        io.at(SE_GENI_M_IRQ_EN).set(0);
        io.at(SE_GENI_S_IRQ_EN).set(0);
        self.forget();
        io.at(SE_GENI_S_IRQ_CLEAR).set(u32::MAX);
        io.at(SE_IRQ).write(SE_IRQ_EN::GENI_M::SET + SE_IRQ_EN::GENI_S::SET);
        self.add(GENI_CGC, GENI_CGC_CTRL::CGC_ON.val(0x7f));
        self.add(SE_DMA_GENERAL, SE_DMA_GENERAL_CFG::CGC_ON.val(0xf));
        io.at(GENI_OUTPUT).write(GENI_OUTPUT_CTRL::IO_OUTPUT.val(0x7f));
        io.at(GENI_FORCE_DEFAULT)
            .write(GENI_FORCE_DEFAULT_REG::FORCE_DEFAULT::SET);
        io.at(SE_GENI_TX_PACKING_CFG0).set(tx.cfg0);
        io.at(SE_GENI_TX_PACKING_CFG1).set(tx.cfg1);
        io.at(SE_GENI_RX_PACKING_CFG0).set(rx.cfg0);
        io.at(SE_GENI_RX_PACKING_CFG1).set(rx.cfg1);
        // Units of one byte.
        io.at(SE_GENI_BYTE_GRAN).set(0);
        io.at(SE_GENI_TX_WATERMARK_REG)
            .write(GENI_WATERMARK_REG::WATERMARK.val(0));
        io.at(SE_GENI_RX_WATERMARK_REG)
            .write(GENI_WATERMARK_REG::WATERMARK.val(1));
        let ready = self.rx_depth().saturating_sub(2) as u32;
        io.at(SE_GENI_RX_RFR_WATERMARK_REG)
            .write(GENI_WATERMARK_REG::WATERMARK.val(ready.min(0x3f)));
    }

    /// Divides the engine's clock, for both sequencers.
    pub fn set_divider(&self, divider: Divider) {
        let clock = GENI_SER_CLK_CFG::CLK_DIV.val(divider.get()) + GENI_SER_CLK_CFG::SER_CLK_EN::SET;
        self.io.at(GENI_SER_M_CLK_CFG).write(clock);
        self.io.at(GENI_SER_S_CLK_CFG).write(clock);
    }

    /// What has happened to the secondary sequencer's command.
    pub fn secondary_status(&self) -> Irqs {
        self.io.at(SE_GENI_S_IRQ_STATUS).extract()
    }

    /// Forgets `seen` of what has happened to the secondary sequencer's command.
    pub fn forget_secondary(&self, seen: u32) {
        self.io.at(SE_GENI_S_IRQ_CLEAR).set(seen);
    }

    fn add<R: tock_registers::RegisterLongName>(&self, to: crate::mmio::Rw<u32, R>, field: FieldValue<u32, R>) {
        let register = self.io.at(to);
        register.set(field.modify(register.get()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mmio::Width;
    use proptest::prelude::*;

    struct Wrapper(u32);

    impl Io for Wrapper {
        fn load<T: Width>(&self, offset: usize) -> T {
            assert_eq!(offset, 4);
            T::truncate(u64::from(self.0))
        }

        fn store<T: Width>(&self, _: usize, _: T) {
            panic!("writes the wrapper")
        }

        fn publish(&self) {}

        fn observe(&self) {}
    }

    #[test]
    fn versions_say_what_changed() {
        let of = |raw| QupVersion::read(&Wrapper(raw));
        assert_eq!(of(0x2004_0001), QupVersion::new(2, 4));
        assert_eq!(of(0x2004_0001).oversampling(), 32);
        // Linux, QUP_SE_VERSION_2_5.
        assert_eq!(of(0x2005_0000).oversampling(), 16);
        assert!(!of(0x3009_0000).deep());
        assert!(of(0x300a_0000).deep() && of(0x4000_0000).deep());
    }

    #[test]
    fn dividers_are_those_of_other_drivers() {
        // coreboot, qupv3_uart.c: 19.2 MHz, 16 clocks in a bit.
        assert_eq!(Divider::nearest(19_200_000, 115_200 * 16, 5), Some(Divider(10)));
        assert_eq!(Divider::nearest(7_372_800, 115_200 * 32, 2), Some(Divider(2)));
        for (clock, target) in [(19_200_000, 0), (0, 1), (19_200_000, 1), (1_000_000, 3_000_000)] {
            assert_eq!(Divider::nearest(clock, target, 5), None);
        }
        assert_eq!(Divider::at_most(19_200_000, 1_000_000), Some(Divider(20)));
        assert_eq!(Divider::at_most(19_200_000, 50_000_000), Some(Divider(1)));
        for (clock, target) in [(19_200_000, 0), (0, 1), (19_200_000, 4_000), (u32::MAX, u32::MAX)] {
            assert_eq!(Divider::at_most(clock, target), None);
        }
    }

    proptest! {
        #[test]
        fn a_divider_keeps_its_promise(clock: u32, target in 1u32..) {
            if let Some(divider) = Divider::nearest(clock, u64::from(target), 5) {
                let made = f64::from(clock) / f64::from(divider.0);
                prop_assert!((made - f64::from(target)).abs() <= f64::from(target) * 0.050_001);
            }
            if let Some(divider) = Divider::at_most(clock, target) {
                prop_assert!(u64::from(clock) <= u64::from(target) * u64::from(divider.0));
                prop_assert!(divider.0 == 1 || u64::from(clock) > u64::from(target) * u64::from(divider.0 - 1));
            }
        }
    }
}
