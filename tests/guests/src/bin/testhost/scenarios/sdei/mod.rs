//! SDEI (Arm DEN0054): its calls, and accesses to lent memory that are told as events. Every chain is
//! `sdei,external-abort`: when a handler completes, the access is made again, and the abort comes.

mod calls;
mod cpus;

use leasehold_abi::{sdei as numbers, vendor};
use leasehold_guests::arch::el0::{Program, Stub};
use leasehold_guests::arch::one::{Instruction, Registers};
use leasehold_guests::arch::probe::{self, Fault, Width};
use leasehold_guests::arch::sdei::{self, Deed, End, FAULT, SOFTWARE, Visit, ask};
use leasehold_guests::host::Host;
use leasehold_guests::pages::Block;
use leasehold_guests::{ffa, pattern, vm};

/// The status code of the chain's second link.
const EXTERNAL: u64 = 0x10;
/// What a record of it names.
const EXTERNAL_RECORD: u64 = vendor::MECHANISM_ABORT | EXTERNAL << 8;
/// EL1 with SP_EL1, DAIF masked.
const HANDLER: u64 = 0x3c5;
/// NZCV are the interrupted program's own.
const SPSR_COMPARED: u64 = 0x0fff_ffff;

const EVENT: u64 = FAULT as u64;
const SIGNAL: u64 = SOFTWARE as u64;

/// Lent memory, of which each touch takes another word: nobody takes two for the same access.
struct Lent {
    block: Block,
    next: u64,
}

impl Lent {
    fn next(&mut self) -> u64 {
        self.next += 16;
        self.block.base() + self.next
    }
}

pub fn run(host: &mut Host) {
    calls::same(host);
    let created = vm::create();
    let Some(id) = host.report.value("create", created) else {
        return;
    };
    let area = host.pages.take_blocks(1);
    area.fill(pattern::at);
    let block = area.part(3, 2);
    let leased = host.mail().lend(id, &[(block.base(), 2)]);
    let Some(handle) = host.report.value("lend", leased) else {
        return;
    };
    let mut lent = Lent { block, next: 0 };
    vm::drain_faults();
    // Before it does anything: a CPU starts masked, and with nothing registered.
    not_told(host, "nothing registered", lent.next());
    states(host, &mut lent);
    for translated in [false, true] {
        if translated {
            host.translate();
        }
        host.report
            .step("begin", sdei::begin(FAULT), format_args!("MMU {translated}"));
        told(host, &mut lent);
        registers(host, &mut lent);
        resumed(host, &mut lent);
        in_a_handler(host, &mut lent);
        nested(host, &mut lent);
        let reset = ask(numbers::PRIVATE_RESET, &[]);
        host.report.same("reset", reset, numbers::SUCCESS);
        not_told(host, "after a reset", lent.next());
    }
    calls::garbage(host);
    host.start_cpus();
    cpus::several(host, &lent);
    cpus::signals(host);
    cpus::switched_on(host);
    let reclaimed = ffa::reclaim(handle);
    host.report.value("reclaim", reclaimed);
    let destroyed = vm::destroy(id);
    host.report.value("destroy", destroyed);
}

/// A load that the chain's second link answers at once, with a record that says so, and no other.
fn not_told(host: &mut Host, name: &str, at: u64) {
    sdei::plan(FAULT, Deed::Nothing, End::Complete);
    let loaded = probe::read(at, Width::Double);
    let record = vm::fault();
    let good = loaded.is_err_and(|fault| fault.status() == EXTERNAL)
        && sdei::visit(FAULT).times == 0
        && record.is_ok_and(|record| (record.va, record.mechanism) == (at, EXTERNAL_RECORD))
        && vm::drain_faults() == 0;
    host.report
        .step(name, good, format_args!("not told: {loaded:x?} {record:x?}"));
}

/// Registered is not enough.
fn states(host: &mut Host, lent: &mut Lent) {
    let step = |host: &mut Host, name, function, wanted| {
        let answer = ask(function, &[EVENT]);
        host.report.same(name, answer, wanted);
    };
    host.report.same("register", sdei::register(FAULT), numbers::SUCCESS);
    host.report
        .same("register again", sdei::register(FAULT), numbers::DENIED);
    step(host, "registered", numbers::EVENT_STATUS, 0b001);
    step(host, "unmask", numbers::PE_UNMASK, numbers::SUCCESS);
    not_told(host, "disabled", lent.next());
    step(host, "mask", numbers::PE_MASK, 1);
    step(host, "enable", numbers::EVENT_ENABLE, numbers::SUCCESS);
    step(host, "enabled", numbers::EVENT_STATUS, 0b011);
    not_told(host, "masked", lent.next());
    step(host, "unmask", numbers::PE_UNMASK, numbers::SUCCESS);
    step(host, "disable", numbers::EVENT_DISABLE, numbers::SUCCESS);
    not_told(host, "disabled again", lent.next());
    step(host, "unregister", numbers::EVENT_UNREGISTER, numbers::SUCCESS);
    not_told(host, "unregistered", lent.next());
    step(host, "mask", numbers::PE_MASK, 1);
}

/// What a handler has found is what the abort that follows says of the same access, and of what hardware makes of PSTATE.
fn agrees(visit: &Visit, fault: &Fault, before: [u64; 4]) -> bool {
    let [event, argument, pc, pstate] = visit.x;
    (event, argument) == (EVENT, sdei::argument(FAULT))
        && visit.times != 0
        && pc == fault.elr
        && pstate & SPSR_COMPARED == fault.spsr & SPSR_COMPARED
        && visit.pstate == fault.pstate
        && visit.pstate & 0x3cf == HANDLER & !1 | 1
        && visit.exception == before
}

/// A way to load.
type Load = fn(&Program, u64) -> Result<u64, Fault>;

/// Loads from EL1 and EL0.
fn told(host: &mut Host, lent: &mut Lent) {
    let program = host.program();
    let ways: [(&str, u64, Load); 2] = [
        ("EL1", vendor::CLASS_EL1_USER, |_, at| probe::read(at, Width::Double)),
        ("EL0", vendor::CLASS_EL0, Program::load),
    ];
    for (name, class, load) in ways {
        let at = match class {
            vendor::CLASS_EL0 => host.user(lent.next()),
            _ => lent.next(),
        };
        sdei::plan(FAULT, Deed::Nothing, End::Complete);
        // EL0 is entered by way of ELR_EL1 and SPSR_EL1.
        let before = sdei::exception();
        let loaded = load(&program, at);
        let visit = sdei::visit(FAULT);
        let good = loaded.is_err_and(|fault| {
            let before = match class {
                vendor::CLASS_EL0 => [before[0], before[1], visit.exception[2], visit.exception[3]],
                _ => before,
            };
            fault.status() == EXTERNAL && agrees(&visit, &fault, before)
        });
        host.report
            .step(name, good, format_args!("told: {visit:x?} then {loaded:x?}"));
        let record = visit.record;
        let good = record.is_some_and(|record| {
            (record.class, record.va, record.pc, record.mechanism) == (class, at, visit.x[2], vendor::MECHANISM_SDEI)
        });
        host.report
            .step(name, good, format_args!("the handler's record: {record:x?}"));
        let first = vm::fault().ok();
        let last = (1..visit.times)
            .try_fold(0, |_, _| vm::fault().map(|_| 0))
            .and_then(|_| vm::fault());
        let good =
            first == record && last.is_ok_and(|last| last.mechanism == EXTERNAL_RECORD) && vm::drain_faults() == 0;
        host.report.step(
            name,
            good,
            format_args!("told {} times: {first:x?}, {last:x?}", visit.times),
        );
    }
}

/// Nothing that was interrupted is lost, whatever a handler does with the registers.
fn registers(host: &mut Host, lent: &mut Lent) {
    for sp0 in [false, true] {
        let mut registers = Registers::new(lent.next(), sp0);
        let before = registers;
        sdei::plan(FAULT, Deed::Nothing, End::Complete);
        // SAFETY: a load.
        let fault = unsafe { Instruction::LOAD.run(&mut registers) };
        let visit = sdei::visit(FAULT);
        let good = visit.times != 0
            && fault.is_err_and(|fault| fault.status() == EXTERNAL && fault.elr == visit.x[2])
            && visit.context == before.x[..18]
            && registers.x[..30] == before.x[..30]
            && registers.nzcv == before.nzcv;
        host.report.step(
            "registers",
            good,
            format_args!("SP_EL0 {sp0}: {fault:x?} {registers:x?}"),
        );
    }
}

/// A handler that goes on elsewhere finds what an exception would leave.
fn resumed(host: &mut Host, lent: &mut Lent) {
    let mut registers = Registers::new(lent.next(), false);
    let before = registers;
    sdei::plan(FAULT, Deed::Nothing, End::Skip);
    // SAFETY: a load.
    let skipped = unsafe { Instruction::LOAD.run(&mut registers) };
    let visit = sdei::visit(FAULT);
    let found = |visit: &Visit| {
        visit.resumed.is_some_and(|resumed| {
            (resumed.elr, resumed.spsr) == (visit.x[2], visit.x[3]) && resumed.pstate == visit.pstate
        })
    };
    let good = skipped.is_ok() && found(&visit) && registers.x[..30] == before.x[..30];
    host.report
        .step("resume", good, format_args!("EL1: {skipped:x?} {visit:x?}"));
    let at = host.user(lent.next());
    let program = host.program();
    sdei::plan(FAULT, Deed::Nothing, End::Skip);
    // SAFETY: it is not to be stored.
    let skipped = unsafe { program.run(Stub::Store, at, 0xdead) };
    let visit = sdei::visit(FAULT);
    let good = skipped == Ok(at) && found(&visit) && visit.x[2] == program.pc(Stub::Store);
    host.report
        .step("resume", good, format_args!("EL0: {skipped:x?} {visit:x?}"));
    vm::drain_faults();
}

/// What a handler does itself.
fn in_a_handler(host: &mut Host, lent: &mut Lent) {
    // Its own touch is for the chain's next link.
    let (at, inner) = (lent.next(), lent.next());
    sdei::plan(FAULT, Deed::Load(inner), End::Skip);
    let skipped = probe::read(at, Width::Double);
    let visit = sdei::visit(FAULT);
    let good = skipped.is_ok()
        && visit.times == 1
        && visit
            .fault
            .is_some_and(|fault| (fault.status(), fault.far) == (EXTERNAL, inner));
    host.report
        .step("touch in the handler", good, format_args!("{skipped:x?} {visit:x?}"));
    // It is gone when it ends.
    sdei::plan(FAULT, Deed::Unregister, End::Skip);
    let skipped = probe::read(lent.next(), Width::Double);
    let visit = sdei::visit(FAULT);
    let good = skipped.is_ok() && (visit.times, visit.deed) == (1, numbers::PENDING);
    host.report.step(
        "unregister in the handler",
        good,
        format_args!("{skipped:x?} {visit:x?}"),
    );
    let status = ask(numbers::EVENT_STATUS, &[EVENT]);
    host.report.same("unregistered", status, 0);
    vm::drain_faults();
    not_told(host, "unregistered by itself", lent.next());
    host.report.step("begin again", sdei::begin(FAULT), format_args!(""));
}

/// The event of critical priority in the handler of the other one, and not the other way round.
fn nested(host: &mut Host, lent: &mut Lent) {
    let this = host.machine.cpus[0];
    let unheard = sdei::signal(this);
    host.report.same("signal without a handler", unheard, numbers::SUCCESS);
    host.report.step("begin", sdei::begin(SOFTWARE), format_args!(""));
    host.report.same("it was lost", sdei::visit(SOFTWARE).times, 0);
    let inner = lent.next();
    sdei::plan(SOFTWARE, Deed::Load(inner), End::Complete);
    sdei::plan(FAULT, Deed::Signal, End::Skip);
    let signalled = sdei::signal(this);
    let (outer, critical) = (sdei::visit(SOFTWARE), sdei::visit(FAULT));
    let good = signalled == numbers::SUCCESS
        && (critical.times, critical.deed, outer.fault) == (1, numbers::SUCCESS, None)
        && critical.record.is_some_and(|record| record.va == inner)
        && critical.x[3] & 0x3cf == HANDLER
        && outer.record.is_none();
    host.report
        .step("critical in normal", good, format_args!("{outer:x?} {critical:x?}"));
    // What the critical one has signalled is told when both are over, where the first signal was made.
    host.report.same("and once more", outer.times, 2);
    sdei::plan(SOFTWARE, Deed::Signal, End::Complete);
    let signalled = (sdei::signal(this), sdei::visit(SOFTWARE).times);
    host.report
        .same("signal in the handler", signalled, (numbers::SUCCESS, 2));
    sdei::plan(SOFTWARE, Deed::Nothing, End::Complete);
    host.report.same("mask", ask(numbers::PE_MASK, &[]), 1);
    let signalled = (sdei::signal(this), sdei::visit(SOFTWARE).times);
    host.report
        .same("signal while masked", signalled, (numbers::SUCCESS, 0));
    let unmasked = (ask(numbers::PE_UNMASK, &[]), sdei::visit(SOFTWARE).times);
    host.report.same("told when unmasked", unmasked, (numbers::SUCCESS, 1));
    vm::drain_faults();
}
