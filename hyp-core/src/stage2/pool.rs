//! Pages for tables.

use crate::machine::Machine;
use leasehold_memory_map::{Address, PAGE_SIZE, PageRange, PhysAddr};

/// No page.
const NONE: u32 = u32::MAX;
/// Links that fit in a page.
const LINKS_PER_PAGE: u32 = 512;

/// Pages of the pool, chained. Kept apart by whoever may not give them back yet.
#[derive(Debug)]
pub(crate) struct List {
    first: u32,
    last: u32,
    len: u32,
}

impl List {
    /// No pages.
    pub(crate) const EMPTY: Self = Self {
        first: NONE,
        last: NONE,
        len: 0,
    };

    /// Whether there is no page in it.
    pub(crate) fn is_empty(&self) -> bool {
        self.len == 0
    }
}

/// The pages that tables are made of, each taken and given back in a few instructions.
///
/// Pages that are not in use are chained by links which lie in the pool's first pages and not in the chained pages
/// themselves: a table that was just replaced is still walked by hardware until TLBs have confirmed, so nothing may be
/// written to it.
#[derive(Debug)]
pub(crate) struct Pool {
    links: u64,
    base: u64,
    pages: u32,
    /// Pages from here on were never used and are in no chain.
    fresh: u32,
    free: List,
}

impl Pool {
    /// A pool without pages.
    pub(crate) const EMPTY: Self = Self {
        links: 0,
        base: 0,
        pages: 0,
        fresh: 0,
        free: List::EMPTY,
    };

    /// A pool of the pages of `range`, but for those that the links take: one in 513.
    pub(crate) fn new(range: PageRange<PhysAddr>) -> Self {
        let total = u32::try_from(range.count()).unwrap_or(NONE - 1);
        let links = total.div_ceil(LINKS_PER_PAGE + 1);
        let start = range.start().get();
        Self {
            links: start,
            base: start + u64::from(links) * PAGE_SIZE,
            pages: total - links,
            fresh: 0,
            free: List::EMPTY,
        }
    }

    /// How many pages can be taken.
    pub(crate) fn available(&self) -> u32 {
        self.free.len + (self.pages - self.fresh)
    }

    /// Takes a page, whose contents are anything.
    pub(crate) fn take(&mut self, machine: &impl Machine) -> Option<PhysAddr> {
        if self.free.is_empty() {
            if self.fresh == self.pages {
                return None;
            }
            let page = self.page(self.fresh);
            self.fresh += 1;
            return page;
        }
        let index = self.free.first;
        self.free.first = self.link(machine, index);
        self.free.len -= 1;
        self.page(index)
    }

    /// Gives a page back that no walker can reach.
    pub(crate) fn give(&mut self, machine: &impl Machine, page: PhysAddr) {
        let mut one = List::EMPTY;
        self.chain(machine, &mut one, page);
        self.give_all(machine, &mut one);
    }

    /// Chains a page of this pool to `list`, without touching the page.
    pub(crate) fn chain(&self, machine: &impl Machine, list: &mut List, page: PhysAddr) {
        let index = ((page.get() - self.base) / PAGE_SIZE) as u32;
        self.set_link(machine, index, list.first);
        if list.is_empty() {
            list.last = index;
        }
        list.first = index;
        list.len += 1;
    }

    /// Gives all pages of `list` back, which no walker can reach any more.
    pub(crate) fn give_all(&mut self, machine: &impl Machine, list: &mut List) {
        if list.is_empty() {
            return;
        }
        self.set_link(machine, list.last, self.free.first);
        self.free.first = list.first;
        self.free.len += list.len;
        *list = List::EMPTY;
    }

    fn page(&self, index: u32) -> Option<PhysAddr> {
        PhysAddr::checked(self.base + u64::from(index) * PAGE_SIZE)
    }

    fn link(&self, machine: &impl Machine, index: u32) -> u32 {
        let (page, entry) = self.link_place(index);
        machine.read_entry(page, entry) as u32
    }

    fn set_link(&self, machine: &impl Machine, index: u32, next: u32) {
        let (page, entry) = self.link_place(index);
        machine.write_entry(page, entry, u64::from(next));
    }

    fn link_place(&self, index: u32) -> (PhysAddr, usize) {
        let page = self.links + u64::from(index / LINKS_PER_PAGE) * PAGE_SIZE;
        (
            PhysAddr::checked(page).unwrap_or(PhysAddr::new(0)),
            (index % LINKS_PER_PAGE) as usize,
        )
    }
}
