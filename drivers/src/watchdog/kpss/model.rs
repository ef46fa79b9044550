//! A watchdog that acts, in a time that a test lets pass. It panics where a driver sets times while it runs.

use super::registers::{BARK_TIME, BITE_TIME, EN, MAX_TICKS, RST, STS, WDT_EN, WDT_STS};
use crate::mmio::{Io, Width};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

#[derive(Default)]
struct State {
    enabled: bool,
    bark: u32,
    bite: u32,
    counter: u32,
    barks: usize,
    bites: usize,
    expired: bool,
    kept: bool,
}

impl State {
    fn tick(&mut self) {
        if !self.enabled {
            return;
        }
        self.counter += 1;
        if self.counter == self.bark {
            self.barks += 1;
        }
        if self.counter >= self.bite {
            // The SoC is reset, and the watchdog with it, but for what it tells of that.
            *self = Self {
                expired: true,
                barks: self.barks,
                bites: self.bites + 1,
                kept: self.kept,
                ..Self::default()
            };
        }
    }

    fn set_time(&self, ticks: u32) -> u32 {
        assert!(!self.enabled, "sets a time while it runs");
        assert!(ticks <= MAX_TICKS, "sets a time of {ticks:#x}");
        ticks
    }
}

/// The model; clones are handles of the same watchdog.
#[derive(Clone, Default)]
pub struct Model(Arc<Mutex<State>>);

impl Model {
    /// A watchdog after power-on: stopped.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Firmware has left it running, with these times in ticks, and some of them gone by.
    pub fn left_running(&self, bark: u32, bite: u32, counter: u32) {
        let mut state = self.state();
        (state.enabled, state.bark, state.bite, state.counter) = (true, bark, bite, counter);
    }

    /// Firmware keeps it: writes have no effect, but for petting it.
    pub fn keep(&self) {
        self.state().kept = true;
    }

    /// Lets `ticks` ticks of its clock pass.
    pub fn advance(&self, ticks: u32) {
        let mut state = self.state();
        for _ in 0..ticks {
            state.tick();
        }
    }

    /// How often it has barked.
    #[must_use]
    pub fn barks(&self) -> usize {
        self.state().barks
    }

    /// How often it has bitten.
    #[must_use]
    pub fn bites(&self) -> usize {
        self.state().bites
    }
}

impl Io for Model {
    fn load<T: Width>(&self, offset: usize) -> T {
        assert_eq!(T::BYTES, 4, "a watchdog is accessed by words");
        let state = self.state();
        let value = match offset {
            _ if offset == EN.offset() => WDT_EN::ENABLE.val(state.enabled.into()).value,
            _ if offset == STS.offset() => WDT_STS::EXPIRED.val(state.expired.into()).value,
            _ if offset == BARK_TIME.offset() => state.bark,
            _ if offset == BITE_TIME.offset() => state.bite,
            _ => panic!("reads {offset:#x}"),
        };
        T::truncate(u64::from(value))
    }

    fn store<T: Width>(&self, offset: usize, value: T) {
        assert_eq!(T::BYTES, 4, "a watchdog is accessed by words");
        let value = value.widen() as u32;
        let mut state = self.state();
        match offset {
            _ if offset == RST.offset() => state.counter = 0,
            _ if state.kept => {}
            _ if offset == EN.offset() => state.enabled = value & 1 != 0,
            _ if offset == BARK_TIME.offset() => state.bark = state.set_time(value),
            _ if offset == BITE_TIME.offset() => state.bite = state.set_time(value),
            _ => panic!("writes {offset:#x}"),
        }
    }

    fn publish(&self) {}

    fn observe(&self) {}
}
