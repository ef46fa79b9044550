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

/// What tells one task of a kernel from another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Task {
    /// TTBR0_EL1.
    pub ttbr0: u64,
    /// SP_EL0.
    pub sp_el0: u64,
    /// SP_EL1.
    pub sp_el1: u64,
}

/// From where and to where.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// ELR_EL2.
    pub pc: u64,
    /// FAR_EL2.
    pub va: u64,
}

impl Place {
    /// Differs for most accesses that differ: one comparison rules out all that are remembered.
    #[inline(always)]
    const fn tag(&self) -> u8 {
        (self.pc >> 2 ^ self.va >> 3 ^ self.va >> 12) as u8
    }
}

/// What makes two accesses the same.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Attempt {
    access: Place,
    task: Task,
}

/// How long an access of `class` is remembered, in ticks of a counter of `hz` (CNTFRQ_EL0).
///
/// 1 ms for EL0: signal delivery and return take microseconds. 100 µs for uaccess, where the loops that are known
/// (futex) come back within a microsecond or so, and a program's own second try follows a system call later. 1 s for
/// the kernel's own accesses: a warning with a stack trace on a slow console may come in between.
#[must_use]
pub const fn bound(class: Class, hz: u64) -> u64 {
    match class {
        Class::El0 => hz / 1000,
        Class::El1User => hz / 10_000,
        Class::El1Kernel | Class::Walk | Class::Fetch | Class::Cache => hz,
    }
}

#[derive(Clone, Copy)]
struct Slot {
    attempt: Attempt,
    at: u64,
    link: u8,
}

/// What has been answered lately of one class, and how far down its chain each access is.
#[derive(Clone, Copy)]
pub struct Progress {
    /// [`Place::tag`] of each slot, the newest lowest.
    tags: u64,
    bound: u64,
    /// Slots that were never used hold what is no access.
    slots: [Slot; REMEMBERED],
    /// The slot that the next new access takes: the oldest.
    next: u8,
}

const _: () = assert!(REMEMBERED == size_of::<u64>(), "a byte of `tags` for each slot");

impl Progress {
    /// Nothing has happened yet. Accesses are remembered for `bound` counter ticks.
    #[must_use]
    pub const fn new(bound: u64) -> Self {
        const NONE: Slot = Slot {
            attempt: Attempt {
                access: Place { pc: u64::MAX, va: 0 },
                task: Task {
                    ttbr0: 0,
                    sp_el0: 0,
                    sp_el1: 0,
                },
            },
            at: 0,
            link: 0,
        };
        Self {
            tags: 0,
            bound,
            slots: [NONE; REMEMBERED],
            next: 0,
        }
    }

    /// Notes an access by `task` at counter value `now`, and says which link of its chain (of `links` links) is due.
    #[inline(always)]
    pub fn next_link(&mut self, access: Place, task: impl Fn() -> Task, now: u64, links: usize) -> usize {
        let tag = access.tag();
        if self.has_tag(tag)
            && let Some(link) = self.again(Attempt { access, task: task() }, now, links)
        {
            return link;
        }
        self.add(access, task(), tag, now);
        0
    }

    /// Whether some slot has this tag.
    #[inline(always)]
    const fn has_tag(&self, tag: u8) -> bool {
        const LOW: u64 = u64::MAX / 0xff;
        // A byte of `differs` is zero where the tag is the same, and only then this borrows into the top bit of a byte
        // that has none, or of one above it.
        let differs = self.tags ^ (LOW * tag as u64);
        differs.wrapping_sub(LOW) & !differs & LOW << 7 != 0
    }

    /// Notes an access that is not there yet.
    #[inline(always)]
    fn add(&mut self, access: Place, task: Task, tag: u8, now: u64) {
        let oldest = usize::from(self.next) % REMEMBERED;
        self.next = self.next.wrapping_add(1);
        self.tags = self.tags << 8 | u64::from(tag);
        // Field by field: as a whole it would be put together elsewhere first.
        let slot = &mut self.slots[oldest];
        slot.attempt.access.pc = access.pc;
        slot.attempt.access.va = access.va;
        slot.attempt.task.ttbr0 = task.ttbr0;
        slot.attempt.task.sp_el0 = task.sp_el0;
        slot.attempt.task.sp_el1 = task.sp_el1;
        slot.at = now;
        slot.link = 0;
    }

    /// The link behind the one that an access has got last, if its chain (of `links` links) has one: that could not be
    /// used. An access that is not there has got the first.
    pub fn skip(&mut self, access: Place, task: Task, links: usize) -> Option<usize> {
        let attempt = Attempt { access, task };
        let slot = self.slots.iter_mut().find(|slot| slot.attempt == attempt)?;
        let next = slot.link.saturating_add(1);
        (usize::from(next) < links).then(|| {
            slot.link = next;
            usize::from(next)
        })
    }

    /// The link that is due for an access, if it is there.
    #[cold]
    fn again(&mut self, attempt: Attempt, now: u64, links: usize) -> Option<usize> {
        let slot = self.slots.iter_mut().find(|slot| slot.attempt == attempt)?;
        // CPUs may read the counter a little apart: a time before the last counts as none passed.
        let fresh = now.saturating_sub(slot.at) <= self.bound;
        let last = links.saturating_sub(1).min(usize::from(u8::MAX)) as u8;
        slot.link = if fresh {
            slot.link.saturating_add(1).min(last)
        } else {
            0
        };
        slot.at = now;
        Some(usize::from(slot.link))
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
            access: Place {
                pc: 0xffff_8000_8000_0000 + n,
                va: 0xaaaa_0000,
            },
            task: Task {
                ttbr0: 0x4800_0000,
                sp_el0: 1,
                sp_el1: 2,
            },
        }
    }

    /// That of every class.
    struct All([Progress; Class::COUNT]);

    impl All {
        fn next_link(&mut self, class: Class, attempt: &Attempt, now: u64, links: usize) -> usize {
            self.0[class.index()].next_link(attempt.access, || attempt.task, now, links)
        }
    }

    fn fresh() -> All {
        All(Class::ALL.map(|class| Progress::new(bound(class, HZ))))
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
        let by = |task| Attempt { task, ..a };
        let to = |access| Attempt { access, ..a };
        for other in [
            to(Place { pc: 9, ..a.access }),
            to(Place { va: 9, ..a.access }),
            by(Task { ttbr0: 9, ..a.task }),
            by(Task { sp_el0: 9, ..a.task }),
            by(Task { sp_el1: 9, ..a.task }),
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
        #[test]
        fn a_tag_is_seen_wherever_it_is(tags: [u8; REMEMBERED], tag: u8, close: bool) {
            // Neighbours of the tag, and all the same, are where a borrow could mislead.
            let tags = tags.map(|t| if close { tag ^ (t & 1) } else { t });
            let progress = Progress { tags: u64::from_le_bytes(tags), ..Progress::new(0) };
            prop_assert_eq!(progress.has_tag(tag), tags.contains(&tag));
        }

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
