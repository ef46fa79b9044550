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

    /// Calls the firmware (Arm DEN0028 section 2.6: it may change x0 to x17).
    pub fn smc(mut x: [u64; 8]) -> [u64; 8] {
        // SAFETY: firmware keeps to the calling convention, and to memory that is its own or that the call gives it; that the
        // call gives it nothing else is for `Smc::new`'s caller to see to.
        unsafe {
            asm!(
                "smc #0",
                inout("x0") x[0], inout("x1") x[1], inout("x2") x[2], inout("x3") x[3],
                inout("x4") x[4], inout("x5") x[5], inout("x6") x[6], inout("x7") x[7],
                lateout("x8") _, lateout("x9") _, lateout("x10") _, lateout("x11") _,
                lateout("x12") _, lateout("x13") _, lateout("x14") _, lateout("x15") _,
                lateout("x16") _, lateout("x17") _,
                options(nostack)
            );
        }
        x
    }

    /// Writes what data caches hold of `len` bytes at `start` back to the point of coherency.
    ///
    /// # Safety
    /// They are mapped memory.
    pub unsafe fn clean(start: u64, len: u64) {
        // The smallest line that there can be (CTR_EL0.DminLine counts from 4 bytes on, lines are 16 bytes at least).
        const LINE: u64 = 16;
        let mut at = start & !(LINE - 1);
        while at < start.wrapping_add(len) {
            // SAFETY: the address is mapped, as the caller vouches; cleaning changes no contents.
            unsafe { asm!("dc cvac, {}", in(reg) at, options(nostack, preserves_flags)) }
            at += LINE;
        }
        // SAFETY: a barrier changes no state.
        unsafe { asm!("dsb sy", options(nostack, preserves_flags)) }
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

    /// There is no firmware: NOT_SUPPORTED.
    pub fn smc(_: [u64; 8]) -> [u64; 8] {
        [u64::MAX; 8]
    }

    pub unsafe fn clean(_: u64, _: u64) {}

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
