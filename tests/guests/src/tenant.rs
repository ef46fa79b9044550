//! What a guest does with the memory that it has been given.

use crate::arch::{cpu, entry};
use crate::console::{self, Console};
use crate::pattern;
use crate::range::Range;
use crate::tree::Machine;

/// How often it waits before it looks at its memory again.
const WAITS: u32 = 3;

/// Prints a line of this program's.
pub fn say(text: &str) {
    Console.text("LH-GUEST ");
    Console.text(text);
    Console.text("\n");
}

/// Prints a line that ends with a place and what is there.
pub fn say_at(text: &str, address: u64, found: u64) {
    Console.text("LH-GUEST ");
    Console.text(text);
    Console.text(" ");
    Console.hex(address);
    Console.text(": ");
    Console.hex(found);
    Console.text("\n");
}

/// Finds the machine: reads the tree, and takes its console.
pub fn machine(tree: u64) -> Option<Machine> {
    // SAFETY: nobody writes to a guest's tree but the guest, and this one does not.
    match unsafe { Machine::read(tree) } {
        Ok(machine) => {
            console::set(machine.uart, machine.uart_kind);
            say(if machine.uart == 0 {
                "tree FAIL: no PL011"
            } else {
                "tree ok"
            });
            Some(machine)
        }
        Err(_) => {
            say_at("tree FAIL at", tree, 0);
            None
        }
    }
}

/// What the loader wrote into the image, else the tree's command line.
pub fn arguments(machine: &Machine) -> &'static str {
    let written = entry::image_args();
    if written.is_empty() { machine.args } else { written }
}

/// All of the memory but the image and the tree.
fn each(machine: &Machine, mut what: impl FnMut(u64) -> bool) -> Option<u64> {
    let (start, end) = entry::image();
    let kept = [Range { start, end }, machine.tree];
    for memory in &machine.memory {
        let mut at = memory.start;
        while at < memory.end {
            match kept.iter().find(|k| k.contains(at)) {
                Some(kept) => at = kept.end.next_multiple_of(8),
                None if what(at) => at += 8,
                None => return Some(at),
            }
        }
    }
    None
}

fn load(at: u64) -> u64 {
    // SAFETY: in this machine's memory, and nothing of this program's.
    unsafe { (at as *const u64).read_volatile() }
}

/// Is all that memory zero?
pub fn check_zero(machine: &Machine) -> bool {
    match each(machine, |at| load(at) == 0) {
        None => say("zero ok"),
        Some(at) => {
            say_at("zero FAIL at", at, load(at));
            return false;
        }
    }
    true
}

/// Writes the pattern over all that memory.
pub fn write_pattern(machine: &Machine) {
    // SAFETY: in this machine's memory, and nothing of this program's.
    each(machine, |at| unsafe {
        (at as *mut u64).write_volatile(pattern::at(at));
        true
    });
    say("pattern ok");
}

/// Is the pattern there still?
pub fn check_pattern(machine: &Machine) -> bool {
    match each(machine, |at| load(at) == pattern::at(at)) {
        None => say("intact"),
        Some(at) => {
            say_at("broken at", at, load(at));
            return false;
        }
    }
    true
}

/// Waits as often as it takes. `spin` is for a machine that would wait for ever.
pub fn wait(spin: bool) {
    for _ in 0..WAITS {
        if spin {
            cpu::delay(10);
        } else {
            cpu::wfi();
        }
    }
}

/// The whole of it.
pub fn live(machine: &Machine, spin: bool) {
    check_zero(machine);
    write_pattern(machine);
    say("ready");
    wait(spin);
    check_pattern(machine);
}
