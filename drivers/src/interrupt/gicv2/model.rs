//! A GICv2 with one CPU that acts: private interrupts are sent, taken and ended.

use super::registers::{
    GICC_CTLR, GICC_EOIR, GICC_IAR, GICC_PMR, GICD_CTLR, GICD_ICENABLER0, GICD_IPRIORITYR, GICD_ISENABLER0,
    GICD_ITARGETSR0, GICD_SGIR, ICPIDR2,
};
use crate::mmio::{Io, Width};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

#[derive(Default)]
struct State {
    arch_rev: u64,
    forwarding: bool,
    taking: bool,
    priority_mask: u64,
    priorities: [u8; 32],
    enabled: u32,
    pending: u32,
    active: Option<u32>,
}

impl State {
    fn acknowledge(&mut self) -> u64 {
        let deliverable = (0..32).find(|intid| {
            (self.pending & self.enabled) >> intid & 1 != 0
                && u64::from(self.priorities[*intid as usize]) < self.priority_mask
        });
        match deliverable {
            Some(intid) if self.forwarding && self.taking => {
                self.pending &= !(1 << intid);
                self.active = Some(intid);
                u64::from(intid)
            }
            _ => 1023,
        }
    }
}

/// The model; clones are handles of the same controller.
#[derive(Clone)]
pub struct Model(Arc<Mutex<State>>);

impl Model {
    /// A controller of this architecture revision, after reset.
    #[must_use]
    pub fn new(arch_rev: u64) -> Self {
        let state = State {
            arch_rev,
            ..State::default()
        };
        Self(Arc::new(Mutex::new(state)))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// GICD.
    #[must_use]
    pub fn distributor(&self) -> Frame {
        Frame(self.clone(), true)
    }

    /// GICC.
    #[must_use]
    pub fn cpu_interface(&self) -> Frame {
        Frame(self.clone(), false)
    }

    /// The private interrupts that are enabled, a bit each.
    #[must_use]
    pub fn enabled(&self) -> u32 {
        self.state().enabled
    }

    /// The interrupt that has been taken and not ended.
    #[must_use]
    pub fn active(&self) -> Option<u32> {
        self.state().active
    }
}

/// GICD (true) or GICC (false).
pub struct Frame(Model, bool);

impl Io for Frame {
    fn load<T: Width>(&self, offset: usize) -> T {
        assert_eq!(T::BYTES, 4);
        let mut state = self.0.state();
        T::truncate(match (self.1, offset) {
            (true, _) if offset == ICPIDR2.offset() => state.arch_rev << 4,
            (true, _) if offset == GICD_ITARGETSR0.offset() => 0x0101_0101,
            (false, _) if offset == GICC_IAR.offset() => state.acknowledge(),
            _ => panic!("reads {offset:#x}"),
        })
    }

    fn store<T: Width>(&self, offset: usize, value: T) {
        let mut state = self.0.state();
        let value = value.widen();
        if self.1 && (GICD_IPRIORITYR..GICD_IPRIORITYR + 32).contains(&offset) {
            assert_eq!(T::BYTES, 1);
            state.priorities[offset - GICD_IPRIORITYR] = value as u8;
            return;
        }
        assert_eq!(T::BYTES, 4);
        match (self.1, offset) {
            (true, _) if offset == GICD_CTLR.offset() => state.forwarding = value & 1 != 0,
            (true, _) if offset == GICD_ISENABLER0.offset() => state.enabled |= value as u32,
            (true, _) if offset == GICD_ICENABLER0.offset() => state.enabled &= !(value as u32),
            (true, _) if offset == GICD_SGIR.offset() => {
                assert_eq!(value >> 24, 0, "to a list of CPUs");
                if value >> 16 & 1 != 0 {
                    state.pending |= 1 << (value & 0xf);
                }
            }
            (false, _) if offset == GICC_CTLR.offset() => state.taking = value & 1 != 0,
            (false, _) if offset == GICC_PMR.offset() => state.priority_mask = value,
            (false, _) if offset == GICC_EOIR.offset() => {
                assert_eq!(state.active.take(), Some(value as u32 & 0x3ff), "ends what is active");
            }
            _ => panic!("writes {offset:#x}"),
        }
    }

    fn publish(&self) {}

    fn observe(&self) {}
}
