//! Where LLCC's registers are: two layouts, by version.
//!
//! Linux `drivers/soc/qcom/llcc-qcom.c` (llcc_v1_edac_reg_offset, llcc_v2_1_edac_reg_offset, llcc_v1_reg_offset,
//! llcc_v2_1_reg_offset) and `drivers/edac/qcom_edac.c`; no other public source is known.

use crate::mmio::{Ro, Rw, Wo};
use tock_registers::register_bitfields;

register_bitfields![u32,
    pub COMMON_STATUS0 [
        /// How many banks there are.
        LB_CNT OFFSET(28) NUMBITS(4) []
    ],
    pub CMN_INTERRUPT_0_ENABLE [
        DRP0 OFFSET(6) NUMBITS(1) [],
        TRP0 OFFSET(0) NUMBITS(1) []
    ],
    /// Status, clear and enable registers of both RAMs, and the clear registers of their counters.
    pub ECC_BITS [
        /// A double-bit error, which cannot be corrected.
        DB OFFSET(1) NUMBITS(1) [],
        /// A single-bit error, which has been corrected.
        SB OFFSET(0) NUMBITS(1) []
    ],
    pub DRP_ECC_ERROR_CFG [
        SB_THRESHOLD OFFSET(24) NUMBITS(8) []
    ],
    pub ECC_ERROR_STATUS0 [
        DB_WAYS OFFSET(16) NUMBITS(16) [],
        SB_WAYS OFFSET(0) NUMBITS(16) []
    ],
    pub ECC_ERROR_STATUS1 [
        SB_COUNT OFFSET(16) NUMBITS(8) [],
        DB_COUNT OFFSET(0) NUMBITS(5) []
    ],
];

/// The registers about one RAM's errors.
#[derive(Clone, Copy)]
pub struct RamRegisters {
    pub interrupt_status: Ro<u32, ECC_BITS::Register>,
    pub interrupt_clear: Wo<u32, ECC_BITS::Register>,
    pub interrupt_enable: Rw<u32, ECC_BITS::Register>,
    pub counter_clear: Wo<u32, ECC_BITS::Register>,
    pub status0: Ro<u32, ECC_ERROR_STATUS0::Register>,
    pub status1: Ro<u32, ECC_ERROR_STATUS1::Register>,
    /// The first of the syndromes of single-bit errors, and of double-bit errors.
    pub syndromes: [usize; 2],
    /// How many syndromes there are.
    pub count: usize,
}

/// All registers of a layout.
#[derive(Clone, Copy)]
pub struct Registers {
    pub hw_info: Ro<u32>,
    pub status0: Ro<u32, COMMON_STATUS0::Register>,
    pub interrupt_0_enable: Rw<u32, CMN_INTERRUPT_0_ENABLE::Register>,
    pub drp_ecc_error_cfg: Wo<u32, DRP_ECC_ERROR_CFG::Register>,
    pub trp: RamRegisters,
    pub drp: RamRegisters,
}

const TRP: RamRegisters = RamRegisters {
    interrupt_status: Ro::new(0x2_0480),
    interrupt_clear: Wo::new(0x2_0484),
    interrupt_enable: Rw::new(0x2_0488),
    counter_clear: Wo::new(0x2_0440),
    status0: Ro::new(0x2_0344),
    status1: Ro::new(0x2_0348),
    syndromes: [0x2_034c, 0x2_0370],
    count: 6,
};

/// Version 1: SDM845, SM8250, SC7280.
pub const V1: Registers = Registers {
    hw_info: Ro::new(0x3_0000),
    status0: Ro::new(0x3_000c),
    interrupt_0_enable: Rw::new(0x3_001c),
    drp_ecc_error_cfg: Wo::new(0x4_0000),
    trp: TRP,
    drp: RamRegisters {
        interrupt_status: Ro::new(0x4_1000),
        interrupt_clear: Wo::new(0x4_1008),
        interrupt_enable: Rw::new(0x4_100c),
        counter_clear: Wo::new(0x4_0004),
        status0: Ro::new(0x4_2044),
        status1: Ro::new(0x4_2048),
        syndromes: [0x4_204c, 0x4_2070],
        count: 8,
    },
};

/// Version 2.1: SM8550, SM8650, X1E80100.
pub const V2_1: Registers = Registers {
    hw_info: Ro::new(0x3_4000),
    status0: Ro::new(0x3_400c),
    interrupt_0_enable: Rw::new(0x3_401c),
    drp_ecc_error_cfg: Wo::new(0x5_0000),
    trp: TRP,
    drp: RamRegisters {
        interrupt_status: Ro::new(0x5_0020),
        interrupt_clear: Wo::new(0x5_0028),
        interrupt_enable: Rw::new(0x5_002c),
        counter_clear: Wo::new(0x5_0004),
        status0: Ro::new(0x5_20f4),
        status1: Ro::new(0x5_20f8),
        syndromes: [0x5_20fc, 0x5_2120],
        count: 8,
    },
};
