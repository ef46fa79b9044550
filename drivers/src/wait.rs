//! Waiting for hardware, never for ever.

/// A wait's bound, in polls. A read of a device register takes 50 ns or more, so this is at least 50 ms on hardware,
/// and longer than any wait here takes when all is well. Models answer in a few polls.
pub(crate) const POLLS: u32 = if cfg!(any(test, feature = "model")) {
    10_000
} else {
    1_000_000
};

/// What was waited for did not happen within the bound.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct TimedOut;

impl From<TimedOut> for leasehold_hal::IommuError {
    fn from(_: TimedOut) -> Self {
        Self::TimedOut
    }
}

impl From<TimedOut> for leasehold_hal::InterruptError {
    fn from(_: TimedOut) -> Self {
        Self::TimedOut
    }
}

impl From<TimedOut> for leasehold_hal::ConsoleError {
    fn from(_: TimedOut) -> Self {
        Self::TimedOut
    }
}

/// Calls `done`, which reads a device register, until it says true.
pub(crate) fn until(mut done: impl FnMut() -> bool) -> Result<(), TimedOut> {
    for _ in 0..POLLS {
        if done() {
            return Ok(());
        }
        core::hint::spin_loop();
    }
    Err(TimedOut)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wait_ends_when_done_and_at_the_bound() {
        let mut polls = 0;
        assert_eq!(
            until(|| {
                polls += 1;
                polls == 3
            }),
            Ok(())
        );
        assert_eq!(polls, 3);
        assert_eq!(until(|| false), Err(TimedOut));
    }
}
