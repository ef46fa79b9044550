//! ID registers as a VM sees them, where they trap.

use super::sysreg::read;

/// ID_AA64PFR0_EL1 fields that a guest sees: EL0, EL1, FP, AdvSIMD, CSV2 and CSV3. No EL2, EL3, GIC, RAS, SVE, MPAM, AMU.
const GUEST_PFR0: u64 = 0x00ff | 0xff << 16 | 0xff << 56;
/// ID_AA64PFR1_EL1: BT, SSBS.
const GUEST_PFR1: u64 = 0xff;
/// ID_AA64ISAR1_EL1: all but pointer authentication (APA, API, GPA, GPI) and LS64.
const GUEST_ISAR1: u64 = !(0xff << 4 | 0xff << 24 | 0xf << 60);
/// ID_AA64ISAR2_EL1: all but GPA3, APA3, MOPS and PAC_frac.
const GUEST_ISAR2: u64 = !(0xff << 8 | 0xf << 16 | 0xf << 24);
/// ID_AA64MMFR0_EL1: all but ECV and FGT.
const GUEST_MMFR0: u64 = !(0xff << 56);
/// ID_AA64MMFR1_EL1: all but VH, LO, HCX.
const GUEST_MMFR1: u64 = !(0xf << 8 | 0xf << 16 | 0xf << 40);
/// ID_AA64MMFR2_EL1: all but NV and EVT.
const GUEST_MMFR2: u64 = !(0xf << 24 | 0xf << 56);
/// ID_AA64DFR0_EL1: DebugVer as it must be, no counters, buffers or traces.
const GUEST_DFR0: u64 = 0xf;
/// ID_AA64PFR1_EL1.MTE.
const PFR1_MTE: u64 = 0xf << 8;

/// What the ID registers of one CPU say. Only those with content are kept: the rest of the space reads as zero.
#[derive(Clone, Copy, Debug, Default)]
pub struct IdRegisters {
    pfr0: u64,
    pfr1: u64,
    dfr0: u64,
    dfr1: u64,
    isar0: u64,
    isar1: u64,
    isar2: u64,
    mmfr0: u64,
    mmfr1: u64,
    mmfr2: u64,
    mmfr3: u64,
    mmfr4: u64,
    pfr2: u64,
    zfr0: u64,
    smfr0: u64,
}

impl IdRegisters {
    /// Reads the calling CPU's.
    pub fn read() -> Self {
        Self {
            pfr0: read!("id_aa64pfr0_el1"),
            pfr1: read!("id_aa64pfr1_el1"),
            pfr2: read!("s3_0_c0_c4_2"),
            zfr0: read!("s3_0_c0_c4_4"),
            smfr0: read!("s3_0_c0_c4_5"),
            dfr0: read!("id_aa64dfr0_el1"),
            dfr1: read!("id_aa64dfr1_el1"),
            isar0: read!("id_aa64isar0_el1"),
            isar1: read!("id_aa64isar1_el1"),
            isar2: read!("s3_0_c0_c6_2"),
            mmfr0: read!("id_aa64mmfr0_el1"),
            mmfr1: read!("id_aa64mmfr1_el1"),
            mmfr2: read!("id_aa64mmfr2_el1"),
            mmfr3: read!("s3_0_c0_c7_3"),
            mmfr4: read!("s3_0_c0_c7_4"),
        }
    }

    /// What a guest reads from S3_0_C0_C`crm`_`op2`.
    pub fn guest(&self, crm: u8, op2: u8) -> u64 {
        match (crm, op2) {
            (4, 0) => self.pfr0 & GUEST_PFR0,
            (4, 1) => self.pfr1 & GUEST_PFR1,
            (5, 0) => self.dfr0 & GUEST_DFR0,
            (6, 0) => self.isar0,
            (6, 1) => self.isar1 & GUEST_ISAR1,
            (6, 2) => self.isar2 & GUEST_ISAR2,
            (7, 0) => self.mmfr0 & GUEST_MMFR0,
            (7, 1) => self.mmfr1 & GUEST_MMFR1,
            (7, 2) => self.mmfr2 & GUEST_MMFR2,
            _ => 0,
        }
    }

    /// What the host reads, where its ID registers trap to hide memory tags.
    ///
    /// AArch32's registers (CRm 1 to 3) read as zero: no AArch64 kernel needs them but to report.
    pub fn host(&self, crm: u8, op2: u8) -> u64 {
        match (crm, op2) {
            (4, 0) => self.pfr0,
            (4, 1) => self.pfr1 & !PFR1_MTE,
            (4, 2) => self.pfr2,
            (4, 4) => self.zfr0,
            (4, 5) => self.smfr0,
            (5, 0) => self.dfr0,
            (5, 1) => self.dfr1,
            (6, 0) => self.isar0,
            (6, 1) => self.isar1,
            (6, 2) => self.isar2,
            (7, 0) => self.mmfr0,
            (7, 1) => self.mmfr1,
            (7, 2) => self.mmfr2,
            (7, 3) => self.mmfr3,
            (7, 4) => self.mmfr4,
            _ => 0,
        }
    }
}
