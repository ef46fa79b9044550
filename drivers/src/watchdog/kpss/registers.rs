//! Registers of the KPSS watchdog.
//!
//! Linux `drivers/watchdog/qcom-wdt.c` (reg_offset_data_kpss), checked against U-Boot `drivers/watchdog/qcom-wdt.c` and
//! OP-TEE's driver for the secure one of the same kind.

use crate::mmio::{Ro, Rw, Wo};
use tock_registers::register_bitfields;

register_bitfields![u32,
    pub WDT_RST [
        /// Pets: the counter begins at zero again.
        RESET OFFSET(0) NUMBITS(1) []
    ],
    pub WDT_EN [
        ENABLE OFFSET(0) NUMBITS(1) []
    ],
    pub WDT_STS [
        /// It was the watchdog that reset the SoC last.
        EXPIRED OFFSET(0) NUMBITS(1) []
    ],
    pub WDT_TIME [
        /// In ticks of the sleep clock.
        TICKS OFFSET(0) NUMBITS(20) []
    ],
];

pub const RST: Wo<u32, WDT_RST::Register> = Wo::new(0x04);
pub const EN: Rw<u32, WDT_EN::Register> = Rw::new(0x08);
pub const STS: Ro<u32, WDT_STS::Register> = Ro::new(0x0c);
pub const BARK_TIME: Rw<u32, WDT_TIME::Register> = Rw::new(0x10);
pub const BITE_TIME: Rw<u32, WDT_TIME::Register> = Rw::new(0x14);

/// The largest count that BARK_TIME and BITE_TIME take (Linux qcom-wdt.c, max_tick_count).
pub const MAX_TICKS: u32 = 0xf_ffff;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn offsets_are_those_of_the_other_source() {
        // U-Boot drivers/watchdog/qcom-wdt.c.
        let own = [
            RST.offset(),
            EN.offset(),
            STS.offset(),
            BARK_TIME.offset(),
            BITE_TIME.offset(),
        ];
        let others = [0x4, 0x8, 0xc, 0x10, 0x14];
        assert_eq!(own, others);
    }
}
