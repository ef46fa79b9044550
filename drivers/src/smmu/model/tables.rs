//! Stage-2 tables laid out by hand, for tests.

use super::SimMemory;

/// Where the tables that stand side by side at level 1 are.
pub const ROOT: u64 = 0x9000_0000;
/// AF, Inner Shareable, read and write, Normal write-back.
pub const MEMORY: u64 = 1 << 10 | 0b11 << 8 | 0b11 << 6 | 0b1111 << 2;

impl SimMemory {
    /// Writes the entry of `address` in its table of `level` (1 to 3). The tables on the way are where the address says.
    pub fn set_entry(&self, address: u64, level: u32, value: u64) {
        let tables = [
            ROOT,
            0x9010_0000 + (address >> 30 << 12),
            0xa000_0000 + (address >> 21 << 12),
        ];
        let entry = |level: u32| {
            let index = address >> (39 - 9 * level);
            let index = if level == 1 { index } else { index & 0x1ff };
            tables[level as usize - 1] + 8 * index
        };
        for above in 1..level {
            self.write(entry(above), tables[above as usize] | 0b11);
        }
        self.write(entry(level), value);
    }

    /// Maps the page at `address` to itself.
    pub fn map_page(&self, address: u64) {
        self.set_entry(address, 3, address | MEMORY | 0b11);
    }

    /// Maps the 2 MiB at `address` to themselves.
    pub fn map_block(&self, address: u64) {
        self.set_entry(address, 2, address | MEMORY | 0b01);
    }
}
