//! The ways to Leasehold.

use core::arch::asm;
use leasehold_guests::arch::entry::SCTLR_OFF;
use leasehold_guests::write_register;

/// At EL2, as all is.
pub fn at_el2(entry: u64, tree: u64) -> ! {
    // SAFETY: this program ends here.
    unsafe { asm!("br {}", in(reg) entry, in("x0") tree, options(noreturn)) }
}

/// At EL2, open to interrupts from the last instruction on.
pub fn unmasked(entry: u64, tree: u64) -> ! {
    // SAFETY: this program ends here.
    unsafe { asm!("msr daifclr, #0xf", "br {}", in(reg) entry, in("x0") tree, options(noreturn)) }
}

/// At EL1, with the MMU off.
pub fn at_el1(entry: u64, tree: u64) -> ! {
    write_register!("sctlr_el1", SCTLR_OFF);
    write_register!("vbar_el1", entry);
    write_register!("elr_el2", entry);
    // EL1 with its own stack pointer, all masked.
    write_register!("spsr_el2", 0x3c5);
    // SAFETY: this program ends here, but for the vectors that it may have left at EL2.
    unsafe { asm!("eret", in("x0") tree, options(noreturn)) }
}
