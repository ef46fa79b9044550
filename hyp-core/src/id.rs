//! Who is who.

use core::num::NonZeroU8;
use leasehold_hal::Vmid;

/// A VM: its FF-A endpoint id, equal to its VMID.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct VmId(NonZeroU8);

#[cfg(feature = "defmt")]
impl defmt::Format for VmId {
    fn format(&self, f: defmt::Formatter<'_>) {
        defmt::write!(f, "{=u8}", self.0.get());
    }
}

impl VmId {
    /// The host.
    pub const HOST: Self = match NonZeroU8::new(leasehold_abi::ffa::HOST_ID as u8) {
        Some(id) => Self(id),
        None => panic!("0 is the hypervisor"),
    };
    /// The first guest's id; guests have consecutive ids.
    pub const FIRST_GUEST: u8 = Self::HOST.0.get() + 1;

    /// The id of guest slot `slot` (0 is the first guest), or `None` when ids run out.
    #[must_use]
    pub fn guest(slot: usize) -> Option<Self> {
        let id = u8::try_from(slot).ok()?.checked_add(Self::FIRST_GUEST)?;
        NonZeroU8::new(id).map(Self)
    }

    /// The slot of a guest's id; `None` for the host.
    #[must_use]
    pub fn slot(self) -> Option<usize> {
        self.0.get().checked_sub(Self::FIRST_GUEST).map(usize::from)
    }

    /// The FF-A endpoint id.
    #[must_use]
    pub const fn endpoint(self) -> u16 {
        self.0.get() as u16
    }

    /// The VM with this endpoint id; `None` for the hypervisor's and for ids that no VM can have.
    #[must_use]
    pub fn from_endpoint(raw: u16) -> Option<Self> {
        let id = u8::try_from(raw).ok().and_then(NonZeroU8::new)?;
        (id >= Self::HOST.0).then_some(Self(id))
    }

    /// The VMID that tags the VM's translations.
    #[must_use]
    pub const fn vmid(self) -> Vmid {
        Vmid::new(self.0.get())
    }
}

/// Names a lease: an FF-A memory handle (DEN0077A section 10.10.2). Bit 63 set: allocated by the hypervisor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Handle(u64);

impl Handle {
    /// The handle that a caller passed. Whether it names anything is for the lease table to say.
    #[must_use]
    pub const fn from_raw(raw: u64) -> Self {
        Self(raw)
    }

    /// The handle of the lease at `index`; `generation` (below 2^55) tells it from those that were there before.
    pub(crate) const fn new(generation: u64, index: u8) -> Self {
        Self(1 << 63 | (generation << 8) & (u64::MAX >> 1) | index as u64)
    }

    /// The index of the lease that it would name.
    pub(crate) const fn index(self) -> u8 {
        self.0 as u8
    }

    /// The handle as a number.
    #[must_use]
    pub const fn raw(self) -> u64 {
        self.0
    }
}
