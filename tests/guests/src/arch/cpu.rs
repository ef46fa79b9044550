//! This CPU: its number, its clock, barriers, caches.

use core::arch::asm;

/// The most CPUs that a program here uses.
pub const MOST: usize = 8;

/// Reads a system register.
#[macro_export]
macro_rules! read_register {
    ($name:literal) => {{
        let value: u64;
        // SAFETY: the registers read so have no side effect.
        unsafe { core::arch::asm!(concat!("mrs {}, ", $name), out(reg) value, options(nomem, nostack)) };
        value
    }};
}

/// Writes a system register, and synchronises.
#[macro_export]
macro_rules! write_register {
    ($name:literal, $value:expr) => {{
        let value: u64 = $value;
        // SAFETY: what is written leaves this program's own code, data and stack where they are.
        unsafe { core::arch::asm!(concat!("msr ", $name, ", {}"), "isb", in(reg) value, options(nostack)) };
    }};
}

/// This CPU's number, from 0, in the order of the device tree.
pub fn number() -> usize {
    (read_register!("tpidr_el1") as usize).min(MOST - 1)
}

/// `DAIF`, `CurrentEL`, `SPSel` and, where there is one, `PAN` (bit 22), as they stand in `SPSR_EL1`.
pub fn pstate() -> u64 {
    let mut value = read_register!("daif") | read_register!("CurrentEL") | read_register!("SPSel");
    // ID_AA64MMFR1_EL1.PAN
    if read_register!("id_aa64mmfr1_el1") >> 20 & 0xf != 0 {
        value |= read_register!("S3_0_C4_C2_3");
    }
    value
}

/// The virtual counter.
pub fn ticks() -> u64 {
    // SAFETY: reads a counter; the barrier keeps it where it stands.
    unsafe { asm!("isb", options(nostack)) };
    read_register!("cntvct_el0")
}

/// Ticks in `n` milliseconds.
pub fn milliseconds(n: u64) -> u64 {
    read_register!("cntfrq_el0") / 1000 * n
}

/// Waits that long.
pub fn delay(milliseconds_: u64) {
    let end = ticks() + milliseconds(milliseconds_);
    while ticks() < end {
        core::hint::spin_loop();
    }
}

/// Waits until `done`, for at most that long. Was it done?
pub fn wait(milliseconds_: u64, mut done: impl FnMut() -> bool) -> bool {
    let end = ticks() + milliseconds(milliseconds_);
    loop {
        if done() {
            return true;
        }
        if ticks() > end {
            return false;
        }
        core::hint::spin_loop();
    }
}

/// `DSB SY`.
pub fn dsb() {
    // SAFETY: a barrier.
    unsafe { asm!("dsb sy", options(nostack)) };
}

/// Waits for an interrupt.
pub fn wfi() {
    // SAFETY: waits.
    unsafe { asm!("wfi", options(nostack)) };
}

/// Wakes those that wait for an event.
pub fn sev() {
    // SAFETY: a hint.
    unsafe { asm!("dsb sy", "sev", options(nostack)) };
}

/// Waits for an event.
pub fn wfe() {
    // SAFETY: a hint.
    unsafe { asm!("wfe", options(nostack)) };
}

/// Cleans and invalidates a range to the point of coherency.
pub fn clean(base: u64, bytes: u64) {
    // CTR_EL0.DminLine: log2 of the words in the smallest line.
    let line = 4u64 << (read_register!("ctr_el0") >> 16 & 0xf);
    let mut at = base & !(line - 1);
    while at < base + bytes {
        // SAFETY: changes no content.
        unsafe { asm!("dc civac, {}", in(reg) at, options(nostack)) };
        at += line;
    }
    dsb();
}

/// Forgets all instructions in caches.
pub fn invalidate_instructions() {
    // SAFETY: changes no content.
    unsafe { asm!("dsb ish", "ic ialluis", "dsb ish", "isb", options(nostack)) };
}

/// Forgets all translations of EL1 and EL0, on all CPUs.
pub fn invalidate_translations() {
    // SAFETY: what is forgotten is looked up again.
    unsafe { asm!("dsb ishst", "tlbi vmalle1is", "dsb ish", "isb", options(nostack)) };
}
