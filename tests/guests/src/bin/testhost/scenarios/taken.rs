//! Touches of lent memory that take the page from its borrower (`force-reclaim`).

use core::sync::atomic::{AtomicU64, Ordering};
use leasehold_abi::vendor;
use leasehold_guests::arch::cpu;
use leasehold_guests::arch::probe::{self, Width};
use leasehold_guests::arch::smp;
use leasehold_guests::edu::{BUFFER_BYTES, Edu};
use leasehold_guests::host::Host;
use leasehold_guests::lender::Guest;
use leasehold_guests::pages::{Block, PAGE};
use leasehold_guests::{ffa, vm};

/// Pages that are taken from their borrower: the host finds zeroes, and can write; the rest stays lent.
pub fn run(host: &mut Host) {
    let (image, memory) = (host.image(), host.pages.take_blocks(1));
    let area = host.pages.take_blocks(1);
    area.part(5, 2).fill(|_| MARK);
    let Some((id, handle)) = host.lend(&[area.part(3, 4)]) else {
        return;
    };
    devices(host, area.part(5, 1), area.part(6, 1));
    // Nobody has had it yet. Stage 1 is off.
    own_again(host, "never retrieved", area.part(3, 1));
    host.start_cpus();
    host.translate();
    host.map_in_pages(area, area.part(4, 1));
    // A fetch gets its page too, where zeroes are an instruction that is none (UDF).
    // SAFETY: what is there is zeroes.
    let fetched = unsafe { probe::fetch(area.base() + 4 * PAGE, 0) };
    host.report.step(
        "fetch",
        fetched.is_err_and(|fault| fault.is_undefined()),
        format_args!("{fetched:x?}"),
    );
    let relent = host.mail().lend(id, &[(area.base() + 3 * PAGE, 1)]);
    if let Some(relent) = host.report.value("lend it again", relent) {
        // The first lease goes without what is in the second now.
        let back = ffa::reclaim(handle);
        host.report.value("reclaim", back);
        own_again(host, "lent again", area.part(3, 1));
        let back = ffa::reclaim(relent).and_then(|()| vm::destroy(id));
        host.report.value("reclaim the second", back);
    }
    let Some(mut guest) = host.running(&image, memory) else {
        return;
    };
    let taken = memory.part(300, 1);
    let page = taken.base();
    all_at_once(host, taken);
    let end = guest
        .run_to_end()
        .map(|(exit, _)| (exit.reason, exit.details[0] >> 26, exit.details[1] & !0xfff));
    let wanted = (
        vendor::EXIT_TAKEN,
        DATA_ABORT,
        leasehold_guests::tree::RAM_BASE + 300 * PAGE,
    );
    host.report.same("its next touch ends it", end, Ok(wanted));
    let ended = guest.end();
    host.report.value("end", ended);
    let dirt = memory.differs(|at| if at & !0xfff == page { MARK } else { 0 });
    host.report.step("clean", dirt.is_none(), format_args!("{dirt:x?}"));
    while_it_runs(host, memory);
}

/// ESR_EL2.EC of a data abort from a lower Exception level.
const DATA_ABORT: u64 = 0x24;
const MARK: u64 = 0x6d61_726b;
/// More than there are records of one copy: a device may be slow to stop.
const MOST_RECORDS: usize = 1 << 16;
/// What a device carries.
const CARRIED: u64 = 0x6465_7669;

/// A device of the host's is refused the first page while that is lent, and allowed it as soon as the host has it; the second
/// is taken while the device writes to it.
fn devices(host: &mut Host, first: Block, second: Block) {
    let Some(edu) = host.machine.ecam.and_then(Edu::find) else {
        let missing = format_args!("there is no edu on the PCI bus");
        host.report.step("device", false, missing);
        return;
    };
    let (from, to) = (host.pages.take(1), host.pages.take(1));
    from.fill(|_| CARRIED);
    let fetch = || edu.load(from.base(), BUFFER_BYTES);
    let found = |value: u64| {
        let stored = edu.store(to.base(), BUFFER_BYTES);
        (stored, to.differs(|_| value).is_none())
    };
    vm::drain_faults();
    let ran = edu.load(first.base(), BUFFER_BYTES);
    let read = found(MARK);
    host.report.step(
        "a device reads nothing of it",
        ran && read == (true, false),
        format_args!("{read:?}"),
    );
    host.report.same("and is told of", refused(first), true);
    let ran = fetch() && edu.store(first.base(), BUFFER_BYTES);
    host.report
        .same("a device writes nothing to it", (ran, refused(first)), (true, true));

    own_again(host, "taken from under a device", first);
    vm::drain_faults();
    let ran = fetch() && edu.store(first.base(), BUFFER_BYTES);
    let dirt = first.differs(|_| CARRIED);
    host.report.step(
        "a device writes to it",
        ran && dirt.is_none(),
        format_args!("{dirt:x?}"),
    );
    first.fill(|_| MARK);
    let ran = edu.load(first.base(), BUFFER_BYTES);
    host.report
        .same("a device reads it", (ran, found(MARK)), (true, (true, true)));

    let mut read = Ok(1);
    let ran = fetch()
        && edu.store_beside(second.base(), BUFFER_BYTES, || {
            read = probe::read(second.base(), Width::Double);
        });
    // The device comes late: what it writes is all there.
    let dirt = second.differs(|_| CARRIED);
    host.report.step(
        "taken while a device writes to it",
        ran && read == Ok(0) && dirt.is_none(),
        format_args!("{read:x?} {dirt:x?}"),
    );
    host.report
        .same("no device is refused now", refused(first) || refused(second), false);
}

/// Whether fault records, all of which are taken, are of a device at a page: there is one for each word.
fn refused(page: Block) -> bool {
    let records = core::iter::from_fn(|| vm::fault().ok()).take(MOST_RECORDS);
    let of_page = |record: &vm::Record| record.class == vendor::CLASS_DEVICE && record.ipa & !0xfff == page.base();
    records.filter(of_page).count() > 0
}

/// All of the page is zeroes, and the host's.
fn own_again(host: &mut Host, name: &str, block: Block) {
    let read = probe::read(block.base() + 8, Width::Double);
    let dirt = block.differs(|_| 0);
    block.fill(|_| MARK);
    let kept = block.differs(|_| MARK);
    let good = read == Ok(0) && dirt.is_none() && kept.is_none();
    host.report
        .step(name, good, format_args!("{read:x?} {dirt:x?} {kept:x?}"));
}

/// All CPUs touch the same page of a guest's: each finds zeroes.
fn all_at_once(host: &mut Host, page: Block) {
    let shared = (page.base(), AtomicU64::new(0));
    smp::each(&shared, |number, (page, wrong)| {
        smp::meet(number);
        let found = probe::read(*page + number as u64 * 8, Width::Double);
        if found != Ok(0) {
            wrong.fetch_add(1, Ordering::Relaxed);
        }
    });
    let wrong = shared.1.load(Ordering::Relaxed);
    host.report
        .step("all CPUs at once", wrong == 0, format_args!("{wrong} wrong"));
    own_again(host, "the host's again", page);
    let record = vm::fault().map(|record| record.mechanism);
    host.report.same("record", record, Ok(vendor::MECHANISM_FORCE_RECLAIM));
    vm::drain_faults();
}

/// The guest is running on another CPU when its page is taken. When it has looked at its page before that, there is
/// another guest, until one is in time.
fn while_it_runs(host: &mut Host, memory: Block) {
    let image = host.image();
    let page = memory.base() + 400 * PAGE;
    let (mut ends, mut good) = (0, true);
    for _ in 0..20 {
        let Ok(mut guest) = Guest::started(&host.mail(), &image, "spin", &[memory]) else {
            break;
        };
        guest.said.quiet = true;
        let shared = (page, AtomicU64::new(0));
        let end = smp::beside(
            &shared,
            |number, (page, found)| {
                if number == 1 {
                    cpu::delay(10);
                    found.store(probe::read(*page, Width::Double).unwrap_or(1), Ordering::Release);
                }
            },
            || guest.run_to_end().map(|(exit, _)| exit.reason),
        );
        good &= shared.1.load(Ordering::Acquire) == 0 && guest.end().is_ok() && memory.differs(|_| 0).is_none();
        ends += 1;
        match end {
            Ok(vendor::EXIT_TAKEN) => {
                host.report
                    .step("while it runs", good, format_args!("at the {ends}. guest"));
                return;
            }
            Ok(vendor::EXIT_OFF) => {}
            _ => break,
        }
    }
    host.report
        .step("while it runs", false, format_args!("{ends} guests, good {good}"));
}
