//! Has this very access been answered before?
//!
//! A chain's next link is due when an access comes back without progress: a fix-up that did not help, a handler that
//! returned to the instruction. What tells "the same access" is the program counter, the virtual address, the address
//! space (TTBR0_EL1) and both stack pointers (under Linux SP_EL0 names the task while EL1 runs); the CPU does not, since
//! a task moves.
//!
//! # Bounds
//! Each class of access remembers its last [`REMEMBERED`] different accesses, and each of them for the class's number of
//! counter ticks since it was last answered. Beyond either bound, the access counts as new and the chain starts over.
//! Classes do not share, so that EL0 cannot make EL2 forget what EL1 does.
//!
//! A second try by a program, within the time bound, from the same place looks the same as no progress. The time bound of
//! user addresses is therefore short.

use super::access::Class;

/// How many different accesses a class remembers.
pub const REMEMBERED: usize = 8;

/// What makes two accesses the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Attempt {
    /// ELR_EL2.
    pub pc: u64,
    /// FAR_EL2.
    pub va: u64,
    /// TTBR0_EL1.
    pub ttbr0: u64,
    /// SP_EL0.
    pub sp_el0: u64,
    /// SP_EL1.
    pub sp_el1: u64,
}

impl Attempt {
    /// Differs for most accesses that differ: one comparison rules out a slot.
    const fn mixed(&self) -> u64 {
        self.pc
            ^ self.va.rotate_left(13)
            ^ self.ttbr0.rotate_left(26)
            ^ self.sp_el0.rotate_left(39)
            ^ self.sp_el1.rotate_left(52)
    }
}

/// How long an access is remembered, in counter ticks (CNTFRQ_EL0), for each class.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds([u64; Class::COUNT]);

impl Bounds {
    /// The bounds for a counter of `hz` ticks a second.
    ///
    /// 1 ms for EL0: signal delivery and return take microseconds. 100 µs for uaccess, where the loops that are known
    /// (futex) come back within a microsecond or so, and a program's own second try follows a system call later. 1 s for
    /// the kernel's own accesses: a warning with a stack trace on a slow console may come in between.
    #[must_use]
    pub const fn for_counter(hz: u64) -> Self {
        let mut ticks = [hz; Class::COUNT];
        ticks[Class::El0.index()] = hz / 1000;
        ticks[Class::El1User.index()] = hz / 10_000;
        Self(ticks)
    }
}

#[derive(Clone, Copy)]
struct Slot {
    attempt: Attempt,
    at: u64,
    link: u8,
}

#[derive(Clone, Copy)]
struct Memory {
    /// [`Attempt::mixed`] of each slot, side by side.
    mixed: [u64; REMEMBERED],
    slots: [Option<Slot>; REMEMBERED],
    /// The slot that the next new access takes: the oldest.
    next: u8,
}

impl Memory {
    const EMPTY: Self = Self {
        mixed: [0; REMEMBERED],
        slots: [None; REMEMBERED],
        next: 0,
    };

    fn find(&mut self, attempt: &Attempt, mixed: u64) -> Option<&mut Slot> {
        let candidates = self.mixed.iter().zip(&mut self.slots).filter(|(m, _)| **m == mixed);
        candidates
            .filter_map(|(_, slot)| slot.as_mut())
            .find(|slot| slot.attempt == *attempt)
    }
}

/// What has been answered lately, and how far down its chain each access is.
pub struct Progress {
    bounds: Bounds,
    classes: [Memory; Class::COUNT],
}

impl Progress {
    /// Nothing has happened yet.
    #[must_use]
    pub const fn new(bounds: Bounds) -> Self {
        Self {
            bounds,
            classes: [Memory::EMPTY; Class::COUNT],
        }
    }

    /// Notes an access at counter value `now`, and says which link of its chain (of `links` links) is due.
    pub fn next_link(&mut self, class: Class, attempt: &Attempt, now: u64, links: usize) -> usize {
        let bound = self.bounds.0[class.index()];
        let memory = &mut self.classes[class.index()];
        let mixed = attempt.mixed();
        if let Some(slot) = memory.find(attempt, mixed) {
            // CPUs may read the counter a little apart: a time before the last counts as none passed.
            let fresh = now.saturating_sub(slot.at) <= bound;
            let last = links.saturating_sub(1).min(usize::from(u8::MAX)) as u8;
            slot.link = if fresh {
                slot.link.saturating_add(1).min(last)
            } else {
                0
            };
            slot.at = now;
            return usize::from(slot.link);
        }
        let oldest = usize::from(memory.next) % REMEMBERED;
        memory.next = memory.next.wrapping_add(1);
        memory.mixed[oldest] = mixed;
        memory.slots[oldest] = Some(Slot {
            attempt: *attempt,
            at: now,
            link: 0,
        });
        0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::vec::Vec;

    const HZ: u64 = 1_000_000;

    fn attempt(n: u64) -> Attempt {
        Attempt {
            pc: 0xffff_8000_8000_0000 + n,
            va: 0xaaaa_0000,
            ttbr0: 0x4800_0000,
            sp_el0: 1,
            sp_el1: 2,
        }
    }

    fn fresh() -> Progress {
        Progress::new(Bounds::for_counter(HZ))
    }

    #[test]
    fn coming_back_moves_on_and_stays_at_the_end() {
        let mut p = fresh();
        let seen: Vec<usize> = (0..5)
            .map(|n| p.next_link(Class::El1Kernel, &attempt(0), n, 3))
            .collect();
        assert_eq!(seen, [0, 1, 2, 2, 2]);
        assert_eq!(p.next_link(Class::El0, &attempt(0), 9, 1), 0);
        assert_eq!(p.next_link(Class::El0, &attempt(0), 9, 1), 0);
    }

    #[test]
    fn anything_else_is_another_access() {
        let a = attempt(0);
        for other in [
            Attempt { pc: 9, ..a },
            Attempt { va: 9, ..a },
            Attempt { ttbr0: 9, ..a },
            Attempt { sp_el0: 9, ..a },
            Attempt { sp_el1: 9, ..a },
        ] {
            let mut p = fresh();
            p.next_link(Class::El0, &a, 0, 4);
            assert_eq!(p.next_link(Class::El0, &other, 0, 4), 0);
            assert_eq!(p.next_link(Class::El0, &a, 0, 4), 1);
        }
    }

    #[test]
    fn time_makes_it_new() {
        for (class, bound) in [(Class::El0, 1000), (Class::El1User, 100), (Class::Walk, HZ)] {
            let mut p = fresh();
            assert_eq!(p.next_link(class, &attempt(0), 5, 4), 0);
            assert_eq!(p.next_link(class, &attempt(0), 5 + bound, 4), 1);
            // From the last answer, not from the first.
            assert_eq!(p.next_link(class, &attempt(0), 5 + 2 * bound, 4), 2);
            assert_eq!(p.next_link(class, &attempt(0), 6 + 3 * bound, 4), 0);
        }
    }

    #[test]
    fn a_counter_that_lags_does_not_start_the_chain_over() {
        let mut p = fresh();
        p.next_link(Class::El1User, &attempt(0), 1_000_000, 4);
        assert_eq!(p.next_link(Class::El1User, &attempt(0), 999_000, 4), 1);
    }

    #[test]
    fn as_many_others_as_promised_are_survived_and_no_more() {
        let mut p = fresh();
        p.next_link(Class::El0, &attempt(0), 0, 4);
        for n in 1..REMEMBERED as u64 {
            p.next_link(Class::El0, &attempt(n), 0, 4);
        }
        assert_eq!(p.next_link(Class::El0, &attempt(0), 0, 4), 1);
        p.next_link(Class::El0, &attempt(99), 0, 4);
        assert_eq!(p.next_link(Class::El0, &attempt(0), 0, 4), 0);
    }

    #[test]
    fn el0_cannot_make_el1_s_accesses_forgotten() {
        let mut p = fresh();
        p.next_link(Class::El1Kernel, &attempt(0), 0, 4);
        for n in 0..100 {
            p.next_link(Class::El0, &attempt(n), 0, 4);
        }
        assert_eq!(p.next_link(Class::El1Kernel, &attempt(0), 0, 4), 1);
    }

    proptest! {
        /// Whatever comes, the link is one of the chain, and it rises by at most one per return.
        #[test]
        fn links_rise_one_by_one(
            events in prop::collection::vec((0..6usize, 0..12u64, 0..500u64), 1..200),
            links in 1..5usize,
        ) {
            let mut p = fresh();
            let mut last = std::collections::HashMap::new();
            let mut now = 0;
            for (class, n, step) in events {
                now += step;
                let class = Class::ALL[class];
                let link = p.next_link(class, &attempt(n), now, links);
                prop_assert!(link < links);
                let before = last.insert((class, n), link);
                let highest = before.map_or(0, |l| (l + 1).min(links - 1));
                prop_assert!(link == 0 || link == highest);
            }
        }
    }
}
