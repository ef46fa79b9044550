//! EL2's own translation: an identity map, nothing writable and executable, a hole under each stack.

use crate::layout::{MAX_CPUS, STACK_GUARD, STACK_PITCH};
use aarch64_paging::Mapping;
use aarch64_paging::descriptor::{El23Attributes, PhysicalAddress};
use aarch64_paging::paging::{Constraints, El2, MemoryRegion, PageTable, Translation};
use core::ptr::NonNull;
use leasehold_memory_map::{Address, PhysRange};
use spin::mutex::SpinMutex;

/// How many tables EL2's own map may take: RAM and devices at a few places, in blocks where they fit.
const TABLES: usize = 24;

#[repr(C, align(4096))]
struct Arena([PageTable<El23Attributes>; TABLES]);

// SAFETY: `PageTable` is plain entries.
unsafe impl Sync for Arena {}

static mut ARENA: Arena = Arena([const { PageTable::EMPTY }; TABLES]);

/// Hands out tables of the arena, which is in the image and so mapped one to one.
struct Tables {
    used: usize,
}

impl Translation<El23Attributes> for Tables {
    fn allocate_table(&mut self) -> (NonNull<PageTable<El23Attributes>>, PhysicalAddress) {
        assert!(self.used < TABLES, "EL2's own tables are used up");
        // SAFETY: each element is handed out once, by this count, under the lock around the map.
        let table = unsafe { &raw mut ARENA.0[self.used] };
        self.used += 1;
        let physical = PhysicalAddress(table as usize);
        (NonNull::new(table).expect("the arena is not at zero"), physical)
    }

    unsafe fn deallocate_table(&mut self, _table: NonNull<PageTable<El23Attributes>>) {
        // EL2's map only grows.
    }

    fn physical_to_virtual(&self, address: PhysicalAddress) -> NonNull<PageTable<El23Attributes>> {
        NonNull::new(address.0 as *mut _).expect("no table is at zero")
    }
}

static MAP: SpinMutex<Option<Mapping<Tables, El2>>> = SpinMutex::new(None);

/// What memory in EL2's map is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Use {
    /// Instructions.
    Text,
    /// Constants, or somebody's data that EL2 only reads.
    ReadOnly,
    /// Data.
    ReadWrite,
    /// Registers.
    Device,
}

impl Use {
    fn attributes(self) -> El23Attributes {
        type A = El23Attributes;
        // USER_RES1: AP[1] is RES1 in a regime without EL0 (Arm ARM D8.4.1).
        let normal = A::VALID | A::ACCESSED | A::USER_RES1 | A::ATTRIBUTE_INDEX_1 | A::INNER_SHAREABLE;
        match self {
            Self::Text => normal | A::READ_ONLY,
            Self::ReadOnly => normal | A::READ_ONLY | A::XN,
            Self::ReadWrite => normal | A::XN,
            Self::Device => A::VALID | A::ACCESSED | A::USER_RES1 | A::ATTRIBUTE_INDEX_0 | A::XN,
        }
    }
}

unsafe extern "C" {
    static __image_start: u8;
    static __text_end: u8;
    static __rodata_end: u8;
    static __stacks_start: u8;
    static __boot_stack_start: u8;
    static __boot_stack_end: u8;
    static __image_end: u8;
}

/// The addresses that the linker script names.
pub mod image {
    /// First byte of the image.
    pub fn start() -> usize {
        &raw const super::__image_start as usize
    }
    /// Behind the instructions.
    pub fn text_end() -> usize {
        &raw const super::__text_end as usize
    }
    /// Behind the constants.
    pub fn rodata_end() -> usize {
        &raw const super::__rodata_end as usize
    }
    /// The first stack's guard page.
    pub fn stacks() -> usize {
        &raw const super::__stacks_start as usize
    }
    /// The lowest byte of the stack that the first CPU boots on.
    pub fn boot_stack() -> usize {
        &raw const super::__boot_stack_start as usize
    }
    /// Behind that stack.
    pub fn boot_stack_end() -> usize {
        &raw const super::__boot_stack_end as usize
    }
    /// Behind all of the image.
    pub fn end() -> usize {
        &raw const super::__image_end as usize
    }
}

fn add(map: &mut Mapping<Tables, El2>, start: usize, end: usize, purpose: Use) {
    map.map_range(
        &MemoryRegion::new(start, end),
        PhysicalAddress(start),
        purpose.attributes(),
        Constraints::NO_CONTIGUOUS_HINT,
    )
    .expect("EL2's own map takes the range");
}

/// Makes the first map and returns its root. Runs with the MMU off, on one CPU.
pub(super) fn build(device_tree: u64, devices: &[PhysRange]) -> u64 {
    let mut map = Mapping::new(Tables { used: 0 }, 1, El2);
    add(&mut map, image::start(), image::text_end(), Use::Text);
    add(&mut map, image::text_end(), image::rodata_end(), Use::ReadOnly);
    add(&mut map, image::rodata_end(), image::stacks(), Use::ReadWrite);
    for cpu in 0..MAX_CPUS {
        let guard = image::stacks() + cpu * STACK_PITCH;
        add(&mut map, guard + STACK_GUARD, guard + STACK_PITCH, Use::ReadWrite);
    }
    add(&mut map, image::boot_stack(), image::boot_stack_end(), Use::ReadWrite);
    // The tree may be 2 MiB long and start anywhere; RAM is mapped over it once the tree has said where that is.
    let tree = device_tree as usize & !0xfff;
    add(&mut map, tree, tree + DEVICE_TREE_WINDOW, Use::ReadWrite);
    for range in devices {
        add(
            &mut map,
            range.start().get() as usize,
            range.end().get() as usize,
            Use::Device,
        );
    }
    let root = map.root_address().0 as u64;
    map.mark_active();
    *MAP.lock() = Some(map);
    root
}

/// How much of memory from the device tree's page on is mapped before anything is known: the boot protocol's bound.
pub(super) const DEVICE_TREE_WINDOW: usize = 2 << 20;

/// Adds RAM to the map: what lies outside of the image and of the device tree's window, readable and writable.
pub(crate) fn add_ram(range: PhysRange, device_tree: u64) {
    let mut guard = MAP.lock();
    let Some(map) = guard.as_mut() else { return };
    let window = device_tree as usize & !0xfff;
    // What is mapped already keeps its rights, and is never remapped while in use.
    let mut mapped = [(image::start(), image::end()), (window, window + DEVICE_TREE_WINDOW)];
    mapped.sort_unstable();
    let mut at = range.start().get() as usize;
    let end = range.end().get() as usize;
    for (start, next) in mapped {
        if at < start.min(end) {
            add(map, at, start.min(end), Use::ReadWrite);
        }
        at = at.max(next);
    }
    if at < end {
        add(map, at, end, Use::ReadWrite);
    }
}
