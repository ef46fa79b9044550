//! CPUs, the IOMMU and the memory controller together, as EL2 has them.

use super::{Machine, SyncError};
use core::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use leasehold_hal::{AssignError, AttachedIommu, IommuError, IommuTimeout, MemoryController, MemoryOwner, Vmid};
use leasehold_memory_map::{Ipa, PageRange, PhysAddr};
use spin::mutex::SpinMutex;

/// The IOMMU, and what is known of it.
pub struct Unit<I> {
    /// The IOMMU, if there is one.
    pub iommu: SpinMutex<Option<I>>,
    /// It has not confirmed something: all it knows is to be forgotten before its next word counts.
    stale: AtomicBool,
    /// It walks past the CPUs' caches.
    past_caches: AtomicBool,
    /// How often it has begun not to confirm.
    stuck: AtomicU32,
}

impl<I> Default for Unit<I> {
    fn default() -> Self {
        Self::new()
    }
}

impl<I> Unit<I> {
    /// There is none yet.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            iommu: SpinMutex::new(None),
            stale: AtomicBool::new(false),
            past_caches: AtomicBool::new(false),
            stuck: AtomicU32::new(0),
        }
    }

    /// Says whether it sees tables as CPUs do. Before the first of the tables that it walks is made.
    pub fn walks_coherently(&self, does: bool) {
        self.past_caches.store(!does, Ordering::Relaxed);
    }

    /// Notes that it did not confirm. That is logged, with what it says of itself, once until it has confirmed; and as a
    /// host can bring about any number of such times, of those the first, the second, the fourth, and so on.
    #[cold]
    fn fails(&self, error: IommuError, said: Option<IommuTimeout>) {
        if self.stale.swap(true, Ordering::Relaxed) {
            return;
        }
        let times = self.stuck.fetch_add(1, Ordering::Relaxed).wrapping_add(1);
        if times.is_power_of_two() {
            crate::log::error!("iommu does not confirm: {}, {} (time {=u32})", error, said, times);
        }
    }
}

/// The machine from the calling CPU: `C` is what it does by itself, and never fails to confirm.
pub struct El2<'a, C, I, M> {
    /// This CPU's hands.
    pub cpu: C,
    unit: &'a Unit<I>,
    memory: &'a SpinMutex<Option<M>>,
}

impl<'a, C, I: AttachedIommu, M> El2<'a, C, I, M> {
    /// This CPU's hands with this IOMMU and this memory controller, if there are any.
    pub const fn new(cpu: C, unit: &'a Unit<I>, memory: &'a SpinMutex<Option<M>>) -> Self {
        Self { cpu, unit, memory }
    }

    fn with_iommu(&self, vmid: Vmid, ask: impl FnOnce(&mut I) -> Result<(), IommuError>) {
        if vmid != Vmid::HOST {
            return;
        }
        if let Some(iommu) = self.unit.iommu.lock().as_mut()
            && let Err(error) = ask(iommu)
        {
            self.unit.fails(error, iommu.timeout());
        }
    }
}

impl<C: Machine, I: AttachedIommu, M: MemoryController> Machine for El2<'_, C, I, M> {
    const MOVES: bool = M::MOVES;

    #[cold]
    fn assign(&self, ranges: &[PageRange<PhysAddr>], to: MemoryOwner) -> Result<(), AssignError> {
        let moved = match self.memory.lock().as_mut() {
            Some(controller) => controller.assign(ranges, to),
            None => Ok(()),
        };
        if let Err(error) = &moved {
            crate::log::error!(
                "memory controller does not move {=usize} ranges: {}",
                ranges.len(),
                error
            );
        }
        moved
    }

    #[inline(always)]
    fn read_entry(&self, table: PhysAddr, index: usize) -> u64 {
        self.cpu.read_entry(table, index)
    }

    #[inline(always)]
    fn write_entry(&self, table: PhysAddr, index: usize, value: u64) {
        self.cpu.write_entry(table, index, value);
    }

    #[inline(always)]
    fn clean_entries(&self, table: PhysAddr, first: usize, count: usize) {
        if I::MAY_WALK_PAST_CACHES && self.unit.past_caches.load(Ordering::Relaxed) {
            self.cpu.clean_entries(table, first, count);
        }
    }

    fn copy_table(&self, to: PhysAddr, from: PhysAddr) {
        self.cpu.copy_table(to, from);
    }

    fn fill_table(&self, table: PhysAddr, first: u64, step: u64) {
        self.cpu.fill_table(table, first, step);
    }

    fn publish(&self) {
        self.cpu.publish();
    }

    fn invalidate(&self, vmid: Vmid, range: PageRange<Ipa>) {
        self.cpu.invalidate(vmid, range);
        self.with_iommu(vmid, |iommu| iommu.invalidate(vmid, range));
    }

    fn invalidate_all(&self, vmid: Vmid) {
        self.cpu.invalidate_all(vmid);
        self.with_iommu(vmid, |iommu| iommu.invalidate_all(vmid));
    }

    fn sync(&self, vmid: Vmid) -> Result<(), SyncError> {
        self.cpu.sync(vmid)?;
        self.with_iommu(vmid, |iommu| {
            if self.unit.stale.load(Ordering::Relaxed) {
                iommu.invalidate_all(vmid)?;
            }
            iommu.sync()?;
            self.unit.stale.store(false, Ordering::Relaxed);
            Ok(())
        });
        if vmid == Vmid::HOST && self.unit.stale.load(Ordering::Relaxed) {
            Err(SyncError)
        } else {
            Ok(())
        }
    }

    fn scrub(&self, page: PhysAddr) {
        self.cpu.scrub(page);
    }

    fn copy(&self, to: PhysAddr, from: PhysAddr, len: usize) {
        self.cpu.copy(to, from, len);
    }

    fn settle(&self) {
        self.cpu.settle();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use leasehold_hal::NoMemoryController;
    use leasehold_hal::fake::FakeIommu;
    use leasehold_memory_map::PhysRange;

    /// A CPU that has nothing to do.
    struct Idle;

    impl Machine for Idle {
        fn read_entry(&self, _: PhysAddr, _: usize) -> u64 {
            0
        }
        fn write_entry(&self, _: PhysAddr, _: usize, _: u64) {}
        fn fill_table(&self, _: PhysAddr, _: u64, _: u64) {}
        fn clean_entries(&self, _: PhysAddr, _: usize, _: usize) {}
        fn publish(&self) {}
        fn invalidate(&self, _: Vmid, _: PageRange<Ipa>) {}
        fn invalidate_all(&self, _: Vmid) {}
        fn sync(&self, _: Vmid) -> Result<(), SyncError> {
            Ok(())
        }
        fn scrub(&self, _: PhysAddr) {}
        fn copy(&self, _: PhysAddr, _: PhysAddr, _: usize) {}
        fn settle(&self) {}
    }

    #[test]
    fn a_time_without_confirmation_counts_once() {
        let fake = FakeIommu::new(2, PhysRange::constant(PhysAddr::new(0x1000), 0x1000));
        let unit = Unit::new();
        *unit.iommu.lock() = Some(fake.clone());
        let memory = SpinMutex::new(None::<NoMemoryController>);
        let el2 = El2::new(Idle, &unit, &memory);
        let times = || unit.stuck.load(Ordering::Relaxed);
        el2.sync(Vmid::HOST).unwrap();
        for round in 1..4 {
            fake.fail_sync(Some(IommuError::TimedOut));
            for _ in 0..5 {
                assert_eq!(el2.sync(Vmid::HOST), Err(SyncError));
                assert_eq!(times(), round);
            }
            fake.fail_sync(None);
            el2.sync(Vmid::HOST).unwrap();
            el2.sync(Vmid::HOST).unwrap();
        }
        assert_eq!(times(), 3);
    }
}
