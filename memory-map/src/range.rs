//! Ranges of addresses: half-open, never empty, never wrapping.

use crate::addr::{ADDRESS_BITS, Address, Ipa, PAGE_SIZE, PhysAddr};
use core::fmt;

/// Why a range was not made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum RangeError {
    /// The length is zero.
    Empty,
    /// Start plus length leaves the address space.
    Wraps,
    /// Start or length is not a multiple of the page size.
    Unaligned,
}

/// A range `[start, end)` of at least one byte. Holding one proves that it does not wrap.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AddrRange<A> {
    start: A,
    len: u64,
}

/// A range of physical addresses.
pub type PhysRange = AddrRange<PhysAddr>;
/// A range of intermediate physical addresses.
pub type IpaRange = AddrRange<Ipa>;

impl PhysRange {
    /// The `len` bytes from `start`, as a constant of the source text.
    ///
    /// # Panics
    /// When `len` is zero or the end leaves the address space; in a constant, at build time.
    #[must_use]
    pub const fn constant(start: PhysAddr, len: u64) -> Self {
        assert!(
            len != 0 && len <= (1 << ADDRESS_BITS) - 1 - start.as_u64(),
            "range empty or too long"
        );
        Self { start, len }
    }
}

impl<A: Address> AddrRange<A> {
    /// The `len` bytes from `start`.
    ///
    /// # Errors
    /// [`RangeError::Empty`] for a zero `len`, [`RangeError::Wraps`] when the end leaves the address space.
    pub fn new(start: A, len: u64) -> Result<Self, RangeError> {
        if len == 0 {
            return Err(RangeError::Empty);
        }
        start.checked_add(len).ok_or(RangeError::Wraps)?;
        Ok(Self { start, len })
    }

    /// The bytes from `start` up to, but without, `end`.
    ///
    /// # Errors
    /// [`RangeError::Empty`] when both are the same, [`RangeError::Wraps`] when `end` lies before `start`.
    pub fn between(start: A, end: A) -> Result<Self, RangeError> {
        let len = end.get().checked_sub(start.get()).ok_or(RangeError::Wraps)?;
        Self::new(start, len)
    }

    /// The smallest range of whole pages that has all of this range in it, or `None` at the end of the address space.
    pub fn page_cover(&self) -> Option<Self> {
        let end = self.end().checked_add(PAGE_SIZE - 1)?.page();
        Self::between(self.start().page(), end).ok()
    }

    /// The largest range of whole pages inside of this range, if there is one.
    pub fn page_core(&self) -> Option<Self> {
        let start = self.start().checked_add(PAGE_SIZE - 1)?.page();
        Self::between(start, self.end().page()).ok()
    }

    /// The first address in the range.
    pub const fn start(&self) -> A {
        self.start
    }

    /// The first address behind the range.
    pub fn end(&self) -> A {
        // `new` has checked that the end exists; were that ever wrong, an empty rest is the safe answer.
        A::checked(self.raw_end()).unwrap_or(self.start)
    }

    /// The end as a number: addresses have far less than 64 bits, so that this never wraps.
    fn raw_end(&self) -> u64 {
        self.start.get().wrapping_add(self.len)
    }

    /// The length in bytes, never zero.
    #[allow(clippy::len_without_is_empty, reason = "a range is never empty")]
    pub const fn len(&self) -> u64 {
        self.len
    }

    /// Whether `address` is inside.
    pub fn contains(&self, address: A) -> bool {
        self.start <= address && address < self.end()
    }

    /// Whether all of `other` is inside.
    pub fn covers(&self, other: &Self) -> bool {
        self.start <= other.start && other.end() <= self.end()
    }

    /// Whether any byte is in both.
    pub fn overlaps(&self, other: &Self) -> bool {
        self.start.get() < other.raw_end() && other.start.get() < self.raw_end()
    }

    /// The part that is in both ranges.
    pub fn intersection(&self, other: &Self) -> Option<Self> {
        let start = self.start.max(other.start);
        let end = self.end().min(other.end());
        let len = end.get().checked_sub(start.get())?;
        Self::new(start, len).ok()
    }
}

impl<A: Address> fmt::Debug for AddrRange<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "[{:?}..{:#x})", self.start, self.end().get())
    }
}

#[cfg(feature = "defmt")]
impl<A: Address> defmt::Format for AddrRange<A> {
    fn format(&self, f: defmt::Formatter<'_>) {
        defmt::write!(f, "[{=u64:#x}..{=u64:#x})", self.start.get(), self.end().get());
    }
}

/// A range of whole pages. Holding one proves alignment besides what [`AddrRange`] proves.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PageRange<A>(AddrRange<A>);

impl<A: Address> PageRange<A> {
    /// `count` pages from `start`.
    ///
    /// # Errors
    /// [`RangeError::Unaligned`] when `start` is not at a page's edge, else as [`AddrRange::new`].
    pub fn new(start: A, count: u64) -> Result<Self, RangeError> {
        if !start.is_aligned(PAGE_SIZE) {
            return Err(RangeError::Unaligned);
        }
        let len = count.checked_mul(PAGE_SIZE).ok_or(RangeError::Wraps)?;
        AddrRange::new(start, len).map(Self)
    }

    /// The single page at `start`.
    ///
    /// # Errors
    /// As [`PageRange::new`].
    pub fn single(start: A) -> Result<Self, RangeError> {
        Self::new(start, 1)
    }

    /// The first address.
    pub fn start(&self) -> A {
        self.0.start()
    }

    /// The first address behind the range.
    pub fn end(&self) -> A {
        self.0.end()
    }

    /// How many pages.
    pub fn count(&self) -> u64 {
        self.0.len() / PAGE_SIZE
    }

    /// The range in bytes.
    pub fn bytes(&self) -> AddrRange<A> {
        self.0
    }

    /// Whether any page is in both.
    pub fn overlaps(&self, other: &Self) -> bool {
        self.0.overlaps(&other.0)
    }

    /// The addresses of the pages, in order.
    pub fn pages(&self) -> impl Iterator<Item = A> + use<A> {
        let start = self.0.start();
        (0..self.count()).filter_map(move |n| n.checked_mul(PAGE_SIZE).and_then(|off| start.checked_add(off)))
    }
}

impl<A: Address> TryFrom<AddrRange<A>> for PageRange<A> {
    type Error = RangeError;

    fn try_from(range: AddrRange<A>) -> Result<Self, RangeError> {
        if !range.len().is_multiple_of(PAGE_SIZE) {
            return Err(RangeError::Unaligned);
        }
        Self::new(range.start(), range.len() / PAGE_SIZE)
    }
}

impl<A: Address> fmt::Debug for PageRange<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(feature = "defmt")]
impl<A: Address> defmt::Format for PageRange<A> {
    fn format(&self, f: defmt::Formatter<'_>) {
        self.0.format(f);
    }
}
