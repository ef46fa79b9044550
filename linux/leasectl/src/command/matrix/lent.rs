//! One page that is lent, with its physical neighbour below, which is not.

use crate::device::Device;
use crate::memory::{Memory, PAGE};
use anyhow::{Context, Result, bail};
use std::fs::File;

/// How many pages to look for two neighbours in.
const PAGES: usize = 64;
/// Where a guest would have it.
const GUEST_IPA: u64 = 0x4000_0000;
/// What the memory that stays has in it, in every word.
pub const OWN: u64 = 0xa1a2_a3a4_a5a6_a7a8;

/// A page that is lent to a VM which never runs. It comes back when this is dropped, or the process ends.
#[derive(Debug)]
pub struct Lent {
    /// Where the process has it.
    pub address: usize,
    /// Where it is in RAM. The page below is this process's, and filled with [`OWN`].
    pub physical: u64,
    // Goes first: the page comes back before it is unmapped.
    _device: Device,
    memory: Memory,
}

impl Lent {
    /// Lends one of some pages of this process: the upper of two that are neighbours in RAM.
    ///
    /// # Errors
    /// When there are none, or it cannot be lent.
    pub fn new() -> Result<Lent> {
        let memory = Memory::new(PAGES * PAGE, 0)?;
        memory.fill(0, memory.length(), OWN);
        let page = upper_of_two(&memory.physical_pages()?).context("no two pages are neighbours in RAM")?;
        Lent::lend(memory, page)
    }

    /// Lends the only page of a file, a memfd's.
    ///
    /// # Errors
    /// When it cannot be lent.
    pub fn of_file(file: &File) -> Result<Lent> {
        let memory = Memory::of_file(file, PAGE)?;
        memory.fill(0, PAGE, OWN);
        Lent::lend(memory, 0)
    }

    fn lend(memory: Memory, page: usize) -> Result<Lent> {
        let before = memory.physical_pages()?;
        let address = memory.at(page * PAGE, PAGE).as_ptr().addr();
        let device = Device::open()?;
        device.create().context("cannot make a VM")?;
        device.lend(address, PAGE, GUEST_IPA).context("cannot lend a page")?;
        if memory.physical_pages()? != before {
            bail!("the kernel has moved the pages");
        }
        Ok(Lent {
            address,
            physical: before[page],
            memory,
            _device: device,
        })
    }

    /// The memory that the lent page is part of.
    pub fn memory(&self) -> &Memory {
        &self.memory
    }

    /// A pointer to its first byte.
    pub fn pointer(&self) -> *mut u8 {
        self.memory.at(self.address - self.memory.address(), PAGE).as_ptr()
    }
}

/// A page whose neighbour below, in RAM, is another of these.
fn upper_of_two(physical: &[u64]) -> Option<usize> {
    (0..physical.len()).find(|&page| {
        physical[page]
            .checked_sub(PAGE as u64)
            .is_some_and(|below| physical.contains(&below))
    })
}

#[cfg(test)]
mod tests {
    use super::upper_of_two;

    #[test]
    fn neighbours_are_found_in_any_order() {
        assert_eq!(upper_of_two(&[0x9000, 0x5000, 0x4000, 0x7000]), Some(1));
        assert_eq!(upper_of_two(&[0x4000, 0x6000]), None);
        assert_eq!(upper_of_two(&[0]), None);
    }
}
