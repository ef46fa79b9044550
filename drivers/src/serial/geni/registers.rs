//! What a serial engine has of its own when it is a serial port.
//!
//! Linux `drivers/tty/serial/qcom_geni_serial.c`, checked against U-Boot `drivers/serial/serial_msm_geni.c` and coreboot
//! `src/soc/qualcomm/common/qupv3_uart.c`.

use crate::mmio::Rw;
use tock_registers::register_bitfields;

register_bitfields![u32,
    pub UART_TX_TRANS_CFG [
        /// Sends without regard to CTS.
        CTS_MASK OFFSET(1) NUMBITS(1) [],
        PAR_EN OFFSET(0) NUMBITS(1) []
    ],
    pub UART_TX_STOP_BIT_LEN [
        LEN OFFSET(0) NUMBITS(2) [
            One = 0,
            Two = 2
        ]
    ],
    pub UART_RX_STALE_CNT [
        /// In bit times: after that long without a character what has been received counts as a burst.
        COUNT OFFSET(0) NUMBITS(24) []
    ],
];

pub const SE_UART_TX_TRANS_CFG: Rw<u32, UART_TX_TRANS_CFG::Register> = Rw::new(0x25c);
/// In bits.
pub const SE_UART_TX_WORD_LEN: Rw<u32> = Rw::new(0x268);
pub const SE_UART_TX_STOP_BIT_LEN: Rw<u32, UART_TX_STOP_BIT_LEN::Register> = Rw::new(0x26c);
/// How many characters the next START_TX sends.
pub const SE_UART_TX_TRANS_LEN: Rw<u32> = Rw::new(0x270);
pub const SE_UART_RX_TRANS_CFG: Rw<u32> = Rw::new(0x280);
/// In bits.
pub const SE_UART_RX_WORD_LEN: Rw<u32> = Rw::new(0x28c);
pub const SE_UART_RX_STALE_CNT: Rw<u32, UART_RX_STALE_CNT::Register> = Rw::new(0x294);
pub const SE_UART_TX_PARITY_CFG: Rw<u32> = Rw::new(0x2a4);
pub const SE_UART_RX_PARITY_CFG: Rw<u32> = Rw::new(0x2a8);

/// The main sequencer's command to send.
pub const UART_START_TX: u32 = 1;
/// The secondary sequencer's command to receive.
pub const UART_START_READ: u32 = 1;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn offsets_are_those_of_the_other_source() {
        // U-Boot serial_msm_geni.c.
        let own = [
            SE_UART_TX_TRANS_CFG.offset(),
            SE_UART_TX_WORD_LEN.offset(),
            SE_UART_TX_STOP_BIT_LEN.offset(),
            SE_UART_TX_TRANS_LEN.offset(),
            SE_UART_RX_TRANS_CFG.offset(),
            SE_UART_RX_WORD_LEN.offset(),
            SE_UART_RX_STALE_CNT.offset(),
            SE_UART_TX_PARITY_CFG.offset(),
            SE_UART_RX_PARITY_CFG.offset(),
        ];
        let others = [0x25c, 0x268, 0x26c, 0x270, 0x280, 0x28c, 0x294, 0x2a4, 0x2a8];
        assert_eq!(own, others);
    }
}
