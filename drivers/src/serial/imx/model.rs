//! An i.MX UART that acts: FIFOs of 32, a line that a test moves. It panics where a driver does what the manual
//! forbids.

use super::registers::{BIR, BMR, CR1, CR2, CR3, CR4, FCR, RXD, SR2, TS, TXD, UCR1, UCR2, URXD, USR2, UTS};
use crate::mmio::{Io, Width};
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::vec::Vec;
use tock_registers::LocalRegisterCopy;

/// Characters that either FIFO holds.
pub const FIFO_DEPTH: usize = 32;

type Value<R> = LocalRegisterCopy<u32, R>;

#[derive(Default)]
struct State {
    control: [u32; 4],
    fifo: u32,
    line: (u32, u32),
    increment: u32,
    to_send: VecDeque<u8>,
    sent: Vec<u8>,
    received: VecDeque<u32>,
    transmit_on_poll: bool,
}

impl State {
    fn transmit(&mut self, count: usize) {
        let count = count.min(self.to_send.len());
        self.sent.extend(self.to_send.drain(..count));
    }

    fn polled(&mut self) {
        if self.transmit_on_poll {
            self.transmit(1);
        }
    }

    fn status(&mut self) -> u32 {
        self.polled();
        let mut status = Value::<USR2::Register>::new(0);
        if self.to_send.is_empty() {
            status.modify(USR2::TXDC::SET);
        }
        if !self.received.is_empty() {
            status.modify(USR2::RDR::SET);
        }
        status.get()
    }

    fn test(&mut self) -> u32 {
        self.polled();
        let mut test = Value::<UTS::Register>::new(0);
        if self.to_send.len() >= FIFO_DEPTH {
            test.modify(UTS::TXFULL::SET);
        }
        test.get()
    }

    fn receive(&mut self) -> u32 {
        let Some(data) = self.received.pop_front() else {
            return 0;
        };
        let mut data = Value::<URXD::Register>::new(data);
        data.modify(URXD::CHARRDY::SET);
        data.get()
    }

    fn is_enabled(&self) -> bool {
        Value::<UCR1::Register>::new(self.control[0]).is_set(UCR1::UARTEN)
    }

    fn set_control2(&mut self, value: u32) {
        let mut control = Value::<UCR2::Register>::new(value);
        if !control.is_set(UCR2::SRST) {
            assert!(self.to_send.is_empty(), "throws away what is to be sent");
            self.received.clear();
            // The reset is over at once.
            control.set(0);
            control.modify(UCR2::SRST::SET);
        }
        self.control[1] = control.get();
    }

    fn send(&mut self, value: u32) {
        let control = Value::<UCR2::Register>::new(self.control[1]);
        assert!(self.is_enabled() && control.is_set(UCR2::TXEN), "sends while disabled");
        assert!(self.to_send.len() < FIFO_DEPTH, "sends into a full FIFO");
        self.to_send.push_back(value as u8);
    }
}

/// The model; clones are handles of the same port.
#[derive(Clone, Default)]
pub struct Model(Arc<Mutex<State>>);

impl Model {
    /// A port after reset: off.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
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

    /// Lets `bytes` arrive undamaged.
    pub fn receive(&self, bytes: &[u8]) {
        self.state().received.extend(bytes.iter().map(|byte| u32::from(*byte)));
    }

    /// Lets one character arrive, with the error bits of URXD.
    pub fn receive_raw(&self, data: u32) {
        self.state().received.push_back(data);
    }

    /// The increment and the modulator.
    #[must_use]
    pub fn line(&self) -> (u32, u32) {
        self.state().line
    }
}

impl Io for Model {
    fn load<T: Width>(&self, offset: usize) -> T {
        assert_eq!(T::BYTES, 4, "an i.MX UART is accessed by words");
        let mut state = self.state();
        let value = match offset {
            _ if offset == RXD.offset() => state.receive(),
            _ if offset == SR2.offset() => state.status(),
            _ if offset == TS.offset() => state.test(),
            _ if offset == CR1.offset() => state.control[0],
            _ if offset == CR2.offset() => state.control[1],
            _ => panic!("reads {offset:#x}"),
        };
        T::truncate(u64::from(value))
    }

    fn store<T: Width>(&self, offset: usize, value: T) {
        assert_eq!(T::BYTES, 4, "an i.MX UART is accessed by words");
        let value = value.widen() as u32;
        let mut state = self.state();
        match offset {
            _ if offset == TXD.offset() => state.send(value),
            _ if offset == CR1.offset() => state.control[0] = value,
            _ if offset == CR2.offset() => state.set_control2(value),
            _ if offset == CR3.offset() => state.control[2] = value,
            _ if offset == CR4.offset() => state.control[3] = value,
            _ if offset == FCR.offset() => state.fifo = value,
            _ if offset == BIR.offset() => state.increment = value,
            _ if offset == BMR.offset() => {
                assert!(state.is_enabled(), "the divider counts only while the port is on");
                state.line = (state.increment, value);
            }
            _ => panic!("writes {offset:#x}"),
        }
    }

    fn publish(&self) {}

    fn observe(&self) {}
}
