//! Aborts as EL2 makes them beside those that hardware makes: each access, from each state, and what its handler finds.
//!
//! By itself, at EL1 of a machine that has nothing below it, this touches what gives a real abort of the kind (`kind=`);
//! with Leasehold below, memory that is lent. What is printed of both is to be the same.

use leasehold_guests::arch::cpu;
use leasehold_guests::arch::el0::{Program, Stub};
use leasehold_guests::arch::fp;
use leasehold_guests::arch::mmu::{self, Access};
use leasehold_guests::arch::one::{Instruction as I, Registers};
use leasehold_guests::arch::probe::Fault;
use leasehold_guests::host::Host;
use leasehold_guests::pages::{Block, PAGE};
use leasehold_guests::{args, read_register, vm, write_register};

/// What is to be refused, and for which reason.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// Nothing answers on the bus.
    External,
    /// Stage 1 is off, so that all memory is of Device type, and the address is no multiple of the size.
    Alignment,
    /// Stage 1 has no page there.
    Translation,
}

const KINDS: [(&str, Kind); 3] = [
    ("external", Kind::External),
    ("alignment", Kind::Alignment),
    ("translation", Kind::Translation),
];

const EL1: [(&str, I); 9] = [
    ("load", I::LOAD),
    ("load pair", I::LOAD_PAIR),
    ("load exclusive", I::LOAD_EXCLUSIVE),
    ("load acquire", I::LOAD_ACQUIRE),
    ("load vector", I::LOAD_VECTOR),
    ("store", I::STORE),
    ("store pair", I::STORE_PAIR),
    ("store release", I::STORE_RELEASE),
    ("fetch", I::JUMP),
];

const EL0: [Stub; 12] = [
    Stub::Load,
    Stub::Store,
    Stub::Pair,
    Stub::StorePair,
    Stub::Exclusive,
    Stub::Vector,
    Stub::Jump,
    Stub::A32Load,
    Stub::A32Store,
    Stub::A32Multiple,
    Stub::A32Exclusive,
    Stub::T32Load,
];

/// PSTATE.DIT in the handler, which is not compared: an exception leaves it as it is (Arm ARM, `AArch64.TakeException`), and
/// QEMU 10.0 clears it.
const DIT: u64 = 1 << 24;
/// SCTLR_EL1.SPAN and DSSBS.
const SPAN: u64 = 1 << 23;
const DSSBS: u64 = 1 << 44;
/// SPSR_EL1 of AArch64: N, Z, C, V; BTYPE, with FEAT_BTI.
const FLAGS: u64 = 0xf << 28;
const BTYPE: u64 = 0b01 << 10;
/// SPSR_EL1 of AArch32: flags and Q; GE; IT of one instruction that is always executed.
const FLAGS_32: u64 = 0x1f << 27;
const GE: u64 = 0xf << 16;
const IT: u64 = 0xe800;

pub fn run(host: &mut Host) {
    let name = args::value(host.machine.args, "kind").unwrap_or("");
    let Some((_, kind)) = KINDS.iter().find(|(n, _)| *n == name) else {
        host.report.step("kind", false, format_args!("{name:?} is none"));
        return;
    };
    fp::enable();
    let area = host.pages.take_blocks(1);
    if vm::is_leasehold() && host.lend(&[area.part(0, 8)]).is_none() {
        return;
    }
    if *kind == Kind::Translation {
        host.translate();
        map(host, area);
    }
    let at = target(host, *kind, area);
    for sctlr in [0, SPAN | DSSBS] {
        let before = read_register!("sctlr_el1");
        write_register!("sctlr_el1", before ^ sctlr);
        let there: heapless::Vec<u64, 8> = cpu::pstate_bits().collect();
        let all = there.iter().fold(0, |sum, bit| sum | bit);
        let some = there.iter().step_by(2).fold(0, |sum, bit| sum | bit);
        for bits in [0, all, some, all & !some] {
            let from = (sctlr, bits);
            from_el1(host, *kind, at, from);
            from_el0(host, *kind, at, from);
        }
        write_register!("sctlr_el1", before);
    }
}

/// With Leasehold the page is there for EL1 and EL0; else there is a table for it, and nothing in that.
fn map(host: &mut Host, area: Block) {
    let table = host.pages.take(1);
    let stubs = host.stubs;
    let Some(space) = &host.space else { return };
    for window in [area.base(), mmu::user(area.base()), mmu::narrow(area.base())] {
        if vm::is_leasehold() {
            let access = if window == area.base() {
                Access::Kernel
            } else {
                Access::UserAll
            };
            space.map_pages(&mut host.pages, window, area.base(), 8 * PAGE, access);
        } else {
            // Until there is a table above, there is a page.
            space.map_pages(&mut host.pages, window, area.base(), PAGE, Access::Kernel);
            space.set_table(&mut host.pages, window, table.base());
        }
    }
    let code = mmu::narrow(stubs.base());
    space.map_pages(&mut host.pages, code, stubs.base(), stubs.bytes(), Access::UserCode);
}

/// What is touched, by its address while stage 1 is off.
fn target(host: &Host, kind: Kind, area: Block) -> u64 {
    match kind {
        _ if vm::is_leasehold() => area.base(),
        Kind::External => host.machine.memory.iter().map(|m| m.end).max().unwrap_or(0) + (1 << 30),
        Kind::Alignment => area.base() + 1,
        Kind::Translation => area.base(),
    }
}

/// What a real alignment fault has no counterpart of: a fetch, whose address is checked otherwise.
fn is_told(kind: Kind, fetch: bool) -> bool {
    !(fetch && kind == Kind::Alignment)
}

fn from_el1(host: &mut Host, kind: Kind, at: u64, from: (u64, u64)) {
    for (name, instruction) in EL1 {
        if !is_told(kind, instruction == I::JUMP) {
            continue;
        }
        for sp0 in [false, true] {
            let mut registers = Registers::new(at, sp0);
            registers.nzcv = if sp0 { FLAGS } else { 0 };
            cpu::set_pstate(from.1);
            // SAFETY: nothing is there, or memory of this test's alone.
            let outcome = unsafe { instruction.run(&mut registers) };
            cpu::set_pstate(0);
            let pc = if instruction == I::JUMP { at } else { instruction.pc() };
            tell(
                host,
                (name, if sp0 { "EL1t" } else { "EL1h" }),
                from,
                outcome.err(),
                (pc, at),
            );
        }
    }
}

fn from_el0(host: &mut Host, kind: Kind, at: u64, from: (u64, u64)) {
    let has_bti = read_register!("id_aa64pfr1_el1") & 0xf != 0;
    let has_aarch32 = read_register!("id_aa64pfr0_el1") & 0xf == 2;
    for stub in EL0 {
        let narrow = stub.is_aarch32();
        if narrow && !has_aarch32 || !is_told(kind, stub == Stub::Jump) {
            continue;
        }
        let window: fn(u64) -> u64 = match kind {
            Kind::Translation if narrow => mmu::narrow,
            Kind::Translation => mmu::user,
            _ => |a| a,
        };
        let program = Program::existing(window(host.stubs.base()));
        let further = match stub {
            _ if from.1 == 0 => 0,
            Stub::T32Load => FLAGS_32 | GE | IT,
            _ if narrow => FLAGS_32 | GE,
            _ if has_bti => FLAGS | BTYPE | from.1,
            _ => FLAGS | from.1,
        };
        // SAFETY: nothing is there, or memory of this test's alone.
        let outcome = unsafe { program.run_with(stub, window(at), 1, further) };
        let pc = if stub == Stub::Jump {
            window(at)
        } else {
            program.pc(stub)
        };
        let name = if narrow { "AArch32" } else { "EL0" };
        tell(
            host,
            (stub.name(), name),
            (from.0, further),
            outcome.err(),
            (pc, window(at)),
        );
    }
}

/// All that is not about where in memory it was.
fn tell(
    host: &mut Host,
    (name, origin): (&str, &str),
    (sctlr, bits): (u64, u64),
    fault: Option<Fault>,
    (pc, at): (u64, u64),
) {
    let Some(fault) = fault else {
        host.report.step(name, false, format_args!("{origin}: it went through"));
        return;
    };
    let (elr, far) = (fault.elr.wrapping_sub(pc), fault.far.wrapping_sub(at));
    host.report.step(
        name,
        elr == 0 && far == 0,
        format_args!(
            "{origin} {bits:#x}, SCTLR {sctlr:#x}: ESR {:#x} vector {} SPSR {:#x} PSTATE {:#x} ELR +{elr:#x} FAR +{far:#x}",
            fault.esr,
            fault.vector,
            fault.spsr,
            fault.pstate & !DIT
        ),
    );
}
