//! Against the pseudocode of the Arm ARM: `AArch64.TakeException`, written out here field by field on a PSTATE of named
//! fields, which is packed and unpacked by tables of its own. Nothing is shared with the code under test.

use super::*;
use proptest::prelude::*;

/// (field, lowest bit, width) of SPSR_EL1 for exceptions from AArch64.
const AARCH64: &[(&str, u32, u32)] = &[
    ("PM", 32, 1),
    ("PPEND", 33, 1),
    ("EXLOCK", 34, 1),
    ("PACM", 35, 1),
    ("N", 31, 1),
    ("Z", 30, 1),
    ("C", 29, 1),
    ("V", 28, 1),
    ("TCO", 25, 1),
    ("DIT", 24, 1),
    ("UAO", 23, 1),
    ("PAN", 22, 1),
    ("SS", 21, 1),
    ("IL", 20, 1),
    ("ALLINT", 13, 1),
    ("SSBS", 12, 1),
    ("BTYPE", 10, 2),
    ("D", 9, 1),
    ("A", 8, 1),
    ("I", 7, 1),
    ("F", 6, 1),
    ("nRW", 4, 1),
    ("EL", 2, 2),
    ("SP", 0, 1),
];

/// The same from AArch32: what an entry to AArch64 can keep of it.
const AARCH32: &[(&str, u32, u32)] = &[
    ("N", 31, 1),
    ("Z", 30, 1),
    ("C", 29, 1),
    ("V", 28, 1),
    ("DIT", 24, 1),
    ("SSBS", 23, 1),
    ("PAN", 22, 1),
    ("SS", 21, 1),
    ("IL", 20, 1),
    ("A", 8, 1),
    ("I", 7, 1),
    ("F", 6, 1),
    ("nRW", 4, 1),
];

type Pstate = std::collections::BTreeMap<&'static str, u64>;

fn unpack(spsr: u64) -> Pstate {
    let table = if spsr >> 4 & 1 == 1 { AARCH32 } else { AARCH64 };
    let mut p: Pstate = AARCH64.iter().map(|(name, ..)| (*name, 0)).collect();
    p.extend(
        table
            .iter()
            .map(|(name, at, width)| (*name, spsr >> at & ((1 << width) - 1))),
    );
    p
}

fn pack(p: &Pstate) -> u64 {
    AARCH64.iter().map(|(name, at, _)| p[name] << at).sum()
}

/// `AArch64.TakeException(EL1, ...)`: the vector's offset and PSTATE.
fn by_the_book(f: EntryFeatures, o: &OriginState, external: bool) -> (u64, Pstate) {
    let mut p = unpack(o.spsr);
    let from_32 = p["nRW"] == 1;
    let from_el = if from_32 { 0 } else { p["EL"] };
    // AArch64.DataAbort: RouteToSErrorOffset.
    let mut offset = if external && o.extras.is_some_and(|e| e.sctlr2 >> 5 & 1 == 1) {
        0x180
    } else {
        0
    };
    if from_el < 1 {
        offset += if from_32 { 0x600 } else { 0x400 };
    } else if p["SP"] == 1 {
        offset += 0x200;
    }
    p.insert(
        "EXLOCK",
        if from_el == 1 {
            o.extras.map_or(0, |e| e.gcscr >> 6 & 1)
        } else {
            0
        },
    );
    p.insert("EL", 1);
    p.insert("nRW", 0);
    p.insert("SP", 1);
    p.insert("SS", 0);
    if f.nmi {
        p.insert("ALLINT", 1 - (o.sctlr >> 62 & 1));
    }
    for field in ["D", "A", "I", "F"] {
        p.insert(field, 1);
    }
    p.insert("IL", 0);
    if f.pan && o.sctlr >> 23 & 1 == 0 {
        p.insert("PAN", 1);
    }
    p.insert("UAO", 0);
    p.insert("BTYPE", 0);
    if f.ssbs {
        p.insert("SSBS", o.sctlr >> 44 & 1);
    }
    if f.mte {
        p.insert("TCO", 1);
    }
    if f.ebep {
        p.insert("PM", 1);
    }
    p.insert("PPEND", 0);
    p.insert("PACM", 0);
    (offset, p)
}

fn features(bits: u8) -> EntryFeatures {
    let has = |n: u8| bits >> n & 1 == 1;
    EntryFeatures {
        pan: has(0),
        ssbs: has(1),
        dit: has(2),
        mte: has(3),
        nmi: has(4),
        ebep: has(5),
        extras: has(6),
    }
}

/// What a CPU with `features` can have left in SPSR_EL2: fields of absent features are RES0.
fn possible(spsr: u64, f: EntryFeatures) -> u64 {
    let from_32 = spsr >> 4 & 1 == 1;
    let mut p = unpack(spsr);
    for (name, has) in [
        ("PAN", f.pan),
        ("SSBS", f.ssbs),
        ("DIT", f.dit),
        ("TCO", f.mte),
        ("ALLINT", f.nmi),
        ("PM", f.ebep),
    ] {
        if !has {
            p.insert(name, 0);
        }
    }
    if from_32 {
        // Q, IT, GE, E, T: anything; M: User.
        let other = spsr & (1 << 27 | 0b11 << 25 | 0xf << 16 | 0x3f << 10 | 1 << 9 | 1 << 5);
        let known: u64 = AARCH32.iter().map(|(name, at, _)| p[name] << at).sum();
        known | other
    } else {
        p.insert("EL", p["EL"] & 1);
        if p["EL"] == 0 {
            p.insert("SP", 0);
        }
        pack(&p)
    }
}

prop_compose! {
    fn origin()(
        spsr: u64, elr: u64, vbar: u64, sctlr: u64, sctlr2: u64, gcscr: u64, bits: u8
    ) -> (EntryFeatures, OriginState) {
        let f = features(bits);
        (f, OriginState { spsr: possible(spsr, f), elr, vbar, sctlr, extras: f.extras.then_some(Extras { sctlr2, gcscr }) })
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 4096, ..ProptestConfig::default() })]

    #[test]
    fn entry_is_by_the_book((f, o) in origin(), esr: u64, far: u64, external: bool) {
        let status = if external { FaultStatus::EXTERNAL } else { FaultStatus::ALIGNMENT };
        let e = take(&EntryRules::new(f), &o, Syndrome { esr: Esr::new(esr), far, status });
        let (offset, want) = by_the_book(f, &o, external);
        prop_assert_eq!(unpack(e.pstate), want.clone());
        prop_assert_eq!(e.pstate, pack(&want));
        prop_assert_eq!(e.pc, (o.vbar >> 11 << 11) + offset);
        prop_assert_eq!((e.esr_el1, e.far_el1, e.elr_el1, e.spsr_el1), (esr, far, o.elr, o.spsr));
    }
}

#[test]
fn a_linux_kernel_s_load_and_a_process_s_load() {
    // SCTLR_EL1 of Debian's 6.12 has SPAN = 0; its EL1 runs with PAN set, but not in uaccess.
    let o = OriginState {
        spsr: 0x6000_0005,
        elr: 0xffff_8000_8012_3456,
        vbar: 0xffff_8000_8001_1000,
        sctlr: 0x3475_d91d,
        extras: None,
    };
    let rules = EntryRules::new(features(0b00_1111));
    let syndrome = Syndrome {
        esr: Esr::new(0x9600_0021),
        far: 0xaaaa_0000,
        status: FaultStatus::ALIGNMENT,
    };
    let e = take(&rules, &o, syndrome);
    assert_eq!(e.pc, 0xffff_8000_8001_1200);
    assert_eq!(e.pstate, 0x6240_03c5);
    let e = take(&rules, &OriginState { spsr: 0x8000_1000, ..o }, syndrome);
    assert_eq!((e.pc, e.pstate), (0xffff_8000_8001_1400, 0x8240_03c5));
}

#[test]
fn every_origin_has_its_vector() {
    for (spsr, mode, vector) in [
        (0b0_0000, Mode::El0, 0x400),
        (0b1_0000, Mode::El0Aarch32, 0x600),
        (0b0_0100, Mode::El1t, 0x000),
        (0b0_0101, Mode::El1h, 0x200),
    ] {
        assert_eq!(Mode::of(spsr), mode);
        assert_eq!(mode.vector(), vector);
        assert_eq!(mode.is_el0(), vector >= 0x400);
    }
}
