//! What can be done about a refused access. A file for each way; this enum is the seam between them and the rest.

mod abort;
mod halt;
mod tagged;

use super::access::{Access, Class};
use super::exception::{EntryRules, Exception, OriginState, take};
use crate::trap::FaultStatus;
use core::fmt;

/// One way to answer a refused access.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mechanism {
    /// An abort at EL1 with this fault status code.
    Abort(FaultStatus),
    /// An abort at EL1 with the syndrome of the stage-2 fault and S1PTW set, as pKVM reflects them.
    TaggedAbort,
    /// The CPU stops, with a dump.
    Halt,
}

/// What a mechanism has come up with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Delivery {
    /// Write these registers and go on in EL1's handler.
    Exception(Exception),
    /// Stop this CPU.
    Halt,
}

/// Why a text does not name a mechanism.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NameError {
    /// There is none of this name.
    Unknown,
    /// Leasehold knows the name, this build does not have it.
    NotInThisBuild,
    /// What is in `abort(...)` is not a number of six bits.
    BadStatus,
}

/// Names that are taken, so that a policy which needs them is told why it is refused.
const NOT_IN_THIS_BUILD: [&str; 5] = ["new-syndrome", "sdei", "decoy", "force-reclaim", "unmapped"];

impl Mechanism {
    /// Synchronous External abort (0x10): pure architecture, and Gunyah's choice.
    pub const EXTERNAL_ABORT: Self = Self::Abort(FaultStatus::EXTERNAL);
    /// Alignment fault (0x21): Linux runs fix-ups for it, and else fails just the offender.
    pub const ALIGNMENT_ABORT: Self = Self::Abort(FaultStatus::ALIGNMENT);
    /// Translation fault at level 3 (0x07).
    pub const TRANSLATION_ABORT: Self = Self::Abort(FaultStatus::TRANSLATION_L3);
    /// Synchronous Tag Check Fault (0x11).
    pub const TAG_CHECK_ABORT: Self = Self::Abort(FaultStatus::TAG_CHECK);
    /// Granule Protection Fault (0x28).
    pub const GRANULE_ABORT: Self = Self::Abort(FaultStatus::GRANULE);

    /// The number in fault records: one of `MECHANISM_*` of the ABI, a status code in bits 15:8.
    #[must_use]
    pub const fn abi(self) -> u64 {
        use leasehold_abi::vendor;
        match self {
            Self::Abort(status) => vendor::MECHANISM_ABORT | (status.raw() as u64) << 8,
            Self::TaggedAbort => vendor::MECHANISM_TAGGED_ABORT,
            Self::Halt => vendor::MECHANISM_HALT,
        }
    }

    /// Answers `access`.
    #[must_use]
    #[inline(always)]
    pub const fn deliver(self, access: &Access, rules: &EntryRules, origin: &OriginState) -> Delivery {
        let syndrome = match self {
            Self::Abort(status) => abort::syndrome(status, access),
            Self::TaggedAbort => tagged::syndrome(access),
            Self::Halt => return halt::DELIVERY,
        };
        Delivery::Exception(take(rules, origin, syndrome))
    }

    /// Whether Linux may answer it by executing the very same access again, for ever, with nobody told.
    #[must_use]
    pub const fn may_loop(self, class: Class) -> bool {
        match self {
            Self::Abort(status) => abort::may_loop(status, class),
            Self::TaggedAbort => tagged::MAY_LOOP,
            Self::Halt => false,
        }
    }

    /// The mechanism that `text` names: a preset, `abort(CODE)` with a decimal or `0x` number, or another's name.
    ///
    /// # Errors
    /// [`NameError`].
    pub fn parse(text: &str) -> Result<Self, NameError> {
        if let Some(status) = abort::parse(text) {
            return status.map(Self::Abort);
        }
        match text {
            tagged::NAME => Ok(Self::TaggedAbort),
            halt::NAME => Ok(Self::Halt),
            _ if NOT_IN_THIS_BUILD.contains(&text) => Err(NameError::NotInThisBuild),
            _ => Err(NameError::Unknown),
        }
    }
}

impl fmt::Display for Mechanism {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Abort(status) => match abort::preset(*status) {
                Some(name) => f.write_str(name),
                None => write!(f, "abort({:#x})", status.raw()),
            },
            Self::TaggedAbort => f.write_str(tagged::NAME),
            Self::Halt => f.write_str(halt::NAME),
        }
    }
}

#[cfg(feature = "defmt")]
impl defmt::Format for Mechanism {
    fn format(&self, f: defmt::Formatter<'_>) {
        match self {
            Self::Abort(status) => match abort::preset(*status) {
                Some(name) => defmt::write!(f, "{=str}", name),
                None => defmt::write!(f, "abort({=u8:#x})", status.raw()),
            },
            Self::TaggedAbort => defmt::write!(f, "{=str}", tagged::NAME),
            Self::Halt => defmt::write!(f, "{=str}", halt::NAME),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::format;
    use std::string::ToString;

    #[test]
    fn names_round_trip() {
        for raw in 0..64 {
            let mechanism = Mechanism::Abort(FaultStatus::new(raw).unwrap());
            assert_eq!(Mechanism::parse(&mechanism.to_string()), Ok(mechanism));
            assert_eq!(Mechanism::parse(&format!("abort({raw})")), Ok(mechanism));
        }
        for mechanism in [Mechanism::TaggedAbort, Mechanism::Halt] {
            assert_eq!(Mechanism::parse(&mechanism.to_string()), Ok(mechanism));
        }
        assert_eq!(Mechanism::parse("external-abort"), Ok(Mechanism::EXTERNAL_ABORT));
        assert_eq!(Mechanism::parse("abort(0x10)"), Ok(Mechanism::EXTERNAL_ABORT));
        assert_eq!(Mechanism::EXTERNAL_ABORT.to_string(), "external-abort");
    }

    #[test]
    fn names_that_mean_nothing_here_say_why() {
        for name in ["sdei", "decoy", "force-reclaim", "unmapped", "new-syndrome"] {
            assert_eq!(Mechanism::parse(name), Err(NameError::NotInThisBuild));
        }
        for name in [
            "",
            "abort",
            "External-abort",
            "abort(",
            "abort()x",
            " halt",
            "abort(0x10",
        ] {
            assert_eq!(Mechanism::parse(name), Err(NameError::Unknown), "{name}");
        }
        for name in [
            "abort()",
            "abort(64)",
            "abort(0x40)",
            "abort(-1)",
            "abort(0x)",
            "abort(+1)",
            "abort(0x+1)",
        ] {
            assert_eq!(Mechanism::parse(name), Err(NameError::BadStatus), "{name}");
        }
    }

    #[test]
    fn numbers_are_the_abi_s() {
        assert_eq!(Mechanism::EXTERNAL_ABORT.abi(), 0x1001);
        assert_eq!(Mechanism::TaggedAbort.abi(), 2);
        assert_eq!(Mechanism::Halt.abi(), 3);
    }
}
