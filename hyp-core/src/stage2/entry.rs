//! Stage-2 descriptors as types (Arm ARM D8.3, VMSAv8-64 with 4 KiB granules).
//!
//! Hardware ignores all of an invalid descriptor but bit 0, bits 58:55 of a valid one, and bits 11:2 of a table
//! descriptor. That is where we keep who a page belongs to, which entries a call has claimed, and how many entries of
//! a table are exceptions.

use leasehold_hal::MemoryAttributes;
use leasehold_memory_map::{Address, PhysAddr};

/// Entries in a table.
pub(crate) const ENTRIES: u64 = 512;

const VALID: u64 = 1 << 0;
/// In a valid descriptor: a table at levels 1 and 2, a page at level 3. Clear: a block.
const TABLE_OR_PAGE: u64 = 1 << 1;
const MEM_ATTR_SHIFT: u32 = 2;
const MEM_ATTR: u64 = 0b1111 << MEM_ATTR_SHIFT;
/// Normal, Outer and Inner Write-Back, HCR_EL2.FWB = 0 (Arm ARM D8.6.5).
const MEM_ATTR_WRITE_BACK: u64 = 0b1111 << MEM_ATTR_SHIFT;
/// Normal Write-Back whatever stage 1 says, HCR_EL2.FWB = 1 (Arm ARM D8.6.6).
const MEM_ATTR_FORCED_WRITE_BACK: u64 = 0b0110 << MEM_ATTR_SHIFT;
/// Normal Non-cacheable: with stage 1's Device it stays Device, all else becomes Non-cacheable. The same encoding with
/// and without FWB.
const MEM_ATTR_NON_CACHEABLE: u64 = 0b0101 << MEM_ATTR_SHIFT;
const S2AP_READ_WRITE: u64 = 0b11 << 6;
const SH_OUTER: u64 = 0b10 << 8;
const SH_INNER: u64 = 0b11 << 8;
const AF: u64 = 1 << 10;
/// XN\[1\]: no execution at EL1 and EL0, with and without FEAT_XNX.
const XN: u64 = 1 << 54;
/// Output address bits 47:12.
const ADDRESS: u64 = 0x0000_ffff_ffff_f000;

/// Software bit 55 of a valid descriptor: a lend that is being checked has claimed it.
pub(super) const CLAIMED: u64 = 1 << 55;

const EXCEPTIONS_SHIFT: u32 = 2;
const EXCEPTIONS: u64 = 0x3ff << EXCEPTIONS_SHIFT;

const OWNER_SHIFT: u32 = 1;
const OWNER: u64 = 0b111 << OWNER_SHIFT;
const OWNER_NOBODY: u64 = 0 << OWNER_SHIFT;
const OWNER_HYPERVISOR: u64 = 1 << OWNER_SHIFT;
const OWNER_LEASE: u64 = 2 << OWNER_SHIFT;
const OWNER_TAKEN: u64 = 3 << OWNER_SHIFT;
const LEASE_SHIFT: u32 = 4;
const LEASE: u64 = 0xff << LEASE_SHIFT;
/// In an invalid descriptor: the address bits name a table that comes back when the entry is valid again.
const KEPT: u64 = 1 << 52;

/// A level of the walk. Level 0 and the last level of smaller blocks do not exist here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Level {
    /// Entries of 1 GiB.
    One,
    /// Entries of 2 MiB.
    Two,
    /// Pages of 4 KiB.
    Three,
}

impl Level {
    /// The number of address bits below an entry of this level.
    pub(crate) const fn shift(self) -> u32 {
        match self {
            Self::One => 30,
            Self::Two => 21,
            Self::Three => 12,
        }
    }

    /// How many bytes an entry of this level maps.
    pub(crate) const fn size(self) -> u64 {
        1 << self.shift()
    }

    /// The level of the table that an entry of this level points at; pages have none and give themselves.
    pub(crate) const fn next(self) -> Self {
        match self {
            Self::One => Self::Two,
            Self::Two | Self::Three => Self::Three,
        }
    }
}

/// Who an invalid entry's memory belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Owner {
    /// Nobody: there is nothing here for this VM.
    Nobody,
    /// The hypervisor.
    Hypervisor,
    /// The host, which has lent it: the lease's index.
    Lease(u8),
    /// In a guest's table: the host, which had lent it and has it back, whatever the guest was at.
    Taken,
}

/// What kind of memory a leaf maps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Memory {
    /// RAM.
    Ram,
    /// A window of devices.
    Device,
}

/// An entry, decoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Entry {
    /// Not mapped.
    Invalid {
        /// Whose memory it is.
        owner: Owner,
        /// The table that the entry had and will have again.
        kept: Option<PhysAddr>,
    },
    /// A block or a page.
    Leaf {
        /// Where it leads.
        address: PhysAddr,
        /// To what.
        memory: Memory,
        /// Whether a lend that is being checked has claimed it.
        claimed: bool,
    },
    /// A table of the next level.
    Table {
        /// Where it is.
        table: PhysAddr,
        /// How many of its entries are exceptions: for the host all but its own RAM, for a guest all but nothing.
        exceptions: u16,
        /// Whether a lend that is being checked has claimed all that it maps.
        claimed: bool,
    },
}

impl Entry {
    /// What `raw` means in a table of `level`.
    pub(crate) fn decode(raw: u64, level: Level) -> Self {
        if raw & VALID == 0 {
            return Self::Invalid {
                owner: owner(raw),
                kept: (raw & KEPT != 0).then(|| address(raw)),
            };
        }
        if is_table(raw, level) {
            return Self::Table {
                table: address(raw),
                exceptions: exceptions(raw),
                claimed: raw & CLAIMED != 0,
            };
        }
        Self::Leaf {
            address: address(raw),
            memory: if is_device(raw) { Memory::Device } else { Memory::Ram },
            claimed: raw & CLAIMED != 0,
        }
    }
}

/// The lease that an entry says its memory is withheld for: for who needs to know nothing else.
#[inline(always)]
pub(super) fn lease(raw: u64) -> Option<u8> {
    (raw & (VALID | OWNER) == OWNER_LEASE).then_some(((raw & LEASE) >> LEASE_SHIFT) as u8)
}

fn owner(raw: u64) -> Owner {
    match raw & OWNER {
        OWNER_NOBODY => Owner::Nobody,
        OWNER_LEASE => Owner::Lease(((raw & LEASE) >> LEASE_SHIFT) as u8),
        OWNER_TAKEN => Owner::Taken,
        // Kinds that nobody writes count as what can never be lent.
        _ => Owner::Hypervisor,
    }
}

/// The address that an entry carries: a leaf's, a table's or a kept table's.
pub(super) fn address(raw: u64) -> PhysAddr {
    // 48 bits at most, so always an address.
    PhysAddr::checked(raw & ADDRESS).unwrap_or(PhysAddr::new(0))
}

/// Whether `raw`, in a table of `level`, points at another table.
pub(super) fn is_table(raw: u64, level: Level) -> bool {
    level != Level::Three && raw & (VALID | TABLE_OR_PAGE) == VALID | TABLE_OR_PAGE
}

/// Whether `raw` maps something or points at a table.
pub(super) fn is_valid(raw: u64) -> bool {
    raw & VALID != 0
}

/// Whether `raw` is a leaf that maps a window of devices.
pub(super) fn is_device(raw: u64) -> bool {
    raw & MEM_ATTR == MEM_ATTR_NON_CACHEABLE
}

/// How many entries of the table that `raw` points at are exceptions.
pub(super) fn exceptions(raw: u64) -> u16 {
    ((raw & EXCEPTIONS) >> EXCEPTIONS_SHIFT) as u16
}

/// The descriptor of a table with so many exceptions.
pub(super) fn table(address: PhysAddr, exceptions: u16) -> u64 {
    address.get() | (u64::from(exceptions) << EXCEPTIONS_SHIFT) | VALID | TABLE_OR_PAGE
}

/// An entry that maps nothing and says why; `kept` is the table that comes back.
pub(super) fn invalid(owner: Owner, kept: Option<PhysAddr>) -> u64 {
    let owner = match owner {
        Owner::Nobody => OWNER_NOBODY,
        Owner::Hypervisor => OWNER_HYPERVISOR,
        Owner::Lease(index) => OWNER_LEASE | (u64::from(index) << LEASE_SHIFT),
        Owner::Taken => OWNER_TAKEN,
    };
    owner | kept.map_or(0, |table| KEPT | table.get())
}

/// The entry that maps `address` in a table of `level`, read-write: RAM also executable and cacheable, device windows
/// neither.
pub(super) fn leaf(address: PhysAddr, memory: Memory, attributes: MemoryAttributes, level: Level) -> u64 {
    let memory = match (memory, attributes) {
        (Memory::Ram, MemoryAttributes::Combine) => MEM_ATTR_WRITE_BACK | SH_INNER,
        (Memory::Ram, MemoryAttributes::ForceWriteBack) => MEM_ATTR_FORCED_WRITE_BACK | SH_INNER,
        (Memory::Device, _) => MEM_ATTR_NON_CACHEABLE | SH_OUTER | XN,
    };
    let kind = if level == Level::Three { TABLE_OR_PAGE } else { 0 };
    address.get() | memory | S2AP_READ_WRITE | AF | VALID | kind
}

#[cfg(test)]
mod tests {
    use super::*;

    const PA: PhysAddr = PhysAddr::new(0x1234_4560_0000);

    /// The numbers are laid out by hand from the Arm ARM's figures.
    #[test]
    fn ram_is_write_back_inner_shareable_and_all_is_allowed() {
        let raw = leaf(PA, Memory::Ram, MemoryAttributes::Combine, Level::Two);
        assert_eq!(raw, 0x1234_4560_07fd);
        assert_eq!(
            leaf(PA, Memory::Ram, MemoryAttributes::Combine, Level::Three),
            0x1234_4560_07ff
        );
        assert_eq!(
            leaf(PA, Memory::Ram, MemoryAttributes::ForceWriteBack, Level::Two),
            0x1234_4560_07d9
        );
    }

    #[test]
    fn device_windows_leave_the_type_to_stage_one_and_are_not_executable() {
        let raw = leaf(PA, Memory::Device, MemoryAttributes::Combine, Level::Three);
        assert_eq!(raw, 0x0040_1234_4560_06d7);
    }

    #[test]
    fn what_is_written_is_read_back() {
        let kept = Some(PhysAddr::new(0x8000_1000));
        for owner in [Owner::Nobody, Owner::Hypervisor, Owner::Lease(0), Owner::Lease(255)] {
            for kept in [None, kept] {
                let raw = invalid(owner, kept);
                assert_eq!(raw & 1, 0, "hardware must see it as invalid");
                assert_eq!(Entry::decode(raw, Level::Two), Entry::Invalid { owner, kept });
            }
        }
        for exceptions in [0, 1, 511, 512] {
            let raw = table(PhysAddr::new(0x8000_1000), exceptions);
            assert_eq!(
                Entry::decode(raw, Level::One),
                Entry::Table {
                    table: PhysAddr::new(0x8000_1000),
                    exceptions,
                    claimed: false
                }
            );
        }
        for memory in [Memory::Ram, Memory::Device] {
            for attributes in [MemoryAttributes::Combine, MemoryAttributes::ForceWriteBack] {
                for level in [Level::One, Level::Two, Level::Three] {
                    let raw = leaf(PhysAddr::new(0x4000_0000), memory, attributes, level) | CLAIMED;
                    assert_eq!(
                        Entry::decode(raw, level),
                        Entry::Leaf {
                            address: PhysAddr::new(0x4000_0000),
                            memory,
                            claimed: true
                        }
                    );
                }
            }
        }
    }

    #[test]
    fn nothing_is_all_zeroes() {
        assert_eq!(invalid(Owner::Nobody, None), 0);
    }
}
