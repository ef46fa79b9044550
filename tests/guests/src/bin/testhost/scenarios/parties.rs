//! Who may do what: each call by one who is no party to it, or in a state in which it makes no sense; and one more of
//! everything than there is room for.

use core::fmt::Write as _;
use leasehold_abi::{ffa as numbers, vendor};
use leasehold_guests::ffa::{self, Mailbox};
use leasehold_guests::host::Host;
use leasehold_guests::lender::{Guest, Image};
use leasehold_guests::pages::{Block, PAGE};
use leasehold_guests::tree::RAM_BASE;
use leasehold_guests::vm;

const REFUSED: &[i32] = &[vendor::DENIED, vendor::INVALID_PARAMETERS];
const FULL: &[i32] = &[vendor::NO_MEMORY];
const FFA_REFUSED: &[i32] = &[numbers::DENIED, numbers::INVALID_PARAMETERS];
const FFA_FULL: &[i32] = &[numbers::NO_MEMORY];
/// More than any table here has room for.
const MOST: usize = 512;

pub fn run(host: &mut Host) {
    let image = host.image();
    let memory = host.pages.take_blocks(1);
    let mail = host.mail();
    before(host, &mail, memory);
    states(host, &mail, memory);
    borrowers(host, &mail, &image, memory);
    room(host, &mail);
}

fn refused<T: core::fmt::Debug>(host: &mut Host, name: &str, answer: Result<T, i32>, wanted: &[i32]) {
    let good = matches!(&answer, Err(e) if wanted.contains(e));
    host.report
        .step(name, good, format_args!("{answer:?}, wanted one of {wanted:?}"));
}

/// Ids and handles that nobody has given out.
fn before(host: &mut Host, mail: &Mailbox, memory: Block) {
    for id in [0, 1, 2, 77, 0x7fff, 0x1_0002, u64::MAX] {
        refused(host, "map, no such VM", vm::map(id, 1, RAM_BASE), REFUSED);
        refused(
            host,
            "load, no such VM",
            vm::load(id, RAM_BASE, memory.base(), 64),
            REFUSED,
        );
        refused(host, "start, no such VM", vm::start(id, RAM_BASE, RAM_BASE), REFUSED);
        refused(host, "run, no such VM", vm::run(id, 0), REFUSED);
        refused(host, "destroy, no such VM", vm::destroy(id), REFUSED);
        let console = vm::console(id).map(|c| c.0);
        refused(host, "console, no such VM", console, REFUSED);
    }
    for handle in [0, 1, 77, u64::MAX, 1 << 63] {
        refused(
            host,
            "reclaim, no such handle",
            ffa::reclaim_once(handle, 0),
            FFA_REFUSED,
        );
        refused(host, "relinquish, no such handle", mail.relinquish(handle), FFA_REFUSED);
        refused(
            host,
            "retrieve, no such handle",
            mail.retrieve(mail.id, handle, 0),
            FFA_REFUSED,
        );
    }
}

/// A VM's life: each call too early, and too late.
fn states(host: &mut Host, mail: &Mailbox, memory: Block) {
    let created = (vm::create(), vm::create());
    let (Ok(id), Ok(other)) = created else {
        host.report.step("create two", false, format_args!("{created:?}"));
        return;
    };
    refused(host, "run before it is started", vm::run(id, 0), REFUSED);
    refused(host, "start without memory", vm::start(id, RAM_BASE, RAM_BASE), REFUSED);
    refused(
        host,
        "load without memory",
        vm::load(id, RAM_BASE, memory.base(), 64),
        REFUSED,
    );
    let lent = mail.lend(id, &[(memory.base(), 256)]);
    let Some(handle) = host.report.value("lend", lent) else {
        return;
    };
    refused(host, "map for another", vm::map(other, handle, RAM_BASE), REFUSED);
    refused(host, "map unaligned", vm::map(id, handle, RAM_BASE + 8), REFUSED);
    refused(host, "map outside of all", vm::map(id, handle, 1 << 60), REFUSED);
    refused(
        host,
        "map so that it wraps",
        vm::map(id, handle, 0xffff_ffff_ffff_f000),
        REFUSED,
    );
    refused(
        host,
        "retrieve by the host",
        mail.retrieve(mail.id, handle, 0),
        FFA_REFUSED,
    );
    refused(host, "relinquish by the host", mail.relinquish(handle), FFA_REFUSED);
    let mapped = vm::map(id, handle, RAM_BASE);
    host.report.value("map", mapped);
    refused(host, "map twice", vm::map(id, handle, RAM_BASE + (16 << 20)), REFUSED);
    refused(
        host,
        "reclaim while it is mapped",
        ffa::reclaim_once(handle, 0),
        FFA_REFUSED,
    );
    let second = mail.lend(id, &[(memory.base() + 256 * PAGE, 16)]);
    if let Some(second) = host.report.value("lend more", second) {
        refused(
            host,
            "map over the first",
            vm::map(id, second, RAM_BASE + PAGE),
            REFUSED,
        );
        let back = ffa::reclaim(second);
        host.report.value("reclaim what was not mapped", back);
    }
    refused(
        host,
        "start outside of memory",
        vm::start(id, 1 << 36, RAM_BASE + 0x1000),
        REFUSED,
    );
    refused(
        host,
        "tree outside of memory",
        vm::start(id, RAM_BASE, 1 << 36),
        REFUSED,
    );
    refused(
        host,
        "tree over the end",
        vm::start(id, RAM_BASE, RAM_BASE + 255 * PAGE),
        REFUSED,
    );
    refused(host, "tree unaligned", vm::start(id, RAM_BASE, RAM_BASE + 4), REFUSED);
    started(host, id, memory);
    let destroyed = vm::destroy(id);
    host.report.value("destroy", destroyed);
    refused(host, "destroy twice", vm::destroy(id), REFUSED);
    refused(host, "run after the end", vm::run(id, 0), REFUSED);
    let back = ffa::reclaim(handle);
    host.report.value("reclaim", back);
    refused(host, "reclaim twice", ffa::reclaim_once(handle, 0), FFA_REFUSED);
    refused(host, "map a stale handle", vm::map(other, handle, RAM_BASE), REFUSED);
    let destroyed = vm::destroy(other);
    host.report.value("destroy the other", destroyed);
    refused(
        host,
        "lend to one who was",
        mail.lend(id, &[(memory.base(), 1)]),
        FFA_REFUSED,
    );
    let clean = memory.part(0, 256).differs(|_| 0);
    host.report.step("clean", clean.is_none(), format_args!("{clean:x?}"));
}

/// Once it is started. It is not run: there is nothing but zeroes in it, so it would never give the CPU back.
fn started(host: &mut Host, id: u64, memory: Block) {
    let tree = RAM_BASE + 64 * PAGE;
    let started = vm::start(id, RAM_BASE, tree);
    host.report.value("start", started);
    refused(host, "start twice", vm::start(id, RAM_BASE, tree), REFUSED);
    let own = memory.part(300, 1);
    refused(
        host,
        "load after start",
        vm::load(id, RAM_BASE + 32 * PAGE, own.base(), 64),
        REFUSED,
    );
    for vcpu in [1, 8, u64::MAX] {
        refused(host, "run, no such vCPU", vm::run(id, vcpu), REFUSED);
    }
}

/// A guest that tries the calls itself, and a lease that two could want.
fn borrowers(host: &mut Host, mail: &Mailbox, image: &Image, memory: Block) {
    let other = vm::create().and_then(|id| {
        mail.lend(id, &[(memory.part(300, 1).base(), 1)])
            .map(|lease| (id, lease))
    });
    let Some((other, foreign)) = host.report.value("a lease of another", other) else {
        return;
    };
    let mut arguments: heapless::String<64> = heapless::String::new();
    let _ = write!(arguments, "scenario=calls foreign={foreign:#x}");
    let made = Guest::new(mail, image, &arguments, &[memory.part(0, 256)]);
    let Some(mut guest) = host.report.value("guest", made) else {
        return;
    };
    let further = guest.lend(mail, &[memory.part(256, 4)]);
    host.report.value("lend it more", further);
    let ended = guest.start(image).and_then(|()| guest.run_to_end());
    let off = ended.is_ok_and(|(exit, _)| exit.reason == vendor::EXIT_OFF);
    host.report.step("guest ends", off, format_args!("{ended:x?}"));
    host.report.step(
        "guest is refused",
        guest.said.has("LH-GUEST done") && !guest.said.has("FAIL"),
        format_args!(""),
    );
    refused(
        host,
        "run after it is off",
        vm::run(guest.id, 0).map(|e| e.reason != vendor::EXIT_OFF && e.reason != 0),
        REFUSED,
    );
    let ended = guest.end();
    host.report.value("end", ended);
    let back = ffa::reclaim(foreign).and_then(|()| vm::destroy(other));
    host.report.value("the lease of another comes back", back);
}

/// As many as there is room for, and one more.
fn room(host: &mut Host, mail: &Mailbox) {
    let told = vm::features();
    let Some(f) = host.report.value("features", told) else {
        return;
    };
    let mut ids: heapless::Vec<u64, MOST> = heapless::Vec::new();
    while let Ok(id) = vm::create() {
        if ids.push(id).is_err() {
            break;
        }
    }
    host.report.step(
        "as many VMs as told",
        ids.len() as u64 == f.vms,
        format_args!("{} of {}", ids.len(), f.vms),
    );
    refused(host, "one VM more", vm::create(), FULL);
    let distinct = (0..ids.len()).all(|i| !ids[..i].contains(&ids[i]));
    host.report
        .step("each has its own id", distinct, format_args!("{ids:?}"));

    let Some(id) = ids.first().copied() else { return };
    let pages = host.pages.take(2 * MOST as u64);
    let mut handles: heapless::Vec<u64, MOST> = heapless::Vec::new();
    for i in 0..MOST as u64 {
        match mail.lend(id, &[(pages.base() + 2 * i * PAGE, 1)]) {
            Ok(handle) if handles.push(handle).is_ok() => {}
            _ => break,
        }
    }
    host.report.step(
        "as many leases as told",
        handles.len() as u64 == f.leases,
        format_args!("{} of {}", handles.len(), f.leases),
    );
    let more = pages.base() + 2 * handles.len() as u64 * PAGE;
    refused(host, "one lease more", mail.lend(id, &[(more, 1)]), FFA_FULL);
    let back = handles.iter().all(|h| ffa::reclaim(*h).is_ok());
    host.report.step("all come back", back, format_args!(""));
    ranges(host, mail, id, pages, f.ranges);
    let gone = ids.iter().all(|id| vm::destroy(*id).is_ok());
    host.report.step("all VMs go", gone, format_args!(""));
}

/// As many ranges in one lease, none beside another.
fn ranges(host: &mut Host, mail: &Mailbox, id: u64, pages: Block, most: u64) {
    let list: heapless::Vec<(u64, u32), MOST> = (0..MOST as u64).map(|i| (pages.base() + 2 * i * PAGE, 1)).collect();
    let fits = (mail.tx.bytes() as usize - leasehold_guests::descriptor::offset::RANGES) / 16;
    let most = (most as usize).min(fits).min(MOST - 1);
    let lent = mail.lend(id, &list[..most]);
    if let Some(handle) = host.report.value("as many ranges as told", lent) {
        let kept = pages.part(1, 1).differs(|_| 0);
        host.report
            .step("pages between stay", kept.is_none(), format_args!("{most} ranges"));
        let back = ffa::reclaim(handle);
        host.report.value("reclaim them", back);
    }
    if most < fits {
        let full = [numbers::NO_MEMORY, numbers::INVALID_PARAMETERS];
        refused(host, "one range more", mail.lend(id, &list[..=most]), &full);
    }
    let lent = mail
        .lend(id, &[(pages.base(), pages.pages() as u32)])
        .and_then(ffa::reclaim);
    host.report.value("and as one", lent);
}
