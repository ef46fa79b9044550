//! Contents that tell where they belong, and a source of chance that is the same on every run.

/// What the eight bytes at `address` hold: different for every address, and never zero.
pub const fn at(address: u64) -> u64 {
    mix(address ^ 0x6c65_6173_6568_6f6c) | 1
}

/// A permutation of 64-bit numbers: the finaliser of SplitMix64 (Steele, Lea, Flood: "Fast splittable pseudorandom
/// number generators", 2014).
const fn mix(mut z: u64) -> u64 {
    z = (z ^ z >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ z >> 31
}

/// Chance.
#[derive(Clone, Copy, Debug)]
pub struct Chance(u64);

impl Chance {
    /// The same numbers for the same seed.
    pub const fn new(seed: u64) -> Chance {
        Chance(seed)
    }

    /// The next number.
    pub const fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        mix(self.0)
    }

    /// A number below `bound`, which is not 0.
    pub const fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neighbours_differ_and_nothing_is_zero() {
        for i in 0..4096u64 {
            let a = 0x4000_0000 + i * 8;
            assert_ne!(at(a), 0);
            assert_ne!(at(a), at(a + 8));
            assert_ne!(at(a), at(a + 4096));
        }
    }

    #[test]
    fn chance_repeats_itself() {
        let (mut a, mut b) = (Chance::new(7), Chance::new(7));
        for _ in 0..100 {
            assert_eq!(a.next(), b.next());
            assert!(a.below(3) < 3);
            b.below(3);
        }
    }
}
