//! The host's EL2 registers: what traps, what does not, and how an exception is handed to it.
//!
//! The host has the machine: interrupts, timers and all features go to it unhindered. What EL2 takes is HVC, SMC,
//! stage-2 faults and, where memory has tags, the ID registers that would tell of them.

use super::boot::enter_host;
use super::percpu::PerCpu;
use super::sysreg::{field, read, write};
use super::vectors::Return;
use super::{barrier, timer};
use crate::fault::{Exception, Extras, OriginState, Task, Trace};
use crate::features::Features;
use crate::trap::Esr;
use core::sync::atomic::{AtomicU64, Ordering};
use leasehold_hal::{Stage2Geometry, Vmid};
use leasehold_memory_map::{Address, Ipa, PhysAddr};

/// HCR_EL2 (Arm ARM D24.2.58).
pub(super) mod hcr {
    /// Stage 2 is on.
    pub const VM: u64 = 1;
    /// Set/way invalidation cleans too.
    pub const SWIO: u64 = 1 << 1;
    /// Physical FIQs go to EL2.
    pub const FMO: u64 = 1 << 3;
    /// Physical IRQs go to EL2.
    pub const IMO: u64 = 1 << 4;
    /// Physical SErrors go to EL2.
    pub const AMO: u64 = 1 << 5;
    /// WFI traps.
    pub const TWI: u64 = 1 << 13;
    /// WFE traps.
    pub const TWE: u64 = 1 << 14;
    /// ID registers of group 0 trap.
    pub const TID0: u64 = 1 << 15;
    /// ID registers of group 1 trap.
    pub const TID1: u64 = 1 << 16;
    /// ID registers of group 3 trap.
    pub const TID3: u64 = 1 << 18;
    /// SMC traps.
    pub const TSC: u64 = 1 << 19;
    /// Implementation-defined registers trap.
    pub const TIDCP: u64 = 1 << 20;
    /// ACTLR_EL1 traps.
    pub const TACR: u64 = 1 << 21;
    /// Set/way cache maintenance traps.
    pub const TSW: u64 = 1 << 22;
    /// EL1 is AArch64.
    pub const RW: u64 = 1 << 31;
    /// LORegions trap.
    pub const TLOR: u64 = 1 << 35;
    /// Error record registers trap.
    pub const TERR: u64 = 1 << 36;
    /// Pointer authentication keys do not trap.
    pub const APK: u64 = 1 << 40;
    /// Pointer authentication instructions do not trap.
    pub const API: u64 = 1 << 41;
    /// Fault injection registers do not trap.
    pub const FIEN: u64 = 1 << 47;
    /// SCXTNUM registers do not trap.
    pub const EN_SCXT: u64 = 1 << 53;
}

/// CPTR_EL2 with E2H = 0 (Arm ARM D24.2.34): RES1 bits 13, 9 and 7:0.
pub(super) const CPTR_RES1: u64 = 0x22ff;
/// CPTR_EL2.TZ: SVE traps; RES1 where there is none.
pub(super) const CPTR_TZ: u64 = 1 << 8;
/// CPTR_EL2.TFP: floating point traps.
pub(super) const CPTR_TFP: u64 = 1 << 10;
/// CPTR_EL2.TSM: SME traps; RES1 where there is none.
pub(super) const CPTR_TSM: u64 = 1 << 12;

/// SCTLR_EL1 as a CPU starts with it: MMU and caches off, RES1 bits set (Arm ARM D24.2.175).
pub(super) const SCTLR_EL1_OFF: u64 = 0x30d0_0800;

/// What each CPU is given to translate with.
#[derive(Clone, Copy, Debug)]
pub struct Stage2Registers {
    /// VTCR_EL2.
    pub vtcr: u64,
    /// VTTBR_EL2.
    pub vttbr: u64,
}

impl Stage2Registers {
    /// For tables of `geometry` at `root`, tagged `vmid`.
    #[must_use]
    pub fn new(geometry: &Stage2Geometry, root: PhysAddr, vmid: Vmid, features: &Features) -> Self {
        // VTCR_EL2 (Arm ARM D24.2.211): RES1 bit 31; walks Write-Back, Inner Shareable; 4 KiB; VS = 0: 8-bit VMIDs.
        let vtcr = 1 << 31
            | features.physical_range << 16
            | 0b11 << 12
            | 0b01 << 10
            | 0b01 << 8
            | u64::from(geometry.sl0()) << 6
            | u64::from(geometry.t0sz());
        Self {
            vtcr,
            vttbr: root.get() | u64::from(vmid.get()) << 48,
        }
    }
}

/// HCR_EL2 while the host runs.
fn host_hcr(features: &Features) -> u64 {
    let mut value = hcr::VM | hcr::TSC | hcr::RW;
    if features.pauth {
        value |= hcr::APK | hcr::API;
    }
    if features.ras {
        value |= hcr::FIEN;
    }
    if features.scxtnum {
        value |= hcr::EN_SCXT;
    }
    if features.mte {
        // Tags would be a second memory that leases do not cover: HCR_EL2.ATA stays 0, and the ID registers say so.
        value |= hcr::TID3;
    }
    value
}

/// CPTR_EL2 while the host runs: nothing traps that is there.
fn host_cptr(features: &Features) -> u64 {
    CPTR_RES1 | if features.sve { 0 } else { CPTR_TZ } | if features.sme { 0 } else { CPTR_TSM }
}

/// MDCR_EL2 while the host runs: all counters, and the profiling and trace buffers, are EL1's. Their writes go through
/// the host's stage 2.
pub(super) fn host_mdcr(features: &Features) -> u64 {
    let counters = if features.pmu {
        field(read!("pmcr_el0"), 11, 5)
    } else {
        0
    };
    counters | if features.spe { 0b11 << 12 } else { 0 } | if features.trbe { 0b11 << 24 } else { 0 }
}

/// HCRX_EL2 while the host runs (Arm ARM D24.2.59).
fn host_hcrx(features: &Features) -> u64 {
    let bit = |there: bool, bit: u32| u64::from(there) << bit;
    (if features.ls64 { 0b111 } else { 0 })
        | bit(features.mops, 11)
        | bit(features.tcr2, 14)
        | bit(features.sctlr2, 15)
        | bit(features.d128, 17)
        | bit(features.gcs, 22)
        | bit(features.fpmr, 23)
}

/// Opens the fine-grained traps, whose reset values are unknown: those named `n…` trap when clear.
fn open_fine_grained_traps(features: &Features) {
    if features.fgt == 0 {
        return;
    }
    // HFGRTR_EL2 and HFGWTR_EL2: bits 63:52 and 50 are of the n kind.
    const FGRT: u64 = 0xfff << 52 | 1 << 50;
    write!("s3_4_c1_c1_4", FGRT);
    write!("s3_4_c1_c1_5", FGRT);
    // HFGITR_EL2: nBRBINJ, nBRBIALL, nGCSPUSHM_EL1, nGCSSTR_EL1, nGCSEPP.
    write!("s3_4_c1_c1_6", 0x1f << 55);
    // HDFGRTR_EL2 and HDFGWTR_EL2: nBRBIDR, nBRBCTL, nBRBDATA, nPMSNEVFR_EL1.
    write!("s3_4_c3_c1_4", 0xf << 59);
    write!("s3_4_c3_c1_5", 0xf << 59);
    if features.fgt >= 2 {
        // HDFGRTR2_EL2, HDFGWTR2_EL2, HFGRTR2_EL2, HFGWTR2_EL2: all of the n kind. HFGITR2_EL2: nDCCIVAPS.
        write!("s3_4_c3_c1_0", u64::MAX);
        write!("s3_4_c3_c1_1", u64::MAX);
        write!("s3_4_c3_c1_2", u64::MAX);
        write!("s3_4_c3_c1_3", u64::MAX);
        write!("s3_4_c3_c1_7", 1 << 1);
    }
}

/// Gives the calling CPU the EL2 registers in which the host's world differs from a guest's.
pub(super) fn host_world(features: &Features, stage2: &Stage2Registers) {
    write!("hcr_el2", host_hcr(features));
    write!("vtcr_el2", stage2.vtcr);
    write!("vttbr_el2", stage2.vttbr);
    write!("cptr_el2", host_cptr(features));
    write!("mdcr_el2", host_mdcr(features));
    // CNTHCTL_EL2: EL1PCTEN and EL1PCEN, no event stream, no offset.
    write!("cnthctl_el2", 0b11);
    timer::alarm_off();
    if features.hcx {
        write!("s3_4_c1_c2_2", host_hcrx(features));
    }
    if features.gic_sysregs {
        // ICC_SRE_EL2: Enable, DIB, DFB, SRE. It must count before ICH_HCR_EL2 is there: no virtual interface.
        write!("s3_4_c12_c9_5", 0xf);
        barrier::isb();
        write!("s3_4_c12_c11_0", 0);
    }
}

/// Switches off what an earlier owner of EL2 may have left counting or recording there, which the host could read, or would be
/// interrupted by.
fn forget_el2_owner(features: &Features) {
    if features.vhe {
        // CNTHV_CTL_EL2.
        write!("s3_4_c14_c3_1", 0);
    }
    if features.spe {
        // PMSCR_EL2.
        write!("s3_4_c9_c9_0", 0);
    }
    if features.brbe {
        // BRBCR_EL2.
        write!("s2_4_c9_c0_0", 0);
    }
    if features.trf {
        // TRFCR_EL2.
        write!("s3_4_c1_c2_1", 0);
    }
}

/// Sets up the calling CPU's EL2 registers for a host at EL1.
pub fn init_cpu(features: &Features, stage2: &Stage2Registers) {
    host_world(features, stage2);
    write!("hstr_el2", 0);
    write!("vpidr_el2", read!("midr_el1"));
    write!("vmpidr_el2", read!("mpidr_el1"));
    // Never anything else, for a guest neither: it counts as the host does. Oryon's CNTVOFF_EL2 is broken (Linux
    // `cpu_errata.c`, ARM64_WORKAROUND_QCOM_ORYON_CNTVOFF).
    write!("cntvoff_el2", 0);
    barrier::isb();
    if features.sve {
        // ZCR_EL2.LEN: the widest there is.
        write!("s3_4_c1_c2_0", 0xf);
    }
    if features.sme {
        // SMCR_EL2: FA64, EZT0, the widest there is.
        write!("s3_4_c1_c2_6", 1 << 31 | 1 << 30 | 0xf);
    }
    if features.mpam {
        // MPAM2_EL2: no traps, partition 0.
        write!("s3_4_c10_c5_0", 0);
    }
    open_fine_grained_traps(features);
    forget_el2_owner(features);
    write!("sctlr_el1", SCTLR_EL1_OFF);
    barrier::tlbi_alle1();
    barrier::dsb_ish();
    barrier::isb();
}

/// Enters the host on this CPU at `entry` with `argument` in x0, EL1 with SP_EL1, MMU off, all masked. EL2's stack
/// starts over.
pub fn start_host(entry: Ipa, argument: u64) -> ! {
    enter_host(entry.get(), argument, PerCpu::this().index())
}

/// What the exception-entry pseudocode asks of the state that an exception is taken from.
#[inline(always)]
pub fn origin(back: &Return, extras: Option<Extras>) -> OriginState {
    OriginState {
        spsr: back.spsr,
        elr: back.elr,
        vbar: read!("vbar_el1"),
        sctlr: read!("sctlr_el1"),
        extras,
    }
}

/// The host's, on CPUs that have any.
#[cold]
pub fn extras(features: &Features) -> Extras {
    Extras {
        sctlr2: if features.sctlr2 { read!("s3_0_c1_c0_3") } else { 0 },
        gcscr: if features.gcs { read!("s3_0_c2_c5_0") } else { 0 },
    }
}

/// Makes the host continue in its own handler, as if the exception had been taken to EL1.
#[inline(always)]
pub fn deliver(back: &mut Return, exception: &Exception) {
    write!("esr_el1", exception.esr_el1);
    write!("far_el1", exception.far_el1);
    write!("elr_el1", exception.elr_el1);
    write!("spsr_el1", exception.spsr_el1);
    back.elr = exception.pc;
    back.spsr = exception.pstate;
}

/// Makes the host return to `elr` with `spsr` when its handler returns.
pub fn set_return(elr: u64, spsr: u64) {
    write!("elr_el1", elr);
    write!("spsr_el1", spsr);
}

/// PAR_EL1 (Arm ARM D24.2.117) after the CPU's own walk of the host's stage 1 for `va`.
fn translate(va: u64, from_el0: bool) -> u64 {
    let saved = read!("par_el1");
    // SAFETY: an address translation instruction changes PAR_EL1 alone, which is put back.
    unsafe {
        if from_el0 {
            core::arch::asm!("at s1e0r, {}", in(reg) va, options(nostack, preserves_flags));
        } else {
            core::arch::asm!("at s1e1r, {}", in(reg) va, options(nostack, preserves_flags));
        }
    }
    barrier::isb();
    let par = read!("par_el1");
    write!("par_el1", saved);
    par
}

/// The IPA that the host's stage 1 gives for `va` now (AT S1E1R or S1E0R).
pub fn walk_stage1(va: u64, from_el0: bool) -> Option<Ipa> {
    let par = translate(va, from_el0);
    // F in bit 0, PA in bits 51:12.
    if par & 1 != 0 {
        return None;
    }
    Ipa::checked(par & 0x000f_ffff_ffff_f000 | va & 0xfff)
}

/// Whether this CPU's stage 1 has something at `va`, for whatever kind of access. What cannot be told counts as mapped: a
/// walk that stage 2 refuses, a table that is none.
pub fn stage1_maps(va: u64) -> bool {
    let par = translate(va, false);
    // F in bit 0, FST in bits 6:1, S (a fault of stage 2's) in bit 9. Of all faults just a translation fault at level -1 to 3
    // says that there is nothing.
    let status = par >> 1 & 0x3f;
    let nothing = par & 1 << 9 == 0 && matches!(status, 0x04..=0x07 | 0x2b);
    par & 1 == 0 || !nothing
}

/// Where an abort was.
#[derive(Clone, Copy, Debug)]
pub struct AbortRegisters {
    /// FAR_EL2.
    pub far: u64,
    /// HPFAR_EL2.
    pub hpfar: u64,
}

/// The address registers of the trap that this CPU is in.
#[inline(always)]
pub fn abort_registers() -> AbortRegisters {
    AbortRegisters {
        far: read!("far_el2"),
        hpfar: hpfar(),
    }
}

/// HPFAR_EL2 after an abort. It is UNKNOWN after a permission fault that was not a stage-1 walk's (Arm ARM, HPFAR_EL2); QEMU
/// writes it nevertheless, and a build for tests has the last abort's there, as a CPU may.
#[inline(always)]
pub fn hpfar() -> u64 {
    if cfg!(feature = "poison-hpfar") {
        stale_hpfar()
    } else {
        read!("hpfar_el2")
    }
}

/// What HPFAR_EL2 had last, for a permission fault that is not of a stage-1 walk. It is told by the raw syndrome, not by what
/// the code says that this is there to try.
#[cold]
fn stale_hpfar() -> u64 {
    static LAST: AtomicU64 = AtomicU64::new(0);
    /// ESR_EL2: DFSC or IFSC of a permission fault, less its level; S1PTW.
    const PERMISSION: u64 = 0x0c;
    const MASK: u64 = 0x3c | 1 << 7;
    let esr = read!("esr_el2");
    if Esr::new(esr).abort_from_below().is_some() && esr & MASK != PERMISSION {
        LAST.store(read!("hpfar_el2"), Ordering::Relaxed);
    }
    LAST.load(Ordering::Relaxed)
}

/// What tells one task of the host from another, while it is the host that is in a trap.
#[inline(always)]
pub fn task() -> Task {
    Task {
        ttbr0: read!("ttbr0_el1"),
        sp_el0: read!("sp_el0"),
        sp_el1: read!("sp_el1"),
    }
}

/// What the last exception to EL1 has left there, while it is the host that is in a trap.
#[inline(always)]
pub fn trace() -> Trace {
    Trace {
        esr: read!("esr_el1"),
        elr: read!("elr_el1"),
    }
}

/// FAR_EL1 as it is.
pub fn far_el1() -> u64 {
    read!("far_el1")
}
