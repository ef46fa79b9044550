//! Pages of the machine's memory.

use crate::arch::cpu;
use crate::range::Range;
use crate::tree::Machine;
use heapless::Vec;

/// Bytes in a page.
pub const PAGE: u64 = 4096;

/// Some pages in a row that this program owns, or owned until it lent them.
///
/// All access is volatile and by address: nobody has a reference into a block, so that others may change it at any
/// time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Block {
    base: u64,
    pages: u64,
}

impl Block {
    /// The pages of a table.
    pub(crate) const fn of_table(base: u64) -> Block {
        Block { base, pages: 1 }
    }

    /// Its address.
    pub const fn base(&self) -> u64 {
        self.base
    }

    /// How many pages it has.
    pub const fn pages(&self) -> u64 {
        self.pages
    }

    /// How many bytes it has.
    pub const fn bytes(&self) -> u64 {
        self.pages * PAGE
    }

    /// `pages` pages of it, from page `first`.
    pub fn part(&self, first: u64, pages: u64) -> Block {
        assert!(first + pages <= self.pages);
        Block {
            base: self.base + first * PAGE,
            pages,
        }
    }

    fn pointer<T>(&self, offset: usize) -> *mut T {
        assert!(offset.is_multiple_of(size_of::<T>()) && (offset + size_of::<T>()) as u64 <= self.bytes());
        (self.base as usize + offset) as *mut T
    }

    /// The eight bytes at `offset`.
    pub fn read(&self, offset: usize) -> u64 {
        // SAFETY: aligned and within the block, which is memory that `Pages` hands out once.
        unsafe { self.pointer::<u64>(offset).read_volatile() }
    }

    /// Writes the eight bytes at `offset`.
    pub fn write(&self, offset: usize, value: u64) {
        // SAFETY: as in `read`; nobody has a reference to it.
        unsafe { self.pointer::<u64>(offset).write_volatile(value) }
    }

    /// The four bytes at `offset`.
    pub fn read32(&self, offset: usize) -> u32 {
        // SAFETY: as in `read`.
        unsafe { self.pointer::<u32>(offset).read_volatile() }
    }

    /// Writes the four bytes at `offset`.
    pub fn write32(&self, offset: usize, value: u32) {
        // SAFETY: as in `write`.
        unsafe { self.pointer::<u32>(offset).write_volatile(value) }
    }

    /// Writes bytes from `offset` on.
    pub fn put(&self, offset: usize, bytes: &[u8]) {
        for (i, byte) in bytes.iter().enumerate() {
            // SAFETY: as in `write`.
            unsafe { self.pointer::<u8>(offset + i).write_volatile(*byte) }
        }
    }

    /// Writes every word of it: `what` says what stands at an address.
    pub fn fill(&self, what: impl Fn(u64) -> u64) {
        for offset in (0..self.bytes()).step_by(8) {
            self.write(offset as usize, what(self.base + offset));
        }
    }

    /// The first address at which not what `what` says stands, and what stands there.
    pub fn differs(&self, what: impl Fn(u64) -> u64) -> Option<(u64, u64)> {
        (0..self.bytes()).step_by(8).find_map(|offset| {
            let found = self.read(offset as usize);
            (found != what(self.base + offset)).then_some((self.base + offset, found))
        })
    }

    /// Cleans and invalidates it to the point of coherency.
    pub fn clean(&self) {
        cpu::clean(self.base, self.bytes());
    }
}

/// The most stretches of free memory.
const MOST_STRETCHES: usize = 16;

/// Hands out the machine's free memory, once.
pub struct Pages {
    free: Vec<Range, MOST_STRETCHES>,
}

impl Pages {
    /// All RAM that is not this image, the tree, the ramdisk or reserved.
    pub fn new(machine: &Machine) -> Pages {
        let (start, end) = crate::arch::entry::image();
        let mut free: Vec<Range, MOST_STRETCHES> = Vec::new();
        for range in &machine.memory {
            let _ = free.push(*range);
        }
        let fixed = [Range { start, end }, machine.tree, machine.ramdisk];
        for taken in fixed.iter().chain(&machine.reserved) {
            let taken = taken.pages_around();
            let mut next = Vec::new();
            for range in &free {
                let below = Range {
                    start: range.start,
                    end: range.end.min(taken.start),
                };
                let above = Range {
                    start: range.start.max(taken.end),
                    end: range.end,
                };
                let parts = if range.overlaps(&taken) {
                    [below, above]
                } else {
                    [*range, Range::default()]
                };
                for part in parts.iter().filter(|p| !p.is_empty()) {
                    let _ = next.push(*part);
                }
            }
            free = next;
        }
        Pages { free }
    }

    /// `pages` pages in a row, aligned to `align` bytes, with zeroes in them.
    pub fn take_aligned(&mut self, pages: u64, align: u64) -> Option<Block> {
        let bytes = pages * PAGE;
        for i in 0..self.free.len() {
            let range = self.free[i];
            let base = range.start.next_multiple_of(align);
            if base + bytes > range.end {
                continue;
            }
            // What alignment skips stays free as a stretch of its own while there is room to note it.
            if base > range.start
                && self
                    .free
                    .push(Range {
                        start: range.start,
                        end: base,
                    })
                    .is_err()
            {
                continue;
            }
            self.free[i].start = base + bytes;
            let block = Block { base, pages };
            block.fill(|_| 0);
            return Some(block);
        }
        None
    }

    /// `pages` pages in a row. There being none ends the program.
    pub fn take(&mut self, pages: u64) -> Block {
        match self.take_aligned(pages, PAGE) {
            Some(block) => block,
            None => crate::stop(format_args!("no {pages} pages are left")),
        }
    }

    /// `count` times 2 MiB, aligned to it. There being none ends the program.
    pub fn take_blocks(&mut self, count: u64) -> Block {
        match self.take_aligned(count * 512, 2 << 20) {
            Some(block) => block,
            None => crate::stop(format_args!("no {count} times 2 MiB are left")),
        }
    }

    /// All that is free now, without taking it.
    pub fn free(&self) -> &[Range] {
        &self.free
    }

    /// Takes all that is left. The contents stay as they are.
    pub fn take_rest(&mut self) -> Vec<Block, MOST_STRETCHES> {
        let rest = self.free.iter().filter(|r| !r.is_empty());
        let blocks = rest
            .map(|r| Block {
                base: r.start,
                pages: r.bytes() / PAGE,
            })
            .collect();
        self.free.clear();
        blocks
    }
}
