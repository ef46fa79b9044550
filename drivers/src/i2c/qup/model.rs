//! A QUP that acts: states, FIFOs, and tags that it obeys, on a bus of [`i2c::model`](crate::i2c::model).
//!
//! It panics where a driver does what the block does not provide for.

use super::registers::{
    CONFIG, ERROR_FLAGS, I2C_CLK_CTL, I2C_MASTER_GEN, I2C_STATUS, IN_FIFO, IO_MODE, MX_INPUT_CNT, MX_OUTPUT_CNT,
    MX_READ_CNT, MX_WRITE_CNT, OPERATIONAL, OUT_FIFO, QUP_CONFIG, QUP_I2C_CLK_CTL, QUP_I2C_STATUS, QUP_IO_MODE,
    QUP_MX_CNT, QUP_OPERATIONAL, QUP_STATE, STATE, SW_RESET, tag,
};
use crate::i2c::model::{Bus, Trouble};
use crate::mmio::{Io, Width};
use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tock_registers::LocalRegisterCopy;

/// Bytes in each FIFO: four blocks of 16.
pub const FIFO: usize = 64;

const RESET: u32 = 0;
const RUN: u32 = 1;
const PAUSE: u32 = 3;

type Value<R> = LocalRegisterCopy<u32, R>;

/// What the tag that is obeyed asks for.
#[derive(Clone, Copy)]
enum Doing {
    Nothing,
    Write { left: usize, stop: bool },
    Read { left: usize, tag: u8 },
}

struct State {
    registers: BTreeMap<usize, u32>,
    state: u32,
    output: VecDeque<u8>,
    input: VecDeque<u8>,
    /// How many bytes of each FIFO the counts let through.
    to_write: usize,
    to_read: usize,
    operational: u32,
    status: u32,
    doing: Doing,
    bus: Bus,
    clocked: bool,
    loads: usize,
}

impl State {
    fn register(&self, offset: usize) -> u32 {
        self.registers.get(&offset).copied().unwrap_or(0)
    }

    fn reset(&mut self) {
        self.state = RESET;
        self.output.clear();
        self.input.clear();
        (self.to_write, self.to_read) = (0, 0);
        (self.operational, self.status) = (0, 0);
        self.doing = Doing::Nothing;
        self.registers.remove(&CONFIG.offset());
        self.registers.remove(&I2C_MASTER_GEN.offset());
        if !self.bus.is_idle() {
            self.bus.stop();
        }
    }

    fn fail(&mut self, status: u32) {
        self.status |= status;
        self.bus.stop();
        self.doing = Doing::Nothing;
        self.output.clear();
        self.to_write = 0;
    }

    fn next(&mut self) -> Option<u8> {
        if self.to_write == 0 {
            return None;
        }
        let byte = self.output.pop_front()?;
        self.to_write -= 1;
        if self.to_write == 0 {
            // What fills up the last word is not looked at.
            self.output.clear();
            self.operational |= QUP_OPERATIONAL::OUT_SVC::SET.value;
        }
        Some(byte)
    }

    fn receive(&mut self, byte: u8) {
        assert!(self.input.len() < FIFO, "overruns the FIFO");
        assert!(self.to_read > 0, "reads more than was announced");
        self.input.push_back(byte);
        self.to_read -= 1;
        if self.to_read == 0 {
            self.input.resize(self.input.len().next_multiple_of(4), 0);
            self.operational |= QUP_OPERATIONAL::IN_SVC::SET.value;
        }
    }

    fn step(&mut self) {
        if !self.clocked || self.state != RUN || self.status != 0 {
            return;
        }
        match self.doing {
            Doing::Nothing => self.obey(),
            Doing::Write { left, stop } => self.write(left, stop),
            Doing::Read { left, tag } => self.read(left, tag),
        }
    }

    fn disturbed(&mut self) -> bool {
        match self.bus.disturbed() {
            None => return false,
            Some(Trouble::Arbitration | Trouble::Hangs) => self.fail(QUP_I2C_STATUS::ARB_LOST::SET.value),
            Some(Trouble::Protocol) => self.fail(QUP_I2C_STATUS::BUS_ERROR::SET.value),
            Some(Trouble::EndsEarly) => self.fail(QUP_I2C_STATUS::INVALID_TAG::SET.value),
            Some(Trouble::ClockHeld) => {}
        }
        true
    }

    fn obey(&mut self) {
        if self.to_write == 0 || self.disturbed() {
            return;
        }
        let Some(tag) = self.next() else { return };
        let operand = self.next().expect("a tag without what belongs to it");
        let count = if operand == 0 { 256 } else { usize::from(operand) };
        match tag {
            tag::START => {
                if !self.bus.start(operand >> 1, operand & 1 != 0) {
                    self.fail(QUP_I2C_STATUS::PACKET_NACK::SET.value);
                }
            }
            tag::DATA_WRITE | tag::DATA_WRITE_STOP => {
                let stop = tag == tag::DATA_WRITE_STOP;
                self.doing = Doing::Write { left: count, stop };
            }
            tag::DATA_READ | tag::DATA_READ_NACK | tag::DATA_READ_STOP => {
                let config = Value::<QUP_CONFIG::Register>::new(self.register(CONFIG.offset()));
                assert!(!config.is_set(QUP_CONFIG::NO_INPUT), "reads without input");
                self.receive(tag);
                self.receive(operand);
                self.doing = Doing::Read { left: count, tag };
            }
            other => panic!("tag {other:#x}"),
        }
    }

    fn write(&mut self, left: usize, stop: bool) {
        if self.output.is_empty() || self.disturbed() {
            return;
        }
        let Some(byte) = self.next() else { return };
        if !self.bus.write(byte) {
            return self.fail(QUP_I2C_STATUS::PACKET_NACK::SET.value);
        }
        self.doing = Doing::Write { left: left - 1, stop };
        if left == 1 {
            self.doing = Doing::Nothing;
            if stop {
                self.bus.stop();
            }
        }
    }

    fn read(&mut self, left: usize, tag: u8) {
        if self.disturbed() {
            return;
        }
        let byte = self.bus.read(left > 1 || tag == tag::DATA_READ);
        self.doing = Doing::Read { left: left - 1, tag };
        if left == 1 {
            self.doing = Doing::Nothing;
            if tag == tag::DATA_READ_STOP {
                self.bus.stop();
            }
        }
        self.receive(byte);
    }

    fn set_state(&mut self, value: u32) {
        match (self.state, value & 0b11) {
            (RESET | PAUSE, RUN) => self.state = RUN,
            (RUN, PAUSE) => self.state = PAUSE,
            (RUN, RESET) => self.reset(),
            (now, wanted) if now == wanted => {}
            (now, wanted) => panic!("goes from state {now} to {wanted}"),
        }
    }

    fn count(&mut self, value: u32) -> usize {
        let value = Value::<QUP_MX_CNT::Register>::new(value);
        assert_eq!(
            value.is_set(QUP_MX_CNT::CONFIG_DURING_RUN),
            self.state != RESET,
            "a count at the wrong time"
        );
        value.read(QUP_MX_CNT::COUNT) as usize
    }

    fn load(&mut self, offset: usize) -> u32 {
        match offset {
            _ if offset == STATE.offset() => {
                let generates =
                    self.register(I2C_MASTER_GEN.offset()) != 0 && self.register(CONFIG.offset()) >> 8 & 0xf == 2;
                (QUP_STATE::STATE.val(self.state)
                    + QUP_STATE::VALID.val(self.clocked.into())
                    + QUP_STATE::I2C_MAST_GEN.val(generates.into()))
                .value
            }
            _ if offset == IO_MODE.offset() => {
                self.register(offset) & !0x3ff
                    | (QUP_IO_MODE::OUTPUT_BLOCK_SIZE.val(1)
                        + QUP_IO_MODE::OUTPUT_FIFO_SIZE.val(1)
                        + QUP_IO_MODE::INPUT_BLOCK_SIZE.val(1)
                        + QUP_IO_MODE::INPUT_FIFO_SIZE.val(1))
                    .value
            }
            _ if offset == OPERATIONAL.offset() => self.operational,
            _ if offset == ERROR_FLAGS.offset() => 0,
            _ if offset == I2C_STATUS.offset() => {
                self.status | QUP_I2C_STATUS::BUS_ACTIVE.val((!self.bus.is_idle()).into()).value
            }
            _ if offset == IN_FIFO.offset() => {
                let bytes = core::array::from_fn(|_| self.input.pop_front().expect("reads an empty FIFO"));
                u32::from_le_bytes(bytes)
            }
            _ if offset == I2C_CLK_CTL.offset() => self.register(offset),
            _ => panic!("reads {offset:#x}"),
        }
    }

    fn store(&mut self, offset: usize, value: u32) {
        match offset {
            _ if offset == SW_RESET.offset() => return self.reset(),
            _ if offset == STATE.offset() => return self.set_state(value),
            _ if offset == OPERATIONAL.offset() => self.operational &= !value,
            _ if offset == I2C_STATUS.offset() => self.status = 0,
            _ if offset == OUT_FIFO.offset() => {
                assert_eq!(self.state, PAUSE, "fills the FIFO in state {}", self.state);
                assert!(self.output.len() + 4 <= FIFO, "sends into a full FIFO");
                self.output.extend(value.to_le_bytes());
            }
            _ if offset == MX_WRITE_CNT.offset() => self.to_write = self.count(value),
            _ if offset == MX_READ_CNT.offset() => self.to_read = self.count(value),
            _ if offset == I2C_CLK_CTL.offset() => {
                assert_eq!(self.state, RUN, "sets the clock in state {}", self.state)
            }
            _ if offset == IO_MODE.offset() || offset == I2C_MASTER_GEN.offset() => {
                assert_eq!(self.state, RESET, "programs {offset:#x} in state {}", self.state);
            }
            _ if [
                CONFIG.offset(),
                ERROR_FLAGS.offset(),
                MX_OUTPUT_CNT.offset(),
                MX_INPUT_CNT.offset(),
            ]
            .contains(&offset) => {}
            _ => panic!("writes {offset:#x}"),
        }
        self.registers.insert(offset, value);
    }
}

/// The model; clones are handles of the same controller.
#[derive(Clone)]
pub struct Model(Arc<Mutex<State>>);

impl Model {
    /// A controller as firmware leaves it, with a divider of 24 in CLK_CTL, on a bus without targets.
    #[must_use]
    pub fn new() -> Self {
        let clock = (QUP_I2C_CLK_CTL::FS_DIVIDER.val(24) + QUP_I2C_CLK_CTL::HS_DIVIDER.val(3)).value;
        Self(Arc::new(Mutex::new(State {
            registers: [(I2C_CLK_CTL.offset(), clock)].into(),
            state: RESET,
            output: VecDeque::new(),
            input: VecDeque::new(),
            to_write: 0,
            to_read: 0,
            operational: 0,
            status: 0,
            doing: Doing::Nothing,
            bus: Bus::default(),
            clocked: true,
            loads: 0,
        })))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Looks at the bus, or changes it.
    pub fn bus<T>(&self, f: impl FnOnce(&mut Bus) -> T) -> T {
        f(&mut self.state().bus)
    }

    /// Stops the controller's clock, or starts it again: without it no state is valid.
    pub fn set_clocked(&self, on: bool) {
        self.state().clocked = on;
    }

    /// How often a driver has looked.
    #[must_use]
    pub fn loads(&self) -> usize {
        self.state().loads
    }

    /// CLK_CTL.
    #[must_use]
    pub fn clock_control(&self) -> u32 {
        self.state().register(I2C_CLK_CTL.offset())
    }
}

impl Default for Model {
    fn default() -> Self {
        Self::new()
    }
}

impl Io for Model {
    fn load<T: Width>(&self, offset: usize) -> T {
        assert_eq!(T::BYTES, 4, "a QUP is accessed by words");
        let mut state = self.state();
        state.loads += 1;
        if offset != IN_FIFO.offset() {
            state.step();
        }
        T::truncate(u64::from(state.load(offset)))
    }

    fn store<T: Width>(&self, offset: usize, value: T) {
        assert_eq!(T::BYTES, 4, "a QUP is accessed by words");
        self.state().store(offset, value.widen() as u32);
    }

    fn publish(&self) {}

    fn observe(&self) {}
}
