//! The rule under a model of a kernel: CPUs that take exceptions, tasks that run on them, loop in the kernel, try again, or
//! make accesses without end, and a scheduler that does what it likes.

use super::*;
use proptest::prelude::*;
use std::vec::Vec;

const HZ: u64 = 1_000_000_000;
/// Counter ticks from one answer to the next: a microsecond.
const STEP: u64 = 1000;
const UACCESS: Class = Class::El1User;

/// What a task does whenever it runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Does {
    /// In a system call, it makes the same access again and again until that succeeds.
    Loops,
    /// A system call with the same lent buffer, which fails, and another, and another.
    Tries,
    /// System calls with a different place each time.
    Floods,
    /// System calls that have nothing to do with it.
    Else,
}

struct Thread {
    does: Does,
    entered: bool,
    count: u64,
    /// How often the access was told since it was served.
    told: u32,
    served: u32,
}

struct Kernel {
    progress: Progress,
    rule: Rule,
    now: u64,
    /// ESR_EL1 and ELR_EL1 of each CPU.
    cpus: [Trace; MAX_CPUS],
    threads: Vec<Thread>,
}

const SVC: u64 = 0x5600_0000;
const ABORT: u64 = 0x9600_0061;

impl Kernel {
    fn new(threads: &[Does]) -> Self {
        let thread = |does: &Does| Thread {
            does: *does,
            entered: false,
            count: 0,
            told: 0,
            served: 0,
        };
        Self {
            progress: Progress::new(),
            rule: Rule::new(UACCESS, HZ, 2, 0),
            now: 0,
            cpus: [Trace { esr: SVC, elr: 0 }; MAX_CPUS],
            threads: threads.iter().map(thread).collect(),
        }
    }

    /// An interrupt, which writes ELR_EL1 alone.
    fn interrupt(&mut self, cpu: usize) {
        self.cpus[cpu].elr = 0xffff_8000_0000_0000 + self.now;
    }

    /// The thread does its work once on that CPU.
    fn run(&mut self, cpu: usize, thread: usize) {
        self.now += STEP;
        let Thread {
            does, entered, count, ..
        } = &mut self.threads[thread];
        let calls = match does {
            Does::Loops => !core::mem::replace(entered, true),
            Does::Tries | Does::Floods | Does::Else => true,
        };
        if calls {
            self.cpus[cpu] = Trace {
                esr: SVC,
                elr: 0x40_0000,
            };
        }
        *count += 1;
        let va = match does {
            Does::Else => return,
            Does::Floods => 0xffff_0000 + *count * 0x1008,
            Does::Loops | Does::Tries => 0xffff_0000,
        };
        self.touch(cpu, thread, va);
    }

    fn touch(&mut self, cpu: usize, thread: usize, va: u64) {
        let n = thread as u64;
        let attempt = Attempt {
            access: Place {
                pc: 0xffff_8000_8001_0000,
                va,
            },
            task: Task {
                ttbr0: n,
                sp_el0: n,
                sp_el1: n,
            },
        };
        let asking = Asking {
            cpu: cpu as u8,
            now: self.now,
            class: UACCESS,
            mode: Mode::El1h,
        };
        let trace = self.cpus[cpu];
        let link = if self.progress.is_new(asking, attempt.access, || attempt.task) {
            0
        } else {
            self.progress.again(&self.rule, asking, &attempt, trace)
        };
        let it = &mut self.threads[thread];
        if link == 0 {
            it.told += 1;
            // The fix-up is next.
            self.cpus[cpu] = Trace {
                esr: ABORT,
                elr: 0xffff_8000_8001_0040,
            };
        } else {
            self.progress.forget(UACCESS, &attempt);
            (it.told, it.served) = (0, it.served + 1);
            it.entered = false;
        }
    }

    /// How often the loop of thread 0 is told while `schedule` says what runs between its returns, and where it is.
    fn told_until_served(&mut self, mut schedule: impl FnMut(&mut Self, u32) -> usize) -> u32 {
        for n in 0..10_000 {
            let told = self.threads[0].told;
            let cpu = schedule(self, n);
            self.run(cpu, 0);
            if self.threads[0].served > 0 {
                return told;
            }
        }
        u32::MAX
    }
}

const RETURNS: u32 = UACCESS_RETURNS as u32;

#[test]
fn a_loop_gets_on() {
    let mut kernel = Kernel::new(&[Does::Loops]);
    let told = kernel.told_until_served(|kernel, _| {
        kernel.interrupt(0);
        0
    });
    assert_eq!(told, RETURNS);
}

#[test]
fn tries_are_told_for_ever() {
    let mut kernel = Kernel::new(&[Does::Tries]);
    for _ in 0..100_000 {
        kernel.run(0, 0);
    }
    assert_eq!((kernel.threads[0].told, kernel.threads[0].served), (100_000, 0));
}

#[test]
fn a_loop_that_is_moved_each_time_gets_on() {
    for cpus in 2..=MAX_CPUS {
        // On each CPU others have made system calls since.
        let mut kernel = Kernel::new(&[Does::Loops, Does::Else]);
        let told = kernel.told_until_served(|kernel, n| {
            let cpu = n as usize % cpus;
            kernel.run(cpu, 1);
            cpu
        });
        assert_eq!(told, RETURNS + cpus as u32 - 1, "{cpus} CPUs, in turn");
        // Idle CPUs: each counts on its own.
        let mut kernel = Kernel::new(&[Does::Loops]);
        let told = kernel.told_until_served(|_, n| n as usize % cpus);
        assert!(told <= (RETURNS + 1) * cpus as u32, "{cpus} CPUs, idle: {told}");
    }
}

#[test]
fn two_threads_in_step_get_on_and_their_tries_do_not() {
    for (does, served) in [(Does::Loops, true), (Does::Tries, false)] {
        for cpu in [0, 1] {
            let mut kernel = Kernel::new(&[does, does]);
            for _ in 0..200 {
                kernel.run(0, 0);
                kernel.run(cpu, 1);
            }
            let got_on = kernel.threads.iter().map(|it| it.served >= 200 / (RETURNS + 1) - 1);
            assert!(got_on.eq([served; 2]), "{does:?} on CPUs 0 and {cpu}");
        }
    }
}

#[test]
fn a_flood_from_other_cpus_does_no_harm() {
    let mut kernel = Kernel::new(&[Does::Loops, Does::Floods, Does::Tries]);
    let told = kernel.told_until_served(|kernel, _| {
        for cpu in 1..MAX_CPUS {
            for _ in 0..10 {
                kernel.run(cpu, 1);
            }
            kernel.run(cpu, 2);
        }
        0
    });
    assert_eq!(told, RETURNS);
}

#[test]
fn a_flood_on_the_same_cpu_only_delays() {
    let mut kernel = Kernel::new(&[Does::Loops, Does::Floods]);
    // The scheduler lets each run for a while.
    let told = kernel.told_until_served(|kernel, n| {
        if n % 40 == 10 {
            for _ in 0..40 {
                kernel.run(0, 1);
            }
        }
        0
    });
    assert_eq!(told, 10 + 1 + RETURNS - 1);
}

fn does() -> impl Strategy<Value = Does> {
    prop_oneof![
        Just(Does::Loops),
        Just(Does::Tries),
        Just(Does::Floods),
        Just(Does::Else)
    ]
}

proptest! {
    /// Under any schedule, a try is told, and a loop that runs for as long as the rule says has got on.
    #[test]
    fn any_schedule(
        threads in prop::collection::vec(does(), 1..6),
        turns in prop::collection::vec((0..6usize, 0..4usize, 1..40u32, any::<bool>()), 1..200),
    ) {
        let mut kernel = Kernel::new(&threads);
        let mut last = [usize::MAX; 6];
        let mut moves = [0; 6];
        for (thread, cpu, times, interrupts) in turns {
            let thread = thread % threads.len();
            let moved = last[thread] != cpu;
            moves[thread] = if moved { moves[thread] + 1 } else { 0 };
            last[thread] = cpu;
            let served = kernel.threads[thread].served;
            for _ in 0..times {
                if interrupts {
                    kernel.interrupt(cpu);
                }
                kernel.run(cpu, thread);
                // A new try on the CPU where the last one was is no move.
            }
            if times > 1 {
                moves[thread] = 0;
            }
            let it = &kernel.threads[thread];
            match it.does {
                Does::Loops => prop_assert!(times <= RETURNS || it.served > served, "{threads:?}"),
                Does::Tries if moves[thread] < RETURNS => prop_assert_eq!(it.served, served),
                Does::Tries | Does::Floods | Does::Else => {}
            }
        }
    }
}
