//! What drivers need of the CPU they run on: barriers, who it is, the counter. On the build machine the barriers are
//! nothing, the CPU is whom a test says, and the counter counts reads.

#[cfg(all(target_arch = "aarch64", target_os = "none"))]
mod real {
    use core::arch::asm;

    /// All stores so far complete before anything that follows.
    #[inline(always)]
    pub fn dsb_st() {
        // SAFETY: a barrier changes no state.
        unsafe { asm!("dsb st", options(nostack, preserves_flags)) }
    }

    /// All loads so far complete before anything that follows.
    #[inline(always)]
    pub fn dsb_ld() {
        // SAFETY: a barrier changes no state.
        unsafe { asm!("dsb ld", options(nostack, preserves_flags)) }
    }

    /// The affinity fields of MPIDR_EL1 (at EL1 under a hypervisor: of VMPIDR_EL2), in its own layout.
    #[inline(always)]
    pub fn affinity() -> u64 {
        let mpidr: u64;
        // SAFETY: reads an identification register that exists at EL1 and above.
        unsafe { asm!("mrs {}, MPIDR_EL1", out(reg) mpidr, options(nomem, nostack, preserves_flags)) }
        mpidr & 0xff_00ff_ffff
    }

    /// CNTFRQ_EL0: the counter's frequency in Hz, as firmware wrote it down.
    #[inline(always)]
    pub fn cntfrq() -> u64 {
        let hz: u64;
        // SAFETY: reads a register that exists at every exception level.
        unsafe { asm!("mrs {}, CNTFRQ_EL0", out(reg) hz, options(nomem, nostack, preserves_flags)) }
        hz & 0xffff_ffff
    }

    /// CNTPCT_EL0: the physical counter, read no earlier than here (Arm ARM D12.2.1).
    #[inline(always)]
    pub fn cntpct() -> u64 {
        let count: u64;
        // SAFETY: reads a counter; where EL1 may not, the trap is EL2's to answer.
        unsafe { asm!("isb", "mrs {}, CNTPCT_EL0", out(reg) count, options(nostack, preserves_flags)) }
        count
    }
}

#[cfg(not(all(target_arch = "aarch64", target_os = "none")))]
mod fake {
    use core::sync::atomic::{AtomicU64, Ordering};

    pub fn dsb_st() {}

    pub fn dsb_ld() {}

    #[cfg(test)]
    std::thread_local! {
        /// Who the CPU of a test's thread is.
        pub static AFFINITY: core::cell::Cell<u64> = const { core::cell::Cell::new(0) };
    }

    pub fn affinity() -> u64 {
        #[cfg(test)]
        return AFFINITY.get();
        #[cfg(not(test))]
        0
    }

    pub fn cntfrq() -> u64 {
        1_000_000_000
    }

    pub fn cntpct() -> u64 {
        static READS: AtomicU64 = AtomicU64::new(0);
        READS.fetch_add(1, Ordering::Relaxed)
    }
}

#[cfg(not(all(target_arch = "aarch64", target_os = "none")))]
pub use fake::*;
#[cfg(all(target_arch = "aarch64", target_os = "none"))]
pub use real::*;
