//! What a serial engine has of its own when it is an SPI controller.
//!
//! Linux `drivers/spi/spi-geni-qcom.c`, checked against coreboot `src/soc/qualcomm/common/qupv3_spi.c`.

use crate::mmio::Rw;
use tock_registers::register_bitfields;

register_bitfields![u32,
    pub SPI_CPHA [
        CPHA OFFSET(0) NUMBITS(1) []
    ],
    pub SPI_CPOL [
        CPOL OFFSET(2) NUMBITS(1) []
    ],
    pub SPI_DEMUX_SEL [
        /// Which chip select the commands for it are about.
        CS OFFSET(0) NUMBITS(4) []
    ],
    pub SPI_TRANS_CFG [
        /// The chip select is released between words.
        CS_TOGGLE OFFSET(1) NUMBITS(1) []
    ],
    pub SPI_WORD_LEN [
        /// The bits of a word, less four.
        WORD_LEN OFFSET(0) NUMBITS(10) []
    ],
    /// The parameters of a command.
    pub PARAMS [
        /// The chip select stays as it is.
        FRAGMENTATION OFFSET(2) NUMBITS(1) []
    ],
];

pub const SE_SPI_CPHA: Rw<u32, SPI_CPHA::Register> = Rw::new(0x224);
pub const SE_SPI_LOOPBACK: Rw<u32> = Rw::new(0x22c);
pub const SE_SPI_CPOL: Rw<u32, SPI_CPOL::Register> = Rw::new(0x230);
/// A bit for each chip select that is active when high.
pub const SE_SPI_DEMUX_OUTPUT_INV: Rw<u32> = Rw::new(0x24c);
pub const SE_SPI_DEMUX_SEL: Rw<u32, SPI_DEMUX_SEL::Register> = Rw::new(0x250);
pub const SE_SPI_TRANS_CFG: Rw<u32, SPI_TRANS_CFG::Register> = Rw::new(0x25c);
pub const SE_SPI_WORD_LEN: Rw<u32, SPI_WORD_LEN::Register> = Rw::new(0x268);
/// How many words the next command sends.
pub const SE_SPI_TX_TRANS_LEN: Rw<u32> = Rw::new(0x26c);
/// How many words the next command receives.
pub const SE_SPI_RX_TRANS_LEN: Rw<u32> = Rw::new(0x270);

/// Commands; the first two together are the one that does both.
pub const SPI_TX_ONLY: u32 = 1;
pub const SPI_RX_ONLY: u32 = 2;
pub const SPI_CS_ASSERT: u32 = 8;
pub const SPI_CS_DEASSERT: u32 = 9;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn offsets_are_those_of_the_other_source() {
        // coreboot's struct qup_regs, counted.
        let own = [
            SE_SPI_CPHA.offset(),
            SE_SPI_LOOPBACK.offset(),
            SE_SPI_CPOL.offset(),
            SE_SPI_DEMUX_OUTPUT_INV.offset(),
            SE_SPI_DEMUX_SEL.offset(),
            SE_SPI_TRANS_CFG.offset(),
            SE_SPI_WORD_LEN.offset(),
            SE_SPI_TX_TRANS_LEN.offset(),
            SE_SPI_RX_TRANS_LEN.offset(),
        ];
        let others = [0x224, 0x22c, 0x230, 0x24c, 0x250, 0x25c, 0x268, 0x26c, 0x270];
        assert_eq!(own, others);
    }
}
