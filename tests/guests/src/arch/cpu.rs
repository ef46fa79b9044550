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

/// Lets what follows read registers as they are now.
pub fn isb() {
    // SAFETY: a barrier.
    unsafe { asm!("isb", options(nostack, preserves_flags)) };
}

/// This CPU's number, from 0, in the order of the device tree.
pub fn number() -> usize {
    (read_register!("tpidr_el1") as usize).min(MOST - 1)
}

/// A bit of `PSTATE` that a feature brings: where it stands in `SPSR_EL1`, and the field of an ID register that says since
/// when there is one.
struct Feature {
    bit: u64,
    id: fn() -> u64,
    shift: u32,
    least: u64,
}

fn pfr0() -> u64 {
    read_register!("id_aa64pfr0_el1")
}

fn pfr1() -> u64 {
    read_register!("id_aa64pfr1_el1")
}

fn mmfr1() -> u64 {
    read_register!("id_aa64mmfr1_el1")
}

fn mmfr2() -> u64 {
    read_register!("id_aa64mmfr2_el1")
}

impl Feature {
    const fn new(bit: u32, id: fn() -> u64, shift: u32, least: u64) -> Feature {
        Feature {
            bit: 1 << bit,
            id,
            shift,
            least,
        }
    }

    fn is_there(&self) -> bool {
        (self.id)() >> self.shift & 0xf >= self.least
    }
}

/// PAN, UAO, DIT, TCO, SSBS and ALLINT.
const FEATURES: [Feature; 6] = [
    Feature::new(22, mmfr1, 20, 1),
    Feature::new(23, mmfr2, 4, 1),
    Feature::new(24, pfr0, 48, 1),
    Feature::new(25, pfr1, 8, 1),
    Feature::new(12, pfr1, 4, 2),
    Feature::new(13, pfr1, 36, 1),
];

/// The bits of `PSTATE`, as they stand in `SPSR_EL1`, that features bring which are there: of PAN, UAO, DIT, TCO, SSBS
/// and ALLINT.
pub fn pstate_bits() -> impl Iterator<Item = u64> {
    FEATURES
        .iter()
        .filter(|feature| feature.is_there())
        .map(|feature| feature.bit)
}

/// `DAIF`, `CurrentEL`, `SPSel` and [`pstate_bits`], as they stand in `SPSR_EL1`.
pub fn pstate() -> u64 {
    let always = read_register!("daif") | read_register!("CurrentEL") | read_register!("SPSel");
    pstate_bits().fold(always, |value, bit| {
        value
            | match bit {
                PAN => read_register!("S3_0_C4_C2_3"),
                UAO => read_register!("S3_0_C4_C2_4"),
                DIT => read_register!("S3_3_C4_C2_5"),
                TCO => read_register!("S3_3_C4_C2_7"),
                SSBS => read_register!("S3_3_C4_C2_6"),
                _ => read_register!("S3_0_C4_C3_0"),
            }
    })
}

const PAN: u64 = 1 << 22;
const UAO: u64 = 1 << 23;
const DIT: u64 = 1 << 24;
const TCO: u64 = 1 << 25;
const SSBS: u64 = 1 << 12;

/// Sets those of [`pstate_bits`] that are in `bits`, and clears the others.
pub fn set_pstate(bits: u64) {
    for bit in pstate_bits() {
        match bit {
            PAN => write_register!("S3_0_C4_C2_3", bits & bit),
            UAO => write_register!("S3_0_C4_C2_4", bits & bit),
            DIT => write_register!("S3_3_C4_C2_5", bits & bit),
            TCO => write_register!("S3_3_C4_C2_7", bits & bit),
            SSBS => write_register!("S3_3_C4_C2_6", bits & bit),
            _ => write_register!("S3_0_C4_C3_0", bits & bit),
        }
    }
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
