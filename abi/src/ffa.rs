//! Firmware Framework for Arm A-profile (Arm DEN0077A, 1.2): what the memory management protocol needs.
//!
//! The descriptors themselves are encoded and decoded where they are used; here are the numbers that both sides
//! must agree on.

use crate::table::constants;

constants! {
    /// The function ids, as a table.
    FUNCTIONS: u32;

    /// `FFA_ERROR`, section 12.1.
    ERROR = 0x8400_0060;
    /// `FFA_SUCCESS`, 32-bit, section 12.2.
    SUCCESS_32 = 0x8400_0061;
    /// `FFA_SUCCESS`, 64-bit.
    SUCCESS_64 = 0xC400_0061;
    /// `FFA_VERSION`, section 13.2.
    VERSION = 0x8400_0063;
    /// `FFA_FEATURES`, section 13.3.
    FEATURES = 0x8400_0064;
    /// `FFA_RX_RELEASE`, section 13.5.
    RX_RELEASE = 0x8400_0065;
    /// `FFA_RXTX_MAP`, 32-bit, section 13.6.
    RXTX_MAP_32 = 0x8400_0066;
    /// `FFA_RXTX_MAP`, 64-bit.
    RXTX_MAP_64 = 0xC400_0066;
    /// `FFA_RXTX_UNMAP`, section 13.7.
    RXTX_UNMAP = 0x8400_0067;
    /// `FFA_ID_GET`, section 13.10.
    ID_GET = 0x8400_0069;
    /// `FFA_SPM_ID_GET`, section 13.11.
    SPM_ID_GET = 0x8400_0085;
    /// `FFA_MEM_DONATE`, 32-bit, section 16.1.
    MEM_DONATE_32 = 0x8400_0071;
    /// `FFA_MEM_DONATE`, 64-bit.
    MEM_DONATE_64 = 0xC400_0071;
    /// `FFA_MEM_LEND`, 32-bit, section 16.2.
    MEM_LEND_32 = 0x8400_0072;
    /// `FFA_MEM_LEND`, 64-bit.
    MEM_LEND_64 = 0xC400_0072;
    /// `FFA_MEM_SHARE`, 32-bit, section 16.3.
    MEM_SHARE_32 = 0x8400_0073;
    /// `FFA_MEM_SHARE`, 64-bit.
    MEM_SHARE_64 = 0xC400_0073;
    /// `FFA_MEM_RETRIEVE_REQ`, 32-bit, section 16.4.
    MEM_RETRIEVE_REQ_32 = 0x8400_0074;
    /// `FFA_MEM_RETRIEVE_REQ`, 64-bit.
    MEM_RETRIEVE_REQ_64 = 0xC400_0074;
    /// `FFA_MEM_RETRIEVE_RESP`, section 16.5.
    MEM_RETRIEVE_RESP = 0x8400_0075;
    /// `FFA_MEM_RELINQUISH`, section 16.6.
    MEM_RELINQUISH = 0x8400_0076;
    /// `FFA_MEM_RECLAIM`, section 16.7.
    MEM_RECLAIM = 0x8400_0077;
}

/// The version that we answer: 1.2.
pub const VERSION_1_2: u32 = 0x1_0002;

constants! {
    /// The error codes (Table 12.1), as a table.
    ERRORS: i32;

    /// The function is not implemented.
    NOT_SUPPORTED = -1;
    /// An argument is not valid.
    INVALID_PARAMETERS = -2;
    /// There is no memory for it.
    NO_MEMORY = -3;
    /// The callee is busy.
    BUSY = -4;
    /// An interrupt came in between.
    INTERRUPTED = -5;
    /// The caller may not do this, or not in this state.
    DENIED = -6;
    /// Call again.
    RETRY = -7;
    /// The operation was aborted.
    ABORTED = -8;
    /// There is no data.
    NO_DATA = -9;
}

/// The endpoint id of the hypervisor (section 6.1: the id of the partition manager of a non-secure world).
pub const HYPERVISOR_ID: u16 = 0;
/// The endpoint id of the host. Guests have the ids that follow.
pub const HOST_ID: u16 = 1;

/// Memory region attributes, bits 5:4 = 0b10 Normal, 3:2 = 0b11 Write-Back, 1:0 = 0b11 Inner Shareable (Table 1.4 of
/// the memory management protocol, DEN0140).
pub const ATTRIBUTES_NORMAL_WB_ISH: u16 = 0b10_11_11;
constants! {
    /// Memory access permissions (DEN0140, Table 1.2), as a table.
    PERMISSIONS: u8;

    /// Bits 1:0 = 0b10: read-write.
    PERMISSION_RW = 0b10;
    /// Bits 1:0 = 0b01: read-only.
    PERMISSION_RO = 0b01;
    /// Bits 3:2 = 0b10: executable.
    PERMISSION_EXEC = 0b10 << 2;
    /// Bits 3:2 = 0b01: not executable.
    PERMISSION_NOEXEC = 0b01 << 2;
}
