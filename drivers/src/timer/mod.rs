//! The Arm generic timer (Arm ARM chapter D12): its counter, and delays by it.

use crate::cpu;
use embedded_hal::delay::DelayNs;

/// How often in a row the counter may read the same before it counts as stopped. At 1 MHz, the slowest that is sensible,
/// a tick takes a few hundred reads.
const STOPPED: u32 = 1_000_000;

/// A counter that counts up at a fixed frequency.
pub trait Counter {
    /// The frequency in Hz. Zero when firmware has not said.
    fn frequency(&self) -> u64;

    /// The count now.
    fn now(&self) -> u64;
}

/// The system's physical counter: CNTPCT_EL0 at the frequency CNTFRQ_EL0.
#[derive(Clone, Copy, Debug, Default)]
pub struct PhysicalCounter;

impl Counter for PhysicalCounter {
    fn frequency(&self) -> u64 {
        cpu::cntfrq()
    }

    fn now(&self) -> u64 {
        cpu::cntpct()
    }
}

/// Time by a counter.
#[derive(Clone, Copy, Debug, Default)]
pub struct GenericTimer<C = PhysicalCounter> {
    counter: C,
}

impl<C: Counter> GenericTimer<C> {
    /// Time by `counter`.
    pub const fn new(counter: C) -> Self {
        Self { counter }
    }

    /// The counter's frequency in Hz. Zero when firmware has not said.
    pub fn frequency(&self) -> u64 {
        self.counter.frequency()
    }

    /// The count now, in ticks.
    pub fn ticks(&self) -> u64 {
        self.counter.now()
    }

    /// Microseconds since the counter started. Zero when the frequency is not known.
    pub fn microseconds(&self) -> u64 {
        let scaled = u128::from(self.ticks()) * 1_000_000;
        let us = scaled.checked_div(u128::from(self.frequency())).unwrap_or(0);
        u64::try_from(us).unwrap_or(u64::MAX)
    }
}

/// Delays end early, rather than never, when the counter stands still or its frequency is not known.
impl<C: Counter> DelayNs for GenericTimer<C> {
    fn delay_ns(&mut self, ns: u32) {
        // At most 2^32 ns times 2^32 Hz, so neither the product nor its rounding up leaves 128 bits, nor the quotient
        // 64.
        let ticks = (u128::from(ns) * u128::from(self.frequency())).div_ceil(1_000_000_000) as u64;
        let start = self.counter.now();
        let mut last = start;
        let mut still = 0;
        while last.wrapping_sub(start) < ticks && still < STOPPED {
            let now = self.counter.now();
            still = if now == last { still + 1 } else { 0 };
            last = now;
            core::hint::spin_loop();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use core::cell::Cell;

    struct Faked {
        hz: u64,
        count: Cell<u64>,
        step: u64,
    }

    impl Counter for &Faked {
        fn frequency(&self) -> u64 {
            self.hz
        }

        fn now(&self) -> u64 {
            let count = self.count.get();
            self.count.set(count.wrapping_add(self.step));
            count
        }
    }

    fn counter(hz: u64, count: u64, step: u64) -> Faked {
        let count = Cell::new(count);
        Faked { hz, count, step }
    }

    #[test]
    fn a_delay_is_at_least_as_long_as_asked_for() {
        // 62.5 MHz: 100 ns are 6.25 ticks.
        let faked = counter(62_500_000, 1000, 1);
        GenericTimer::new(&faked).delay_ns(100);
        // The last read saw 1007, and each read moves on by one.
        assert_eq!(faked.count.get(), 1008);
    }

    #[test]
    fn a_delay_passes_over_the_end_of_the_counter() {
        let faked = counter(1_000_000_000, u64::MAX - 5, 1);
        GenericTimer::new(&faked).delay_us(1);
        assert_eq!(faked.count.get(), 995);
    }

    #[test]
    fn a_delay_by_a_stopped_counter_ends() {
        GenericTimer::new(&counter(1_000_000_000, 7, 0)).delay_ms(5);
        GenericTimer::new(&counter(0, 7, 0)).delay_ms(5);
    }

    #[test]
    fn microseconds_do_not_overflow() {
        assert_eq!(
            GenericTimer::new(&counter(1_000_000_000, u64::MAX, 0)).microseconds(),
            u64::MAX / 1000
        );
        assert_eq!(GenericTimer::new(&counter(0, 5, 0)).microseconds(), 0);
        assert_eq!(GenericTimer::new(&counter(1, u64::MAX, 0)).microseconds(), u64::MAX);
    }
}
