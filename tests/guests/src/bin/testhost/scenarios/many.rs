//! Very many refused accesses, and what the last ones take beside the first ones: a plugin counts.

use super::bench::mark;
use leasehold_guests::arch::el0::{Program, Stub};
use leasehold_guests::arch::mmu;
use leasehold_guests::arch::probe::{self, Width};
use leasehold_guests::host::Host;
use leasehold_guests::{args, ffa, vm};

/// Touches in one window.
const EACH: u64 = 8;
/// Windows at the start, and as many at the end: in one of them there is no line of log.
const WINDOWS: u64 = 12;

/// Touches by EL1 in both halves, by EL0, and by a fetch. How many were told of.
fn touch(program: &Program, page: u64, n: u64) -> u64 {
    let at = page + n * 8 % 4096;
    let told = match n % 4 {
        0 => probe::read(at, Width::Double).is_err(),
        1 => probe::read(mmu::kernel(at), Width::Double).is_err(),
        // SAFETY: a load writes nothing.
        2 => unsafe { program.run(Stub::Load, mmu::user(at), 0) }.is_err(),
        // SAFETY: lent memory; nothing can be fetched there, or it would be no instruction.
        _ => unsafe { probe::fetch(at & !3, 0) }.is_err(),
    };
    u64::from(told)
}

pub fn run(host: &mut Host) {
    host.translate();
    let page = host.pages.take(1);
    let Some((id, handle)) = host.lend(&[page]) else { return };
    let program = host.program();
    let most = args::number_of(host.machine.args, "faults", 100_000);
    let touches = |range: core::ops::Range<u64>| range.map(|n| touch(&program, page.base(), n)).sum::<u64>();
    // What is told of by lines of log, and first uses.
    touches(0..64);
    for _ in 0..WINDOWS {
        mark!(0, "first", EACH, touches(0..EACH));
    }
    let told = touches(0..most);
    for _ in 0..WINDOWS {
        mark!(1, "last", EACH, touches(0..EACH));
    }
    host.report
        .step("very many", told > 0, format_args!("{told} of {most} were told of"));
    let lost = vm::fault().map(|record| record.lost);
    host.report.step(
        "records are kept, and counted",
        lost.is_ok_and(|lost| lost + 128 > most && lost < most + 1000),
        format_args!("{lost:?} lost"),
    );
    let back = ffa::reclaim(handle).and_then(|()| vm::destroy(id));
    host.report.value("reclaim", back);
}
