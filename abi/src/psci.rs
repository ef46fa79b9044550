//! The Power State Coordination Interface (Arm DEN0022F.b), section 5: function ids, and 5.2.2: return codes.

use crate::table::constants;

constants! {
    /// The function ids, as a table.
    FUNCTIONS: u32;

    /// `PSCI_VERSION`.
    VERSION = 0x8400_0000;
    /// `CPU_SUSPEND`, 32-bit.
    CPU_SUSPEND_32 = 0x8400_0001;
    /// `CPU_SUSPEND`, 64-bit.
    CPU_SUSPEND_64 = 0xC400_0001;
    /// `CPU_OFF`.
    CPU_OFF = 0x8400_0002;
    /// `CPU_ON`, 32-bit.
    CPU_ON_32 = 0x8400_0003;
    /// `CPU_ON`, 64-bit.
    CPU_ON_64 = 0xC400_0003;
    /// `AFFINITY_INFO`, 32-bit.
    AFFINITY_INFO_32 = 0x8400_0004;
    /// `AFFINITY_INFO`, 64-bit.
    AFFINITY_INFO_64 = 0xC400_0004;
    /// `MIGRATE_INFO_TYPE`.
    MIGRATE_INFO_TYPE = 0x8400_0006;
    /// `SYSTEM_OFF`.
    SYSTEM_OFF = 0x8400_0008;
    /// `SYSTEM_RESET`.
    SYSTEM_RESET = 0x8400_0009;
    /// `PSCI_FEATURES`.
    FEATURES = 0x8400_000A;
    /// `SYSTEM_RESET2`, 32-bit.
    SYSTEM_RESET2_32 = 0x8400_0012;
    /// `SYSTEM_RESET2`, 64-bit.
    SYSTEM_RESET2_64 = 0xC400_0012;
}

/// The version that we answer: 1.1.
pub const VERSION_1_1: u32 = 0x1_0001;
/// `MIGRATE_INFO_TYPE`: no Trusted OS that needs migrating, section 5.9.
pub const TOS_NOT_PRESENT: i32 = 2;

constants! {
    /// The return codes (5.2.2), as a table.
    RETURN_CODES: i32;

    /// The call succeeded.
    SUCCESS = 0;
    /// The function is not implemented.
    NOT_SUPPORTED = -1;
    /// An argument is not valid.
    INVALID_PARAMETERS = -2;
    /// The caller may not do this.
    DENIED = -3;
    /// The CPU is on already.
    ALREADY_ON = -4;
    /// A `CPU_ON` for it is under way.
    ON_PENDING = -5;
    /// The firmware failed.
    INTERNAL_FAILURE = -6;
    /// The CPU is not there.
    NOT_PRESENT = -7;
    /// The CPU is disabled.
    DISABLED = -8;
    /// The entry address is not valid.
    INVALID_ADDRESS = -9;
}

/// `AFFINITY_INFO`: the CPU is on.
pub const AFFINITY_ON: i32 = 0;
/// `AFFINITY_INFO`: the CPU is off.
pub const AFFINITY_OFF: i32 = 1;
/// `AFFINITY_INFO`: a `CPU_ON` is under way.
pub const AFFINITY_ON_PENDING: i32 = 2;
