//! CPUs that come and go, by PSCI (Arm DEN0022F.b, section 5).

use core::sync::atomic::{AtomicBool, AtomicI32, Ordering};
use leasehold_abi::psci::{
    AFFINITY_INFO_64, AFFINITY_OFF, AFFINITY_ON, ALREADY_ON, CPU_OFF, CPU_ON_32, CPU_ON_64, CPU_SUSPEND_64, FEATURES,
    INVALID_ADDRESS, INVALID_PARAMETERS, MIGRATE_INFO_TYPE, NOT_SUPPORTED, ON_PENDING, SUCCESS, SYSTEM_OFF,
    SYSTEM_RESET, TOS_NOT_PRESENT, VERSION, VERSION_1_1,
};
use leasehold_guests::arch::cpu::{self, MOST};
use leasehold_guests::arch::probe::{self, Width};
use leasehold_guests::arch::{entry, smp};
use leasehold_guests::host::Host;
use leasehold_guests::{args, ffa, psci, vm};

pub fn run(host: &mut Host) {
    features(host);
    let cpus = host.machine.cpus.clone();
    if cpus.len() < 2 {
        host.report
            .step("more than one CPU", false, format_args!("{}", cpus.len()));
        return;
    }
    for mpidr in cpus.iter().skip(1) {
        host.report.same("AFFINITY_INFO before", info(*mpidr), AFFINITY_OFF);
    }
    host.report
        .same("AFFINITY_INFO of this one", info(cpus[0]), AFFINITY_ON);
    errors(host, &cpus);
    entries(host, cpus[1]);
    host.start_cpus();
    for mpidr in &cpus {
        host.report
            .same("AFFINITY_INFO of one that is up", info(*mpidr), AFFINITY_ON);
        host.report.same(
            "CPU_ON of one that is up",
            psci::cpu_on(*mpidr, entry::secondary_entry(), 0),
            ALREADY_ON,
        );
    }
    cycles(host, &cpus, args::number_of(host.machine.args, "rounds", 10));
    race(host, &cpus);
    host.translate();
    lend_with_cpus_off(host, &cpus);
}

fn info(mpidr: u64) -> i32 {
    psci::call(AFFINITY_INFO_64, &[mpidr, 0])
}

fn features(host: &mut Host) {
    host.report
        .same("PSCI_VERSION", psci::call(VERSION, &[]) as u32, VERSION_1_1);
    for (name, id) in [
        ("CPU_ON", CPU_ON_64),
        ("CPU_OFF", CPU_OFF),
        ("AFFINITY_INFO", AFFINITY_INFO_64),
        ("SYSTEM_OFF", SYSTEM_OFF),
        ("SYSTEM_RESET", SYSTEM_RESET),
        ("PSCI_FEATURES", FEATURES),
    ] {
        let answer = psci::call(FEATURES, &[u64::from(id)]);
        host.report
            .step("PSCI_FEATURES", answer >= 0, format_args!("{name}: {answer:#x}"));
    }
    let answer = psci::call(FEATURES, &[0x8400_001f]);
    host.report.same("PSCI_FEATURES of nothing", answer, NOT_SUPPORTED);
    let answer = psci::call(MIGRATE_INFO_TYPE, &[]);
    host.report
        .among("MIGRATE_INFO_TYPE", answer, &[TOS_NOT_PRESENT, NOT_SUPPORTED]);
    let answer = psci::call(CPU_SUSPEND_64, &[1 << 31, 0, 0]);
    host.report.among(
        "CPU_SUSPEND of a state that is none",
        answer,
        &[INVALID_PARAMETERS, NOT_SUPPORTED],
    );
}

fn errors(host: &mut Host, cpus: &[u64]) {
    let here = entry::secondary_entry();
    host.report
        .same("CPU_ON of this one", psci::cpu_on(cpus[0], here, 0), ALREADY_ON);
    // No CPU has that affinity; the bits that are no affinity are zero (5.6: INVALID_PARAMETERS).
    for mpidr in [0xff, 0x00ff_ff00, 0xff_0000_0000, 1 << 24, 1 << 31, 1 << 63, u64::MAX] {
        host.report
            .same("CPU_ON of nobody", psci::cpu_on(mpidr, here, 0), INVALID_PARAMETERS);
        host.report
            .same("AFFINITY_INFO of nobody", info(mpidr), INVALID_PARAMETERS);
    }
    let level = psci::call(AFFINITY_INFO_64, &[cpus[1], 7]);
    host.report
        .same("AFFINITY_INFO of a level that is none", level, INVALID_PARAMETERS);
}

/// Entries that are not the host's memory.
fn entries(host: &mut Host, mpidr: u64) {
    let page = host.pages.take(1);
    let mail = host.mail();
    let lent = vm::create().and_then(|id| mail.lend(id, &[(page.base(), 1)]).map(|handle| (id, handle)));
    let Some((id, handle)) = host.report.value("lend a page", lent) else {
        return;
    };
    let hypervisor = host.machine.holes().first().map_or(0x4000_0000, |h| h.start);
    for (name, address) in [
        ("lent", page.base()),
        ("the hypervisor's", hypervisor),
        ("a device", 0x0900_0000),
        ("behind RAM", host.machine.ram().end),
        ("nowhere", 1 << 52),
    ] {
        for function in [CPU_ON_64, CPU_ON_32] {
            if function == CPU_ON_32 && address >> 32 != 0 {
                continue;
            }
            let answer = psci::call(function, &[mpidr, address, 0]);
            host.report.step(
                "CPU_ON, entry",
                answer == INVALID_ADDRESS,
                format_args!("{name}: {answer}"),
            );
        }
    }
    host.report.same("it is off still", info(mpidr), AFFINITY_OFF);
    let back = ffa::reclaim(handle).and_then(|()| vm::destroy(id));
    host.report.value("reclaim the page", back);
}

fn switch_off(_: usize, _: usize) {
    psci::call(CPU_OFF, &[]);
}

/// All go and come back, some times.
fn cycles(host: &mut Host, cpus: &[u64], rounds: u64) {
    let mut good = true;
    for _ in 0..rounds {
        good &= down(cpus);
        good &= smp::start_all(cpus) == cpus.len().min(MOST);
    }
    host.report
        .step("off and on", good, format_args!("{rounds} times, {} CPUs", cpus.len()));
}

/// All others go. Are they off?
fn down(cpus: &[u64]) -> bool {
    smp::dismiss(switch_off);
    cpus.iter()
        .skip(1)
        .take(MOST - 1)
        .all(|mpidr| cpu::wait(5_000, || info(*mpidr) == AFFINITY_OFF))
}

/// Two CPUs turn on the same third one: one of them does.
fn race(host: &mut Host, cpus: &[u64]) {
    if cpus.len() < 3 {
        return;
    }
    let mut good = true;
    for _ in 0..10 {
        good &= down(cpus) && smp::start_all(&cpus[..2]) == 2;
        LEAVE.store(false, Ordering::Release);
        let shared = ([const { AtomicI32::new(1) }; 2], cpus[2]);
        smp::each(&shared, |cpu, (answers, mpidr)| {
            smp::meet(cpu);
            answers[cpu].store(smp::start(2, *mpidr, stay_a_while), Ordering::Release);
        });
        LEAVE.store(true, Ordering::Release);
        let answers = shared.0.map(|a| a.load(Ordering::Acquire));
        let won = answers.iter().filter(|a| **a == SUCCESS).count();
        let lost = answers.iter().filter(|a| [ALREADY_ON, ON_PENDING].contains(a)).count();
        good &= won == 1 && lost == 1 && cpu::wait(5_000, || info(cpus[2]) == AFFINITY_OFF);
    }
    good &= down(cpus) && smp::start_all(cpus) == cpus.len().min(MOST);
    host.cpus = smp::count();
    host.report.step("one wins", good, format_args!("10 times"));
}

static LEAVE: AtomicBool = AtomicBool::new(false);

/// Comes, and goes when both have asked for it.
extern "C" fn stay_a_while(_: u64) {
    cpu::wait(5_000, || LEAVE.load(Ordering::Acquire));
    psci::call(CPU_OFF, &[]);
}

/// A CPU that was off while memory was lent has nothing of it in its TLB when it comes back.
fn lend_with_cpus_off(host: &mut Host, cpus: &[u64]) {
    let page = host.pages.take(1);
    smp::each(&page.base(), |_, at| {
        let _ = probe::read(*at, Width::Double);
    });
    let off = down(cpus);
    let mail = host.mail();
    let lent = vm::create().and_then(|id| mail.lend(id, &[(page.base(), 1)]).map(|handle| (id, handle)));
    let Some((id, handle)) = host.report.value("lend with CPUs off", lent) else {
        return;
    };
    let on = smp::start_all(cpus) == cpus.len().min(MOST);
    let refused = [const { AtomicI32::new(0) }; MOST];
    let shared = (refused, page.base());
    smp::each(&shared, |cpu, (refused, at)| {
        refused[cpu].store(i32::from(probe::read(*at, Width::Double).is_err()), Ordering::Release);
    });
    let count: i32 = shared.0.iter().map(|r| r.load(Ordering::Acquire)).sum();
    let good = off && on && count as usize == smp::count();
    host.report
        .step("refused after off and on", good, format_args!("{count} CPUs"));
    let back = ffa::reclaim(handle).and_then(|()| vm::destroy(id));
    host.report.value("reclaim", back);
}
