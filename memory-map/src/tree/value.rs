//! Values of properties (Devicetree Specification v0.4, 2.2.4): cells, strings, and lists of ranges.

use super::error::Fault;
use crate::addr::{Address, PhysAddr};
use crate::range::PhysRange;

const CELL: usize = 4;

/// `#address-cells` and `#size-cells` of a bus.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Cells {
    pub address: u32,
    pub size: u32,
}

impl Default for Cells {
    /// What a bus has that does not say (Devicetree Specification v0.4, 2.3.5).
    fn default() -> Self {
        Self { address: 2, size: 1 }
    }
}

impl Cells {
    /// How many bytes an address and a length have, where both fit in 64 bits. A length may have no cells.
    fn bytes(self) -> Result<(usize, usize), Fault> {
        match (self.address, self.size) {
            (1..=2, 0..=2) => Ok((self.address as usize * CELL, self.size as usize * CELL)),
            (address, size) => Err(Fault::Cells { address, size }),
        }
    }

    /// The size of an address and a length in bytes.
    pub fn entry_len(self) -> usize {
        self.bytes().map_or(0, |(address, size)| address + size)
    }

    /// Splits a `reg` into addresses and lengths.
    pub fn entries(self, value: &[u8]) -> Result<Entries<'_>, Fault> {
        let (address, size) = self.bytes()?;
        if !value.len().is_multiple_of(address + size) {
            return Err(Fault::Length(value.len()));
        }
        Ok(Entries { value, address, size })
    }

    /// The cells with which a `reg` of `len` bytes has a single entry, for nodes whose parent does not say.
    pub fn of_single(len: usize) -> Option<Self> {
        match len {
            8 => Some(Self { address: 1, size: 1 }),
            12 => Some(Self { address: 2, size: 1 }),
            16 => Some(Self { address: 2, size: 2 }),
            _ => None,
        }
    }
}

/// The entries of a `reg`: address and length in bytes.
#[derive(Clone)]
pub(crate) struct Entries<'a> {
    value: &'a [u8],
    address: usize,
    size: usize,
}

impl Iterator for Entries<'_> {
    type Item = (u64, u64);

    fn next(&mut self) -> Option<Self::Item> {
        let (address, rest) = self.value.split_at_checked(self.address)?;
        let (size, rest) = rest.split_at_checked(self.size)?;
        self.value = rest;
        Some((cells(address), cells(size)))
    }
}

/// The number that one or two cells, or none, make.
pub(crate) fn cells(value: &[u8]) -> u64 {
    value.iter().fold(0, |number, byte| number << 8 | u64::from(*byte))
}

/// A value of one cell.
pub(crate) fn u32(value: &[u8]) -> Result<u32, Fault> {
    let bytes = value.try_into().map_err(|_| Fault::Length(value.len()))?;
    Ok(u32::from_be_bytes(bytes))
}

/// A value of one or two cells.
pub(crate) fn number(value: &[u8]) -> Result<u64, Fault> {
    match value.len() {
        4 | 8 => Ok(cells(value)),
        len => Err(Fault::Length(len)),
    }
}

/// A value that is one string.
pub(crate) fn text(value: &[u8]) -> Result<&str, Fault> {
    match value.split_last() {
        Some((0, text)) if !text.contains(&0) => str::from_utf8(text).map_err(|_| Fault::Text),
        _ => Err(Fault::Text),
    }
}

/// Whether a list of strings has one of `wanted` in it.
pub(crate) fn lists_any(value: &[u8], wanted: &[&str]) -> bool {
    let mut strings = value.split(|byte| *byte == 0);
    strings.any(|string| wanted.iter().any(|wanted| wanted.as_bytes() == string))
}

/// The big-endian words of a value, without what is left over.
pub(crate) fn words(value: &[u8]) -> impl Iterator<Item = u32> {
    let (words, _) = value.as_chunks::<CELL>();
    words.iter().map(|word| u32::from_be_bytes(*word))
}

/// The range of an entry, or `None` where the length is zero: boot loaders leave such entries.
pub(crate) fn range((start, len): (u64, u64)) -> Result<Option<PhysRange>, Fault> {
    use crate::range::RangeError::Wraps;
    if len == 0 {
        return Ok(None);
    }
    PhysAddr::checked(start)
        .ok_or(Wraps)
        .and_then(|start| PhysRange::new(start, len))
        .map(Some)
        .map_err(|error| Fault::Range { start, len, error })
}
