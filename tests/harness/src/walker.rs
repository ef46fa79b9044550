//! A walker of stage-2 tables and of an SMMU's stream table, written from the architecture alone (Arm DDI 0487, D8;
//! Arm IHI 0070, 3.3 and 5): it shares nothing with the code that makes the tables.

use std::collections::BTreeSet;
use thiserror::Error;

/// Bytes of a page and of a table.
pub const PAGE: u64 = 4096;
/// Output addresses have 48 bits at most (without FEAT_LPA2).
const ADDRESS: u64 = ((1 << 48) - 1) & !(PAGE - 1);

/// Physical memory that can be read.
pub trait Physical {
    /// The page at `address`, as 512 little-endian doublewords.
    ///
    /// # Errors
    /// When it cannot be read.
    fn page(&mut self, address: u64) -> std::io::Result<[u64; 512]>;
}

/// What tables must not have in them, or why they could not be read.
#[derive(Debug, Error)]
pub enum WalkError {
    /// Memory could not be read.
    #[error(transparent)]
    Memory(#[from] std::io::Error),
    /// A setting that the walker does not know.
    #[error("{0} of {1:#x} is not understood")]
    Setting(&'static str, u64),
    /// An entry that is reserved at its level.
    #[error("the entry at {at:#x} of level {level}, {value:#x}, is none")]
    Entry {
        /// Where it is.
        at: u64,
        /// Its level.
        level: u32,
        /// What it holds.
        value: u64,
    },
}

/// Where a walk begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Root {
    /// The first table.
    pub table: u64,
    /// Its level.
    pub level: u32,
    /// How many bits an input address has.
    pub bits: u32,
}

impl Root {
    /// From VTTBR_EL2 and VTCR_EL2 (D24.2: BADDR, T0SZ, SL0, TG0).
    ///
    /// # Errors
    /// When the granule is not 4 KiB, or the level is reserved.
    pub fn of_cpu(vttbr: u64, vtcr: u64) -> Result<Root, WalkError> {
        if vtcr >> 14 & 3 != 0 || vtcr >> 32 & 1 != 0 {
            return Err(WalkError::Setting("VTCR_EL2", vtcr));
        }
        Root::new(vttbr & ADDRESS, vtcr & 0x3f, vtcr >> 6 & 3)
    }

    /// From the last two doublewords of an STE's first half (5.2: S2T0SZ, S2SL0, S2TG, S2AA64; S2TTB).
    fn of_ste(ste: &[u64]) -> Result<Root, WalkError> {
        let (settings, base) = (ste[2], ste[3]);
        if settings >> 46 & 3 != 0 || settings >> 51 & 1 == 0 {
            return Err(WalkError::Setting("STE", settings));
        }
        Root::new(base & ADDRESS, settings >> 32 & 0x3f, settings >> 38 & 3)
    }

    /// Start levels for the 4 KiB granule (D24.2, VTCR_EL2.SL0).
    fn new(table: u64, t0sz: u64, sl0: u64) -> Result<Root, WalkError> {
        let level = match sl0 {
            0 => 2,
            1 => 1,
            2 => 0,
            _ => return Err(WalkError::Setting("SL0", sl0)),
        };
        let bits = 64 - t0sz as u32;
        // Up to sixteen tables stand side by side.
        if bits > 48 || bits < shift(level) || bits > shift(level) + 9 + 4 {
            return Err(WalkError::Setting("T0SZ", t0sz));
        }
        Ok(Root { table, level, bits })
    }
}

/// The lowest bit of an input address that chooses an entry of this level.
fn shift(level: u32) -> u32 {
    12 + 9 * (3 - level)
}

/// A page or block that can be reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Leaf {
    /// Its output address.
    pub output: u64,
    /// Its length, in bytes.
    pub length: u64,
    /// The input address that leads there.
    pub input: u64,
    /// Where its entry is.
    pub entry: u64,
}

/// All that a root leads to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Map {
    /// By output address.
    pub leaves: Vec<Leaf>,
    /// Output ranges, as few as can be, by address.
    pub ranges: Vec<(u64, u64)>,
    /// The pages that are tables.
    pub tables: BTreeSet<u64>,
}

impl Map {
    /// Walks all of it.
    ///
    /// # Errors
    /// When a table cannot be read, or holds what it must not.
    pub fn walk(memory: &mut impl Physical, root: Root) -> Result<Map, WalkError> {
        let mut map = Map::default();
        let entries = 1_u64 << (root.bits - shift(root.level));
        for number in 0..entries.div_ceil(512) {
            let input = number << (shift(root.level) + 9);
            map.table(
                memory,
                root.table + number * PAGE,
                root.level,
                input,
                entries.min(512) as usize,
            )?;
        }
        Ok(map.sorted())
    }

    /// Puts the leaves in order, and joins them.
    fn sorted(mut self) -> Map {
        self.leaves.sort_unstable();
        self.ranges.clear();
        for leaf in &self.leaves {
            let end = leaf.output + leaf.length;
            match self.ranges.last_mut() {
                Some(last) if last.1 >= leaf.output => last.1 = last.1.max(end),
                _ => self.ranges.push((leaf.output, end)),
            }
        }
        self
    }

    fn table(
        &mut self,
        memory: &mut impl Physical,
        table: u64,
        level: u32,
        input: u64,
        entries: usize,
    ) -> Result<(), WalkError> {
        self.tables.insert(table);
        let page = memory.page(table)?;
        for (index, value) in page.into_iter().take(entries).enumerate() {
            let at = table + 8 * index as u64;
            let input = input + ((index as u64) << shift(level));
            // D8.3: bit 0 is Valid; bit 1 tells a table or page from a block.
            match (value & 3, level) {
                (0 | 2, _) => {}
                (3, 0..=2) => self.table(memory, value & ADDRESS, level + 1, input, 512)?,
                (3, 3) | (1, 1 | 2) => {
                    let length = 1 << shift(level);
                    let output = value & ADDRESS & !(length - 1);
                    let entry = at;
                    self.leaves.push(Leaf {
                        output,
                        length,
                        input,
                        entry,
                    });
                }
                _ => return Err(WalkError::Entry { at, level, value }),
            }
        }
        Ok(())
    }

    /// A leaf that reaches any of `start..end`.
    #[must_use]
    pub fn reaches(&self, start: u64, end: u64) -> Option<Leaf> {
        let into = |from: u64, to: u64| from < end && start < to;
        self.ranges.iter().find(|range| into(range.0, range.1))?;
        let mut leaves = self.leaves.iter();
        leaves
            .find(|leaf| into(leaf.output, leaf.output + leaf.length))
            .copied()
    }

    /// A leaf that reaches what a leaf of `other` reaches too.
    #[must_use]
    pub fn shares(&self, other: &Map) -> Option<Leaf> {
        other.ranges.iter().find_map(|range| self.reaches(range.0, range.1))
    }
}

/// What an SMMU does with the streams that there are.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Streams {
    /// The stage-2 roots that some stream is on.
    pub roots: BTreeSet<Root>,
    /// How many streams are on one.
    pub translated: u64,
    /// Where their entries are, which streams may share.
    pub entries: BTreeSet<u64>,
    /// How many streams are refused.
    pub refused: u64,
    /// The streams whose accesses are not looked at, or go through a stage 1 that the hypervisor does not own.
    pub loose: Vec<u64>,
    /// The pages that the stream table lies in.
    pub tables: BTreeSet<u64>,
}

impl Streams {
    /// From SMMU_STRTAB_BASE and SMMU_STRTAB_BASE_CFG (6.3: ADDR; FMT, SPLIT, LOG2SIZE).
    ///
    /// # Errors
    /// When a table cannot be read, or is of a kind that the walker does not know.
    pub fn walk(memory: &mut impl Physical, base: u64, config: u64) -> Result<Streams, WalkError> {
        let (table, bits, split) = (base & ADDRESS_OF_STREAMS, config & 0x3f, config >> 6 & 0x1f);
        let mut streams = Streams::default();
        match config >> 16 & 3 {
            0 => (0..1 << bits).try_for_each(|stream| streams.stream(memory, stream, table + 64 * stream))?,
            1 => {
                for upper in 0..1_u64 << (bits - split) {
                    let descriptor = streams.read(memory, table + 8 * upper)?;
                    // 5.1: Span of n stands for 2^(n-1) entries, 0 for none.
                    let (span, entries) = (descriptor & 0x1f, descriptor & ADDRESS_OF_STREAMS);
                    let there = if span == 0 { 0 } else { 1 << (span - 1) };
                    streams.refused += (1_u64 << split).saturating_sub(there);
                    for lower in 0..there.min(1 << split) {
                        streams.stream(memory, upper << split | lower, entries + 64 * lower)?;
                    }
                }
            }
            _ => return Err(WalkError::Setting("SMMU_STRTAB_BASE_CFG", config)),
        }
        Ok(streams)
    }

    fn read(&mut self, memory: &mut impl Physical, at: u64) -> Result<u64, WalkError> {
        self.tables.insert(at & !(PAGE - 1));
        Ok(memory.page(at & !(PAGE - 1))?[(at & (PAGE - 1)) as usize / 8])
    }

    /// 5.2: V, and Config: bit 2 lets accesses through, bit 1 by stage 2, bit 0 by stage 1.
    fn stream(&mut self, memory: &mut impl Physical, stream: u64, at: u64) -> Result<(), WalkError> {
        let page = at & !(PAGE - 1);
        self.tables.insert(page);
        let words = memory.page(page)?;
        let ste = words.as_chunks::<8>().0[(at - page) as usize / 64];
        match (ste[0] & 1, ste[0] >> 1 & 7) {
            (0, _) | (1, 0b000..=0b011) => self.refused += 1,
            (1, 0b110) => {
                self.roots.insert(Root::of_ste(&ste)?);
                self.translated += 1;
                self.entries.insert(at);
            }
            _ => self.loose.push(stream),
        }
        Ok(())
    }
}

/// Bits 51 to 6.
const ADDRESS_OF_STREAMS: u64 = ((1 << 52) - 1) & !0x3f;

#[cfg(test)]
mod tests;
