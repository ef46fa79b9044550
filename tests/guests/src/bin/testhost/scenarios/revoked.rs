//! One CPU whose accesses are served, and one that lends the page beside what is touched, both for a while. A debugger may
//! hold the one, and see what becomes of it by the other.

use core::sync::atomic::{AtomicU64, Ordering};
use leasehold_guests::arch::one::{Instruction as I, Registers};
use leasehold_guests::arch::smp;
use leasehold_guests::host::Host;
use leasehold_guests::{ffa, pattern, vm};

/// How many accesses are to be served, and how often the neighbour is lent at most until then.
const SERVED: u64 = 20;
const MOST: u32 = 100_000;

pub fn run(host: &mut Host) {
    host.start_cpus();
    let area = host.pages.take_blocks(1);
    area.fill(pattern::at);
    let Some((id, handle)) = host.lend(&[area.part(3, 1)]) else {
        return;
    };
    let mail = host.mail();
    let stop = AtomicU64::new(0);
    let shared = (area.part(3, 1).base(), &stop, AtomicU64::new(0), AtomicU64::new(0));
    let failed = smp::beside(
        &shared,
        |_, (page, stop, count, wrong)| {
            while stop.load(Ordering::Acquire) == 0 {
                let mut registers = Registers::new(*page + 8, false);
                // SAFETY: a load.
                let outcome = unsafe { I::LOAD.run(&mut registers) };
                // One writer, and no exclusives with stage 1 off.
                count.store(count.load(Ordering::Relaxed) + 1, Ordering::Relaxed);
                if outcome.is_err() || registers.x[3] != 0 {
                    wrong.store(1, Ordering::Relaxed);
                }
            }
        },
        || {
            let (mut failed, mut rounds) = (0, 0);
            // Until the other has had its share of it.
            while rounds < MOST && shared.2.load(Ordering::Relaxed) < SERVED {
                rounds += 1;
                let lent = mail.lend(id, &[(area.part(4, 1).base(), 1)]);
                failed += u32::from(lent.and_then(ffa::reclaim).is_err());
            }
            stop.store(1, Ordering::Release);
            failed
        },
    );
    let (count, wrong) = (shared.2.load(Ordering::Relaxed), shared.3.load(Ordering::Relaxed));
    host.report.step(
        "served meanwhile",
        failed == 0 && wrong == 0 && count >= SERVED,
        format_args!("{count} served, {wrong} wrong, {failed} lends failed"),
    );
    let back = ffa::reclaim(handle).and_then(|()| vm::destroy(id));
    host.report.value("reclaim", back);
    let dirt = area.differs(pattern::at);
    host.report
        .step("nothing was written", dirt.is_none(), format_args!("{dirt:x?}"));
}
