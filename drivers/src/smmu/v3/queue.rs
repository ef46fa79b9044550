//! Positions in circular queues (Arm IHI 0070, 3.5.1).

/// A position in a queue of 2^`bits` entries: an index, and above it the wrap flag, which turns each time round.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Position {
    raw: u32,
    /// The bits of an index; the one above is the wrap flag.
    mask: u32,
}

impl Position {
    /// The position in a PROD or CONS register, whatever else is in it. `bits` is at most 19.
    pub const fn of(register: u32, bits: u8) -> Self {
        Self {
            raw: register & ((2 << bits) - 1),
            mask: (1 << bits) - 1,
        }
    }

    /// The position in the other register of the same queue.
    pub const fn read(self, register: u32) -> Self {
        Self {
            raw: register & (self.mask << 1 | 1),
            mask: self.mask,
        }
    }

    /// The position as it is written to a register.
    pub const fn raw(self) -> u32 {
        self.raw
    }

    /// Which entry it is.
    pub const fn index(self) -> usize {
        (self.raw & self.mask) as usize
    }

    /// The next position.
    pub const fn next(self) -> Self {
        // Behind the last wrap flag comes zero.
        self.read(self.raw.wrapping_add(1))
    }

    /// Whether a queue between this producer's position and that consumer's has no room.
    pub const fn is_full(self, consumer: Self) -> bool {
        self.raw ^ consumer.raw == self.mask.wrapping_add(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_wrap_and_tell_full_from_empty() {
        for bits in [0, 1, 3, 19] {
            let consumer = Position::of(0, bits);
            let mut producer = consumer;
            for count in 0..1 << bits {
                assert!(!producer.is_full(consumer), "{bits} {count}");
                assert_eq!(producer.index(), count);
                producer = producer.next();
            }
            assert!(producer.is_full(consumer));
            assert_ne!(producer, consumer);
            for _ in 0..1 << bits {
                producer = producer.next();
            }
            assert_eq!(producer, consumer);
        }
    }

    #[test]
    fn what_else_is_in_the_register_is_not_looked_at() {
        assert_eq!(Position::of(0xffff_fff5, 3).raw(), 5);
        assert_eq!(Position::of(0, 3).read(0xffff_fff5), Position::of(5, 3));
    }
}
