//! The exception class, and the classes that have little syndrome.

use super::abort::AbortIss;
use super::sysreg::SysRegIss;

/// The value of ESR_EL2 (or ESR_EL1, which has the same form).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Esr(u64);

impl Esr {
    /// EC: WFI, WFE, WFIT or WFET.
    pub const EC_WFX: u8 = 0x01;
    /// EC: SVE, Advanced SIMD or floating point, by CPTR_EL2 or CPACR_EL1.
    pub const EC_FP_SIMD: u8 = 0x07;
    /// EC: pointer authentication.
    pub const EC_PAUTH: u8 = 0x09;
    /// EC: HVC in AArch64 state.
    pub const EC_HVC64: u8 = 0x16;
    /// EC: SMC in AArch64 state.
    pub const EC_SMC64: u8 = 0x17;
    /// EC: MSR, MRS or a system instruction in AArch64 state.
    pub const EC_SYSREG: u8 = 0x18;
    /// EC: SVE, by CPTR_EL2.ZEN or TZ.
    pub const EC_SVE: u8 = 0x19;
    /// EC: SME.
    pub const EC_SME: u8 = 0x1d;
    /// EC: Instruction Abort from a lower Exception level.
    pub const EC_INSTRUCTION_ABORT_LOWER: u8 = 0x20;
    /// EC: Instruction Abort from the current Exception level.
    pub const EC_INSTRUCTION_ABORT_CURRENT: u8 = 0x21;
    /// EC: Data Abort from a lower Exception level.
    pub const EC_DATA_ABORT_LOWER: u8 = 0x24;
    /// EC: Data Abort from the current Exception level.
    pub const EC_DATA_ABORT_CURRENT: u8 = 0x25;

    /// EC, bits 31:26.
    pub const EC_SHIFT: u32 = 26;
    /// IL, bit 25.
    pub const IL: u64 = 1 << 25;
    /// ISS, bits 24:0.
    pub const ISS_MASK: u64 = (1 << 25) - 1;

    /// The register's value.
    #[must_use]
    pub const fn new(raw: u64) -> Self {
        Self(raw)
    }

    /// The value as a number.
    #[must_use]
    pub const fn raw(self) -> u64 {
        self.0
    }

    /// EC: why the exception was taken.
    #[must_use]
    pub const fn ec(self) -> u8 {
        (self.0 >> Self::EC_SHIFT) as u8 & 0x3f
    }

    /// IL: the instruction has 32 bits, or the class always says so.
    #[must_use]
    pub const fn il(self) -> bool {
        self.0 & Self::IL != 0
    }

    /// ISS, bits 24:0.
    #[must_use]
    pub const fn iss(self) -> u32 {
        (self.0 & Self::ISS_MASK) as u32
    }

    /// ISS2, bits 55:32.
    #[must_use]
    pub const fn iss2(self) -> u32 {
        (self.0 >> 32) as u32 & 0xff_ffff
    }

    /// The same value with another exception class.
    #[must_use]
    pub const fn with_ec(self, ec: u8) -> Self {
        Self(self.0 & !(0x3f << Self::EC_SHIFT) | (ec as u64 & 0x3f) << Self::EC_SHIFT)
    }

    /// The syndrome of an abort that a lower Exception level has caused, and whether it was one of an instruction fetch:
    /// what [`trap`](Self::trap) says, for who asks often.
    #[must_use]
    #[inline(always)]
    pub const fn abort_from_below(self) -> Option<(AbortIss, bool)> {
        const DATA: u8 = Esr::EC_DATA_ABORT_LOWER ^ Esr::EC_INSTRUCTION_ABORT_LOWER;
        const { assert!(DATA.is_power_of_two() && Self::EC_DATA_ABORT_LOWER & DATA != 0) };
        if self.ec() & !DATA == Self::EC_INSTRUCTION_ABORT_LOWER {
            Some((AbortIss::new(self.iss()), self.ec() & DATA == 0))
        } else {
            None
        }
    }

    /// Whether it is an abort from below for what stage 2 does not map: a translation fault at level 0 to 3.
    #[must_use]
    #[inline(always)]
    pub const fn is_unmapped_from_below(self) -> bool {
        // Both ECs, all levels.
        const EITHER: u64 =
            ((Esr::EC_DATA_ABORT_LOWER ^ Esr::EC_INSTRUCTION_ABORT_LOWER) as u64) << Esr::EC_SHIFT | 0b11;
        const MASK: u64 = (0x3f << Esr::EC_SHIFT | 0x3f) & !EITHER;
        const WANTED: u64 = (Esr::EC_INSTRUCTION_ABORT_LOWER as u64) << Esr::EC_SHIFT | 0x04;
        self.0 & MASK == WANTED
    }

    /// Whether it is a software step of a lower Exception level's (Arm ARM, ESR_EL2, EC 0x32).
    #[must_use]
    pub const fn is_step_from_below(self) -> bool {
        self.ec() == 0x32
    }

    /// What the lower Exception level did.
    #[must_use]
    pub const fn trap(self) -> Trap {
        match self.ec() {
            Self::EC_WFX => Trap::Wfx(WfxIss(self.iss())),
            Self::EC_FP_SIMD => Trap::FpSimd,
            Self::EC_PAUTH => Trap::PointerAuthentication,
            Self::EC_HVC64 => Trap::Hvc(self.iss() as u16),
            Self::EC_SMC64 => Trap::Smc(self.iss() as u16),
            Self::EC_SYSREG => Trap::SysReg(SysRegIss::new(self.iss())),
            Self::EC_SVE => Trap::Sve,
            Self::EC_SME => Trap::Sme,
            Self::EC_INSTRUCTION_ABORT_LOWER => Trap::InstructionAbort(AbortIss::new(self.iss())),
            Self::EC_DATA_ABORT_LOWER => Trap::DataAbort(AbortIss::new(self.iss())),
            ec => Trap::Other(ec),
        }
    }
}

/// A synchronous exception that came to EL2 from below.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Trap {
    /// It waits for an interrupt or an event.
    Wfx(WfxIss),
    /// It used Advanced SIMD, floating point or SVE registers (EC 0x07).
    FpSimd,
    /// It used SVE (EC 0x19).
    Sve,
    /// It used SME (EC 0x1d).
    Sme,
    /// It used pointer authentication.
    PointerAuthentication,
    /// A hypercall, with its immediate. ELR_EL2 is behind the instruction.
    Hvc(u16),
    /// A secure monitor call, with its immediate. ELR_EL2 is **at** the instruction.
    Smc(u16),
    /// It accessed a system register or executed a system instruction.
    SysReg(SysRegIss),
    /// It could not fetch.
    InstructionAbort(AbortIss),
    /// It could not read or write.
    DataAbort(AbortIss),
    /// Another exception class: its EC.
    Other(u8),
}

/// "ISS encoding for an exception from a WF* instruction".
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct WfxIss(u32);

/// TI, bits 1:0: which instruction it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum WaitKind {
    /// WFI.
    Wfi,
    /// WFE.
    Wfe,
    /// WFIT.
    Wfit,
    /// WFET.
    Wfet,
}

impl WfxIss {
    /// TI: the instruction.
    #[must_use]
    pub const fn ti(self) -> WaitKind {
        match self.0 & 0b11 {
            0b00 => WaitKind::Wfi,
            0b01 => WaitKind::Wfe,
            0b10 => WaitKind::Wfit,
            _ => WaitKind::Wfet,
        }
    }

    /// RN, bits 9:5, where RV (bit 2) says that it is valid: the register that holds the time-out.
    #[must_use]
    pub const fn rn(self) -> Option<u8> {
        if self.0 & 1 << 2 != 0 {
            Some((self.0 >> 5) as u8 & 0x1f)
        } else {
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trap::SysReg;

    #[test]
    fn whole_values_decode() {
        // EC << 26 | IL | ISS, put together by hand; the FP and WFI ones carry CV and COND = 0b1110 as AArch64 does.
        assert_eq!(Esr::new(0x5a00_0000).trap(), Trap::Hvc(0));
        assert_eq!(Esr::new(0x5a00_4a48).trap(), Trap::Hvc(0x4a48));
        assert_eq!(Esr::new(0x5e00_0000).trap(), Trap::Smc(0));
        let Trap::Wfx(wfx) = Esr::new(0x07e0_0000).trap() else {
            panic!()
        };
        assert_eq!((wfx.ti(), wfx.rn()), (WaitKind::Wfi, None));
        let Trap::SysReg(read) = Esr::new(0x6230_0009).trap() else {
            panic!()
        };
        // ID_AA64PFR0_EL1 is S3_0_C0_C4_0.
        assert_eq!((read.register(), read.is_read()), (SysReg::new(3, 0, 0, 4, 0), true));
        assert_eq!(Esr::new(0x1fe0_0000).trap(), Trap::FpSimd);
        assert_eq!(Esr::new(0x6600_0000).trap(), Trap::Sve);
        assert_eq!(Esr::new(0x7600_0001).trap(), Trap::Sme);
        assert_eq!(Esr::new(0x0200_0000).trap(), Trap::Other(0));
    }

    #[test]
    fn aborts_of_the_current_level_are_not_taken_for_traps_from_below() {
        for ec in [Esr::EC_INSTRUCTION_ABORT_CURRENT, Esr::EC_DATA_ABORT_CURRENT] {
            assert_eq!(Esr::new(0).with_ec(ec).trap(), Trap::Other(ec));
        }
    }

    #[test]
    fn aborts_are_told_in_two_ways() {
        for ec in 0..64 {
            let esr = Esr::new(0x47).with_ec(ec);
            let abort = match esr.trap() {
                Trap::DataAbort(iss) => Some((iss, false)),
                Trap::InstructionAbort(iss) => Some((iss, true)),
                _ => None,
            };
            assert_eq!(esr.abort_from_below(), abort, "{ec:#x}");
            for status in 0..64 {
                let esr = Esr::new(0xff_ffff << 32 | 0x1ff_ffc0 | status).with_ec(ec);
                let unmapped = abort.is_some() && (4..8).contains(&status);
                assert_eq!(esr.is_unmapped_from_below(), unmapped, "{ec:#x} {status:#x}");
            }
        }
    }

    #[test]
    fn the_time_out_register_counts_only_where_it_is_valid() {
        let wfet = WfxIss(0b11 | 1 << 2 | 17 << 5);
        assert_eq!((wfet.ti(), wfet.rn()), (WaitKind::Wfet, Some(17)));
        assert_eq!(WfxIss(0b11 | 17 << 5).rn(), None);
    }

    #[test]
    fn fields_of_the_register_are_apart() {
        let esr = Esr::new(0x00ab_cdef_93c0_8007);
        assert_eq!(
            (esr.ec(), esr.il(), esr.iss(), esr.iss2()),
            (0x24, true, 0x1c0_8007, 0xab_cdef)
        );
        assert_eq!(esr.with_ec(0x25).raw(), 0x00ab_cdef_97c0_8007);
    }
}
