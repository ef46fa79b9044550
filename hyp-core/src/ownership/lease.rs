//! Leases: who lent which ranges to whom, and how far that is.

use super::OwnershipError;
use crate::id::{Handle, VmId};
use crate::machine::Machine;
use crate::stage2::Pool;
use leasehold_memory_map::{Address, Ipa, PAGE_SIZE, PageRange, PhysAddr};

/// The most ranges that a lease has: what fits in a page of the pool.
pub const RANGES_PER_LEASE: usize = 512;
/// The most pages that a lease has, 1 GiB: the bound on what a single call has to do.
pub const PAGES_PER_LEASE: u64 = 1 << 18;

/// How far a lease is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// Gone from the owner; nobody has seen it. Holds what the owner left, but for what a retrieval has scrubbed.
    Lent,
    /// Nobody sees it, all of it is zeroes.
    Clean,
    /// The borrower has it.
    Retrieved,
    /// Gone from the borrower's tables, which TLBs have not confirmed.
    Unconfirmed,
    /// Gone from the borrower; being scrubbed.
    Scrubbing,
    /// On the way back to the owner: the memory controller has not said that it has moved all of it. Nobody sees it.
    Returning,
    /// A lend that failed, of which the memory controller has not said that it is undone. Nobody sees it, and nobody knows
    /// the lease.
    Undone,
}

/// A place in a lease, as a count of ranges and then pages.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Cursor {
    range: u16,
    page: u32,
}

/// The ranges of a lease, in the order in which they were lent: a single one is kept here, more in a page of the
/// table pool, so that there is no store of ranges to run out or to fragment.
#[derive(Debug)]
pub(super) struct Ranges {
    len: u16,
    /// The range if `len` is 1, the page's address if it is more.
    word: u64,
}

impl Ranges {
    pub(super) const EMPTY: Self = Self { len: 0, word: 0 };

    pub(super) fn len(&self) -> usize {
        usize::from(self.len)
    }

    /// Adds a range behind the others.
    pub(super) fn push(
        &mut self,
        machine: &impl Machine,
        pool: &mut Pool,
        range: PageRange<Ipa>,
    ) -> Result<(), OwnershipError> {
        let packed = pack(range);
        match self.len() {
            0 => self.word = packed,
            1 => {
                let page = pool.take(machine).ok_or(OwnershipError::NoMemory)?;
                machine.write_entry(page, 0, self.word);
                machine.write_entry(page, 1, packed);
                self.word = page.get();
            }
            RANGES_PER_LEASE => return Err(OwnershipError::TooManyRanges(RANGES_PER_LEASE)),
            n => machine.write_entry(self.page(), n, packed),
        }
        self.len += 1;
        Ok(())
    }

    /// Range number `index`.
    pub(super) fn get(&self, machine: &impl Machine, index: usize) -> Option<PageRange<Ipa>> {
        match self.len() {
            len if index >= len => None,
            1 => unpack(self.word),
            _ => unpack(machine.read_entry(self.page(), index)),
        }
    }

    /// Forgets the ranges and gives their page back.
    pub(super) fn clear(&mut self, machine: &impl Machine, pool: &mut Pool) {
        if self.len > 1 {
            pool.give(machine, self.page());
        }
        *self = Self::EMPTY;
    }

    /// The page at `cursor`, which then stands at the one behind it.
    pub(super) fn next_page(&self, machine: &impl Machine, cursor: &mut Cursor) -> Option<Ipa> {
        let range = self.get(machine, usize::from(cursor.range))?;
        let page = range.start().checked_add(u64::from(cursor.page) * PAGE_SIZE);
        cursor.page += 1;
        if u64::from(cursor.page) == range.count() {
            *cursor = Cursor {
                range: cursor.range + 1,
                page: 0,
            };
        }
        page
    }

    /// Whether there is no page at `cursor` any more.
    pub(super) fn is_at_end(&self, cursor: &Cursor) -> bool {
        cursor.range >= self.len
    }

    fn page(&self) -> PhysAddr {
        PhysAddr::checked(self.word).unwrap_or(PhysAddr::new(0))
    }
}

const COUNT_BITS: u32 = 24;

/// A range in a word: the page number above, the count in the low bits. A lease has at most [`PAGES_PER_LEASE`]
/// pages, and addresses have at most 43 bits, so both fit.
fn pack(range: PageRange<Ipa>) -> u64 {
    (range.start().get() / PAGE_SIZE) << COUNT_BITS | range.count()
}

fn unpack(word: u64) -> Option<PageRange<Ipa>> {
    let start = Ipa::checked((word >> COUNT_BITS) * PAGE_SIZE)?;
    PageRange::new(start, word & ((1 << COUNT_BITS) - 1)).ok()
}

/// One lease.
#[derive(Debug)]
pub(super) struct Lease {
    /// `None` for a lease that is not in use; then `next_free` counts.
    pub(super) handle: Option<Handle>,
    next_free: u8,
    pub(super) borrower: VmId,
    /// Whether the borrower is gone, so that nobody can retrieve it any more.
    pub(super) ended: bool,
    pub(super) phase: Phase,
    /// The next page to scrub.
    pub(super) cursor: Cursor,
    /// Where the borrower has it, if it does.
    pub(super) ipa: Ipa,
    pub(super) pages: u32,
    /// How many of them went back to the owner before the rest. If any, the host's entries say which.
    pub(super) taken: u32,
    /// The memory controller may have moved a page of it to the owner, who did not get it.
    pub(super) unsure: bool,
    pub(super) ranges: Ranges,
}

impl Lease {
    const FREE: Self = Self {
        handle: None,
        next_free: 0,
        borrower: VmId::HOST,
        ended: false,
        phase: Phase::Lent,
        cursor: Cursor { range: 0, page: 0 },
        ipa: Ipa::new(0),
        pages: 0,
        taken: 0,
        unsure: false,
        ranges: Ranges::EMPTY,
    };

    /// Whether a step of a scrub was done, and more are left.
    pub(super) fn is_being_scrubbed(&self) -> bool {
        matches!(self.phase, Phase::Lent | Phase::Scrubbing) && self.cursor != Cursor::default()
    }
}

/// All leases. `N` is at most 255, so that an index fits in a table entry.
#[derive(Debug)]
pub(super) struct Leases<const N: usize> {
    slots: [Lease; N],
    /// Slots from here on were never used.
    fresh: u8,
    first_free: Option<u8>,
    /// What the next handle is told from earlier ones by.
    generation: u64,
}

impl<const N: usize> Leases<N> {
    const FITS: () = assert!(N >= 1 && N <= 255, "a lease's index has eight bits");

    pub(super) const fn new() -> Self {
        let () = Self::FITS;
        Self {
            slots: [const { Lease::FREE }; N],
            fresh: 0,
            first_free: None,
            generation: 1,
        }
    }

    /// Takes a free slot: its index and the handle that will name it.
    pub(super) fn take(&mut self) -> Result<u8, OwnershipError> {
        let index = match self.first_free {
            Some(index) => {
                let next = self.slots[usize::from(index)].next_free;
                self.first_free = (next != index).then_some(next);
                index
            }
            None if usize::from(self.fresh) < N => {
                self.fresh += 1;
                self.fresh - 1
            }
            None => return Err(OwnershipError::TooManyLeases(N)),
        };
        Ok(index)
    }

    /// Puts a lease in a slot that was taken.
    pub(super) fn fill(&mut self, index: u8, borrower: VmId, pages: u32, ranges: Ranges) -> Handle {
        let handle = Handle::new(self.generation, index);
        // 2^55 leases are not made in a machine's life.
        self.generation += 1;
        self.slots[usize::from(index)] = Lease {
            handle: Some(handle),
            next_free: 0,
            borrower,
            ended: false,
            phase: Phase::Lent,
            cursor: Cursor::default(),
            ipa: Ipa::new(0),
            pages,
            taken: 0,
            unsure: false,
            ranges,
        };
        handle
    }

    /// Gives a slot back.
    pub(super) fn free(&mut self, index: u8) {
        let slot = &mut self.slots[usize::from(index)];
        slot.handle = None;
        // The last in the chain names itself.
        slot.next_free = self.first_free.unwrap_or(index);
        self.first_free = Some(index);
    }

    /// The index of the lease that `handle` names.
    pub(super) fn find(&self, handle: Handle) -> Result<u8, OwnershipError> {
        let index = handle.index();
        match self.slots.get(usize::from(index)) {
            Some(lease) if lease.handle == Some(handle) => Ok(index),
            _ => Err(OwnershipError::NoSuchLease(handle)),
        }
    }

    /// The lease at `index`, as [`find`](Self::find) gave it or a table entry names it.
    pub(super) fn get(&self, index: u8) -> &Lease {
        &self.slots[usize::from(index)]
    }

    /// As [`get`](Self::get), to be changed.
    pub(super) fn get_mut(&mut self, index: u8) -> &mut Lease {
        &mut self.slots[usize::from(index)]
    }

    /// The leases in use.
    pub(super) fn in_use(&self) -> impl Iterator<Item = (Handle, &Lease)> {
        let used = self.slots.iter().take(usize::from(self.fresh));
        used.filter_map(|lease| lease.handle.map(|handle| (handle, lease)))
    }

    /// Some lease that failed and is not undone.
    pub(super) fn some_undone(&self) -> Option<u8> {
        let used = self.slots.iter().take(usize::from(self.fresh));
        let wanted = |lease: &Lease| lease.handle.is_some() && lease.phase == Phase::Undone;
        used.zip(0..).find_map(|(lease, index)| wanted(lease).then_some(index))
    }

    /// Some lease to `borrower` that has not ended.
    pub(super) fn some_of(&self, borrower: VmId) -> Option<u8> {
        let wanted = |lease: &Lease| lease.handle.is_some() && lease.borrower == borrower && !lease.ended;
        let used = self.slots.iter().take(usize::from(self.fresh));
        used.zip(0..).find_map(|(lease, index)| wanted(lease).then_some(index))
    }
}
