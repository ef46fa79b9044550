//! SDEI (Arm DEN0054): its calls, and accesses to lent memory that are told as events. Every chain is
//! `sdei,external-abort`: when a handler completes, the access is made again, and the abort comes.

use core::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use leasehold_abi::{psci as standard, sdei as numbers, vendor};
use leasehold_guests::arch::el0::{Program, Stub};
use leasehold_guests::arch::one::{Instruction, Registers};
use leasehold_guests::arch::probe::{self, Fault, Width};
use leasehold_guests::arch::sdei::{self, Deed, End, FAULT, SOFTWARE, Visit, ask};
use leasehold_guests::arch::{call, cpu, smp};
use leasehold_guests::host::Host;
use leasehold_guests::pages::Block;
use leasehold_guests::{ffa, pattern, psci, vm};

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
    calls(host);
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
    garbage(host);
    host.start_cpus();
    several(host, &lent);
    signals(host);
    switched_on(host);
    let reclaimed = ffa::reclaim(handle);
    host.report.value("reclaim", reclaimed);
    let destroyed = vm::destroy(id);
    host.report.value("destroy", destroyed);
}

/// What calls answer of which nothing depends on a state.
fn calls(host: &mut Host) {
    host.report
        .same("version", ask(numbers::VERSION, &[]), numbers::VERSION_1_1);
    host.report.same("event", vm::fault_event(), Ok(EVENT));
    host.report.same("no record", vm::current_fault(), Err(vendor::DENIED));
    let same: [(&str, u32, &[u64], i64); 27] = [
        ("no slots", numbers::FEATURES, &[0], 0),
        ("absolute addresses", numbers::FEATURES, &[1], 0),
        ("no such feature", numbers::FEATURES, &[2], numbers::INVALID_PARAMETERS),
        ("private", numbers::EVENT_GET_INFO, &[EVENT, 0], 0),
        ("not signalled", numbers::EVENT_GET_INFO, &[EVENT, 1], 0),
        ("critical", numbers::EVENT_GET_INFO, &[EVENT, 2], 1),
        (
            "not routed",
            numbers::EVENT_GET_INFO,
            &[EVENT, 3],
            numbers::INVALID_PARAMETERS,
        ),
        (
            "nowhere",
            numbers::EVENT_GET_INFO,
            &[EVENT, 4],
            numbers::INVALID_PARAMETERS,
        ),
        ("signalled", numbers::EVENT_GET_INFO, &[SIGNAL, 1], 1),
        ("normal", numbers::EVENT_GET_INFO, &[SIGNAL, 2], 0),
        (
            "no such event",
            numbers::EVENT_GET_INFO,
            &[1, 0],
            numbers::INVALID_PARAMETERS,
        ),
        ("status of none", numbers::EVENT_STATUS, &[EVENT], 0),
        (
            "status of no event",
            numbers::EVENT_STATUS,
            &[1],
            numbers::INVALID_PARAMETERS,
        ),
        ("enable early", numbers::EVENT_ENABLE, &[EVENT], numbers::DENIED),
        ("disable early", numbers::EVENT_DISABLE, &[EVENT], numbers::DENIED),
        ("unregister early", numbers::EVENT_UNREGISTER, &[EVENT], numbers::DENIED),
        ("context early", numbers::EVENT_CONTEXT, &[0], numbers::DENIED),
        ("complete early", numbers::EVENT_COMPLETE, &[0], numbers::DENIED),
        (
            "resume early",
            numbers::EVENT_COMPLETE_AND_RESUME,
            &[0],
            numbers::DENIED,
        ),
        (
            "no address",
            numbers::EVENT_REGISTER,
            &[EVENT, 0],
            numbers::INVALID_PARAMETERS,
        ),
        (
            "no instruction",
            numbers::EVENT_REGISTER,
            &[EVENT, 6],
            numbers::INVALID_PARAMETERS,
        ),
        (
            "relative",
            numbers::EVENT_REGISTER,
            &[EVENT, 8, 0, 2],
            numbers::INVALID_PARAMETERS,
        ),
        (
            "routing",
            numbers::EVENT_ROUTING_SET,
            &[EVENT, 0],
            numbers::INVALID_PARAMETERS,
        ),
        (
            "bind an SGI",
            numbers::INTERRUPT_BIND,
            &[15],
            numbers::INVALID_PARAMETERS,
        ),
        ("bind", numbers::INTERRUPT_BIND, &[32], numbers::OUT_OF_RESOURCE),
        (
            "release",
            numbers::INTERRUPT_RELEASE,
            &[EVENT],
            numbers::INVALID_PARAMETERS,
        ),
        ("shared reset", numbers::SHARED_RESET, &[], numbers::SUCCESS),
    ];
    for (name, function, arguments, wanted) in same {
        host.report.same(name, ask(function, arguments), wanted);
    }
    for function in [0xC400_0033, numbers::LAST_FUNCTION, 0x8400_0020, 0x0400_0020] {
        let answer = ask(function, &[]);
        host.report.same("no such call", answer, numbers::NOT_SUPPORTED);
    }
    host.report.same(
        "signal another event",
        ask(numbers::EVENT_SIGNAL, &[EVENT, host.machine.cpus[0]]),
        numbers::INVALID_PARAMETERS,
    );
    host.report
        .same("signal nobody", sdei::signal(0xff_0000), numbers::INVALID_PARAMETERS);
    host.report.same("masked", ask(numbers::PE_MASK, &[]), 0);
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

/// Loads from EL1 and EL0.
fn told(host: &mut Host, lent: &mut Lent) {
    let program = host.program();
    let ways: [(&str, u64, fn(&Program, u64) -> Result<u64, Fault>); 2] = [
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

/// Any argument for any call, and then all is as before.
fn garbage(host: &mut Host) {
    let mut random = 0x2545_f491_4f6c_dd1d_u64;
    let mut next = || {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        random
    };
    let mut refused = 0;
    for round in 0..2000_u64 {
        let function = numbers::VERSION + (next() % 32) as u32;
        let mut arguments = core::array::from_fn::<u64, 5, _>(|_| next());
        if round.is_multiple_of(2) {
            arguments[0] = [EVENT, SIGNAL, EVENT | 1 << 40, 18][(next() % 4) as usize];
        }
        // Nobody runs what it would register.
        let _ = call::call(numbers::PE_MASK, &[]);
        if function != numbers::PE_UNMASK {
            refused += u32::from((call::call(function, &arguments)[0] as i64) < 0);
        }
    }
    let reset = ask(numbers::PRIVATE_RESET, &[]);
    let status = (
        ask(numbers::EVENT_STATUS, &[EVENT]),
        ask(numbers::EVENT_STATUS, &[SIGNAL]),
    );
    host.report.step(
        "garbage",
        (reset, status) == (0, (0, 0)),
        format_args!("{refused} of 2000 refused"),
    );
}

/// What CPUs have seen that was not as it should be.
static WRONG: AtomicBool = AtomicBool::new(false);

fn wrong_unless(good: bool) {
    if !good {
        WRONG.store(true, Ordering::Release);
    }
}

/// Each CPU has its own handlers.
fn several(host: &mut Host, lent: &Lent) {
    let base = lent.block.base() + 0x1000;
    smp::each(&base, |number, base| {
        // Registered on the CPUs of even numbers.
        let registers = number.is_multiple_of(2);
        sdei::plan(FAULT, Deed::Nothing, End::Complete);
        wrong_unless(!registers || sdei::begin(FAULT));
        wrong_unless(smp::meet(number));
        for n in 0..32 {
            sdei::plan(FAULT, Deed::Nothing, End::Complete);
            let loaded = probe::read(base + 512 * number as u64 + 16 * n, Width::Double);
            let visit = sdei::visit(FAULT);
            wrong_unless(loaded.is_err_and(|fault| fault.status() == EXTERNAL));
            wrong_unless((visit.times != 0) == registers);
            wrong_unless(!registers || visit.x[1] == sdei::argument(FAULT));
            wrong_unless(!registers || visit.record.is_some_and(|record| record.cpu == number as u64));
        }
        wrong_unless(ask(numbers::PRIVATE_RESET, &[]) == numbers::SUCCESS);
    });
    let wrong = WRONG.swap(false, Ordering::AcqRel);
    host.report.step("each CPU", !wrong, format_args!("{} CPUs", host.cpus));
    vm::drain_faults();
}

/// A CPU that another one signals is told when it calls, or otherwise comes to EL2.
fn signals(host: &mut Host) {
    if host.cpus < 2 {
        return;
    }
    static READY: AtomicBool = AtomicBool::new(false);
    static TOLD: AtomicBool = AtomicBool::new(false);
    let target = host.machine.cpus[1];
    let told = smp::beside(
        &(),
        |number, ()| {
            if number != 1 {
                return;
            }
            wrong_unless(sdei::begin(SOFTWARE));
            READY.store(true, Ordering::Release);
            let told = cpu::wait(10_000, || {
                ask(numbers::VERSION, &[]);
                sdei::visit(SOFTWARE).times != 0
            });
            wrong_unless(told && sdei::visit(SOFTWARE).times == 1);
            TOLD.store(told, Ordering::Release);
        },
        || {
            let ready = cpu::wait(10_000, || READY.load(Ordering::Acquire));
            let signalled = sdei::signal(target);
            (ready, signalled, cpu::wait(10_000, || TOLD.load(Ordering::Acquire)))
        },
    );
    let wrong = WRONG.swap(false, Ordering::AcqRel);
    host.report.step(
        "another CPU",
        !wrong && told == (true, 0, true),
        format_args!("{told:?}"),
    );
}

/// A CPU that is switched off and on starts masked, and with nothing registered.
fn switched_on(host: &mut Host) {
    if host.cpus < 2 {
        return;
    }
    static SEEN: AtomicI64 = AtomicI64::new(-1);
    extern "C" fn come_back(_: u64) {
        let masked = ask(numbers::PE_MASK, &[]);
        let status = ask(numbers::EVENT_STATUS, &[EVENT]) | ask(numbers::EVENT_STATUS, &[SIGNAL]);
        SEEN.store(status << 1 | masked, Ordering::Release);
    }
    let target = host.machine.cpus[1];
    smp::dismiss(|number, _| {
        if number == 1 {
            sdei::begin(FAULT);
            psci::call(standard::CPU_OFF, &[]);
        }
    });
    let off = cpu::wait(10_000, || {
        psci::call(standard::AFFINITY_INFO_64, &[target, 0]) == standard::AFFINITY_OFF
    });
    let started = smp::start(1, target, come_back);
    let back = cpu::wait(10_000, || SEEN.load(Ordering::Acquire) >= 0);
    let seen = SEEN.load(Ordering::Acquire);
    host.report.step(
        "switched on",
        off && back && (started, seen) == (psci::SUCCESS, 0),
        format_args!("off {off}, started {started}, status and mask {seen:#x}"),
    );
}
