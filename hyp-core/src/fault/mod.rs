//! A host's access to memory that is not its own: what it was, what the board's policy says, and how EL1 is told.
//!
//! [`Access::decode`] reads the trap, [`Faults::first`] or [`Faults::again`] picks the link of the policy's chain and builds the exception,
//! `arch` writes the registers. Each access leaves a [`Record`].
//!
//! ```text
//! trap -> access -> policy (chain of the class) + progress (which link) -> mechanism -> exception
//!                                                                       \-> record, counters, log
//! ```

mod access;
pub mod decoy;
mod exception;
mod limit;
mod mechanism;
mod policy;
mod progress;
mod record;

pub use access::{Access, Class};
pub use exception::{EntryFeatures, EntryRules, Exception, Extras, Mode, OriginState, Syndrome, take};
pub use limit::{BURST, Limiter};
pub use mechanism::{Delivery, Mechanism, NameError, Special};
pub use policy::{Chain, ChainError, MAX_LINKS, Policy, PolicyError};
pub use progress::{Asking, Attempt, Place, Progress, REMEMBERED, Rule, Task, Trace};
pub use record::{FaultLog, RECORDS, Record, Toucher};

use crate::id::VmId;
use crate::log;

/// Where and when an access was made, besides what the trap says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Circumstances {
    /// The CPU's number.
    pub cpu: u8,
    /// The counter (CNTPCT_EL0).
    pub now: u64,
    /// Who has borrowed the page, if it is lent.
    pub borrower: Option<VmId>,
}

/// How accesses of one class are answered. Aligned so that it is found by a shift.
#[repr(align(128))]
struct OfClass {
    chain: Chain,
    rule: Rule,
    limit: Limiter,
    counts: Counts,
}

impl OfClass {
    const fn new(class: Class, policy: &Policy, hz: u64) -> Self {
        let chain = *policy.chain(class);
        Self {
            rule: Rule::new(class, hz, chain.len(), chain.untraced()),
            chain,
            limit: Limiter::new(hz),
            counts: [0; Mechanism::KINDS],
        }
    }
}

/// How often accesses of a class were answered by mechanisms of each kind.
pub type Counts = [u64; Mechanism::KINDS];

/// Everything that fault delivery remembers. One for all CPUs, behind a lock.
///
/// What is small and often used comes first, so that one base register reaches it.
#[repr(C)]
pub struct Faults {
    rules: EntryRules,
    classes: [OfClass; Class::COUNT],
    device_limit: Limiter,
    device_events: u64,
    nothing_limit: Limiter,
    nothing_events: u64,
    log: FaultLog,
    progress: Progress,
    register_limit: Limiter,
    register_events: u64,
}

impl Faults {
    /// Answers by `policy`, on CPUs that all take exceptions by `rules`. `hz` is the counter's frequency (CNTFRQ_EL0). Log
    /// lines: one each second for each class, after a burst.
    #[must_use]
    pub const fn new(policy: Policy, rules: EntryRules, hz: u64) -> Self {
        let [el0, el1_user, el1_kernel, walk, fetch, cache] = Class::ALL;
        Self {
            rules,
            classes: [
                OfClass::new(el0, &policy, hz),
                OfClass::new(el1_user, &policy, hz),
                OfClass::new(el1_kernel, &policy, hz),
                OfClass::new(walk, &policy, hz),
                OfClass::new(fetch, &policy, hz),
                OfClass::new(cache, &policy, hz),
            ],
            device_limit: Limiter::new(hz),
            device_events: 0,
            nothing_limit: Limiter::new(hz),
            nothing_events: 0,
            log: FaultLog::new(),
            progress: Progress::new(),
            register_limit: Limiter::new(hz),
            register_events: 0,
        }
    }

    /// From now on answers by `policy` and `rules`, as [`new`](Self::new) says, in place: this is too much for a stack.
    pub fn configure(&mut self, policy: Policy, rules: EntryRules, hz: u64) {
        self.rules = rules;
        self.classes = Class::ALL.map(|class| OfClass::new(class, &policy, hz));
        self.device_limit = Limiter::new(hz);
        self.nothing_limit = Limiter::new(hz);
        self.register_limit = Limiter::new(hz);
    }

    /// How the CPUs take exceptions.
    #[must_use]
    #[inline(always)]
    pub const fn rules(&self) -> &EntryRules {
        &self.rules
    }

    /// Decides how a refused access, made at `pc`, is answered, and records it: by the first link of its chain, if there is
    /// no other or the access surely is new. If not, it is `None`, and [`again`](Self::again) decides. `task` is asked for
    /// where the chain has more than one link, `origin` where the answer is an exception.
    #[inline(always)]
    pub fn first(
        &mut self,
        access: &Access,
        pc: u64,
        at: &Circumstances,
        task: impl FnOnce() -> Task,
        origin: impl FnOnce(&EntryRules) -> OriginState,
    ) -> Option<Delivery> {
        let chain = &self.classes[access.class.index()].chain;
        if chain.len() == 1 || self.progress.is_new(asking(access, at), place(access, pc), task) {
            Some(self.by_link(0, access, pc, at, origin))
        } else {
            None
        }
    }

    /// The same for one that may be back, as `trace` tells.
    #[inline(always)]
    pub fn again(
        &mut self,
        access: &Access,
        pc: u64,
        at: &Circumstances,
        (task, trace): (Task, Trace),
        origin: impl FnOnce(&EntryRules) -> OriginState,
    ) -> Delivery {
        let rule = &self.classes[access.class.index()].rule;
        let attempt = attempt(access, pc, task);
        let link = self.progress.again(rule, asking(access, at), &attempt, trace);
        self.by_link(link, access, pc, at, origin)
    }

    #[inline(always)]
    fn by_link(
        &mut self,
        link: usize,
        access: &Access,
        pc: u64,
        at: &Circumstances,
        origin: impl FnOnce(&EntryRules) -> OriginState,
    ) -> Delivery {
        let class = access.class;
        let OfClass { chain, counts, .. } = &mut self.classes[class.index()];
        let mechanism = chain.link(link);
        count(counts, mechanism);
        self.log.push(Record {
            toucher: Toucher::Cpu {
                cpu: at.cpu,
                class,
                mechanism,
            },
            at: at.now,
            page: access.page,
            va: access.far,
            pc,
            esr: access.esr.raw(),
            borrower: at.borrower,
        });
        mechanism.deliver(access, &self.rules, || origin(&self.rules))
    }

    /// What the access of `record` (its [`serial`](Self::serial)) gets instead, when what [`first`](Self::first), [`again`](Self::again) or the last call of this said of
    /// it could not be done: the next link, or an External abort behind the last one.
    #[cold]
    pub fn pass_on(&mut self, record: u64, access: &Access, cpu: u8, origin: &OriginState, task: Task) -> Delivery {
        let OfClass {
            chain, rule, counts, ..
        } = &mut self.classes[access.class.index()];
        let attempt = attempt(access, origin.elr, task);
        let next = self.progress.skip(rule, cpu, access.class, &attempt);
        let mechanism = next.map_or(Mechanism::EXTERNAL_ABORT, |link| chain.link(link));
        count(counts, mechanism);
        self.log.amend(record, mechanism);
        mechanism.deliver(access, &self.rules, || *origin)
    }

    /// An access, made at `pc`, has been served: should it come again, it is a new one.
    #[cold]
    pub fn served(&mut self, access: &Access, pc: u64, task: Task) {
        self.progress.forget(access.class, &attempt(access, pc, task));
    }

    /// What tells the newest record from all others. Never 0 once there is one.
    #[must_use]
    pub const fn serial(&self) -> u64 {
        self.log.serial()
    }

    /// How often accesses of `class` were answered by mechanisms of each kind, in the order of [`Mechanism::kind`]. One that
    /// could not answer counts too.
    #[must_use]
    pub const fn counts(&self, class: Class) -> &Counts {
        &self.classes[class.index()].counts
    }

    /// Whether there is to be a line of log about an access of `class` at counter value `now`: not if there were many
    /// lately.
    #[inline(always)]
    #[must_use]
    pub const fn is_due(&self, class: Class, now: u64) -> bool {
        self.classes[class.index()].limit.admits(now)
    }

    /// Writes the line about the record with this [`serial`](Self::serial) number, which is that access. No line where so
    /// many came after it that it is gone.
    #[cold]
    pub fn tell(&mut self, record: u64, class: Class, now: u64) {
        let Some(record) = self.log.kept(record) else { return };
        let OfClass { limit, counts, .. } = &mut self.classes[class.index()];
        let events = counts.iter().fold(0, |sum: u64, count| sum.wrapping_add(*count));
        say(record, limit, now, events);
    }

    /// Records what the SMMU refused a device.
    pub fn device(&mut self, record: Record) {
        self.log.push(record);
        self.device_events = self.device_events.wrapping_add(1);
        if self.device_limit.admits(record.at) {
            say(self.log.newest(), &mut self.device_limit, record.at, self.device_events);
        }
    }

    /// The record with this [`serial`](Self::serial) number. `None` when so many came after it that it is gone.
    #[must_use]
    pub fn record(&self, serial: u64) -> Option<&Record> {
        self.log.kept(serial)
    }

    /// Whether `mechanism` is a link of any chain.
    #[must_use]
    pub fn uses(&self, mechanism: Mechanism) -> bool {
        let mut chains = self.classes.iter().map(|of| &of.chain);
        chains.any(|chain| (0..chain.len()).any(|link| chain.link(link) == mechanism))
    }

    /// Counts an access to what is nobody's. Where there is to be a line of log about it, how many had none since the last
    /// one.
    #[cold]
    pub fn nothing(&mut self, now: u64) -> Option<u64> {
        self.nothing_events = self.nothing_events.wrapping_add(1);
        let limit = &mut self.nothing_limit;
        limit.admits(now).then(|| limit.spend(now, self.nothing_events))
    }

    /// The same for a write of a register that EL2 keeps a hand on, and that it has refused.
    #[cold]
    pub fn register(&mut self, now: u64) -> Option<u64> {
        self.register_events = self.register_events.wrapping_add(1);
        let limit = &mut self.register_limit;
        limit.admits(now).then(|| limit.spend(now, self.register_events))
    }

    /// Takes the oldest record for the host, with how many were lost before it.
    pub fn read(&mut self) -> Option<(u64, Record)> {
        self.log.take()
    }
}

#[inline(always)]
const fn asking(access: &Access, at: &Circumstances) -> Asking {
    Asking {
        now: at.now,
        cpu: at.cpu,
        class: access.class,
        mode: access.mode,
    }
}

/// From where to where it was.
#[inline(always)]
const fn place(access: &Access, pc: u64) -> Place {
    Place { pc, va: access.far }
}

#[inline(always)]
const fn attempt(access: &Access, pc: u64, task: Task) -> Attempt {
    Attempt {
        access: place(access, pc),
        task,
    }
}

#[inline(always)]
fn count(counts: &mut Counts, mechanism: Mechanism) {
    let count = &mut counts[mechanism.kind()];
    // 2^64 faults do not happen.
    *count = count.wrapping_add(1);
}

/// One line of log.
fn say(record: &Record, limit: &mut Limiter, now: u64, events: u64) {
    let unsaid = limit.spend(now, events);
    log::warn!("refused: {} ({} like it not shown)", record, unsaid);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trap::{Esr, Hpfar};
    use std::vec::Vec;

    const RULES: EntryRules = EntryRules::new(EntryFeatures::NONE);
    const EL1H: u64 = 0x3c5;
    const KERNEL: u64 = 0xffff_0000_0800_0010;

    fn origin(spsr: u64) -> OriginState {
        OriginState {
            spsr,
            elr: 0xffff_8000_8000_1234,
            vbar: 0xffff_8000_8001_0000,
            sctlr: 0,
            extras: None,
        }
    }

    fn at(now: u64) -> Circumstances {
        Circumstances {
            cpu: 1,
            now,
            borrower: VmId::guest(0),
        }
    }

    fn task() -> Task {
        Task {
            ttbr0: 0x4100_0000,
            sp_el0: 1,
            sp_el1: 2,
        }
    }

    /// As the abort that was delivered leaves it.
    fn trace() -> Trace {
        Trace {
            esr: 0x9600_0061,
            elr: 0,
        }
    }

    fn answer(faults: &mut Faults, spsr: u64, now: u64) -> Delivery {
        let origin = origin(spsr);
        let (access, pc, at) = (access(spsr), origin.elr, at(now));
        let first = faults.first(&access, pc, &at, task, |_| origin);
        first.unwrap_or_else(|| faults.again(&access, pc, &at, (task(), trace()), |_| origin))
    }

    fn access(spsr: u64) -> Access {
        Access::decode(Esr::new(0x9307_0047), KERNEL, Hpfar::new(0x48_0000), spsr).unwrap()
    }

    #[test]
    fn a_kernel_access_gets_a_fix_up_and_then_the_end() {
        let mut faults = Faults::new(Policy::BRING_UP, RULES, 1_000_000);
        let Delivery::Exception(e) = answer(&mut faults, EL1H, 10) else {
            panic!("the first link is an abort")
        };
        assert_eq!((e.esr_el1, e.far_el1), (0x9600_0061, KERNEL));
        assert_eq!((e.elr_el1, e.spsr_el1), (0xffff_8000_8000_1234, EL1H));
        assert_eq!(e.pc, 0xffff_8000_8001_0200);
        assert_eq!(answer(&mut faults, EL1H, 20), Delivery::Special(Special::Halt));
        assert_eq!(faults.counts(Class::El1Kernel)[Mechanism::Halt.kind()], 1);
        let (lost, first) = faults.read().unwrap();
        assert_eq!(
            (lost, first.ipa()),
            (0, Some(leasehold_memory_map::Ipa::new(0x4800_0010)))
        );
        assert_eq!(first.borrower, VmId::guest(0));
        let (_, second) = faults.read().unwrap();
        let Toucher::Cpu { mechanism, .. } = second.toucher else {
            panic!()
        };
        assert_eq!(mechanism, Mechanism::Halt);
        assert_eq!(faults.read(), None);
    }

    #[test]
    fn a_process_is_told_each_time() {
        let mut faults = Faults::new(Policy::DEFAULT, RULES, 1_000_000);
        for n in 0..100 {
            let delivery = answer(&mut faults, 0, n);
            let Delivery::Exception(e) = delivery else {
                panic!("a process must not stop a CPU")
            };
            assert_eq!(e.esr_el1, 0x9200_0050);
        }
        assert_eq!(faults.counts(Class::El0)[Mechanism::EXTERNAL_ABORT.kind()], 100);
        assert_eq!(faults.read().map(|(lost, _)| lost), Some(100 - RECORDS as u64));
    }

    /// How many lines about record number `asked` there are at one time.
    fn lines(faults: &mut Faults, asked: u64) -> u64 {
        let mut lines = 0;
        while lines < 100 && faults.is_due(Class::El0, 3) {
            faults.tell(asked, Class::El0, 3);
            lines += 1;
        }
        lines
    }

    #[test]
    fn a_line_is_about_the_record_that_it_was_asked_for() {
        for later in [1, RECORDS as u64] {
            let mut faults = Faults::new(Policy::DEFAULT, RULES, 1_000_000);
            answer(&mut faults, 0, 1);
            let asked = faults.serial();
            // Another CPU's, meanwhile.
            for _ in 0..later {
                answer(&mut faults, EL1H, 2);
            }
            let kept = later < RECORDS as u64;
            assert_eq!(faults.record(asked).map(|record| record.at), kept.then_some(1));
            // A record that is gone spends no line.
            assert_eq!(lines(&mut faults, asked), if kept { limit::BURST } else { 100 });
        }
    }

    /// The links that one access gets, when none but an abort can be used.
    fn tried(text: &str, times: usize) -> Vec<Delivery> {
        let policy = Policy::parse(text, &Policy::DEFAULT).unwrap();
        let mut faults = Faults::new(policy, RULES, 1_000_000);
        let mut seen = Vec::new();
        for n in 0..times as u64 {
            let mut delivery = answer(&mut faults, EL1H, n);
            while !matches!(delivery, Delivery::Exception(_) | Delivery::Special(Special::Halt)) {
                seen.push(delivery);
                delivery = faults.pass_on(faults.serial(), &access(EL1H), 1, &origin(EL1H), task());
            }
            seen.push(delivery);
            let (_, record) = faults.read().unwrap();
            let Toucher::Cpu { mechanism, .. } = record.toucher else {
                panic!()
            };
            let answered = mechanism.deliver(&access(EL1H), &RULES, || origin(EL1H));
            assert_eq!(answered, delivery, "the record names what has answered");
        }
        seen
    }

    #[test]
    fn what_cannot_answer_passes_on_in_the_same_trap() {
        let by = |mechanism: Mechanism| mechanism.deliver(&access(EL1H), &RULES, || origin(EL1H));
        let (alignment, external) = (by(Mechanism::ALIGNMENT_ABORT), by(Mechanism::EXTERNAL_ABORT));
        assert_eq!(
            tried("all=sdei,unmapped,alignment-abort,halt", 3),
            [
                Delivery::Special(Special::Event),
                Delivery::Special(Special::PassOn),
                alignment,
                Delivery::Special(Special::Halt),
                Delivery::Special(Special::Halt)
            ]
        );
        // Behind the last link comes what the architecture has, again and again.
        assert_eq!(
            tried("all=alignment-abort,decoy", 3),
            [
                alignment,
                Delivery::Special(Special::Decoy),
                external,
                Delivery::Special(Special::Decoy),
                external
            ]
        );
        assert_eq!(
            tried("all=force-reclaim", 2),
            [
                Delivery::Special(Special::ForceReclaim),
                external,
                Delivery::Special(Special::ForceReclaim),
                external
            ]
        );
        assert_eq!(
            tried("all=unmapped!", 1),
            [Delivery::Special(Special::PassOn), external]
        );
    }

    /// What a host can do in a loop, and that no policy is about.
    #[test]
    fn what_is_no_refused_touch_has_few_lines() {
        for event in [Faults::nothing, Faults::register] {
            // As at boot: the counter's frequency is not known from the beginning.
            let mut faults = Faults::new(Policy::DEFAULT, RULES, 0);
            faults.configure(Policy::DEFAULT, RULES, 1_000);
            let lines: Vec<_> = (0..3000).filter_map(|now| event(&mut faults, now)).collect();
            // A burst, and one each thousand ticks.
            assert_eq!(lines.len() as u64, limit::BURST + 2);
            assert_eq!(lines.iter().sum::<u64>() + lines.len() as u64, 2001);
        }
    }

    #[test]
    fn each_preset_is_one_exception() {
        for (text, esr) in [
            ("all=external-abort", 0x9600_0050),
            ("all=alignment-abort!", 0x9600_0061),
            ("all=translation-abort!", 0x9600_0047),
            ("all=tag-check-abort!", 0x9600_0051),
            ("all=granule-abort", 0x9600_0068),
            ("all=tagged-abort!", 0x9707_00c7),
        ] {
            let policy = Policy::parse(text, &Policy::DEFAULT).unwrap();
            let mut faults = Faults::new(policy, RULES, 1_000_000);
            for n in 0..3 {
                let delivery = answer(&mut faults, EL1H, n);
                let Delivery::Exception(e) = delivery else {
                    panic!("{text}")
                };
                assert_eq!(e.esr_el1, esr, "{text}");
            }
        }
    }
}
