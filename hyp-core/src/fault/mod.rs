//! A host's access to memory that is not its own: what it was, what the board's policy says, and how EL1 is told.
//!
//! [`Access::decode`] reads the trap, [`Faults::answer`] picks the link of the policy's chain and builds the exception,
//! `arch` writes the registers. Each access leaves a [`Record`].
//!
//! ```text
//! trap -> access -> policy (chain of the class) + progress (which link) -> mechanism -> exception
//!                                                                       \-> record, counters, log
//! ```

mod access;
mod exception;
mod limit;
mod mechanism;
mod policy;
mod progress;
mod record;

pub use access::{Access, Class};
pub use exception::{EntryFeatures, EntryRules, Exception, Mode, OriginState, Syndrome, take};
pub use limit::{BURST, Limiter};
pub use mechanism::{Delivery, Mechanism, NameError};
pub use policy::{Chain, ChainError, MAX_LINKS, Policy, PolicyError};
pub use progress::{Attempt, Bounds, Progress, REMEMBERED};
pub use record::{Counters, FaultLog, RECORDS, Record, Toucher};

use crate::id::VmId;
use crate::log;

/// Where and when an access was made, besides what the trap says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Circumstances {
    /// TTBR0_EL1.
    pub ttbr0: u64,
    /// SP_EL0.
    pub sp_el0: u64,
    /// SP_EL1.
    pub sp_el1: u64,
    /// The CPU's number.
    pub cpu: u8,
    /// The counter (CNTPCT_EL0).
    pub now: u64,
    /// Who has borrowed the page, if it is lent.
    pub borrower: Option<VmId>,
}

/// Everything that fault delivery remembers. One for all CPUs, behind a lock of `arch`'s.
pub struct Faults {
    policy: Policy,
    rules: EntryRules,
    progress: Progress,
    log: FaultLog,
    counters: Counters,
    limits: [Limiter; Class::COUNT],
    device_limit: Limiter,
}

impl Faults {
    /// Answers by `policy` on CPUs that all have `features`. `hz` is the counter's frequency (CNTFRQ_EL0). Log lines: one each second for each class,
    /// after a burst.
    #[must_use]
    pub const fn new(policy: Policy, features: EntryFeatures, hz: u64) -> Self {
        Self {
            policy,
            rules: EntryRules::new(features),
            progress: Progress::new(Bounds::for_counter(hz)),
            log: FaultLog::new(),
            counters: Counters::new(),
            limits: [Limiter::new(hz); Class::COUNT],
            device_limit: Limiter::new(hz),
        }
    }

    /// The policy in force.
    #[must_use]
    pub const fn policy(&self) -> &Policy {
        &self.policy
    }

    /// How often what has been done.
    #[must_use]
    pub const fn counters(&self) -> &Counters {
        &self.counters
    }

    /// Decides how a refused access is answered, and records it.
    #[inline]
    pub fn answer(&mut self, access: &Access, origin: &OriginState, at: &Circumstances) -> Delivery {
        let class = access.class;
        let chain = self.policy.chain(class);
        let link = if chain.len() == 1 {
            0
        } else {
            let attempt = Attempt {
                pc: origin.elr,
                va: access.far,
                ttbr0: at.ttbr0,
                sp_el0: at.sp_el0,
                sp_el1: at.sp_el1,
            };
            self.progress.next_link(class, &attempt, at.now, chain.len())
        };
        let mechanism = chain.link(link);
        self.counters.count(class, mechanism);
        let record = self.log.push(Record {
            toucher: Toucher::Cpu {
                cpu: at.cpu,
                class,
                mechanism,
            },
            at: at.now,
            page: access.page,
            va: access.far,
            pc: origin.elr,
            esr: access.esr.raw(),
            borrower: at.borrower,
        });
        if let Some(unsaid) = self.limits[class.index()].admit(at.now) {
            say(record, unsaid);
        }
        mechanism.deliver(access, &self.rules, origin)
    }

    /// Records what the SMMU refused a device.
    pub fn device(&mut self, record: Record) {
        let record = self.log.push(record);
        if let Some(unsaid) = self.device_limit.admit(record.at) {
            say(record, unsaid);
        }
    }

    /// Takes the oldest record for the host, with how many were lost before it.
    pub fn read(&mut self) -> Option<(u64, Record)> {
        self.log.take()
    }
}

/// One line of log, out of the way of the common path.
#[cold]
fn say(record: &Record, unsaid: u32) {
    log::warn!("refused: {} ({} like it not shown)", record, unsaid);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trap::{Esr, Hpfar};

    const EL1H: u64 = 0x3c5;
    const KERNEL: u64 = 0xffff_0000_0800_0010;

    fn origin(spsr: u64) -> OriginState {
        OriginState {
            spsr,
            elr: 0xffff_8000_8000_1234,
            vbar: 0xffff_8000_8001_0000,
            sctlr: 0,
            sctlr2: 0,
            gcscr: 0,
        }
    }

    fn at(now: u64) -> Circumstances {
        Circumstances {
            ttbr0: 0x4100_0000,
            sp_el0: 1,
            sp_el1: 2,
            cpu: 1,
            now,
            borrower: VmId::guest(0),
        }
    }

    fn access(spsr: u64) -> Access {
        Access::decode(Esr::new(0x9307_0047), KERNEL, Hpfar::new(0x48_0000), spsr).unwrap()
    }

    #[test]
    fn a_kernel_access_gets_a_fix_up_and_then_the_end() {
        let mut faults = Faults::new(Policy::DEFAULT, EntryFeatures::default(), 1_000_000);
        let Delivery::Exception(e) = faults.answer(&access(EL1H), &origin(EL1H), &at(10)) else {
            panic!("the first link is an abort")
        };
        assert_eq!((e.esr_el1, e.far_el1), (0x9600_0061, KERNEL));
        assert_eq!((e.elr_el1, e.spsr_el1), (0xffff_8000_8000_1234, EL1H));
        assert_eq!(e.pc, 0xffff_8000_8001_0200);
        assert_eq!(faults.answer(&access(EL1H), &origin(EL1H), &at(20)), Delivery::Halt);
        assert_eq!(faults.counters().get(Class::El1Kernel, Mechanism::Halt), 1);
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
        let mut faults = Faults::new(Policy::DEFAULT, EntryFeatures::default(), 1_000_000);
        for n in 0..100 {
            let delivery = faults.answer(&access(0), &origin(0), &at(n));
            let Delivery::Exception(e) = delivery else {
                panic!("a process must not stop a CPU")
            };
            assert_eq!(e.esr_el1, 0x9200_0050);
        }
        assert_eq!(faults.counters().get(Class::El0, Mechanism::EXTERNAL_ABORT), 100);
        assert_eq!(faults.read().map(|(lost, _)| lost), Some(100 - RECORDS as u64));
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
            let mut faults = Faults::new(policy, EntryFeatures::default(), 1_000_000);
            for n in 0..3 {
                let delivery = faults.answer(&access(EL1H), &origin(EL1H), &at(n));
                let Delivery::Exception(e) = delivery else {
                    panic!("{text}")
                };
                assert_eq!(e.esr_el1, esr, "{text}");
            }
        }
    }
}
