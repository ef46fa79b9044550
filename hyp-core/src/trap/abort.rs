//! Instruction and Data Aborts.

use leasehold_memory_map::{Address, Ipa};

/// A fault status code: DFSC or IFSC, six bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct FaultStatus(u8);

/// What a fault status code says, level aside ("ISS encoding for an exception from a Data Abort", DFSC).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum FaultKind {
    /// 0x00 to 0x03, 0x29, 0x2c: an address is too wide.
    AddressSize,
    /// 0x04 to 0x07, 0x2a, 0x2b: no translation.
    Translation,
    /// 0x08 to 0x0b: the access flag is clear.
    AccessFlag,
    /// 0x0c to 0x0f: a translation without the permission.
    Permission,
    /// 0x10, 0x18: external abort, or parity or ECC error, not on a walk.
    External,
    /// 0x12 to 0x17, 0x1b to 0x1f: the same on a walk.
    ExternalOnWalk,
    /// 0x11: synchronous tag check.
    TagCheck,
    /// 0x21: alignment.
    Alignment,
    /// 0x22 to 0x28: granule protection, on a walk or not.
    GranuleProtection,
    /// 0x30: TLB conflict.
    TlbConflict,
    /// 0x31: unsupported atomic hardware update of a table.
    HardwareUpdate,
    /// 0x34, 0x35: IMPLEMENTATION DEFINED lockdown, unsupported Exclusive or Atomic access.
    Unsupported,
    /// A reserved code.
    Reserved,
}

impl FaultStatus {
    /// Translation fault, level 3.
    pub const TRANSLATION_L3: Self = Self(0x07);
    /// Synchronous External abort, not on a walk.
    pub const EXTERNAL: Self = Self(0x10);
    /// Synchronous Tag Check Fault.
    pub const TAG_CHECK: Self = Self(0x11);
    /// Alignment fault.
    pub const ALIGNMENT: Self = Self(0x21);
    /// Granule Protection Fault, not on a walk.
    pub const GRANULE: Self = Self(0x28);

    /// The code `raw`, or `None` if it needs more than six bits.
    #[must_use]
    pub const fn new(raw: u8) -> Option<Self> {
        if raw < 1 << 6 { Some(Self(raw)) } else { None }
    }

    /// The code as a number.
    #[must_use]
    pub const fn raw(self) -> u8 {
        self.0
    }

    /// What it says.
    #[must_use]
    pub const fn kind(self) -> FaultKind {
        match self.0 {
            0x00..=0x03 | 0x29 | 0x2c => FaultKind::AddressSize,
            0x04..=0x07 | 0x2a | 0x2b => FaultKind::Translation,
            0x08..=0x0b => FaultKind::AccessFlag,
            0x0c..=0x0f => FaultKind::Permission,
            0x10 | 0x18 => FaultKind::External,
            0x12..=0x17 | 0x1b..=0x1f => FaultKind::ExternalOnWalk,
            0x11 => FaultKind::TagCheck,
            0x21 => FaultKind::Alignment,
            0x22..=0x28 => FaultKind::GranuleProtection,
            0x30 => FaultKind::TlbConflict,
            0x31 => FaultKind::HardwareUpdate,
            0x34 | 0x35 => FaultKind::Unsupported,
            _ => FaultKind::Reserved,
        }
    }

    /// Whether hardware may route it to the SError vector (`IsExternalAbort` in the Arm ARM's pseudocode).
    #[must_use]
    pub const fn is_external(self) -> bool {
        matches!(self.0, 0x10 | 0x12..=0x18 | 0x1b..=0x1f)
    }
}

/// "ISS encoding for an exception from a Data Abort" and "... from an Instruction Abort", of which the latter has only
/// SET, FnV, EA, S1PTW and IFSC.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct AbortIss(u32);

impl AbortIss {
    /// ISV, bit 24: SAS, SSE, SRT, SF and AR are valid.
    pub const ISV: u32 = 1 << 24;
    /// VNCR, bit 13.
    pub const VNCR: u32 = 1 << 13;
    /// SET, bits 12:11.
    pub const SET: u32 = 0b11 << 11;
    /// FnV, bit 10.
    pub const FNV: u32 = 1 << 10;
    /// EA, bit 9.
    pub const EA: u32 = 1 << 9;
    /// CM, bit 8.
    pub const CM: u32 = 1 << 8;
    /// S1PTW, bit 7.
    pub const S1PTW: u32 = 1 << 7;
    /// WnR, bit 6.
    pub const WNR: u32 = 1 << 6;
    /// DFSC or IFSC, bits 5:0.
    pub const FSC: u32 = 0x3f;

    /// The syndrome `iss`.
    #[must_use]
    pub const fn new(iss: u32) -> Self {
        Self(iss)
    }

    /// The syndrome as a number.
    #[must_use]
    pub const fn raw(self) -> u32 {
        self.0
    }

    const fn has(self, bit: u32) -> bool {
        self.0 & bit != 0
    }

    /// ISV: the instruction is described by [`sas`](Self::sas), [`sse`](Self::sse), [`srt`](Self::srt),
    /// [`sf`](Self::sf) and [`ar`](Self::ar), which mean nothing otherwise.
    #[must_use]
    pub const fn isv(self) -> bool {
        self.has(Self::ISV)
    }

    /// SAS, bits 23:22: the size of the access in bytes, 1, 2, 4 or 8.
    #[must_use]
    pub const fn sas(self) -> u8 {
        1 << (self.0 >> 22 & 0b11)
    }

    /// SSE, bit 21: a load sign-extends.
    #[must_use]
    pub const fn sse(self) -> bool {
        self.has(1 << 21)
    }

    /// SRT, bits 20:16: the register that is loaded or stored. 31 is XZR.
    #[must_use]
    pub const fn srt(self) -> u8 {
        (self.0 >> 16) as u8 & 0x1f
    }

    /// SF, bit 15: the register has 64 bits.
    #[must_use]
    pub const fn sf(self) -> bool {
        self.has(1 << 15)
    }

    /// AR, bit 14: with acquire or release.
    #[must_use]
    pub const fn ar(self) -> bool {
        self.has(1 << 14)
    }

    /// VNCR: the access was to the page that VNCR_EL2 names.
    #[must_use]
    pub const fn vncr(self) -> bool {
        self.has(Self::VNCR)
    }

    /// SET: the state of a synchronous External abort that is not on a walk; of another fault these bits are LST.
    #[must_use]
    pub const fn set(self) -> u8 {
        (self.0 >> 11) as u8 & 0b11
    }

    /// FnV: FAR is **not** valid. Only an External abort that is not on a walk says so.
    #[must_use]
    pub const fn fnv(self) -> bool {
        self.has(Self::FNV)
    }

    /// EA: the IMPLEMENTATION DEFINED kind of an External abort.
    #[must_use]
    pub const fn ea(self) -> bool {
        self.has(Self::EA)
    }

    /// CM: cache maintenance, or an address translation instruction.
    #[must_use]
    pub const fn cm(self) -> bool {
        self.has(Self::CM)
    }

    /// S1PTW: a stage-2 fault on a walk of stage 1.
    #[must_use]
    pub const fn s1ptw(self) -> bool {
        self.has(Self::S1PTW)
    }

    /// WnR: a write, or one by cache maintenance or address translation.
    #[must_use]
    pub const fn wnr(self) -> bool {
        self.has(Self::WNR)
    }

    /// DFSC or IFSC.
    #[must_use]
    pub const fn fsc(self) -> FaultStatus {
        FaultStatus((self.0 & Self::FSC) as u8)
    }

    /// Whether HPFAR_EL2 holds the IPA. It does for a fault on a stage-1 walk, and for translation, access flag and
    /// address size faults; a stage-2 permission fault leaves it UNKNOWN (HPFAR_EL2, description of FIPA).
    #[must_use]
    pub const fn hpfar_valid(self) -> bool {
        match self.fsc().0 {
            0x00..=0x0b | 0x29..=0x2c => true,
            0x0c..=0x0f => self.s1ptw(),
            _ => false,
        }
    }
}

/// The value of HPFAR_EL2.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Hpfar(u64);

impl Hpfar {
    /// FIPA, bits 43:4, holds bits 51:12 of the IPA.
    const FIPA: u64 = ((1 << 44) - 1) & !0xf;

    /// The register's value.
    #[must_use]
    pub const fn new(raw: u64) -> Self {
        Self(raw)
    }

    /// The page that the fault is about.
    #[must_use]
    pub fn page(self) -> Ipa {
        // 52 bits at most, so it always is an address.
        Ipa::checked((self.0 & Self::FIPA) << 8).unwrap_or(Ipa::new(0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::vec::Vec;

    #[test]
    fn a_byte_store_decodes() {
        // `strb w7, [x1]` on a page without a stage-2 translation at level 3: ESR_EL2 0x9307_0047.
        let iss = AbortIss::new(0x9307_0047 & 0x1ff_ffff);
        assert!(iss.isv() && !iss.sse() && !iss.sf() && !iss.ar() && !iss.fnv() && !iss.cm() && !iss.s1ptw());
        assert_eq!((iss.sas(), iss.srt(), iss.wnr()), (1, 7, true));
        assert_eq!(iss.fsc(), FaultStatus::TRANSLATION_L3);
        assert!(iss.hpfar_valid());
    }

    #[test]
    fn a_sign_extending_acquiring_load_decodes() {
        let iss = AbortIss::new(1 << 24 | 2 << 22 | 1 << 21 | 30 << 16 | 1 << 15 | 1 << 14 | 0x06);
        assert!(iss.isv() && iss.sse() && iss.sf() && iss.ar() && !iss.wnr());
        assert_eq!((iss.sas(), iss.srt()), (4, 30));
        assert_eq!(AbortIss::new(3 << 22).sas(), 8);
    }

    #[test]
    fn single_bits_are_where_the_manual_has_them() {
        let none = AbortIss::new(0);
        assert!(!none.vncr() && !none.ea() && !none.isv());
        assert!(AbortIss::new(1 << 13).vncr());
        assert_eq!(AbortIss::new(0b10 << 11).set(), 0b10);
        assert!(AbortIss::new(1 << 10).fnv());
        assert!(AbortIss::new(1 << 9).ea());
        assert!(AbortIss::new(1 << 8).cm());
        assert!(AbortIss::new(1 << 7).s1ptw());
        assert!(AbortIss::new(1 << 6).wnr());
    }

    #[test]
    fn hpfar_is_trusted_only_where_it_is_written() {
        assert!(!AbortIss::new(0x0f).hpfar_valid());
        assert!(AbortIss::new(0x0f | AbortIss::S1PTW).hpfar_valid());
        for fsc in 0..64 {
            let iss = AbortIss::new(fsc);
            let written = matches!(
                iss.fsc().kind(),
                FaultKind::Translation | FaultKind::AccessFlag | FaultKind::AddressSize
            );
            assert_eq!(iss.hpfar_valid(), written, "{fsc:#x}");
        }
    }

    #[test]
    fn the_ipa_is_bits_43_to_4_shifted() {
        assert_eq!(Hpfar::new(0x0040_1230).page(), Ipa::new(0x4012_3000));
        // NS (bit 63) and reserved bits do not leak into the address.
        assert_eq!(Hpfar::new(u64::MAX).page(), Ipa::new(0x000f_ffff_ffff_f000));
    }

    #[test]
    fn every_code_has_a_kind_and_seven_bits_have_none() {
        assert_eq!(FaultStatus::new(0x40), None);
        let reserved: Vec<u8> = (0..64)
            .filter(|c| FaultStatus(*c).kind() == FaultKind::Reserved)
            .collect();
        assert_eq!(
            reserved,
            [
                0x19, 0x1a, 0x20, 0x2d, 0x2e, 0x2f, 0x32, 0x33, 0x36, 0x37, 0x38, 0x39, 0x3a, 0x3b, 0x3c, 0x3d, 0x3e,
                0x3f
            ]
        );
        let external: Vec<u8> = (0..64).filter(|c| FaultStatus(*c).is_external()).collect();
        assert_eq!(
            external,
            [
                0x10, 0x12, 0x13, 0x14, 0x15, 0x16, 0x17, 0x18, 0x1b, 0x1c, 0x1d, 0x1e, 0x1f
            ]
        );
    }
}
