//! Floating-point, SIMD and SVE registers: kept for the host while a guest uses them.
//!
//! EL2 itself is built without them. A guest runs with them trapped; its first use saves the host's, whole (SVE's
//! included, whose upper parts a guest's SIMD writes would clear), and loads the guest's. The end of the run puts the
//! host's back. So a guest that never uses them costs nothing.

use super::sysreg::{read, write};
use crate::features::Features;
use core::arch::global_asm;

/// The widest vectors that SVE can have: 2048 bits.
const MAX_VECTOR_BYTES: usize = 256;

/// All of a context's floating-point state. Predicates and FFR take an eighth of a vector each.
#[repr(C, align(16))]
pub struct FpState {
    vectors: [u8; 32 * MAX_VECTOR_BYTES],
    predicates: [u8; 17 * MAX_VECTOR_BYTES / 8],
    fpcr: u64,
    fpsr: u64,
}

impl FpState {
    /// All zeroes.
    pub const fn new() -> Self {
        Self {
            vectors: [0; 32 * MAX_VECTOR_BYTES],
            predicates: [0; 17 * MAX_VECTOR_BYTES / 8],
            fpcr: 0,
            fpsr: 0,
        }
    }
}

/// The SIMD state of a guest: guests have no SVE.
#[repr(C, align(16))]
pub struct SimdState {
    vectors: [u8; 32 * 16],
    fpcr: u64,
    fpsr: u64,
}

unsafe extern "C" {
    fn lh_sve_save(vectors: *mut u8, predicates: *mut u8);
    fn lh_sve_load(vectors: *const u8, predicates: *const u8);
    fn lh_simd_save(vectors: *mut u8);
    fn lh_simd_load(vectors: *const u8);
}

/// Saves the host's state. The registers must not be trapped for EL2 (CPTR_EL2).
pub(super) fn save_host(state: &mut FpState, features: &Features) {
    state.fpcr = read!("s3_3_c4_c4_0");
    state.fpsr = read!("s3_3_c4_c4_1");
    if features.sve {
        // ZCR_EL2 stays at the widest, and at EL2 it is what counts, so all bits that the host may have are kept.
        // SAFETY: the arrays hold 32 vectors and 17 predicates of the greatest length; SVE is there and not trapped.
        unsafe { lh_sve_save(state.vectors.as_mut_ptr(), state.predicates.as_mut_ptr()) }
    } else {
        // SAFETY: the array holds 32 registers of 16 bytes; SIMD is not trapped.
        unsafe { lh_simd_save(state.vectors.as_mut_ptr()) }
    }
}

/// Loads the host's state.
pub(super) fn load_host(state: &FpState, features: &Features) {
    if features.sve {
        // SAFETY: as in `save_host`.
        unsafe { lh_sve_load(state.vectors.as_ptr(), state.predicates.as_ptr()) }
    } else {
        // SAFETY: as in `save_host`.
        unsafe { lh_simd_load(state.vectors.as_ptr()) }
    }
    write!("s3_3_c4_c4_0", state.fpcr);
    write!("s3_3_c4_c4_1", state.fpsr);
}

/// Saves a guest's state.
pub(super) fn save_guest(state: &mut SimdState) {
    state.fpcr = read!("s3_3_c4_c4_0");
    state.fpsr = read!("s3_3_c4_c4_1");
    // SAFETY: the array holds 32 registers of 16 bytes; SIMD is not trapped.
    unsafe { lh_simd_save(state.vectors.as_mut_ptr()) }
}

/// Loads a guest's state. What SVE has beyond the 128 bits is cleared by the loads, so nothing of the host's is left
/// there; predicates stay out of the guest's reach, SVE being trapped.
pub(super) fn load_guest(state: &SimdState) {
    // SAFETY: the array holds 32 registers of 16 bytes; SIMD is not trapped.
    unsafe { lh_simd_load(state.vectors.as_ptr()) }
    write!("s3_3_c4_c4_0", state.fpcr);
    write!("s3_3_c4_c4_1", state.fpsr);
}

global_asm!(
    r#"
    .arch_extension fp
    .arch_extension simd
    .arch_extension sve

    .global lh_simd_save
lh_simd_save:
    stp q0, q1, [x0]
    stp q2, q3, [x0, #32]
    stp q4, q5, [x0, #64]
    stp q6, q7, [x0, #96]
    stp q8, q9, [x0, #128]
    stp q10, q11, [x0, #160]
    stp q12, q13, [x0, #192]
    stp q14, q15, [x0, #224]
    stp q16, q17, [x0, #256]
    stp q18, q19, [x0, #288]
    stp q20, q21, [x0, #320]
    stp q22, q23, [x0, #352]
    stp q24, q25, [x0, #384]
    stp q26, q27, [x0, #416]
    stp q28, q29, [x0, #448]
    stp q30, q31, [x0, #480]
    ret

    .global lh_simd_load
lh_simd_load:
    ldp q0, q1, [x0]
    ldp q2, q3, [x0, #32]
    ldp q4, q5, [x0, #64]
    ldp q6, q7, [x0, #96]
    ldp q8, q9, [x0, #128]
    ldp q10, q11, [x0, #160]
    ldp q12, q13, [x0, #192]
    ldp q14, q15, [x0, #224]
    ldp q16, q17, [x0, #256]
    ldp q18, q19, [x0, #288]
    ldp q20, q21, [x0, #320]
    ldp q22, q23, [x0, #352]
    ldp q24, q25, [x0, #384]
    ldp q26, q27, [x0, #416]
    ldp q28, q29, [x0, #448]
    ldp q30, q31, [x0, #480]
    ret

    .global lh_sve_save
lh_sve_save:
    .irp n, 0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,24,25,26,27,28,29,30,31
    str z\n, [x0, #\n, mul vl]
    .endr
    .irp n, 0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15
    str p\n, [x1, #\n, mul vl]
    .endr
    rdffr p0.b
    str p0, [x1, #16, mul vl]
    ldr p0, [x1]
    ret

    .global lh_sve_load
lh_sve_load:
    ldr p0, [x1, #16, mul vl]
    wrffr p0.b
    .irp n, 0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15
    ldr p\n, [x1, #\n, mul vl]
    .endr
    .irp n, 0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,24,25,26,27,28,29,30,31
    ldr z\n, [x0, #\n, mul vl]
    .endr
    ret
    "#
);
