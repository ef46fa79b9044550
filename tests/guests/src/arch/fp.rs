//! The floating-point, SIMD and SVE registers.
//!
//! Nothing that the compiler makes touches them, so that what is put there stays until somebody else takes them.

use crate::{read_register, write_register};
use core::arch::global_asm;

/// Bytes of an SVE register of the greatest length.
const LONGEST: usize = 256;

/// `V0` to `V31`, or `Z0` to `Z31` and `P0` to `P15`, and FPSR.
#[repr(C, align(16))]
#[derive(Clone)]
pub struct State {
    registers: [u8; 32 * LONGEST],
    predicates: [u8; 16 * LONGEST / 8],
    fpsr: u64,
}

global_asm!(
    r#"
    .arch_extension fp
    .arch_extension simd
    .arch_extension sve
    .section .text.fp, "ax"

    .macro each_pair insn
    \insn   q0, q1, [x0]
    \insn   q2, q3, [x0, #32]
    \insn   q4, q5, [x0, #64]
    \insn   q6, q7, [x0, #96]
    \insn   q8, q9, [x0, #128]
    \insn   q10, q11, [x0, #160]
    \insn   q12, q13, [x0, #192]
    \insn   q14, q15, [x0, #224]
    \insn   q16, q17, [x0, #256]
    \insn   q18, q19, [x0, #288]
    \insn   q20, q21, [x0, #320]
    \insn   q22, q23, [x0, #352]
    \insn   q24, q25, [x0, #384]
    \insn   q26, q27, [x0, #416]
    \insn   q28, q29, [x0, #448]
    \insn   q30, q31, [x0, #480]
    .endm
    .macro each_z insn
    .irp n, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31
    \insn   z\n, [x0, #\n, mul vl]
    .endr
    .endm
    .macro each_p insn
    .irp n, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15
    \insn   p\n, [x1, #\n, mul vl]
    .endr
    .endm

lh_fp_put:
    each_pair ldp
    msr     fpsr, x2
    ret
lh_fp_get:
    each_pair stp
    mrs     x0, fpsr
    ret
lh_sve_put:
    each_z  ldr
    each_p  ldr
    msr     fpsr, x2
    ret
lh_sve_get:
    each_z  str
    each_p  str
    mrs     x0, fpsr
    ret
lh_sve_bytes:
    rdvl    x0, #1
    ret
    "#
);

unsafe extern "C" {
    fn lh_fp_put(registers: *const u8, predicates: *const u8, fpsr: u64);
    fn lh_fp_get(registers: *mut u8, predicates: *mut u8) -> u64;
    fn lh_sve_put(registers: *const u8, predicates: *const u8, fpsr: u64);
    fn lh_sve_get(registers: *mut u8, predicates: *mut u8) -> u64;
    fn lh_sve_bytes() -> u64;
}

/// Is there SVE, as far as this CPU's ID registers say (ID_AA64PFR0_EL1.SVE)?
pub fn has_sve() -> bool {
    read_register!("id_aa64pfr0_el1") >> 32 & 0xf != 0
}

/// Lets EL1 use them, and gives the length of a register in bytes: 16 without SVE.
pub fn enable() -> usize {
    // CPACR_EL1: FPEN, and ZEN where there is SVE.
    write_register!(
        "cpacr_el1",
        if has_sve() { 0b11 << 20 | 0b11 << 16 } else { 0b11 << 20 }
    );
    if !has_sve() {
        return 16;
    }
    write_register!("S3_0_C1_C2_0", 0xf); // ZCR_EL1: as long as can be
    // SAFETY: reads a length.
    (unsafe { lh_sve_bytes() } as usize).min(LONGEST)
}

impl State {
    /// All of them hold what comes of `seed`.
    pub fn of(seed: u64) -> State {
        let byte =
            |i: usize| (seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> (i % 7 * 8)) as u8 ^ (i as u8).wrapping_mul(29);
        let mut state = State {
            registers: [0; 32 * LONGEST],
            predicates: [0; 16 * LONGEST / 8],
            fpsr: seed & 0x9f,
        };
        state.registers.iter_mut().enumerate().for_each(|(i, b)| *b = byte(i));
        state
            .predicates
            .iter_mut()
            .enumerate()
            .for_each(|(i, b)| *b = byte(i + 3));
        state
    }

    /// Puts it into the registers.
    pub fn put(&self) {
        let put = if has_sve() { lh_sve_put } else { lh_fp_put };
        // SAFETY: nobody else uses these registers; as much is read as the longest register has.
        unsafe { put(self.registers.as_ptr(), self.predicates.as_ptr(), self.fpsr) };
    }

    /// Is it in the registers, of `bytes` bytes each?
    pub fn is_there(&self, bytes: usize) -> bool {
        let mut found = State::of(0);
        let get = if has_sve() { lh_sve_get } else { lh_fp_get };
        // SAFETY: as much is written as the longest register has.
        let fpsr = unsafe { get(found.registers.as_mut_ptr(), found.predicates.as_mut_ptr()) };
        let predicates = if has_sve() { 16 * bytes / 8 } else { 0 };
        fpsr == self.fpsr
            && found.registers[..32 * bytes] == self.registers[..32 * bytes]
            && found.predicates[..predicates] == self.predicates[..predicates]
    }
}
