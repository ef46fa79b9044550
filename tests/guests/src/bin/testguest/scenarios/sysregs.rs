//! Every system register: a value, or UNDEFINED, and never a stop.

use crate::program::Guest;
use leasehold_guests::arch::cpu;
use leasehold_guests::arch::sweep::{self, Bench};
use leasehold_guests::read_register;

/// The virtual counter, the physical, and the virtual again.
fn counters() -> [u64; 3] {
    cpu::isb();
    let before = read_register!("cntvct_el0");
    cpu::isb();
    let physical = read_register!("cntpct_el0");
    cpu::isb();
    [before, physical, read_register!("cntvct_el0")]
}

pub fn run(guest: &mut Guest) {
    // There are CPUs whose CNTVOFF_EL2 does not work: it is left alone.
    let counters = counters();
    guest.report.step(
        "virtual time is the machine's",
        counters.is_sorted(),
        format_args!("{counters:x?}"),
    );
    let bench = Bench::new(guest.pages.take(1));
    let identification = sweep::read_all(&bench, 3, 0..1, 0..1);
    let good = identification.odd.is_none() && identification.values > 8;
    guest
        .report
        .step("ID registers", good, format_args!("{identification:x?}"));
    for op0 in [2, 3] {
        for op1 in 0..8 {
            let tally = sweep::read_all(&bench, op0, op1..op1 + 1, 0..16);
            guest.report.step(
                "all reads",
                tally.odd.is_none(),
                format_args!("op0 {op0} op1 {op1}: {tally:x?}"),
            );
        }
    }
    let odd = sweep::odd_write(&bench);
    guest.report.step("writes", odd.is_none(), format_args!("{odd:x?}"));
    let odd = sweep::odd_instruction(&bench);
    guest
        .report
        .step("instructions", odd.is_none(), format_args!("{odd:x?}"));
}
