//! Registers of UARTDM v1.4.
//!
//! U-Boot `drivers/serial/serial_msm.c` (after the APQ8016E's reference manual, 6.2.5.3), checked against TF-A
//! `plat/qti/msm8916/aarch64/uartdm_console.S` and Fuchsia's driver for MSM8x53. The block answers to these offsets and
//! to those of its forerunners, which Linux `drivers/tty/serial/msm_serial.c` uses (SR 0x8, CR 0x10, TF 0x70 and so
//! on); fields are alike.

use crate::mmio::{Ro, Rw, Wo};
use tock_registers::register_bitfields;

register_bitfields![u32,
    pub UART_DM_MR1 [
        /// Ready-for-receive follows the receive FIFO's level.
        RX_RDY_CTL OFFSET(7) NUMBITS(1) [],
        /// Sends only while CTS allows it.
        CTS_CTL OFFSET(6) NUMBITS(1) []
    ],
    pub UART_DM_MR2 [
        ERROR_MODE OFFSET(6) NUMBITS(1) [],
        BITS_PER_CHAR OFFSET(4) NUMBITS(2) [
            EightBits = 3
        ],
        STOP_BIT_LEN OFFSET(2) NUMBITS(2) [
            One = 1
        ],
        PARITY_MODE OFFSET(0) NUMBITS(2) [
            None = 0
        ]
    ],
    pub UART_DM_DMEN [
        /// Each word of the receive FIFO is one character.
        RX_SC_ENABLE OFFSET(5) NUMBITS(1) [],
        /// Each word of the transmit FIFO is one character, and goes out without a count in NCF_TX.
        TX_SC_ENABLE OFFSET(4) NUMBITS(1) [],
        RX_BAM_ENABLE OFFSET(3) NUMBITS(1) [],
        TX_BAM_ENABLE OFFSET(2) NUMBITS(1) []
    ],
    pub UART_DM_RXFS [
        /// Characters that do not make a word of the FIFO yet.
        RX_BUFFER_STATE OFFSET(7) NUMBITS(3) []
    ],
    pub UART_DM_CSR [
        RX_CLOCK OFFSET(4) NUMBITS(4) [],
        TX_CLOCK OFFSET(0) NUMBITS(4) []
    ],
    pub UART_DM_SR [
        RX_BREAK OFFSET(6) NUMBITS(1) [],
        PAR_FRAME_ERR OFFSET(5) NUMBITS(1) [],
        OVERRUN OFFSET(4) NUMBITS(1) [],
        /// Nothing to send, in the FIFO or behind it.
        TX_EMPTY OFFSET(3) NUMBITS(1) [],
        /// The transmit FIFO has room.
        TX_READY OFFSET(2) NUMBITS(1) [],
        /// The receive FIFO has a word.
        RX_READY OFFSET(0) NUMBITS(1) []
    ],
    pub UART_DM_CR [
        /// Channel commands (bits 7:4, with bit 11) and general commands (bits 10:8) share the field; one at a time.
        COMMAND OFFSET(4) NUMBITS(8) [
            ResetRx = 0x01,
            ResetTx = 0x02,
            ResetErr = 0x03,
            ResetBreakInt = 0x04,
            ResetStaleInt = 0x08,
            ForceStale = 0x40,
            StaleEventDisable = 0x60
        ],
        TX_EN OFFSET(2) NUMBITS(1) [],
        RX_EN OFFSET(0) NUMBITS(1) []
    ],
];

pub const MR1: Rw<u32, UART_DM_MR1::Register> = Rw::new(0x00);
pub const MR2: Rw<u32, UART_DM_MR2::Register> = Rw::new(0x04);
/// How many characters to receive before a stale event, whatever the pauses.
pub const DMRX: Rw<u32> = Rw::new(0x34);
pub const DMEN: Rw<u32, UART_DM_DMEN::Register> = Rw::new(0x3c);
pub const RXFS: Ro<u32, UART_DM_RXFS::Register> = Ro::new(0x50);
pub const CSR: Wo<u32, UART_DM_CSR::Register> = Wo::new(0xa0);
pub const SR: Ro<u32, UART_DM_SR::Register> = Ro::new(0xa4);
pub const CR: Wo<u32, UART_DM_CR::Register> = Wo::new(0xa8);
pub const IMR: Wo<u32> = Wo::new(0xb0);
pub const TF: Wo<u32> = Wo::new(0x100);
pub const RF: Ro<u32> = Ro::new(0x140);

/// By how much each code of CSR divides the clock, in bit times (U-Boot calc_csr_bitrate).
pub const CSR_DIVISORS: [u32; 16] = [
    24_576, 12_288, 6_144, 3_072, 1_536, 768, 512, 384, 256, 192, 128, 96, 64, 48, 32, 16,
];

/// The largest count that [`DMRX`] takes.
pub const DMRX_MAX: u32 = 0xff_ffff;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn offsets_are_those_of_the_other_source() {
        // Fuchsia's driver for MSM8x53; DMEN from TF-A uartdm_console.S, CSR from U-Boot.
        let own = [
            MR1.offset(),
            MR2.offset(),
            DMRX.offset(),
            DMEN.offset(),
            RXFS.offset(),
            CSR.offset(),
            SR.offset(),
            CR.offset(),
            IMR.offset(),
            TF.offset(),
            RF.offset(),
        ];
        let others = [0x0, 0x4, 0x34, 0x3c, 0x50, 0xa0, 0xa4, 0xa8, 0xb0, 0x100, 0x140];
        assert_eq!(own, others);
    }
}
