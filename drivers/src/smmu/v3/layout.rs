//! Where queues and tables go in the memory that the driver is given.
//!
//! All streams have the same entry, so a 2-level table needs one second-level table only: every level-1 descriptor points
//! at it. With 16-bit StreamIDs that is 12 KiB instead of the 4 MiB of a linear table.

use super::command::COMMAND_BYTES;
use super::event::EVENT_BYTES;
use super::features::Features;
use super::structures::{L1STD_BYTES, STE_BYTES};
use leasehold_memory_map::{Address, PAGE_SIZE, PhysRange};

/// log2 of the entries of the command queue: a page, which is more than is ever asked for between two syncs.
const COMMANDS: u8 = 8;
/// log2 of the entries of the event queue. A device that is refused can make an event for every 4 bytes.
const EVENTS: u8 = 10;
/// What SPLIT can be (Arm IHI 0070, 6.3, SMMU_STRTAB_BASE_CFG).
const SPLITS: [u8; 3] = [6, 8, 10];

/// The size of a translation table, in bytes.
pub const TABLE_BYTES: usize = PAGE_SIZE as usize;

/// How the stream table is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StreamTable {
    /// One entry for each of 2^`bits` streams.
    Linear {
        /// How many bits a StreamID has.
        bits: u8,
    },
    /// Descriptors for the upper part of a StreamID, entries for the lower `split` bits.
    TwoLevel {
        /// How many bits a StreamID has.
        bits: u8,
        /// How many of them choose the entry.
        split: u8,
    },
}

impl StreamTable {
    /// The sizes of the array of descriptors and of the array of entries, in bytes.
    const fn bytes(self) -> (usize, usize) {
        match self {
            Self::Linear { bits } => (0, STE_BYTES << bits),
            Self::TwoLevel { bits, split } => (L1STD_BYTES << (bits - split), STE_BYTES << split),
        }
    }

    /// How many entries there are, those that are shared counted once.
    pub const fn entries(self) -> usize {
        match self {
            Self::Linear { bits } => 1 << bits,
            Self::TwoLevel { split, .. } => 1 << split,
        }
    }

    /// The smallest of those that the hardware has.
    fn smallest(features: &Features) -> Self {
        let bits = features.stream_bits();
        let splits = SPLITS
            .into_iter()
            .filter(|split| features.has_two_level_tables() && *split < bits)
            .map(|split| Self::TwoLevel { bits, split });
        splits.fold(Self::Linear { bits }, |best, other| {
            let total = |table: Self| table.bytes().0 + table.bytes().1;
            if total(other) < total(best) { other } else { best }
        })
    }
}

/// Places behind the base of the memory, in bytes, each aligned to its size.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Layout {
    /// How the stream table is made.
    pub table: StreamTable,
    /// The descriptors of a 2-level table.
    pub descriptors: usize,
    /// The entries of a linear table, or those that all descriptors point at.
    pub entries: usize,
    /// The command queue.
    pub commands: usize,
    /// log2 of its entries.
    pub command_bits: u8,
    /// A translation table of level 0.
    pub top: usize,
    /// The event queue.
    pub events: usize,
    /// log2 of its entries.
    pub event_bits: u8,
}

impl Layout {
    /// The layout of what hardware with `features` needs, in `memory`.
    ///
    /// # Errors
    /// How many bytes are enough when aligned to that many, where `memory` is too small.
    pub fn new(features: &Features, memory: PhysRange) -> Result<Self, usize> {
        let table = StreamTable::smallest(features);
        let command_bits = COMMANDS.min(features.command_bits());
        let event_bits = EVENTS.min(features.event_bits());
        let (descriptor_bytes, entry_bytes) = table.bytes();
        let sizes = [
            // A table of descriptors is aligned to 64 bytes at least, a queue to 32.
            descriptor_bytes.max(64),
            entry_bytes,
            (COMMAND_BYTES << command_bits).max(32),
            EVENT_BYTES << event_bits,
            TABLE_BYTES,
        ];
        let [descriptors, entries, commands, events, top] = place(sizes, memory)?;
        Ok(Self {
            table,
            descriptors,
            entries,
            commands,
            command_bits,
            top,
            events,
            event_bits,
        })
    }
}

/// Offsets into `memory` for areas of these sizes (powers of two), each aligned to its size: the largest first, so that
/// nothing is lost between them.
fn place<const N: usize>(sizes: [usize; N], memory: PhysRange) -> Result<[usize; N], usize> {
    let enough = sizes.iter().sum::<usize>().next_power_of_two();
    let base = usize::try_from(memory.start().get()).map_err(|_| enough)?;
    let end = usize::try_from(memory.end().get()).map_err(|_| enough)?;
    let mut offsets = [0; N];
    let mut placed = [false; N];
    let mut next = base;
    for _ in 0..N {
        let largest = (0..N).filter(|area| !placed[*area]).max_by_key(|area| sizes[*area]);
        let Some(area) = largest else { break };
        let start = next.checked_next_multiple_of(sizes[area]).ok_or(enough)?;
        next = start
            .checked_add(sizes[area])
            .filter(|area_end| *area_end <= end)
            .ok_or(enough)?;
        offsets[area] = start - base;
        placed[area] = true;
    }
    Ok(offsets)
}

#[cfg(test)]
mod tests {
    use super::*;
    use leasehold_memory_map::PhysAddr;
    use proptest::prelude::*;

    #[test]
    fn the_smallest_table_is_the_one_that_is_shared() {
        let table = StreamTable::TwoLevel { bits: 16, split: 6 };
        assert_eq!(table.bytes(), (8192, 4096));
        assert_eq!(StreamTable::Linear { bits: 16 }.bytes(), (0, 4 << 20));
    }

    proptest! {
        #[test]
        fn areas_are_aligned_inside_and_apart(
            shifts in prop::array::uniform4(5u32..17),
            start in 0u64..0x10_0000,
            len in 1u64..0x8_0000,
        ) {
            let sizes = shifts.map(|shift| 1usize << shift);
            let memory = PhysRange::new(PhysAddr::new(start), len).unwrap();
            match place(sizes, memory) {
                Ok(offsets) => {
                    for (area, offset) in offsets.iter().enumerate() {
                        prop_assert_eq!((start as usize + offset) % sizes[area], 0);
                        prop_assert!((offset + sizes[area]) as u64 <= len);
                        for (other, other_offset) in offsets.iter().enumerate().skip(area + 1) {
                            prop_assert!(offset + sizes[area] <= *other_offset || other_offset + sizes[other] <= *offset);
                        }
                    }
                }
                Err(enough) => {
                    prop_assert!(len < 2 * enough as u64);
                    let aligned = PhysRange::new(PhysAddr::new(4 * enough as u64), enough as u64).unwrap();
                    prop_assert!(place(sizes, aligned).is_ok());
                }
            }
        }
    }
}
