//! What can be done about a refused access. A file for each way; this enum is the seam between them and the rest.

mod abort;
mod new_syndrome;
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
    /// An abort at EL1 with the syndrome that the board has for it: for the day when the architecture allots one.
    NewSyndrome,
    /// An SDEI event (Arm DEN0054) for the handler that the host has registered.
    Sdei,
    /// The access is served on other memory.
    Decoy,
    /// The page is taken from the borrower, scrubbed, and the host's again.
    ForceReclaim,
    /// No answer of its own: lends are refused while the host maps the memory, and what it maps later is for the next link.
    Unmapped,
}

/// What a mechanism has come up with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Delivery {
    /// Write these registers and go on in EL1's handler.
    Exception(Exception),
    /// More than that.
    Special(Special),
}

/// An answer that is more than an exception.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Special {
    /// Stop this CPU.
    Halt,
    /// Have the host's handler called, if there is one.
    Event,
    /// Serve the access on other memory, if it can be.
    Decoy,
    /// Take the page from the borrower, if it can be.
    ForceReclaim,
    /// The next link is due at once.
    PassOn,
}

/// Why a text does not name a mechanism.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NameError {
    /// There is none of this name.
    Unknown,
    /// What is in `abort(...)` is not a number of six bits.
    BadStatus,
}

/// The names of those that have no number in them.
const NAMES: [(&str, Mechanism); 7] = [
    (tagged::NAME, Mechanism::TaggedAbort),
    ("halt", Mechanism::Halt),
    ("new-syndrome", Mechanism::NewSyndrome),
    ("sdei", Mechanism::Sdei),
    ("decoy", Mechanism::Decoy),
    ("force-reclaim", Mechanism::ForceReclaim),
    ("unmapped", Mechanism::Unmapped),
];

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

    /// How many kinds there are, for tables indexed by [`kind`](Self::kind).
    pub const KINDS: usize = 8;

    /// A small number for tables: which kind it is, the status code aside.
    #[must_use]
    #[inline(always)]
    pub const fn kind(self) -> usize {
        match self {
            Self::Abort(_) => 0,
            Self::TaggedAbort => 1,
            Self::Halt => 2,
            Self::NewSyndrome => 3,
            Self::Sdei => 4,
            Self::Decoy => 5,
            Self::ForceReclaim => 6,
            Self::Unmapped => 7,
        }
    }

    /// The number in fault records: one of `MECHANISM_*` of the ABI, a status code in bits 15:8.
    #[must_use]
    pub const fn abi(self) -> u64 {
        use leasehold_abi::vendor;
        match self {
            Self::Abort(status) => vendor::MECHANISM_ABORT | (status.raw() as u64) << 8,
            Self::TaggedAbort => vendor::MECHANISM_TAGGED_ABORT,
            Self::Halt => vendor::MECHANISM_HALT,
            Self::NewSyndrome => vendor::MECHANISM_NEW_SYNDROME,
            Self::Sdei => vendor::MECHANISM_SDEI,
            Self::Decoy => vendor::MECHANISM_DECOY,
            Self::ForceReclaim => vendor::MECHANISM_FORCE_RECLAIM,
            Self::Unmapped => vendor::MECHANISM_UNMAPPED,
        }
    }

    /// Answers `access`; `origin` is asked for where that is by an exception.
    #[must_use]
    #[inline(always)]
    pub fn deliver(self, access: &Access, rules: &EntryRules, origin: impl FnOnce() -> OriginState) -> Delivery {
        let syndrome = match self {
            Self::Abort(status) => abort::syndrome(status, access),
            Self::TaggedAbort => tagged::syndrome(access),
            Self::NewSyndrome => new_syndrome::syndrome(rules.new_syndrome(), access),
            Self::Halt => return Delivery::Special(Special::Halt),
            Self::Sdei => return Delivery::Special(Special::Event),
            Self::Decoy => return Delivery::Special(Special::Decoy),
            Self::ForceReclaim => return Delivery::Special(Special::ForceReclaim),
            Self::Unmapped => return Delivery::Special(Special::PassOn),
        };
        Delivery::Exception(take(rules, &origin(), syndrome))
    }

    /// Whether Linux may answer it by executing the very same access again, for ever, with nobody told.
    #[must_use]
    pub const fn may_loop(self, class: Class) -> bool {
        match self {
            Self::Abort(status) => abort::may_loop(status, class),
            Self::TaggedAbort => tagged::MAY_LOOP,
            // Of a syndrome that nobody knows nothing is known.
            Self::NewSyndrome => true,
            Self::Halt | Self::Sdei | Self::Decoy | Self::ForceReclaim | Self::Unmapped => false,
        }
    }

    /// Whether it answers only hosts that have prepared for it: then another has to follow.
    #[must_use]
    pub const fn needs_the_host(self) -> bool {
        matches!(self, Self::Sdei | Self::Unmapped)
    }

    /// Whether it tells the host without leaving anything in ESR_EL1.
    #[must_use]
    pub const fn is_untraced(self) -> bool {
        matches!(self, Self::Sdei)
    }

    /// The mechanism that `text` names: a preset, `abort(CODE)` with a decimal or `0x` number, or another's name.
    ///
    /// # Errors
    /// [`NameError`].
    pub fn parse(text: &str) -> Result<Self, NameError> {
        if let Some(status) = abort::parse(text) {
            return status.map(Self::Abort);
        }
        let found = NAMES.iter().find(|(name, _)| *name == text);
        found.map(|(_, mechanism)| *mechanism).ok_or(NameError::Unknown)
    }

    /// Its name, if it has no number.
    fn name(self) -> Option<&'static str> {
        if let Self::Abort(status) = self {
            return abort::preset(status);
        }
        let found = NAMES.iter().find(|(_, mechanism)| *mechanism == self);
        found.map(|(name, _)| *name)
    }

    /// The status code, if it is an abort of that kind; else zero.
    fn status(self) -> u8 {
        match self {
            Self::Abort(status) => status.raw(),
            _ => 0,
        }
    }
}

impl fmt::Display for Mechanism {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            Some(name) => f.write_str(name),
            None => write!(f, "abort({:#x})", self.status()),
        }
    }
}

#[cfg(feature = "defmt")]
impl defmt::Format for Mechanism {
    fn format(&self, f: defmt::Formatter<'_>) {
        match *self {
            Self::Abort(status) => abort::format(status, f),
            other => defmt::write!(f, "{=str}", other.name().unwrap_or_default()),
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
        for (n, (name, mechanism)) in NAMES.into_iter().enumerate() {
            assert_eq!((mechanism.to_string().as_str(), mechanism.kind()), (name, n + 1));
            assert_eq!(Mechanism::parse(&mechanism.to_string()), Ok(mechanism));
        }
        assert_eq!(Mechanism::parse("external-abort"), Ok(Mechanism::EXTERNAL_ABORT));
        assert_eq!(Mechanism::parse("abort(0x10)"), Ok(Mechanism::EXTERNAL_ABORT));
        assert_eq!(Mechanism::EXTERNAL_ABORT.to_string(), "external-abort");
    }

    #[test]
    fn names_that_mean_nothing_here_say_why() {
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
        assert_eq!(Mechanism::Unmapped.abi(), 8);
    }
}
