//! The CPU interface as system registers (IHI 0069, 12.2), for a program at EL1 that takes interrupts.

#[cfg(all(target_arch = "aarch64", target_os = "none"))]
mod real {
    use core::arch::asm;

    /// Interrupts by system registers (ICC_SRE_EL1.SRE), of every priority (ICC_PMR_EL1), of group 1
    /// (ICC_IGRPEN1_EL1).
    pub fn enable() {
        // SAFETY: lets interrupts reach the CPU, which takes them only where PSTATE lets it; no memory is involved.
        unsafe {
            asm!(
                "msr S3_0_C12_C12_5, {sre}",
                "isb",
                "msr S3_0_C4_C6_0, {pmr}",
                "msr S3_0_C12_C12_7, {group1}",
                "isb",
                sre = in(reg) 1u64,
                pmr = in(reg) 0xffu64,
                group1 = in(reg) 1u64,
                options(nostack, preserves_flags)
            );
        }
    }

    /// ICC_IAR1_EL1: takes the most urgent interrupt. What its sender wrote before is seen after (12.2.15).
    pub fn iar1() -> u32 {
        let intid: u64;
        // SAFETY: changes the state of the interrupt controller only.
        unsafe { asm!("mrs {}, S3_0_C12_C12_0", "dsb sy", out(reg) intid, options(nostack, preserves_flags)) }
        intid as u32
    }

    /// ICC_EOIR1_EL1: the interrupt has been handled.
    pub fn eoir1(intid: u32) {
        // SAFETY: as in `iar1`.
        unsafe { asm!("msr S3_0_C12_C12_1, {}", "isb", in(reg) u64::from(intid), options(nostack, preserves_flags)) }
    }

    /// ICC_SGI1R_EL1: sends an interrupt to CPUs.
    pub fn sgi1r(value: u64) {
        // SAFETY: as in `iar1`.
        unsafe { asm!("msr S3_0_C12_C11_5, {}", "isb", in(reg) value, options(nostack, preserves_flags)) }
    }
}

#[cfg(not(all(target_arch = "aarch64", target_os = "none")))]
mod fake {
    #[cfg(test)]
    std::thread_local! {
        /// What the interface was told, and the interrupts that it has.
        pub static CALLS: core::cell::RefCell<std::vec::Vec<(&'static str, u64)>> = const {
            core::cell::RefCell::new(std::vec::Vec::new())
        };
        pub static PENDING: core::cell::Cell<u32> = const { core::cell::Cell::new(1023) };
    }

    fn note(_call: &'static str, _value: u64) {
        #[cfg(test)]
        CALLS.with_borrow_mut(|calls| calls.push((_call, _value)));
    }

    pub fn enable() {
        note("enable", 0);
    }

    pub fn iar1() -> u32 {
        #[cfg(test)]
        return PENDING.get();
        #[cfg(not(test))]
        1023
    }

    pub fn eoir1(intid: u32) {
        note("eoir1", u64::from(intid));
    }

    pub fn sgi1r(value: u64) {
        note("sgi1r", value);
    }
}

#[cfg(not(all(target_arch = "aarch64", target_os = "none")))]
pub use fake::*;
#[cfg(all(target_arch = "aarch64", target_os = "none"))]
pub use real::*;
