//! The ways to make an access, and what each leaves in registers where all that it reads is zero.

use super::rules::Kind;
use leasehold_guests::arch::el0::Stub;
use leasehold_guests::arch::one::{Instruction as I, Registers};
use leasehold_guests::pages::PAGE;
use leasehold_guests::{pattern, read_register};

/// What executes it.
#[derive(Clone, Copy)]
pub enum Act {
    /// EL1, with all registers known. What it does to them when it finds zeroes; the address is in `x0`.
    El1(I, fn(&mut Registers)),
    /// EL0. What it gives when it finds zeroes, where that is known.
    El0(Stub, Option<u64>),
}

/// Where it begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Spot {
    /// So many bytes into the lent page.
    In(u64),
    /// So many bytes before it, in a page that is not lent; and that is the part of it which is not.
    Before(u64),
}

impl Spot {
    /// Its address, for a page that is lent.
    pub fn address(self, page: u64) -> u64 {
        match self {
            Spot::In(at) => page + at,
            Spot::Before(bytes) => page - bytes,
        }
    }

    /// The first address that is refused.
    pub fn refused(self, page: u64) -> u64 {
        match self {
            Spot::In(at) => page + at,
            Spot::Before(_) => page,
        }
    }
}

/// What it cannot do without.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Needs {
    /// Nothing.
    Nothing,
    /// Memory of Normal type: stage 1.
    Normal,
    /// The same, and a mapping for EL0.
    User,
    /// The same as `Normal`, and FEAT_LSE.
    Lse,
    /// FEAT_LRCPC.
    Rcpc,
    /// FEAT_SVE.
    Sve,
    /// AArch32 at EL0.
    Aarch32,
}

impl Needs {
    /// Whether it is there, stage 1 aside.
    pub fn is_there(self) -> bool {
        let field = |value: u64, shift: u32| value >> shift & 0xf;
        match self {
            Needs::Nothing | Needs::Normal | Needs::User => true,
            Needs::Lse => field(read_register!("id_aa64isar0_el1"), 20) != 0,
            Needs::Rcpc => field(read_register!("id_aa64isar1_el1"), 20) != 0,
            Needs::Sve => field(read_register!("id_aa64pfr0_el1"), 32) != 0,
            Needs::Aarch32 => field(read_register!("id_aa64pfr0_el1"), 0) == 2,
        }
    }

    /// Whether stage 1 must be on.
    pub fn stage1(self) -> bool {
        matches!(self, Needs::Normal | Needs::User | Needs::Lse)
    }
}

/// One way to touch memory.
#[derive(Clone, Copy)]
pub struct Way {
    /// Its name.
    pub name: &'static str,
    /// By what.
    pub act: Act,
    /// What decides about the answer.
    pub kind: Kind,
    /// Where.
    pub spot: Spot,
    /// What it cannot do without.
    pub needs: Needs,
}

const HERE: Spot = Spot::In(128);

const fn el1(name: &'static str, instruction: I, kind: Kind, needs: Needs, change: fn(&mut Registers)) -> Way {
    Way {
        name,
        act: Act::El1(instruction, change),
        kind,
        spot: HERE,
        needs,
    }
}

const fn across(name: &'static str, bytes: u64, way: Way) -> Way {
    Way {
        name,
        spot: Spot::Before(bytes),
        ..way
    }
}

const fn at_end(name: &'static str, bytes: u64, way: Way) -> Way {
    Way {
        name,
        spot: Spot::In(PAGE - bytes),
        ..way
    }
}

const fn el0(name: &'static str, stub: Stub, kind: Kind, needs: Needs, gives: Option<u64>) -> Way {
    Way {
        name,
        act: Act::El0(stub, gives),
        kind,
        spot: HERE,
        needs,
    }
}

/// A plain load.
pub const LOAD: Way = el1("load 64", I::LOAD, Kind::Load, Needs::Nothing, |r| r.x[3] = 0);
const PAIR: Way = el1("load pair", I::LOAD_PAIR, Kind::Load, Needs::Nothing, |r| {
    (r.x[3], r.x[4]) = (0, 0);
});
/// A plain store.
pub const STORE: Way = el1("store 64", I::STORE, Kind::Store, Needs::Nothing, |_| {});

/// A jump there.
pub const FETCH: Way = el1("fetch", I::JUMP, Kind::Fetch, Needs::Nothing, |_| {});
const ZERO: Way = el1("dc zva", I::ZERO, Kind::Store, Needs::Normal, |_| {});

/// From EL1.
pub const EL1: [Way; 36] = [
    el1("load 8", I::LOAD_BYTE, Kind::Load, Needs::Nothing, |r| r.x[3] = 0),
    el1("load 16, signed", I::LOAD_SIGNED, Kind::Load, Needs::Nothing, |r| {
        r.x[3] = 0
    }),
    el1("load 32", I::LOAD_WORD, Kind::Load, Needs::Nothing, |r| r.x[3] = 0),
    LOAD,
    el1("load acquire", I::LOAD_ACQUIRE, Kind::Load, Needs::Nothing, |r| {
        r.x[3] = 0
    }),
    el1("load acquire pc", I::LOAD_ACQUIRE_PC, Kind::Load, Needs::Rcpc, |r| {
        r.x[3] = 0
    }),
    PAIR,
    el1("load, write back", I::LOAD_BACK, Kind::Load, Needs::Nothing, |r| {
        (r.x[0], r.x[3]) = (r.x[0] + 8, 0);
    }),
    el1("load as EL0", I::LOAD_UNPRIVILEGED, Kind::Load, Needs::User, |r| {
        r.x[3] = 0
    }),
    el1("load vector", I::LOAD_VECTOR, Kind::Load, Needs::Nothing, |_| {}),
    el1(
        "load vector pair",
        I::LOAD_VECTOR_PAIR,
        Kind::Load,
        Needs::Nothing,
        |_| {},
    ),
    el1("load sve", I::LOAD_SVE, Kind::Load, Needs::Sve, |_| {}),
    el1(
        "load exclusive",
        I::LOAD_EXCLUSIVE,
        Kind::Exclusive,
        Needs::Nothing,
        |r| r.x[3] = 0,
    ),
    el1(
        "load exclusive pair",
        I::LOAD_EXCLUSIVE_PAIR,
        Kind::Exclusive,
        Needs::Nothing,
        |r| {
            (r.x[3], r.x[4]) = (0, 0);
        },
    ),
    el1("store 8", I::STORE_BYTE, Kind::Store, Needs::Nothing, |_| {}),
    STORE,
    el1("store release", I::STORE_RELEASE, Kind::Store, Needs::Nothing, |_| {}),
    el1("store pair", I::STORE_PAIR, Kind::Store, Needs::Nothing, |_| {}),
    el1("store as EL0", I::STORE_UNPRIVILEGED, Kind::Store, Needs::User, |_| {}),
    el1("store vector", I::STORE_VECTOR, Kind::Store, Needs::Nothing, |_| {}),
    el1("store sve", I::STORE_SVE, Kind::Store, Needs::Sve, |_| {}),
    el1("add", I::ADD, Kind::Atomic, Needs::Lse, |r| r.x[3] = 0),
    el1("swap", I::SWAP, Kind::Atomic, Needs::Lse, |r| r.x[3] = 0),
    el1("compare, swap", I::COMPARE_SWAP, Kind::Atomic, Needs::Lse, |r| {
        r.x[3] = 0
    }),
    el1(
        "compare, swap pair",
        I::COMPARE_SWAP_PAIR,
        Kind::Atomic,
        Needs::Lse,
        |r| {
            (r.x[4], r.x[5]) = (0, 0);
        },
    ),
    ZERO,
    FETCH,
    Way {
        act: Act::El1(I::LOAD, |r| r.x[3] = own(r.x[0], 4)),
        needs: Needs::Normal,
        ..across("load into it", 4, LOAD)
    },
    Way {
        act: Act::El1(I::LOAD_PAIR, |r| (r.x[3], r.x[4]) = (own(r.x[0], 8), 0)),
        ..across("load pair into it", 8, PAIR)
    },
    Way {
        act: Act::El1(I::LOAD_SVE, |_| {}),
        needs: Needs::Sve,
        ..across("load sve into it", 8, LOAD)
    },
    Way {
        needs: Needs::Normal,
        ..across("store into it", 4, STORE)
    },
    Way {
        act: Act::El1(I::STORE_PAIR, |_| {}),
        ..across("store pair into it", 8, STORE)
    },
    Way {
        act: Act::El1(I::LOAD, |r| r.x[3] = beyond(r.x[0], 4)),
        needs: Needs::Normal,
        ..at_end("load out of it", 4, LOAD)
    },
    Way {
        act: Act::El1(I::LOAD_PAIR, |r| (r.x[3], r.x[4]) = (0, beyond(r.x[0] + 8, 0))),
        ..at_end("load pair out of it", 8, PAIR)
    },
    Way {
        needs: Needs::Normal,
        ..at_end("store out of it", 4, STORE)
    },
    Way {
        act: Act::El1(I::STORE_PAIR, |_| {}),
        ..at_end("store pair out of it", 8, STORE)
    },
];

/// What of the pattern stands in the low `bytes` of a word that ends in lent memory.
fn own(address: u64, bytes: u64) -> u64 {
    let word = pattern::at(super::plain(address) & !7);
    match bytes {
        8 => word,
        _ => word >> (64 - 8 * bytes),
    }
}

/// What of the pattern stands in the high part of a word of which `bytes` are in lent memory.
fn beyond(address: u64, bytes: u64) -> u64 {
    pattern::at((super::plain(address) + bytes) & !7) << (8 * bytes)
}

/// From EL0.
pub const EL0: [Way; 17] = [
    el0("EL0 load", Stub::Load, Kind::Load, Needs::Nothing, Some(0)),
    el0("EL0 pair", Stub::Pair, Kind::Load, Needs::Nothing, Some(0)),
    el0("EL0 vector", Stub::Vector, Kind::Load, Needs::Nothing, None),
    el0(
        "EL0 exclusive",
        Stub::Exclusive,
        Kind::Exclusive,
        Needs::Nothing,
        Some(0),
    ),
    el0("EL0 store", Stub::Store, Kind::Store, Needs::Nothing, None),
    el0("EL0 store pair", Stub::StorePair, Kind::Store, Needs::Nothing, None),
    el0("EL0 add", Stub::Add, Kind::Atomic, Needs::Lse, Some(0)),
    el0("EL0 dc zva", Stub::Zero, Kind::Store, Needs::Normal, None),
    el0("EL0 fetch", Stub::Jump, Kind::Fetch, Needs::Nothing, None),
    Way {
        spot: Spot::Before(8),
        ..el0(
            "EL0 store pair into it",
            Stub::StorePair,
            Kind::Store,
            Needs::Nothing,
            None,
        )
    },
    Way {
        spot: Spot::In(PAGE - 8),
        ..el0("EL0 pair out of it", Stub::Pair, Kind::Load, Needs::Nothing, Some(0))
    },
    el0("A32 load", Stub::A32Load, Kind::Load, Needs::Aarch32, Some(0)),
    el0("A32 store", Stub::A32Store, Kind::Store, Needs::Aarch32, None),
    el0(
        "A32 multiple",
        Stub::A32Multiple,
        Kind::Exclusive,
        Needs::Aarch32,
        Some(0),
    ),
    el0(
        "A32 exclusive",
        Stub::A32Exclusive,
        Kind::Exclusive,
        Needs::Aarch32,
        Some(0),
    ),
    el0("A32 fetch", Stub::A32Jump, Kind::Fetch, Needs::Aarch32, None),
    el0("T32 load", Stub::T32Load, Kind::Load, Needs::Aarch32, Some(0)),
];

/// By a table of stage 1 that is lent.
pub const WALKS: [Way; 6] = [
    LOAD,
    PAIR,
    STORE,
    ZERO,
    FETCH,
    el1("at s1e1r", I::TRANSLATE, Kind::Translate, Needs::Nothing, |_| {}),
];

/// By such a table, from EL0.
pub const EL0_WALKS: [Way; 3] = [EL0[0], EL0[4], EL0[8]];
