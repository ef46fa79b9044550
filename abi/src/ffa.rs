//! Firmware Framework for Arm A-profile (Arm DEN0077A, 1.2): what the memory management protocol needs.
//!
//! The descriptors themselves are encoded and decoded where they are used; here are the numbers that both sides
//! must agree on.

/// `FFA_ERROR`, section 12.1.
pub const ERROR: u32 = 0x8400_0060;
/// `FFA_SUCCESS`, 32-bit, section 12.2.
pub const SUCCESS_32: u32 = 0x8400_0061;
/// `FFA_SUCCESS`, 64-bit.
pub const SUCCESS_64: u32 = 0xC400_0061;
/// `FFA_VERSION`, section 13.2.
pub const VERSION: u32 = 0x8400_0063;
/// `FFA_FEATURES`, section 13.3.
pub const FEATURES: u32 = 0x8400_0064;
/// `FFA_RX_RELEASE`, section 13.5.
pub const RX_RELEASE: u32 = 0x8400_0065;
/// `FFA_RXTX_MAP`, 32-bit, section 13.6.
pub const RXTX_MAP_32: u32 = 0x8400_0066;
/// `FFA_RXTX_MAP`, 64-bit.
pub const RXTX_MAP_64: u32 = 0xC400_0066;
/// `FFA_RXTX_UNMAP`, section 13.7.
pub const RXTX_UNMAP: u32 = 0x8400_0067;
/// `FFA_ID_GET`, section 13.10.
pub const ID_GET: u32 = 0x8400_0069;
/// `FFA_SPM_ID_GET`, section 13.11.
pub const SPM_ID_GET: u32 = 0x8400_0085;
/// `FFA_MEM_DONATE`, 32-bit, section 16.1.
pub const MEM_DONATE_32: u32 = 0x8400_0071;
/// `FFA_MEM_DONATE`, 64-bit.
pub const MEM_DONATE_64: u32 = 0xC400_0071;
/// `FFA_MEM_LEND`, 32-bit, section 16.2.
pub const MEM_LEND_32: u32 = 0x8400_0072;
/// `FFA_MEM_LEND`, 64-bit.
pub const MEM_LEND_64: u32 = 0xC400_0072;
/// `FFA_MEM_SHARE`, 32-bit, section 16.3.
pub const MEM_SHARE_32: u32 = 0x8400_0073;
/// `FFA_MEM_SHARE`, 64-bit.
pub const MEM_SHARE_64: u32 = 0xC400_0073;
/// `FFA_MEM_RETRIEVE_REQ`, 32-bit, section 16.4.
pub const MEM_RETRIEVE_REQ_32: u32 = 0x8400_0074;
/// `FFA_MEM_RETRIEVE_REQ`, 64-bit.
pub const MEM_RETRIEVE_REQ_64: u32 = 0xC400_0074;
/// `FFA_MEM_RETRIEVE_RESP`, section 16.5.
pub const MEM_RETRIEVE_RESP: u32 = 0x8400_0075;
/// `FFA_MEM_RELINQUISH`, section 16.6.
pub const MEM_RELINQUISH: u32 = 0x8400_0076;
/// `FFA_MEM_RECLAIM`, section 16.7.
pub const MEM_RECLAIM: u32 = 0x8400_0077;

/// The version that we answer: 1.2.
pub const VERSION_1_2: u32 = 0x1_0002;

/// Table 12.1: the function is not implemented.
pub const NOT_SUPPORTED: i32 = -1;
/// Table 12.1: an argument is not valid.
pub const INVALID_PARAMETERS: i32 = -2;
/// Table 12.1: there is no memory for it.
pub const NO_MEMORY: i32 = -3;
/// Table 12.1: the callee is busy.
pub const BUSY: i32 = -4;
/// Table 12.1: an interrupt came in between.
pub const INTERRUPTED: i32 = -5;
/// Table 12.1: the caller may not do this, or not in this state.
pub const DENIED: i32 = -6;
/// Table 12.1: call again.
pub const RETRY: i32 = -7;
/// Table 12.1: the operation was aborted.
pub const ABORTED: i32 = -8;
/// Table 12.1: there is no data.
pub const NO_DATA: i32 = -9;

/// The endpoint id of the hypervisor (section 6.1: the id of the partition manager of a non-secure world).
pub const HYPERVISOR_ID: u16 = 0;
/// The endpoint id of the host. Guests have the ids that follow.
pub const HOST_ID: u16 = 1;

/// Memory region attributes, bits 5:4 = 0b10 Normal, 3:2 = 0b11 Write-Back, 1:0 = 0b11 Inner Shareable (Table 1.4 of
/// the memory management protocol, DEN0140).
pub const ATTRIBUTES_NORMAL_WB_ISH: u16 = 0b10_11_11;
/// Memory access permissions: bits 1:0 = 0b10 read-write (DEN0140, Table 1.2).
pub const PERMISSION_RW: u8 = 0b10;
/// Memory access permissions: bits 1:0 = 0b01 read-only.
pub const PERMISSION_RO: u8 = 0b01;
/// Memory access permissions: bits 3:2 = 0b10 executable.
pub const PERMISSION_EXEC: u8 = 0b10 << 2;
/// Memory access permissions: bits 3:2 = 0b01 not executable.
pub const PERMISSION_NOEXEC: u8 = 0b01 << 2;
