//! A watchdog that the loader leaves running, with little of its time left.

use crate::board::{QualcommTwin, Rb5};
use crate::machine::{BLOCK_TICKS, Machine};
use crate::profile;
use crate::twin::{Setting, Twin, nothing};
use leasehold_boards::Described;
use leasehold_trees::Tree;

/// The board, by its name in [`ALL`](crate::boards::ALL).
pub const BOARD: &str = "rb5";

/// When the watchdog bites: later than a boot takes, whose log channel, interrupt controller and SMMU are less than ten
/// blocks.
const BITE: u32 = 10 * BLOCK_TICKS;
/// What is left of it: enough for the log channel and the watchdog itself, not for what comes after them.
const LEFT: u32 = 4 * BLOCK_TICKS;

/// Boots [`BOARD`] on its `tree`: EL2 pets the watchdog before it bites, says so and leaves it running.
///
/// # Errors
/// What is wrong.
pub fn is_petted(tree: Tree) -> Result<(), String> {
    let setting = Setting {
        tree,
        profile: &profile::CORTEX_A55,
        machine: &|loaded, memory, image| {
            let machine = Machine::qualcomm(Rb5::BOARD, memory, image, loaded.picture);
            let watchdog = machine.watchdog.as_ref().expect("EL2 may touch the board's watchdog");
            watchdog.left_running(BITE, BITE, BITE - LEFT);
            machine
        },
        spoil: &nothing,
    };
    let twin = Twin::<QualcommTwin<Rb5>>::boot(setting)?;
    twin.stop_masters();
    let log = twin.log.join("\n");
    if let Err(error) = &twin.booted {
        return Err(format!("does not boot: {error:?}\n{log}"));
    }
    if !log.contains("\nWARN  a watchdog runs: petted once, from here on it is the host's\n") {
        return Err(format!("the log does not tell of the watchdog:\n{log}"));
    }
    let watchdog = twin.machine.watchdog.as_ref().ok_or("there is no watchdog")?;
    if watchdog.bites() != 0 {
        return Err(format!("the watchdog bites before the host starts:\n{log}"));
    }
    watchdog.advance(BITE);
    match watchdog.bites() {
        0 => Err("the watchdog does not run any more: nothing would reset a host that hangs".into()),
        _ => Ok(()),
    }
}
