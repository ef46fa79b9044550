//! Half-open ranges of addresses.

/// From `start` up to but not including `end`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Range {
    /// The first address.
    pub start: u64,
    /// The address behind the last.
    pub end: u64,
}

impl Range {
    /// A range of `bytes` bytes. One that would wrap ends at the last address.
    pub const fn new(start: u64, bytes: u64) -> Range {
        Range {
            start,
            end: start.saturating_add(bytes),
        }
    }

    /// How long it is.
    pub const fn bytes(&self) -> u64 {
        self.end.saturating_sub(self.start)
    }

    /// Is there nothing in it?
    pub const fn is_empty(&self) -> bool {
        self.end <= self.start
    }

    /// Is `address` in it?
    pub const fn contains(&self, address: u64) -> bool {
        self.start <= address && address < self.end
    }

    /// Have the two an address in common?
    pub const fn overlaps(&self, other: &Range) -> bool {
        !self.is_empty() && !other.is_empty() && self.start < other.end && other.start < self.end
    }

    /// The whole pages that it touches.
    pub const fn pages_around(&self) -> Range {
        Range {
            start: self.start & !0xfff,
            end: self.end.saturating_add(0xfff) & !0xfff,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn touching_is_not_overlapping() {
        assert!(!Range::new(0, 16).overlaps(&Range::new(16, 16)));
        assert!(Range::new(0, 17).overlaps(&Range::new(16, 16)));
        assert!(!Range::new(0, 0).overlaps(&Range::new(0, 16)));
    }

    #[test]
    fn pages_around_are_whole() {
        assert_eq!(Range::new(0x1fff, 2).pages_around(), Range::new(0x1000, 0x2000));
        assert_eq!(Range::new(0x1000, 0x1000).pages_around(), Range::new(0x1000, 0x1000));
    }
}
