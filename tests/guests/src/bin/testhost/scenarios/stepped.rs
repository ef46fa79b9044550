//! What is peculiar to an access that is served by stepping its instruction: it may end in another exception, and the host
//! may be debugging itself.

use super::served::aside;
use leasehold_abi::vendor;
use leasehold_guests::arch::cpu;
use leasehold_guests::arch::el0::Stub;
use leasehold_guests::arch::mmu;
use leasehold_guests::arch::one::{Instruction as I, Registers};
use leasehold_guests::arch::probe::Fault;
use leasehold_guests::host::Host;
use leasehold_guests::pages::{Block, PAGE};
use leasehold_guests::{ffa, pattern, read_register, vm, write_register};

/// MDSCR_EL1.SS, KDE and MDE.
const SS: u64 = 1;
const KDE: u64 = 1 << 13;
const MDE: u64 = 1 << 15;
/// SPSR_EL1.SS.
const SPSR_SS: u64 = 1 << 21;
/// ESR_EL1 of a software step from a lower Exception level: EC, IL, IFSC; and ISV, which says that the CPU has stepped an
/// instruction itself.
const STEP: u64 = 0x32 << 26 | 1 << 25 | 0x22;
const STEP_VALID: u64 = 1 << 24;
/// ESR_EL1.EC of a watchpoint from the same Exception level.
const WATCHPOINT: u64 = 0x35;

/// Two times 2 MiB: the last page of the first is lent, and what comes behind it is the second's.
struct Edge {
    id: u64,
    last: Block,
    behind: Block,
    table: Block,
}

pub fn run(host: &mut Host) {
    let (area, table) = (host.pages.take_blocks(2), host.pages.take(1));
    area.fill(pattern::at);
    host.translate();
    host.map_in_pages(area, area.part(9, 1));
    let created = vm::create();
    let Some(id) = host.report.value("create", created) else {
        return;
    };
    let edge = Edge {
        id,
        last: area.part(511, 1),
        behind: area.part(512, 512),
        table,
    };
    unmapped_behind(host, &edge);
    walk_behind(host, &edge);
    own_step(host, &edge);
    // OSLAR_EL1: unlocked, and locked as at reset.
    for lock in [0, 1] {
        write_register!("oslar_el1", lock);
        debugged(host, &edge, lock);
    }
    let destroyed = vm::destroy(id);
    host.report.value("destroy", destroyed);
    let dirt = area.differs(pattern::at);
    host.report
        .step("nothing was written", dirt.is_none(), format_args!("{dirt:x?}"));
}

/// Loads a pair, half of it from the last page.
fn across(edge: &Edge, sp0: bool) -> (Result<(), Fault>, [u64; 2]) {
    let mut registers = Registers::new(edge.behind.base() - 8, sp0);
    cpu::invalidate_translations();
    // SAFETY: a load.
    let outcome = unsafe { I::LOAD_PAIR.run(&mut registers) };
    (outcome, [registers.x[3], registers.x[4]])
}

/// Does it while the last page is lent.
fn while_lent<T>(host: &mut Host, edge: &Edge, page: Block, what: impl FnOnce(&mut Host) -> T) -> Option<T> {
    let lent = host.mail().lend(edge.id, &[(page.base(), 1)]);
    let handle = host.report.value("lend", lent)?;
    vm::drain_faults();
    let result = what(host);
    let back = ffa::reclaim(handle);
    host.report.value("reclaim", back)?;
    Some(result)
}

fn set_behind(host: &mut Host, edge: &Edge, table: Block) {
    if let Some(space) = &host.space {
        space.set_table(&mut host.pages, edge.behind.base(), table.base());
    }
}

/// Stage 1 has nothing behind the lent page: the exception is the one that it would be were it not lent.
fn unmapped_behind(host: &mut Host, edge: &Edge) {
    set_behind(host, edge, edge.table);
    for sp0 in [false, true] {
        let (real, _) = across(edge, sp0);
        let lent = while_lent(host, edge, edge.last, |_| (across(edge, sp0).0, vm::fault()));
        let Some((seen, record)) = lent else { return };
        let good = real.is_err_and(|fault| fault.is_abort() && fault.far == edge.behind.base())
            && seen == real
            && record.is_ok_and(|record| record.mechanism == vendor::MECHANISM_DECOY);
        host.report.step(
            "unmapped behind",
            good,
            format_args!("SP0 {sp0}: {seen:x?}, really {real:x?}, {record:x?}"),
        );
    }
}

/// What is behind the lent page is translated by a table that is lent too: no decoy serves that walk, so that the access
/// gets the next link, which is none.
fn walk_behind(host: &mut Host, edge: &Edge) {
    for i in 0..512 {
        // A page, Normal, read and written by EL1: attribute 1, Inner Shareable, accessed, not executable at EL0.
        let entry = (edge.behind.base() + i * PAGE) | 0x707 | 1 << 54;
        edge.table.write(i as usize * 8, entry);
    }
    cpu::dsb();
    let before = across(edge, false);
    let whole = [pattern::at(edge.behind.base() - 8), pattern::at(edge.behind.base())];
    host.report.same("walk before", before, (Ok(()), whole));
    let lent = edge.table;
    let seen = while_lent(host, edge, lent, |host| {
        let both = while_lent(host, edge, edge.last, |_| {
            (across(edge, false).0, vm::fault(), vm::drain_faults())
        });
        (both, across(edge, false).0)
    });
    let Some((Some((both, record, further)), alone)) = seen else {
        return;
    };
    let external = |fault: Fault, far: u64| fault.is_abort() && fault.status() == 0x10 && fault.far == far;
    let good = both.is_err_and(|fault| external(fault, edge.behind.base() - 8))
        && record.is_ok_and(|record| record.mechanism == vendor::MECHANISM_ABORT | 0x10 << 8)
        && further == 0
        && alone.is_err_and(|fault| external(fault, edge.behind.base()));
    host.report.step(
        "walk behind",
        good,
        format_args!("{both:x?} {record:x?} {further}, {alone:x?}"),
    );
    host.report.same("walk after", across(edge, false), (Ok(()), whole));
}

/// A host that steps a program of its own: its step is over when its instruction has been served.
fn own_step(host: &mut Host, edge: &Edge) {
    write_register!("oslar_el1", 0);
    let before = read_register!("mdscr_el1");
    let program = host.program();
    for (name, stub) in [("a load, stepped", Stub::Load), ("a store, stepped", Stub::Store)] {
        let step = |address: u64| {
            write_register!("mdscr_el1", before | SS);
            // SAFETY: memory of this test's alone.
            let outcome = unsafe { program.run_with(stub, mmu::user(address), 1, SPSR_SS) };
            write_register!("mdscr_el1", before);
            outcome
        };
        let at = edge.last.base() + 64;
        let real = step(at);
        edge.last.write(64, pattern::at(at));
        let Some(seen) = while_lent(host, edge, edge.last, |_| step(at)) else {
            return;
        };
        let told = |outcome: Result<u64, Fault>| outcome.err().map(|f| (f.esr & !STEP_VALID, f.elr, f.spsr, f.vector));
        let good = told(real).is_some_and(|(esr, elr, ..)| (esr, elr) == (STEP, program.pc(stub) + 4))
            && told(seen) == told(real);
        host.report
            .step(name, good, format_args!("{seen:x?}, really {real:x?}"));
    }
}

/// All of the host's debug registers that matter.
fn debug() -> [u64; 6] {
    [
        read_register!("dbgbvr0_el1"),
        read_register!("dbgbcr0_el1"),
        read_register!("dbgwvr0_el1"),
        read_register!("dbgwcr0_el1"),
        read_register!("par_el1"),
        read_register!("contextidr_el1"),
    ]
}

/// Debug exceptions are on at EL1, there is a watchpoint at what is lent and a breakpoint at what touches it. Neither gets
/// between, for it is EL2 that the instruction is stepped for; after it all is as it was.
fn debugged(host: &mut Host, edge: &Edge, lock: u64) {
    let at = edge.last.base() + 128;
    let mdscr = read_register!("mdscr_el1");
    // E, PAC 0b01 (EL1), LSC 0b11, BAS: all eight bytes. And a breakpoint of EL1's, at an instruction that is not run.
    write_register!("dbgwvr0_el1", at);
    write_register!("dbgwcr0_el1", 0xff << 5 | 0b11 << 3 | 0b01 << 1 | 1);
    write_register!("dbgbvr0_el1", I::STORE.pc());
    write_register!("dbgbcr0_el1", 0xf << 5 | 0b01 << 1 | 1);
    write_register!("mdscr_el1", mdscr | KDE | MDE);
    let load = || {
        let mut registers = Registers::new(at, false);
        // D is clear: debug exceptions come from EL1 to EL1.
        write_register!("daif", 0x1c0);
        let before = (aside(), debug());
        // SAFETY: a load.
        let outcome = unsafe { I::LOAD.run(&mut registers) };
        let kept = before == (aside(), debug());
        write_register!("daif", 0x3c0);
        (outcome, registers.x[3], kept)
    };
    let seen = while_lent(host, edge, edge.last, |_| load());
    let real = load();
    write_register!("mdscr_el1", mdscr);
    write_register!("dbgwcr0_el1", 0);
    write_register!("dbgbcr0_el1", 0);
    // As soon as the memory is the host's, there is one. The lock would keep it away, but QEMU 10.0 has it in bit 1 of
    // OSLSR_EL1, OSLK, and looks at bit 0 (target/arm/debug_helper.c, oslar_write and arm_generate_debug_exceptions).
    let watched = lock == 1 || real.0.is_err_and(|fault| fault.class() == WATCHPOINT);
    let good = seen.is_some_and(|(outcome, value, kept)| outcome.is_ok() && value == 0 && kept) && watched;
    host.report.step(
        "debugged",
        good,
        format_args!("lock {lock}: {seen:x?}, really {real:x?}"),
    );
}
