//! Log lines at a bounded rate: a host that touches in a loop must not drown the log.

/// [`BURST`] lines at once, then one each period (the generic cell rate algorithm: one time instead of tokens, so that
/// a refusal costs a comparison).
#[derive(Clone, Copy, Debug)]
pub struct Limiter {
    period: u64,
    /// From when on a line may be written: when it would be due at an even rate, less what a burst may run ahead. That
    /// may be before time began.
    next: i64,
    /// How many events there had been at the last line.
    told: u64,
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
            told: 0,
        }
    }

    /// Whether a line may be written at counter value `now`.
    #[inline(always)]
    #[must_use]
    pub const fn admits(&self, now: u64) -> bool {
        // A counter of 63 bits does not wrap in a machine's life.
        now as i64 >= self.next
    }

    /// A line is written at counter value `now`, about event number `events`. Gives how many since the last one had none.
    pub fn spend(&mut self, now: u64, events: u64) -> u64 {
        let period = self.period as i64;
        let ahead = period.saturating_mul(BURST as i64 - 1);
        self.next = self.next.max((now as i64).saturating_sub(ahead)).saturating_add(period);
        let told = core::mem::replace(&mut self.told, events);
        events.saturating_sub(told).saturating_sub(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// A limiter and the events so far.
    struct Counted(Limiter, u64);

    fn new(period: u64) -> Counted {
        Counted(Limiter::new(period), 0)
    }

    fn admit(l: &mut Counted, now: u64) -> Option<u64> {
        l.1 += 1;
        l.0.admits(now).then(|| l.0.spend(now, l.1))
    }

    #[test]
    fn a_burst_then_one_each_period() {
        let mut l = new(100);
        let start = 1_000_000;
        let admitted = (0..10).filter(|n| admit(&mut l, start + n).is_some()).count();
        assert_eq!(admitted, BURST as usize);
        assert_eq!(admit(&mut l, start + 99), None);
        assert_eq!(admit(&mut l, start + 100), Some(7));
        assert_eq!(admit(&mut l, start + 101), None);
    }

    #[test]
    fn quiet_time_fills_the_bucket_and_no_more() {
        let mut l = new(100);
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
            let mut l = new(100);
            let (mut now, mut lines, mut told, mut asked) = (5000, 0u64, 0u64, 0u64);
            for step in steps {
                now += step;
                asked += 1;
                if let Some(suppressed) = admit(&mut l, now) {
                    lines += 1;
                    told += suppressed;
                }
            }
            prop_assert!(lines <= BURST + (now - 5000) / 100);
            prop_assert!(lines + told <= asked);
        }
    }
}
