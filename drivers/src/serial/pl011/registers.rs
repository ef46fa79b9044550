//! Registers of the PrimeCell UART, PL011 (Arm DDI 0183, chapter 3).

use crate::mmio::{Ro, Rw, Wo};
use tock_registers::register_bitfields;

register_bitfields![u32,
    pub UARTDR [
        /// Overrun error: a character before this one was lost.
        OE OFFSET(11) NUMBITS(1) [],
        BE OFFSET(10) NUMBITS(1) [],
        PE OFFSET(9) NUMBITS(1) [],
        FE OFFSET(8) NUMBITS(1) [],
        DATA OFFSET(0) NUMBITS(8) []
    ],
    pub UARTFR [
        /// Transmit FIFO empty.
        TXFE OFFSET(7) NUMBITS(1) [],
        /// Transmit FIFO full.
        TXFF OFFSET(5) NUMBITS(1) [],
        /// Receive FIFO empty.
        RXFE OFFSET(4) NUMBITS(1) [],
        /// Characters are still on their way out.
        BUSY OFFSET(3) NUMBITS(1) []
    ],
    pub UARTIBRD [
        BAUD_DIVINT OFFSET(0) NUMBITS(16) []
    ],
    pub UARTFBRD [
        BAUD_DIVFRAC OFFSET(0) NUMBITS(6) []
    ],
    pub UARTLCR_H [
        WLEN OFFSET(5) NUMBITS(2) [
            EightBits = 0b11
        ],
        /// FIFOs on.
        FEN OFFSET(4) NUMBITS(1) [],
        STP2 OFFSET(3) NUMBITS(1) [],
        PEN OFFSET(1) NUMBITS(1) []
    ],
    pub UARTCR [
        CTSEN OFFSET(15) NUMBITS(1) [],
        RTSEN OFFSET(14) NUMBITS(1) [],
        RXE OFFSET(9) NUMBITS(1) [],
        TXE OFFSET(8) NUMBITS(1) [],
        UARTEN OFFSET(0) NUMBITS(1) []
    ],
    pub UARTIMSC [
        RXIM OFFSET(4) NUMBITS(1) []
    ],
    pub UARTICR [
        ALL OFFSET(0) NUMBITS(11) []
    ],
];

pub const UARTDR: Rw<u32, UARTDR::Register> = Rw::new(0x000);
pub const UARTFR: Ro<u32, UARTFR::Register> = Ro::new(0x018);
pub const UARTIBRD: Rw<u32, UARTIBRD::Register> = Rw::new(0x024);
pub const UARTFBRD: Rw<u32, UARTFBRD::Register> = Rw::new(0x028);
/// A write also makes UARTIBRD and UARTFBRD take effect (3.3.7).
pub const UARTLCR_H: Rw<u32, UARTLCR_H::Register> = Rw::new(0x02c);
pub const UARTCR: Rw<u32, UARTCR::Register> = Rw::new(0x030);
pub const UARTIMSC: Rw<u32, UARTIMSC::Register> = Rw::new(0x038);
pub const UARTICR: Wo<u32, UARTICR::Register> = Wo::new(0x044);

/// Characters that the transmit FIFO holds in every revision of the block (16; 32 from r1p5 on; 3.3.15).
pub const FIFO_DEPTH: usize = 16;
