//! Virtual machine identifiers.

/// The tag of a VM's translations in TLBs. Equal to the VM's FF-A endpoint id; at most 8 bits wide, which every CPU
/// and SMMU has (VTCR_EL2.VS = 0).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Vmid(u8);

impl Vmid {
    /// The host's.
    pub const HOST: Self = Self(1);

    /// The VMID `raw`.
    #[must_use]
    pub const fn new(raw: u8) -> Self {
        Self(raw)
    }

    /// The VMID as a number.
    #[must_use]
    pub const fn get(self) -> u8 {
        self.0
    }
}
