//! Where descriptors are read from and written to.

/// Bytes that their owner may change at any time, read in units of 8.
///
/// Every field of FF-A's memory management descriptors lies within one aligned doubleword, so a reader that takes each
/// doubleword once has a consistent field, and what it has checked is what it uses.
pub trait Source {
    /// How many bytes there are.
    fn size(&self) -> usize;

    /// The little-endian doubleword at `offset`, a multiple of 8. Whoever reads has seen that it is inside; beyond the end
    /// is any value.
    fn doubleword(&self, offset: usize) -> u64;
}

impl Source for [u8] {
    fn size(&self) -> usize {
        self.len()
    }

    fn doubleword(&self, offset: usize) -> u64 {
        let bytes = offset.checked_add(8).and_then(|end| self.get(offset..end));
        bytes
            .and_then(|bytes| bytes.try_into().ok())
            .map_or(0, u64::from_le_bytes)
    }
}

/// A buffer that a descriptor is written to, in units of 8 bytes.
pub trait Sink {
    /// Writes the little-endian doubleword at `offset`, a multiple of 8. What would be beyond the end is dropped.
    fn put(&mut self, offset: usize, value: u64);
}

impl Sink for [u8] {
    fn put(&mut self, offset: usize, value: u64) {
        if let Some(bytes) = offset.checked_add(8).and_then(|end| self.get_mut(offset..end)) {
            bytes.copy_from_slice(&value.to_le_bytes());
        }
    }
}

/// Bits `low` to `high` of `word`.
pub(super) const fn bits(word: u64, high: u32, low: u32) -> u64 {
    word >> low & (u64::MAX >> (63 - (high - low)))
}
