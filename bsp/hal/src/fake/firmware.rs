//! Firmware and a memory controller for tests.

use super::lock;
use crate::{AssignError, Firmware, MemoryController, MemoryFault, MemoryOwner, SmcRegisters};
use leasehold_memory_map::{Address, PageRange, PhysAddr};
use std::collections::{BTreeSet, VecDeque};
use std::sync::{Arc, Mutex};
use std::vec::Vec;

#[derive(Debug, Default)]
struct FirmwareState {
    calls: Vec<SmcRegisters>,
    answers: VecDeque<SmcRegisters>,
}

/// Firmware that says what a test has told it to, in order, and else that all is well.
#[derive(Clone, Debug, Default)]
pub struct FakeFirmware(Arc<Mutex<FirmwareState>>);

impl FakeFirmware {
    /// The next call that has no answer yet gets this one.
    pub fn answer(&self, registers: SmcRegisters) {
        lock(&self.0).answers.push_back(registers);
    }

    /// Everything that was called, in order.
    #[must_use]
    pub fn calls(&self) -> Vec<SmcRegisters> {
        lock(&self.0).calls.clone()
    }
}

impl Firmware for FakeFirmware {
    const PRESENT: bool = true;

    fn call(&self, registers: SmcRegisters) -> SmcRegisters {
        let mut state = lock(&self.0);
        state.calls.push(registers);
        state.answers.pop_front().unwrap_or_default()
    }
}

#[derive(Debug, Default)]
struct ControllerState {
    borrowed: BTreeSet<PhysAddr>,
    failing: VecDeque<AssignError>,
    faults: VecDeque<MemoryFault>,
}

/// A memory controller that knows whose each page is, and fails as often as a test says.
#[derive(Clone, Debug, Default)]
pub struct FakeMemoryController(Arc<Mutex<ControllerState>>);

impl FakeMemoryController {
    /// The next call that is not to fail yet fails like that. One that is late has moved every second page.
    pub fn fail(&self, error: AssignError) {
        lock(&self.0).failing.push_back(error);
    }

    /// Bits turn.
    pub fn turn(&self, fault: MemoryFault) {
        lock(&self.0).faults.push_back(fault);
    }

    /// Whose a page is.
    #[must_use]
    pub fn owner(&self, page: PhysAddr) -> MemoryOwner {
        if lock(&self.0).borrowed.contains(&page.page()) {
            MemoryOwner::Borrower
        } else {
            MemoryOwner::Host
        }
    }
}

impl MemoryController for FakeMemoryController {
    const MOVES: bool = true;

    fn assign(&mut self, ranges: &[PageRange<PhysAddr>], to: MemoryOwner) -> Result<(), AssignError> {
        let mut state = lock(&self.0);
        let error = state.failing.pop_front();
        let (moved, step) = match error {
            None => (ranges.len(), 1),
            Some(AssignError::Refused(_)) => (0, 1),
            Some(AssignError::Partial { moved, .. }) => (moved, 1),
            Some(AssignError::Late) => (ranges.len(), 2),
        };
        for page in ranges.iter().take(moved).flat_map(PageRange::pages).step_by(step) {
            match to {
                MemoryOwner::Borrower => state.borrowed.insert(page),
                MemoryOwner::Host => state.borrowed.remove(&page),
            };
        }
        error.map_or(Ok(()), Err)
    }

    fn check(&mut self, report: &mut dyn FnMut(MemoryFault)) {
        let faults = core::mem::take(&mut lock(&self.0).faults);
        faults.into_iter().for_each(report);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pages(start: u64, count: u64) -> PageRange<PhysAddr> {
        PageRange::new(PhysAddr::new(start), count).unwrap()
    }

    #[test]
    fn what_came_half_way_comes_back() {
        let mut controller = FakeMemoryController::default();
        let ranges = [pages(0x4000_0000, 2), pages(0x4100_0000, 2)];
        let owners = |controller: &FakeMemoryController| {
            let pages = ranges.iter().flat_map(PageRange::pages);
            pages
                .filter(|page| controller.owner(*page) == MemoryOwner::Borrower)
                .count()
        };
        for (error, moved) in [
            (AssignError::Refused(-2), 0),
            (AssignError::Partial { moved: 1, code: -2 }, 2),
            (AssignError::Late, 2),
        ] {
            controller.fail(error);
            assert_eq!(controller.assign(&ranges, MemoryOwner::Borrower), Err(error));
            assert_eq!(owners(&controller), moved);
            assert_eq!(controller.assign(&ranges, MemoryOwner::Host), Ok(()));
            assert_eq!(owners(&controller), 0);
        }
    }
}
