//! A PL011 that acts: FIFOs of 16, a line that a test moves. It panics where a driver does what the manual forbids.

use super::registers::{FIFO_DEPTH, UARTCR, UARTDR, UARTFBRD, UARTFR, UARTIBRD, UARTICR, UARTIMSC, UARTLCR_H};
use crate::mmio::{Io, Width};
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::vec::Vec;
use tock_registers::LocalRegisterCopy;

type Value<R> = LocalRegisterCopy<u32, R>;

#[derive(Default)]
struct State {
    control: u32,
    line: (u32, u32, u32),
    mask: u32,
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

    fn flags(&mut self) -> u32 {
        if self.transmit_on_poll {
            self.transmit(1);
        }
        let mut flags = Value::<UARTFR::Register>::new(0);
        if self.to_send.is_empty() {
            flags.modify(UARTFR::TXFE::SET);
        } else {
            flags.modify(UARTFR::BUSY::SET);
        }
        if self.to_send.len() >= FIFO_DEPTH {
            flags.modify(UARTFR::TXFF::SET);
        }
        if self.received.is_empty() {
            flags.modify(UARTFR::RXFE::SET);
        }
        flags.get()
    }

    fn send(&mut self, value: u32) {
        let control = Value::<UARTCR::Register>::new(self.control);
        assert!(
            control.is_set(UARTCR::UARTEN) && control.is_set(UARTCR::TXE),
            "sends while disabled"
        );
        assert!(self.to_send.len() < FIFO_DEPTH, "sends into a full FIFO");
        self.to_send.push_back(value as u8);
    }

    fn set_line(&mut self, set: impl FnOnce(&mut (u32, u32, u32))) {
        let control = Value::<UARTCR::Register>::new(self.control);
        assert!(!control.is_set(UARTCR::UARTEN), "programs the line while enabled");
        set(&mut self.line);
    }
}

/// The model; clones are handles of the same port.
#[derive(Clone, Default)]
pub struct Model(Arc<Mutex<State>>);

impl Model {
    /// A port after reset: disabled.
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

    /// Lets one character arrive, with the error bits of UARTDR.
    pub fn receive_raw(&self, data: u32) {
        self.state().received.push_back(data);
    }

    /// UARTIBRD, UARTFBRD and UARTLCR_H.
    #[must_use]
    pub fn line(&self) -> (u32, u32, u32) {
        self.state().line
    }
}

impl Io for Model {
    fn load<T: Width>(&self, offset: usize) -> T {
        assert_eq!(T::BYTES, 4, "a PL011 is accessed by words");
        let mut state = self.state();
        let value = match offset {
            _ if offset == UARTDR.offset() => state.received.pop_front().expect("reads an empty FIFO"),
            _ if offset == UARTFR.offset() => state.flags(),
            _ if offset == UARTCR.offset() => state.control,
            _ if offset == UARTIMSC.offset() => state.mask,
            _ => panic!("reads {offset:#x}"),
        };
        T::truncate(u64::from(value))
    }

    fn store<T: Width>(&self, offset: usize, value: T) {
        assert_eq!(T::BYTES, 4, "a PL011 is accessed by words");
        let value = value.widen() as u32;
        let mut state = self.state();
        match offset {
            _ if offset == UARTDR.offset() => state.send(value),
            _ if offset == UARTIBRD.offset() => state.set_line(|line| line.0 = value),
            _ if offset == UARTFBRD.offset() => state.set_line(|line| line.1 = value),
            _ if offset == UARTLCR_H.offset() => state.set_line(|line| line.2 = value),
            _ if offset == UARTCR.offset() => {
                assert!(value == 0 || state.control == 0, "reprograms UARTCR while enabled");
                assert!(value != 0 || state.to_send.is_empty(), "disables while sending");
                state.control = value;
            }
            _ if offset == UARTIMSC.offset() => state.mask = value,
            _ if offset == UARTICR.offset() => {}
            _ => panic!("writes {offset:#x}"),
        }
    }

    fn publish(&self) {}

    fn observe(&self) {}
}
