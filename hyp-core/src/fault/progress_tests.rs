//! The rule, one property at a time.

use super::*;
use proptest::prelude::*;
use std::vec::Vec;

const HZ: u64 = 1_000_000;
const PC: u64 = 0xffff_8000_8000_0000;
const EL0: Mode = Mode::El0;
const EL1: Mode = Mode::El1h;
/// ESR_EL1 of a data abort from EL1, of one from EL0, of a system call, and of a BRK.
const ABORT: u64 = 0x9600_0061;
const ABORT_EL0: u64 = 0x9200_0061;
const SVC: u64 = 0x5600_0000;
const BRK: u64 = 0xf200_0800;

fn attempt(n: u64) -> Attempt {
    Attempt {
        access: Place {
            pc: PC + 4 * n,
            va: 0xaaaa_0000,
        },
        task: Task {
            ttbr0: 0x4800_0000,
            sp_el0: 1,
            sp_el1: 2,
        },
    }
}

fn rule(class: Class, links: usize) -> Rule {
    Rule::new(class, HZ, links, 0)
}

/// A table, and whom it is asked for.
struct Asked {
    progress: Progress,
    rule: Rule,
    asking: Asking,
}

impl Asked {
    fn new(class: Class, mode: Mode, links: usize) -> Self {
        Self {
            progress: Progress::new(),
            rule: rule(class, links),
            asking: Asking {
                cpu: 0,
                now: 0,
                class,
                mode,
            },
        }
    }

    fn at(&mut self, now: u64) -> &mut Self {
        self.asking.now = now;
        self
    }

    fn on(&mut self, cpu: u8) -> &mut Self {
        self.asking.cpu = cpu;
        self
    }

    fn link(&mut self, attempt: &Attempt, esr: u64, elr: u64) -> usize {
        if self.progress.is_new(self.asking, attempt.access, || attempt.task) {
            return 0;
        }
        self.progress
            .again(&self.rule, self.asking, attempt, Trace { esr, elr })
    }

    /// As a return from the handler to the access.
    fn back(&mut self, attempt: &Attempt) -> usize {
        let esr = if self.asking.mode.is_el0() { ABORT_EL0 } else { ABORT };
        self.link(attempt, esr, attempt.access.pc)
    }
}

/// How often it has to come back, the first time not counted, until it gets `link`.
fn returns_until(asked: &mut Asked, link: usize, mut esr: impl FnMut() -> u64) -> Option<usize> {
    let a = attempt(0);
    assert_eq!(asked.link(&a, SVC, 0), 0);
    (1..10_000).find(|_| {
        let esr = esr();
        asked.link(&a, esr, a.access.pc) == link
    })
}

#[test]
fn coming_back_moves_on_and_stays_at_the_end() {
    let mut asked = Asked::new(Class::El1Kernel, EL1, 3);
    let seen: Vec<usize> = (0..5).map(|n| asked.at(n).back(&attempt(0))).collect();
    assert_eq!(seen, [0, 1, 2, 2, 2]);
    let mut asked = Asked::new(Class::El0, EL0, 2);
    assert_eq!([0, 1, 1], [(); 3].map(|()| asked.back(&attempt(0))));
}

#[test]
fn uaccess_comes_back_sixteen_times() {
    let mut asked = Asked::new(Class::El1User, EL1, 3);
    assert_eq!(returns_until(&mut asked, 1, || ABORT), Some(16));
    let next = (1..100).find(|_| asked.back(&attempt(0)) == 2);
    assert_eq!(next, Some(16));
}

#[test]
fn a_warning_in_between_is_the_kernel_s_own() {
    let mut asked = Asked::new(Class::El1Kernel, EL1, 2);
    assert_eq!(returns_until(&mut asked, 1, || BRK), Some(1));
}

#[test]
fn a_system_call_in_between_makes_it_a_new_try() {
    for class in [Class::El1User, Class::El1Kernel] {
        for esr in [SVC, 0x4600_0000, ABORT_EL0, 0x8200_0007] {
            let mut asked = Asked::new(class, EL1, 2);
            assert_eq!(returns_until(&mut asked, 1, || esr), None, "{esr:#x}");
        }
    }
}

#[test]
fn new_tries_start_over() {
    let mut asked = Asked::new(Class::El1User, EL1, 2);
    let mut n = 0;
    // A system call that stands for sixteen, each of which is told.
    let batches = returns_until(&mut asked, 1, || {
        n += 1;
        if n % 16 == 0 { SVC } else { ABORT }
    });
    assert_eq!(batches, None);
}

#[test]
fn at_el0_only_a_return_to_the_instruction_counts() {
    let a = attempt(0);
    for (esr, elr, link) in [
        (ABORT_EL0, a.access.pc, 1),
        // A handler of the program's own has jumped back to it.
        (ABORT_EL0, a.access.pc + 0x1000, 0),
        // sigreturn to it.
        (SVC, a.access.pc, 0),
        (SVC, a.access.pc + 0x1000, 0),
    ] {
        let mut asked = Asked::new(Class::El0, EL0, 2);
        assert_eq!(asked.link(&a, SVC, 0), 0);
        for _ in 0..100 {
            assert_eq!(asked.link(&a, esr, elr), link);
        }
    }
}

#[test]
fn what_leaves_no_trace_is_back_whatever_the_registers_say() {
    // At user addresses, where others have to come back more often, too.
    for class in [Class::El1Kernel, Class::El1User] {
        let mut asked = Asked::new(class, EL1, 3);
        asked.rule.untraced = 0b001;
        assert_eq!(returns_until(&mut asked, 1, || SVC), Some(1));
        // The second link has one.
        assert_eq!(asked.link(&attempt(0), SVC, 0), 0);
    }
}

#[test]
fn what_is_served_has_got_on() {
    let mut asked = Asked::new(Class::El1Kernel, EL1, 2);
    for _ in 0..10 {
        assert_eq!(asked.back(&attempt(0)), 0);
        assert_eq!(asked.back(&attempt(0)), 1);
        asked.progress.forget(Class::El1Kernel, &attempt(0));
    }
}

#[test]
fn what_cannot_be_used_is_skipped_at_once() {
    let mut asked = Asked::new(Class::El1User, EL1, 3);
    let a = attempt(0);
    asked.back(&a);
    let Asked { progress, rule, .. } = &mut asked;
    assert_eq!(progress.skip(rule, 0, Class::El1User, &a), Some(1));
    assert_eq!(progress.skip(rule, 0, Class::El1User, &a), Some(2));
    assert_eq!(progress.skip(rule, 0, Class::El1User, &a), None);
    assert_eq!(progress.skip(rule, 1, Class::El1User, &a), None);
}

#[test]
fn anything_else_is_another_access() {
    let a = attempt(0);
    let by = |task| Attempt { task, ..a };
    let to = |access| Attempt { access, ..a };
    for other in [
        to(Place { pc: 9, ..a.access }),
        to(Place { va: 9, ..a.access }),
        by(Task { ttbr0: 9, ..a.task }),
        by(Task { sp_el0: 9, ..a.task }),
        by(Task { sp_el1: 9, ..a.task }),
    ] {
        let mut asked = Asked::new(Class::El1Kernel, EL1, 4);
        asked.back(&a);
        assert_eq!(asked.back(&other), 0);
        assert_eq!(asked.back(&a), 1);
    }
}

#[test]
fn time_makes_it_new() {
    for (class, ticks) in [(Class::El1User, HZ / 10), (Class::El0, HZ), (Class::Walk, HZ)] {
        let mut asked = Asked::new(class, EL1, 4);
        asked.rule.returns = 1;
        assert_eq!(asked.at(5).back(&attempt(0)), 0);
        assert_eq!(asked.at(5 + ticks).back(&attempt(0)), 1);
        // From the last answer, not from the first.
        assert_eq!(asked.at(5 + 2 * ticks).back(&attempt(0)), 2);
        assert_eq!(asked.at(6 + 3 * ticks).back(&attempt(0)), 0);
    }
}

#[test]
fn a_counter_that_lags_does_not_start_the_chain_over() {
    let mut asked = Asked::new(Class::El1Kernel, EL1, 4);
    asked.at(1_000_000).back(&attempt(0));
    assert_eq!(asked.at(999_000).back(&attempt(0)), 1);
}

#[test]
fn as_many_others_as_promised_are_survived_and_no_more() {
    let mut asked = Asked::new(Class::El1Kernel, EL1, 4);
    for n in 0..REMEMBERED as u64 {
        asked.back(&attempt(n));
    }
    assert_eq!(asked.back(&attempt(0)), 1);
    asked.back(&attempt(99));
    assert_eq!(asked.back(&attempt(0)), 0);
}

#[test]
fn other_cpus_and_other_classes_make_nothing_forgotten() {
    let mut asked = Asked::new(Class::El1Kernel, EL1, 4);
    asked.back(&attempt(0));
    for n in 1..100 {
        asked.on(1 + (n % 7) as u8).back(&attempt(n));
        asked.asking.class = Class::El0;
        asked.on(0).back(&attempt(n));
        asked.asking.class = Class::El1Kernel;
    }
    assert_eq!(asked.on(0).back(&attempt(0)), 1);
}

#[test]
fn a_cpu_that_is_none_is_no_panic() {
    let mut asked = Asked::new(Class::El1Kernel, EL1, 4);
    assert_eq!(asked.on(u8::MAX).back(&attempt(0)), 0);
}

proptest! {
    /// Whatever comes, the link is one of the chain, and it rises by at most one per return; on another CPU it may be that
    /// of the CPU before, and one more.
    #[test]
    fn links_rise_one_by_one(
        events in prop::collection::vec((0..6usize, 0..12u64, 0..500u64, 0..3u8, 0..4usize), 1..200),
        links in 1..5usize,
    ) {
        let mut asked = Asked::new(Class::El0, EL1, links);
        let mut highest = std::collections::HashMap::new();
        let mut now = 0;
        for (class, n, step, cpu, esr) in events {
            now += step;
            let class = Class::ALL[class];
            (asked.asking.class, asked.rule) = (class, rule(class, links));
            let link = asked.at(now).on(cpu).link(&attempt(n), [ABORT, ABORT_EL0, SVC, BRK][esr], 0);
            prop_assert!(link < links);
            let before = highest.entry((class, n)).or_insert(None::<usize>);
            prop_assert!(link <= before.map_or(0, |l| l + 1));
            *before = Some(before.map_or(link, |l| l.max(link)));
        }
    }
}
