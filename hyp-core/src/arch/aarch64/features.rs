//! What this CPU has, read from its ID registers (Arm ARM D24.2).

use super::sysreg::{field, read};
use crate::features::Features;

impl Features {
    /// Reads the calling CPU's.
    pub fn read() -> Self {
        let pfr0 = read!("id_aa64pfr0_el1");
        let pfr1 = read!("id_aa64pfr1_el1");
        let isar1 = read!("id_aa64isar1_el1");
        // By encoding where assemblers may not know the name: ID_AA64ISAR2_EL1, ID_AA64MMFR3_EL1.
        let isar2 = read!("s3_0_c0_c6_2");
        let mmfr0 = read!("id_aa64mmfr0_el1");
        let mmfr1 = read!("id_aa64mmfr1_el1");
        let mmfr2 = read!("id_aa64mmfr2_el1");
        let mmfr3 = read!("s3_0_c0_c7_3");
        let dfr0 = read!("id_aa64dfr0_el1");
        // ID_AA64PFR2_EL1.
        let pfr2 = read!("s3_0_c0_c4_2");
        let range = field(mmfr0, 0, 4).min(0b101);
        Self {
            physical_bits: match range {
                0 => 32,
                1 => 36,
                2 => 40,
                3 => 42,
                4 => 44,
                _ => 48,
            },
            physical_range: range,
            bbm_level: field(mmfr2, 52, 4) as u8,
            // APA, API, GPA, GPI and their QARMA3 twins in ISAR2.
            pauth: field(isar1, 4, 8) != 0 || field(isar1, 24, 8) != 0 || field(isar2, 8, 8) != 0,
            sve: field(pfr0, 32, 4) != 0,
            sme: field(pfr1, 24, 4) != 0,
            mte: field(pfr1, 8, 4) >= 2,
            tco: field(pfr1, 8, 4) != 0,
            // ID_AA64DFR1_EL1.EBEP.
            ebep: field(read!("id_aa64dfr1_el1"), 48, 4) != 0,
            hcx: field(mmfr1, 40, 4) != 0,
            fgt: field(mmfr0, 56, 4) as u8,
            tcr2: field(mmfr3, 0, 4) != 0,
            sctlr2: field(mmfr3, 4, 4) != 0,
            pmu: !matches!(field(dfr0, 8, 4), 0 | 0xf),
            spe: field(dfr0, 32, 4) != 0,
            trbe: field(dfr0, 44, 4) != 0,
            ras: field(pfr0, 28, 4) != 0,
            scxtnum: field(pfr0, 56, 4) >= 2 || (field(pfr0, 56, 4) == 1 && field(pfr1, 32, 4) >= 1),
            gic_sysregs: field(pfr0, 24, 4) != 0,
            pan: field(mmfr1, 20, 4) != 0,
            ssbs: field(pfr1, 4, 4) != 0,
            dit: field(pfr0, 48, 4) != 0,
            nmi: field(pfr1, 36, 4) != 0,
            mops: field(isar2, 16, 4) != 0,
            gcs: field(pfr1, 44, 4) != 0,
            d128: field(mmfr3, 32, 4) != 0,
            fpmr: field(pfr2, 32, 4) != 0,
            ls64: field(isar1, 60, 4) != 0,
            mpam: field(pfr0, 40, 4) != 0 || field(pfr1, 16, 4) != 0,
            vhe: field(mmfr1, 8, 4) != 0,
            brbe: field(dfr0, 52, 4) != 0,
            trf: field(dfr0, 40, 4) != 0,
        }
    }
}
