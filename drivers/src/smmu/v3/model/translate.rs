//! The model's way from a stream and an address to memory: stream table (IHI 0070, chapter 5), then stage-2 tables of
//! VMSAv8-64 with 4 KiB granules.

use super::{ABORT, SMMUEN, State};
use crate::smmu::model::{Fault, SIZES, Stage2, bits};

/// What becomes of an access that is not let, other than the events of a transaction.
const C_BAD_STREAMID: u64 = 0x02;
const C_BAD_STE: u64 = 0x04;
const F_TRANSLATION: u64 = 0x10;
const F_ADDR_SIZE: u64 = 0x11;
const F_ACCESS: u64 = 0x12;
const F_PERMISSION: u64 = 0x13;

impl State {
    /// An access by a device. `None` when it is refused.
    pub fn dma(&mut self, stream: u32, address: u64, write: Option<u64>) -> Option<u64> {
        let output = if self.cr0ack & SMMUEN == 0 {
            if self.gbpa_effective & ABORT != 0 {
                return None;
            }
            address
        } else {
            self.translate(stream, address, write.is_some())?
        };
        match write {
            Some(value) => {
                self.memory.write(output & !7, value);
                Some(value)
            }
            None => Some(self.memory.read(output & !7)),
        }
    }

    /// A write by a device that says that it has translated the address itself. Whether it is let.
    pub fn translated(&mut self, stream: u32) -> bool {
        if self.cr0ack & SMMUEN == 0 {
            return false;
        }
        if self.cr0ack >> 4 & 1 == 0 {
            return true;
        }
        let Ok(entry) = self.entry(stream) else { return false };
        entry[0] & 1 != 0 && bits(entry[0], 3, 1) >= 0b101 && bits(entry[1], 29, 28) != 0
    }

    fn translate(&mut self, stream: u32, address: u64, write: bool) -> Option<u64> {
        let entry = match self.entry(stream) {
            Ok(entry) if entry[0] & 1 != 0 => entry,
            Ok(_) => return self.refuse([u64::from(stream) << 32 | C_BAD_STE, 0, 0, 0]),
            Err(()) if self.plain(0x2c) & 2 == 0 => return None,
            Err(()) => return self.refuse([u64::from(stream) << 32 | C_BAD_STREAMID, 0, 0, 0]),
        };
        match bits(entry[0], 3, 1) {
            0b000..=0b011 => None,
            0b100 => Some(address),
            0b110 if self.is_legal(&entry) => match self.walk(&entry, address, write) {
                Ok(output) => Some(output),
                Err(fault) => {
                    // S2, CLASS of an input address, RnW.
                    let details = 1 << 39 | 0b10 << 40 | u64::from(!write) << 35;
                    let recorded = bits(entry[2], 58, 58) != 0;
                    if recorded {
                        self.record([u64::from(stream) << 32 | fault, details, address, address & !0xfff]);
                    }
                    None
                }
            },
            _ => self.refuse([u64::from(stream) << 32 | C_BAD_STE, 0, 0, 0]),
        }
    }

    fn refuse(&mut self, record: [u64; 4]) -> Option<u64> {
        self.record(record);
        None
    }

    /// The entry of a stream, remembered or from the table. An error when the stream is out of range.
    fn entry(&mut self, stream: u32) -> Result<[u64; 8], ()> {
        if let Some(entry) = self.caches.entries.get(&stream) {
            return Ok(*entry);
        }
        let config = self.plain(0x88);
        let (log2, split, two_levels) = (bits(config, 5, 0), bits(config, 10, 6), bits(config, 17, 16) == 1);
        if u64::from(stream) >> log2 != 0 {
            return Err(());
        }
        let base = bits(self.plain(0x80), 55, 6) << 6;
        let address = if two_levels {
            assert!(self.identity.idr0 >> 27 & 3 == 1 && [6, 8, 10].contains(&split));
            let table = base & !((8u64 << (log2 - split)).max(64) - 1);
            let index = stream >> split;
            let memory = &self.memory;
            let descriptor = *self
                .caches
                .descriptors
                .entry(index)
                .or_insert_with(|| memory.read(table + 8 * u64::from(index)));
            let span = bits(descriptor, 4, 0);
            let within = u64::from(stream) & ((1 << split) - 1);
            if span == 0 || span > split + 1 || within >> (span - 1) != 0 {
                return Err(());
            }
            (bits(descriptor, 55, 6) << 6 & !((64 << (span - 1)) - 1)) + 64 * within
        } else {
            (base & !((64 << log2) - 1)) + 64 * u64::from(stream)
        };
        let entry = core::array::from_fn(|word| self.memory.read(address + 8 * word as u64));
        self.caches.entries.insert(stream, entry);
        Ok(entry)
    }

    /// Whether an entry that asks for stage 2 only is not ILLEGAL (5.2.2), and has no reserved field set.
    fn is_legal(&self, entry: &[u64; 8]) -> bool {
        let identity = &self.identity;
        let walk = entry[2];
        let vmid16 = identity.idr0_bit(18);
        let (t0sz, sl0) = (bits(walk, 37, 32), bits(walk, 39, 38));
        let output_bits = self.output_bits(walk);
        let ias = SIZES[(identity.idr5 & 7) as usize];
        // Levels 2, 1 and 0 with 4 KiB granules, up to 16 tables side by side (Arm ARM D8.2.9).
        let consistent = match sl0 {
            0 => (30 - 5..=34).contains(&(64 - t0sz)),
            1 => (31..=43).contains(&(64 - t0sz)),
            2 => (40..=48).contains(&(64 - t0sz)) && output_bits >= 44,
            _ => false,
        };
        let supported = identity.idr0_bit(0) && identity.idr0_bit(3) && identity.idr5 >> 4 & 1 != 0;
        let stalls = bits(walk, 57, 57) != 0;
        let stall_ok = match identity.idr0 >> 24 & 3 {
            0 => true,
            1 => !stalls,
            _ => stalls,
        };
        let attributes = entry[1];
        let fwb_ok = attributes >> 25 & 1 == 0 || identity.idr3 >> 8 & 1 != 0;
        let shcfg_ok = bits(attributes, 45, 44) == 0 || identity.idr1 >> 27 & 1 != 0;
        let reserved = entry[0] & !0xf
            | attributes & !(3 << 44 | 1 << 25)
            | walk & 0xf980_0000_ffff_0000
            | entry[3] & 0xfff0_0000_0000_000f
            | entry[4]
            | entry[5]
            | entry[6]
            | entry[7];
        supported
            && consistent
            && 64 - t0sz <= u64::from(ias)
            && stall_ok
            && fwb_ok
            && shcfg_ok
            && reserved == 0
            && (vmid16 || bits(walk, 15, 8) == 0)
            // VMSAv8-64, 4 KiB granule, little-endian.
            && bits(walk, 51, 51) == 1
            && bits(walk, 47, 46) == 0
            && bits(walk, 52, 52) == 0
            && entry[3] >> output_bits == 0
    }

    fn output_bits(&self, walk: u64) -> u32 {
        let oas = SIZES[(self.identity.idr5 & 7) as usize];
        SIZES[bits(walk, 50, 48) as usize].min(oas).min(48)
    }

    /// Stage 2 of `address`, from what it remembers or from the tables, or the number of the event.
    fn walk(&mut self, entry: &[u64; 8], address: u64, write: bool) -> Result<u64, u64> {
        let tables = Stage2 {
            vmid: bits(entry[2], 15, 0) as u16,
            root: entry[3],
            ipa_bits: 64 - bits(entry[2], 37, 32) as u32,
            start_level: 2 - bits(entry[2], 39, 38) as u32,
            output_bits: self.output_bits(entry[2]),
        };
        self.caches
            .translations
            .translate(&self.memory, &tables, address, write)
            .map_err(|fault| match fault {
                Fault::Translation => F_TRANSLATION,
                Fault::AddressSize => F_ADDR_SIZE,
                Fault::Access => F_ACCESS,
                Fault::Permission => F_PERMISSION,
            })
    }
}
