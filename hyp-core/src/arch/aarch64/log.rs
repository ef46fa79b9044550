//! The defmt logger: frames go into the calling CPU's ring.

use super::percpu::PerCpu;
use crate::layout::MAX_CPUS;
use core::cell::UnsafeCell;
use leasehold_hal::Console;

#[defmt::global_logger]
struct Logger;

defmt::timestamp!("{=u64:us}", super::timer::microseconds());

/// One encoder a CPU.
struct Encoders([UnsafeCell<defmt::Encoder>; MAX_CPUS]);

// SAFETY: each CPU uses its own element alone, with interrupts masked as always at EL2. An exception at EL2 in the
// middle of a frame starts a new one and never returns to the old.
unsafe impl Sync for Encoders {}

static ENCODERS: Encoders = Encoders([const { UnsafeCell::new(defmt::Encoder::new()) }; MAX_CPUS]);

fn with_encoder(use_it: impl FnOnce(&mut defmt::Encoder, &PerCpu)) {
    let this = PerCpu::this();
    // SAFETY: see `Encoders`; no call nests, for `defmt` brackets a frame by acquire and release.
    let encoder = unsafe { &mut *ENCODERS.0[this.index()].get() };
    use_it(encoder, this);
}

// SAFETY: `acquire` to `release` runs on one CPU with interrupts masked, and touches that CPU's encoder and ring alone.
unsafe impl defmt::Logger for Logger {
    fn acquire() {
        with_encoder(|encoder, this| {
            this.log.start();
            encoder.start_frame(|bytes| this.log.write(bytes));
        });
    }

    unsafe fn flush() {}

    unsafe fn release() {
        with_encoder(|encoder, this| {
            encoder.end_frame(|bytes| this.log.write(bytes));
            this.log.end();
        });
    }

    unsafe fn write(bytes: &[u8]) {
        with_encoder(|encoder, this| {
            // In registers meanwhile: the encoder comes back with each byte.
            let mut held = core::mem::replace(encoder, defmt::Encoder::new());
            this.log.append(|to| held.write(bytes, |encoded| to.write(encoded)));
            *encoder = held;
        });
    }
}

/// Moves up to `bound` bytes a CPU from the rings to `channel`, whole frames where the channel takes them.
///
/// `resume` is the CPU whose frame is half out, kept by whoever holds the channel; its rest comes first.
pub fn drain_rings(channel: &mut impl Console, resume: &mut Option<usize>, bound: usize) {
    let first = resume.take().unwrap_or(0);
    for offset in 0..MAX_CPUS {
        let index = (first + offset) % MAX_CPUS;
        let Some(cpu) = PerCpu::of(index) else { continue };
        if cpu.log.is_empty() {
            continue;
        }
        // Frames must not be mixed: what follows waits until this one's end is out.
        if !cpu.log.drain(bound, |bytes| channel.write_some(bytes)) {
            *resume = Some(index);
            return;
        }
    }
}
