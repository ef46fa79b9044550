//! The figures: their names, what they are, what they may be at most, and what others need for the same.
//!
//! Names and units are stable: others compare them from one version to the next.

use serde::Serialize;
use std::fmt;

/// A measured figure. A list of them is what `cargo xtask bench --json` writes.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Figure {
    /// One of [`KINDS`].
    pub name: String,
    /// Its unit.
    pub unit: String,
    /// How much.
    pub value: Value,
}

/// A figure's value.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(untagged)]
pub enum Value {
    /// A count.
    Count(u64),
    /// A share.
    Share(f64),
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Value::Count(count) => f.pad(&grouped(*count)),
            Value::Share(share) => f.pad(&format!("{share:+.3}")),
        }
    }
}

/// A count with its digits in groups of three.
fn grouped(count: u64) -> String {
    let digits = count.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// Which run gives a figure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// The tests' own host, making calls.
    Calls,
    /// The same, touching what is lent, with this mechanism as the policy.
    Fault(&'static str),
    /// What the host is given, and the image.
    Sizes,
    /// Linux, with and without Leasehold.
    HostBoot,
}

/// What a figure may be at most.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Limit {
    /// Nothing is asked of it.
    None,
    /// So much.
    AtMost(u64),
    /// So many thousandths of another figure.
    Thousandths(u64, &'static str),
}

/// A figure before it is measured.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Kind {
    /// Its name.
    pub name: &'static str,
    /// Its unit.
    pub unit: &'static str,
    /// Which run gives it.
    pub source: Source,
    /// What it may be.
    pub limit: Limit,
    /// What others need for the same, or for what is nearest to it (`docs/measurements.md` says how that was counted).
    pub peers: &'static str,
}

const INSTRUCTIONS: &str = "instructions";

const fn kind(name: &'static str, source: Source, limit: Limit) -> Kind {
    Kind {
        name,
        unit: INSTRUCTIONS,
        source,
        limit,
        peers: "",
    }
}

impl Kind {
    const fn of(self, unit: &'static str) -> Kind {
        Kind { unit, ..self }
    }

    const fn peers(self, peers: &'static str) -> Kind {
        Kind { peers, ..self }
    }

    /// A figure of this kind.
    pub fn figure(&self, value: Value) -> Figure {
        Figure {
            name: self.name.to_owned(),
            unit: self.unit.to_owned(),
            value,
        }
    }
}

/// The kind of that name.
pub fn kind_of(name: &str) -> Option<&'static Kind> {
    KINDS.iter().find(|kind| kind.name == name)
}

/// In the place of a mechanism: the policy that the board has.
pub const POLICY: &str = "default";

/// In the place of a mechanism: two of them, of which the second answers what has come back.
pub const CHAIN: &str = "alignment-abort,external-abort";

/// The most that the delivery of a fault may take.
const FAULT: Limit = Limit::AtMost(250);

/// A mechanism that answers a touch by EL0, one by EL1, or the very same again.
macro_rules! fault {
    ($mechanism:literal) => {
        fault!($mechanism, "", FAULT)
    };
    ($mechanism:literal, $which:literal) => {
        fault!($mechanism, $which, FAULT)
    };
    ($mechanism:literal, $which:literal, $limit:expr) => {
        kind(concat!("fault.", $mechanism, $which), Source::Fault($mechanism), $limit)
    };
}

use Source::{Calls, HostBoot, Sizes};

/// Every figure, in the order in which they are shown.
pub const KINDS: &[Kind] = &[
    kind("boot.to_host", Calls, Limit::None),
    kind("hypercall.null", Calls, Limit::AtMost(120)).peers("KVM 15 to 1,865, pKVM 15 to 3,062, Xen 416"),
    kind("lend.4k", Calls, Limit::AtMost(1000)),
    kind("lend.4k_split", Calls, Limit::None),
    kind("lend.2m", Calls, Limit::Thousandths(3000, "lend.4k")),
    // 32 entries of a table instead of one.
    kind("lend.64m", Calls, Limit::Thousandths(32_000, "lend.2m")),
    kind("map.4k", Calls, Limit::None),
    kind("map.2m", Calls, Limit::None),
    kind("map.64m", Calls, Limit::None),
    kind("lend.4k_scrub", Calls, Limit::None),
    kind("lend.2m_scrub", Calls, Limit::None),
    kind("lend.64m_scrub", Calls, Limit::None),
    kind("unmap.4k", Calls, Limit::None),
    kind("unmap.2m", Calls, Limit::None),
    kind("unmap.64m", Calls, Limit::None),
    kind("reclaim.4k", Calls, Limit::None),
    kind("reclaim.4k_join", Calls, Limit::None),
    kind("reclaim.2m", Calls, Limit::None),
    kind("reclaim.64m", Calls, Limit::None),
    kind("reclaim.4k_scrub", Calls, Limit::None),
    kind("reclaim.2m_scrub", Calls, Limit::None),
    kind("reclaim.64m_scrub", Calls, Limit::None),
    fault!("default"),
    fault!("default", "_el1"),
    // The first link is within the limit of all; for the second, EL2 looks at what EL1 has done since.
    kind("fault.second_link", Source::Fault(CHAIN), Limit::AtMost(350)),
    kind("fault.logged", Source::Fault(POLICY), Limit::None),
    fault!("external-abort").peers("a stage-2 fault that is mapped: KVM 1,115, pKVM 2,335"),
    fault!("external-abort", "_el1"),
    fault!("external-abort", ".again"),
    fault!("alignment-abort"),
    fault!("alignment-abort", "_el1"),
    fault!("alignment-abort", ".again"),
    fault!("translation-abort"),
    fault!("translation-abort", "_el1"),
    fault!("translation-abort", ".again"),
    fault!("tag-check-abort"),
    fault!("tag-check-abort", "_el1"),
    fault!("tag-check-abort", ".again"),
    fault!("granule-abort"),
    fault!("granule-abort", "_el1"),
    fault!("granule-abort", ".again"),
    fault!("tagged-abort"),
    fault!("tagged-abort", "_el1"),
    fault!("tagged-abort", ".again"),
    fault!("new-syndrome"),
    fault!("new-syndrome", "_el1"),
    fault!("new-syndrome", ".again"),
    // What they take now, and a little more. These go on until the access is over: a decoy copies tables
    // and zeroes a page, force-reclaim zeroes one; `unmapped` passes on to an External abort.
    fault!("unmapped", "", Limit::AtMost(420)),
    fault!("unmapped", "_el1", Limit::AtMost(420)),
    fault!("unmapped", ".again", Limit::AtMost(420)),
    // To the handler's first instruction, and a little more than now: x0 to x17 and the record are copied to where they wait
    // until the handler completes, by way of the stack.
    fault!("sdei", "", Limit::AtMost(840)),
    fault!("sdei", "_el1", Limit::AtMost(840)),
    fault!("sdei", ".again", Limit::AtMost(840)),
    fault!("decoy", "", Limit::AtMost(5_300)),
    fault!("decoy", "_el1", Limit::AtMost(5_300)),
    fault!("decoy", ".again", Limit::AtMost(5_300)),
    fault!("force-reclaim", "", Limit::AtMost(1_800)),
    fault!("force-reclaim", "_el1", Limit::AtMost(1_800)),
    fault!("force-reclaim", ".again", Limit::AtMost(1_800)),
    kind("guest.run_exit", Calls, Limit::AtMost(900)).peers("PSCI_VERSION: KVM 1,088, pKVM 2,307, Xen 470"),
    kind("host_boot.bare", HostBoot, Limit::None),
    kind(
        "host_boot.leasehold",
        HostBoot,
        Limit::Thousandths(1005, "host_boot.bare"),
    ),
    kind("host_boot.overhead", HostBoot, Limit::None)
        .of("%")
        .peers("KVM +0.8, pKVM +5.2, Xen +16"),
    kind("host_boot.el2", HostBoot, Limit::None),
    kind("host_boot.stage2_faults", HostBoot, Limit::AtMost(0))
        .of("faults")
        .peers("pKVM 1,078"),
    kind("host_boot.el2_entries", HostBoot, Limit::AtMost(200))
        .of("entries")
        .peers("Xen 3,056"),
    kind("image.bytes", Sizes, Limit::None).of("bytes"),
    kind("el2.resident_bytes", Sizes, Limit::None)
        .of("bytes")
        .peers("pKVM 10 MiB of 1 GiB, Xen 32 MiB of 2 GiB"),
];

/// A figure beside its limit.
#[derive(Clone, Debug, PartialEq)]
pub struct Verdict {
    /// What it may be at most.
    pub limit: u64,
    /// Whether it is no more.
    pub kept: bool,
}

/// How figures compare with what they may be; none for those that have no limit, or whose limit stands on a figure that
/// was not measured.
pub fn judge(figure: &Figure, all: &[Figure]) -> Option<Verdict> {
    let Value::Count(count) = figure.value else {
        return None;
    };
    let limit = match kind_of(&figure.name)?.limit {
        Limit::None => return None,
        Limit::AtMost(limit) => limit,
        Limit::Thousandths(thousandths, other) => match all.iter().find(|figure| figure.name == other)?.value {
            Value::Count(other) => (u128::from(thousandths) * u128::from(other) / 1000) as u64,
            Value::Share(_) => return None,
        },
    };
    Some(Verdict {
        limit,
        kept: count <= limit,
    })
}

/// The mechanisms whose delivery is measured.
pub fn mechanisms() -> impl Iterator<Item = &'static str> {
    let mut found = Vec::new();
    for kind in KINDS {
        if let Source::Fault(mechanism) = kind.source
            && !found.contains(&mechanism)
        {
            found.push(mechanism);
        }
    }
    found.into_iter()
}

/// The names of figures that these runs give, and that are not there.
pub fn figures_missing(figures: &[Figure], sources: &[Source]) -> Vec<&'static str> {
    let wanted = KINDS.iter().filter(|kind| sources.contains(&kind.source));
    wanted
        .map(|kind| kind.name)
        .filter(|name| figures.iter().all(|figure| figure.name != *name))
        .collect()
}

/// The figures that exceed their limits, as a person reads them: of those whose names are `wanted`.
pub fn exceeded(figures: &[Figure], wanted: impl Fn(&str) -> bool) -> Vec<String> {
    let over = |figure: &Figure| {
        let verdict = judge(figure, figures).filter(|verdict| !verdict.kept)?;
        let limit = Value::Count(verdict.limit);
        Some(format!("{} is {}, {limit} at most", figure.name, figure.value))
    };
    let wanted = figures.iter().filter(|figure| wanted(&figure.name));
    wanted.filter_map(over).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn over(figures: &[Figure]) -> Vec<String> {
        exceeded(figures, |_| true)
    }

    fn figure(name: &str, value: u64) -> Figure {
        kind_of(name).unwrap().figure(Value::Count(value))
    }

    #[test]
    fn json_has_name_unit_and_value_alone() {
        let figures = [
            figure("lend.4k", 940),
            kind_of("host_boot.overhead").unwrap().figure(Value::Share(-0.125)),
        ];
        let json = serde_json::to_string(&figures).unwrap();
        let expected = r#"[{"name":"lend.4k","unit":"instructions","value":940},{"name":"host_boot.overhead","unit":"%","value":-0.125}]"#;
        assert_eq!(json, expected);
    }

    #[test]
    fn names_are_there_once() {
        for (index, kind) in KINDS.iter().enumerate() {
            assert_eq!(
                KINDS.iter().position(|it| it.name == kind.name),
                Some(index),
                "{}",
                kind.name
            );
            if let Limit::Thousandths(_, other) = kind.limit {
                assert_eq!(kind_of(other).map(|other| other.source), Some(kind.source));
            }
        }
    }

    #[test]
    fn a_limit_is_kept_up_to_the_last_instruction() {
        let figures = |null, page, block, many| {
            [
                figure("hypercall.null", null),
                figure("lend.4k", page),
                figure("lend.2m", block),
                figure("lend.64m", many),
            ]
        };
        assert_eq!(over(&figures(120, 1000, 3000, 96_000)), [""; 0]);
        let found = over(&figures(121, 1001, 3004, 96_129));
        let expected = [
            "hypercall.null is 121, 120 at most",
            "lend.4k is 1,001, 1,000 at most",
            "lend.2m is 3,004, 3,003 at most",
            "lend.64m is 96,129, 96,128 at most",
        ];
        assert_eq!(found, expected);
        // What is compared with need not be what is asked for.
        let found = exceeded(&figures(121, 1001, 3004, 0), |name| name == "lend.2m");
        assert_eq!(found, [expected[2]]);
    }

    #[test]
    fn a_boot_may_take_half_a_percent_more() {
        let boot = |leasehold| {
            [
                figure("host_boot.bare", 1_000_000),
                figure("host_boot.leasehold", leasehold),
            ]
        };
        assert_eq!(over(&boot(1_005_000)), [""; 0]);
        assert_eq!(over(&boot(1_005_001)).len(), 1);
        // Without the other boot there is nothing to compare with.
        assert_eq!(judge(&figure("host_boot.leasehold", 1), &[]), None);
    }

    #[test]
    fn digits_are_in_groups() {
        assert_eq!(
            ["7", "999", "1,000", "1,086,448,392"],
            [7, 999, 1000, 1_086_448_392]
                .map(grouped)
                .each_ref()
                .map(String::as_str)
        );
    }
}
