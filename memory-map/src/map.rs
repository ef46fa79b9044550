//! The physical map: the tree's memory, and whose each part of it is.

use crate::addr::{Address, PAGE_SIZE, PhysAddr};
use crate::range::PhysRange;
use crate::tree::NodeName;
use heapless::Vec;

/// How many regions a map may have: each of the tree's reserved ranges may cut one of RAM in two.
pub const MAX_REGIONS: usize = 224;

/// What the boot loader has put into memory for the host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Payload {
    /// The host's kernel.
    Kernel,
    /// The host's initial RAM disk.
    Ramdisk,
    /// A device tree: the machine's, or the host's.
    Tree,
    /// Any other module.
    Other,
}

/// Whose a region is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum RegionKind {
    /// RAM that nobody has asked for.
    Ram,
    /// RAM that the tree reserves. It is the host's, who finds it in its tree.
    Reserved {
        /// The host must not even map it.
        no_map: bool,
    },
    /// What the board keeps from the host and the hypervisor alike, like memory of the secure world.
    Firmware,
    /// The hypervisor's own.
    Hypervisor,
    /// What the boot loader has loaded. It is the host's.
    Payload(Payload),
}

impl RegionKind {
    /// Whether the host sees such a region.
    #[must_use]
    pub fn is_hosts(self) -> bool {
        !matches!(self, Self::Firmware | Self::Hypervisor)
    }
}

/// A region: whole pages of one kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Region {
    /// Where it is.
    pub range: PhysRange,
    /// Whose it is.
    pub kind: RegionKind,
}

/// Where a range comes from that does not fit into the map.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Source {
    /// `reg` of a node with `device_type = "memory"`.
    Memory,
    /// The tree's memory reservation block.
    MemoryReservation,
    /// `reg` of this node of `/reserved-memory`.
    ReservedMemory(NodeName),
    /// `reg` of this module in `/chosen`.
    Module(NodeName),
    /// `linux,initrd-start` and `linux,initrd-end` in `/chosen`.
    Initrd,
    /// The machine's device tree itself.
    Tree,
    /// This carve-out of the board's constant.
    Board(NodeName),
    /// A call of [`MemoryMap::carve`].
    Carve,
}

/// Why there is no map, or a range was not carved out of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum MapError {
    /// The tree has no memory, or less than a page.
    NoMemory,
    /// The tree has memory where the board has none: the tree may narrow the board's constant, not widen it.
    BeyondBoard {
        /// The tree's range.
        range: PhysRange,
    },
    /// A range lies over one that it must not lie over.
    Overlap {
        /// Where the range comes from.
        what: Source,
        /// The range, in whole pages.
        range: PhysRange,
        /// What is there already.
        with: Region,
    },
    /// A range is not in memory, or in part.
    OutsideRam {
        /// Where the range comes from.
        what: Source,
        /// The range.
        range: PhysRange,
    },
    /// A range that the hypervisor is to own does not start and end with a page.
    Unaligned {
        /// Where the range comes from.
        what: Source,
        /// The range.
        range: PhysRange,
    },
    /// The map would have more than [`MAX_REGIONS`] regions.
    TooManyRegions {
        /// Where the range comes from that is one too many.
        what: Source,
    },
}

/// The physical map: sorted regions of whole pages that do not overlap. Neighbours of one kind are one region.
///
/// What is in no region is not memory, as far as tree and board know. Some 6 KiB.
#[derive(Clone, Debug, Default)]
pub struct MemoryMap {
    regions: Vec<Region, MAX_REGIONS>,
}

impl MemoryMap {
    /// The regions, lowest first.
    #[must_use]
    pub fn regions(&self) -> &[Region] {
        &self.regions
    }

    /// The region that `address` is in.
    #[must_use]
    pub fn region_at(&self, address: PhysAddr) -> Option<&Region> {
        self.regions
            .get(self.first_ending_after(address))
            .filter(|region| region.range.contains(address))
    }

    /// The ranges that the host sees as memory, lowest first, as long as they can be.
    pub fn host_memory(&self) -> impl Iterator<Item = PhysRange> + '_ {
        let mut regions = self
            .regions
            .iter()
            .filter(|region| region.kind.is_hosts())
            .map(|region| region.range)
            .peekable();
        core::iter::from_fn(move || {
            let mut range = regions.next()?;
            while let Some(next) = regions.next_if(|next| next.start() == range.end()) {
                range = PhysRange::between(range.start(), next.end()).unwrap_or(range);
            }
            Some(range)
        })
    }

    /// The lowest place for `len` bytes, rounded up to pages, in RAM that nobody has asked for. It starts at a multiple
    /// of `align` bytes, a power of two, and of the page size. The place is not carved out.
    #[must_use]
    pub fn find_free(&self, len: u64, align: u64) -> Option<PhysRange> {
        if !align.is_power_of_two() {
            return None;
        }
        let align = align.max(PAGE_SIZE);
        let len = len.checked_next_multiple_of(PAGE_SIZE)?;
        let free = self.regions.iter().filter(|region| region.kind == RegionKind::Ram);
        free.filter_map(|region| {
            let start = region.range.start().checked_add(align - 1)?.align_down(align);
            let place = PhysRange::new(start, len).ok()?;
            region.range.covers(&place).then_some(place)
        })
        .next()
    }

    /// Takes `range` out of free RAM and gives it to `kind`. All but the hypervisor's and the firmware's ranges are
    /// widened to whole pages.
    ///
    /// # Errors
    /// [`MapError`], and the map is as before, when the range is not all of it free RAM. A hypervisor's range may also
    /// lie inside of one reserved region, a payload in one that is not `no-map`: that is how boot loaders mark them.
    pub fn carve(&mut self, range: PhysRange, kind: RegionKind) -> Result<(), MapError> {
        self.claim(Source::Carve, range, kind)
    }

    /// Adds a range of the tree's memory, without the parts of pages at its ends.
    pub(crate) fn add_memory(&mut self, range: PhysRange) -> Result<(), MapError> {
        let what = Source::Memory;
        let Some(range) = range.page_core() else {
            return Ok(());
        };
        if let Some(with) = self.overlapped(range).first() {
            return Err(MapError::Overlap {
                what,
                range,
                with: *with,
            });
        }
        self.replace(what, range, RegionKind::Ram)
    }

    /// Marks what of a reserved range is memory. Reserved ranges may overlap, the stricter kind wins.
    pub(crate) fn reserve(&mut self, what: Source, range: PhysRange, no_map: bool) -> Result<(), MapError> {
        let mut rest = range.page_cover();
        while let Some(range) = rest {
            let Some(region) = self.overlapped(range).first().copied() else {
                break;
            };
            if let Some(part) = region.range.intersection(&range) {
                let no_map = no_map || region.kind == RegionKind::Reserved { no_map: true };
                self.replace(what, part, RegionKind::Reserved { no_map })?;
            }
            rest = PhysRange::between(region.range.end(), range.end()).ok();
        }
        Ok(())
    }

    /// Marks a carve-out of the board's, which may also lie where the tree has no memory.
    pub(crate) fn keep(&mut self, what: Source, range: PhysRange, kind: RegionKind) -> Result<(), MapError> {
        if range.page_cover() != Some(range) {
            return Err(MapError::Unaligned { what, range });
        }
        let reserved = |region: &Region| matches!(region.kind, RegionKind::Reserved { .. } | RegionKind::Firmware);
        match self.overlapped(range) {
            [] => {}
            regions if kind == RegionKind::Firmware => {
                let other = |region: &&Region| region.kind != RegionKind::Ram && !reserved(region);
                if let Some(with) = regions.iter().find(other) {
                    return Err(MapError::Overlap {
                        what,
                        range,
                        with: *with,
                    });
                }
            }
            _ => return self.claim(what, range, kind),
        }
        self.replace(what, range, kind)
    }

    /// Gives `range` to `kind` if all of it may be given.
    pub(crate) fn claim(&mut self, what: Source, range: PhysRange, kind: RegionKind) -> Result<(), MapError> {
        let outside = MapError::OutsideRam { what, range };
        let pages = range.page_cover().ok_or(outside)?;
        if !kind.is_hosts() && pages != range {
            return Err(MapError::Unaligned { what, range });
        }
        let regions = self.overlapped(pages);
        let alone = regions.len() == 1;
        let mut covered = 0_u64;
        for region in regions {
            let free = match (region.kind, kind) {
                (RegionKind::Ram, _) => true,
                (RegionKind::Reserved { .. }, RegionKind::Hypervisor | RegionKind::Firmware) => alone,
                (RegionKind::Reserved { no_map }, _) => !no_map,
                _ => false,
            };
            if !free {
                let (range, with) = (pages, *region);
                return Err(MapError::Overlap { what, range, with });
            }
            let part = region.range.intersection(&pages);
            covered = covered.saturating_add(part.map_or(0, |part| part.len()));
        }
        if covered != pages.len() {
            return Err(outside);
        }
        self.replace(what, pages, kind)
    }

    /// The regions that share a page with `range`.
    fn overlapped(&self, range: PhysRange) -> &[Region] {
        let first = self.first_ending_after(range.start());
        let end = self
            .regions
            .partition_point(|region| region.range.start() < range.end());
        self.regions.get(first..end).unwrap_or_default()
    }

    fn first_ending_after(&self, address: PhysAddr) -> usize {
        self.regions.partition_point(|region| region.range.end() <= address)
    }

    /// Makes `range` one region of `kind`, whatever it was before.
    fn replace(&mut self, what: Source, range: PhysRange, kind: RegionKind) -> Result<(), MapError> {
        let at = self.first_ending_after(range.start());
        let gone = self.overlapped(range);
        let (count, first, last) = (gone.len(), gone.first().copied(), gone.last().copied());
        if self.regions.len() - count + 3 > MAX_REGIONS {
            return Err(MapError::TooManyRegions { what });
        }
        let before = first.and_then(|region| part(region.range.start(), range.start(), region.kind));
        let behind = last.and_then(|region| part(range.end(), region.range.end(), region.kind));
        for _ in 0..count {
            self.regions.remove(at);
        }
        for region in [behind, Some(Region { range, kind }), before].into_iter().flatten() {
            // There is room: checked above.
            let _ = self.regions.insert(at, region);
        }
        self.join_around(at);
        Ok(())
    }

    /// Joins neighbours of one kind among the regions from the one before `at` to the third behind it.
    fn join_around(&mut self, at: usize) {
        let first = at.saturating_sub(1);
        for index in (first..at + 3).rev() {
            let (Some(left), Some(right)) = (self.regions.get(index), self.regions.get(index + 1)) else {
                continue;
            };
            if left.kind != right.kind || left.range.end() != right.range.start() {
                continue;
            }
            if let Some(joined) = part(left.range.start(), right.range.end(), left.kind) {
                self.regions.remove(index + 1);
                if let Some(left) = self.regions.get_mut(index) {
                    *left = joined;
                }
            }
        }
    }
}

fn part(start: PhysAddr, end: PhysAddr, kind: RegionKind) -> Option<Region> {
    let range = PhysRange::between(start, end).ok()?;
    Some(Region { range, kind })
}
