//! Each CPU has its own handlers and its own mask.

use super::{EVENT, EXTERNAL, Lent, SIGNAL};
use core::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use leasehold_abi::{psci as standard, sdei as numbers};
use leasehold_guests::arch::probe::{self, Width};
use leasehold_guests::arch::sdei::{self, Deed, End, FAULT, SOFTWARE, ask};
use leasehold_guests::arch::{cpu, smp};
use leasehold_guests::host::Host;
use leasehold_guests::{psci, vm};

/// What CPUs have seen that was not as it should be.
static WRONG: AtomicBool = AtomicBool::new(false);

fn wrong_unless(good: bool) {
    if !good {
        WRONG.store(true, Ordering::Release);
    }
}

/// Each CPU has its own handlers.
pub fn several(host: &mut Host, lent: &Lent) {
    let base = lent.block.base() + 0x1000;
    smp::each(&base, |number, base| {
        // Registered on the CPUs of even numbers.
        let registers = number.is_multiple_of(2);
        sdei::plan(FAULT, Deed::Nothing, End::Complete);
        wrong_unless(!registers || sdei::begin(FAULT));
        wrong_unless(smp::meet(number));
        for n in 0..32 {
            sdei::plan(FAULT, Deed::Nothing, End::Complete);
            let loaded = probe::read(base + 512 * number as u64 + 16 * n, Width::Double);
            let visit = sdei::visit(FAULT);
            wrong_unless(loaded.is_err_and(|fault| fault.status() == EXTERNAL));
            wrong_unless((visit.times != 0) == registers);
            wrong_unless(!registers || visit.x[1] == sdei::argument(FAULT));
            wrong_unless(!registers || visit.record.is_some_and(|record| record.cpu == number as u64));
        }
        wrong_unless(ask(numbers::PRIVATE_RESET, &[]) == numbers::SUCCESS);
    });
    let wrong = WRONG.swap(false, Ordering::AcqRel);
    host.report.step("each CPU", !wrong, format_args!("{} CPUs", host.cpus));
    vm::drain_faults();
}

/// A CPU that another one signals is told when it calls, or otherwise comes to EL2.
pub fn signals(host: &mut Host) {
    if host.cpus < 2 {
        return;
    }
    static READY: AtomicBool = AtomicBool::new(false);
    static TOLD: AtomicBool = AtomicBool::new(false);
    let target = host.machine.cpus[1];
    let told = smp::beside(
        &(),
        |number, ()| {
            if number != 1 {
                return;
            }
            wrong_unless(sdei::begin(SOFTWARE));
            READY.store(true, Ordering::Release);
            let told = cpu::wait(10_000, || {
                ask(numbers::VERSION, &[]);
                sdei::visit(SOFTWARE).times != 0
            });
            wrong_unless(told && sdei::visit(SOFTWARE).times == 1);
            TOLD.store(told, Ordering::Release);
        },
        || {
            let ready = cpu::wait(10_000, || READY.load(Ordering::Acquire));
            let signalled = sdei::signal(target);
            (ready, signalled, cpu::wait(10_000, || TOLD.load(Ordering::Acquire)))
        },
    );
    let wrong = WRONG.swap(false, Ordering::AcqRel);
    host.report.step(
        "another CPU",
        !wrong && told == (true, 0, true),
        format_args!("{told:?}"),
    );
}

/// A CPU that is switched off and on starts masked, and with nothing registered.
pub fn switched_on(host: &mut Host) {
    if host.cpus < 2 {
        return;
    }
    static SEEN: AtomicI64 = AtomicI64::new(-1);
    extern "C" fn come_back(_: u64) {
        let masked = ask(numbers::PE_MASK, &[]);
        let status = ask(numbers::EVENT_STATUS, &[EVENT]) | ask(numbers::EVENT_STATUS, &[SIGNAL]);
        SEEN.store(status << 1 | masked, Ordering::Release);
    }
    let target = host.machine.cpus[1];
    smp::dismiss(|number, _| {
        if number == 1 {
            sdei::begin(FAULT);
            psci::call(standard::CPU_OFF, &[]);
        }
    });
    let off = cpu::wait(10_000, || {
        psci::call(standard::AFFINITY_INFO_64, &[target, 0]) == standard::AFFINITY_OFF
    });
    let started = smp::start(1, target, come_back);
    let back = cpu::wait(10_000, || SEEN.load(Ordering::Acquire) >= 0);
    let seen = SEEN.load(Ordering::Acquire);
    host.report.step(
        "switched on",
        off && back && (started, seen) == (psci::SUCCESS, 0),
        format_args!("off {off}, started {started}, status and mask {seen:#x}"),
    );
}
