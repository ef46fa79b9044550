//! The Power State Coordination Interface (Arm DEN0022F.b), section 5: function ids, and 5.2.2: return codes.

/// `PSCI_VERSION`.
pub const VERSION: u32 = 0x8400_0000;
/// `CPU_SUSPEND`, 32-bit.
pub const CPU_SUSPEND_32: u32 = 0x8400_0001;
/// `CPU_SUSPEND`, 64-bit.
pub const CPU_SUSPEND_64: u32 = 0xC400_0001;
/// `CPU_OFF`.
pub const CPU_OFF: u32 = 0x8400_0002;
/// `CPU_ON`, 32-bit.
pub const CPU_ON_32: u32 = 0x8400_0003;
/// `CPU_ON`, 64-bit.
pub const CPU_ON_64: u32 = 0xC400_0003;
/// `AFFINITY_INFO`, 32-bit.
pub const AFFINITY_INFO_32: u32 = 0x8400_0004;
/// `AFFINITY_INFO`, 64-bit.
pub const AFFINITY_INFO_64: u32 = 0xC400_0004;
/// `MIGRATE_INFO_TYPE`.
pub const MIGRATE_INFO_TYPE: u32 = 0x8400_0006;
/// `SYSTEM_OFF`.
pub const SYSTEM_OFF: u32 = 0x8400_0008;
/// `SYSTEM_RESET`.
pub const SYSTEM_RESET: u32 = 0x8400_0009;
/// `PSCI_FEATURES`.
pub const FEATURES: u32 = 0x8400_000A;
/// `SYSTEM_RESET2`, 32-bit.
pub const SYSTEM_RESET2_32: u32 = 0x8400_0012;
/// `SYSTEM_RESET2`, 64-bit.
pub const SYSTEM_RESET2_64: u32 = 0xC400_0012;

/// The version that we answer: 1.1.
pub const VERSION_1_1: u32 = 0x1_0001;
/// `MIGRATE_INFO_TYPE`: no Trusted OS that needs migrating, section 5.9.
pub const TOS_NOT_PRESENT: i32 = 2;

/// The call succeeded.
pub const SUCCESS: i32 = 0;
/// The function is not implemented.
pub const NOT_SUPPORTED: i32 = -1;
/// An argument is not valid.
pub const INVALID_PARAMETERS: i32 = -2;
/// The caller may not do this.
pub const DENIED: i32 = -3;
/// The CPU is on already.
pub const ALREADY_ON: i32 = -4;
/// A `CPU_ON` for it is under way.
pub const ON_PENDING: i32 = -5;
/// The firmware failed.
pub const INTERNAL_FAILURE: i32 = -6;
/// The CPU is not there.
pub const NOT_PRESENT: i32 = -7;
/// The CPU is disabled.
pub const DISABLED: i32 = -8;
/// The entry address is not valid.
pub const INVALID_ADDRESS: i32 = -9;

/// `AFFINITY_INFO`: the CPU is on.
pub const AFFINITY_ON: i32 = 0;
/// `AFFINITY_INFO`: the CPU is off.
pub const AFFINITY_OFF: i32 = 1;
/// `AFFINITY_INFO`: a `CPU_ON` is under way.
pub const AFFINITY_ON_PENDING: i32 = 2;
