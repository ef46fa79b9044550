//! Registers that every GENI serial engine has, whatever it speaks.
//!
//! Offsets and fields: Linux `include/linux/soc/qcom/geni-se.h` and `drivers/soc/qcom/qcom-geni-se.c`, checked against
//! coreboot `src/soc/qualcomm/common/include/soc/qup_se_handlers_common.h`. Where the two name a register differently the
//! first one's name is used.

use crate::mmio::{Ro, Rw, Wo};
use tock_registers::register_bitfields;

register_bitfields![u32,
    /// The wrapper's version.
    pub QUP_HW_VER [
        MAJOR OFFSET(28) NUMBITS(4) [],
        MINOR OFFSET(16) NUMBITS(12) [],
        STEP OFFSET(0) NUMBITS(16) []
    ],
    pub GENI_FORCE_DEFAULT_REG [
        FORCE_DEFAULT OFFSET(0) NUMBITS(1) []
    ],
    pub GENI_OUTPUT_CTRL [
        IO_OUTPUT OFFSET(0) NUMBITS(7) []
    ],
    pub GENI_CGC_CTRL [
        /// Clock gating of the seven clocks, by the engine itself.
        CGC_ON OFFSET(0) NUMBITS(7) []
    ],
    pub GENI_STATUS [
        /// The secondary sequencer runs a command.
        S_GENI_CMD_ACTIVE OFFSET(12) NUMBITS(1) [],
        /// The main sequencer runs a command.
        M_GENI_CMD_ACTIVE OFFSET(0) NUMBITS(1) []
    ],
    pub GENI_SER_CLK_CFG [
        CLK_DIV OFFSET(4) NUMBITS(12) [],
        SER_CLK_EN OFFSET(0) NUMBITS(1) []
    ],
    pub GENI_IF_DISABLE_RO [
        FIFO_IF_DISABLE OFFSET(0) NUMBITS(1) []
    ],
    pub GENI_FW_REVISION_RO [
        PROTOCOL OFFSET(8) NUMBITS(8) []
    ],
    pub GENI_DMA_MODE_EN [
        GENI_DMA_MODE_EN OFFSET(0) NUMBITS(1) []
    ],
    pub GENI_CMD0 [
        OPCODE OFFSET(27) NUMBITS(5) [],
        PARAMS OFFSET(0) NUMBITS(27) []
    ],
    pub GENI_CMD_CTRL_REG [
        CANCEL OFFSET(2) NUMBITS(1) [],
        ABORT OFFSET(1) NUMBITS(1) [],
        DISABLE OFFSET(0) NUMBITS(1) []
    ],
    /// STATUS, EN, CLEAR, EN_SET and EN_CLEAR of both sequencers have this layout; the last column of bits means
    /// something to the main one only.
    pub GENI_IRQ [
        SEC_IRQ OFFSET(31) NUMBITS(1) [],
        TX_FIFO_WATERMARK OFFSET(30) NUMBITS(1) [],
        TX_FIFO_WR_ERR OFFSET(29) NUMBITS(1) [],
        TX_FIFO_RD_ERR OFFSET(28) NUMBITS(1) [],
        RX_FIFO_LAST OFFSET(27) NUMBITS(1) [],
        RX_FIFO_WATERMARK OFFSET(26) NUMBITS(1) [],
        RX_FIFO_WR_ERR OFFSET(25) NUMBITS(1) [],
        RX_FIFO_RD_ERR OFFSET(24) NUMBITS(1) [],
        /// Bits 9 to 14: what the protocol's firmware means by them.
        GP_IRQ_5 OFFSET(14) NUMBITS(1) [],
        GP_IRQ_4 OFFSET(13) NUMBITS(1) [],
        GP_IRQ_3 OFFSET(12) NUMBITS(1) [],
        GP_IRQ_2 OFFSET(11) NUMBITS(1) [],
        GP_IRQ_1 OFFSET(10) NUMBITS(1) [],
        GP_IRQ_0 OFFSET(9) NUMBITS(1) [],
        CMD_ABORT OFFSET(5) NUMBITS(1) [],
        CMD_CANCEL OFFSET(4) NUMBITS(1) [],
        CMD_FAILURE OFFSET(3) NUMBITS(1) [],
        ILLEGAL_CMD OFFSET(2) NUMBITS(1) [],
        CMD_OVERRUN OFFSET(1) NUMBITS(1) [],
        CMD_DONE OFFSET(0) NUMBITS(1) []
    ],
    pub GENI_TX_FIFO_STATUS [
        /// Words in the FIFO.
        TX_FIFO_WC OFFSET(0) NUMBITS(28) []
    ],
    pub GENI_RX_FIFO_STATUS [
        /// The last word in the FIFO ends a transfer or a pause.
        RX_LAST OFFSET(31) NUMBITS(1) [],
        /// How many of that word's bytes count; zero is all four.
        RX_LAST_BYTE_VALID OFFSET(28) NUMBITS(3) [],
        /// Words in the FIFO.
        RX_FIFO_WC OFFSET(0) NUMBITS(25) []
    ],
    pub GENI_WATERMARK_REG [
        /// In words.
        WATERMARK OFFSET(0) NUMBITS(6) []
    ],
    pub SE_GSI_EVENT_EN [
        EVENTS OFFSET(0) NUMBITS(4) []
    ],
    pub SE_IRQ_EN [
        GENI_S OFFSET(3) NUMBITS(1) [],
        GENI_M OFFSET(2) NUMBITS(1) [],
        DMA_TX OFFSET(1) NUMBITS(1) [],
        DMA_RX OFFSET(0) NUMBITS(1) []
    ],
    /// SE_HW_PARAM_0 for the transmit FIFO, SE_HW_PARAM_1 for the receive FIFO.
    pub SE_HW_PARAM [
        /// In bits.
        FIFO_WIDTH OFFSET(24) NUMBITS(6) [],
        /// In words; the upper two bits from version 3.10 on.
        FIFO_DEPTH OFFSET(16) NUMBITS(8) []
    ],
    pub SE_DMA_GENERAL_CFG [
        /// Clock gating of the DMA's four clocks, by the engine itself.
        CGC_ON OFFSET(0) NUMBITS(4) []
    ],
];

/// In the wrapper's registers, not the engine's.
pub const QUP_HW_VER_REG: Ro<u32, QUP_HW_VER::Register> = Ro::new(0x4);

pub const GENI_FORCE_DEFAULT: Wo<u32, GENI_FORCE_DEFAULT_REG::Register> = Wo::new(0x20);
pub const GENI_OUTPUT: Rw<u32, GENI_OUTPUT_CTRL::Register> = Rw::new(0x24);
pub const GENI_CGC: Rw<u32, GENI_CGC_CTRL::Register> = Rw::new(0x28);
pub const SE_GENI_STATUS: Ro<u32, GENI_STATUS::Register> = Ro::new(0x40);
pub const GENI_SER_M_CLK_CFG: Rw<u32, GENI_SER_CLK_CFG::Register> = Rw::new(0x48);
pub const GENI_SER_S_CLK_CFG: Rw<u32, GENI_SER_CLK_CFG::Register> = Rw::new(0x4c);
pub const GENI_IF_DISABLE: Ro<u32, GENI_IF_DISABLE_RO::Register> = Ro::new(0x64);
pub const GENI_FW_REVISION: Ro<u32, GENI_FW_REVISION_RO::Register> = Ro::new(0x68);
pub const SE_GENI_BYTE_GRAN: Rw<u32> = Rw::new(0x254);
pub const SE_GENI_DMA_MODE_EN: Rw<u32, GENI_DMA_MODE_EN::Register> = Rw::new(0x258);
pub const SE_GENI_TX_PACKING_CFG0: Rw<u32> = Rw::new(0x260);
pub const SE_GENI_TX_PACKING_CFG1: Rw<u32> = Rw::new(0x264);
pub const SE_GENI_RX_PACKING_CFG0: Rw<u32> = Rw::new(0x284);
pub const SE_GENI_RX_PACKING_CFG1: Rw<u32> = Rw::new(0x288);
pub const SE_GENI_M_CMD0: Wo<u32, GENI_CMD0::Register> = Wo::new(0x600);
pub const SE_GENI_M_CMD_CTRL_REG: Wo<u32, GENI_CMD_CTRL_REG::Register> = Wo::new(0x604);
pub const SE_GENI_M_IRQ_STATUS: Ro<u32, GENI_IRQ::Register> = Ro::new(0x610);
pub const SE_GENI_M_IRQ_EN: Rw<u32, GENI_IRQ::Register> = Rw::new(0x614);
/// Writing ones clears.
pub const SE_GENI_M_IRQ_CLEAR: Wo<u32, GENI_IRQ::Register> = Wo::new(0x618);
pub const SE_GENI_S_CMD0: Wo<u32, GENI_CMD0::Register> = Wo::new(0x630);
pub const SE_GENI_S_CMD_CTRL_REG: Wo<u32, GENI_CMD_CTRL_REG::Register> = Wo::new(0x634);
pub const SE_GENI_S_IRQ_STATUS: Ro<u32, GENI_IRQ::Register> = Ro::new(0x640);
pub const SE_GENI_S_IRQ_EN: Rw<u32, GENI_IRQ::Register> = Rw::new(0x644);
/// Writing ones clears.
pub const SE_GENI_S_IRQ_CLEAR: Wo<u32, GENI_IRQ::Register> = Wo::new(0x648);
pub const SE_GENI_S_IRQ_EN_SET: Wo<u32, GENI_IRQ::Register> = Wo::new(0x64c);
pub const SE_GENI_S_IRQ_EN_CLEAR: Wo<u32, GENI_IRQ::Register> = Wo::new(0x650);
pub const SE_GENI_TX_FIFO: Wo<u32> = Wo::new(0x700);
pub const SE_GENI_RX_FIFO: Ro<u32> = Ro::new(0x780);
pub const SE_GENI_TX_FIFO_STATUS: Ro<u32, GENI_TX_FIFO_STATUS::Register> = Ro::new(0x800);
pub const SE_GENI_RX_FIFO_STATUS: Ro<u32, GENI_RX_FIFO_STATUS::Register> = Ro::new(0x804);
pub const SE_GENI_TX_WATERMARK_REG: Rw<u32, GENI_WATERMARK_REG::Register> = Rw::new(0x80c);
pub const SE_GENI_RX_WATERMARK_REG: Rw<u32, GENI_WATERMARK_REG::Register> = Rw::new(0x810);
pub const SE_GENI_RX_RFR_WATERMARK_REG: Rw<u32, GENI_WATERMARK_REG::Register> = Rw::new(0x814);
/// How many units the main sequencer's command has moved.
pub const SE_GENI_M_GP_LENGTH: Ro<u32> = Ro::new(0x910);
pub const SE_GSI_EVENTS: Rw<u32, SE_GSI_EVENT_EN::Register> = Rw::new(0xe18);
pub const SE_IRQ: Rw<u32, SE_IRQ_EN::Register> = Rw::new(0xe1c);
pub const SE_HW_PARAM_0: Ro<u32, SE_HW_PARAM::Register> = Ro::new(0xe24);
pub const SE_HW_PARAM_1: Ro<u32, SE_HW_PARAM::Register> = Ro::new(0xe28);
pub const SE_DMA_GENERAL: Rw<u32, SE_DMA_GENERAL_CFG::Register> = Rw::new(0xe30);

/// Bytes in a word of either FIFO.
pub const BYTES_PER_WORD: usize = 4;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn offsets_are_those_of_the_other_source() {
        // coreboot's struct qup_regs, counted.
        let own = [
            GENI_FORCE_DEFAULT.offset(),
            GENI_OUTPUT.offset(),
            GENI_CGC.offset(),
            SE_GENI_STATUS.offset(),
            GENI_SER_M_CLK_CFG.offset(),
            GENI_SER_S_CLK_CFG.offset(),
            GENI_IF_DISABLE.offset(),
            GENI_FW_REVISION.offset(),
            SE_GENI_BYTE_GRAN.offset(),
            SE_GENI_DMA_MODE_EN.offset(),
            SE_GENI_TX_PACKING_CFG0.offset(),
            SE_GENI_TX_PACKING_CFG1.offset(),
            SE_GENI_RX_PACKING_CFG0.offset(),
            SE_GENI_RX_PACKING_CFG1.offset(),
            SE_GENI_M_CMD0.offset(),
            SE_GENI_M_CMD_CTRL_REG.offset(),
            SE_GENI_M_IRQ_STATUS.offset(),
            SE_GENI_M_IRQ_EN.offset(),
            SE_GENI_M_IRQ_CLEAR.offset(),
            SE_GENI_S_CMD0.offset(),
            SE_GENI_S_CMD_CTRL_REG.offset(),
            SE_GENI_S_IRQ_STATUS.offset(),
            SE_GENI_S_IRQ_EN.offset(),
            SE_GENI_S_IRQ_CLEAR.offset(),
            SE_GENI_S_IRQ_EN_SET.offset(),
            SE_GENI_S_IRQ_EN_CLEAR.offset(),
            SE_GENI_TX_FIFO.offset(),
            SE_GENI_RX_FIFO.offset(),
            SE_GENI_TX_FIFO_STATUS.offset(),
            SE_GENI_RX_FIFO_STATUS.offset(),
            SE_GENI_TX_WATERMARK_REG.offset(),
            SE_GENI_RX_WATERMARK_REG.offset(),
            SE_GENI_RX_RFR_WATERMARK_REG.offset(),
            SE_GENI_M_GP_LENGTH.offset(),
            SE_GSI_EVENTS.offset(),
            SE_IRQ.offset(),
            SE_HW_PARAM_0.offset(),
            SE_HW_PARAM_1.offset(),
            SE_DMA_GENERAL.offset(),
        ];
        let others = [
            0x20, 0x24, 0x28, 0x40, 0x48, 0x4c, 0x64, 0x68, 0x254, 0x258, 0x260, 0x264, 0x284, 0x288, 0x600, 0x604,
            0x610, 0x614, 0x618, 0x630, 0x634, 0x640, 0x644, 0x648, 0x64c, 0x650, 0x700, 0x780, 0x800, 0x804, 0x80c,
            0x810, 0x814, 0x910, 0xe18, 0xe1c, 0xe24, 0xe28, 0xe30,
        ];
        assert_eq!(own, others);
    }
}
