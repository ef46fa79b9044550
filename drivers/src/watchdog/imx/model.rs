//! An i.MX watchdog that acts: a test moves its time. It panics where a driver does what the manual forbids.

use super::{SERVICE, WCR, WDOG_WCR, WSR};
use crate::mmio::{Io, Width};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

#[derive(Default)]
struct State {
    /// Its time and what is left of it, where it runs.
    running: Option<(u32, u32)>,
    /// The first value of a service has come.
    half: bool,
    bitten: bool,
}

/// The model; clones are handles of the same watchdog.
#[derive(Clone, Default)]
pub struct Model(Arc<Mutex<State>>);

impl Model {
    /// A watchdog after reset: off.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A loader starts it, with this much time.
    pub fn start(&self, time: u32) {
        self.state().running = Some((time, time));
    }

    /// Time passes.
    pub fn advance(&self, time: u32) {
        let mut state = self.state();
        if let Some((_, left)) = &mut state.running {
            *left = left.saturating_sub(time);
            state.bitten |= *left == 0;
        }
    }

    /// Whether it has reset the SoC.
    #[must_use]
    pub fn has_bitten(&self) -> bool {
        self.state().bitten
    }
}

impl Io for Model {
    fn load<T: Width>(&self, offset: usize) -> T {
        assert_eq!(T::BYTES, 2, "an i.MX watchdog is accessed by half-words");
        assert_eq!(offset, WCR.offset(), "reads {offset:#x}");
        let running = self.state().running.is_some();
        T::truncate(u64::from((WDOG_WCR::WDE.val(u16::from(running))).value))
    }

    fn store<T: Width>(&self, offset: usize, value: T) {
        assert_eq!(T::BYTES, 2, "an i.MX watchdog is accessed by half-words");
        assert_eq!(offset, WSR.offset(), "writes {offset:#x}");
        let mut state = self.state();
        let value = value.widen();
        if value == u64::from(SERVICE[0]) {
            state.half = true;
        } else if value == u64::from(SERVICE[1]) && core::mem::take(&mut state.half) {
            if let Some((time, left)) = &mut state.running {
                *left = *time;
            }
        } else {
            state.half = false;
        }
    }

    fn publish(&self) {}

    fn observe(&self) {}
}
