//! Registers of the UART of i.MX SoCs (i.MX 8M Plus reference manual, IMX8MPRM, chapter "Universal Asynchronous
//! Receiver/Transmitter").

use crate::mmio::{Ro, Rw, Wo};
use tock_registers::register_bitfields;

register_bitfields![u32,
    pub URXD [
        CHARRDY OFFSET(15) NUMBITS(1) [],
        OVRRUN OFFSET(13) NUMBITS(1) [],
        FRMERR OFFSET(12) NUMBITS(1) [],
        BRK OFFSET(11) NUMBITS(1) [],
        PRERR OFFSET(10) NUMBITS(1) [],
        RX_DATA OFFSET(0) NUMBITS(8) []
    ],
    pub UTXD [
        TX_DATA OFFSET(0) NUMBITS(8) []
    ],
    pub UCR1 [
        UARTEN OFFSET(0) NUMBITS(1) []
    ],
    pub UCR2 [
        /// Ignores the RTS pin.
        IRTS OFFSET(14) NUMBITS(1) [],
        /// Eight bits.
        WS OFFSET(5) NUMBITS(1) [],
        TXEN OFFSET(2) NUMBITS(1) [],
        RXEN OFFSET(1) NUMBITS(1) [],
        /// 0 resets the port's state machines and FIFOs.
        SRST OFFSET(0) NUMBITS(1) []
    ],
    pub UCR3 [
        /// Must be 1.
        RXDMUXSEL OFFSET(2) NUMBITS(1) []
    ],
    pub UFCR [
        TXTL OFFSET(10) NUMBITS(6) [],
        RFDIV OFFSET(7) NUMBITS(3) [
            By1 = 0b101
        ],
        RXTL OFFSET(0) NUMBITS(6) []
    ],
    pub USR2 [
        /// All has been sent, the last stop bit too.
        TXDC OFFSET(3) NUMBITS(1) [],
        RDR OFFSET(0) NUMBITS(1) []
    ],
    pub UBIR [
        INC OFFSET(0) NUMBITS(16) []
    ],
    pub UBMR [
        MOD OFFSET(0) NUMBITS(16) []
    ],
    pub UTS [
        TXFULL OFFSET(4) NUMBITS(1) []
    ],
];

pub const RXD: Ro<u32, URXD::Register> = Ro::new(0x00);
pub const TXD: Wo<u32, UTXD::Register> = Wo::new(0x40);
pub const CR1: Rw<u32, UCR1::Register> = Rw::new(0x80);
pub const CR2: Rw<u32, UCR2::Register> = Rw::new(0x84);
pub const CR3: Rw<u32, UCR3::Register> = Rw::new(0x88);
pub const CR4: Rw<u32> = Rw::new(0x8c);
pub const FCR: Rw<u32, UFCR::Register> = Rw::new(0x90);
pub const SR2: Ro<u32, USR2::Register> = Ro::new(0x98);
/// Takes effect when the modulator is written.
pub const BIR: Rw<u32, UBIR::Register> = Rw::new(0xa4);
pub const BMR: Rw<u32, UBMR::Register> = Rw::new(0xa8);
pub const TS: Ro<u32, UTS::Register> = Ro::new(0xb4);
