//! An abort with a fault status code of our choice, otherwise as hardware would report this access at EL1.
//!
//! Of an instruction fetch IFSC 0x11 and 0x21 are reserved (there is no tag check, and misaligned fetches have a class of
//! their own). They are delivered all the same where a policy says so: kernels look codes up in one table.

use super::super::access::{Access, Class};
use super::super::exception::Syndrome;
use super::NameError;
use crate::trap::{AbortIss, Esr, FaultKind, FaultStatus};

macro_rules! presets {
    ($($name:literal: $status:path,)*) => {
        /// Names for the codes that matter.
        const PRESETS: &[(&str, FaultStatus)] = &[$(($name, $status),)*];

        /// For the log: a number that stands for the name, without its letters.
        #[cfg(feature = "defmt")]
        pub(super) fn format(status: FaultStatus, f: defmt::Formatter<'_>) {
            match status {
                $($status => defmt::write!(f, $name),)*
                other => defmt::write!(f, "abort({=u8:#x})", other.raw()),
            }
        }
    };
}

presets! {
    "external-abort": FaultStatus::EXTERNAL,
    "alignment-abort": FaultStatus::ALIGNMENT,
    "translation-abort": FaultStatus::TRANSLATION_L3,
    "tag-check-abort": FaultStatus::TAG_CHECK,
    "granule-abort": FaultStatus::GRANULE,
}

/// ISS2.GCS (ESR_EL1, bit 40): a Guarded Control Stack access. The one part of ISS2 that is about the access and not
/// about the fault.
const ESR_GCS: u64 = 1 << 40;

/// The name of `status`, if it has one.
pub(super) fn preset(status: FaultStatus) -> Option<&'static str> {
    PRESETS.iter().find(|(_, s)| *s == status).map(|(name, _)| *name)
}

/// The code that `text` names; `None` when it is not about this mechanism.
pub(super) fn parse(text: &str) -> Option<Result<FaultStatus, NameError>> {
    if let Some((_, status)) = PRESETS.iter().find(|(name, _)| *name == text) {
        return Some(Ok(*status));
    }
    let number = text.strip_prefix("abort(")?.strip_suffix(')')?;
    let (digits, radix) = match number.strip_prefix("0x") {
        Some(digits) => (digits, 16),
        None => (number, 10),
    };
    // from_str_radix takes a sign.
    let status = if digits.bytes().all(|b| b.is_ascii_hexdigit()) {
        u8::from_str_radix(digits, radix).ok().and_then(FaultStatus::new)
    } else {
        None
    };
    Some(status.ok_or(NameError::BadStatus))
}

/// EC in its place.
pub(super) const CLASS: u64 = 0x3f << Esr::EC_SHIFT;

/// What makes of the EC of ESR_EL2 (0x20, 0x24) that of an abort that EL1 takes: from EL0 it is the same, from EL1 the
/// next one (0x21, 0x25), for an abort without a change in Exception level.
pub(super) const fn from_el1(access: &Access) -> u64 {
    (!access.mode.is_el0() as u64) << Esr::EC_SHIFT
}

/// `AArch64.AbortSyndrome` and `AArch64.ReportException`, with `status` for the fault's own.
///
/// ISV and what it makes valid is only for stage-2 faults, so it is clear, and IL is then set. S1PTW is clear: it was
/// stage 2's. WnR and CM stay (they are RES0 for a fetch). SET, FnV and EA belong to External aborts and stay when this
/// was one and remains one. Bits 12:11 of other faults (LST) and ISS2 describe 64-byte stores and permissions, of which
/// the new code says nothing.
pub(super) const fn syndrome(status: FaultStatus, access: &Access) -> Syndrome {
    const KEPT: u64 = CLASS | ESR_GCS | (AbortIss::WNR | AbortIss::CM) as u64;
    let mut esr = access.esr.raw() & KEPT | from_el1(access) | Esr::IL | status.raw() as u64;
    if access.iss().fsc().raw() == FaultStatus::EXTERNAL.raw() {
        esr |= kept_of_external(status, access);
    }
    Syndrome {
        esr: Esr::new(esr),
        far: access.far,
        status,
    }
}

/// What stays besides of an External abort, which stage 2 itself never reports.
#[cold]
const fn kept_of_external(status: FaultStatus, access: &Access) -> u64 {
    const KEPT: u64 = (AbortIss::SET | AbortIss::FNV | AbortIss::EA) as u64;
    if status.raw() == FaultStatus::EXTERNAL.raw() {
        access.esr.raw() & KEPT
    } else {
        0
    }
}

/// Whether Linux may come back to the access for ever (arch/arm64/mm/fault.c of 6.1, 6.12 and 7.3).
///
/// Translation, access flag and permission faults: the page fault handler finds nothing to do and returns. Tag check
/// faults: EL0 gets a signal, EL1 turns tag checks off and returns. Alignment faults: two futex operations fault the
/// page in and start again, so uaccess may loop, and with it a walk, which may be on behalf of uaccess.
pub(super) const fn may_loop(status: FaultStatus, class: Class) -> bool {
    match status.kind() {
        FaultKind::Translation | FaultKind::AccessFlag | FaultKind::Permission => true,
        FaultKind::TagCheck => !matches!(class, Class::El0),
        FaultKind::Alignment => matches!(class, Class::El1User | Class::Walk),
        _ => false,
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::trap::Hpfar;

    pub(in super::super) const EL0: u64 = 0;
    pub(in super::super) const EL1H: u64 = 0x3c5;

    pub(in super::super) fn access(esr: u64, spsr: u64) -> Access {
        Access::decode(Esr::new(esr), 0xaaaa_0000_1234, Hpfar::new(0x40_1230), spsr).unwrap()
    }

    fn esr(status: FaultStatus, from: u64, spsr: u64) -> u64 {
        syndrome(status, &access(from, spsr)).esr.raw()
    }

    #[test]
    fn the_instruction_syndrome_goes_and_il_comes() {
        // A 16-bit T32 store (IL clear) with ISV, SAS, SSE, SRT, SF and AR all set.
        let stage2 = 0x91ff_c047;
        assert_eq!(esr(FaultStatus::ALIGNMENT, stage2, EL0), 0x9200_0061);
        assert_eq!(esr(FaultStatus::ALIGNMENT, stage2, EL1H), 0x9600_0061);
    }

    #[test]
    fn cache_maintenance_stays_cache_maintenance() {
        assert_eq!(esr(FaultStatus::EXTERNAL, 0x9200_0147, EL1H), 0x9600_0150);
    }

    #[test]
    fn s1ptw_vncr_and_iss2_go() {
        assert_eq!(
            esr(FaultStatus::TRANSLATION_L3, 0x00ff_feff_9200_2087, EL0),
            0x9200_0007
        );
        // Of ISS2, GCS is about the access.
        assert_eq!(
            esr(FaultStatus::TRANSLATION_L3, 0x00ff_ffff_9200_0007, EL0),
            0x0000_0100_9200_0007
        );
    }

    #[test]
    fn what_belongs_to_external_aborts_stays_with_them() {
        // SET = 0b10, FnV, EA, of an External abort.
        let external = 0x9200_1650;
        assert_eq!(esr(FaultStatus::EXTERNAL, external, EL0), 0x9200_1650);
        assert_eq!(esr(FaultStatus::ALIGNMENT, external, EL0), 0x9200_0061);
        // LST in the same bits, of a translation fault.
        assert_eq!(esr(FaultStatus::EXTERNAL, 0x9200_1847, EL0), 0x9200_0050);
    }

    /// Every field of ESR_EL1, by `AArch64.AbortSyndrome` and what the ISS of data and instruction aborts says.
    #[test]
    fn the_syndrome_is_by_the_book_field_by_field() {
        let statuses = [0x00, 0x04, 0x07, 0x10, 0x11, 0x21, 0x28, 0x2b, 0x35].map(|raw| FaultStatus::new(raw).unwrap());
        // What stage 2 reports: ISV with a syndrome, SET or LST, FnV, EA, CM, S1PTW, WnR and the fault, one by one and all.
        let reported = [0, 0x01ff_c000, 0x1800, 0x400, 0x200, 0x100, 0x80, 0x40, 0x01ff_dfc0];
        let faults = [0x07, 0x0f, 0x10];
        let levels = [(EL0, 0), (0x10, 0), (EL1H, 1), (0x3c4, 1)];
        for (class, (spsr, el)) in [0x24, 0x20]
            .into_iter()
            .flat_map(|class| levels.map(|level| (class, level)))
        {
            for (status, rest, fault) in statuses
                .iter()
                .flat_map(|status| reported.map(|rest| (*status, rest)))
                .flat_map(|(status, rest)| faults.map(|fault| (status, rest, fault)))
            {
                // Of a fetch there are IL, FnV, EA, SET and S1PTW alone.
                let rest = if class == 0x20 { rest & 0x1e80 } else { rest };
                for il in [0, 1] {
                    let told = esr(status, class << 26 | il << 25 | rest | fault, spsr);
                    let bits = |high: u32, low: u32| told >> low & ((1 << (high - low + 1)) - 1);
                    let at = |bit: u32| rest >> bit & 1;
                    let external = status.raw() == 0x10 && fault == 0x10;
                    let of_external = |value: u64| if external { value } else { 0 };
                    let found = [
                        (bits(55, 32), 0),
                        (bits(31, 26), class + el),
                        (bits(25, 25), 1),
                        // ISV, SAS, SSE, SRT, SF, AR and VNCR.
                        (bits(24, 13), 0),
                        (bits(12, 11), of_external(rest >> 11 & 3)),
                        (bits(10, 10), of_external(at(10))),
                        (bits(9, 9), of_external(at(9))),
                        (bits(8, 8), at(8)),
                        (bits(7, 7), 0),
                        (bits(6, 6), at(6)),
                        (bits(5, 0), u64::from(status.raw())),
                    ];
                    assert!(found.iter().all(|(is, wanted)| is == wanted), "{found:x?}");
                }
            }
        }
    }

    #[test]
    fn fetches_stay_fetches() {
        assert_eq!(esr(FaultStatus::EXTERNAL, 0x8200_0087, EL0), 0x8200_0010);
        assert_eq!(esr(FaultStatus::EXTERNAL, 0x8200_0007, EL1H), 0x8600_0010);
    }

    #[test]
    fn linux_s_retries_are_known() {
        for class in Class::ALL {
            for raw in [0x04, 0x07, 0x08, 0x0b, 0x0c, 0x0f, 0x2b] {
                assert!(may_loop(FaultStatus::new(raw).unwrap(), class));
            }
            for raw in [0x00, 0x10, 0x14, 0x28, 0x30, 0x35] {
                assert!(!may_loop(FaultStatus::new(raw).unwrap(), class));
            }
            assert_eq!(may_loop(FaultStatus::TAG_CHECK, class), class != Class::El0);
        }
        let looping = Class::ALL.into_iter().filter(|c| may_loop(FaultStatus::ALIGNMENT, *c));
        assert!(looping.eq([Class::El1User, Class::Walk]));
    }
}
