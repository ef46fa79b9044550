//! The one picture of stage-2 tables from which VTCR_EL2, the SMMU's stream table entry and its context bank are derived.

/// Why a machine cannot have the geometry asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum GeometryError {
    /// The IPA size is not within what 4 KiB granules with a start at level 1 can have (32 to 43 bits).
    IpaBits(u8),
}

/// What stage-2 memory attributes mean (Arm ARM D8.6.5 and D8.6.6).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum MemoryAttributes {
    /// HCR_EL2.FWB = 0: MemAttr\[3:0\] combine with stage 1.
    Combine,
    /// HCR_EL2.FWB = 1: MemAttr\[2:0\] override stage 1. No board uses it yet: SMMUs must have it too.
    ForceWriteBack,
}

/// Granule, size and start level of stage-2 tables. The granule is 4 KiB, the start level 1, with up to 16
/// concatenated tables (Arm ARM D8.2.9).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Stage2Geometry {
    ipa_bits: u8,
    attributes: MemoryAttributes,
}

impl Stage2Geometry {
    /// Tables for `ipa_bits` bits of IPA, walked from level 1.
    ///
    /// # Errors
    /// [`GeometryError::IpaBits`] outside of 32 to 43 bits.
    pub const fn new(ipa_bits: u8, attributes: MemoryAttributes) -> Result<Self, GeometryError> {
        if ipa_bits < 32 || ipa_bits > 43 {
            return Err(GeometryError::IpaBits(ipa_bits));
        }
        Ok(Self { ipa_bits, attributes })
    }

    /// How many bits an IPA has.
    #[must_use]
    pub const fn ipa_bits(&self) -> u8 {
        self.ipa_bits
    }

    /// What the memory attributes in entries mean.
    #[must_use]
    pub const fn attributes(&self) -> MemoryAttributes {
        self.attributes
    }

    /// The level at which a walk starts. Always 1.
    #[must_use]
    pub const fn start_level(&self) -> u8 {
        1
    }

    /// How many level-1 tables stand side by side at the root: 1, 2, 4, 8 or 16. The root is aligned to its size.
    #[must_use]
    pub const fn root_tables(&self) -> usize {
        if self.ipa_bits <= 39 {
            1
        } else {
            1 << (self.ipa_bits - 39)
        }
    }

    /// The T0SZ field, the same in VTCR_EL2, the STE (S2T0SZ) and a context bank's TCR.
    #[must_use]
    pub const fn t0sz(&self) -> u8 {
        64 - self.ipa_bits
    }

    /// The SL0 field for a start at level 1 with 4 KiB granules (Arm ARM D8.2.9, Table D8-24; SMMUv3 S2SL0): 1.
    #[must_use]
    pub const fn sl0(&self) -> u8 {
        1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forty_bits_start_with_two_tables() {
        let geometry = Stage2Geometry::new(40, MemoryAttributes::Combine).unwrap();
        assert_eq!((geometry.root_tables(), geometry.t0sz(), geometry.sl0()), (2, 24, 1));
    }

    #[test]
    fn sizes_that_level_one_cannot_start_are_refused() {
        for bits in [0, 31, 44, 64] {
            assert_eq!(
                Stage2Geometry::new(bits, MemoryAttributes::Combine),
                Err(GeometryError::IpaBits(bits))
            );
        }
        assert_eq!(
            Stage2Geometry::new(43, MemoryAttributes::Combine)
                .unwrap()
                .root_tables(),
            16
        );
    }
}
