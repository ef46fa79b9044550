//! The scenarios, and the choice among them.

mod access;
mod alike;
mod bad_lend;
mod bench;
mod calls;
mod conserve;
mod deputy;
mod entered;
mod fault_classes;
mod firmware;
mod given;
mod lost;
mod many;
mod parties;
mod returns;
mod revoked;
mod sdei;
mod selftest;
mod served;
mod smp;
mod stepped;
mod taken;
mod tenants;
mod unmapped;
mod warm_tlb;

use leasehold_guests::host::Host;
use leasehold_guests::{args, entry, stop};

entry!(main);

/// What a scenario does.
type Run = fn(&mut Host);

/// What does not need Leasehold below.
const WITHOUT: [&str; 2] = ["selftest", "alike"];

/// Each scenario's name.
const ALL: [(&str, Run); 27] = [
    ("selftest", selftest::run),
    ("warm-tlb", warm_tlb::run),
    ("bad-lend", bad_lend::run),
    ("deputy", deputy::run),
    ("parties", parties::run),
    ("calls", calls::run),
    ("smp", smp::run),
    ("conserve", conserve::run),
    ("fault-classes", fault_classes::run),
    ("bench", bench::run),
    ("bench-faults", bench::faults),
    ("served", served::run),
    ("taken", taken::run),
    ("given", given::run),
    ("access", access::run),
    ("lost", lost::run),
    ("stepped", stepped::run),
    ("alike", alike::run),
    ("many", many::run),
    ("revoked", revoked::run),
    ("returns", returns::run),
    ("loops", returns::loops),
    ("sdei", sdei::run),
    ("tenants", tenants::run),
    ("unmapped", unmapped::run),
    ("entered", entered::run),
    ("firmware", firmware::run),
];

fn main(tree: u64) -> ! {
    let mut host = Host::begin(tree);
    let name = args::value(host.machine.args, "scenario").unwrap_or("");
    match ALL.iter().find(|(n, _)| *n == name) {
        Some((_, run)) => {
            if WITHOUT.contains(&name) || host.find() {
                run(&mut host);
            }
        }
        None => {
            host.report.step("scenario", false, format_args!("{name:?} is none"));
        }
    }
    host.end()
}

#[panic_handler]
fn panic(info: &core::panic::PanicInfo<'_>) -> ! {
    stop(format_args!("{info}"))
}
