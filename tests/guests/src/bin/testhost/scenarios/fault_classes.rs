//! Each class of access, once: which exception comes, and is it the one that hardware would make?
//!
//! ESR_EL1 is compared bit by bit with what the architecture says of an abort to EL1 (Arm ARM D24.2.40); SPSR_EL1,
//! PSTATE and the vector with those of the same instruction at an address that stage 1 does not map.

use leasehold_abi::vendor;
use leasehold_guests::arch::cpu;
use leasehold_guests::arch::el0::{Program, Stub};
use leasehold_guests::arch::mmu::{self, Access};
use leasehold_guests::arch::probe::{self, Fault, Odd, Width};
use leasehold_guests::expect::Class;
use leasehold_guests::host::Host;
use leasehold_guests::pages::{Block, PAGE};
use leasehold_guests::{args, ffa, pattern, vm};

/// Neither half maps it: index 384 of the first table.
const UNMAPPED: u64 = 384 << 30;
/// ESR_ELx.IL: a 32-bit instruction.
const IL: u64 = 1 << 25;
/// ESR_ELx.WnR: a write.
const WNR: u64 = 1 << 6;
/// NZCV are the interrupted program's own.
const SPSR_COMPARED: u64 = 0x0fff_ffff;

/// One way to touch memory.
#[derive(Clone, Copy)]
struct Way {
    name: &'static str,
    class: Class,
    /// ESR_EL1 without the fault status code.
    esr: u64,
    touch: Touch,
}

const DATA_EL0: u64 = 0x24 << 26 | IL;
const DATA_EL1: u64 = 0x25 << 26 | IL;
const FETCH_EL0: u64 = 0x20 << 26 | IL;
const FETCH_EL1: u64 = 0x21 << 26 | IL;

type Touch = fn(&Program, u64) -> Option<Fault>;

const fn way(name: &'static str, class: Class, esr: u64, touch: Touch) -> Way {
    Way {
        name,
        class,
        esr,
        touch,
    }
}

/// From EL1.
const EL1: [Way; 9] = [
    way("load 8", Class::User, DATA_EL1, |_, a| {
        probe::read(a, Width::Byte).err()
    }),
    way("load 64", Class::User, DATA_EL1, |_, a| {
        probe::read(a, Width::Double).err()
    }),
    way("load pair", Class::User, DATA_EL1, |_, a| {
        probe::read_oddly(a, Odd::Pair).err()
    }),
    way("load, write back", Class::User, DATA_EL1, |_, a| {
        probe::read_oddly(a, Odd::WriteBack).err()
    }),
    way("load exclusive", Class::User, DATA_EL1, |_, a| {
        probe::read_oddly(a, Odd::Exclusive).err()
    }),
    way("store 8", Class::User, DATA_EL1 | WNR, |_, a| store(a, Width::Byte)),
    way("store 64", Class::User, DATA_EL1 | WNR, |_, a| store(a, Width::Double)),
    way("dc zva", Class::User, DATA_EL1 | WNR, |_, a| zero(a)),
    way("fetch", Class::Fetch, FETCH_EL1, |_, a| fetch(a)),
];

/// From EL0.
const EL0: [Way; 3] = [
    way("EL0 load", Class::El0, DATA_EL0, |p, a| at_el0(p, Stub::Load, a)),
    way("EL0 store", Class::El0, DATA_EL0 | WNR, |p, a| {
        at_el0(p, Stub::Store, a)
    }),
    way("EL0 fetch", Class::El0, FETCH_EL0, |p, a| at_el0(p, Stub::Jump, a)),
];

fn store(address: u64, width: Width) -> Option<Fault> {
    // SAFETY: lent memory, or nothing.
    unsafe { probe::write(address, width, 0xdead) }.err()
}

fn zero(address: u64) -> Option<Fault> {
    // SAFETY: lent memory, or nothing.
    unsafe { probe::zero_line(address) }.err()
}

fn fetch(address: u64) -> Option<Fault> {
    // SAFETY: it is not to be reached; were it, this program would be lost, and that would be seen.
    unsafe { probe::fetch(address, 0) }.err()
}

fn at_el0(program: &Program, stub: Stub, address: u64) -> Option<Fault> {
    // SAFETY: lent memory, or nothing; what could be fetched is EL0's, which comes back at its first exception.
    unsafe { program.run(stub, address, 0) }.err()
}

pub fn run(host: &mut Host) {
    let (area, table) = (host.pages.take_blocks(1), host.pages.take(1));
    let lent = area.part(3, 2);
    area.fill(pattern::at);
    let Some((id, handle)) = host.lend(&[lent]) else {
        return;
    };
    let program = host.program();
    for way in EL1.iter().chain(&EL0) {
        one(host, "MMU off", &program, way, lent.base() + 64, None);
    }
    host.start_cpus();
    host.translate();
    host.map_in_pages(area, lent.part(1, 1));
    translated(host, lent);
    walk(host, id, table);
    cache(host, lent);
    counted(host, lent);
    if args::has(host.machine.args, "again") {
        again(host, lent);
    }
    let reclaimed = ffa::reclaim(handle);
    host.report.value("reclaim", reclaimed);
    let beside = area.part(5, 507).differs(pattern::at);
    host.report
        .step("pages beside", beside.is_none(), format_args!("{beside:x?}"));
    let destroyed = vm::destroy(id);
    host.report.value("destroy", destroyed);
}

/// With stage 1 on: both halves, and EL0.
fn translated(host: &mut Host, lent: Block) {
    let program = host.program();
    let address = lent.base() + 128;
    for way in &EL1 {
        one(host, "lower half", &program, way, address, Some(UNMAPPED));
        let class = if way.class == Class::Fetch {
            Class::Fetch
        } else {
            Class::Kernel
        };
        let upper = mmu::kernel(UNMAPPED);
        one(
            host,
            "upper half",
            &program,
            &Way { class, ..*way },
            mmu::kernel(address),
            Some(upper),
        );
    }
    for way in &EL0 {
        let page = if way.esr == FETCH_EL0 {
            lent.base() + PAGE
        } else {
            lent.base()
        };
        one(host, "EL0", &program, way, mmu::user(page), Some(UNMAPPED));
    }
}

/// Touches once, and compares with what hardware does at `unmapped`.
fn one(host: &mut Host, with: &str, program: &Program, way: &Way, address: u64, unmapped: Option<u64>) {
    let code = host.expected.code(way.class);
    let Some(fault) = (way.touch)(program, address) else {
        host.report
            .step(way.name, false, format_args!("{with}: was let through"));
        return;
    };
    let wanted = way.esr | code;
    let good = fault.esr == wanted && fault.far == address;
    host.report.step(
        way.name,
        good,
        format_args!("{with}: {fault}, wanted ESR {wanted:#x} FAR {address:#x}"),
    );
    let Some(real) = unmapped.and_then(|u| (way.touch)(program, u)) else {
        return;
    };
    let alike = fault.vector == real.vector
        && fault.pstate == real.pstate
        && fault.spsr & SPSR_COMPARED == real.spsr & SPSR_COMPARED
        && (fault.elr == real.elr || fault.far == fault.elr);
    let seen = (
        fault.vector,
        fault.pstate,
        fault.spsr,
        real.vector,
        real.pstate,
        real.spsr,
    );
    host.report
        .step(way.name, alike, format_args!("{with}: as hardware does it: {seen:x?}"));
}

/// A table of stage 1 in lent memory.
fn walk(host: &mut Host, id: u64, table: Block) {
    let area = host.pages.take_blocks(1);
    area.fill(pattern::at);
    for i in 0..512 {
        // A page, Normal, read and written by EL1: attribute 1, Inner Shareable, accessed, not executable.
        let entry = (area.base() + i * PAGE) | 0x707 | 1 << 54;
        table.write(i as usize * 8, entry);
    }
    let Some(space) = host.space.take() else { return };
    space.set_table(&mut host.pages, area.base(), table.base());
    let before = probe::read(area.base() + 8, Width::Double);
    host.report
        .same("walk before", before, Ok(pattern::at(area.base() + 8)));
    let lent = host.mail().lend(id, &[(table.base(), 1)]);
    if let Some(handle) = host.report.value("lend the table", lent) {
        cpu::invalidate_translations();
        let code = host.expected.code(Class::Walk);
        for (name, address) in [
            ("walk", area.base() + 16),
            ("walk, upper half", mmu::kernel(area.base() + 16)),
        ] {
            match probe::read(address, Width::Double) {
                Err(fault) => {
                    let good = fault.esr == DATA_EL1 | code && fault.far == address;
                    host.report
                        .step(name, good, format_args!("{fault}, wanted FSC {code:#x}"));
                }
                Ok(value) => {
                    host.report
                        .step(name, false, format_args!("was let through: {value:#x}"));
                }
            }
        }
        let reclaimed = ffa::reclaim(handle);
        host.report.value("reclaim the table", reclaimed);
    }
    space.map_block(&mut host.pages, area.base(), area.base(), Access::Kernel);
    let after = area.differs(pattern::at);
    host.report
        .step("walk after", after.is_none(), format_args!("{after:x?}"));
    host.space = Some(space);
}

/// Cache maintenance by address. TCG has no caches and does not look: that is seen, and no failure.
fn cache(host: &mut Host, lent: Block) {
    let code = host.expected.code(Class::Cache);
    match probe::clean(lent.base()) {
        Err(fault) => {
            let good = fault.is_abort() && fault.status() == code && fault.far == lent.base();
            host.report
                .step("dc civac", good, format_args!("{fault}, wanted FSC {code:#x}"));
        }
        Ok(()) => {
            host.report
                .step("dc civac", true, format_args!("this machine does not look"));
        }
    }
}

/// Each touch is counted once, for its class.
fn counted(host: &mut Host, lent: Block) {
    let sum = || vm::fault_counts(vendor::CLASS_EL0).map(|counts| counts.iter().sum::<u64>());
    let (program, user) = (host.program(), host.user(lent.base()));
    let before = sum();
    for _ in 0..3 {
        let _ = program.load(user);
    }
    let after = sum();
    let good = matches!((before, after), (Ok(before), Ok(after)) if after == before + 3);
    host.report.step("counted", good, format_args!("{before:?} {after:?}"));
    let unknown = vm::fault_counts(vendor::CLASS_DEVICE);
    host.report.step(
        "no such class",
        unknown == Err(vendor::INVALID_PARAMETERS),
        format_args!("{unknown:?}"),
    );
}

/// A program that tries once more, a while later, is told again.
fn again(host: &mut Host, lent: Block) {
    for _ in 0..3 {
        let told = probe::read_again(lent.base() + 256);
        host.report.step(
            "told again",
            told.is_err_and(|f| f.is_abort()),
            format_args!("{told:x?}"),
        );
        cpu::delay(20);
    }
}
