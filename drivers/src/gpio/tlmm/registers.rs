//! Registers of one pin of TLMM: a page of 4 KiB each.
//!
//! Linux `drivers/pinctrl/qcom/pinctrl-msm.[ch]` and the PINGROUP of `pinctrl-{msm8916,sdm845,sm8250,sc7280,sm8550,
//! sm8650,x1e80100}.c`, checked against coreboot `src/soc/qualcomm/common/gpio.c`.

use crate::mmio::Rw;
use tock_registers::register_bitfields;

register_bitfields![u32,
    pub GPIO_CFG [
        /// The pin belongs to TLMM, not to another owner one level above.
        EGPIO_ENABLE OFFSET(12) NUMBITS(1) [],
        /// There is such an owner.
        EGPIO_PRESENT OFFSET(11) NUMBITS(1) [],
        OE OFFSET(9) NUMBITS(1) [],
        /// (n + 1) times 2 mA.
        DRV_STRENGTH OFFSET(6) NUMBITS(3) [],
        FUNC_SEL OFFSET(2) NUMBITS(4) [
            Gpio = 0
        ],
        PULL OFFSET(0) NUMBITS(2) [
            None = 0,
            Down = 1,
            Keeper = 2,
            Up = 3
        ]
    ],
    pub GPIO_IN_OUT [
        OUT OFFSET(1) NUMBITS(1) [],
        IN OFFSET(0) NUMBITS(1) []
    ],
    pub GPIO_INTR_CFG [
        /// Latches what is detected. Turning it on may latch an edge that was none.
        INTR_RAW_STATUS_EN OFFSET(4) NUMBITS(1) [],
        INTR_DECT_CTL OFFSET(2) NUMBITS(2) [
            Level = 0,
            Rising = 1,
            Falling = 2,
            Both = 3
        ],
        /// Set for high levels, and for all edges.
        INTR_POL_CTL OFFSET(1) NUMBITS(1) [],
        /// Forwards what is latched to the target.
        INTR_ENABLE OFFSET(0) NUMBITS(1) []
    ],
    pub GPIO_INTR_STATUS [
        /// Something was detected. Writing zero clears it.
        INTR_STATUS OFFSET(0) NUMBITS(1) []
    ],
];

pub const CFG: Rw<u32, GPIO_CFG::Register> = Rw::new(0x0);
pub const IN_OUT: Rw<u32, GPIO_IN_OUT::Register> = Rw::new(0x4);
pub const INTR_CFG: Rw<u32, GPIO_INTR_CFG::Register> = Rw::new(0x8);
pub const INTR_STATUS: Rw<u32, GPIO_INTR_STATUS::Register> = Rw::new(0xc);

/// The size of a pin's registers, in bytes.
pub const PAGE: usize = 0x1000;
