//! Stage-2 tables of VMSAv8-64 with 4 KiB granules (Arm ARM D8.3), walked as hardware does it: what was found on the way
//! is remembered, and used again, until it is told to forget.

use super::bits;
use super::memory::SimMemory;
use std::vec::Vec;

/// Why there is no way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// No valid entry, or an address outside of what the tables cover.
    Translation,
    /// An address that comes out is too wide.
    AddressSize,
    /// The access flag is not set.
    Access,
    /// Not for this direction.
    Permission,
}

/// Which tables.
#[derive(Clone, Copy)]
pub struct Stage2 {
    pub vmid: u16,
    pub root: u64,
    pub ipa_bits: u32,
    pub start_level: u32,
    pub output_bits: u32,
}

/// A translation that is remembered.
struct Mapping {
    vmid: u16,
    ipa: u64,
    size: u64,
    output: u64,
    readable: bool,
    writable: bool,
}

/// A table that is remembered on the way to translations.
struct Walk {
    vmid: u16,
    ipa: u64,
    size: u64,
    table: u64,
}

/// What is remembered.
#[derive(Default)]
pub struct Translations {
    mappings: Vec<Mapping>,
    walks: Vec<Walk>,
}

impl Translations {
    /// Forgets everything.
    pub fn forget_all(&mut self) {
        self.mappings.clear();
        self.walks.clear();
    }

    /// Forgets everything of one VM.
    pub fn forget_vm(&mut self, vmid: u16) {
        self.mappings.retain(|mapping| mapping.vmid != vmid);
        self.walks.retain(|walk| walk.vmid != vmid);
    }

    /// Forgets what has to do with the addresses from `start` to `end`; with `leaf`, keeps the tables on the way.
    pub fn forget_range(&mut self, vmid: u16, start: u64, end: u64, leaf: bool) {
        self.mappings
            .retain(|mapping| mapping.vmid != vmid || mapping.ipa >= end || mapping.ipa + mapping.size <= start);
        self.walks
            .retain(|walk| leaf || walk.vmid != vmid || walk.ipa >= end || walk.ipa + walk.size <= start);
    }

    /// Remembers one page, whoever found it.
    pub fn remember(&mut self, vmid: u16, ipa: u64, output: u64) {
        self.mappings.push(Mapping {
            vmid,
            ipa,
            size: 4096,
            output,
            readable: true,
            writable: true,
        });
    }

    /// Whether it knows where `address` leads without a walk.
    pub fn knows(&self, vmid: u16, address: u64) -> bool {
        self.mapping(vmid, address).is_some()
    }

    fn mapping(&self, vmid: u16, address: u64) -> Option<usize> {
        self.mappings
            .iter()
            .position(|mapping| mapping.vmid == vmid && (mapping.ipa..mapping.ipa + mapping.size).contains(&address))
    }

    /// Where `address` leads, from what is remembered or from the tables.
    pub fn translate(&mut self, memory: &SimMemory, tables: &Stage2, address: u64, write: bool) -> Result<u64, Fault> {
        let index = match self.mapping(tables.vmid, address) {
            Some(index) => index,
            None => self.walk(memory, tables, address)?,
        };
        let mapping = &self.mappings[index];
        let permitted = if write { mapping.writable } else { mapping.readable };
        if permitted {
            Ok(mapping.output + (address - mapping.ipa))
        } else {
            Err(Fault::Permission)
        }
    }

    /// Walks, and remembers. Returns the index of the mapping.
    fn walk(&mut self, memory: &SimMemory, tables: &Stage2, address: u64) -> Result<usize, Fault> {
        let &Stage2 {
            vmid,
            root,
            ipa_bits,
            start_level,
            output_bits,
        } = tables;
        if address >> ipa_bits != 0 {
            return Err(Fault::Translation);
        }
        let shift = |level: u32| 39 - 9 * level;
        let side_by_side = 1u64 << (ipa_bits - shift(start_level)).saturating_sub(9);
        let mut table = root & 0x000f_ffff_ffff_f000 & !(4096 * side_by_side - 1);
        for level in start_level..=3 {
            let size = 1u64 << shift(level);
            let ipa = address & !(size - 1);
            let known = self
                .walks
                .iter()
                .find(|walk| level < 3 && walk.vmid == vmid && walk.ipa == ipa && walk.size == size);
            if let Some(walk) = known {
                table = walk.table;
                continue;
            }
            let index_bits = if level == start_level {
                ipa_bits - shift(level)
            } else {
                9
            };
            let descriptor = memory.read(table + 8 * (address >> shift(level) & ((1 << index_bits) - 1)));
            let output = bits(descriptor, 47, 12) << 12;
            match (descriptor & 3, level) {
                (0b11, 0..=2) if output >> output_bits != 0 => return Err(Fault::AddressSize),
                (0b11, 0..=2) => {
                    table = output;
                    self.walks.push(Walk { vmid, ipa, size, table });
                }
                (0b01, 1..=2) | (0b11, 3) => {
                    let output = output & !(size - 1);
                    if output >> output_bits != 0 {
                        return Err(Fault::AddressSize);
                    }
                    if descriptor >> 10 & 1 == 0 {
                        return Err(Fault::Access);
                    }
                    self.mappings.push(Mapping {
                        vmid,
                        ipa,
                        size,
                        output,
                        readable: descriptor >> 6 & 1 != 0,
                        writable: descriptor >> 7 & 1 != 0,
                    });
                    return Ok(self.mappings.len() - 1);
                }
                _ => return Err(Fault::Translation),
            }
        }
        Err(Fault::Translation)
    }
}
