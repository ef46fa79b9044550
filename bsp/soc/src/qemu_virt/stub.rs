//! Stands for secure firmware and for a memory controller on QEMU's `virt`, which has neither, so that EL2's way to them runs
//! there: a part of tests. It answers as Qualcomm's does, does nothing, and fails when the host tells it to.

use core::sync::atomic::{AtomicU64, Ordering};
use leasehold_hal::{AssignError, Firmware, MemoryController, MemoryFault, MemoryOwner, MemoryPart, SmcRegisters, scm};
use leasehold_memory_map::{PageRange, PhysAddr};

/// What goes wrong next: bits 7:0 count calls of firmware that are interrupted, bits 15:8 moves that are refused, bits 23:16 moves
/// that are late. The host writes it as the first argument of the call for video memory.
static TROUBLE: AtomicU64 = AtomicU64::new(0);

/// How the firmware calls a call that was interrupted.
const SESSION: u64 = 0x5e55;

/// Counts one down where it is not zero.
fn meets(shift: u32) -> bool {
    let trouble = TROUBLE.load(Ordering::Relaxed);
    let due = trouble >> shift & 0xff != 0;
    if due {
        TROUBLE.store(trouble - (1 << shift), Ordering::Relaxed);
    }
    due
}

/// The firmware.
#[derive(Clone, Copy, Debug)]
pub struct StubFirmware;

impl Firmware for StubFirmware {
    const PRESENT: bool = true;

    /// What it was given as addresses comes back in `x1` to `x3`.
    fn call(&self, x: SmcRegisters) -> SmcRegisters {
        match x[0] as u32 & 0x3fff_ffff {
            0x0200_0601 => [scm::OK as u64, 1, 0, 0, 0, 0, 0, 0],
            0x0200_0c08 => {
                TROUBLE.store(x[2], Ordering::Relaxed);
                [0; 8]
            }
            1 if x[6] != SESSION => [scm::BAD_ARGUMENT as u64; 8],
            _ if meets(0) => [scm::INTERRUPTED as u64, 0, 0, 0, 0, 0, SESSION, 0],
            _ => [scm::OK as u64, x[2], x[4], x[5], 0, 0, 0, 0],
        }
    }
}

/// The memory controller.
#[derive(Debug)]
pub struct StubController {
    reported: bool,
}

impl StubController {
    /// One that has a bit turned already.
    pub(super) const fn new() -> Self {
        Self { reported: false }
    }
}

impl MemoryController for StubController {
    const MOVES: bool = true;

    fn assign(&mut self, _: &[PageRange<PhysAddr>], to: MemoryOwner) -> Result<(), AssignError> {
        if to == MemoryOwner::Borrower && meets(8) {
            return Err(AssignError::Refused(scm::BAD_ARGUMENT));
        }
        if meets(16) { Err(AssignError::Late) } else { Ok(()) }
    }

    fn check(&mut self, report: &mut dyn FnMut(MemoryFault)) {
        if !core::mem::replace(&mut self.reported, true) {
            report(MemoryFault {
                bank: 0,
                part: MemoryPart::CacheData,
                corrected: true,
                count: 1,
                ways: 1,
                syndrome: 0x1234,
            });
        }
    }
}
