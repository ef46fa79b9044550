//! What a touch from EL0 brings, by the mechanism that the board configures.

use crate::touch::{Access, BUS_ADRALN, BUS_OBJERR, Outcome, SEGV_MTESERR};
use nix::sys::signal::Signal;
use std::str::FromStr;

/// A mechanism of a board's fault policy, as far as EL0 is concerned. What Linux makes of an abort was read from
/// `fault_info` in `arch/arm64/mm/fault.c` of 6.1, 6.12 and 7.3.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mechanism {
    /// `external-abort`, 0x10: SIGBUS, BUS_OBJERR. So is 0x35, an exclusive that is not supported.
    ExternalAbort,
    /// `alignment-abort`, 0x21: SIGBUS, BUS_ADRALN.
    AlignmentAbort,
    /// `translation-abort`, 0x07, and the other faults of a translation: the kernel finds nothing wrong, and the access
    /// is tried again and again.
    TranslationAbort,
    /// `tag-check-abort`, 0x11: SIGSEGV, SEGV_MTESERR.
    TagCheckAbort,
    /// `granule-abort`, 0x28, and whatever else Linux does not know: SIGKILL.
    GranuleAbort,
    /// The stage-2 syndrome with S1PTW: to a kernel that does not know the mark, a translation abort.
    TaggedAbort,
    /// An SDEI event, for which the driver sends SIGBUS, BUS_OBJERR.
    Sdei,
    /// The access succeeds on other memory: reads see zeroes.
    Decoy,
    /// The CPU stops: nobody is left to see anything.
    Halt,
}

/// The names that a board's policy has for them.
const NAMES: [(&str, Mechanism); 9] = [
    ("external-abort", Mechanism::ExternalAbort),
    ("alignment-abort", Mechanism::AlignmentAbort),
    ("translation-abort", Mechanism::TranslationAbort),
    ("tag-check-abort", Mechanism::TagCheckAbort),
    ("granule-abort", Mechanism::GranuleAbort),
    ("tagged-abort", Mechanism::TaggedAbort),
    ("sdei", Mechanism::Sdei),
    ("decoy", Mechanism::Decoy),
    ("halt", Mechanism::Halt),
];

impl FromStr for Mechanism {
    type Err = String;

    /// Takes a name, or `abort(FSC)`.
    fn from_str(text: &str) -> Result<Mechanism, String> {
        if let Some((_, mechanism)) = NAMES.iter().find(|(name, _)| *name == text) {
            return Ok(*mechanism);
        }
        let code = text.strip_prefix("abort(").and_then(|rest| rest.strip_suffix(')'));
        let code = code
            .and_then(|code| crate::size::parse(code).ok())
            .filter(|code| *code < 64);
        let names = NAMES.map(|(name, _)| name).join(", ");
        code.map(Mechanism::of_abort)
            .ok_or_else(|| format!("none of {names}, abort(FSC)"))
    }
}

impl Mechanism {
    /// What Linux makes of an abort with this fault status code.
    fn of_abort(code: u64) -> Mechanism {
        match code {
            0x10 | 0x35 => Mechanism::ExternalAbort,
            0x21 => Mechanism::AlignmentAbort,
            0x11 => Mechanism::TagCheckAbort,
            0x04..=0x0f | 0x2b => Mechanism::TranslationAbort,
            _ => Mechanism::GranuleAbort,
        }
    }

    /// Whether an access, and what came of it, are as this mechanism makes them.
    pub fn allows(self, address: usize, access: Access, outcome: Outcome) -> bool {
        use nix::libc::{SIGBUS, SIGSEGV};
        let signal = |number, code| matches!(outcome, Outcome::Signal { number: n, code: c, address: a, .. } if (n, c, a) == (number, code, address));
        match self {
            Mechanism::ExternalAbort | Mechanism::Sdei => signal(SIGBUS, BUS_OBJERR),
            Mechanism::AlignmentAbort => signal(SIGBUS, BUS_ADRALN),
            Mechanism::TagCheckAbort => signal(SIGSEGV, SEGV_MTESERR),
            Mechanism::TranslationAbort | Mechanism::TaggedAbort => outcome == Outcome::Stuck,
            Mechanism::Halt => false,
            Mechanism::GranuleAbort => outcome == Outcome::Killed(Signal::SIGKILL),
            Mechanism::Decoy => match access {
                Access::Read => outcome == Outcome::Done(0),
                Access::Write(value) => outcome == Outcome::Done(value),
                Access::Execute => false,
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use nix::libc::{SIGBUS, SIGSEGV};

    #[test]
    fn an_external_abort_is_told_from_the_rest() {
        let seen = |number, code, address| Outcome::Signal {
            number,
            code,
            address,
            pc: 0,
        };
        let allows = |outcome| Mechanism::ExternalAbort.allows(0x1234, Access::Read, outcome);
        assert!(allows(seen(SIGBUS, BUS_OBJERR, 0x1234)));
        assert!(!allows(seen(SIGBUS, BUS_OBJERR, 0x1230)));
        assert!(!allows(seen(SIGBUS, BUS_ADRALN, 0x1234)));
        assert!(!allows(seen(SIGSEGV, BUS_OBJERR, 0x1234)));
        assert!(!allows(Outcome::Done(0)));
        assert!(!allows(Outcome::Stuck));
        assert!(!allows(Outcome::Killed(Signal::SIGKILL)));
    }

    #[test]
    fn names_and_codes() {
        assert_eq!("external-abort".parse(), Ok(Mechanism::ExternalAbort));
        assert_eq!("abort(0x21)".parse(), Ok(Mechanism::AlignmentAbort));
        assert_eq!("abort(17)".parse(), Ok(Mechanism::TagCheckAbort));
        assert_eq!("abort(0x07)".parse(), Ok(Mechanism::TranslationAbort));
        assert_eq!("abort(0x28)".parse(), Ok(Mechanism::GranuleAbort));
        for text in ["", "abort", "abort()", "abort(0x40)", "gunyah"] {
            assert!(text.parse::<Mechanism>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_decoy_reads_as_zero() {
        assert!(Mechanism::Decoy.allows(0, Access::Read, Outcome::Done(0)));
        assert!(!Mechanism::Decoy.allows(0, Access::Read, Outcome::Done(0x5a)));
        assert!(Mechanism::Decoy.allows(0, Access::Write(7), Outcome::Done(7)));
    }
}
