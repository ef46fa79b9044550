//! What the core's logic asks of the CPU and of memory.

mod el2;

pub use el2::{El2, Unit};

use leasehold_hal::{AssignError, MemoryOwner, Vmid};
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
    /// Whether there is a memory controller that moves memory between bus masters. Where there is none, nothing is asked.
    const MOVES: bool = false;

    /// Has the memory controller move `ranges` to `to`; what is `to`'s already stays. See
    /// [`MemoryController::assign`](leasehold_hal::MemoryController::assign).
    ///
    /// # Errors
    /// [`AssignError`].
    fn assign(&self, ranges: &[PageRange<PhysAddr>], to: MemoryOwner) -> Result<(), AssignError> {
        let (_, _) = (ranges, to);
        Ok(())
    }

    /// Entry `index` (0 to 511) of the table at `table`.
    fn read_entry(&self, table: PhysAddr, index: usize) -> u64;

    /// Writes entry `index` of the table at `table`: one single-copy atomic store, ordered after earlier ones, so
    /// that a walker that sees it sees the table that it points at.
    fn write_entry(&self, table: PhysAddr, index: usize, value: u64);

    /// Fills a page of the pool that no walker can reach: entry `n` becomes `first + n * step`.
    fn fill_table(&self, table: PhysAddr, first: u64, step: u64);

    /// Lets walkers that do not look into the CPUs' caches see entries `first` to `first + count` of a table, as they are now;
    /// nothing written later can be seen before. Comes before the entry that makes a new table one, and before
    /// [`invalidate`](Self::invalidate). For what the SMMU walks, which is the host's tables; nothing where it looks into
    /// caches.
    fn clean_entries(&self, table: PhysAddr, first: usize, count: usize);

    /// Copies all entries of a table, which nobody changes meanwhile, into a page of the hypervisor's that no walker can
    /// reach.
    fn copy_table(&self, to: PhysAddr, from: PhysAddr) {
        for index in 0..512 {
            self.write_entry(to, index, self.read_entry(from, index));
        }
    }

    /// Waits until walkers see all entries written before (`DSB ISHST`). What was invalid and becomes valid needs no
    /// more than this.
    fn publish(&self);

    /// Asks every CPU, and for the host's VMID the SMMU, to forget stage-2 translations of `range`: of every size
    /// that covers any of it, and cached tables on the way there, not the last level only. Ordered after all entries
    /// written before. May do more than asked, up to [`invalidate_all`](Self::invalidate_all).
    fn invalidate(&self, vmid: Vmid, range: PageRange<Ipa>);

    /// Asks every CPU, and for the host's VMID the SMMU, to forget all translations of `vmid`. Ordered as
    /// [`invalidate`](Self::invalidate).
    fn invalidate_all(&self, vmid: Vmid);

    /// Waits until everything asked for has happened, accesses that used the old translations are complete, and
    /// combined stage-1 and stage-2 translations of `vmid` are gone too.
    ///
    /// # Errors
    /// [`SyncError`] when some hardware does not confirm within its bound. What was asked for is then asked for again
    /// before the next try.
    fn sync(&self, vmid: Vmid) -> Result<(), SyncError>;

    /// Makes a page zeroes, at the point of coherency, with no line of it left in any data cache.
    fn scrub(&self, page: PhysAddr);

    /// Copies `len` bytes, at most a page and within one page on either side, then cleans and invalidates what was
    /// written to the point of coherency.
    fn copy(&self, to: PhysAddr, from: PhysAddr, len: usize);

    /// Waits until scrubs and copies are complete for every observer, then makes instruction caches forget what they
    /// hold of memory from before (`DSB`, `IC IALLUIS`, `DSB`).
    fn settle(&self);
}
