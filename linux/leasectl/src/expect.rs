//! What a touch from EL0 brings, by the mechanism that the board configures.

use crate::touch::{Access, BUS_ADRALN, BUS_OBJERR, Outcome, SEGV_MTESERR};
use nix::sys::signal::Signal;

/// A mechanism of a board's fault policy, as far as EL0 is concerned. What Linux makes of an abort was read from
/// `arch/arm64/mm/fault.c` of 6.1, 6.12 and 7.3.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Mechanism {
    /// `abort(0x10)`: SIGBUS, BUS_OBJERR.
    ExternalAbort,
    /// `abort(0x21)`: SIGBUS, BUS_ADRALN.
    AlignmentAbort,
    /// `abort(0x07)`: the kernel finds nothing wrong, and the access is tried again and again.
    TranslationAbort,
    /// `abort(0x11)`: SIGSEGV, SEGV_MTESERR.
    TagCheckAbort,
    /// `abort(0x28)`: SIGKILL.
    GranuleAbort,
    /// The stage-2 syndrome with S1PTW: to a kernel that does not know the mark, a translation abort.
    TaggedAbort,
    /// The access succeeds on other memory: reads see zeroes.
    Decoy,
}

impl Mechanism {
    /// Whether an access, and what came of it, are as this mechanism makes them.
    pub fn allows(self, address: usize, access: Access, outcome: Outcome) -> bool {
        use nix::libc::{SIGBUS, SIGSEGV};
        let signal = |number, code| matches!(outcome, Outcome::Signal { number: n, code: c, address: a, .. } if (n, c, a) == (number, code, address));
        match self {
            Mechanism::ExternalAbort => signal(SIGBUS, BUS_OBJERR),
            Mechanism::AlignmentAbort => signal(SIGBUS, BUS_ADRALN),
            Mechanism::TagCheckAbort => signal(SIGSEGV, SEGV_MTESERR),
            Mechanism::TranslationAbort | Mechanism::TaggedAbort => outcome == Outcome::Stuck,
            Mechanism::GranuleAbort => outcome == Outcome::Killed(Signal::SIGKILL),
            Mechanism::Decoy => match access {
                Access::Read => outcome == Outcome::Done(0),
                Access::Write(value) => outcome == Outcome::Done(value),
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
    fn a_decoy_reads_as_zero() {
        assert!(Mechanism::Decoy.allows(0, Access::Read, Outcome::Done(0)));
        assert!(!Mechanism::Decoy.allows(0, Access::Read, Outcome::Done(0x5a)));
        assert!(Mechanism::Decoy.allows(0, Access::Write(7), Outcome::Done(7)));
    }
}
