//! Registers of QUP, version 2, as an I2C controller.
//!
//! Linux `drivers/i2c/busses/i2c-qup.c`, checked against coreboot `src/soc/qualcomm/ipq40xx/include/soc/qup.h`.

use crate::mmio::{Ro, Rw, Wo};
use tock_registers::register_bitfields;

register_bitfields![u32,
    pub QUP_CONFIG [
        MINI_CORE OFFSET(8) NUMBITS(4) [
            I2c = 2
        ],
        /// Receives nothing.
        NO_INPUT OFFSET(7) NUMBITS(1) [],
        /// The bits of a unit, less one.
        N OFFSET(0) NUMBITS(5) []
    ],
    pub QUP_STATE [
        /// The mini core is an I2C controller.
        I2C_MAST_GEN OFFSET(4) NUMBITS(1) [],
        VALID OFFSET(2) NUMBITS(1) [],
        STATE OFFSET(0) NUMBITS(2) [
            Reset = 0,
            Run = 1,
            Pause = 3
        ]
    ],
    pub QUP_IO_MODE [
        PACK_EN OFFSET(15) NUMBITS(1) [],
        UNPACK_EN OFFSET(14) NUMBITS(1) [],
        INPUT_MODE OFFSET(12) NUMBITS(2) [
            Fifo = 0
        ],
        OUTPUT_MODE OFFSET(10) NUMBITS(2) [
            Fifo = 0
        ],
        /// Two to the power of one more: in blocks.
        INPUT_FIFO_SIZE OFFSET(7) NUMBITS(3) [],
        /// 4, 16 or 32 bytes.
        INPUT_BLOCK_SIZE OFFSET(5) NUMBITS(2) [],
        OUTPUT_FIFO_SIZE OFFSET(2) NUMBITS(3) [],
        OUTPUT_BLOCK_SIZE OFFSET(0) NUMBITS(2) []
    ],
    pub QUP_OPERATIONAL [
        /// All that was to be read is in the FIFO. Writing one clears.
        IN_SVC OFFSET(9) NUMBITS(1) [],
        /// All that was to be written has left the FIFO. Writing one clears.
        OUT_SVC OFFSET(8) NUMBITS(1) []
    ],
    pub QUP_ERROR_FLAGS [
        /// Overruns and underruns. Writing ones clears.
        ERRORS OFFSET(2) NUMBITS(5) []
    ],
    pub QUP_MX_CNT [
        /// It is written while the controller does not reset.
        CONFIG_DURING_RUN OFFSET(31) NUMBITS(1) [],
        COUNT OFFSET(0) NUMBITS(16) []
    ],
    pub QUP_I2C_CLK_CTL [
        /// Ticks of SCL high, where they are not half of a cycle.
        HIGH OFFSET(16) NUMBITS(8) [],
        HS_DIVIDER OFFSET(8) NUMBITS(3) [],
        FS_DIVIDER OFFSET(0) NUMBITS(8) []
    ],
    pub QUP_I2C_STATUS [
        INVALID_READ_SEQ OFFSET(25) NUMBITS(1) [],
        INVALID_READ_ADDR OFFSET(24) NUMBITS(1) [],
        INVALID_TAG OFFSET(23) NUMBITS(1) [],
        BUS_ACTIVE OFFSET(8) NUMBITS(1) [],
        FAILED OFFSET(6) NUMBITS(2) [],
        INVALID_WRITE OFFSET(5) NUMBITS(1) [],
        ARB_LOST OFFSET(4) NUMBITS(1) [],
        PACKET_NACK OFFSET(3) NUMBITS(1) [],
        BUS_ERROR OFFSET(2) NUMBITS(1) []
    ],
    pub QUP_I2C_MASTER_GEN [
        V2_TAGS_EN OFFSET(0) NUMBITS(1) []
    ],
];

pub const CONFIG: Rw<u32, QUP_CONFIG::Register> = Rw::new(0x000);
pub const STATE: Rw<u32, QUP_STATE::Register> = Rw::new(0x004);
pub const IO_MODE: Rw<u32, QUP_IO_MODE::Register> = Rw::new(0x008);
pub const SW_RESET: Wo<u32> = Wo::new(0x00c);
pub const OPERATIONAL: Rw<u32, QUP_OPERATIONAL::Register> = Rw::new(0x018);
pub const ERROR_FLAGS: Rw<u32, QUP_ERROR_FLAGS::Register> = Rw::new(0x01c);
pub const MX_OUTPUT_CNT: Wo<u32, QUP_MX_CNT::Register> = Wo::new(0x100);
pub const OUT_FIFO: Wo<u32> = Wo::new(0x110);
pub const MX_WRITE_CNT: Wo<u32, QUP_MX_CNT::Register> = Wo::new(0x150);
pub const MX_INPUT_CNT: Wo<u32, QUP_MX_CNT::Register> = Wo::new(0x200);
pub const MX_READ_CNT: Wo<u32, QUP_MX_CNT::Register> = Wo::new(0x208);
pub const IN_FIFO: Ro<u32> = Ro::new(0x218);
pub const I2C_CLK_CTL: Rw<u32, QUP_I2C_CLK_CTL::Register> = Rw::new(0x400);
/// A write clears what has gone wrong: Linux writes the bits back, coreboot any value.
pub const I2C_STATUS: Rw<u32, QUP_I2C_STATUS::Register> = Rw::new(0x404);
pub const I2C_MASTER_GEN: Rw<u32, QUP_I2C_MASTER_GEN::Register> = Rw::new(0x408);

/// The sizes of a block in bytes, by their codes (Linux qup_i2c_probe).
pub const BLOCK_SIZES: [usize; 3] = [4, 16, 32];

/// What the bytes in the FIFO mean that are not data (Linux, QUP_TAG_V2_*).
pub mod tag {
    /// A start; the address and the direction follow.
    pub const START: u8 = 0x81;
    /// Write; a count and that many bytes follow.
    pub const DATA_WRITE: u8 = 0x82;
    /// The same, and a stop.
    pub const DATA_WRITE_STOP: u8 = 0x83;
    /// Read and acknowledge; a count follows.
    pub const DATA_READ: u8 = 0x85;
    /// The same, but for the last byte, which is not acknowledged.
    pub const DATA_READ_NACK: u8 = 0x86;
    /// The same, and a stop.
    pub const DATA_READ_STOP: u8 = 0x87;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn offsets_are_those_of_the_other_source() {
        // coreboot ipq40xx, soc/qup.h.
        let own = [
            CONFIG.offset(),
            STATE.offset(),
            IO_MODE.offset(),
            SW_RESET.offset(),
            OPERATIONAL.offset(),
            ERROR_FLAGS.offset(),
            MX_OUTPUT_CNT.offset(),
            OUT_FIFO.offset(),
            MX_WRITE_CNT.offset(),
            MX_INPUT_CNT.offset(),
            MX_READ_CNT.offset(),
            IN_FIFO.offset(),
            I2C_CLK_CTL.offset(),
            I2C_STATUS.offset(),
            I2C_MASTER_GEN.offset(),
        ];
        let others = [
            0x0, 0x4, 0x8, 0xc, 0x18, 0x1c, 0x100, 0x110, 0x150, 0x200, 0x208, 0x218, 0x400, 0x404, 0x408,
        ];
        assert_eq!(own, others);
    }
}
