//! What this CPU has, read from its ID registers (Arm ARM D24.2).

use super::sysreg::{field, read};
use crate::fault::EntryFeatures;

/// The features that EL2 must know of, to keep or to open what they bring.
#[derive(Clone, Copy, Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Features {
    /// Bits of a physical address (ID_AA64MMFR0_EL1.PARange), at most 48: EL2's tables have no LPA2.
    pub physical_bits: u8,
    /// ID_AA64MMFR0_EL1.PARange as TCR_EL2.PS and VTCR_EL2.PS want it, at most 0b101.
    pub physical_range: u64,
    /// ID_AA64MMFR2_EL1.BBM.
    pub bbm_level: u8,
    /// Pointer authentication in any form.
    pub pauth: bool,
    /// Scalable vectors.
    pub sve: bool,
    /// Scalable matrices.
    pub sme: bool,
    /// Memory tagging with allocation tags in memory (FEAT_MTE2).
    pub mte: bool,
    /// PSTATE.TCO (FEAT_MTE, with or without tags in memory).
    pub tco: bool,
    /// Exception-based event profiling: PSTATE.PM.
    pub ebep: bool,
    /// HCRX_EL2.
    pub hcx: bool,
    /// Fine-grained traps: 0 none, 1 FEAT_FGT, 2 FEAT_FGT2.
    pub fgt: u8,
    /// TCR2_EL1.
    pub tcr2: bool,
    /// SCTLR2_EL1.
    pub sctlr2: bool,
    /// PMUv3.
    pub pmu: bool,
    /// Statistical profiling.
    pub spe: bool,
    /// Trace buffer.
    pub trbe: bool,
    /// RAS extension (ERR* registers, DISR_EL1).
    pub ras: bool,
    /// SCXTNUM_ELx.
    pub scxtnum: bool,
    /// The GIC CPU interface in system registers.
    pub gic_sysregs: bool,
    /// Privileged access never.
    pub pan: bool,
    /// Speculative store bypass safe.
    pub ssbs: bool,
    /// Data independent timing.
    pub dit: bool,
    /// Non-maskable interrupts.
    pub nmi: bool,
    /// Memory copy and set instructions.
    pub mops: bool,
    /// Guarded control stack.
    pub gcs: bool,
    /// 128-bit descriptors.
    pub d128: bool,
    /// FPMR.
    pub fpmr: bool,
    /// 64-byte loads and stores.
    pub ls64: bool,
    /// Memory partitioning and monitoring.
    pub mpam: bool,
    /// Virtualization host extensions.
    pub vhe: bool,
    /// Branch records.
    pub brbe: bool,
    /// Filters of a trace unit: TRFCR_EL2.
    pub trf: bool,
}

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

impl Features {
    /// What exception entry to EL1 depends on.
    pub const fn entry(&self) -> EntryFeatures {
        EntryFeatures {
            pan: self.pan,
            ssbs: self.ssbs,
            dit: self.dit,
            mte: self.tco,
            nmi: self.nmi,
            ebep: self.ebep,
            extras: self.sctlr2 || self.gcs,
        }
    }
}
