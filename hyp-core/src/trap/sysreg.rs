//! Trapped system registers and system instructions.

/// A system register or instruction by its encoding: op0, op1, CRn, CRm, op2.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct SysReg(u32);

impl SysReg {
    const MASK: u32 = 0x3f_fc1e;

    /// The register `S<op0>_<op1>_C<crn>_C<crm>_<op2>`.
    ///
    /// # Panics
    /// When a number is too wide for its field; in a constant, at build time.
    #[must_use]
    pub const fn new(op0: u8, op1: u8, crn: u8, crm: u8, op2: u8) -> Self {
        assert!(
            op0 < 4 && op1 < 8 && crn < 16 && crm < 16 && op2 < 8,
            "no such register"
        );
        Self((op0 as u32) << 20 | (op2 as u32) << 17 | (op1 as u32) << 14 | (crn as u32) << 10 | (crm as u32) << 1)
    }

    /// Op0, bits 21:20: 0b01 for system instructions, 0b11 for registers.
    #[must_use]
    pub const fn op0(self) -> u8 {
        (self.0 >> 20) as u8 & 0b11
    }

    /// Op1, bits 16:14.
    #[must_use]
    pub const fn op1(self) -> u8 {
        (self.0 >> 14) as u8 & 0b111
    }

    /// CRn, bits 13:10.
    #[must_use]
    pub const fn crn(self) -> u8 {
        (self.0 >> 10) as u8 & 0b1111
    }

    /// CRm, bits 4:1.
    #[must_use]
    pub const fn crm(self) -> u8 {
        (self.0 >> 1) as u8 & 0b1111
    }

    /// Op2, bits 19:17.
    #[must_use]
    pub const fn op2(self) -> u8 {
        (self.0 >> 17) as u8 & 0b111
    }
}

/// "ISS encoding for an exception from MSR, MRS, or System instruction execution in AArch64 state".
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct SysRegIss(u32);

impl SysRegIss {
    /// The syndrome `iss`.
    #[must_use]
    pub const fn new(iss: u32) -> Self {
        Self(iss)
    }

    /// Which register or instruction it was.
    #[must_use]
    pub const fn register(self) -> SysReg {
        SysReg(self.0 & SysReg::MASK)
    }

    /// Rt, bits 9:5: the general-purpose register. 31 is XZR.
    #[must_use]
    pub const fn rt(self) -> u8 {
        (self.0 >> 5) as u8 & 0x1f
    }

    /// Direction, bit 0: a read (MRS).
    #[must_use]
    pub const fn is_read(self) -> bool {
        self.0 & 1 != 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_write_of_icc_sgi1r_el1_is_recognised() {
        // ESR_EL2 of `msr S3_0_C12_C11_5, x3`.
        let iss = SysRegIss::new(0x3a_3076);
        assert_eq!(iss.register(), SysReg::new(3, 0, 12, 11, 5));
        assert_eq!((iss.rt(), iss.is_read()), (3, false));
    }

    proptest! {
        #[test]
        fn encodings_round_trip(op0 in 0..4u8, op1 in 0..8u8, crn in 0..16u8, crm in 0..16u8, op2 in 0..8u8) {
            let r = SysReg::new(op0, op1, crn, crm, op2);
            prop_assert_eq!((r.op0(), r.op1(), r.crn(), r.crm(), r.op2()), (op0, op1, crn, crm, op2));
        }

        #[test]
        fn neither_rt_nor_direction_is_part_of_the_name(iss in 0..1u32 << 22) {
            let seen = SysRegIss::new(iss).register();
            prop_assert_eq!(seen, SysRegIss::new(iss ^ 0x3e1).register());
        }
    }
}
