//! What a serial engine has of its own when it is an I2C controller.
//!
//! Linux `drivers/i2c/busses/i2c-qcom-geni.c`, checked against coreboot `src/soc/qualcomm/common/qupv3_i2c.c`.

use crate::mmio::Rw;
use tock_registers::register_bitfields;

register_bitfields![u32,
    /// In ticks of the divided clock.
    pub I2C_SCL_COUNTERS [
        HIGH OFFSET(20) NUMBITS(10) [],
        LOW OFFSET(10) NUMBITS(10) [],
        CYCLE OFFSET(0) NUMBITS(10) []
    ],
    /// The parameters of a command.
    pub PARAMS [
        SLV_ADDR OFFSET(9) NUMBITS(7) [],
        /// Ends without a stop, so that the next command begins with a repeated start.
        STOP_STRETCH OFFSET(2) NUMBITS(1) []
    ],
];

/// How many bytes the next I2C_WRITE sends.
pub const SE_I2C_TX_TRANS_LEN: Rw<u32> = Rw::new(0x26c);
/// How many bytes the next I2C_READ receives.
pub const SE_I2C_RX_TRANS_LEN: Rw<u32> = Rw::new(0x270);
pub const SE_I2C_SCL_COUNTERS: Rw<u32, I2C_SCL_COUNTERS::Register> = Rw::new(0x278);

pub const I2C_WRITE: u32 = 1;
pub const I2C_READ: u32 = 2;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn offsets_are_those_of_the_other_source() {
        // coreboot's struct qup_regs, counted.
        let own = [
            SE_I2C_TX_TRANS_LEN.offset(),
            SE_I2C_RX_TRANS_LEN.offset(),
            SE_I2C_SCL_COUNTERS.offset(),
        ];
        let others = [0x26c, 0x270, 0x278];
        assert_eq!(own, others);
    }
}
