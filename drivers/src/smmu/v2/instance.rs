//! What a SoC says of one of its units, since the unit itself does not.

use leasehold_memory_map::PhysRange;

/// What EL2 may do with a unit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Access {
    /// All of its registers are EL2's.
    Full,
    /// Its global space is Secure code's: streams and contexts are what that code makes of them, and a context bank that
    /// it made one of stage 1 cannot walk the CPUs' tables (APQ8016 with Qualcomm's TrustZone; Linux `qcom_iommu.c`
    /// touches context banks only).
    SecureGlobal,
    /// It is off, or will be at any time: an access of a register hangs or aborts (a GPU's, behind its power domain).
    LeftAlone,
}

/// How the unit's walks see the tables that CPUs write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Walks {
    /// Through the CPUs' caches, and ID0.CTTW must say so.
    Coherent,
    /// Through the CPUs' caches, whatever ID0.CTTW says: it is tied off wrongly (device tree: `dma-coherent`, which Linux
    /// takes over ID0 too, `arm_smmu_device_cfg_probe`).
    CoherentByTree,
    /// Past them: whoever writes tables cleans them to the point of coherency before the unit is to see them.
    Cleaned,
}

/// Whether the next-page prefetcher of an MMU-500 must be off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Prefetch {
    /// Yes, for errata 826419 and 841119 (Linux `arm-smmu-impl.c`, `arm_mmu500_reset`): what it fetches ahead need not
    /// be forgotten with the rest. A unit where it cannot be turned off, because Secure code has left SACR.CACHE_LOCK
    /// set, is refused.
    Off,
    /// The unit's maker has said that this revision has none of the errata.
    Harmless,
}

/// Who made the unit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Implementation {
    /// Arm CoreLink MMU-500 (DDI 0517), with Qualcomm's additions or without.
    Mmu500(Prefetch),
    /// Somebody else: what is IMPLEMENTATION DEFINED is left as it is.
    Other,
}

/// Where Qualcomm's registers of the translation buffer units are, in bytes behind the unit's base. They are read when a
/// TLB sync does not complete, for the log, and at no other time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct TbuRegisters {
    /// Which of them have power.
    pub(super) power: u16,
    /// Which have acknowledged an invalidation and a sync.
    pub(super) acknowledged: u16,
    /// What the control unit is at, and who keeps it waiting.
    pub(super) progress: u16,
}

impl TbuRegisters {
    /// TBU_PWR_STATUS, STATS_SYNC_INV_TBU_ACK and MMU2QSS_AND_SAFE_WAIT_CNTR of every `qcom,*-smmu-500` (Linux
    /// `arm-smmu-qcom.c`, `qcom_smmu_impl0_reg_offset`).
    pub const QUALCOMM: Self = Self {
        power: 0x2204,
        acknowledged: 0x25dc,
        progress: 0x2670,
    };
}

/// StreamIDs: those that are `id` in every bit that is not set in `mask`, as the device tree's `iommus` has them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Streams {
    /// The id.
    pub id: u16,
    /// Bits that do not matter.
    pub mask: u16,
}

impl Streams {
    /// All that there are.
    pub const ALL: Self = Self::new(0, 0xffff);

    /// Those that are `id` but for `mask`.
    #[must_use]
    pub const fn new(id: u16, mask: u16) -> Self {
        Self { id, mask }
    }

    /// Whether any of `other` is among them.
    #[must_use]
    pub const fn overlaps(self, other: Self) -> bool {
        (self.id ^ other.id) & !(self.mask | other.mask) == 0
    }

    /// Whether all of `other` are among them.
    #[must_use]
    pub const fn covers(self, other: Self) -> bool {
        other.mask & !self.mask == 0 && (self.id ^ other.id) & !self.mask == 0
    }

    /// The two halves in which `bit`, which is in the mask, is clear and set.
    pub(super) const fn split(self, bit: u16) -> [Self; 2] {
        let mask = self.mask & !bit;
        [Self::new(self.id & !bit, mask), Self::new(self.id | bit, mask)]
    }
}

/// A unit.
#[derive(Clone, Copy, Debug)]
pub struct Instance {
    /// Its registers: the global space and the context banks behind it.
    pub registers: PhysRange,
    /// Whether they are EL2's.
    pub access: Access,
    /// Who made it.
    pub implementation: Implementation,
    /// How it sees tables.
    pub walks: Walks,
    /// The streams that may reach the host's memory, whoever uses them now or later. No others will.
    pub streams: &'static [Streams],
    /// What there is to read when it does not answer.
    pub tbus: Option<TbuRegisters>,
}
