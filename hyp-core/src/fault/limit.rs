//! Log lines at a bounded rate: a host that touches in a loop must not drown the log.

/// [`BURST`] lines at once, then one each period (the generic cell rate algorithm: one time instead of tokens, so that
/// a refusal costs a comparison).
#[derive(Clone, Copy, Debug)]
pub struct Limiter {
    period: u64,
    /// How far ahead of time `due` may be: the burst.
    tolerance: u64,
    /// When the next line would be due at an even rate.
    due: u64,
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
            tolerance: period.saturating_mul(BURST - 1),
            due: 0,
            suppressed: 0,
        }
    }

    /// Whether a line may be written at counter value `now`: with `Some`, how many were not since the last one.
    #[inline]
    pub fn admit(&mut self, now: u64) -> Option<u32> {
        if self.due > now.saturating_add(self.tolerance) {
            self.suppressed = self.suppressed.saturating_add(1);
            return None;
        }
        self.due = self.due.max(now).saturating_add(self.period);
        Some(core::mem::take(&mut self.suppressed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_burst_then_one_each_period() {
        let mut l = Limiter::new(100);
        let start = 1_000_000;
        let admitted = (0..10).filter(|n| l.admit(start + n).is_some()).count();
        assert_eq!(admitted, BURST as usize);
        assert_eq!(l.admit(start + 99), None);
        assert_eq!(l.admit(start + 100), Some(7));
        assert_eq!(l.admit(start + 101), None);
    }

    #[test]
    fn quiet_time_fills_the_bucket_and_no_more() {
        let mut l = Limiter::new(100);
        for n in 0..10 {
            l.admit(n);
        }
        let later = 1 << 40;
        let admitted = (0..100).filter(|_| l.admit(later).is_some()).count();
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
                if let Some(suppressed) = l.admit(now) {
                    lines += 1;
                    told += u64::from(suppressed);
                }
            }
            prop_assert!(lines <= BURST + (now - 5000) / 100);
            prop_assert!(lines + told <= asked);
        }
    }
}
