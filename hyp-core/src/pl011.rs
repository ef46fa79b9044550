//! The guest's UART: a PL011 (Arm DDI 0183G, r1p5) without a line behind it.
//!
//! What is written to the data register is sent at once, so the transmit FIFO is always empty; nothing is ever
//! received. Control registers read back what was written. One interrupt exists, the transmit one. What is sent is also
//! gathered into lines, which go to the log channel as frames.

use heapless::Vec;

/// The most bytes of a line: a longer one is cut.
pub const LINE: usize = 128;

/// The size of the register frame, in bytes.
pub const SIZE: u64 = 0x1000;

/// Offsets of registers (DDI 0183G, Table 3-1).
mod offset {
    pub const UARTDR: u64 = 0x000;
    pub const UARTFR: u64 = 0x018;
    pub const UARTILPR: u64 = 0x020;
    pub const UARTIBRD: u64 = 0x024;
    pub const UARTFBRD: u64 = 0x028;
    pub const UARTLCR_H: u64 = 0x02c;
    pub const UARTCR: u64 = 0x030;
    pub const UARTIFLS: u64 = 0x034;
    pub const UARTIMSC: u64 = 0x038;
    pub const UARTRIS: u64 = 0x03c;
    pub const UARTMIS: u64 = 0x040;
    pub const UARTICR: u64 = 0x044;
    pub const UARTDMACR: u64 = 0x048;
    /// UARTPeriphID0; the identification registers fill the frame from here on.
    pub const UARTPERIPHID0: u64 = 0xfe0;
}

/// UARTFR: TXFE (bit 7) and RXFE (bit 4): both FIFOs are empty.
const FLAGS: u16 = 1 << 7 | 1 << 4;
/// UARTRIS, UARTMIS, UARTIMSC, UARTICR: TX, bit 5.
const TX_INTERRUPT: u16 = 1 << 5;
/// UARTPeriphID0 to 3, UARTPCellID0 to 3 (DDI 0183G, section 3.3.14 on): part 0x011, designer 0x41, revision r1p5.
const IDENTIFICATION: [u8; 8] = [0x11, 0x10, 0x34, 0x00, 0x0d, 0xf0, 0x05, 0xb1];

/// Registers that keep what is written, with the bits that they have and their value at reset.
const KEPT: [(u64, u16, u16); 8] = [
    (offset::UARTILPR, 0xff, 0),
    (offset::UARTIBRD, 0xffff, 0),
    (offset::UARTFBRD, 0x3f, 0),
    (offset::UARTLCR_H, 0xff, 0),
    // UARTEN is clear at reset; TXE and RXE are set.
    (offset::UARTCR, 0xff87, 0x0300),
    (offset::UARTIFLS, 0x3f, 0x12),
    (offset::UARTIMSC, 0x7ff, 0),
    (offset::UARTDMACR, 0x7, 0),
];

/// The place of UARTIMSC in [`KEPT`].
const IMSC: usize = 6;

/// The access is none that a PL011 takes: the guest gets an External abort.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct BadAccess {
    /// The offset in the frame.
    pub offset: u64,
    /// The size in bytes.
    pub size: u8,
}

/// A guest's UART.
#[derive(Clone, Debug)]
pub struct Pl011 {
    kept: [u16; KEPT.len()],
    /// UARTRIS.
    raw: u16,
    line: Vec<u8, LINE>,
    /// The line has been handed out, or is about to be: the next byte begins another.
    ended: bool,
}

impl Pl011 {
    /// As after reset.
    #[must_use]
    pub const fn new() -> Self {
        let mut kept = [0; KEPT.len()];
        let mut n = 0;
        while n < KEPT.len() {
            kept[n] = KEPT[n].2;
            n += 1;
        }
        Self {
            kept,
            raw: 0,
            line: Vec::new(),
            ended: false,
        }
    }

    /// The guest reads `size` bytes at `offset`.
    ///
    /// # Errors
    /// [`BadAccess`].
    pub fn read(&self, offset: u64, size: u8) -> Result<u64, BadAccess> {
        check(offset, size)?;
        let value = match offset {
            offset::UARTFR => FLAGS,
            offset::UARTRIS => self.raw,
            offset::UARTMIS => self.raw & self.kept[IMSC],
            offset::UARTPERIPHID0.. => IDENTIFICATION[(offset - offset::UARTPERIPHID0) as usize / 4].into(),
            // UARTDR: nothing is there. UARTRSR: no errors. All else is reserved, and reads as zero.
            _ => self.place(offset).map_or(0, |n| self.kept[n]),
        };
        Ok(u64::from(value) & (u64::MAX >> (64 - 8 * u32::from(size))))
    }

    /// The guest writes `size` bytes at `offset`. Gives the byte that it sends, if it does.
    ///
    /// # Errors
    /// [`BadAccess`].
    pub fn write(&mut self, offset: u64, size: u8, value: u64) -> Result<Option<u8>, BadAccess> {
        check(offset, size)?;
        let value = value & (u64::MAX >> (64 - 8 * u32::from(size)));
        match offset {
            offset::UARTDR => {
                // The FIFO is empty again at once, so its level falls through the trigger.
                self.raw |= TX_INTERRUPT;
                self.gather(value as u8);
                return Ok(Some(value as u8));
            }
            offset::UARTICR => self.raw &= !(value as u16),
            _ => {
                if let Some(n) = self.place(offset) {
                    self.kept[n] = value as u16 & KEPT[n].1;
                }
            }
        }
        Ok(None)
    }

    /// Whether its interrupt is asserted.
    #[must_use]
    pub const fn interrupt(&self) -> bool {
        self.raw & self.kept[IMSC] != 0
    }

    /// The line that the byte sent last has ended: by being a newline, which is part of it, or by filling it.
    #[must_use]
    pub fn line(&self) -> Option<&[u8]> {
        self.ended.then_some(&self.line[..]).filter(|line| !line.is_empty())
    }

    /// Ends a line that has been begun, and gives it.
    pub fn take_rest(&mut self) -> Option<&[u8]> {
        if self.ended || self.line.is_empty() {
            return None;
        }
        self.ended = true;
        Some(&self.line)
    }

    fn gather(&mut self, byte: u8) {
        if self.ended {
            self.line.clear();
        }
        // A full line has ended, so there is room.
        let _ = self.line.push(byte);
        self.ended = byte == b'\n' || self.line.is_full();
    }

    fn place(&self, offset: u64) -> Option<usize> {
        KEPT.iter().position(|(at, ..)| *at == offset)
    }
}

impl Default for Pl011 {
    fn default() -> Self {
        Self::new()
    }
}

/// Registers are 32 bits apart and at most 16 wide: loads and stores of 1, 2 or 4 bytes at a register's offset.
const fn check(offset: u64, size: u8) -> Result<(), BadAccess> {
    if matches!(size, 1 | 2 | 4) && offset < SIZE && offset & 0b11 == 0 {
        Ok(())
    } else {
        Err(BadAccess { offset, size })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::vec::Vec;

    #[test]
    fn what_is_written_is_sent() {
        let mut uart = Pl011::new();
        assert_eq!(uart.write(0, 4, 0x141), Ok(Some(0x41)));
        assert_eq!(uart.write(0, 1, 0x0a), Ok(Some(0x0a)));
        assert_eq!(uart.write(0, 2, 0xff42), Ok(Some(0x42)));
        assert_eq!(uart.read(0, 4), Ok(0));
    }

    #[test]
    fn it_is_ready_to_send_and_has_nothing_to_read() {
        let uart = Pl011::new();
        let flags = uart.read(0x18, 4).unwrap();
        // TXFE, RXFE set; RXFF, TXFF, BUSY clear.
        assert_eq!(flags & 0xf8, 0x90);
        assert_eq!(uart.read(0x04, 4), Ok(0));
    }

    #[test]
    fn drivers_find_a_pl011() {
        let uart = Pl011::new();
        let read = |at| uart.read(at, 4).unwrap();
        // AMBA: part 0x011, designer 0x41 ("Arm"), and the PrimeCell id.
        let part = read(0xfe0) | (read(0xfe4) & 0xf) << 8;
        let designer = read(0xfe4) >> 4 | (read(0xfe8) & 0xf) << 4;
        assert_eq!((part, designer), (0x011, 0x41));
        let cell: Vec<u64> = (0xff0..0x1000).step_by(4).map(read).collect();
        assert_eq!(cell, [0x0d, 0xf0, 0x05, 0xb1]);
    }

    #[test]
    fn registers_read_back_the_bits_that_they_have() {
        let mut uart = Pl011::new();
        assert_eq!((uart.read(0x30, 4), uart.read(0x34, 4)), (Ok(0x300), Ok(0x12)));
        for (at, want) in [
            (0x20, 0xff),
            (0x24, 0xffff),
            (0x28, 0x3f),
            (0x2c, 0xff),
            (0x30, 0xff87),
            (0x34, 0x3f),
            (0x38, 0x7ff),
            (0x48, 7),
        ] {
            assert_eq!(uart.write(at, 4, u64::MAX), Ok(None));
            assert_eq!(uart.read(at, 4), Ok(want), "{at:#x}");
            assert_eq!(uart.read(at, 1), Ok(want & 0xff), "{at:#x}");
        }
        // Read-only and reserved ones take nothing.
        for at in [0x04, 0x08, 0x18, 0x3c, 0x40, 0x80, 0xfdc, 0xfe0, 0xffc] {
            let before = uart.read(at, 4);
            assert_eq!(uart.write(at, 4, 0xa5a5), Ok(None));
            assert_eq!(uart.read(at, 4), before, "{at:#x}");
        }
    }

    #[test]
    fn the_transmit_interrupt_comes_when_it_is_wanted() {
        let mut uart = Pl011::new();
        uart.write(0, 4, 0x41).unwrap();
        assert_eq!((uart.read(0x3c, 4), uart.read(0x40, 4)), (Ok(0x20), Ok(0)));
        assert!(!uart.interrupt());
        uart.write(0x38, 4, 0x20).unwrap();
        assert_eq!(uart.read(0x40, 4), Ok(0x20));
        assert!(uart.interrupt());
        uart.write(0x44, 4, 0x20).unwrap();
        assert!(!uart.interrupt());
        assert_eq!(uart.read(0x3c, 4), Ok(0));
    }

    fn lines(uart: &mut Pl011, text: &[u8]) -> Vec<Vec<u8>> {
        let mut lines = Vec::new();
        for byte in text {
            uart.write(0, 1, (*byte).into()).unwrap();
            lines.extend(uart.line().map(<[u8]>::to_vec));
        }
        lines
    }

    #[test]
    fn text_comes_in_lines() {
        let mut uart = Pl011::new();
        assert_eq!(uart.line(), None);
        assert_eq!(uart.take_rest(), None);
        assert_eq!(lines(&mut uart, b"one\n\nthr"), [&b"one\n"[..], b"\n"]);
        assert_eq!(uart.take_rest(), Some(&b"thr"[..]));
        assert_eq!(uart.take_rest(), None);
        assert_eq!(lines(&mut uart, b"ee\n"), [b"ee\n"]);
        assert_eq!(uart.take_rest(), None);
    }

    #[test]
    fn a_long_line_is_cut() {
        let mut uart = Pl011::new();
        let found = lines(&mut uart, &[b'x'; 2 * LINE + 1]);
        assert_eq!(found, [[b'x'; LINE]; 2]);
        assert_eq!(uart.take_rest(), Some(&b"x"[..]));
    }

    #[test]
    fn accesses_that_no_pl011_takes_are_refused() {
        let mut uart = Pl011::new();
        for (offset, size) in [
            (0, 8),
            (0, 0),
            (0, 3),
            (1, 1),
            (2, 2),
            (0x1a, 2),
            (0x1000, 4),
            (u64::MAX - 3, 4),
        ] {
            let bad = BadAccess { offset, size };
            assert_eq!(uart.read(offset, size), Err(bad));
            assert_eq!(uart.write(offset, size, 0x41), Err(bad));
        }
    }

    proptest! {
        #[test]
        fn no_byte_is_lost(text in prop::collection::vec(any::<u8>(), 0..1000)) {
            let mut uart = Pl011::new();
            let mut all = lines(&mut uart, &text).concat();
            all.extend(uart.take_rest().unwrap_or(&[]));
            prop_assert_eq!(all, text);
        }

        #[test]
        fn no_access_panics_and_only_the_data_register_sends(offset in 0..0x1100u64, size: u8, value: u64) {
            let mut uart = Pl011::new();
            let read = uart.read(offset, size);
            let written = uart.write(offset, size, value);
            prop_assert_eq!(read.is_ok(), written.is_ok());
            if let Ok(Some(_)) = written {
                prop_assert_eq!(offset, 0);
            }
            if let Ok(read) = read {
                prop_assert!(size >= 8 || read >> (8 * size) == 0);
            }
        }
    }
}
