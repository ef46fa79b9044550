//! The host's calls to the firmware behind SMC: what `smc` decides, done.

use super::{Hypervisor, State};
use crate::arch::aarch64::{self as arch, Cpu, TrapFrame};
use crate::board::Board;
use crate::smc::{CALL_WORDS, CallMemory, MAX_CALLS, Verdict};
use core::sync::atomic::{AtomicU64, Ordering};
use leasehold_abi::smccc;
use leasehold_hal::{Firmware, SmcRegisters, scm};
use leasehold_memory_map::{Address, PhysAddr, PhysRange};

/// What firmware is to read of a call.
#[repr(C, align(64))]
struct CallBuffer([AtomicU64; CALL_WORDS]);

/// EL2's own memory for calls, mapped one to one like all of its image.
pub(super) struct CallBuffers([CallBuffer; MAX_CALLS]);

impl CallBuffers {
    pub(super) const fn new() -> Self {
        Self([const { CallBuffer([const { AtomicU64::new(0) }; CALL_WORDS]) }; MAX_CALLS])
    }
}

/// The host's memory, and EL2's for calls.
struct Memory<'a> {
    cpu: Cpu,
    buffers: &'a CallBuffers,
}

impl CallMemory for Memory<'_> {
    fn load(&self, at: PhysAddr) -> u64 {
        self.cpu.load_fresh(at)
    }

    fn store(&self, slot: usize, word: usize, value: u64) {
        let buffer = self.buffers.0.get(slot);
        if let Some(place) = buffer.and_then(|buffer| buffer.0.get(word)) {
            place.store(value, Ordering::Relaxed);
        }
    }

    fn address(&self, slot: usize) -> PhysAddr {
        let at = self
            .buffers
            .0
            .get(slot)
            .map_or(0, |buffer| buffer.0.as_ptr().addr() as u64);
        // The image is within the address space.
        PhysAddr::checked(at).unwrap_or(PhysAddr::new(0))
    }

    fn publish(&self, slot: usize) {
        if let Ok(range) = PhysRange::new(self.address(slot), size_of::<CallBuffer>() as u64) {
            arch::clean(range);
        }
    }
}

impl<B: Board> Hypervisor<B> {
    /// A call that the board's policy decides about. No lock is held while it is made.
    #[inline(never)]
    pub(super) fn host_firmware(&self, frame: &mut TrapFrame) {
        let Some(firmware) = &self.facts().firmware else {
            frame.x[0] = smccc::NOT_SUPPORTED as i64 as u64;
            return;
        };
        let x = frame.x.first_chunk().copied().unwrap_or_default();
        let returned = match self.vet(&x) {
            Verdict::Answer(answer) => answer,
            Verdict::Pass(x) => firmware.call(x),
            Verdict::Call(slot, x) => {
                let returned = firmware.call(x);
                let mut state = self.state.lock();
                let State { ownership, calls, .. } = &mut *state;
                calls.end(ownership, slot, &returned)
            }
        };
        frame.x[..4].copy_from_slice(&returned[..4]);
        if returned[0] == scm::INTERRUPTED as u64 {
            frame.x[6] = returned[6];
        }
    }

    fn vet(&self, x: &SmcRegisters) -> Verdict {
        let memory = Memory {
            cpu: Cpu::this(),
            buffers: &self.buffers,
        };
        let mut state = self.state.lock();
        let State { ownership, calls, .. } = &mut *state;
        calls.begin(ownership, &self.machine(), &memory, &B::CONFIG.smc, x)
    }
}
