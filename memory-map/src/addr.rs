//! Addresses as types: what is added, compared or mapped says which space it is in.
//!
//! Arithmetic is checked. No address here exceeds [`ADDRESS_BITS`] bits, so that the end of a range is always
//! representable.

use core::fmt;

/// The widest address AArch64 has with 4 KiB granules and FEAT_LPA2 (Arm ARM D8.1.6): 52 bits.
pub const ADDRESS_BITS: u32 = 52;

/// The translation granule of every table in the project, in bytes.
pub const PAGE_SIZE: u64 = 4096;

/// What all kinds of address have in common.
///
/// Code that handles ranges is generic over it; code that programs hardware names the kind it wants.
pub trait Address: Copy + Ord + fmt::Debug + Sized {
    /// The address `raw`, or `None` if it needs more than [`ADDRESS_BITS`] bits.
    fn checked(raw: u64) -> Option<Self>;

    /// The address as a number.
    fn get(self) -> u64;

    /// The address `bytes` further on, or `None` where that leaves the address space.
    fn checked_add(self, bytes: u64) -> Option<Self> {
        self.get().checked_add(bytes).and_then(Self::checked)
    }

    /// The address `bytes` before this one, or `None` below zero.
    fn checked_sub(self, bytes: u64) -> Option<Self> {
        self.get().checked_sub(bytes).and_then(Self::checked)
    }

    /// Whether the address is a multiple of `alignment`, which must be a power of two.
    fn is_aligned(self, alignment: u64) -> bool {
        debug_assert!(alignment.is_power_of_two());
        self.get() & (alignment - 1) == 0
    }

    /// The address rounded down to a multiple of `alignment`, which must be a power of two.
    fn align_down(self, alignment: u64) -> Self {
        debug_assert!(alignment.is_power_of_two());
        Self::checked(self.get() & !(alignment - 1)).unwrap_or(self)
    }

    /// The start of the page that the address is in.
    fn page(self) -> Self {
        self.align_down(PAGE_SIZE)
    }

    /// How far into its page the address is, in bytes.
    fn page_offset(self) -> u64 {
        self.get() & (PAGE_SIZE - 1)
    }
}

macro_rules! address {
    ($(#[$doc:meta])* $name:ident, $tag:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[repr(transparent)]
        pub struct $name(u64);

        impl $name {
            /// The address as a constant of the source text.
            ///
            /// # Panics
            /// When `raw` needs more than [`ADDRESS_BITS`] bits; in a constant, at build time.
            #[must_use]
            pub const fn new(raw: u64) -> Self {
                assert!(raw >> ADDRESS_BITS == 0, "address too wide");
                Self(raw)
            }

            /// The address as a number, usable in constants.
            #[must_use]
            pub const fn as_u64(self) -> u64 {
                self.0
            }
        }

        impl Address for $name {
            fn checked(raw: u64) -> Option<Self> {
                (raw >> ADDRESS_BITS == 0).then_some(Self(raw))
            }

            fn get(self) -> u64 {
                self.0
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!($tag, ":{:#x}"), self.0)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{:#x}", self.0)
            }
        }

        #[cfg(feature = "defmt")]
        impl defmt::Format for $name {
            fn format(&self, f: defmt::Formatter<'_>) {
                defmt::write!(f, "{=u64:#x}", self.0);
            }
        }
    };
}

address! {
    /// A physical address: what the bus sees.
    PhysAddr, "PA"
}

address! {
    /// An intermediate physical address: what a VM takes for physical, and stage 2 translates.
    Ipa, "IPA"
}

impl PhysAddr {
    /// The address at which the host sees this memory: the host's stage 2 is an identity map.
    #[must_use]
    pub const fn as_host_ipa(self) -> Ipa {
        Ipa(self.0)
    }
}

impl Ipa {
    /// The physical address of this host IPA: the host's stage 2 is an identity map.
    ///
    /// True of the host alone; a guest's IPA is found by walking its tables.
    #[must_use]
    pub const fn host_phys(self) -> PhysAddr {
        PhysAddr(self.0)
    }
}
