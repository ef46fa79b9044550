//! A Cadence UART that acts: a FIFO of 64, a line that a test moves. It panics where a driver does what the manual
//! forbids.

use super::registers::{BDIVR, BRGR, CONTROL, CR, IDR, MR, SR, STATUS, TXRX};
use crate::mmio::{Io, Width};
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::vec::Vec;
use tock_registers::LocalRegisterCopy;

/// Characters that either FIFO holds on Zynq UltraScale+.
pub const FIFO_DEPTH: usize = 64;

type Value<R> = LocalRegisterCopy<u32, R>;

#[derive(Default)]
struct State {
    control: u32,
    line: (u32, u32, u32),
    to_send: VecDeque<u8>,
    sent: Vec<u8>,
    received: VecDeque<u8>,
    transmit_on_poll: bool,
}

impl State {
    fn transmit(&mut self, count: usize) {
        let count = count.min(self.to_send.len());
        self.sent.extend(self.to_send.drain(..count));
    }

    fn status(&mut self) -> u32 {
        if self.transmit_on_poll {
            self.transmit(1);
        }
        let mut status = Value::<STATUS::Register>::new(0);
        status.modify(if self.to_send.is_empty() {
            STATUS::TEMPTY::SET
        } else {
            STATUS::TACTIVE::SET
        });
        if self.to_send.len() >= FIFO_DEPTH {
            status.modify(STATUS::TFUL::SET);
        }
        if self.received.is_empty() {
            status.modify(STATUS::REMPTY::SET);
        }
        status.get()
    }

    fn sends(&self) -> bool {
        let control = Value::<CONTROL::Register>::new(self.control);
        control.is_set(CONTROL::TXEN) && !control.is_set(CONTROL::TXDIS)
    }

    fn set_control(&mut self, value: u32) {
        let mut control = Value::<CONTROL::Register>::new(value);
        if control.is_set(CONTROL::TXRES) || control.is_set(CONTROL::TXDIS) {
            assert!(self.to_send.is_empty(), "throws away what is to be sent");
        }
        if control.is_set(CONTROL::RXRES) {
            self.received.clear();
        }
        control.modify(CONTROL::TXRES::CLEAR + CONTROL::RXRES::CLEAR);
        self.control = control.get();
    }

    fn set_line(&mut self, set: impl FnOnce(&mut (u32, u32, u32))) {
        assert!(!self.sends(), "programs the line while enabled");
        set(&mut self.line);
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

    /// Lets `bytes` arrive.
    pub fn receive(&self, bytes: &[u8]) {
        self.state().received.extend(bytes);
    }

    /// The mode register and both dividers.
    #[must_use]
    pub fn line(&self) -> (u32, u32, u32) {
        self.state().line
    }
}

impl Io for Model {
    fn load<T: Width>(&self, offset: usize) -> T {
        assert_eq!(T::BYTES, 4, "a Cadence UART is accessed by words");
        let mut state = self.state();
        let value = match offset {
            _ if offset == TXRX.offset() => u32::from(state.received.pop_front().expect("reads an empty FIFO")),
            _ if offset == SR.offset() => state.status(),
            _ if offset == CR.offset() => state.control,
            _ => panic!("reads {offset:#x}"),
        };
        T::truncate(u64::from(value))
    }

    fn store<T: Width>(&self, offset: usize, value: T) {
        assert_eq!(T::BYTES, 4, "a Cadence UART is accessed by words");
        let value = value.widen() as u32;
        let mut state = self.state();
        match offset {
            _ if offset == TXRX.offset() => {
                assert!(state.sends(), "sends while disabled");
                assert!(state.to_send.len() < FIFO_DEPTH, "sends into a full FIFO");
                state.to_send.push_back(value as u8);
            }
            _ if offset == MR.offset() => state.set_line(|line| line.0 = value),
            _ if offset == BRGR.offset() => state.set_line(|line| line.1 = value),
            _ if offset == BDIVR.offset() => state.set_line(|line| line.2 = value),
            _ if offset == CR.offset() => state.set_control(value),
            _ if offset == IDR.offset() => {}
            _ => panic!("writes {offset:#x}"),
        }
    }

    fn publish(&self) {}

    fn observe(&self) {}
}
