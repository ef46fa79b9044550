//! Touching what is lent, in every way a CPU has.

use core::sync::atomic::{AtomicU64, Ordering};
use leasehold_guests::arch::cpu::MOST;
use leasehold_guests::arch::el0::Stub;
use leasehold_guests::arch::probe::{self, Fault, Width};
use leasehold_guests::arch::{mmu, smp};
use leasehold_guests::expect::Class;
use leasehold_guests::host::Host;
use leasehold_guests::pages::Block;
use leasehold_guests::vm;

/// One step: the access must have been refused, with the answer of its class, at that address.
fn refused<T: core::fmt::Debug>(host: &mut Host, name: &str, class: Class, address: u64, result: Result<T, Fault>) {
    let answer = host.expected.answer(class);
    match result {
        Err(fault) => {
            let good = fault.is_abort() && answer.is(fault.esr) && fault.far == address;
            host.report.step(name, good, format_args!("{fault}, wanted {answer}"));
        }
        Ok(value) => {
            host.report
                .step(name, false, format_args!("was let through: {value:x?}"));
        }
    }
}

/// The beginning, the middle and the end of every range.
fn places(lent: &[Block]) -> impl Iterator<Item = u64> {
    lent.iter()
        .flat_map(|b| [b.base(), b.base() + b.bytes() / 2, b.base() + b.bytes() - 8])
}

/// All ways, from this CPU and the others.
pub fn all(host: &mut Host, lent: &[Block]) {
    vm::drain_faults();
    let program = host.program();
    for address in places(lent).take(6) {
        let user = host.user(address);
        refused(host, "EL0 load", Class::El0, user, program.load(user));
        // SAFETY: lent memory: nothing of this program's.
        let store = unsafe { program.run(Stub::Store, user, 0xdead) };
        refused(host, "EL0 store", Class::El0, user, store);
        refused(
            host,
            "EL1 load",
            Class::User,
            address,
            probe::read(address, Width::Double),
        );
        // SAFETY: lent memory: nothing of this program's.
        let store = unsafe { probe::write(address, Width::Double, 0xdead) };
        refused(host, "EL1 store", Class::User, address, store);
        let kernel = mmu::kernel(address);
        refused(
            host,
            "EL1 load, upper half",
            Class::Kernel,
            kernel,
            probe::read(kernel, Width::Word),
        );
        // SAFETY: it is not to be reached; were it, this program would be lost, and that would be seen.
        let jump = unsafe { probe::fetch(kernel, 0) };
        refused(host, "EL1 fetch", Class::Fetch, kernel, jump);
    }
    records(host, lent);
    others(host, lent);
}

/// The hypervisor has written down who touched what.
fn records(host: &mut Host, lent: &[Block]) {
    let first = vm::fault();
    if let Some(record) = host.report.value("fault record", first) {
        let good = lent
            .iter()
            .any(|b| (b.base()..b.base() + b.bytes()).contains(&record.ipa));
        host.report
            .step("fault record names the page", good, format_args!("{record:x?}"));
    }
    vm::drain_faults();
}

/// What the CPUs count.
#[derive(Default)]
struct Count {
    at: u64,
    refused: [AtomicU64; MOST],
}

/// Every CPU at once.
fn others(host: &mut Host, lent: &[Block]) {
    let mut count = Count::default();
    let mut tried = 0;
    for address in places(lent) {
        count.at = address;
        smp::each(&count, |cpu, count| {
            let load = probe::read(count.at, Width::Double);
            // SAFETY: lent memory: nothing of this program's.
            let store = unsafe { probe::write(count.at, Width::Double, 0xdead) };
            let refused = u64::from(load.is_err()) + u64::from(store.is_err());
            count.refused[cpu].store(count.refused[cpu].load(Ordering::Relaxed) + refused, Ordering::Release);
        });
        tried += 2;
    }
    for cpu in 0..host.cpus {
        let refused = count.refused[cpu].load(Ordering::Acquire);
        host.report.step(
            "refused on every CPU",
            refused == tried,
            format_args!("CPU {cpu}: {refused} of {tried}"),
        );
    }
}

/// The pages beside are the host's as before.
pub fn neighbours(host: &mut Host, kept: &[Block]) {
    let lost = kept
        .iter()
        .find_map(|b| b.differs(|at| !leasehold_guests::pattern::at(at)));
    host.report
        .step("pages beside are untouched", lost.is_none(), format_args!("{lost:x?}"));
}
