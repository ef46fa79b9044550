//! The SMC Calling Convention (Arm DEN0028, issue 1.5 and later).

/// `SMCCC_VERSION`, DEN0028 section 7.2.
pub const VERSION: u32 = 0x8000_0000;
/// `SMCCC_ARCH_FEATURES`, DEN0028 section 7.3.
pub const ARCH_FEATURES: u32 = 0x8000_0001;
/// Vendor-specific hypervisor service: call UID, DEN0028 section 6.2.
pub const VENDOR_HYP_CALL_UID: u32 = 0x8600_FF01;
/// Vendor-specific hypervisor service: revision, DEN0028 section 6.2.
pub const VENDOR_HYP_REVISION: u32 = 0x8600_FF03;

/// The version that we answer: 1.2 (arguments and results in `x0` to `x17`).
pub const VERSION_1_2: u32 = 0x1_0002;

/// The call succeeded.
pub const SUCCESS: i32 = 0;
/// The call is not known here.
pub const NOT_SUPPORTED: i32 = -1;
/// The call is known but not required on this machine.
pub const NOT_REQUIRED: i32 = -2;
/// An argument is not valid.
pub const INVALID_PARAMETER: i32 = -3;
