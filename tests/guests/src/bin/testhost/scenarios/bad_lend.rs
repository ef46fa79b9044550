//! Lends that must be refused, each with the error that the standard names, and without any effect.

use leasehold_abi::ffa::{DENIED, INVALID_PARAMETERS, NO_MEMORY, NOT_SUPPORTED};
use leasehold_guests::descriptor::offset;
use leasehold_guests::ffa::{self, Mailbox};
use leasehold_guests::host::Host;
use leasehold_guests::pages::{Block, PAGE};
use leasehold_guests::{pattern, vm};

/// The caller may not do this to that memory (DEN0077A Table 12.1, DEN0140 2.2).
const NOT_YOURS: &[i32] = &[DENIED, INVALID_PARAMETERS];
/// The descriptor or a register is not as it should be.
const NOT_VALID: &[i32] = &[INVALID_PARAMETERS];
/// It does not fit.
const TOO_LONG: &[i32] = &[INVALID_PARAMETERS, NO_MEMORY, DENIED];
/// It is valid, but nobody has to offer it.
const NOT_OFFERED: &[i32] = &[NOT_SUPPORTED, INVALID_PARAMETERS, DENIED];

struct Bad {
    mail: Mailbox,
    vm: u64,
    /// Sixteen pages of the host's.
    own: Block,
}

pub fn run(host: &mut Host) {
    let created = vm::create();
    let Some(vm) = host.report.value("create", created) else {
        return;
    };
    let own = host.pages.take(16);
    own.fill(pattern::at);
    let bad = Bad {
        mail: host.mail(),
        vm,
        own,
    };
    places(host, &bad);
    shapes(host, &bad);
    fields(host, &bad);
    lengths(host, &bad);
    twice(host, &bad);
    buffers(host, &bad);
    // Nothing has changed: all of it is there, and can be lent and taken back.
    let lost = own.differs(pattern::at);
    host.report
        .step("nothing has changed", lost.is_none(), format_args!("{lost:x?}"));
    let lent = bad
        .mail
        .lend(vm, &[(own.base(), own.pages() as u32)])
        .and_then(ffa::reclaim);
    host.report.value("lend and reclaim all", lent);
    let destroyed = vm::destroy(vm);
    host.report.value("destroy", destroyed);
}

impl Bad {
    /// The answer must be one of `wanted`. What is lent by mistake is taken back.
    fn judge(&self, host: &mut Host, name: &str, answer: Result<u64, i32>, wanted: &[i32]) {
        if let Ok(handle) = answer {
            let _ = ffa::reclaim(handle);
        }
        let good = answer.is_err_and(|e| wanted.contains(&e));
        host.report
            .step(name, good, format_args!("{answer:x?}, wanted one of {wanted:?}"));
    }

    fn lend(&self, host: &mut Host, name: &str, ranges: &[(u64, u32)], wanted: &[i32]) {
        let answer = self.mail.lend(self.vm, ranges);
        self.judge(host, name, answer, wanted);
    }

    /// Lends two pages with a descriptor that `spoil` has changed.
    fn spoilt(&self, host: &mut Host, name: &str, wanted: &[i32], spoil: impl FnOnce(&Block)) {
        let len = self
            .mail
            .encode(self.vm, &[(self.own.base(), 1), (self.own.base() + 2 * PAGE, 1)]) as u64;
        spoil(&self.mail.tx);
        let answer = ffa::lend_raw(len, len, 0, 0);
        self.judge(host, name, answer, wanted);
    }
}

/// Memory that is not the host's to lend.
fn places(host: &mut Host, bad: &Bad) {
    let holes = host.machine.holes();
    host.report
        .step("the hypervisor's memory", !holes.is_empty(), format_args!("{holes:x?}"));
    for hole in &holes {
        let pages = (hole.bytes() / PAGE) as u32;
        for (name, address, count) in [
            ("hypervisor, first page", hole.start, 1),
            ("hypervisor, middle", (hole.start + hole.bytes() / 2) & !(PAGE - 1), 1),
            ("hypervisor, last page", hole.end - PAGE, 1),
            ("hypervisor, all", hole.start, pages),
            ("hypervisor, and on", hole.end - PAGE, 2),
            ("up to hypervisor, and on", hole.start.saturating_sub(PAGE), 2),
        ] {
            bad.lend(host, name, &[(address, count)], NOT_YOURS);
        }
        bad.lend(
            host,
            "own, then hypervisor",
            &[(bad.own.base(), 1), (hole.start, 1)],
            NOT_YOURS,
        );
    }
    let uart = host.machine.uart;
    let end = host.machine.ram().end;
    let (gic, _) = host.machine.gic.unwrap_or((0x0800_0000, 0));
    for (name, address) in [
        ("UART", uart),
        ("the hypervisor's UART", 0x0904_0000),
        ("GIC", gic),
        ("SMMU", 0x0905_0000),
        ("flash", 0),
        ("PCI", 0x1000_0000),
        ("behind RAM", end),
        ("far behind RAM", end + (1 << 36)),
        ("more bits than any", 1 << 52),
        ("last page", 0xffff_ffff_ffff_f000),
    ] {
        bad.lend(host, name, &[(address, 1)], NOT_YOURS);
    }
    bad.lend(host, "over the end of RAM", &[(end - PAGE, 2)], NOT_YOURS);
}

/// Ranges that are none.
fn shapes(host: &mut Host, bad: &Bad) {
    let base = bad.own.base();
    for (name, ranges) in [
        ("unaligned by 8", &[(base + 8, 1)][..]),
        ("unaligned by half", &[(base + PAGE / 2, 1)]),
        ("no pages", &[(base, 0)]),
        ("no pages beside one", &[(base, 1), (base + PAGE, 0)]),
        ("no ranges", &[]),
        ("the same twice", &[(base, 1), (base, 1)]),
        ("overlapping", &[(base, 3), (base + 2 * PAGE, 2)]),
        ("overlapping, backwards", &[(base + 2 * PAGE, 2), (base, 3)]),
        ("one in the other", &[(base, 8), (base + 3 * PAGE, 1)]),
        ("wrapping", &[(0xffff_ffff_ffff_f000, 2)]),
        ("wrapping to own", &[(0xffff_ffff_ffff_f000, 0x8_0000)]),
        ("most pages there are", &[(base, u32::MAX)]),
        ("sum of pages wraps", &[(base, u32::MAX), (base + PAGE, 2)]),
    ] {
        bad.lend(host, name, ranges, NOT_YOURS);
    }
}

/// One field of the descriptor at a time.
fn fields(host: &mut Host, bad: &Bad) {
    let vm = bad.vm as u16;
    let put16 = |at: usize, value: u16| move |tx: &Block| tx.put(at, &value.to_le_bytes());
    for (name, value) in [("sender nobody", vm + 100), ("sender 0", 0), ("sender a guest", vm)] {
        bad.spoilt(host, name, NOT_YOURS, put16(offset::SENDER, value));
    }
    for (name, value) in [
        ("receiver nobody", vm + 100),
        ("receiver the host", bad.mail.id),
        ("receiver 0", 0),
    ] {
        bad.spoilt(host, name, NOT_YOURS, put16(offset::RECEIVER, value));
    }
    for (name, value) in [
        ("device memory", 0x10),
        ("not cacheable", 0x24),
        ("reserved type", 0x30),
        ("reserved", 0x80),
    ] {
        bad.spoilt(host, name, NOT_YOURS, put16(offset::ATTRIBUTES, value));
    }
    let put32 = |at: usize, value: u32| move |tx: &Block| tx.write32(at, value);
    for bit in [5, 10, 31] {
        bad.spoilt(host, "reserved flag", NOT_VALID, put32(offset::FLAGS, 1 << bit));
    }
    bad.spoilt(host, "a handle", NOT_VALID, put32(offset::HANDLE, 0x77));
    bad.spoilt(host, "reserved access", NOT_VALID, |tx| {
        tx.put(offset::PERMISSIONS, &[0b11])
    });
    bad.spoilt(host, "reserved execution", NOT_VALID, |tx| {
        tx.put(offset::PERMISSIONS, &[0b1110])
    });
    for (name, at, value) in [
        ("no access descriptors", offset::ACCESS_COUNT, 0),
        ("very many access descriptors", offset::ACCESS_COUNT, u32::MAX),
        ("access descriptor of no size", offset::ACCESS_SIZE, 0),
        ("access descriptor of odd size", offset::ACCESS_SIZE, 7),
        ("access descriptor of all sizes", offset::ACCESS_SIZE, u32::MAX),
        ("access descriptors in the header", offset::ACCESS_OFFSET, 0),
        ("access descriptors unaligned", offset::ACCESS_OFFSET, 49),
        ("access descriptors at the end", offset::ACCESS_OFFSET, 4080),
        ("access descriptors far away", offset::ACCESS_OFFSET, 0xffff_fff0),
        ("ranges nowhere", offset::COMPOSITE_OFFSET, 0),
        ("ranges in the header", offset::COMPOSITE_OFFSET, 16),
        ("ranges unaligned", offset::COMPOSITE_OFFSET, 83),
        ("ranges at the end", offset::COMPOSITE_OFFSET, 4088),
        ("ranges behind the end", offset::COMPOSITE_OFFSET, 4096),
        ("ranges far away", offset::COMPOSITE_OFFSET, 0xffff_fff0),
        ("one range more than there is", offset::RANGE_COUNT, 3),
        ("one range fewer", offset::RANGE_COUNT, 1),
        ("very many ranges", offset::RANGE_COUNT, u32::MAX),
        ("as many ranges as wrap", offset::RANGE_COUNT, 0x1000_0000),
        ("a page more than there is", offset::TOTAL_PAGES, 3),
        ("a page fewer", offset::TOTAL_PAGES, 1),
    ] {
        bad.spoilt(host, name, NOT_VALID, put32(at, value));
    }
    bad.spoilt(
        host,
        "two access descriptors",
        NOT_OFFERED,
        put32(offset::ACCESS_COUNT, 2),
    );
}

/// Lengths in registers that are not those of the descriptor.
fn lengths(host: &mut Host, bad: &Bad) {
    let len = bad.mail.encode(bad.vm, &[(bad.own.base(), 1)]) as u64;
    let size = bad.mail.tx.bytes();
    for (name, total, fragment, wanted) in [
        ("no length", 0, 0, NOT_VALID),
        ("shorter than a header", 40, 40, NOT_VALID),
        ("without its ranges", 80, 80, NOT_VALID),
        ("one byte short", len - 1, len - 1, NOT_VALID),
        ("fragment longer than all", len, len + 16, NOT_VALID),
        ("no fragment", len, 0, NOT_VALID),
        ("longer than the buffer", size + 16, size + 16, TOO_LONG),
        ("the greatest", u64::from(u32::MAX), u64::from(u32::MAX), TOO_LONG),
        ("in fragments", len + 16, len, NOT_OFFERED),
        ("in fragments, longer than the buffer", size * 2, size, NOT_OFFERED),
    ] {
        bad.mail.encode(bad.vm, &[(bad.own.base(), 1)]);
        let answer = ffa::lend_raw(total, fragment, 0, 0);
        bad.judge(host, name, answer, wanted);
    }
    for (name, address, pages) in [
        ("another buffer", bad.own.base(), 1),
        ("another buffer of the hypervisor's", 0x4000_0000, 1),
        ("pages of no buffer", 0, 1),
    ] {
        bad.mail.encode(bad.vm, &[(bad.own.base(), 1)]);
        let answer = ffa::lend_raw(len, len, address, pages);
        bad.judge(host, name, answer, NOT_OFFERED);
    }
}

/// What is lent already, in whole or in part.
fn twice(host: &mut Host, bad: &Bad) {
    let base = bad.own.base();
    let lent = bad.mail.lend(bad.vm, &[(base + 4 * PAGE, 4)]);
    let Some(handle) = host.report.value("lend", lent) else {
        return;
    };
    for (name, first, pages) in [
        ("lent already", 4, 4),
        ("a part lent already", 5, 1),
        ("the end lent already", 2, 3),
        ("the beginning lent already", 7, 3),
        ("the middle lent already", 0, 16),
    ] {
        let ranges = [(base + first * PAGE, pages)];
        bad.lend(host, name, &ranges, NOT_YOURS);
    }
    let taken = ffa::reclaim(handle);
    host.report.value("reclaim", taken);
    let twice = ffa::reclaim_once(handle, 0);
    host.report.step(
        "reclaim twice",
        twice == Err(INVALID_PARAMETERS),
        format_args!("{twice:?}"),
    );
    let flags = ffa::reclaim_once(handle, 1 << 7);
    host.report
        .step("reclaim with reserved flags", flags.is_err(), format_args!("{flags:?}"));
    bad.own.part(4, 4).fill(pattern::at);
}

/// The buffers themselves, and none.
fn buffers(host: &mut Host, bad: &Bad) {
    bad.lend(host, "the TX buffer", &[(bad.mail.tx.base(), 1)], NOT_YOURS);
    bad.lend(host, "the RX buffer", &[(bad.mail.rx.base(), 1)], NOT_YOURS);
    let again = ffa::map(bad.mail.tx.base(), bad.mail.rx.base(), 1);
    host.report
        .step("buffers twice", again == Err(DENIED), format_args!("{again:?}"));
    let unmapped = ffa::unmap();
    host.report.value("unmap", unmapped);
    bad.lend(host, "without a buffer", &[(bad.own.base(), 1)], TOO_LONG);
    let twice = ffa::unmap();
    host.report.step(
        "unmap twice",
        twice == Err(INVALID_PARAMETERS),
        format_args!("{twice:?}"),
    );
    let mapped = ffa::map(bad.mail.tx.base(), bad.mail.rx.base(), 1);
    host.report.value("map again", mapped);
}
