//! The SMC Calling Convention (Arm DEN0028, issue 1.5 and later).

use crate::table::constants;

constants! {
    /// The function ids, as a table.
    FUNCTIONS: u32;

    /// `SMCCC_VERSION`, DEN0028 section 7.2.
    VERSION = 0x8000_0000;
    /// `SMCCC_ARCH_FEATURES`, DEN0028 section 7.3.
    ARCH_FEATURES = 0x8000_0001;
    /// Vendor-specific hypervisor service: call UID, DEN0028 section 6.2.
    VENDOR_HYP_CALL_UID = 0x8600_FF01;
    /// Vendor-specific hypervisor service: revision, DEN0028 section 6.2.
    VENDOR_HYP_REVISION = 0x8600_FF03;
}

/// The version that we answer: 1.2 (arguments and results in `x0` to `x17`).
pub const VERSION_1_2: u32 = 0x1_0002;

constants! {
    /// The return codes (7.1 to 7.3), as a table.
    RETURN_CODES: i32;

    /// The call succeeded.
    SUCCESS = 0;
    /// The call is not known here.
    NOT_SUPPORTED = -1;
    /// The call is known but not required on this machine.
    NOT_REQUIRED = -2;
    /// An argument is not valid.
    INVALID_PARAMETER = -3;
}
