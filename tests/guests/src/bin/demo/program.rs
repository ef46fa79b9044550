//! The steps, in order.

use crate::{dma, touch};
use leasehold_abi::{ffa, vendor};
use leasehold_guests::host::Host;
use leasehold_guests::lender::{Guest, Image, ranges};
use leasehold_guests::pages::{Block, PAGE};
use leasehold_guests::{args, entry, pattern, stop, vm};

entry!(main);

/// Single pages in the lease, with pages that the host keeps in between.
const SINGLE_PAGES: u64 = 5;

fn main(tree: u64) -> ! {
    let mut host = Host::begin(tree);
    if host.find() {
        meet(&mut host);
        host.start_cpus();
        host.translate();
        lease(&mut host);
    }
    host.end()
}

#[panic_handler]
fn panic(info: &core::panic::PanicInfo<'_>) -> ! {
    stop(format_args!("{info}"))
}

/// Who is there, and what it offers.
fn meet(host: &mut Host) {
    if let Some(f) = host.report.value("features", vm::features()) {
        let enough = f.vms >= 1 && f.leases >= 1 && f.ranges >= 2 + SINGLE_PAGES;
        host.report.step("features suffice", enough, format_args!("{f:?}"));
    }
    let version = leasehold_guests::ffa::version(ffa::VERSION_1_2);
    host.report.same("FF-A version", version, ffa::VERSION_1_2 as i32);
    host.report
        .same("FF-A id", leasehold_guests::ffa::id(), Ok(ffa::HOST_ID));
}

/// What the guest gets: two stretches of 8 MiB in blocks of 2 MiB, and single pages.
fn memory(host: &mut Host) -> ([Block; 7], [Block; 5]) {
    let (first, second) = (host.pages.take_blocks(4), host.pages.take_blocks(4));
    let singles = host.pages.take(2 * SINGLE_PAGES);
    let single = |i: u64| singles.part(2 * i, 1);
    let lent = [second, first, single(3), single(0), single(4), single(1), single(2)];
    let kept = [0, 1, 2, 3, 4].map(|i| singles.part(2 * i + 1, 1));
    for block in lent.iter().chain(&kept) {
        block.fill(|at| !pattern::at(at));
    }
    (lent, kept)
}

fn lease(host: &mut Host) {
    let (lent, kept) = memory(host);
    let image = host.image();
    let mail = host.mail();
    let made = Guest::new(&mail, &image, "", &lent);
    let Some(mut guest) = host.report.value("create, lend, map, load", made) else {
        return;
    };
    let started = guest.start(&image);
    host.report.value("start", started);
    let ran = guest.run();
    if let Some(exit) = host.report.value("run", ran) {
        host.report.same("guest waits", exit.reason, vendor::EXIT_WAIT);
        for said in ["tree ok", "zero ok", "pattern ok", "ready"] {
            host.report
                .step(said, guest.said.has(said), format_args!("guest says so"));
        }
    }
    touch::all(host, &lent);
    touch::neighbours(host, &kept);
    // The machine has no device that the tests know, behind an SMMU or not.
    if !args::has(host.machine.args, "no-dma") {
        dma::all(host, &lent);
    }
    finish(host, guest);
    returned(host, &lent);
    again(host, &image, &lent);
}

/// The guest goes on, finds its memory as it left it, ends, and all is taken back.
fn finish(host: &mut Host, mut guest: Guest) {
    let ended = guest.run_to_end();
    if let Some((exit, waits)) = host.report.value("run to the end", ended) {
        host.report.same("guest is off", exit.reason, vendor::EXIT_OFF);
        host.report
            .step("guest waited", waits == 2, format_args!("{waits} times more"));
    }
    host.report.step(
        "intact",
        guest.said.has("LH-GUEST intact"),
        format_args!("guest says so"),
    );
    let ended = guest.end();
    host.report.value("destroy, reclaim", ended);
}

/// What came back is the host's again, and zero.
fn returned(host: &mut Host, lent: &[Block]) {
    for (i, block) in lent.iter().enumerate() {
        let dirt = block.differs(|_| 0);
        host.report.step(
            "reclaimed range reads zero",
            dirt.is_none(),
            format_args!("{i}: {dirt:x?}"),
        );
        block.fill(pattern::at);
        let lost = block.differs(pattern::at);
        host.report.step(
            "reclaimed range can be written",
            lost.is_none(),
            format_args!("{i}: {lost:x?}"),
        );
    }
}

/// The same memory can be lent again, to another guest, and comes back again.
fn again(host: &mut Host, image: &Image, lent: &[Block]) {
    let mail = host.mail();
    let made = Guest::new(&mail, image, "", lent);
    let Some(mut guest) = host.report.value("lend again", made) else {
        return;
    };
    let started = guest.start(image);
    host.report.value("start again", started);
    let ended = guest.run_to_end();
    if let Some((exit, _)) = host.report.value("run again", ended) {
        host.report.same("guest is off again", exit.reason, vendor::EXIT_OFF);
    }
    host.report.step(
        "zero ok again",
        guest.said.has("zero ok"),
        format_args!("guest says so"),
    );
    let ended = guest.end();
    host.report.value("destroy, reclaim again", ended);
    let pages: u64 = lent.iter().map(Block::pages).sum();
    let clean = lent.iter().all(|b| b.differs(|_| 0).is_none());
    let count = ranges::<16>(lent).len();
    host.report.step(
        "all clean",
        clean,
        format_args!("{} KiB in {count} ranges", pages * PAGE / 1024),
    );
}
