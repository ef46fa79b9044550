//! A UARTDM that acts: FIFOs, the packing buffer before the receive FIFO, and a line that a test moves. It panics where a
//! driver does what the block does not provide for.

use super::registers::{
    CR, CSR, CSR_DIVISORS, DMEN, DMRX, IMR, MR1, MR2, RF, RXFS, SR, TF, UART_DM_CR, UART_DM_CSR, UART_DM_DMEN,
    UART_DM_RXFS, UART_DM_SR,
};
use crate::mmio::{Io, Width};
use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::vec::Vec;
use tock_registers::LocalRegisterCopy;

/// Words in each FIFO (Linux msm_serial.c, fifosize).
pub const DEPTH: usize = 64;

type Value<R> = LocalRegisterCopy<u32, R>;

#[derive(Default)]
struct State {
    registers: BTreeMap<usize, u32>,
    transmits: bool,
    receives: bool,
    to_send: VecDeque<u8>,
    sent: Vec<u8>,
    packing: Vec<u8>,
    received: VecDeque<u32>,
    /// A transfer is armed by DMRX.
    armed: bool,
    stale: bool,
    stale_events: bool,
    errors: u32,
    transmit_on_poll: bool,
    loads: usize,
}

impl State {
    fn register(&self, offset: usize) -> u32 {
        self.registers.get(&offset).copied().unwrap_or(0)
    }

    fn transmit(&mut self, count: usize) {
        let count = count.min(self.to_send.len());
        self.sent.extend(self.to_send.drain(..count));
    }

    fn status(&mut self) -> u32 {
        if self.transmit_on_poll {
            self.transmit(1);
        }
        let mut status = Value::<UART_DM_SR::Register>::new(self.errors);
        status.modify(
            UART_DM_SR::TX_EMPTY.val(self.to_send.is_empty().into())
                + UART_DM_SR::TX_READY.val((self.transmits && self.to_send.len() < DEPTH).into())
                + UART_DM_SR::RX_READY.val((!self.received.is_empty()).into()),
        );
        status.get()
    }

    fn send(&mut self, word: u32) {
        let mode = Value::<UART_DM_DMEN::Register>::new(self.register(DMEN.offset()));
        assert!(self.transmits, "sends while disabled");
        assert!(mode.is_set(UART_DM_DMEN::TX_SC_ENABLE), "sends without a count");
        assert!(self.to_send.len() < DEPTH, "sends into a full FIFO");
        self.to_send.push_back(word as u8);
    }

    fn receive(&mut self, byte: u8) {
        if !self.receives || !self.armed {
            return;
        }
        if self.received.len() == DEPTH && self.packing.len() == 3 {
            self.errors |= UART_DM_SR::OVERRUN::SET.value;
            return;
        }
        self.packing.push(byte);
        if self.packing.len() == 4 {
            self.flush();
        }
    }

    fn flush(&mut self) {
        let mut word = [0; 4];
        word[..self.packing.len()].copy_from_slice(&self.packing);
        if !self.packing.is_empty() {
            self.received.push_back(u32::from_le_bytes(word));
        }
        self.packing.clear();
    }

    fn become_stale(&mut self) {
        self.flush();
        self.stale = true;
        self.armed = false;
    }

    fn control(&mut self, value: u32) {
        use UART_DM_CR::COMMAND::Value as Command;
        let value = Value::<UART_DM_CR::Register>::new(value);
        self.transmits |= value.is_set(UART_DM_CR::TX_EN);
        self.receives |= value.is_set(UART_DM_CR::RX_EN);
        if value.read(UART_DM_CR::COMMAND) == 0 {
            return;
        }
        match value.read_as_enum(UART_DM_CR::COMMAND) {
            Some(Command::ResetRx) => {
                self.packing.clear();
                self.received.clear();
                (self.receives, self.armed) = (false, false);
            }
            Some(Command::ResetTx) => {
                assert!(self.to_send.is_empty(), "resets while sending");
                self.transmits = false;
            }
            Some(Command::ResetErr) => {
                self.errors &= !(UART_DM_SR::OVERRUN::SET + UART_DM_SR::PAR_FRAME_ERR::SET).value;
            }
            Some(Command::ResetBreakInt) => self.errors &= !UART_DM_SR::RX_BREAK::SET.value,
            Some(Command::ResetStaleInt) => self.stale = false,
            Some(Command::ForceStale) => self.become_stale(),
            Some(Command::StaleEventDisable) => self.stale_events = false,
            None => panic!("command {:#x}", value.get()),
        }
    }

    fn load(&mut self, offset: usize) -> u32 {
        match offset {
            _ if offset == SR.offset() => self.status(),
            _ if offset == RF.offset() => self.received.pop_front().expect("reads an empty FIFO"),
            _ if offset == RXFS.offset() => UART_DM_RXFS::RX_BUFFER_STATE.val(self.packing.len() as u32).value,
            _ if [MR1.offset(), MR2.offset(), DMEN.offset(), DMRX.offset()].contains(&offset) => self.register(offset),
            _ => panic!("reads {offset:#x}"),
        }
    }

    fn store(&mut self, offset: usize, value: u32) {
        match offset {
            _ if offset == TF.offset() => self.send(value),
            _ if offset == CR.offset() => self.control(value),
            _ if offset == DMRX.offset() => {
                assert!(!self.stale, "begins a transfer before the stale event is reset");
                self.armed = value != 0;
            }
            _ if [MR1.offset(), MR2.offset(), DMEN.offset(), CSR.offset(), IMR.offset()].contains(&offset) => {
                assert!(self.to_send.is_empty(), "programs {offset:#x} while sending");
            }
            _ => panic!("writes {offset:#x}"),
        }
        self.registers.insert(offset, value);
    }
}

/// The model; clones are handles of the same port.
#[derive(Clone, Default)]
pub struct Model(Arc<Mutex<State>>);

impl Model {
    /// A port as firmware leaves it: sending, receiving with flow control, and telling of that and of pauses.
    #[must_use]
    pub fn new() -> Self {
        let model = Self::default();
        {
            let mut state = model.state();
            (state.transmits, state.receives, state.armed, state.stale_events) = (true, true, true, true);
            state.registers = [(MR1.offset(), 1 << 7), (IMR.offset(), 1 << 3)].into();
        }
        model
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Firmware is sending `text`.
    pub fn left_sending(&self, text: &[u8]) {
        self.state().to_send.extend(text);
    }

    /// Lets up to `count` characters go out.
    pub fn transmit(&self, count: usize) {
        self.state().transmit(count);
    }

    /// Lets one character go out each time a driver looks, or not.
    pub fn transmit_on_poll(&self, on: bool) {
        self.state().transmit_on_poll = on;
    }

    /// All that has gone out.
    #[must_use]
    pub fn sent(&self) -> Vec<u8> {
        self.state().sent.clone()
    }

    /// Lets `bytes` arrive, and then a pause. What arrives while nobody receives is lost.
    pub fn receive(&self, bytes: &[u8]) {
        let mut state = self.state();
        for byte in bytes {
            state.receive(*byte);
        }
        if state.stale_events {
            state.become_stale();
        }
    }

    /// A character arrives with a wrong parity or stop bit, and is dropped.
    pub fn receive_damaged(&self) {
        self.state().errors |= UART_DM_SR::PAR_FRAME_ERR::SET.value;
    }

    /// A break arrives.
    pub fn receive_break(&self) {
        self.state().errors |= UART_DM_SR::RX_BREAK::SET.value;
    }

    /// How often a driver has looked.
    #[must_use]
    pub fn loads(&self) -> usize {
        self.state().loads
    }

    /// MR1, MR2 and IMR.
    #[must_use]
    pub fn line(&self) -> (u32, u32, u32) {
        let state = self.state();
        let [mr1, mr2, imr] = [MR1.offset(), MR2.offset(), IMR.offset()].map(|offset| state.register(offset));
        (mr1, mr2, imr)
    }

    /// By how much the clock is divided, to receive and to send; `None` while that is as firmware left it.
    #[must_use]
    pub fn divisors(&self) -> Option<(u32, u32)> {
        let csr = Value::<UART_DM_CSR::Register>::new(*self.state().registers.get(&CSR.offset())?);
        let [receive, send] =
            [UART_DM_CSR::RX_CLOCK, UART_DM_CSR::TX_CLOCK].map(|field| CSR_DIVISORS[csr.read(field) as usize]);
        Some((receive, send))
    }
}

impl Io for Model {
    fn load<T: Width>(&self, offset: usize) -> T {
        assert_eq!(T::BYTES, 4, "a UARTDM is accessed by words");
        let mut state = self.state();
        state.loads += 1;
        T::truncate(u64::from(state.load(offset)))
    }

    fn store<T: Width>(&self, offset: usize, value: T) {
        assert_eq!(T::BYTES, 4, "a UARTDM is accessed by words");
        self.state().store(offset, value.widen() as u32);
    }

    fn publish(&self) {}

    fn observe(&self) {}
}
