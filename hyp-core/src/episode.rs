//! When something does not do what it should: a line of log for each time that begins, at a bounded rate.

use crate::fault::Limiter;

/// Times of trouble, each from its first sign to the first sign that it is over.
#[derive(Debug)]
pub struct Episodes {
    limiter: Limiter,
    begun: u64,
    under_way: bool,
}

/// A line each so many ticks of the counter, after a burst: a second or more, as no counter of a generic timer ticks more
/// than 1 GHz (Arm ARM D12.1.2).
const PERIOD: u64 = 1_000_000_000;

impl Default for Episodes {
    fn default() -> Self {
        Self::new()
    }
}

impl Episodes {
    /// None so far.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            limiter: Limiter::new(PERIOD),
            begun: 0,
            under_way: false,
        }
    }

    /// A sign of trouble at counter value `now`. If it is to be told, how many times before were not.
    pub fn begin(&mut self, now: u64) -> Option<u64> {
        if core::mem::replace(&mut self.under_way, true) {
            return None;
        }
        self.begun += 1;
        self.limiter.admits(now).then(|| self.limiter.spend(now, self.begun))
    }

    /// A sign that it is over.
    pub fn end(&mut self) {
        self.under_way = false;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_is_told_once() {
        let mut episodes = Episodes::new();
        assert_eq!(episodes.begin(5), Some(0));
        for _ in 0..10 {
            assert_eq!(episodes.begin(2 * PERIOD), None);
        }
        episodes.end();
        assert_eq!(episodes.begin(2 * PERIOD), Some(0));
    }

    #[test]
    fn many_are_counted_and_not_told() {
        let mut episodes = Episodes::new();
        let mut told = 0;
        for now in 0..100 {
            told += u64::from(episodes.begin(now).is_some());
            episodes.end();
        }
        assert_eq!(told, crate::fault::BURST);
        assert_eq!(episodes.begin(100 * PERIOD), Some(100 - told));
    }
}
