//! Tables, TLBs and page contents, as this CPU reaches them.

use super::barrier;
use super::step::revoke_overlays;
use super::sysreg::{read, write};
use crate::machine::{Machine, SyncError};
use core::sync::atomic::{AtomicU64, Ordering};
use leasehold_hal::Vmid;
use leasehold_memory_map::{Address, Ipa, PAGE_SIZE, PageRange, PhysAddr, PhysRange};

/// From this many pages on, all of a VMID is invalidated instead of each page.
const INVALIDATE_ALL_FROM: u64 = 64;

/// What this CPU does by itself of [`Machine`].
///
/// Its methods take any address, so it is for this crate alone, which upholds what that trait asks: tables are pages of
/// the pool that boot carved out of RAM, pages are RAM that `ownership` gave to some VM; Rust objects are in neither. Boot
/// has mapped all RAM, one to one, before the first use.
pub struct Cpu(());

impl Cpu {
    /// The calling CPU.
    pub(crate) const fn this() -> Self {
        Self(())
    }

    #[inline(always)]
    fn entry(table: PhysAddr, index: usize) -> &'static AtomicU64 {
        // A page's address and an offset in it have no bit in common.
        let at = table.get() as usize | ((index & 511) * 8);
        // SAFETY: `table` is a pool page (see `Cpu`), mapped one to one, never a Rust object, and only ever accessed as 64-bit entries by this function and by table walkers.
        unsafe { &*(at as *const AtomicU64) }
    }

    /// Runs `invalidate` with the VMID in force, at EL2, where it has no other effect.
    fn with_vmid(vmid: Vmid, invalidate: impl FnOnce()) {
        let current = read!("vttbr_el2");
        let wanted = current & !(0xffff << 48) | u64::from(vmid.get()) << 48;
        if current == wanted {
            invalidate();
            return;
        }
        write!("vttbr_el2", wanted);
        barrier::isb();
        invalidate();
        barrier::dsb_ish();
        write!("vttbr_el2", current);
        barrier::isb();
    }

    /// Copies from a page of a VM's into a buffer of EL2's.
    pub fn read_page(&self, from: PhysAddr, into: &mut [u8]) {
        let len = into.len().min((PAGE_SIZE - from.page_offset()) as usize);
        // SAFETY: as for `copy`; the buffer is a distinct Rust object.
        unsafe { core::ptr::copy(from.get() as *const u8, into.as_mut_ptr(), len) }
    }

    /// Copies from a buffer of EL2's into a page of a VM's, through to the point of coherency.
    pub fn write_page(&self, to: PhysAddr, bytes: &[u8]) {
        let len = bytes.len().min((PAGE_SIZE - to.page_offset()) as usize);
        // SAFETY: as for `copy`; the buffer is a distinct Rust object.
        unsafe { core::ptr::copy(bytes.as_ptr(), to.get() as *mut u8, len) }
        barrier::clean_invalidate(to.get() as usize, len);
    }

    /// The doubleword at `offset`, a multiple of 8 within the page, of a page that a VM may be changing.
    pub fn load(&self, page: PhysAddr, offset: usize) -> u64 {
        Self::entry(page, offset / 8).load(Ordering::Relaxed)
    }

    /// The doubleword at `at`, aligned, as every observer has it: also one that a VM has written past its caches.
    pub fn load_fresh(&self, at: PhysAddr) -> u64 {
        barrier::clean_invalidate(at.get() as usize, 8);
        barrier::dsb_sy();
        self.load(at.page(), at.page_offset() as usize)
    }

    /// Writes that doubleword.
    pub fn store(&self, page: PhysAddr, offset: usize, value: u64) {
        Self::entry(page, offset / 8).store(value, Ordering::Relaxed);
    }
}

impl Machine for Cpu {
    /// Entry `index` of a table.
    #[inline(always)]
    fn read_entry(&self, table: PhysAddr, index: usize) -> u64 {
        Self::entry(table, index).load(Ordering::Relaxed)
    }

    /// Writes entry `index` of a table, after everything written before.
    #[inline(always)]
    fn write_entry(&self, table: PhysAddr, index: usize, value: u64) {
        Self::entry(table, index).store(value, Ordering::Release);
    }

    /// Fills a pool page that no walker can reach: entry `n` becomes `first + n * step`.
    fn fill_table(&self, table: PhysAddr, first: u64, step: u64) {
        let mut value = first;
        for index in 0..512 {
            Self::entry(table, index).store(value, Ordering::Relaxed);
            value = value.wrapping_add(step);
        }
    }

    /// Walkers that do not look into caches are not in the inner shareable domain.
    fn clean_entries(&self, table: PhysAddr, first: usize, count: usize) {
        let start = table.get() as usize + first * size_of::<u64>();
        barrier::clean(start, count * size_of::<u64>());
        barrier::dsb_sy();
    }

    /// Copies all entries of a table, which nobody changes meanwhile, into a page that no walker can reach.
    fn copy_table(&self, to: PhysAddr, from: PhysAddr) {
        let (to, from) = (to.page().get(), from.page().get());
        // SAFETY: both are pages of EL2's own (see `Cpu`), of which not more than one page each is read and written. Walkers
        // alone read `from` meanwhile, and nobody `to`.
        unsafe {
            core::arch::asm!(
                "2:",
                "ldp {a}, {b}, [{from}], #16",
                "ldp {c}, {d}, [{from}], #16",
                "subs {left}, {left}, #32",
                "stp {a}, {b}, [{to}], #16",
                "stp {c}, {d}, [{to}], #16",
                "b.ne 2b",
                from = inout(reg) from => _,
                to = inout(reg) to => _,
                left = inout(reg) PAGE_SIZE => _,
                a = out(reg) _,
                b = out(reg) _,
                c = out(reg) _,
                d = out(reg) _,
                options(nostack),
            );
        }
    }

    /// Waits until walkers see all entries written before.
    fn publish(&self) {
        barrier::dsb_ishst();
    }

    /// Asks all CPUs to forget stage-2 translations of `range`.
    fn invalidate(&self, vmid: Vmid, range: PageRange<Ipa>) {
        before_forgetting(vmid);
        if range.count() >= INVALIDATE_ALL_FROM {
            return Self::with_vmid(vmid, barrier::tlbi_vmalls12e1is);
        }
        Self::with_vmid(vmid, || {
            // Inside of a range, so sums are addresses.
            for page in 0..range.count() {
                barrier::tlbi_ipas2e1is(range.start().get() + page * PAGE_SIZE);
            }
        });
    }

    /// Asks all CPUs to forget all translations of `vmid`.
    fn invalidate_all(&self, vmid: Vmid) {
        before_forgetting(vmid);
        Self::with_vmid(vmid, barrier::tlbi_vmalls12e1is);
    }

    /// Waits for what was asked for, then does the same with combined stage-1 and stage-2 translations, which the
    /// invalidation by IPA leaves (Arm ARM D8.17.7).
    fn sync(&self, vmid: Vmid) -> Result<(), SyncError> {
        barrier::dsb_ish();
        if cfg!(not(feature = "break-stage1-invalidation")) {
            Self::with_vmid(vmid, barrier::tlbi_vmalle1is);
            barrier::dsb_ish();
        }
        barrier::isb();
        Ok(())
    }

    /// Makes a page zeroes at the point of coherency.
    #[inline(never)]
    #[unsafe(link_section = ".text.scrub")]
    fn scrub(&self, page: PhysAddr) {
        if cfg!(feature = "break-scrub") {
            return;
        }
        let start = page.page().get() as usize;
        let end = start + PAGE_SIZE as usize;
        // DCZID_EL0: DZP forbids DC ZVA, BS is the block's size in words, as a power of two.
        let dczid = read!("dczid_el0");
        if dczid & 1 << 4 == 0 {
            let block = 4_usize << (dczid & 0xf);
            let mut at = start;
            while at < end {
                // SAFETY: the page is RAM that holds no Rust object (see `Cpu`). A block is at most 2 KiB
                // and divides a page.
                unsafe { core::arch::asm!("dc zva, {}", in(reg) at, options(nostack, preserves_flags)) }
                at += block;
            }
        } else {
            // SAFETY: as above.
            unsafe { core::ptr::write_bytes(start as *mut u8, 0, PAGE_SIZE as usize) }
        }
        barrier::clean_invalidate(start, PAGE_SIZE as usize);
    }

    /// Copies within one page on either side.
    fn copy(&self, to: PhysAddr, from: PhysAddr, len: usize) {
        let len = len.min((PAGE_SIZE - to.page_offset().max(from.page_offset())) as usize);
        let (target, source) = (to.get() as usize, from.get() as usize);
        // SAFETY: both are RAM that holds no Rust object (see `Cpu`), `len` stays within either page. The source may be
        // written by the VM at the same time: bytes are then any of the two, which no check relies on.
        unsafe { core::ptr::copy(source as *const u8, target as *mut u8, len) }
        barrier::clean_invalidate(target, len);
    }

    /// Waits until scrubs and copies are complete, then has every CPU forget its instructions.
    fn settle(&self) {
        barrier::dsb_sy();
        barrier::ic_ialluis();
        barrier::dsb_ish();
        barrier::isb();
    }
}

/// What must have been seen before TLBs are told to forget: entries, and that copies of the way to a page of the host's
/// are not to be used.
fn before_forgetting(vmid: Vmid) {
    if vmid == Vmid::HOST {
        revoke_overlays();
    }
    barrier::dsb_ishst();
}

/// Copies from RAM. For boot, before any VM runs.
pub(super) fn read_ram(from: PhysAddr, into: &mut [u8]) {
    // SAFETY: boot passes modules that lie in RAM, which it has mapped; nothing writes there yet.
    unsafe { core::ptr::copy_nonoverlapping(from.get() as *const u8, into.as_mut_ptr(), into.len()) }
}

/// RAM for the host's tree, as bytes to fill. For boot, before any VM runs, with a range that is free.
pub(super) fn host_tree_buffer(range: PhysRange) -> &'static mut [u8] {
    // SAFETY: boot took the range from the free RAM of its map, calls this once, and is done with the slice when the
    // host starts.
    unsafe { core::slice::from_raw_parts_mut(range.start().get() as *mut u8, range.len() as usize) }
}

/// Cleans and invalidates a range of RAM to the point of coherency: the host starts with its caches off.
pub fn clean(range: PhysRange) {
    barrier::clean_invalidate(range.start().get() as usize, range.len() as usize);
    barrier::dsb_sy();
}
