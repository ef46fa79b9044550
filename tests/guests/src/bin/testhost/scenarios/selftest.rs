//! The tools themselves, on any machine: what is refused is noticed, what is not refused is not.

use core::sync::atomic::{AtomicU64, Ordering};
use leasehold_guests::arch::cpu::MOST;
use leasehold_guests::arch::el0::Stub;
use leasehold_guests::arch::probe::{self, Fault, Width};
use leasehold_guests::arch::{gic, mmu, smp};
use leasehold_guests::host::Host;
use leasehold_guests::report::Report;
use leasehold_guests::{args, pattern};

/// On QEMU's virt machine nothing is there (QEMU: hw/arm/virt.c, between the secure RAM and PCI's window).
const NOWHERE: u64 = 0x0f80_0000;

pub fn run(host: &mut Host) {
    one_cpu(host);
    instructions(host);
    host.start_cpus();
    every_cpu(host);
    host.translate();
    one_cpu(host);
    every_cpu(host);
    granules(host);
    if let Some((distributor, redistributors)) = host.machine.gic {
        let enabled = gic::enable(distributor, redistributors);
        host.report.value("GIC", enabled);
        let taken = gic::interrupt_self();
        host.report.step("interrupt", taken, format_args!(""));
    }
    // The count itself must be able to fail.
    if args::has(host.machine.args, "fail") {
        host.report.step("asked to fail", false, format_args!(""));
    }
}

/// The abort must be there, at that address, of that class.
fn aborts<T: core::fmt::Debug>(report: &mut Report, name: &str, class: u64, address: u64, result: Result<T, Fault>) {
    match result {
        Err(fault) => {
            let good = fault.class() == class && fault.far == address;
            report.step(name, good, format_args!("{fault}"));
        }
        Ok(value) => {
            report.step(name, false, format_args!("{value:x?}"));
        }
    }
}

/// EC of ESR_EL1 (Arm ARM D24.2.40).
const DATA_ABORT_EL1: u64 = 0x25;
const DATA_ABORT_EL0: u64 = 0x24;

fn one_cpu(host: &mut Host) {
    let page = host.pages.take(1);
    page.fill(pattern::at);
    let (at, there) = (page.base() + 64, pattern::at(page.base() + 64));
    host.report.same("read 64", probe::read(at, Width::Double), Ok(there));
    host.report
        .same("read 32", probe::read(at, Width::Word), Ok(there & 0xffff_ffff));
    host.report
        .same("read 8", probe::read(at + 1, Width::Byte), Ok(there >> 8 & 0xff));
    // SAFETY: a page of its own.
    let written = unsafe { probe::write(at, Width::Byte, 0xee) };
    host.report.same("write 8", written, Ok(()));
    host.report.same("written", page.read(64), there & !0xff | 0xee);
    let program = host.program();
    let user = host.user(at);
    host.report.same("EL0 load", program.load(user), Ok(page.read(64)));
    // SAFETY: a page of its own.
    let stored = unsafe { program.run(Stub::Store, user, 77) };
    host.report.step(
        "EL0 store",
        stored.is_ok() && page.read(64) == 77,
        format_args!("{stored:x?}"),
    );
    aborts(
        &mut host.report,
        "read nowhere",
        DATA_ABORT_EL1,
        NOWHERE,
        probe::read(NOWHERE, Width::Double),
    );
    // SAFETY: nothing is there.
    let stored = unsafe { probe::write(NOWHERE, Width::Word, 1) };
    aborts(&mut host.report, "write nowhere", DATA_ABORT_EL1, NOWHERE, stored);
    aborts(
        &mut host.report,
        "EL0 load from nowhere",
        DATA_ABORT_EL0,
        NOWHERE,
        program.load(NOWHERE),
    );
    // SAFETY: a page of zeroes is UDF #0, which faults.
    let jumped = unsafe { probe::fetch(host.pages.take(1).base(), 0) };
    host.report.step(
        "fetch zeroes",
        jumped.is_err_and(|f| f.is_undefined()),
        format_args!("{jumped:x?}"),
    );
    // SAFETY: nothing is there.
    let jumped = unsafe { probe::fetch(NOWHERE, 0) };
    host.report.step(
        "fetch nowhere",
        jumped.is_err_and(|f| f.far == NOWHERE),
        format_args!("{jumped:x?}"),
    );
}

/// Instructions written at run time.
fn instructions(host: &mut Host) {
    let page = host.pages.take(1);
    // add x0, x0, #1; ret
    page.write32(0, 0x9100_0400);
    page.write32(4, 0xd65f_03c0);
    page.clean();
    leasehold_guests::arch::cpu::invalidate_instructions();
    // SAFETY: the two instructions above.
    let sum = unsafe { probe::fetch(page.base(), 41) };
    host.report.same("code made here", sum, Ok(42));
}

fn every_cpu(host: &mut Host) {
    let seen: [AtomicU64; MOST] = Default::default();
    smp::each(&seen, |cpu, seen| {
        let met = smp::meet(cpu);
        let refused = probe::read(NOWHERE, Width::Byte).is_err();
        let good = met && refused && smp::meet(cpu);
        seen[cpu].store(if good { 100 + cpu as u64 } else { 0 }, Ordering::Release);
    });
    let right = (0..host.cpus).all(|n| seen[n].load(Ordering::Acquire) == 100 + n as u64);
    host.report.step("every CPU", right, format_args!("{} CPUs", host.cpus));
}

/// Pages and blocks of stage 1, and the upper half.
fn granules(host: &mut Host) {
    let area = host.pages.take_blocks(1);
    area.fill(pattern::at);
    let far = area.base() + area.bytes() - 8;
    for in_pages in [true, false, true] {
        if let Some(space) = &host.space {
            space.set_granule(&mut host.pages, area, in_pages);
        }
        for address in [area.base(), far] {
            let wanted = Ok(pattern::at(address));
            let ways = [
                probe::read(address, Width::Double),
                probe::read(mmu::kernel(address), Width::Double),
                probe::read(mmu::user(address), Width::Double),
                host.program().load(mmu::user(address)),
            ];
            let good = ways.iter().all(|w| *w == wanted);
            host.report.step(
                if in_pages { "in pages" } else { "as a block" },
                good,
                format_args!("{ways:x?}"),
            );
        }
    }
    // Stage 1 itself refuses: EL0 at an address of EL1's.
    let refused = host.program().load(far);
    host.report.step(
        "EL0 at EL1's page",
        refused.is_err_and(|f| f.status() == 0xf),
        format_args!("{refused:x?}"),
    );
}
