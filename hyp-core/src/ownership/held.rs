//! Memory of the host's that firmware uses, or that the host has given to other masters by a call to firmware: it stays the
//! host's, and cannot be lent.

use super::lease::PAGES_PER_LEASE;
use super::{Ownership, OwnershipError};
use crate::id::VmId;
use crate::machine::Machine;
use crate::stage2::{Entry, Memory, Owner};
use heapless::Vec;
use leasehold_memory_map::{Address, Ipa, IpaRange, PAGE_SIZE, PageRange};

/// The most ranges that are held at a time.
pub const MAX_HOLDS: usize = 128;

/// By whom a range of the host's is held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Use {
    /// A call to firmware, until it has ended.
    Call(u8),
    /// A remote processor's image, of which firmware reads on.
    Image(u32),
    /// A remote processor's memory.
    Processor(u32),
    /// Secure software, by the share of this number.
    Share(u8),
    /// Other masters, or firmware: the host may find that its accesses are refused. EL2 does not touch it.
    Away,
}

#[derive(Clone, Copy, Debug)]
struct Hold {
    range: PageRange<Ipa>,
    by: Use,
}

/// All that is held.
#[derive(Debug)]
pub(super) struct Holds(Vec<Hold, MAX_HOLDS>);

impl Holds {
    pub(super) const NONE: Self = Self(Vec::new());

    /// Some page of `range` that is held.
    #[inline(always)]
    pub(super) fn in_range(&self, range: PageRange<Ipa>) -> Option<Ipa> {
        if self.0.is_empty() {
            return None;
        }
        self.find(range)
    }

    #[cold]
    fn find(&self, range: PageRange<Ipa>) -> Option<Ipa> {
        let found = self.0.iter().find(|hold| hold.range.overlaps(&range))?;
        Some(found.range.start().max(range.start()))
    }

    /// Whether EL2 must not touch the page at `ipa`.
    pub(super) fn is_away(&self, ipa: Ipa) -> bool {
        let away = |hold: &Hold| hold.by == Use::Away && hold.range.bytes().contains(ipa);
        self.0.iter().any(away)
    }

    /// Takes `range` out of what is away. What is left of a hold may be two; where there is no room for that, all of it stays
    /// away.
    fn bring_back(&mut self, range: PageRange<Ipa>) {
        let inside =
            |hold: &&Hold| hold.by == Use::Away && hold.range.start() < range.start() && range.end() < hold.range.end();
        if self.0.len() + self.0.iter().filter(inside).count() > MAX_HOLDS {
            return;
        }
        let mut n = 0;
        while let Some(hold) = self.0.get(n).copied() {
            if hold.by != Use::Away || !hold.range.overlaps(&range) {
                n += 1;
                continue;
            }
            self.0.swap_remove(n);
            let before = IpaRange::between(hold.range.start(), range.start());
            let behind = IpaRange::between(range.end(), hold.range.end());
            for rest in [before, behind].into_iter().flatten() {
                if let Ok(range) = PageRange::try_from(rest) {
                    // There is room, and what is left overlaps `range` no more, wherever it comes to stand.
                    let _ = self.0.push(Hold { range, by: Use::Away });
                }
            }
        }
    }

    fn add(&mut self, range: PageRange<Ipa>, by: Use) -> Result<(), OwnershipError> {
        let covered = |hold: &Hold| hold.by == by && hold.range.bytes().covers(&range.bytes());
        if self.0.iter().any(covered) {
            return Ok(());
        }
        self.0
            .push(Hold { range, by })
            .map_err(|_| OwnershipError::TooManyPins(MAX_HOLDS))
    }
}

impl<const LEASES: usize, const VMS: usize> Ownership<LEASES, VMS> {
    /// Holds the pages of `range`, which are all the host's own RAM, for `by`. Until it is let go of, none can be lent.
    ///
    /// # Errors
    /// [`OwnershipError::InvalidRange`]; [`OwnershipError::NotOwner`], [`OwnershipError::Hypervisor`] or
    /// [`OwnershipError::Device`] for the first page that is not; [`OwnershipError::Pinned`] for a mailbox;
    /// [`OwnershipError::TooManyPins`] when [`MAX_HOLDS`] are held; [`OwnershipError::TooManyPages`].
    pub fn hold(&mut self, machine: &impl Machine, range: IpaRange, by: Use) -> Result<PageRange<Ipa>, OwnershipError> {
        let invalid = OwnershipError::InvalidRange {
            address: range.start().get(),
            pages: range.len().div_ceil(PAGE_SIZE),
        };
        let pages = range.page_cover().and_then(|range| PageRange::try_from(range).ok());
        let pages = pages.filter(|pages| self.host.tables.covers(*pages)).ok_or(invalid)?;
        if pages.count() > PAGES_PER_LEASE {
            return Err(OwnershipError::TooManyPages(PAGES_PER_LEASE));
        }
        self.is_own(machine, pages)?;
        if let Some(pin) = self.host.pins.iter().find(|pin| pin.overlaps(&pages)) {
            return Err(OwnershipError::Pinned(pin.start()));
        }
        self.holds.add(pages, by)?;
        Ok(pages)
    }

    /// Whether every page of `pages` is RAM of the host's own.
    fn is_own(&self, machine: &impl Machine, pages: PageRange<Ipa>) -> Result<(), OwnershipError> {
        let mut at = pages.start();
        while at < pages.end() {
            let (entry, level) = self.host.tables.lookup(machine, at);
            match entry {
                Entry::Leaf {
                    memory: Memory::Ram, ..
                } => {}
                Entry::Leaf {
                    memory: Memory::Device, ..
                } => return Err(OwnershipError::Device(at)),
                Entry::Invalid {
                    owner: Owner::Hypervisor,
                    ..
                } => return Err(OwnershipError::Hypervisor(at)),
                Entry::Invalid { .. } | Entry::Table { .. } => return Err(OwnershipError::NotOwner(at)),
            }
            let next = at.align_down(level.size()).checked_add(level.size());
            at = next.ok_or(OwnershipError::NotOwner(at))?;
        }
        Ok(())
    }

    /// Whether all of `range`, or none of it, is away. `None` for a mixture.
    #[must_use]
    pub fn is_away(&self, range: PageRange<Ipa>) -> Option<bool> {
        let away = || self.holds.0.iter().filter(|hold| hold.by == Use::Away);
        if !self.holds.is_away(range.start()) {
            return away().all(|hold| !hold.range.overlaps(&range)).then_some(false);
        }
        let mut at = range.start();
        while at < range.end() {
            let hold = away().find(|hold| hold.range.bytes().contains(at))?;
            at = hold.range.end();
        }
        Some(true)
    }

    /// Whether a call other than `by` holds any of `range`.
    #[must_use]
    pub fn is_in_call(&self, range: PageRange<Ipa>, by: Use) -> bool {
        let other = |hold: &Hold| matches!(hold.by, Use::Call(_)) && hold.by != by && hold.range.overlaps(&range);
        self.holds.0.iter().any(other)
    }

    /// Lets go of all that `by` holds.
    pub fn let_go(&mut self, by: Use) {
        self.holds.0.retain(|hold| hold.by != by);
    }

    /// What `from` holds is held by `to` instead.
    pub fn pass_on(&mut self, from: Use, to: Use) {
        for hold in self.holds.0.iter_mut().filter(|hold| hold.by == from) {
            hold.by = to;
        }
    }

    /// What `by` holds is away no more.
    pub fn return_held(&mut self, by: Use) {
        while let Some(n) = self.holds.0.iter().position(|hold| hold.by == by) {
            let range = self.holds.0.swap_remove(n).range;
            self.holds.bring_back(range);
        }
    }

    /// Whether the page at `ipa` is one of the host's that firmware uses, or that is away.
    #[must_use]
    pub fn is_held(&self, ipa: Ipa) -> bool {
        PageRange::single(ipa.page()).is_ok_and(|page| self.holds.in_range(page).is_some())
    }

    /// Refuses to have EL2 touch a page of `vm`'s that is away, or a remote processor's: firmware may have locked it.
    pub(super) fn touchable(&self, vm: VmId, ipa: Ipa) -> Result<(), OwnershipError> {
        let others =
            |hold: &Hold| matches!(hold.by, Use::Away | Use::Processor(_)) && hold.range.bytes().contains(ipa.page());
        if vm == VmId::HOST && self.holds.0.iter().any(others) {
            Err(OwnershipError::Pinned(ipa))
        } else {
            Ok(())
        }
    }
}
