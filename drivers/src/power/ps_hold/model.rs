//! A PMIC that stays on as long as it is told to.

use crate::mmio::{Io, Width};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

struct State {
    register: u32,
    kept: bool,
    powered: bool,
}

/// The model; clones are handles of the same wire.
#[derive(Clone)]
pub struct Model(Arc<Mutex<State>>);

impl Model {
    /// A wire whose register has that value, of a SoC that is on.
    #[must_use]
    pub fn new(register: u32) -> Self {
        Self(Arc::new(Mutex::new(State {
            register,
            kept: false,
            powered: true,
        })))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Firmware keeps the register as it is.
    pub fn keep(&self) {
        self.state().kept = true;
    }

    /// Whether the SoC is still on.
    #[must_use]
    pub fn is_powered(&self) -> bool {
        self.state().powered
    }

    /// What is in the register.
    #[must_use]
    pub fn register(&self) -> u32 {
        self.state().register
    }
}

impl Io for Model {
    fn load<T: Width>(&self, offset: usize) -> T {
        assert!(offset == 0 && T::BYTES == 4, "there is no such register");
        T::truncate(self.state().register.into())
    }

    fn store<T: Width>(&self, offset: usize, value: T) {
        assert!(offset == 0 && T::BYTES == 4, "there is no such register");
        let mut state = self.state();
        if !state.kept {
            state.register = value.widen() as u32;
            // It never comes back: who would tell it to?
            state.powered &= state.register & 1 != 0;
        }
    }

    fn publish(&self) {}

    fn observe(&self) {}
}
