//! The application on the models of each board's blocks.

use super::{db410c, rb3gen2};
use crate::blinky::{self, Found};
use embedded_hal::delay::DelayNs;
use embedded_hal::i2c::{ErrorKind, I2c};
use leasehold_drivers::geni::QupVersion;
use leasehold_drivers::gpio::tlmm::model::Model as Pins;
use leasehold_drivers::gpio::tlmm::{Config, DriveStrength, Tlmm, TlmmError};
use leasehold_drivers::i2c::geni::{self, GeniI2c};
use leasehold_drivers::i2c::model::{Bus, Memory, Trouble};
use leasehold_drivers::i2c::qup::{self, QupI2c};

/// Delays that take no time, and add up.
#[derive(Default)]
struct Slept(u64);

impl DelayNs for Slept {
    fn delay_ns(&mut self, ns: u32) {
        self.0 += u64::from(ns);
    }
}

fn populate(bus: &mut Bus, addresses: &[u8]) {
    for address in addresses {
        bus.targets.insert(*address, Memory::default());
    }
}

/// A round on a board: how often its LED was on, and what was found.
fn round(config: Config, led: u16, mut bus: impl I2c) -> (usize, Result<Found, ErrorKind>) {
    let model = Pins::new(config);
    let tlmm = Tlmm::over(model.clone(), config);
    let mut led_pin = tlmm.pin(led).unwrap().into_output(false, DriveStrength::WEAKEST);
    let mut slept = Slept::default();
    let Ok(found) = blinky::round(&mut led_pin, &mut bus, &mut slept);
    assert!(slept.0 > 1_000_000_000);
    assert!(!model.level(led));
    let on = model.history(led).iter().filter(|level| **level).count();
    (on, found)
}

fn geni(change: impl FnOnce(&mut Bus)) -> GeniI2c<geni::model::Model> {
    let model = geni::model::Model::new();
    model.run_on_poll(true);
    model.bus(change);
    let mut bus = GeniI2c::over(model, QupVersion::new(2, 5));
    bus.init(geni::Clocking::Crystal(geni::Speed::Fast)).unwrap();
    bus
}

fn qup(change: impl FnOnce(&mut Bus)) -> QupI2c<qup::model::Model> {
    let model = qup::model::Model::new();
    model.bus(change);
    let mut bus = QupI2c::over(model);
    bus.init(qup::Clocking::Firmware).unwrap();
    bus
}

#[test]
fn rb3gen2_blinks_and_finds_who_is_there() {
    let bus = geni(|bus| populate(bus, &[0x08, 0x2b, 0x77]));
    let (blinks, found) = round(rb3gen2::PINS, rb3gen2::LED, bus);
    assert!(found.unwrap().iter().eq([0x08, 0x2b, 0x77]));
    assert_eq!(blinks, 3 + 3);
}

#[test]
fn db410c_blinks_and_finds_who_is_there() {
    let bus = qup(|bus| populate(bus, &[0x39]));
    let (blinks, found) = round(db410c::PINS, db410c::LED, bus);
    assert!(found.unwrap().iter().eq([0x39]));
    assert_eq!(blinks, 3 + 1);
}

#[test]
fn nobody_is_no_error() {
    let (blinks, found) = round(db410c::PINS, db410c::LED, qup(|_| ()));
    assert_eq!((blinks, found), (3, Ok(Found::default())));
}

#[test]
fn a_bus_that_does_not_work_is_one() {
    let bus = geni(|bus| bus.trouble = Some((Trouble::ClockHeld, 5)));
    let (blinks, found) = round(rb3gen2::PINS, rb3gen2::LED, bus);
    assert_eq!(blinks, 3);
    assert!(found.is_err());
}

#[test]
fn pins_of_secure_firmware_are_not_touched() {
    let model = Pins::new(rb3gen2::PINS);
    let tlmm = Tlmm::over(model, rb3gen2::PINS);
    assert_eq!(tlmm.pin(33).err(), Some(TlmmError::Reserved(33)));
}

#[test]
fn the_buses_are_those_of_the_trees() {
    use leasehold_soc::{apq8016::APQ8016, qcs6490::QCS6490};
    let path = |serial: &leasehold_soc::description::Serial| serial.block.source.node();
    assert_eq!(path(&QCS6490.serials[0]), Some("/soc@0/geniqup@9c0000/i2c@980000"));
    assert_eq!(path(&APQ8016.serials[1]), Some("/soc@0/i2c@78b8000"));
    assert_eq!(QCS6490.wrappers[0].block.source.node(), Some("/soc@0/geniqup@9c0000"));
}
