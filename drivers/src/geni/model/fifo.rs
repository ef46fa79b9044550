//! The FIFOs, and how bytes are packed into their words.

use super::super::BitOrder;
use super::super::registers::{
    BYTES_PER_WORD, GENI_IRQ, GENI_RX_FIFO_STATUS, SE_GENI_RX_PACKING_CFG0, SE_GENI_RX_PACKING_CFG1,
    SE_GENI_TX_PACKING_CFG0, SE_GENI_TX_PACKING_CFG1,
};
use super::{Core, DEPTH, Value};

impl Core {
    fn vector(&self, cfg0: usize, cfg1: usize, index: usize) -> (u32, u32, u32, bool) {
        let cfg = self.register(if index < 2 { cfg0 } else { cfg1 });
        let vector = cfg >> (10 * (index % 2)) & 0x3ff;
        (vector >> 5, vector >> 4 & 1, (vector >> 1 & 7) + 1, vector & 1 != 0)
    }

    /// The next byte out of the transmit FIFO, as somebody reads it who expects `order`.
    pub fn next_byte(&mut self, order: BitOrder) -> Option<u8> {
        let (word, index) = self
            .sending
            .take()
            .or_else(|| self.tx.pop_front().map(|word| (word, 0)))?;
        let (start, down, bits, last) = self.vector(
            SE_GENI_TX_PACKING_CFG0.offset(),
            SE_GENI_TX_PACKING_CFG1.offset(),
            index,
        );
        assert_eq!(bits, 8, "packs bytes of {bits} bits");
        if !last && index < 3 {
            self.sending = Some((word, index + 1));
        }
        Some((0..bits).fold(0, |byte, bit| {
            let from = if down != 0 { start - bit } else { start + bit };
            byte | ((word >> from & 1) as u8) << place(order, bit)
        }))
    }

    /// The receive FIFO has no room.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.rx.len() >= DEPTH
    }

    /// Puts a byte that arrives in `order` into the receive FIFO. `false` when there was no room.
    pub fn receive(&mut self, byte: u8, order: BitOrder) -> bool {
        if self.is_full() {
            return false;
        }
        let (mut word, index) = self.receiving;
        let (start, down, bits, last) = self.vector(
            SE_GENI_RX_PACKING_CFG0.offset(),
            SE_GENI_RX_PACKING_CFG1.offset(),
            index,
        );
        assert_eq!(bits, 8, "packs bytes of {bits} bits");
        for bit in 0..bits {
            let to = if down != 0 { start - bit } else { start + bit };
            word |= u32::from(byte >> place(order, bit) & 1) << to;
        }
        self.receiving = (word, index + 1);
        if last || index == 3 {
            self.push_received(false);
        }
        true
    }

    /// What is not a whole word yet goes into the FIFO.
    pub fn flush_received(&mut self) {
        if self.receiving.1 > 0 {
            self.push_received(true);
        }
    }

    /// The transfer, or a burst of characters, is over.
    pub fn end_receive(&mut self) {
        if self.receiving.1 > 0 {
            self.flush_received();
        } else if let Some(word) = self.rx.back_mut() {
            word.2 = true;
        }
        self.main.raise(GENI_IRQ::RX_FIFO_LAST::SET);
        self.secondary.raise(GENI_IRQ::RX_FIFO_LAST::SET);
    }

    fn push_received(&mut self, last: bool) {
        let (word, bytes) = core::mem::take(&mut self.receiving);
        self.rx.push_back((word, bytes, last));
    }

    pub(super) fn rx_status(&self) -> u32 {
        let mut status = Value::<GENI_RX_FIFO_STATUS::Register>::new(self.rx.len() as u32);
        if let Some((_, bytes, true)) = self.rx.back() {
            status.modify(
                GENI_RX_FIFO_STATUS::RX_LAST::SET
                    + GENI_RX_FIFO_STATUS::RX_LAST_BYTE_VALID.val((bytes % BYTES_PER_WORD) as u32),
            );
        }
        status.get()
    }
}

/// Where the bit of a byte belongs that is number `bit` on the wire.
const fn place(order: BitOrder, bit: u32) -> u32 {
    match order {
        BitOrder::LsbFirst => bit,
        BitOrder::MsbFirst => 7 - bit,
    }
}
