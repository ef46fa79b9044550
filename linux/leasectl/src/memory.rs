//! Memory of this process that can be lent.

use anyhow::{Context, Result, bail};
use nix::sys::memfd::{MFdFlags, memfd_create};
use nix::sys::mman::{MapFlags, MmapAdvise, ProtFlags, madvise, mlock, mmap, mmap_anonymous, mprotect, munmap};
use std::fs::File;
use std::num::NonZeroUsize;
use std::os::unix::fs::FileExt;
use std::ptr::NonNull;

/// Bytes of a page. leasectl's hosts have kernels with this granule.
pub const PAGE: usize = 4096;
/// Bytes of a block: what one level-2 entry of a 4 KiB granule maps.
pub const BLOCK: usize = 2 << 20;

const READ_WRITE: ProtFlags = ProtFlags::PROT_READ.union(ProtFlags::PROT_WRITE);

/// A private anonymous mapping, zeroed at first, which goes when this is dropped.
///
/// All accesses are volatile, through raw pointers: while it is lent, others write to it, or it faults.
#[derive(Debug)]
pub struct Memory {
    base: NonNull<u8>,
    length: usize,
    /// What was mapped, for the sake of alignment.
    mapped: (NonNull<core::ffi::c_void>, usize),
}

impl Memory {
    /// Maps `length` bytes, starting `offset` bytes behind a multiple of [`BLOCK`]. Both are multiples of [`PAGE`].
    ///
    /// Neither forks nor core dumps take it along: they would read it at EL1.
    ///
    /// # Errors
    /// When there is no memory.
    pub fn new(length: usize, offset: usize) -> Result<Memory> {
        if !length.is_multiple_of(PAGE) || !offset.is_multiple_of(PAGE) {
            bail!("{length:#x} bytes at offset {offset:#x} are not whole pages");
        }
        let size = length.checked_add(offset).and_then(|size| size.checked_add(BLOCK));
        let size = size
            .and_then(NonZeroUsize::new)
            .context("that is no size for a mapping")?;
        // SAFETY: a new anonymous mapping at an address that the kernel chooses touches nothing that exists.
        let mapped =
            unsafe { mmap_anonymous(None, size, READ_WRITE, MapFlags::MAP_PRIVATE) }.context("cannot map memory")?;
        let skip = mapped.as_ptr().addr().next_multiple_of(BLOCK) - mapped.as_ptr().addr() + offset;
        // SAFETY: `skip` is less than BLOCK + offset, so it lies in the mapping, with `length` bytes behind it.
        let base = unsafe { mapped.cast::<u8>().add(skip) };
        let memory = Memory {
            base,
            length,
            mapped: (mapped, size.get()),
        };
        memory.keep_to_itself()?;
        Ok(memory)
    }

    /// Maps `length` bytes of a new memfd, shared.
    ///
    /// # Errors
    /// When there is no memory.
    pub fn of_memfd(length: usize) -> Result<Memory> {
        let file = File::from(memfd_create(c"leasectl", MFdFlags::MFD_CLOEXEC).context("cannot make a memfd")?);
        Memory::of_file(&file, length)
    }

    /// Gives a file, a memfd's, its length, and maps it, shared.
    ///
    /// # Errors
    /// When there is no memory.
    pub fn of_file(file: &File, length: usize) -> Result<Memory> {
        file.set_len(length as u64)
            .context("cannot give the memfd its length")?;
        let size = NonZeroUsize::new(length).context("that is no size for a mapping")?;
        // SAFETY: a new mapping at an address that the kernel chooses touches nothing that exists.
        let mapped =
            unsafe { mmap(None, size, READ_WRITE, MapFlags::MAP_SHARED, file, 0) }.context("cannot map a memfd")?;
        let memory = Memory {
            base: mapped.cast(),
            length,
            mapped: (mapped, length),
        };
        memory.keep_to_itself()?;
        Ok(memory)
    }

    fn keep_to_itself(&self) -> Result<()> {
        self.advise(0, self.length, MmapAdvise::MADV_DONTFORK)?;
        self.advise(0, self.length, MmapAdvise::MADV_DONTDUMP)
    }

    /// Makes all of it read-only. Writing to it then ends the process.
    ///
    /// # Errors
    /// When the kernel does not.
    pub fn make_read_only(&self) -> Result<()> {
        // SAFETY: no reference to it exists, and reading stays possible.
        unsafe { mprotect(self.base.cast(), self.length, ProtFlags::PROT_READ) }.context("cannot make memory read-only")
    }

    /// Makes all of it executable too.
    ///
    /// # Errors
    /// When the kernel does not.
    pub fn make_executable(&self) -> Result<()> {
        // SAFETY: it stays readable and writable.
        unsafe { mprotect(self.base.cast(), self.length, READ_WRITE | ProtFlags::PROT_EXEC) }
            .context("cannot make memory executable")
    }

    /// One page that stays where it is, for a device to read and write.
    ///
    /// # Errors
    /// When there is no memory, or it may not be locked.
    pub fn locked_page() -> Result<Memory> {
        let memory = Memory::new(PAGE, 0)?;
        memory.fill(0, PAGE, 0);
        // SAFETY: mlock reads and writes no byte of it.
        unsafe { mlock(memory.base.cast(), PAGE) }.context("cannot lock a page")?;
        Ok(memory)
    }

    /// Advises the kernel on a part of it.
    ///
    /// # Errors
    /// When the kernel does not take the advice.
    pub fn advise(&self, offset: usize, length: usize, advice: MmapAdvise) -> Result<()> {
        let start = self.at(offset, length);
        // SAFETY: the part lies in this mapping, and none of the advices used here (fork, dump, huge pages) discards
        // contents.
        unsafe { madvise(start.cast(), length, advice) }.with_context(|| format!("madvise({advice:?})"))
    }

    /// Its first address.
    pub fn address(&self) -> usize {
        self.base.as_ptr().addr()
    }

    /// Its length in bytes.
    pub fn length(&self) -> usize {
        self.length
    }

    /// A pointer to `length` bytes at `offset`.
    ///
    /// # Panics
    /// When they are not all in the mapping.
    pub fn at(&self, offset: usize, length: usize) -> NonNull<u8> {
        assert!(
            offset.checked_add(length).is_some_and(|end| end <= self.length),
            "{offset:#x}+{length:#x}"
        );
        // SAFETY: `offset` is at most `length`, so this is in, or one past the end of, the mapping.
        unsafe { self.base.add(offset) }
    }

    /// Writes `value` to `length` bytes at `offset`, both multiples of 8.
    pub fn fill(&self, offset: usize, length: usize, value: u64) {
        for word in (offset..offset + length).step_by(8) {
            self.write(word, value);
        }
    }

    /// Writes the eight bytes at `offset`, a multiple of 8.
    pub fn write(&self, offset: usize, value: u64) {
        // SAFETY: `at` has checked that the bytes are mapped, writable memory; the mapping starts at a page, so a
        // multiple of 8 is aligned. A fault, where it is lent, ends the process by a signal.
        unsafe { self.at(offset, 8).cast::<u64>().write_volatile(value) }
    }

    /// Reads the eight bytes at `offset`, a multiple of 8.
    pub fn read(&self, offset: usize) -> u64 {
        // SAFETY: as in `write`; every bit pattern is a u64.
        unsafe { self.at(offset, 8).cast::<u64>().read_volatile() }
    }

    /// Finds the first eight bytes that are not what `expected` says for their offset.
    pub fn find_other(&self, expected: impl Fn(usize) -> u64) -> Option<(usize, u64)> {
        (0..self.length)
            .step_by(8)
            .map(|offset| (offset, self.read(offset)))
            .find(|&(at, value)| value != expected(at))
    }

    /// The physical addresses of its pages, as the kernel tells them to a privileged process.
    ///
    /// # Errors
    /// When it does not, or when a page is not present.
    pub fn physical_pages(&self) -> Result<Vec<u64>> {
        let pagemap = File::open("/proc/self/pagemap").context("cannot open /proc/self/pagemap")?;
        let mut bytes = vec![0; self.length / PAGE * 8];
        let first = (self.address() / PAGE * 8) as u64;
        pagemap
            .read_exact_at(&mut bytes, first)
            .context("cannot read /proc/self/pagemap")?;
        bytes
            .chunks_exact(8)
            .map(|entry| physical(u64::from_le_bytes(entry.try_into()?)))
            .collect()
    }
}

/// Decodes an entry of a pagemap (Linux, Documentation/admin-guide/mm/pagemap.rst).
fn physical(entry: u64) -> Result<u64> {
    const PRESENT: u64 = 1 << 63;
    const FRAME: u64 = (1 << 55) - 1;
    match (entry & PRESENT, entry & FRAME) {
        (0, _) => bail!("a page is not present"),
        (_, 0) => bail!("the kernel hides page frames: CAP_SYS_ADMIN is needed"),
        (_, frame) => Ok(frame * PAGE as u64),
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        let (base, length) = self.mapped;
        // SAFETY: this is what `new` has mapped, and no reference into it exists: accesses go through `self`.
        let result = unsafe { munmap(base, length) };
        debug_assert!(result.is_ok());
    }
}

/// What one range of physical memory is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Run {
    /// Its first page, counted from the start of the memory.
    pub page: usize,
    /// How many pages.
    pub pages: usize,
}

/// Cuts pages into runs that are contiguous in physical memory.
pub fn runs(physical: &[u64]) -> Vec<Run> {
    let mut runs: Vec<Run> = Vec::new();
    for (page, &address) in physical.iter().enumerate() {
        match runs.last_mut() {
            Some(run) if physical[page - 1] + PAGE as u64 == address => run.pages += 1,
            _ => runs.push(Run { page, pages: 1 }),
        }
    }
    runs
}

/// Finds pages that fill an aligned 2 MiB block of physical memory; returns the first of them.
pub fn find_block(physical: &[u64]) -> Option<usize> {
    let pages = BLOCK / PAGE;
    runs(physical).iter().find_map(|run| {
        let aligned = |page: &usize| physical[*page].is_multiple_of(BLOCK as u64);
        (run.page..run.page + run.pages)
            .find(aligned)
            .filter(|first| first + pages <= run.page + run.pages)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn consecutive(from: u64, pages: usize) -> impl Iterator<Item = u64> {
        (0..pages as u64).map(move |page| from + page * PAGE as u64)
    }

    #[test]
    fn runs_are_cut_where_neighbours_are_not() {
        let physical = [0x5000, 0x6000, 0x4000, 0x8000, 0x9000, 0xa000];
        let expected = [
            Run { page: 0, pages: 2 },
            Run { page: 2, pages: 1 },
            Run { page: 3, pages: 3 },
        ];
        assert_eq!(runs(&physical), expected);
        assert_eq!(runs(&[]), []);
    }

    #[test]
    fn a_block_has_to_be_aligned_and_whole() {
        let block = BLOCK as u64;
        let before: Vec<u64> = consecutive(block - 0x2000, 514).collect();
        assert_eq!(find_block(&before), Some(2));
        assert_eq!(find_block(&before[..513]), None);
        let shifted: Vec<u64> = consecutive(block + 0x1000, 1022).collect();
        assert_eq!(find_block(&shifted), None);
        let shifted: Vec<u64> = consecutive(block + 0x1000, 1023).collect();
        assert_eq!(find_block(&shifted), Some(511));
    }

    #[test]
    fn entries_of_a_pagemap() {
        assert!(physical(0x1234).is_err());
        assert!(physical(1 << 63).is_err());
        assert_eq!(physical(1 << 63 | 1 << 55 | 0x4_2000).unwrap(), 0x4200_0000);
    }

    #[test]
    fn memory_is_what_was_asked_for() {
        let memory = Memory::new(8 * PAGE, 5 * PAGE).unwrap();
        assert_eq!(memory.address() % BLOCK, 5 * PAGE);
        assert_eq!(memory.find_other(|_| 0), None);
        memory.write(3 * PAGE, 7);
        assert_eq!(memory.find_other(|_| 0), Some((3 * PAGE, 7)));
        assert!(Memory::new(8 * PAGE + 8, 0).is_err());
        assert_eq!(Memory::of_memfd(2 * PAGE).unwrap().find_other(|_| 0), None);
    }
}
