//! The watchdog of the application processors' subsystem (KPSS, APSS) of Qualcomm's SoCs.
//!
//! It counts ticks of the sleep clock. At the bark time it raises an interrupt, at the bite time secure firmware is told,
//! and the SoC is reset.

#[cfg(any(test, feature = "model"))]
pub mod model;
mod registers;
#[cfg(test)]
mod tests;

use crate::mmio::{Io, Mmio};
use core::num::NonZeroU32;
use core::time::Duration;
use leasehold_memory_map::PhysRange;
use registers::{BARK_TIME, BITE_TIME, EN, MAX_TICKS, RST, STS, WDT_EN, WDT_RST, WDT_STS, WDT_TIME};
use tock_registers::interfaces::{Readable, Writeable};

/// The sleep clock's frequency in Hz, as the device trees of all supported SoCs give it (node `sleep-clk`).
pub const SLEEP_CLOCK_HZ: NonZeroU32 = NonZeroU32::new(32_764).expect("not zero");

/// How long a watchdog that is to reset the SoC is given (Linux qcom-wdt.c, qcom_wdt_restart).
const RESET_AFTER: Duration = Duration::from_millis(128);

/// Why a watchdog does not do what it was told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum WatchdogError {
    /// A time is zero, or longer than the counter counts, or the bark comes after the bite. The watchdog is as it was.
    Times,
    /// It does not start or stop: it is not there, or firmware keeps it to itself.
    Kept,
}

impl core::fmt::Display for WatchdogError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(match self {
            Self::Times => "the watchdog cannot count such times",
            Self::Kept => "the watchdog does not obey",
        })
    }
}

impl core::error::Error for WatchdogError {}

/// A watchdog.
#[derive(Debug)]
pub struct KpssWatchdog<I = Mmio> {
    io: I,
    clock_hz: NonZeroU32,
}

impl KpssWatchdog<Mmio> {
    /// The watchdog with its registers at `registers`, on a clock of `clock_hz`, as it is: stopped or running.
    ///
    /// # Safety
    /// `registers` are those of a KPSS watchdog, mapped at their own addresses as device memory, and nobody else drives
    /// it.
    #[must_use]
    pub unsafe fn new(registers: PhysRange, clock_hz: NonZeroU32) -> Self {
        // SAFETY: as the caller vouches; a watchdog accesses no memory.
        Self::over(unsafe { Mmio::identity(registers) }, clock_hz)
    }
}

impl<I: Io> KpssWatchdog<I> {
    /// The watchdog behind `io`, on a clock of `clock_hz`.
    pub const fn over(io: I, clock_hz: NonZeroU32) -> Self {
        Self { io, clock_hz }
    }

    /// The longest time until a bite.
    #[must_use]
    pub fn longest(&self) -> Duration {
        self.duration(MAX_TICKS)
    }

    /// Starts it, or starts it anew: unless petted, it barks after `bark` and bites after `bite`. Both are rounded up to
    /// whole ticks.
    ///
    /// # Errors
    /// [`WatchdogError::Times`], [`WatchdogError::Kept`].
    pub fn start(&mut self, bark: Duration, bite: Duration) -> Result<(), WatchdogError> {
        let (bark, bite) = (self.ticks(bark)?, self.ticks(bite)?);
        if bark > bite {
            return Err(WatchdogError::Times);
        }
        // Stopped and with its counter at zero, it cannot bite in between.
        self.io.at(EN).set(0);
        self.pet();
        self.io.at(BARK_TIME).write(WDT_TIME::TICKS.val(bark));
        self.io.at(BITE_TIME).write(WDT_TIME::TICKS.val(bite));
        self.io.at(EN).write(WDT_EN::ENABLE::SET);
        self.obeys(true)
    }

    /// Stops it.
    ///
    /// # Errors
    /// [`WatchdogError::Kept`].
    pub fn stop(&mut self) -> Result<(), WatchdogError> {
        self.io.at(EN).set(0);
        self.obeys(false)
    }

    /// Puts the bark and the bite off by their whole times.
    pub fn pet(&mut self) {
        self.io.at(RST).write(WDT_RST::RESET::SET);
    }

    /// It runs, as firmware may have left it.
    pub fn is_running(&self) -> bool {
        self.io.at(EN).is_set(WDT_EN::ENABLE)
    }

    /// The times until the bark and the bite that it is set to.
    pub fn times(&self) -> (Duration, Duration) {
        let [bark, bite] = [BARK_TIME, BITE_TIME].map(|time| self.duration(self.io.at(time).read(WDT_TIME::TICKS)));
        (bark, bite)
    }

    /// It was this watchdog that reset the SoC last.
    pub fn has_bitten(&self) -> bool {
        self.io.at(STS).is_set(WDT_STS::EXPIRED)
    }

    /// Makes it reset the SoC in 128 ms, whatever the caller does in the meantime other than petting it.
    ///
    /// # Errors
    /// [`WatchdogError::Kept`]: it will not.
    pub fn reset_soc(&mut self) -> Result<(), WatchdogError> {
        self.start(RESET_AFTER, RESET_AFTER)
    }

    fn obeys(&self, running: bool) -> Result<(), WatchdogError> {
        if self.is_running() == running {
            Ok(())
        } else {
            Err(WatchdogError::Kept)
        }
    }

    fn ticks(&self, time: Duration) -> Result<u32, WatchdogError> {
        let ticks = time
            .as_nanos()
            .checked_mul(u128::from(self.clock_hz.get()))
            .map(|ticks| ticks.div_ceil(1_000_000_000));
        match ticks {
            Some(ticks) if (1..=u128::from(MAX_TICKS)).contains(&ticks) => Ok(ticks as u32),
            _ => Err(WatchdogError::Times),
        }
    }

    fn duration(&self, ticks: u32) -> Duration {
        Duration::from_nanos(u64::from(ticks) * 1_000_000_000 / u64::from(self.clock_hz.get()))
    }
}
