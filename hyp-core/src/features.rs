//! What a CPU has, as far as EL2 must know. The boot reads it from the ID registers (Arm ARM D24.2).

use crate::fault::EntryFeatures;

/// The features that EL2 must know of, to keep or to open what they bring.
#[derive(Clone, Copy, Debug, Default)]
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
