//! Qualcomm's secure firmware: what a host at EL1 may call of it, and the remote processors that it starts.
//!
//! Calls and their arguments are Linux's (`drivers/firmware/qcom/qcom_scm.c`, which names each command and describes its
//! arguments by QCOM_SCM_ARGS; `include/linux/firmware/qcom/qcom_scm.h`). What is not here is refused: it is in no public source,
//! or it would show or move memory in a way that EL2 cannot vet. None of it has been tried on silicon.

use crate::list::List;
use leasehold_hal::{SmcAction, SmcBuffer, SmcPolicy, SmcRule, SmcSize, scm};
use leasehold_memory_map::PhysRange;

/// How much of a remote processor's image description must be the host's own, in bytes: ELF headers and hashes. The call does not
/// say how long it is (unconfirmed: the longest that is known of is 32 KiB).
const IMAGE_BYTES: u64 = 64 << 10;

/// How many rules [`rules`] makes.
const RULES: usize = 28;

const fn rule(name: &'static str, service: u8, command: u8, arginfo: u32, action: SmcAction) -> SmcRule {
    SmcRule {
        name,
        function: 0x0200_0000 | (service as u32) << 8 | command as u32,
        arginfo: Some(arginfo),
        action,
    }
}

/// A call that is described by no arguments: its registers are values.
const fn plain(name: &'static str, function: u32) -> SmcRule {
    SmcRule {
        name,
        function,
        arginfo: None,
        action: SmcAction::Pass,
    }
}

const REFUSED: SmcAction = SmcAction::Refuse(scm::UNSUPPORTED);

/// The rules for firmware whose remote processors `start` may run, and whose registers `registers` the host may have read and
/// written.
#[must_use]
pub const fn rules(start: &'static [u32], registers: &'static [PhysRange]) -> [SmcRule; RULES] {
    [
        rule("is call available", 0x06, 0x01, 0x1, SmcAction::IsAvailable),
        rule("get wait queue", 0x24, 0x03, 0x0, SmcAction::Pass),
        rule("resume", 0x24, 0x02, 0x1, SmcAction::Resume),
        rule("assign memory", 0x0c, 0x16, 0x1117, SmcAction::AssignMemory),
        rule(
            "PAS: init image",
            0x02,
            0x01,
            0x82,
            SmcAction::ProcessorImage(IMAGE_BYTES),
        ),
        rule("PAS: set up memory", 0x02, 0x02, 0x3, SmcAction::ProcessorMemory),
        rule(
            "PAS: authenticate and reset",
            0x02,
            0x05,
            0x1,
            SmcAction::ProcessorStart(start),
        ),
        rule("PAS: shut down", 0x02, 0x06, 0x1, SmcAction::ProcessorStop),
        rule("PAS: is supported", 0x02, 0x07, 0x1, SmcAction::Pass),
        rule("PAS: MSS reset", 0x02, 0x0a, 0x2, SmcAction::Pass),
        rule("read register", 0x05, 0x01, 0x1, SmcAction::Register(registers)),
        rule("write register", 0x05, 0x02, 0x2, SmcAction::Register(registers)),
        rule("restore secure configuration", 0x0c, 0x02, 0x2, SmcAction::Pass),
        rule("secure page table: size", 0x0c, 0x03, 0x1, SmcAction::Pass),
        // Address, size, and a spare value (QCOM_SCM_ARGS(3, QCOM_SCM_RW, QCOM_SCM_VAL, QCOM_SCM_VAL)).
        rule(
            "secure page table: memory",
            0x0c,
            0x04,
            0x23,
            SmcAction::Give(SmcBuffer {
                address: 0,
                size: SmcSize::Argument(1),
            }),
        ),
        rule("secure page table: pool size", 0x0c, 0x05, 0x2, SmcAction::Pass),
        rule("video memory", 0x0c, 0x08, 0x4, SmcAction::Pass),
        // Once it is on, firmware takes no memory that is in no bridge, and EL2's copies are in none. Linux goes on without.
        rule("enable SHM bridge", 0x0c, 0x1c, 0x0, REFUSED),
        rule("delete SHM bridge", 0x0c, 0x1d, 0x1, SmcAction::Unshare),
        rule("create SHM bridge", 0x0c, 0x1e, 0x4, SmcAction::Share),
        // Index, key with its length, cipher, size of a data unit.
        rule(
            "ICE: set key",
            0x10,
            0x04,
            0x85,
            SmcAction::Buffers(&[SmcBuffer {
                address: 1,
                size: SmcSize::Argument(2),
            }]),
        ),
        rule("ICE: invalidate key", 0x10, 0x03, 0x1, SmcAction::Pass),
        // CPUs start by PSCI, at an address that EL2 vets.
        rule("set boot address", 0x01, 0x01, 0x2, REFUSED),
        rule("set boot address of clusters", 0x01, 0x11, 0x6, REFUSED),
        // After a crash all memory could be read out.
        rule("set download mode", 0x01, 0x10, 0x2, REFUSED),
        // The SMMUs are EL2's.
        rule("SMMU: page table format", 0x15, 0x01, 0x3, REFUSED),
        rule("SMMU: erratum", 0x15, 0x03, 0x2, REFUSED),
        plain("version of the SiP service", 0x0200_ff03),
    ]
}

/// A remote processor that secure firmware authenticates and starts (PAS), or a block with firmware of its own.
///
/// At EL2 nobody but us sets up its streams (the vendor's hypervisor does, when it catches the call that starts it). They are to be
/// on the host's tables from the moment when EL2 has the SMMU: these map the host's memory at its own addresses, the firmware's
/// carve-out included, and withhold what is lent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RemoteProcessor {
    /// Its name, for people.
    pub name: &'static str,
    /// Its number in calls (Linux `drivers/remoteproc/qcom_q6v5_pas.c`, pas_id; Venus: `drivers/media/platform/qcom/venus`).
    pub pas: Option<u32>,
    /// The streams of its firmware, id and mask, as the trees for EL2 have them.
    pub streams: &'static [(u16, u16)],
    /// Whether it may be started: its streams are known, and on the host's tables.
    pub starts: bool,
}

const fn processor(name: &'static str, pas: u32, streams: &'static [(u16, u16)]) -> RemoteProcessor {
    RemoteProcessor {
        name,
        pas: Some(pas),
        streams,
        starts: true,
    }
}

/// The most remote processors that a host may start.
const MAX_STARTS: usize = 8;

/// The numbers of those of `processors` that may be started.
const fn starting(processors: &[RemoteProcessor]) -> List<u32, MAX_STARTS> {
    let mut starting = List::new(0);
    let mut n = 0;
    while n < processors.len() {
        if let (Some(pas), true) = (processors[n].pas, processors[n].starts) {
            starting = starting.with(pas);
        }
        n += 1;
    }
    starting
}

/// These rules, and nothing that none of them names.
const fn policy(rules: &'static [SmcRule]) -> SmcPolicy {
    SmcPolicy {
        rules,
        passing_owners: &[],
    }
}

/// QCS6490's (`kodiak-el2.dtso` of Qualcomm's kernel, which leaves the modem disabled; `sc7280-chrome-common.dtsi`).
pub mod qcs6490 {
    use super::{List, MAX_STARTS, RULES, RemoteProcessor, SmcPolicy, SmcRule, policy, processor, rules, starting};

    /// Its remote processors.
    pub const PROCESSORS: &[RemoteProcessor] = &[
        processor("ADSP", 1, &[(0x1800, 0)]),
        processor("CDSP", 18, &[(0x11a0, 0x400)]),
        // Its firmware has no stream that is known of, and it is withheld from the host.
        RemoteProcessor {
            name: "WPSS",
            pas: Some(6),
            streams: &[],
            starts: false,
        },
        processor("Venus", 9, &[(0x21a2, 0)]),
        RemoteProcessor {
            name: "MPSS",
            pas: Some(4),
            streams: &[(0x124, 0), (0x488, 0x7)],
            starts: false,
        },
        RemoteProcessor {
            name: "Wi-Fi firmware",
            pas: None,
            streams: &[(0x1c02, 0x1)],
            starts: false,
        },
    ];

    const STARTS: &List<u32, MAX_STARTS> = &starting(PROCESSORS);
    const ALL: [SmcRule; RULES] = rules(STARTS.as_slice(), &[]);

    /// What the host may call.
    pub const POLICY: SmcPolicy = policy(&ALL);
}

/// X1E80100's (`x1-el2.dtso`, and "hamoa: Add remoteproc IOMMUS in EL2" on the list).
pub mod x1e80100 {
    use super::{List, MAX_STARTS, RULES, RemoteProcessor, SmcPolicy, SmcRule, policy, processor, rules, starting};

    /// Its remote processors.
    pub const PROCESSORS: &[RemoteProcessor] = &[
        processor("ADSP", 1, &[(0x1000, 0x80)]),
        processor("CDSP", 18, &[(0x0c00, 0)]),
    ];

    const STARTS: &List<u32, MAX_STARTS> = &starting(PROCESSORS);
    const ALL: [SmcRule; RULES] = rules(STARTS.as_slice(), &[]);

    /// What the host may call.
    pub const POLICY: SmcPolicy = policy(&ALL);
}

/// SDM845's (`sdm845-cheza.dtsi`).
pub mod sdm845 {
    use super::{List, MAX_STARTS, RULES, RemoteProcessor, SmcPolicy, SmcRule, policy, processor, rules, starting};

    /// Its remote processors. The modem is loaded by Linux, not by PAS, there.
    pub const PROCESSORS: &[RemoteProcessor] = &[
        processor("Venus", 9, &[(0x10b2, 0)]),
        RemoteProcessor {
            name: "modem",
            pas: None,
            streams: &[(0x781, 0), (0x724, 0x3)],
            starts: false,
        },
    ];

    const STARTS: &List<u32, MAX_STARTS> = &starting(PROCESSORS);
    const ALL: [SmcRule; RULES] = rules(STARTS.as_slice(), &[]);

    /// What the host may call.
    pub const POLICY: SmcPolicy = policy(&ALL);
}

/// SoCs of which no public tree says which streams remote processors have at EL2 (SM8250, SM8550, SM8650, APQ8016): none may
/// be started.
pub mod unknown {
    use super::{RULES, SmcPolicy, SmcRule, policy, rules};

    const ALL: [SmcRule; RULES] = rules(&[], &[]);

    /// What the host may call.
    pub const POLICY: SmcPolicy = policy(&ALL);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::qcs6490::QCS6490;
    use crate::sdm845::SDM845;
    use crate::x1e80100::X1E80100;
    use leasehold_drivers::smmu::v2::Streams;
    use std::collections::BTreeSet;
    use std::vec::Vec;

    fn policies() -> [(SmcPolicy, &'static [RemoteProcessor]); 4] {
        [
            (qcs6490::POLICY, qcs6490::PROCESSORS),
            (x1e80100::POLICY, x1e80100::PROCESSORS),
            (sdm845::POLICY, sdm845::PROCESSORS),
            (unknown::POLICY, &[]),
        ]
    }

    #[test]
    fn what_may_be_started_is_on_the_host_s_tables() {
        let socs = [
            (&QCS6490, qcs6490::PROCESSORS),
            (&X1E80100, x1e80100::PROCESSORS),
            (&SDM845, sdm845::PROCESSORS),
        ];
        for (soc, processors) in socs {
            let units = soc.smmus.iter().filter(|unit| unit.contains());
            let on_tables: Vec<Streams> = units
                .flat_map(|unit| unit.masters)
                .flat_map(|master| master.streams.iter().copied())
                .collect();
            for one in processors.iter().filter(|one| one.starts) {
                assert!(!one.streams.is_empty(), "{}: {}", soc.name, one.name);
                for (id, mask) in one.streams {
                    let stream = Streams::new(*id, *mask);
                    let known = on_tables.iter().any(|streams| streams.covers(stream));
                    assert!(known, "{}: {} {id:#x}/{mask:#x}", soc.name, one.name);
                }
                let withheld = soc.withheld.iter().any(|withheld| withheld.name.contains(one.name));
                assert!(!withheld, "{}: {} is withheld", soc.name, one.name);
            }
        }
    }

    /// Arguments that the description calls buffers, by their numbers.
    fn buffers(arginfo: u32) -> BTreeSet<u8> {
        let count = (arginfo & 0xf) as u8;
        assert_eq!(
            arginfo >> (4 + 2 * u32::from(count)),
            0,
            "{arginfo:#x} describes more than there are"
        );
        (0..count).filter(|n| arginfo >> (4 + 2 * n) & 3 != 0).collect()
    }

    #[test]
    fn every_buffer_is_vetted() {
        for rule in policies().iter().flat_map(|(policy, _)| policy.rules) {
            let described = rule.arginfo.map(buffers).unwrap_or_default();
            let vetted: BTreeSet<u8> = match rule.action {
                SmcAction::Buffers(list) => list.iter().map(|buffer| buffer.address).collect(),
                SmcAction::Give(buffer) => BTreeSet::from([buffer.address]),
                SmcAction::AssignMemory => BTreeSet::from([0, 2, 4]),
                SmcAction::ProcessorImage(_) => BTreeSet::from([1]),
                SmcAction::Refuse(_) => described.clone(),
                _ => BTreeSet::new(),
            };
            assert_eq!(described, vetted, "{}", rule.name);
        }
    }

    #[test]
    fn arguments_that_are_looked_at_are_there() {
        for rule in policies().iter().flat_map(|(policy, _)| policy.rules) {
            let count = rule.arginfo.unwrap_or(0) & 0xf;
            let needs = match rule.action {
                SmcAction::AssignMemory => 7,
                SmcAction::Share | SmcAction::ProcessorMemory => 3,
                SmcAction::ProcessorImage(_) | SmcAction::Give(_) => 2,
                SmcAction::Buffers(list) => list
                    .iter()
                    .flat_map(|buffer| match buffer.size {
                        SmcSize::Argument(n) => [buffer.address, n],
                        SmcSize::AtMost(_) => [buffer.address; 2],
                    })
                    .max()
                    .map_or(0, |last| u32::from(last) + 1),
                SmcAction::Pass | SmcAction::Refuse(_) => 0,
                _ => 1,
            };
            assert!(count >= needs, "{}", rule.name);
        }
    }

    #[test]
    fn no_call_is_named_twice() {
        for (policy, _) in policies() {
            let functions: BTreeSet<u32> = policy.rules.iter().map(|rule| rule.function).collect();
            assert_eq!(functions.len(), policy.rules.len());
            assert!(
                functions.iter().all(|function| function >> 24 == 2),
                "the SiP service's"
            );
            assert!(policy.passing_owners.is_empty());
        }
    }

    #[test]
    fn what_may_be_started_has_known_streams() {
        for (policy, processors) in policies() {
            let started = policy.rules.iter().find_map(|rule| match rule.action {
                SmcAction::ProcessorStart(list) => Some(list.to_vec()),
                _ => None,
            });
            let known: Vec<u32> = processors
                .iter()
                .filter(|one| one.starts)
                .filter_map(|one| one.pas)
                .collect();
            assert_eq!(started, Some(known));
        }
    }
}
