//! The register MPM_PS_HOLD (Linux `drivers/power/reset/msm-poweroff.c`, whose `deassert_pshold` writes zero to it).

use crate::mmio::Rw;
use tock_registers::register_bitfields;

register_bitfields![u32,
    pub PS_HOLD [
        /// The wire is high.
        HOLD OFFSET(0) NUMBITS(1) []
    ],
];

pub const HOLD: Rw<u32, PS_HOLD::Register> = Rw::new(0);
