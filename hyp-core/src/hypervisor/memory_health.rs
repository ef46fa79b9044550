//! What memory says of itself, in the log.

use super::Hypervisor;
use crate::arch::aarch64 as arch;
use crate::board::Board;
use core::sync::atomic::{AtomicU64, Ordering};
use leasehold_hal::MemoryController;

/// The most lines at once.
const LINES: usize = 8;

/// When memory was looked at last; 0 for never.
pub(super) struct Health(AtomicU64);

impl Health {
    pub(super) const fn new() -> Self {
        Self(AtomicU64::new(0))
    }

    /// Whether a second has passed, for one caller each second.
    fn is_due(&self) -> bool {
        let (now, before) = (arch::counter(), self.0.load(Ordering::Relaxed));
        (before == 0 || now.wrapping_sub(before) >= arch::counter_frequency())
            && self
                .0
                .compare_exchange(before, now, Ordering::Relaxed, Ordering::Relaxed)
                .is_ok()
    }
}

impl<B: Board> Hypervisor<B> {
    /// Logs which bits have turned, once a second at most. Who is at the controller now is not waited for: it is looked at
    /// the next time.
    pub(super) fn look_at_memory(&self) {
        if !self.health.is_due() {
            return;
        }
        if let Some(mut memory) = self.memory.try_lock()
            && let Some(controller) = memory.as_mut()
        {
            let mut reports = 0_usize;
            controller.check(&mut |fault| {
                reports += 1;
                if reports > LINES {
                    return;
                }
                if fault.corrected {
                    crate::log::warn!("memory: {}", fault);
                } else {
                    crate::log::error!("memory: {}", fault);
                }
            });
            if reports > LINES {
                crate::log::warn!("memory: {=usize} more", reports - LINES);
            }
        }
    }
}
