//! The generic timer: EL2's clock, and the alarm that ends a guest's run when the host's timer is due.

use super::sysreg::{read, write};

/// CNTP/CNTV/CNTHP_CTL.ENABLE.
const ENABLE: u64 = 1;
/// CNTV_CTL.IMASK.
const IMASK: u64 = 1 << 1;

/// The physical counter, in ticks of [`counter_frequency`].
#[inline(always)]
pub fn counter() -> u64 {
    read!("cntpct_el0")
}

/// Ticks a second (CNTFRQ_EL0).
pub fn counter_frequency() -> u64 {
    read!("cntfrq_el0")
}

/// Microseconds since the counter was zero.
pub(super) fn microseconds() -> u64 {
    let frequency = counter_frequency().max(1);
    let ticks = counter();
    (ticks / frequency) * 1_000_000 + (ticks % frequency) * 1_000_000 / frequency
}

/// The host's virtual timer, while a guest has the registers.
#[derive(Clone, Copy, Default)]
#[repr(C)]
pub(super) struct VirtualTimer {
    control: u64,
    compare: u64,
}

impl VirtualTimer {
    /// Takes the registers' content.
    pub fn save() -> Self {
        Self {
            control: read!("cntv_ctl_el0"),
            compare: read!("cntv_cval_el0"),
        }
    }

    /// Puts it back.
    pub fn load(&self) {
        write!("cntv_cval_el0", self.compare);
        write!("cntv_ctl_el0", self.control);
    }

    /// Whether it will ring, or does.
    pub fn is_armed(&self) -> bool {
        self.control & (ENABLE | IMASK) == ENABLE
    }

    /// Sets EL2's own timer to ring when this one would, so that a guest does not make the host miss it.
    ///
    /// CNTVOFF_EL2 of the host is 0, so the two count alike.
    pub fn alarm(&self) {
        if self.is_armed() {
            write!("cnthp_cval_el2", self.compare);
            write!("cnthp_ctl_el2", ENABLE);
        }
    }
}

/// Silences EL2's own timer.
pub(super) fn alarm_off() {
    write!("cnthp_ctl_el2", 0);
}
