//! What is in the FP, SIMD and SVE registers is there still after the host has had the CPU.

use crate::program::Guest;
use leasehold_guests::arch::{cpu, fp};
use leasehold_guests::{args, tenant};

pub fn run(guest: &mut Guest) {
    let bytes = fp::enable();
    let spin = args::has(tenant::arguments(&guest.machine), "spin");
    for seed in 1..=3 {
        let state = fp::State::of(seed);
        state.put();
        if !spin {
            cpu::wfi();
        }
        let there = state.is_there(bytes);
        guest
            .report
            .step("FP state", there, format_args!("{bytes} bytes a register"));
    }
}
