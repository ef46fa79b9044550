//! Barriers, TLB and cache maintenance, one instruction or one loop each.

use core::arch::asm;

macro_rules! instruction {
    ($(#[$doc:meta])* $name:ident, $($text:literal),+) => {
        $(#[$doc])*
        #[inline(always)]
        pub fn $name() {
            // SAFETY: barriers and TLB invalidations change no memory and no flags; EL2's own tables are never
            // changed behind the compiler's back.
            unsafe { asm!($($text),+, options(nostack, preserves_flags)) }
        }
    };
}

instruction!(
    /// Waits for all memory accesses and maintenance of this CPU, for the inner shareable domain.
    dsb_ish, "dsb ish"
);
instruction!(
    /// Orders stores for the inner shareable domain: tables are written before they are looked at.
    dsb_ishst, "dsb ishst"
);
instruction!(
    /// Waits for accesses to all of the system: before a device is told to look.
    dsb_sy, "dsb sy"
);
instruction!(
    /// Makes changes of system registers seen by what follows.
    isb, "isb"
);
instruction!(
    /// Forgets stage-1, and combined, translations of the current VMID on all CPUs.
    tlbi_vmalle1is, "tlbi vmalle1is"
);
instruction!(
    /// Forgets stage-1 and stage-2 translations of the current VMID on all CPUs.
    tlbi_vmalls12e1is, "tlbi vmalls12e1is"
);
instruction!(
    /// Forgets stage-1 and stage-2 translations of the current VMID on this CPU.
    tlbi_vmalls12e1, "tlbi vmalls12e1"
);
instruction!(
    /// Forgets all EL1&0 translations, of any VMID, on this CPU.
    tlbi_alle1, "tlbi alle1"
);
instruction!(
    /// Forgets all instructions on all CPUs.
    ic_ialluis, "ic ialluis"
);
instruction!(
    /// Sleeps until an event.
    wfe, "wfe"
);

/// Forgets stage-2 translations of the page at `ipa` of the current VMID on all CPUs.
#[inline(always)]
pub fn tlbi_ipas2e1is(ipa: u64) {
    // SAFETY: as for the other invalidations. The operand is IPA[51:12] in bits 39:0 (Arm ARM C5.5, TLBI IPAS2E1IS).
    unsafe { asm!("tlbi ipas2e1is, {}", in(reg) ipa >> 12, options(nostack, preserves_flags)) }
}

/// The smallest data cache line, in bytes (CTR_EL0.DminLine).
fn dcache_line() -> usize {
    let words = super::sysreg::field(super::sysreg::read!("ctr_el0"), 16, 4);
    4 << words
}

/// Cleans `[start, start + len)` to the point of coherency. Complete at the next [`dsb_sy`].
#[inline(never)]
pub fn clean(start: usize, len: usize) {
    let line = dcache_line();
    let end = start.saturating_add(len);
    let mut at = start & !(line - 1);
    while at < end {
        // SAFETY: DC CVAC changes no byte as seen by a coherent observer. The range is mapped: callers pass RAM.
        unsafe { asm!("dc cvac, {}", in(reg) at, options(nostack, preserves_flags)) }
        at = at.saturating_add(line);
    }
}

/// Cleans and invalidates `[start, start + len)` to the point of coherency. Complete at the next [`dsb_sy`].
#[inline(never)]
#[unsafe(link_section = ".text.scrub")]
pub fn clean_invalidate(start: usize, len: usize) {
    let line = dcache_line();
    let end = start.saturating_add(len);
    let mut at = start & !(line - 1);
    while at < end {
        // SAFETY: DC CIVAC changes no byte as seen by a coherent observer. The range is mapped: callers pass RAM.
        unsafe { asm!("dc civac, {}", in(reg) at, options(nostack, preserves_flags)) }
        at = at.saturating_add(line);
    }
}
