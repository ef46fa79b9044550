//! An exception, taken to EL1 as hardware would take it.
//!
//! EL2 is between the instruction and the handler: it has to leave EL1's registers and PSTATE exactly as
//! `AArch64.TakeException` of the Arm ARM (DDI 0487 L.a, J1.1.2) does for target EL1, with HCR_EL2.{RW, TGE, NV} =
//! {1, 0, 0} as for every VM here. Pure function of the state that the trap left; writing the registers is for `arch`.

use crate::trap::{Esr, FaultStatus};

/// The Exception level, register width and stack pointer that an exception came from (SPSR.M\[4:0\]).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Mode {
    /// EL0 in AArch64 state.
    El0,
    /// EL0 in AArch32 state.
    El0Aarch32,
    /// EL1 with SP_EL0.
    El1t,
    /// EL1 with SP_EL1.
    El1h,
}

impl Mode {
    /// The mode in `spsr`. EL1 is AArch64 for every VM, so any AArch32 mode is EL0's.
    #[must_use]
    pub const fn of(spsr: u64) -> Self {
        if spsr & 1 << 4 != 0 {
            Self::El0Aarch32
        } else if spsr & 0b1100 == 0 {
            Self::El0
        } else if spsr & 1 == 0 {
            Self::El1t
        } else {
            Self::El1h
        }
    }

    /// Whether this is EL0.
    #[must_use]
    pub const fn is_el0(self) -> bool {
        matches!(self, Self::El0 | Self::El0Aarch32)
    }

    /// Where in the vector table its synchronous exceptions go (Arm ARM, Table D1-7).
    const fn vector(self) -> u64 {
        match self {
            Self::El1t => 0x000,
            Self::El1h => 0x200,
            Self::El0 => 0x400,
            Self::El0Aarch32 => 0x600,
        }
    }
}

/// Features of the CPU, as the VM sees them, that change how exceptions are taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct EntryFeatures {
    /// FEAT_PAN.
    pub pan: bool,
    /// FEAT_SSBS.
    pub ssbs: bool,
    /// FEAT_DIT.
    pub dit: bool,
    /// FEAT_MTE: PSTATE.TCO exists.
    pub mte: bool,
    /// FEAT_NMI: PSTATE.ALLINT exists.
    pub nmi: bool,
    /// FEAT_EBEP: PSTATE.PM exists.
    pub ebep: bool,
    /// FEAT_SCTLR2 or FEAT_GCS: [`Extras`] exist.
    pub extras: bool,
}

impl EntryFeatures {
    /// A CPU of Armv8.0.
    pub const NONE: Self = Self {
        pan: false,
        ssbs: false,
        dit: false,
        mte: false,
        nmi: false,
        ebep: false,
        extras: false,
    };
}

/// What becomes of PSTATE on entry to EL1, worked out once for a CPU's features: delivery is to cost little.
///
/// What is neither kept nor set is clear in the handler: nRW, SS, IL, BTYPE, UAO, PPEND, PACM, and of AArch32 Q, IT, GE,
/// E and T.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct EntryRules {
    kept: u64,
    set: u64,
    /// Set unless SCTLR_EL1.SPAN.
    pan: u64,
    /// Set if SCTLR_EL1.DSSBS.
    ssbs: u64,
    /// Set unless SCTLR_EL1.SPINTMASK.
    allint: u64,
    extras: bool,
    /// ESR_EL1 bits of a syndrome that is not the architecture's.
    new_syndrome: u64,
}

impl EntryRules {
    /// The rules for a CPU with `features`.
    #[must_use]
    pub const fn new(features: EntryFeatures) -> Self {
        const fn only_if(has: bool, bit: u64) -> u64 {
            if has { bit } else { 0 }
        }
        let pan = only_if(features.pan, pstate::PAN);
        Self {
            // N, Z, C, V, DIT and PAN have the same place in the SPSR of an AArch32 EL0.
            kept: pstate::N_Z_C_V | only_if(features.dit, pstate::DIT) | pan,
            set: pstate::EL1H
                | pstate::D_A_I_F
                | only_if(features.mte, pstate::TCO)
                | only_if(features.ebep, pstate::PM),
            pan,
            ssbs: only_if(features.ssbs, pstate::SSBS),
            allint: only_if(features.nmi, pstate::ALLINT),
            extras: features.extras,
            new_syndrome: 0,
        }
    }

    /// The same, with the bits of ESR_EL1 (ISS2 and DFSC) by which a board's `new-syndrome` is known.
    #[must_use]
    pub const fn with_new_syndrome(self, bits: u64) -> Self {
        Self {
            new_syndrome: bits,
            ..self
        }
    }

    /// Those bits.
    #[must_use]
    pub const fn new_syndrome(&self) -> u64 {
        self.new_syndrome
    }

    /// Whether the CPU has [`Extras`].
    #[must_use]
    #[inline(always)]
    pub const fn has_extras(&self) -> bool {
        self.extras
    }

    /// PSTATE in a handler at EL1 that is entered from `origin` as if by an exception.
    #[must_use]
    pub const fn handler_pstate(&self, origin: &OriginState) -> u64 {
        self.pstate(origin, Mode::of(origin.spsr))
    }

    /// PSTATE in the handler.
    #[inline(always)]
    const fn pstate(&self, origin: &OriginState, mode: Mode) -> u64 {
        // Each bit of SCTLR_EL1 is brought to where the bit is that it decides about.
        let pan = self.pan & !(origin.sctlr >> (SCTLR_SPAN - pstate::PAN.trailing_zeros()));
        let ssbs = self.ssbs & origin.sctlr >> (SCTLR_DSSBS - pstate::SSBS.trailing_zeros());
        let allint = self.allint & !(origin.sctlr >> (SCTLR_SPINTMASK - pstate::ALLINT.trailing_zeros()));
        let exlock = match &origin.extras {
            Some(extras) if !mode.is_el0() && extras.gcscr & GCSCR_EXLOCKEN != 0 => pstate::EXLOCK,
            _ => 0,
        };
        origin.spsr & self.kept | self.set | pan | ssbs | allint | exlock
    }
}

/// The state that a trap to EL2 left behind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct OriginState {
    /// SPSR_EL2.
    pub spsr: u64,
    /// ELR_EL2: the instruction that faulted.
    pub elr: u64,
    /// VBAR_EL1.
    pub vbar: u64,
    /// SCTLR_EL1.
    pub sctlr: u64,
    /// What newer CPUs add; `None` counts as zeroes.
    pub extras: Option<Extras>,
}

/// Registers of newer CPUs that change how exceptions are taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Extras {
    /// SCTLR2_EL1; zero without FEAT_SCTLR2, or when HCRX_EL2.SCTLR2En keeps it from the VM.
    pub sctlr2: u64,
    /// GCSCR_EL1; zero without FEAT_GCS, or when it is kept from the VM.
    pub gcscr: u64,
}

/// What an exception says about its cause.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Syndrome {
    /// For ESR_EL1.
    pub esr: Esr,
    /// For FAR_EL1.
    pub far: u64,
    /// The fault status code that `esr` has: SCTLR2_EL1.EASE may send External aborts to the SError vector.
    pub status: FaultStatus,
}

/// What to write, and where the VM goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Exception {
    /// For ESR_EL1.
    pub esr_el1: u64,
    /// For FAR_EL1.
    pub far_el1: u64,
    /// For ELR_EL1.
    pub elr_el1: u64,
    /// For SPSR_EL1.
    pub spsr_el1: u64,
    /// For ELR_EL2: the vector.
    pub pc: u64,
    /// For SPSR_EL2: PSTATE in the handler.
    pub pstate: u64,
}

/// SCTLR_EL1.SPAN, bit 23: PSTATE.PAN is left alone on entry.
const SCTLR_SPAN: u32 = 23;
/// SCTLR_EL1.DSSBS, bit 44: PSTATE.SSBS on entry.
const SCTLR_DSSBS: u32 = 44;
/// SCTLR_EL1.SPINTMASK, bit 62: PSTATE.ALLINT is clear on entry.
const SCTLR_SPINTMASK: u32 = 62;
/// SCTLR2_EL1.EASE, bit 5: External aborts go to the SError vector.
const SCTLR2_EASE: u64 = 1 << 5;
/// GCSCR_EL1.EXLOCKEN, bit 6.
const GCSCR_EXLOCKEN: u64 = 1 << 6;

/// From a synchronous vector to the SError vector of the same origin.
const SERROR_OFFSET: u64 = 0x180;
/// VBAR_EL1, bits 10:0 are RES0.
const VBAR_MASK: u64 = !0x7ff;

/// PSTATE as SPSR holds it for AArch64 (Arm ARM, SPSR_EL1).
mod pstate {
    pub const N_Z_C_V: u64 = 0xf << 28;
    pub const DIT: u64 = 1 << 24;
    pub const TCO: u64 = 1 << 25;
    pub const PAN: u64 = 1 << 22;
    pub const ALLINT: u64 = 1 << 13;
    pub const SSBS: u64 = 1 << 12;
    pub const D_A_I_F: u64 = 0xf << 6;
    pub const EL1H: u64 = 0b0_0101;
    pub const PM: u64 = 1 << 32;
    pub const EXLOCK: u64 = 1 << 34;
}

/// Takes an exception with `syndrome` to EL1.
#[must_use]
#[inline(always)]
pub const fn take(rules: &EntryRules, origin: &OriginState, syndrome: Syndrome) -> Exception {
    let mode = Mode::of(origin.spsr);
    let mut vector = origin.vbar & VBAR_MASK | mode.vector();
    if let Some(extras) = &origin.extras
        && extras.sctlr2 & SCTLR2_EASE != 0
        && syndrome.status.is_external()
    {
        vector |= SERROR_OFFSET;
    }
    Exception {
        esr_el1: syndrome.esr.raw(),
        far_el1: syndrome.far,
        elr_el1: origin.elr,
        spsr_el1: origin.spsr,
        pc: vector,
        pstate: rules.pstate(origin, mode),
    }
}

#[cfg(test)]
#[path = "exception_tests.rs"]
mod tests;
