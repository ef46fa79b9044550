//! Has this very access been answered before, and has nothing come of it?
//!
//! A chain's next link is due when an access comes back without progress: a fix-up that did not help, a handler that
//! returned to the instruction. That it is the same access is told by the program counter, the virtual address, the
//! address space (TTBR0_EL1) and both stack pointers (under Linux SP_EL0 names the task while EL1 runs). A program that
//! tries once more looks the same, and must be told again. What tells the two apart is EL1's registers ([`Trace`]),
//! where nothing but the next exception to EL1 overwrites what the last one left:
//!
//! - From EL0, it is back when EL1 has returned to just this instruction (ELR_EL1), and not by a system call
//!   (`sigreturn`). A handler of the program's own that jumps back to it has come from elsewhere.
//! - From EL1, it is back while nobody has entered EL1 from EL0 since: a new try follows a system call, whose syndrome
//!   then is in ESR_EL1. Interrupts leave ESR_EL1 alone, and what EL1 does to itself (BRK of a warning, another abort)
//!   is no system call.
//! - Where EL0 has entered, this or another task's, it is unclear. It is back if it has been answered on another CPU
//!   meanwhile, for then its task has been moved; otherwise it is a new try.
//! - What a link has told without a trace in these registers (an SDEI event) is back whatever they say, and gets the next
//!   link at once.
//!
//! # Bounds
//! Each CPU has for each class of access the last [`REMEMBERED`] different ones, so no other CPU can make it forget what
//! loops on it, and EL0 cannot make it forget what EL1 does. [`Rule`] has how long an access is remembered after its
//! last answer, and how often it has to come back until the next link is due. An access that has been served is
//! forgotten: it has got on.
//!
//! A loop gets its next link when it has come back [`Rule::returns`] times with nobody entering from EL0 in between. One
//! that is moved at each return, to wherever, gets it after as many and a visit of each CPU; after (`returns` + 1) times
//! the CPUs if it comes back to some CPUs where nobody has entered, and to others where somebody has. The model of a
//! kernel among the tests holds these figures.

use super::access::Class;
use super::exception::Mode;
use crate::layout::MAX_CPUS;
use crate::trap::Esr;

/// How many different accesses of a class a CPU remembers: two threads that take turns, with two addresses each.
pub const REMEMBERED: usize = 4;

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

/// What makes two accesses the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Attempt {
    /// From where and to where.
    pub access: Place,
    /// By whom.
    pub task: Task,
}

/// What the last exception that this CPU took to EL1 has left there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Trace {
    /// ESR_EL1: its syndrome, if it was no interrupt.
    pub esr: u64,
    /// ELR_EL1: where it was taken from, or where EL1 has returned to since.
    pub elr: u64,
}

/// What a [`Trace`] says of an access that was answered before.
enum Verdict {
    Back,
    NewTry,
    Unclear,
}

impl Trace {
    /// Classes of ESR_EL1 that only exceptions from EL0 have: SVC of AArch32 and AArch64, fetch and data abort, breakpoint,
    /// step and watchpoint (Arm ARM, ESR_EL1, EC). The others do not tell, or tell of EL1.
    const FROM_EL0: u64 = 1 << 0x11 | 1 << 0x15 | 1 << 0x20 | 1 << 0x24 | 1 << 0x30 | 1 << 0x32 | 1 << 0x34;
    const SVC: u64 = 1 << 0x11 | 1 << 0x15;

    /// Of an access from `mode` at `pc`.
    const fn of(&self, mode: Mode, pc: u64) -> Verdict {
        let class = 1 << (self.esr >> Esr::EC_SHIFT & 0x3f);
        let entered = if mode.is_el0() {
            if self.elr != pc {
                return Verdict::NewTry;
            }
            Self::SVC
        } else {
            Self::FROM_EL0
        };
        if class & entered == 0 {
            Verdict::Back
        } else {
            Verdict::Unclear
        }
    }
}

/// When the next link of a class's chain is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rule {
    /// For how many counter ticks after its last answer an access is remembered.
    pub ticks: u64,
    /// How often it comes back until the next link is due. At least once; after a link that leaves no trace, once.
    pub returns: u8,
    /// How many links there are.
    pub links: u8,
    /// The links that leave no trace, a bit each.
    pub untraced: u8,
}

/// How often an access at a user address comes back before a link is used up.
///
/// Once would do for the loops that are known. But a kernel thread that makes accesses for a program, or a system call
/// that stands for several (`io_uring`), makes new tries that look as if they came back; this many of them are told.
const UACCESS_RETURNS: u8 = 16;

impl Rule {
    /// For accesses of `class`, where the counter has `hz` ticks a second (CNTFRQ_EL0).
    ///
    /// A second, for a kernel may write a warning with a stack trace to a slow console before it tries again. A tenth
    /// for uaccess: what comes later than that is more likely a new try than a loop.
    #[must_use]
    pub const fn new(class: Class, hz: u64, links: usize, untraced: u8) -> Self {
        let (ticks, returns) = match class {
            Class::El1User => (hz / 10, UACCESS_RETURNS),
            Class::El0 | Class::El1Kernel | Class::Walk | Class::Fetch | Class::Cache => (hz, 1),
        };
        Self {
            ticks,
            returns,
            links: links as u8,
            untraced,
        }
    }

    /// How far down its chain an access is that has come back once more.
    const fn after(&self, stage: Stage) -> Stage {
        let Stage { link, returns } = stage;
        // Who was told by an event, and has it made again, has nothing to say about it.
        if returns + 1 < self.returns && !self.is_untraced(link) {
            Stage {
                link,
                returns: returns + 1,
            }
        } else {
            self.next(link)
        }
    }

    const fn is_untraced(&self, link: u8) -> bool {
        self.untraced >> link & 1 != 0
    }

    const fn next(&self, link: u8) -> Stage {
        let next = link + 1;
        Stage {
            link: if next < self.links { next } else { link },
            returns: 0,
        }
    }
}

/// How far down its chain an access is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
struct Stage {
    /// The link that it got last.
    link: u8,
    /// How often it has come back since it got that for the first time.
    returns: u8,
}

/// An access, but for its address, and how far it is.
#[derive(Clone, Copy)]
struct Slot {
    pc: u64,
    task: Task,
    at: u64,
    stage: Stage,
}

/// What no access has: instructions are aligned.
const NO_PC: u64 = u64::MAX;

/// What one CPU has answered lately of one class. Aligned so that it is found by a shift.
#[derive(Clone, Copy)]
#[repr(align(256))]
struct Recent {
    /// Their addresses: a look at these rules out what is new.
    vas: [u64; REMEMBERED],
    slots: [Slot; REMEMBERED],
    /// The slot that the next new access takes: the oldest.
    next: u8,
}

const _: () = assert!(size_of::<Recent>() == align_of::<Recent>());

impl Recent {
    const NONE: Self = Self {
        vas: [0; REMEMBERED],
        slots: [Slot {
            pc: NO_PC,
            task: Task {
                ttbr0: 0,
                sp_el0: 0,
                sp_el1: 0,
            },
            at: 0,
            stage: Stage { link: 0, returns: 0 },
        }; REMEMBERED],
        next: 0,
    };

    /// Whether it may be there: something at this address is.
    #[inline(always)]
    const fn has_address(&self, va: u64) -> bool {
        let [a, b, c, d] = self.vas;
        // Four comparisons and one branch.
        (a == va) | (b == va) | (c == va) | (d == va)
    }

    /// Notes an access that is not there yet.
    #[inline(always)]
    fn add(&mut self, access: Place, task: Task, now: u64) {
        let oldest = usize::from(self.next) % REMEMBERED;
        self.next = self.next.wrapping_add(1);
        self.vas[oldest] = access.va;
        // Field by field: as a whole it would be put together elsewhere first.
        let slot = &mut self.slots[oldest];
        slot.pc = access.pc;
        slot.task.ttbr0 = task.ttbr0;
        slot.task.sp_el0 = task.sp_el0;
        slot.task.sp_el1 = task.sp_el1;
        slot.at = now;
        slot.stage = Stage { link: 0, returns: 0 };
    }

    #[inline(always)]
    fn find(&self, attempt: &Attempt) -> Option<usize> {
        let is = |n: &usize| {
            let slot = &self.slots[*n];
            self.vas[*n] == attempt.access.va && slot.pc == attempt.access.pc && slot.task == attempt.task
        };
        (0..REMEMBERED).find(is)
    }

    #[inline(always)]
    fn find_slot(&mut self, attempt: &Attempt) -> Option<&mut Slot> {
        self.find(attempt).and_then(|n| self.slots.get_mut(n))
    }
}

/// What has been answered lately, and how far down its chain each access is.
pub struct Progress {
    classes: [[Recent; MAX_CPUS]; Class::COUNT],
}

/// Who asks, and when.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Asking {
    /// The counter.
    pub now: u64,
    /// The CPU's number.
    pub cpu: u8,
    /// The class of the access.
    pub class: Class,
    /// Where it was made from.
    pub mode: Mode,
}

impl Progress {
    /// Nothing has happened yet.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            classes: [[Recent::NONE; MAX_CPUS]; Class::COUNT],
        }
    }

    #[inline(always)]
    fn recent(&mut self, cpu: u8, class: Class) -> &mut Recent {
        &mut self.classes[class.index()][usize::from(cpu).min(MAX_CPUS - 1)]
    }

    /// Notes an access by `task`, whose first link is due, if it surely is new. If not, nothing is noted, and
    /// [`again`](Self::again) decides.
    #[inline(always)]
    pub fn is_new(&mut self, asking: Asking, access: Place, task: impl FnOnce() -> Task) -> bool {
        let recent = self.recent(asking.cpu, asking.class);
        let new = !recent.has_address(access.va);
        if new {
            recent.add(access, task(), asking.now);
        }
        new
    }

    /// Notes an access that may be back, and says which link of its chain is due.
    #[inline(always)]
    pub fn again(&mut self, rule: &Rule, asking: Asking, attempt: &Attempt, trace: Trace) -> usize {
        let recent = self.recent(asking.cpu, asking.class);
        let Some(slot) = recent.find_slot(attempt) else {
            recent.add(attempt.access, attempt.task, asking.now);
            return 0;
        };
        let (stage, before) = (slot.stage, slot.at);
        slot.at = asking.now;
        let verdict = if !is_recent(rule, before, asking.now) {
            Verdict::NewTry
        } else if rule.is_untraced(stage.link) {
            Verdict::Back
        } else {
            trace.of(asking.mode, attempt.access.pc)
        };
        slot.stage = match verdict {
            Verdict::NewTry => Stage::default(),
            Verdict::Back => rule.after(stage),
            Verdict::Unclear => {
                // A copy, so that only here what is in registers goes to memory.
                let attempt = *attempt;
                return self.unclear(rule, asking, &attempt, (stage, before));
            }
        };
        usize::from(slot.stage.link)
    }

    /// The same where it depends on what other CPUs know. It was at that stage at that time on this one.
    #[cold]
    #[inline(never)]
    fn unclear(&mut self, rule: &Rule, asking: Asking, attempt: &Attempt, (mut stage, before): (Stage, u64)) -> usize {
        let mut moved = false;
        for (cpu, recent) in (0..).zip(&self.classes[asking.class.index()]) {
            let slot = recent.find(attempt).map(|n| &recent.slots[n]);
            if let Some(slot) = slot.filter(|slot| cpu != asking.cpu && is_recent(rule, slot.at, asking.now)) {
                moved |= slot.at >= before;
                stage = stage.max(slot.stage);
            }
        }
        let stage = if moved { rule.after(stage) } else { Stage::default() };
        if let Some(slot) = self.recent(asking.cpu, asking.class).find_slot(attempt) {
            slot.stage = stage;
        }
        usize::from(stage.link)
    }

    /// The link behind the one that an access has got last, if its chain has one: that could not be used. An access that is
    /// not there has got the first.
    pub fn skip(&mut self, rule: &Rule, cpu: u8, class: Class, attempt: &Attempt) -> Option<usize> {
        let slot = self.recent(cpu, class).find_slot(attempt)?;
        let next = rule.next(slot.stage.link);
        (next.link != slot.stage.link).then(|| {
            slot.stage = next;
            usize::from(next.link)
        })
    }

    /// An access has been served: it has got on, and what comes next is a new one.
    #[cold]
    pub fn forget(&mut self, class: Class, attempt: &Attempt) {
        for recent in &mut self.classes[class.index()] {
            if let Some(slot) = recent.find_slot(attempt) {
                slot.pc = NO_PC;
            }
        }
    }
}

impl Default for Progress {
    fn default() -> Self {
        Self::new()
    }
}

/// Whether an access is remembered. CPUs may read the counter a little apart: a time before the last answer counts as none
/// passed.
#[inline(always)]
const fn is_recent(rule: &Rule, at: u64, now: u64) -> bool {
    now.saturating_sub(at) <= rule.ticks
}

#[cfg(test)]
#[path = "progress_tests.rs"]
mod tests;

#[cfg(test)]
#[path = "progress_model.rs"]
mod model;
