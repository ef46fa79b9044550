//! Blinky with an I2C scan, on the RB3 Gen 2.
#![cfg_attr(target_os = "none", no_std, no_main)]

/// There is nothing to run on the build machine; its tests run the application on models.
#[cfg(not(target_os = "none"))]
fn main() {}

#[cfg(target_os = "none")]
leasehold_examples::entry!(program::main);

#[cfg(target_os = "none")]
mod program {
    use leasehold_drivers::gpio::tlmm::DriveStrength;
    use leasehold_drivers::i2c::geni::Clocking;
    use leasehold_drivers::timer::{GenericTimer, PhysicalCounter};
    use leasehold_examples::blinky;
    use leasehold_examples::boards::rb3gen2 as board;

    /// Never ends: where something does not work, the LED stays as it is.
    pub fn main() -> ! {
        // SAFETY: this is the program for the board, which the start code has mapped; nobody else runs.
        let (pins, mut bus) = unsafe { board::take() };
        let mut delay = GenericTimer::new(PhysicalCounter);
        let led = pins.pin(board::LED);
        if let (Ok(led), Ok(())) = (led, bus.init(Clocking::Firmware)) {
            let mut led = led.into_output(false, DriveStrength::WEAKEST);
            loop {
                let Ok(_) = blinky::round(&mut led, &mut bus, &mut delay);
            }
        }
        loop {
            core::hint::spin_loop();
        }
    }
}
