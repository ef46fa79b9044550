//! What neither tree nor description says of a board, as the twin has it. These are figures of the twin's: they are marked
//! so in the golden files, and say nothing of what is on a desk.

use leasehold_hyp_core::features::Features;

/// A board's figures.
#[derive(Debug)]
pub struct Profile {
    /// Bytes of RAM that the loader finds at the tree's first memory node, where the tree has none: trees of Qualcomm's
    /// boards leave it to the loader. The least that is sold with any such board, or less.
    pub ram: u64,
    /// Bits of physical address that the boot CPU has.
    pub physical_bits: u8,
    /// ID_AA64MMFR2_EL1.BBM of the boot CPU.
    pub bbm_level: u8,
    /// From where these are.
    pub source: &'static str,
}

/// QEMU's `virt` machine with `-cpu max -m 1G`.
pub const QEMU_VIRT: Profile = Profile {
    ram: 1 << 30,
    physical_bits: 48,
    bbm_level: 2,
    source: "QEMU, -cpu max -smp 4 -m 1G",
};

/// Four Cortex-A53.
pub const CORTEX_A53: Profile = Profile {
    ram: 1 << 30,
    physical_bits: 40,
    bbm_level: 0,
    source: "Cortex-A53 TRM (DDI 0500), ID_AA64MMFR0_EL1; no FEAT_BBM in Armv8.0",
};

/// Little cores of Armv8.2 and later that start first.
pub const CORTEX_A55: Profile = Profile {
    ram: 2 << 30,
    physical_bits: 40,
    bbm_level: 0,
    source: "Cortex-A55 TRM (100442), ID_AA64MMFR0_EL1; no FEAT_BBM assumed",
};

/// Cortex-A510 and -A520.
pub const CORTEX_A510: Profile = Profile {
    ram: 2 << 30,
    physical_bits: 40,
    bbm_level: 0,
    source: "40 bits as of Cortex-A510 (101604), ID_AA64MMFR0_EL1; FEAT_BBM left out (unconfirmed)",
};

/// Oryon.
pub const ORYON: Profile = Profile {
    ram: 2 << 30,
    physical_bits: 48,
    bbm_level: 0,
    source: "unconfirmed: no manual is public",
};

impl Profile {
    /// What the boot CPU has, as far as the boot path looks at it.
    #[must_use]
    pub fn features(&self) -> Features {
        let physical_range = match self.physical_bits {
            32 => 0,
            36 => 1,
            40 => 2,
            42 => 3,
            44 => 4,
            _ => 5,
        };
        Features {
            physical_bits: self.physical_bits,
            physical_range,
            bbm_level: self.bbm_level,
            gic_sysregs: true,
            ..Features::default()
        }
    }
}
