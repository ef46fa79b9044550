//! System registers by their architectural names.

/// Reads a system register that has no effect when read.
macro_rules! read {
    ($name:literal) => {{
        let value: u64;
        // SAFETY: the registers read here are readable at EL2 wherever the caller has checked the feature that
        // brings them, and reading has no effect on memory or flags.
        unsafe {
            core::arch::asm!(
                concat!("mrs {}, ", $name),
                out(reg) value,
                options(nomem, nostack, preserves_flags)
            );
        }
        value
    }};
}

/// Writes a system register. The caller, inside `arch`, upholds that the value keeps EL2's own view of memory as it is.
macro_rules! write {
    ($name:literal, $value:expr) => {{
        let value: u64 = $value;
        // SAFETY: `arch` alone writes system registers; none of those written through this macro changes EL2's own
        // translation (that is done in `boot`), so Rust's view of memory stays as it was. No `nomem`: a write may
        // change what other agents see.
        unsafe {
            core::arch::asm!(
                concat!("msr ", $name, ", {}"),
                in(reg) value,
                options(nostack, preserves_flags)
            );
        }
    }};
}

pub(crate) use {read, write};

/// A field of an ID register: `bits` from bit `shift`.
pub const fn field(value: u64, shift: u32, bits: u32) -> u64 {
    (value >> shift) & ((1 << bits) - 1)
}
