//! Log lines at a bounded rate: a host that touches in a loop must not drown the log.

/// [`BURST`] lines at once, then one each period (the generic cell rate algorithm: one time instead of tokens, so that
/// a refusal costs a comparison).
#[derive(Clone, Copy, Debug)]
pub struct Limiter {
    period: u64,
    /// From when on a line may be written: when it would be due at an even rate, less what a burst may run ahead. That
    /// may be before time began.
    next: i64,
    suppressed: u32,
}

/// How many lines may come at once.
pub const BURST: u64 = 4;

impl Limiter {
    /// One line each `period` counter ticks, after a burst.
    #[must_use]
    pub const fn new(period: u64) -> Self {
        Self {
            period,
            next: i64::MIN,
            suppressed: 0,
        }
    }

    /// Whether a line may be written at counter value `now`; else it counts as not written.
    #[inline(always)]
    pub fn admits(&mut self, now: u64) -> bool {
        // A counter of 63 bits does not wrap in a machine's life.
        let due = now as i64 >= self.next;
        if !due {
            self.suppressed = self.suppressed.wrapping_add(1);
        }
        due
    }

    /// A line is written at counter value `now`. Gives how many were not since the last one.
    pub fn spend(&mut self, now: u64) -> u32 {
        let period = self.period as i64;
        let ahead = period.saturating_mul(BURST as i64 - 1);
        self.next = self.next.max((now as i64).saturating_sub(ahead)).saturating_add(period);
        core::mem::take(&mut self.suppressed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn admit(l: &mut Limiter, now: u64) -> Option<u32> {
        l.admits(now).then(|| l.spend(now))
    }

    #[test]
    fn a_burst_then_one_each_period() {
        let mut l = Limiter::new(100);
        let start = 1_000_000;
        let admitted = (0..10).filter(|n| admit(&mut l, start + n).is_some()).count();
        assert_eq!(admitted, BURST as usize);
        assert_eq!(admit(&mut l, start + 99), None);
        assert_eq!(admit(&mut l, start + 100), Some(7));
        assert_eq!(admit(&mut l, start + 101), None);
    }

    #[test]
    fn quiet_time_fills_the_bucket_and_no_more() {
        let mut l = Limiter::new(100);
        for n in 0..10 {
            admit(&mut l, n);
        }
        let later = 1 << 40;
        let admitted = (0..100).filter(|_| admit(&mut l, later).is_some()).count();
        assert_eq!(admitted, BURST as usize);
    }

    proptest! {
        #[test]
        fn never_more_than_the_rate(steps in prop::collection::vec(0..300u64, 1..300)) {
            let mut l = Limiter::new(100);
            let (mut now, mut lines, mut told, mut asked) = (5000, 0u64, 0u64, 0u64);
            for step in steps {
                now += step;
                asked += 1;
                if let Some(suppressed) = admit(&mut l, now) {
                    lines += 1;
                    told += u64::from(suppressed);
                }
            }
            prop_assert!(lines <= BURST + (now - 5000) / 100);
            prop_assert!(lines + told <= asked);
        }
    }
}
