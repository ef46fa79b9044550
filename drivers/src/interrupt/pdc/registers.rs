//! Registers of the PDC (Linux `drivers/irqchip/qcom-pdc.c`).

use crate::mmio::{Ro, Rw};
use tock_registers::register_bitfields;

register_bitfields![u32,
    pub VERSION [
        MAJOR OFFSET(16) NUMBITS(8) [],
        MINOR OFFSET(8) NUMBITS(8) [],
        STEP OFFSET(0) NUMBITS(8) []
    ],
    /// Pins that are passed on, 32 in a register. Before version 3.2.
    pub IRQ_ENABLE [
        PINS OFFSET(0) NUMBITS(32) []
    ],
    pub IRQ_CFG [
        /// The pin is passed on. From version 3.2 on.
        ENABLE OFFSET(3) NUMBITS(1) [],
        TYPE OFFSET(0) NUMBITS(3) [
            LevelLow = 0,
            EdgeFalling = 2,
            LevelHigh = 4,
            EdgeRising = 6,
            EdgeBoth = 7
        ]
    ],
];

pub const PDC_VERSION: Ro<u32, VERSION::Register> = Ro::new(0x1000);

/// IRQ_ENABLE_BANK of a pin.
pub const fn irq_enable(pin: usize) -> Rw<u32, IRQ_ENABLE::Register> {
    Rw::new(0x10 + 4 * (pin / 32))
}

/// IRQ_i_CFG of a pin.
pub const fn irq_cfg(pin: usize) -> Rw<u32, IRQ_CFG::Register> {
    Rw::new(0x110 + 4 * pin)
}
