//! The end of EL2: a dump, and nothing goes on.

use super::Hypervisor;
use crate::arch::aarch64::{capture, park};
use crate::board::Board;

impl<B: Board> Hypervisor<B> {
    /// An exception was taken from EL2, or came to it that is not routed there. `vector` says which.
    pub fn crash(&self, vector: u64, sp: u64, frame_pointer: u64, link: u64) -> ! {
        let what = match vector {
            0 => "exception with SP_EL0",
            1 => "synchronous exception",
            2 => "interrupt",
            3 => "system error",
            _ => "exception that is not EL2's",
        };
        let state = capture(sp, frame_pointer, link);
        crate::log::error!(
            "EL2 stopped: {=str} on CPU {=usize}: ESR_EL2={=u64:#x} FAR_EL2={=u64:#x} HPFAR_EL2={=u64:#x} ELR_EL2={=u64:#x} SPSR_EL2={=u64:#x} SP={=u64:#x} {=str}",
            what,
            state.cpu,
            state.esr,
            state.far,
            state.hpfar,
            state.elr,
            state.spsr,
            state.sp,
            if state.in_guest {
                "while a guest ran"
            } else {
                "while the host ran"
            },
        );
        crate::log::error!("trace: {=u64:#x} {=[?]:#x}", state.elr, state.trace());
        self.last_words()
    }

    /// Rust gave up.
    pub fn panicked(&self, info: &core::panic::PanicInfo<'_>) -> ! {
        let line = info.location().map_or(0, core::panic::Location::line);
        let file = info.location().map_or("", core::panic::Location::file);
        let state = capture(0, crate::arch::aarch64::frame_pointer(), 0);
        crate::log::error!(
            "EL2 stopped: panic at {=str}:{=u32}: {}",
            file,
            line,
            defmt::Display2Format(&info.message())
        );
        crate::log::error!("trace: {=[?]:#x}", state.trace());
        self.last_words()
    }

    /// Has the log out, whoever holds the channel, and stops this CPU.
    pub(super) fn last_words(&self) -> ! {
        // Another CPU may be draining: it is given time. One that died while it drained never gives the channel up.
        for _ in 0..1000 {
            self.drain(usize::MAX);
            core::hint::spin_loop();
        }
        park()
    }
}
