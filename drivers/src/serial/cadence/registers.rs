//! Registers of the Cadence UART as Zynq UltraScale+ has it (AMD UG1087, module UART).

use crate::mmio::{Ro, Rw, Wo};
use tock_registers::register_bitfields;

register_bitfields![u32,
    pub CONTROL [
        TXDIS OFFSET(5) NUMBITS(1) [],
        TXEN OFFSET(4) NUMBITS(1) [],
        RXDIS OFFSET(3) NUMBITS(1) [],
        RXEN OFFSET(2) NUMBITS(1) [],
        /// Empties the FIFO; clears itself.
        TXRES OFFSET(1) NUMBITS(1) [],
        RXRES OFFSET(0) NUMBITS(1) []
    ],
    pub MODE [
        CHMODE OFFSET(8) NUMBITS(2) [
            Normal = 0
        ],
        NBSTOP OFFSET(6) NUMBITS(2) [
            One = 0
        ],
        PAR OFFSET(3) NUMBITS(3) [
            None = 0b100
        ],
        CHRL OFFSET(1) NUMBITS(2) [
            EightBits = 0
        ],
        /// The clock is divided by 8 first.
        CLKS OFFSET(0) NUMBITS(1) []
    ],
    pub INTERRUPTS [
        ALL OFFSET(0) NUMBITS(14) []
    ],
    pub BAUDGEN [
        CD OFFSET(0) NUMBITS(16) []
    ],
    pub BAUDDIV [
        BDIV OFFSET(0) NUMBITS(8) []
    ],
    pub STATUS [
        /// A character is on its way out.
        TACTIVE OFFSET(11) NUMBITS(1) [],
        TFUL OFFSET(4) NUMBITS(1) [],
        TEMPTY OFFSET(3) NUMBITS(1) [],
        REMPTY OFFSET(1) NUMBITS(1) []
    ],
    pub FIFO [
        DATA OFFSET(0) NUMBITS(8) []
    ],
];

pub const CR: Rw<u32, CONTROL::Register> = Rw::new(0x00);
pub const MR: Rw<u32, MODE::Register> = Rw::new(0x04);
/// Disables interrupts.
pub const IDR: Wo<u32, INTERRUPTS::Register> = Wo::new(0x0c);
pub const BRGR: Rw<u32, BAUDGEN::Register> = Rw::new(0x18);
pub const SR: Ro<u32, STATUS::Register> = Ro::new(0x2c);
pub const TXRX: Rw<u32, FIFO::Register> = Rw::new(0x30);
pub const BDIVR: Rw<u32, BAUDDIV::Register> = Rw::new(0x34);
