//! Work between marks, for a plugin that counts instructions.
//!
//! `hint #(0x60+2n)` starts window n (0 to 7), `hint #(0x61+2n)` stops it; both are NOPs on every CPU. Windows come one
//! after the other, and after each comes a line `LH-MARK <n>\t<name>\t<times>`: the k-th such line tells what the k-th
//! window that was counted is. The count has the caller's own instructions in it; the part that was spent in the
//! hypervisor's image is what matters.

use core::arch::asm;
use leasehold_abi::{smccc, vendor};
use leasehold_guests::arch::el0::Stub;
use leasehold_guests::arch::mmu;
use leasehold_guests::arch::probe::{self, Fault, Width};
use leasehold_guests::arch::sdei;
use leasehold_guests::ffa;
use leasehold_guests::host::Host;
use leasehold_guests::lender::Guest;
use leasehold_guests::pages::{Block, PAGE};
use leasehold_guests::tree::RAM_BASE;
use leasehold_guests::{args, vm};

/// As many faults at once as the log has lines for, and one more.
const LOGGED: usize = 5;

/// As many pages as there are touches.
const PAGES: u64 = 4 + 3 * LOGGED as u64;

/// How often the null call is made.
const NULLS: u64 = 1000;

/// Does `$work` between the marks `$n`, and says what they are.
macro_rules! mark {
    ($n:literal, $name:expr, $times:expr, $work:expr) => {{
        // SAFETY: hints that mean nothing to a CPU.
        unsafe { core::arch::asm!("hint #{}", const 0x60 + 2 * $n, options(nostack)) };
        let result = $work;
        // SAFETY: as above.
        unsafe { core::arch::asm!("hint #{}", const 0x61 + 2 * $n, options(nostack)) };
        leasehold_guests::line!("LH-MARK {}\t{}\t{}", $n, $name, $times);
        result
    }};
}
pub(super) use mark;

/// What needs no fault: calls, leases, a guest.
pub fn run(host: &mut Host) {
    host.translate();
    mark!(0, "hypercall.null", NULLS, null_calls());
    leases(host);
    for (name, pages) in [("4k", 1), ("2m", 512), ("64m", 32 * 512)] {
        contents(host, name, pages);
    }
    guest(host);
}

fn null_calls() {
    // SAFETY: a call that has no arguments and no effect (SMCCC_VERSION); x0 to x3 are its results.
    unsafe {
        asm!(
            "2:",
            "mov w0, {id:w}",
            "hvc #0",
            "subs {n}, {n}, #1",
            "b.ne 2b",
            id = in(reg) smccc::VERSION,
            n = inout(reg) NULLS => _,
            out("x0") _, out("x1") _, out("x2") _, out("x3") _,
            options(nostack),
        );
    }
}

/// The lends and their reclaims, each of memory that nobody has touched since. The first page out of a block splits it.
fn leases(host: &mut Host) {
    let created = vm::create();
    let Some(id) = host.report.value("create", created) else {
        return;
    };
    let mail = host.mail();
    let split = host.pages.take_blocks(1);
    let block = host.pages.take_blocks(1);
    let many = host.pages.take_blocks(32);
    let encode = |block: Block| mail.encode(id, &[(block.base(), block.pages() as u32)]) as u64;
    let lend = |length: u64| ffa::lend_raw(length, length, 0, 0);

    let length = encode(split.part(0, 1));
    let first = mark!(1, "lend.4k_split", 1, lend(length));
    let length = encode(split.part(9, 1));
    let second = mark!(2, "lend.4k", 1, lend(length));
    let length = encode(block);
    let third = mark!(3, "lend.2m", 1, lend(length));
    let length = encode(many);
    let fourth = mark!(4, "lend.64m", 1, lend(length));
    let (Ok(first), Ok(second), Ok(third), Ok(fourth)) = (first, second, third, fourth) else {
        host.report
            .step("lend", false, format_args!("{first:?} {second:?} {third:?} {fourth:?}"));
        return;
    };
    let back = [
        mark!(5, "reclaim.4k", 1, ffa::reclaim(second)),
        mark!(6, "reclaim.4k_join", 1, ffa::reclaim(first)),
        mark!(7, "reclaim.2m", 1, ffa::reclaim(third)),
        mark!(0, "reclaim.64m", 1, ffa::reclaim(fourth)),
    ];
    let gone = vm::destroy(id);
    host.report.step(
        "leases",
        back.iter().all(Result::is_ok) && gone.is_ok(),
        format_args!("{back:?} {gone:?}"),
    );
}

/// What is done to the contents of lent memory: zeroed when it is mapped for its borrower, and again when that is gone.
fn contents(host: &mut Host, name: &str, pages: u64) {
    let mail = host.mail();
    let block = if pages < 512 {
        host.pages.take(pages)
    } else {
        host.pages.take_blocks(pages / 512)
    };
    let lent = vm::create().and_then(|id| {
        mail.lend(id, &[(block.base(), pages as u32)])
            .map(|handle| (id, handle))
    });
    let Some((id, handle)) = host.report.value("lend", lent) else {
        return;
    };
    let mapped = mark!(4, format_args!("map.{name}"), 1, vm::map(id, handle, RAM_BASE));
    let gone = mark!(5, format_args!("unmap.{name}"), 1, vm::destroy(id));
    let back = ffa::reclaim(handle);
    host.report.step(
        "contents",
        mapped.and(gone).and(back).is_ok(),
        format_args!("{mapped:?} {gone:?} {back:?}"),
    );
}

/// One run of a guest, from its wait to its next.
fn guest(host: &mut Host) {
    let image = host.image();
    let mail = host.mail();
    let memory = host.pages.take(image.pages().max(256));
    let made = Guest::new(&mail, &image, "", &[memory]).and_then(|guest| guest.start(&image).map(|()| guest));
    let Some(mut guest) = host.report.value("guest", made) else {
        return;
    };
    let waits = guest.run().is_ok_and(|exit| exit.reason == vendor::EXIT_WAIT);
    let exit = mark!(3, "guest.run_exit", 1, vm::run(guest.id, 0));
    let again = exit.is_ok_and(|exit| exit.reason == vendor::EXIT_WAIT);
    host.report.step("run", waits && again, format_args!("{exit:?}"));
    let ended = guest.end();
    host.report.value("end", ended);
    let clean = memory.differs(|_| 0);
    host.report.step(
        "clean",
        clean.is_none(),
        format_args!("{} KiB: {clean:x?}", memory.bytes() / PAGE * 4),
    );
}

/// The delivery of a fault, to EL1 for a touch by EL0, and for one by EL1, by whatever mechanism is first in the policy;
/// with `again` among the arguments, also for the very same touch by EL1, made again (where the page is `taken` by the
/// first, after another lend). With `event` there is a handler of SDEI events, with whose first instruction a window ends.
pub fn faults(host: &mut Host) {
    host.translate();
    let served = args::has(host.machine.args, "served");
    if args::has(host.machine.args, "event") {
        host.report.step("handler", sdei::begin_timed(), format_args!("SDEI"));
    }
    // A page for each touch: it may be the host's again after it.
    let pages = host.pages.take(PAGES);
    let mail = host.mail();
    let lent = vm::create().and_then(|id| {
        mail.lend(id, &[(pages.base(), PAGES as u32)])
            .map(|handle| (id, handle))
    });
    let Some((id, handle)) = host.report.value("lend", lent) else {
        return;
    };
    let program = host.program();
    let mut fresh = (0..PAGES).map(|n| pages.base() + n * PAGE);
    let mut next = || fresh.next().unwrap_or(pages.base());
    let user = host.user(next());
    // SAFETY: a load writes nothing.
    let first = mark!(0, "fault.logged", 1, unsafe { program.run(Stub::Load, user, 0) });
    // Until the log has had enough of it.
    for _ in 0..LOGGED {
        let _ = program.load(host.user(next()));
        let _ = (
            probe::read(next(), Width::Double),
            probe::read(mmu::kernel(next()), Width::Double),
        );
    }
    let user = host.user(next());
    // SAFETY: a load writes nothing.
    let el0 = mark!(1, "fault.el0", 1, unsafe { program.run(Stub::Load, user, 0) });
    let at = next();
    let el1 = mark!(2, "fault.el1", 1, probe::read(at, Width::Double));
    let results = [first.is_err(), el0.is_err(), el1.is_err()];
    host.report.step(
        "faults",
        results == [!served; 3],
        format_args!("{first:x?} {el0:x?} {el1:x?}"),
    );
    let mut handle = handle;
    if args::has(host.machine.args, "again") {
        let page = next();
        let told = touch(mmu::kernel(page));
        if args::has(host.machine.args, "taken") {
            let once_more = ffa::reclaim(handle).and_then(|()| mail.lend(id, &[(page, 1)]));
            let Some(lent) = host.report.value("lend again", once_more) else {
                return;
            };
            handle = lent;
        }
        let again = mark!(3, "fault.again", 1, touch(mmu::kernel(page)));
        host.report.step(
            "again",
            [told.is_err(), again.is_err()] == [!served; 2],
            format_args!("{told:x?} {again:x?}"),
        );
    }
    let back = ffa::reclaim(handle).and_then(|()| vm::destroy(id));
    host.report.value("reclaim", back);
}

/// From one place, with the stack where it was the last time: the very same access, if `address` is the same.
#[inline(never)]
fn touch(address: u64) -> Result<u64, Fault> {
    probe::read_again(address)
}
