//! A PDC that acts: wires go in, and what the GIC sees comes out. It shares no definition with the driver.

use crate::mmio::{Io, Width};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::vec;
use std::vec::Vec;

#[derive(Clone, Copy, Default)]
struct Line {
    cfg: u32,
    high: bool,
    /// Rising edges that have come out.
    edges: usize,
}

struct State {
    version: u32,
    lines: Vec<Line>,
    banks: [u32; 8],
}

impl State {
    fn is_enabled(&self, pin: usize) -> bool {
        if self.version >= 0x3_0200 {
            self.lines[pin].cfg >> 3 & 1 != 0
        } else {
            self.banks[pin / 32] >> (pin % 32) & 1 != 0
        }
    }
}

/// The model; clones are handles of the same PDC.
#[derive(Clone)]
pub struct Model(Arc<Mutex<State>>);

impl Model {
    /// A PDC of that version (as its register has it), with nothing enabled.
    #[must_use]
    pub fn new(version: u32) -> Self {
        Self(Arc::new(Mutex::new(State {
            version,
            lines: vec![Line::default(); 256],
            banks: [0; 8],
        })))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Somebody drives a pin.
    pub fn drive(&self, pin: usize, high: bool) {
        let mut state = self.state();
        let enabled = state.is_enabled(pin);
        let line = &mut state.lines[pin];
        let (rises, falls) = (high && !line.high, !high && line.high);
        line.high = high;
        let told = match line.cfg & 7 {
            2 => falls,
            6 => rises,
            7 => rises || falls,
            _ => false,
        };
        line.edges += usize::from(enabled && told);
    }

    /// The level that the GIC sees.
    #[must_use]
    pub fn level(&self, pin: usize) -> bool {
        let state = self.state();
        let line = state.lines[pin];
        match line.cfg & 7 {
            0 => state.is_enabled(pin) && !line.high,
            4 => state.is_enabled(pin) && line.high,
            _ => false,
        }
    }

    /// How many rising edges the GIC has seen.
    #[must_use]
    pub fn edges(&self, pin: usize) -> usize {
        self.state().lines[pin].edges
    }

    /// Pins that are enabled.
    #[must_use]
    pub fn enabled(&self) -> Vec<usize> {
        let state = self.state();
        (0..256).filter(|pin| state.is_enabled(*pin)).collect()
    }
}

impl Io for Model {
    fn load<T: Width>(&self, offset: usize) -> T {
        let state = self.state();
        let value = match offset {
            0x10..0x30 => state.banks[(offset - 0x10) / 4],
            0x110..0x510 => state.lines[(offset - 0x110) / 4].cfg,
            0x1000 => state.version,
            _ => panic!("loads {offset:#x}"),
        };
        assert!(T::BYTES == 4 && offset.is_multiple_of(4));
        T::truncate(value.into())
    }

    fn store<T: Width>(&self, offset: usize, value: T) {
        let mut state = self.state();
        assert!(T::BYTES == 4 && offset.is_multiple_of(4));
        let value = value.widen() as u32;
        match offset {
            0x10..0x30 => {
                assert!(state.version < 0x3_0200, "there are no banks");
                state.banks[(offset - 0x10) / 4] = value;
            }
            0x110..0x510 => {
                assert!(!matches!(value & 7, 1 | 3 | 5), "there is no such type");
                state.lines[(offset - 0x110) / 4].cfg = value;
            }
            _ => panic!("stores to {offset:#x}"),
        }
    }

    fn publish(&self) {}

    fn observe(&self) {}
}
