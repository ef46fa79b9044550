//! As much of GICv3 as it takes to be interrupted by oneself.

use super::cpu;
use crate::{read_register, write_register};
use core::sync::atomic::{AtomicU64, Ordering};

/// The SGI that is used.
pub const SGI: u64 = 7;
/// An ICC_IAR1_EL1 without an interrupt in it.
const SPURIOUS: u64 = 1023;

static TAKEN: [AtomicU64; cpu::MOST] = [const { AtomicU64::new(0) }; cpu::MOST];

/// Offsets of the SGI frame of a redistributor (Arm IHI0069H, 12.11).
mod redistributor {
    /// `GICR_WAKER`, in the first frame.
    pub const WAKER: u64 = 0x14;
    /// `GICR_IGROUPR0`.
    pub const IGROUPR0: u64 = 0x1_0080;
    /// `GICR_ISENABLER0`.
    pub const ISENABLER0: u64 = 0x1_0100;
}

/// `GICD_CTLR`: affinity routing, and group 1 enabled (12.9.4).
const DISTRIBUTOR_ON: u64 = 1 << 4 | 1 << 1;

/// Lets this CPU be interrupted by [`SGI`]. `frame` is its redistributor.
///
/// # Errors
/// The access that was refused.
pub fn enable(distributor: u64, frame: u64) -> Result<(), super::probe::Fault> {
    use super::probe::{Width, read, write};
    // SAFETY: registers of the interrupt controller are nobody's memory.
    unsafe {
        write(distributor, Width::Word, DISTRIBUTOR_ON)?;
        let waker = read(frame + redistributor::WAKER, Width::Word)?;
        write(frame + redistributor::WAKER, Width::Word, waker & !2)?;
        write(frame + redistributor::IGROUPR0, Width::Word, 0xffff_ffff)?;
        write(frame + redistributor::ISENABLER0, Width::Word, 1 << SGI)?;
    }
    write_register!("S3_0_C12_C12_5", 7); // ICC_SRE_EL1
    write_register!("S3_0_C4_C6_0", 0xff); // ICC_PMR_EL1
    write_register!("S3_0_C12_C12_7", 1); // ICC_IGRPEN1_EL1
    Ok(())
}

/// Lets this CPU be interrupted by a private interrupt too. `frame` is its redistributor, which [`enable`] has woken.
pub fn enable_private(frame: u64, id: u32) {
    use super::probe::{Width, write};
    // SAFETY: as in `enable`.
    let enabled = unsafe { write(frame + redistributor::ISENABLER0, Width::Word, 1 << id) };
    debug_assert!(enabled.is_ok(), "the frame was there before");
}

/// Sends [`SGI`] to this CPU and takes it. Was it taken within 100 ms?
pub fn interrupt_self() -> bool {
    let mpidr = read_register!("mpidr_el1");
    let before = TAKEN[cpu::number()].load(Ordering::Relaxed);
    let affinity = (mpidr >> 32 & 0xff) << 48 | (mpidr >> 16 & 0xff) << 32 | (mpidr >> 8 & 0xff) << 16;
    write_register!("S3_0_C12_C11_5", affinity | SGI << 24 | 1 << (mpidr & 0xf)); // ICC_SGI1R_EL1
    write_register!("daif", 0x3c0 & !(1 << 7));
    let taken = cpu::wait(100, || TAKEN[cpu::number()].load(Ordering::Relaxed) != before);
    write_register!("daif", 0x3c0);
    taken
}

/// Called by the vector.
pub(super) fn take() -> bool {
    let id = read_register!("S3_0_C12_C12_0") & 0xff_ffff; // ICC_IAR1_EL1
    if id >= SPURIOUS {
        return true;
    }
    write_register!("S3_0_C12_C12_1", id); // ICC_EOIR1_EL1
    let count = &TAKEN[cpu::number()];
    count.store(count.load(Ordering::Relaxed) + 1, Ordering::Relaxed);
    true
}
