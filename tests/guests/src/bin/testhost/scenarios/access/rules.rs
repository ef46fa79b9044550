//! What an access is to be answered with, by the one mechanism that the policy has.

use leasehold_abi::vendor;
use leasehold_guests::args;

/// What decides about the answer, besides the mechanism.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A load.
    Load,
    /// A store.
    Store,
    /// Both at once.
    Atomic,
    /// A load or a store of a pair of exclusives, or one of AArch32 state that may be for all that its syndrome tells.
    Exclusive,
    /// An instruction fetch.
    Fetch,
    /// A question for a translation, which reads tables alone.
    Translate,
}

/// What becomes of an access.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// An abort with this fault status code.
    Code(u64),
    /// The stage-2 fault itself, marked by S1PTW.
    Tagged,
    /// It goes through, on zeroes.
    Decoy,
    /// It goes through, on the page itself, which is of zeroes and the host's again.
    Taken,
}

/// The only link of every chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Alone {
    /// An abort with this code.
    Abort(u64),
    /// The board's own code.
    NewSyndrome,
    /// `tagged-abort`.
    Tagged,
    /// `decoy`.
    Decoy,
    /// `force-reclaim`.
    ForceReclaim,
    /// One that does not answer, because this host has not prepared for it: `unmapped`, `sdei`.
    PassesOn,
    /// `halt`.
    Halt,
}

/// Synchronous External abort: what comes behind the last link.
const EXTERNAL: u64 = 0x10;
/// The code of the board's `new-syndrome`.
const NEW: u64 = 0x32;

const NAMES: [(&str, Alone); 11] = [
    ("external-abort", Alone::Abort(EXTERNAL)),
    ("alignment-abort", Alone::Abort(0x21)),
    ("translation-abort", Alone::Abort(0x07)),
    ("tag-check-abort", Alone::Abort(0x11)),
    ("granule-abort", Alone::Abort(0x28)),
    ("tagged-abort", Alone::Tagged),
    ("new-syndrome", Alone::NewSyndrome),
    ("decoy", Alone::Decoy),
    ("force-reclaim", Alone::ForceReclaim),
    ("unmapped", Alone::PassesOn),
    ("halt", Alone::Halt),
];

impl Alone {
    /// The mechanism of that name, as a policy's text has it.
    pub fn parse(name: &str) -> Option<Alone> {
        if let Some(code) = name.strip_prefix("abort(").and_then(|rest| rest.strip_suffix(')')) {
            return args::number(code).map(Alone::Abort);
        }
        if name == "sdei" {
            return Some(Alone::PassesOn);
        }
        NAMES.iter().find(|(n, _)| *n == name).map(|(_, alone)| *alone)
    }

    /// What an access of that kind comes to; `walk` says that it is stage 1's table that is lent.
    pub fn answer(self, kind: Kind, walk: bool) -> Answer {
        let served = !walk && matches!(kind, Kind::Load | Kind::Store | Kind::Atomic);
        match self {
            Alone::Abort(code) => Answer::Code(code),
            Alone::NewSyndrome => Answer::Code(NEW),
            Alone::Tagged => Answer::Tagged,
            Alone::Decoy if served => Answer::Decoy,
            Alone::ForceReclaim => Answer::Taken,
            Alone::Decoy | Alone::PassesOn | Alone::Halt => Answer::Code(EXTERNAL),
        }
    }

    /// What its record names.
    pub fn recorded(self, answer: Answer) -> u64 {
        match answer {
            Answer::Tagged => vendor::MECHANISM_TAGGED_ABORT,
            Answer::Decoy => vendor::MECHANISM_DECOY,
            Answer::Taken => vendor::MECHANISM_FORCE_RECLAIM,
            Answer::Code(_) if self == Alone::NewSyndrome => vendor::MECHANISM_NEW_SYNDROME,
            Answer::Code(code) => vendor::MECHANISM_ABORT | code << 8,
        }
    }
}
