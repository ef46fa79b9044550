//! Who touched what, and how.

use super::exception::Mode;
use crate::trap::{AbortIss, Esr, Hpfar};
use leasehold_abi::vendor;
use leasehold_memory_map::{Address, Ipa, PAGE_SIZE};

/// A class of access. A policy has a chain of mechanisms for each.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Class {
    /// From EL0: loads, stores, fetches and cache maintenance.
    El0,
    /// From EL1, at a user address (uaccess).
    El1User,
    /// From EL1, at a kernel address.
    El1Kernel,
    /// A walk of stage 1, for whichever Exception level: it was the tables that are lent.
    Walk,
    /// An instruction fetch from EL1.
    Fetch,
    /// Cache maintenance by address from EL1.
    Cache,
}

impl Class {
    /// How many there are.
    pub const COUNT: usize = 6;
    /// All of them, in the order of their numbers.
    pub const ALL: [Self; Self::COUNT] = [
        Self::El0,
        Self::El1User,
        Self::El1Kernel,
        Self::Walk,
        Self::Fetch,
        Self::Cache,
    ];

    /// The number in fault records: one of `CLASS_*` of the ABI.
    #[must_use]
    pub const fn abi(self) -> u64 {
        match self {
            Self::El0 => vendor::CLASS_EL0,
            Self::El1User => vendor::CLASS_EL1_USER,
            Self::El1Kernel => vendor::CLASS_EL1_KERNEL,
            Self::Walk => vendor::CLASS_WALK,
            Self::Fetch => vendor::CLASS_FETCH,
            Self::Cache => vendor::CLASS_CACHE,
        }
    }

    /// The place in an array of [`COUNT`](Self::COUNT).
    #[must_use]
    pub const fn index(self) -> usize {
        self as usize
    }

    /// The class of this name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|class| class.name() == name)
    }
}

macro_rules! names {
    ($($class:ident: $name:literal,)*) => {
        impl Class {
            /// The name in a policy's text.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$class => $name,)*
                }
            }
        }

        /// A number that stands for the name, without its letters.
        #[cfg(feature = "defmt")]
        impl defmt::Format for Class {
            fn format(&self, f: defmt::Formatter<'_>) {
                match self {
                    $(Self::$class => defmt::write!(f, $name),)*
                }
            }
        }
    };
}

names! {
    El0: "el0",
    El1User: "el1-user",
    El1Kernel: "el1-kernel",
    Walk: "walk",
    Fetch: "fetch",
    Cache: "cache",
}

/// An access that stage 2 refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Access {
    /// The class that decides what is done about it.
    pub class: Class,
    /// The state that it came from.
    pub mode: Mode,
    /// It was an instruction fetch; else a data access or cache maintenance.
    pub fetch: bool,
    /// ESR_EL2.
    pub esr: Esr,
    /// FAR_EL2: the virtual address, meaningful unless ISS.FnV is set.
    pub far: u64,
    /// The page, from HPFAR_EL2. `None` where the register is UNKNOWN (a permission fault): translate again.
    pub page: Option<Ipa>,
}

impl Access {
    /// Reads the registers of a trap. `None` when `esr` is not that of an abort from a lower Exception level.
    #[must_use]
    #[inline(always)]
    pub fn decode(esr: Esr, far: u64, hpfar: Hpfar, spsr: u64) -> Option<Self> {
        let (iss, fetch) = esr.abort_from_below()?;
        let mode = Mode::of(spsr);
        Some(Self {
            class: classify(iss, fetch, mode, far),
            mode,
            fetch,
            esr,
            far,
            page: iss.hpfar_valid().then(|| hpfar.page()),
        })
    }

    /// The syndrome.
    #[must_use]
    pub const fn iss(&self) -> AbortIss {
        AbortIss::new(self.esr.iss())
    }

    /// Whether it would have written. A walk reads; cache maintenance counts as a write (Arm ARM, ESR_EL2, WnR).
    #[must_use]
    pub const fn is_write(&self) -> bool {
        !self.fetch && self.iss().wnr() && !self.iss().s1ptw()
    }

    /// The address within the page, as far as is known.
    #[must_use]
    pub fn ipa(&self) -> Option<Ipa> {
        ipa(self.page?, self.far, self.iss())
    }
}

/// The address in `page` that an access at `far` was for. On a stage-1 walk the offset is that of the data and not that of
/// the table entry, so the page alone is given.
pub(super) fn ipa(page: Ipa, far: u64, iss: AbortIss) -> Option<Ipa> {
    if iss.s1ptw() || iss.fnv() {
        Some(page)
    } else {
        page.checked_add(far % PAGE_SIZE)
    }
}

/// VA bit 55 tells TTBR1 from TTBR0 addresses, with or without a tag in the top byte (Arm ARM, "VA range selection").
const VA_SELECT: u64 = 1 << 55;

fn classify(iss: AbortIss, fetch: bool, mode: Mode, far: u64) -> Class {
    if iss.s1ptw() {
        Class::Walk
    } else if mode.is_el0() {
        Class::El0
    } else if fetch {
        Class::Fetch
    } else if iss.cm() {
        Class::Cache
    } else if far & VA_SELECT != 0 {
        Class::El1Kernel
    } else {
        Class::El1User
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EL0: u64 = 0x0;
    const EL0_32: u64 = 0x10;
    const EL1H: u64 = 0x3c5;
    const DATA: u64 = 0x9200_0000;
    const FETCH: u64 = 0x8200_0000;
    const USER: u64 = 0x0000_aaaa_0000_1234;
    const KERNEL: u64 = 0xffff_8000_0000_5678;
    /// Bit 55 clear under a tag of all ones.
    const TAGGED_USER: u64 = 0xff00_aaaa_0000_1234;

    fn class(esr: u64, far: u64, spsr: u64) -> Class {
        Access::decode(Esr::new(esr), far, Hpfar::new(0), spsr).unwrap().class
    }

    #[test]
    fn classes_follow_who_where_and_how() {
        let write = DATA | 0x47;
        let maintenance = DATA | 0x147;
        let walk = DATA | 0x87;
        for (esr, far, spsr, want) in [
            (write, USER, EL0, Class::El0),
            (write, USER, EL0_32, Class::El0),
            (maintenance, USER, EL0, Class::El0),
            (FETCH | 0x07, USER, EL0, Class::El0),
            (write, USER, EL1H, Class::El1User),
            (write, TAGGED_USER, EL1H, Class::El1User),
            (write, KERNEL, EL1H, Class::El1Kernel),
            (walk, USER, EL0, Class::Walk),
            (walk, KERNEL, EL1H, Class::Walk),
            (FETCH | 0x87, KERNEL, EL1H, Class::Walk),
            (FETCH | 0x07, KERNEL, EL1H, Class::Fetch),
            (maintenance, KERNEL, EL1H, Class::Cache),
        ] {
            assert_eq!(class(esr, far, spsr), want, "{esr:#x} {far:#x} {spsr:#x}");
        }
    }

    #[test]
    fn other_traps_are_no_accesses() {
        for esr in [0x5a00_0000, 0x9600_0007, 0x8600_0007] {
            assert_eq!(Access::decode(Esr::new(esr), 0, Hpfar::new(0), EL0), None);
        }
    }

    #[test]
    fn the_offset_belongs_to_data_and_not_to_a_table() {
        let at = |esr| Access::decode(Esr::new(esr), USER, Hpfar::new(0x40_1230), EL0).unwrap();
        assert_eq!(at(DATA | 0x07).ipa(), Some(Ipa::new(0x4012_3234)));
        assert_eq!(at(DATA | 0x87).ipa(), Some(Ipa::new(0x4012_3000)));
        assert_eq!(at(DATA | 0x0f).ipa(), None);
        assert_eq!(at(DATA | 0x8f).ipa(), Some(Ipa::new(0x4012_3000)));
    }

    #[test]
    fn a_walk_and_a_fetch_are_no_writes() {
        let at = |esr| {
            Access::decode(Esr::new(esr), USER, Hpfar::new(0), EL0)
                .unwrap()
                .is_write()
        };
        assert!(at(DATA | 0x47));
        assert!(!at(DATA | 0x07) && !at(DATA | 0xc7) && !at(FETCH | 0x47));
    }

    #[test]
    fn names_lead_back_to_classes_and_numbers_are_the_abi_s() {
        for (n, class) in Class::ALL.into_iter().enumerate() {
            assert_eq!(Class::from_name(class.name()), Some(class));
            assert_eq!(class.index(), n);
            assert_eq!(class.abi(), n as u64);
        }
        assert_eq!(Class::from_name("device"), None);
    }
}
