//! The choice among the scenarios.

use crate::scenarios;
use leasehold_abi::psci as numbers;
use leasehold_guests::pages::Pages;
use leasehold_guests::report::Report;
use leasehold_guests::tree::Machine;
use leasehold_guests::{args, entry, psci, stop, tenant};

entry!(main);

/// A guest and what it has.
pub struct Guest {
    /// What its tree says.
    pub machine: Machine,
    /// Its free memory.
    pub pages: Pages,
    /// What it has seen.
    pub report: Report,
}

fn main(tree: u64) -> ! {
    let Some(machine) = tenant::machine(tree) else {
        psci::system_off()
    };
    psci::set_conduit(machine.psci_by_smc);
    let arguments = tenant::arguments(&machine);
    let name = args::value(arguments, "scenario").unwrap_or("");
    let run: fn(&mut Guest) = match name {
        "illegal" => scenarios::illegal::run,
        "calls" => scenarios::calls::run,
        "fp" => scenarios::fp::run,
        "sysregs" => scenarios::sysregs::run,
        "ffa" => scenarios::ffa::run,
        "reset" => {
            psci::call(numbers::SYSTEM_RESET, &[]);
            psci::system_off()
        }
        _ => {
            tenant::live(&machine, args::has(arguments, "spin"));
            psci::system_off()
        }
    };
    let pages = Pages::new(&machine);
    let mut guest = Guest {
        machine,
        pages,
        report: Report::of_guest(),
    };
    run(&mut guest);
    guest.report.done();
    psci::system_off()
}

#[panic_handler]
fn panic(info: &core::panic::PanicInfo<'_>) -> ! {
    stop(format_args!("{info}"))
}
