//! What the core's logic asks of the CPU and of memory.

use leasehold_hal::Vmid;
use leasehold_memory_map::{Ipa, PageRange, PhysAddr};

/// Hardware did not confirm an invalidation: stale translations may be in use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct SyncError;

/// Table entries, TLBs and page contents. The CPU's implementation is in `arch`; tests have machines that simulate
/// TLBs and caches.
///
/// Table addresses given here are pages of the hypervisor's own pool; page addresses are RAM. Both are checked by
/// whoever calls, before the call.
pub trait Machine {
    /// Entry `index` (0 to 511) of the table at `table`.
    fn read_entry(&self, table: PhysAddr, index: usize) -> u64;

    /// Writes entry `index` of the table at `table`: one single-copy atomic store, ordered after earlier ones, so
    /// that a walker that sees it sees the table that it points at.
    fn write_entry(&self, table: PhysAddr, index: usize, value: u64);

    /// Fills a page of the pool with zeroes before it becomes a table.
    fn zero_table(&self, table: PhysAddr);

    /// Asks every CPU, and for the host's VMID the SMMU, to forget stage-2 translations of `range`.
    fn invalidate(&self, vmid: Vmid, range: PageRange<Ipa>);

    /// Asks every CPU, and for the host's VMID the SMMU, to forget all translations of `vmid`.
    fn invalidate_all(&self, vmid: Vmid);

    /// Waits until everything asked for has happened, and combined stage-1 and stage-2 translations of `vmid` are
    /// gone too.
    ///
    /// # Errors
    /// [`SyncError`] when some hardware does not confirm within its bound.
    fn sync(&self, vmid: Vmid) -> Result<(), SyncError>;

    /// Makes a page zeroes, at the point of coherency, with no line of it left in any cache.
    fn scrub(&self, page: PhysAddr);

    /// Copies `len` bytes, at most a page and within one page on either side, then cleans and invalidates what was
    /// written to the point of coherency.
    fn copy(&self, to: PhysAddr, from: PhysAddr, len: usize);

    /// Cleans and invalidates a page to the point of coherency.
    fn clean(&self, page: PhysAddr);
}
