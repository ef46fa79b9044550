//! The application: blinks, looks who is on a bus, and blinks once for each.

use core::ops::RangeInclusive;
use embedded_hal::delay::DelayNs;
use embedded_hal::digital::OutputPin;
use embedded_hal::i2c::{Error, ErrorKind, I2c};

/// Addresses that are not reserved (UM10204, 3.1.12).
const ADDRESSES: RangeInclusive<u8> = 0x08..=0x77;
/// How long the LED is on, and off, in ms.
const HALF_MS: u32 = 200;
/// How long it is off before it is counted once more, in ms.
const PAUSE_MS: u32 = 1000;
/// How often it blinks before the bus is looked at.
const HELLO: u32 = 3;

/// Addresses that have answered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Found(u128);

impl Found {
    /// How many.
    #[must_use]
    pub const fn count(self) -> u32 {
        self.0.count_ones()
    }

    /// Which.
    pub fn iter(self) -> impl Iterator<Item = u8> {
        (0..128).filter(move |address| self.0 >> address & 1 != 0)
    }
}

/// Reads a byte from every address.
///
/// # Errors
/// The first that is not just nobody's answer.
pub fn scan<B: I2c>(bus: &mut B) -> Result<Found, ErrorKind> {
    let mut found = Found::default();
    for address in ADDRESSES {
        match bus.read(address, &mut [0]).map_err(|error| error.kind()) {
            Ok(()) => found.0 |= 1 << address,
            Err(ErrorKind::NoAcknowledge(_)) => {}
            Err(kind) => return Err(kind),
        }
    }
    Ok(found)
}

/// Blinks so many times. The LED is off at the end.
///
/// # Errors
/// The pin's.
pub fn blink<L: OutputPin>(led: &mut L, delay: &mut impl DelayNs, times: u32) -> Result<(), L::Error> {
    for _ in 0..times {
        led.set_high()?;
        delay.delay_ms(HALF_MS);
        led.set_low()?;
        delay.delay_ms(HALF_MS);
    }
    Ok(())
}

/// Blinks three times, scans, pauses, and blinks once for each target that was found. Gives what the scan came to.
///
/// # Errors
/// The pin's.
pub fn round<L: OutputPin, B: I2c>(
    led: &mut L,
    bus: &mut B,
    delay: &mut impl DelayNs,
) -> Result<Result<Found, ErrorKind>, L::Error> {
    blink(led, delay, HELLO)?;
    let found = scan(bus);
    delay.delay_ms(PAUSE_MS);
    blink(led, delay, found.map_or(0, Found::count))?;
    delay.delay_ms(PAUSE_MS);
    Ok(found)
}
