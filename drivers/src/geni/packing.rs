//! How the bytes of a FIFO word go over the wire.

/// Which bit of a byte is on the wire first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BitOrder {
    /// As a serial port sends.
    LsbFirst,
    /// As I2C and SPI do.
    MsbFirst,
}

/// The values of PACKING_CFG0 and PACKING_CFG1: four vectors of ten bits, one for each byte of a FIFO word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Packing {
    pub cfg0: u32,
    pub cfg1: u32,
}

impl Packing {
    /// `bytes` (1 to 4) bytes of each FIFO word, the lowest first.
    ///
    /// A vector is the first bit (9:5), the direction (4, set towards bit 0), the number of bits less one (3:1) and
    /// whether it is the word's last (0): Linux `qcom-geni-se.c`, the comment on FIFO packing.
    pub const fn new(bytes: usize, order: BitOrder) -> Self {
        assert!(1 <= bytes && bytes <= 4, "a FIFO word has four bytes");
        let mut vectors = [0; 4];
        let mut byte = 0;
        while byte < bytes {
            let (first, direction) = match order {
                BitOrder::LsbFirst => (byte as u32 * 8, 0),
                BitOrder::MsbFirst => (byte as u32 * 8 + 7, 1),
            };
            let last = (byte == bytes - 1) as u32;
            vectors[byte] = first << 5 | direction << 4 | 7 << 1 | last;
            byte += 1;
        }
        Self {
            cfg0: vectors[0] | vectors[1] << 10,
            cfg1: vectors[2] | vectors[3] << 10,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_vectors_are_those_of_other_drivers() {
        // coreboot, qupv3_uart.c (UART_TX_PACK_VECTOR0 to 3, UART_RX_PACK_VECTOR0).
        let four = Packing::new(4, BitOrder::LsbFirst);
        assert_eq!((four.cfg0, four.cfg1), (0xe | 0x10e << 10, 0x20e | 0x30f << 10));
        let one = Packing::new(1, BitOrder::LsbFirst);
        assert_eq!((one.cfg0, one.cfg1), (0xf, 0));
        // coreboot, qup_se_handlers_common.h (PACK_VECTOR0 to 3).
        let four = Packing::new(4, BitOrder::MsbFirst);
        assert_eq!((four.cfg0, four.cfg1), (0xfe | 0x1fe << 10, 0x2fe | 0x3ff << 10));
    }
}
