//! Accesses that come back, and programs that try once more: by a chain whose second link serves the access.

use core::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use leasehold_abi::vendor;
use leasehold_guests::arch::cpu::{self, MOST};
use leasehold_guests::arch::el0::Program;
use leasehold_guests::arch::probe::{self, Task, Width};
use leasehold_guests::arch::{mmu, smp};
use leasehold_guests::host::Host;
use leasehold_guests::pages::{Block, PAGE};
use leasehold_guests::{args, ffa, vm};

/// How often an access at a user address comes back until the next link is due, as Leasehold has it.
const RETURNS: u64 = 16;
/// How often it may be told on each CPU on which it is made.
const BOUND: u64 = RETURNS + 1;
/// When to give up.
const ENOUGH: u64 = 5_000;
/// How many pairs of calls are made beside CPUs that touch what is lent for ever, and how many touches there are then at
/// least.
const CALLS: u64 = 30;
const FAULTS: u64 = 30;
/// How many touches of a CPU may come between two pairs of calls: EL2 takes turns.
const SHARE: u64 = 50;

/// What the CPUs of a scenario share.
struct Shared {
    lent: Block,
    program: Program,
    /// An address that EL0 may read.
    own: u64,
    tasks: [Task; MOST],
    told: [AtomicU64; MOST],
    turn: AtomicU64,
    stop: AtomicBool,
}

impl Shared {
    fn new(host: &mut Host, lent: Block) -> Shared {
        let stacks = host.pages.take(4 * MOST as u64);
        let own = host.pages.take(1).base();
        Shared {
            lent,
            program: host.program(),
            own: host.user(own),
            tasks: core::array::from_fn(|n| Task {
                name: 0xffff_0000_1234_0000 + n as u64,
                stack: stacks.base() + 4 * PAGE * (n as u64 + 1),
            }),
            told: [const { AtomicU64::new(0) }; MOST],
            turn: AtomicU64::new(0),
            stop: AtomicBool::new(false),
        }
    }

    /// A system call of EL0's, on this CPU.
    fn system_call(&self) -> bool {
        self.program.load(self.own).is_ok()
    }

    /// Task `n` makes its access once. Was it told?
    fn touch(&self, n: usize) -> bool {
        // SAFETY: at any time one CPU at most is that task, as the callers see to.
        unsafe { probe::read_as(self.lent.base() + 64, &self.tasks[n]) }.is_err()
    }

    /// How often task `n` is told until its access succeeds.
    fn told_until_served(&self, n: usize) -> u64 {
        (0..ENOUGH).find(|_| !self.touch(n)).unwrap_or(ENOUGH)
    }

    fn told(&self) -> impl Iterator<Item = u64> {
        self.told.iter().map(|told| told.load(Ordering::Acquire))
    }
}

pub fn run(host: &mut Host) {
    let created = vm::create();
    let Some(id) = host.report.value("create", created) else {
        return;
    };
    let lent = host.pages.take(1);
    let leased = host.mail().lend(id, &[(lent.base(), 1)]);
    let Some(handle) = host.report.value("lend", leased) else {
        return;
    };
    host.start_cpus();
    host.translate();
    let shared = Shared::new(host, lent);
    a_loop(host, &shared);
    tries(host, &shared);
    in_step(host, &shared);
    moved(host, &shared);
    flooded(host, &shared);
    let back = ffa::reclaim(handle).and_then(|()| vm::destroy(id));
    host.report.value("reclaim", back);
}

fn among(told: u64, cpus: u64) -> bool {
    (RETURNS..=BOUND * cpus).contains(&told)
}

/// A loop within the kernel, as of a futex: fix-up, and the same access. It gets on each time.
fn a_loop(host: &mut Host, shared: &Shared) {
    for _ in 0..3 {
        let before = cpu::ticks();
        let told = shared.told_until_served(0);
        let ticks = cpu::ticks() - before;
        host.report.step(
            "a loop gets on",
            among(told, 1),
            format_args!("told {told} times, {} ticks each", ticks / told.max(1)),
        );
    }
}

/// A program's own tries, by the same instruction: system call, access, fix-up, return, and again.
fn tries(host: &mut Host, shared: &Shared) {
    let most = args::number_of(host.machine.args, "tries", 1000);
    let called = (0..most).filter(|_| shared.system_call() && shared.touch(0)).count() as u64;
    host.report
        .step("a try is told", called == most, format_args!("{called} of {most}"));
    // Some accesses by one call, each of which is told, and the same by the next.
    let batches = (0..most / 10).filter(|_| shared.system_call() && (0..RETURNS).all(|_| shared.touch(0)));
    let batches = batches.count() as u64;
    host.report.step(
        "a call that makes many is told of each",
        batches == most / 10,
        format_args!("{batches} of {}", most / 10),
    );
}

/// Two threads that loop, in turns on one CPU, and side by side on two.
fn in_step(host: &mut Host, shared: &Shared) {
    let (mut told, mut left) = ([0; 2], [shared.system_call(); 2]);
    for _ in 0..ENOUGH {
        for n in [0, 1] {
            left[n] = left[n] && shared.touch(n);
            told[n] += u64::from(left[n]);
        }
    }
    host.report.step(
        "two in turns get on",
        told.iter().all(|told| among(*told, 1)),
        format_args!("told {told:?} times"),
    );
    smp::each(shared, |number, shared| {
        smp::meet(number);
        if number < 2 {
            shared.told[number].store(shared.told_until_served(number), Ordering::Release);
        }
    });
    let good = shared.told().take(host.cpus.min(2)).all(|told| among(told, 1));
    let told = [0, 1].map(|n| shared.told[n].load(Ordering::Acquire));
    host.report
        .step("two side by side get on", good, format_args!("told {told:?} times"));
}

/// A task that is on another CPU at each return; others have made system calls there meanwhile, or nobody has.
fn moved(host: &mut Host, shared: &Shared) {
    for (name, calls) in [("moved among busy CPUs", true), ("moved among idle CPUs", false)] {
        shared.turn.store(0, Ordering::Release);
        shared.stop.store(false, Ordering::Release);
        let work: fn(usize, &Shared) = if calls { take_turns::<true> } else { take_turns::<false> };
        smp::each(shared, work);
        let told = shared.turn.load(Ordering::Acquire);
        let cpus = host.cpus as u64;
        host.report.step(
            name,
            among(told, cpus),
            format_args!("told {told} times on {cpus} CPUs"),
        );
    }
}

fn take_turns<const CALLS: bool>(number: usize, shared: &Shared) {
    let cpus = smp::count() as u64;
    while !shared.stop.load(Ordering::Acquire) {
        let turn = shared.turn.load(Ordering::Acquire);
        if turn % cpus != number as u64 {
            cpu::wfe();
            continue;
        }
        if CALLS {
            shared.system_call();
        }
        if shared.touch(2) && turn < ENOUGH {
            shared.turn.store(turn + 1, Ordering::Release);
        } else {
            shared.stop.store(true, Ordering::Release);
        }
        cpu::sev();
    }
}

/// One loops, and all others touch whatever there is.
fn flooded(host: &mut Host, shared: &Shared) {
    shared.stop.store(false, Ordering::Release);
    shared.turn.store(0, Ordering::Release);
    let told = smp::beside(
        shared,
        |_, shared| {
            let mut n = 0;
            while !shared.stop.load(Ordering::Acquire) {
                n = (n + 8) % PAGE;
                let _ = probe::read(shared.lent.base() + n, Width::Double);
                shared.turn.fetch_add(1, Ordering::Relaxed);
            }
        },
        || {
            // Until they are at it.
            cpu::wait(5_000, || shared.turn.load(Ordering::Acquire) > 100);
            let told = shared.told_until_served(3);
            shared.stop.store(true, Ordering::Release);
            told
        },
    );
    let flood = shared.turn.load(Ordering::Acquire);
    host.report.step(
        "a flood does no harm",
        among(told, 1) && (flood > 100 || host.cpus < 2),
        format_args!("told {told} times beside {flood} others"),
    );
}

/// CPUs that touch what is lent for ever, by a chain that lets them: others get their calls done.
pub fn loops(host: &mut Host) {
    let created = vm::create();
    let Some(id) = host.report.value("create", created) else {
        return;
    };
    let (lent, other) = (host.pages.take(1), host.pages.take(1));
    let mail = host.mail();
    let leased = mail.lend(id, &[(lent.base(), 1)]);
    let Some(handle) = host.report.value("lend", leased) else {
        return;
    };
    host.start_cpus();
    host.translate();
    let stop = AtomicBool::new(false);
    let shared = (&stop, mmu::kernel(lent.base()), AtomicU64::new(0));
    let faults = || shared.2.load(Ordering::Acquire);
    let (calls, during, failed) = smp::beside(
        &shared,
        |_, (stop, address, faults)| {
            while !stop.load(Ordering::Acquire) {
                faults.fetch_add(u64::from(probe::read_again(*address).is_err()), Ordering::Relaxed);
            }
        },
        || {
            cpu::wait(5_000, || faults() > 0);
            let (before, mut calls, mut failed) = (faults(), 0, 0);
            while calls < CALLS || faults() - before < FAULTS && calls < 100 * CALLS {
                let lent = mail.lend(id, &[(other.base(), 1)]);
                failed += u64::from(lent.and_then(ffa::reclaim).is_err());
                calls += 1;
            }
            let during = faults() - before;
            stop.store(true, Ordering::Release);
            (calls, during, failed)
        },
    );
    let loopers = host.cpus as u64 - 1;
    let seen = vm::fault_counts(vendor::CLASS_EL1_KERNEL).map(|counts| counts.iter().sum::<u64>());
    host.report.step(
        "calls beside loops",
        failed == 0 && during >= FAULTS && during <= calls * SHARE * loopers && seen == Ok(faults()),
        format_args!("{calls} pairs, {failed} failed, beside {during} faults of {loopers} CPUs; {seen:?} in all"),
    );
    let back = ffa::reclaim(handle).and_then(|()| vm::destroy(id));
    host.report.value("reclaim", back);
}
