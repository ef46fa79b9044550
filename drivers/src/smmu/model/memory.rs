//! Physical memory, as seen by the unit and, with a delay either way, by the driver.

use crate::mmio::{Io, Width};
use leasehold_memory_map::{Address, PhysRange};
use std::boxed::Box;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::vec::Vec;

const PAGE: u64 = 4096;

/// Memory of 64-bit words, zero until written. Clones are handles of the same memory.
#[derive(Clone, Default)]
pub struct SimMemory(Arc<Mutex<HashMap<u64, Box<[u64; 512]>>>>);

impl SimMemory {
    /// Empty memory.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    fn pages(&self) -> MutexGuard<'_, HashMap<u64, Box<[u64; 512]>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The word at `address`.
    ///
    /// # Panics
    /// When `address` is not aligned.
    #[must_use]
    pub fn read(&self, address: u64) -> u64 {
        assert!(address.is_multiple_of(8));
        let pages = self.pages();
        pages
            .get(&(address / PAGE))
            .map_or(0, |page| page[(address % PAGE / 8) as usize])
    }

    /// The page that `address` is in.
    #[must_use]
    pub fn page(&self, address: u64) -> [u64; 512] {
        self.pages().get(&(address / PAGE)).map_or([0; 512], |page| **page)
    }

    /// Writes the word at `address`.
    ///
    /// # Panics
    /// When `address` is not aligned.
    pub fn write(&self, address: u64, value: u64) {
        assert!(address.is_multiple_of(8));
        let mut pages = self.pages();
        let page = pages.entry(address / PAGE).or_insert_with(|| Box::new([0; 512]));
        page[(address % PAGE / 8) as usize] = value;
    }

    /// The driver's way to `range`.
    ///
    /// What the driver stores reaches the memory when it publishes, and not before. What the unit writes reaches the
    /// driver when it observes, and not before. That is later than on hardware, and never wrong of a driver that has the
    /// barriers it needs.
    ///
    /// # Panics
    /// When `range` is not one of whole pages.
    #[must_use]
    pub fn window(&self, range: PhysRange) -> Window {
        assert!(range.start().is_aligned(PAGE) && range.len().is_multiple_of(PAGE));
        let window = Window {
            memory: self.clone(),
            base: range.start().get(),
            pages: range.len() / PAGE,
            view: Mutex::new(View::default()),
        };
        window.observe();
        window
    }
}

#[derive(Default)]
struct View {
    seen: Vec<u64>,
    stored: Vec<(usize, u64)>,
}

/// See [`SimMemory::window`].
pub struct Window {
    memory: SimMemory,
    base: u64,
    pages: u64,
    view: Mutex<View>,
}

impl Window {
    fn view(&self) -> MutexGuard<'_, View> {
        self.view.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Io for Window {
    fn load<T: Width>(&self, offset: usize) -> T {
        assert!(T::BYTES == 8 && offset.is_multiple_of(8));
        T::truncate(self.view().seen[offset / 8])
    }

    fn store<T: Width>(&self, offset: usize, value: T) {
        assert!(T::BYTES == 8 && offset.is_multiple_of(8));
        let mut view = self.view();
        view.seen[offset / 8] = value.widen();
        view.stored.push((offset / 8, value.widen()));
    }

    fn publish(&self) {
        let stored = core::mem::take(&mut self.view().stored);
        for (word, value) in stored {
            self.memory.write(self.base + 8 * word as u64, value);
        }
    }

    fn observe(&self) {
        let mut view = self.view();
        view.seen.clear();
        let pages = self.memory.pages();
        for page in 0..self.pages {
            match pages.get(&(self.base / PAGE + page)) {
                Some(words) => view.seen.extend_from_slice(&words[..]),
                None => view.seen.extend_from_slice(&[0; 512]),
            }
        }
        // A CPU sees its own stores first.
        let View { seen, stored } = &mut *view;
        for (word, value) in stored {
            seen[*word] = *value;
        }
    }
}
