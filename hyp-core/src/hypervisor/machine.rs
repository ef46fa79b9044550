//! CPUs, the IOMMU and the memory controller together, as the core's logic takes them.

use crate::arch::aarch64::{self as arch, Cpu};
use crate::machine::{Machine, SyncError};
use core::sync::atomic::{AtomicBool, Ordering};
use leasehold_hal::{AssignError, AttachedIommu, MemoryController, MemoryOwner, Vmid};
use leasehold_memory_map::{Ipa, PageRange, PhysAddr};
use spin::mutex::SpinMutex;

/// The machine from the calling CPU.
pub struct El2<'a, I, C> {
    /// This CPU's hands.
    pub cpu: Cpu,
    iommu: &'a SpinMutex<Option<I>>,
    /// The IOMMU has not confirmed something: all it knows is to be forgotten before its next word counts.
    stale: &'a AtomicBool,
    memory: &'a SpinMutex<Option<C>>,
}

impl<'a, I: AttachedIommu, C: MemoryController> El2<'a, I, C> {
    /// With this IOMMU and this memory controller, if there are any.
    pub(super) fn new(
        iommu: &'a SpinMutex<Option<I>>,
        stale: &'a AtomicBool,
        memory: &'a SpinMutex<Option<C>>,
    ) -> Self {
        Self {
            cpu: Cpu::this(),
            iommu,
            stale,
            memory,
        }
    }

    fn with_iommu(&self, vmid: Vmid, ask: impl FnOnce(&mut I) -> bool) {
        if vmid != Vmid::HOST {
            return;
        }
        if let Some(iommu) = self.iommu.lock().as_mut()
            && !ask(iommu)
        {
            self.stale.store(true, Ordering::Relaxed);
        }
    }
}

impl<I: AttachedIommu, C: MemoryController> Machine for El2<'_, I, C> {
    const MOVES: bool = C::MOVES;

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
        if vmid == Vmid::HOST {
            arch::revoke_overlays();
        }
        self.cpu.invalidate(vmid, range);
        self.with_iommu(vmid, |iommu| iommu.invalidate(vmid, range).is_ok());
    }

    fn invalidate_all(&self, vmid: Vmid) {
        if vmid == Vmid::HOST {
            arch::revoke_overlays();
        }
        self.cpu.invalidate_all(vmid);
        self.with_iommu(vmid, |iommu| iommu.invalidate_all(vmid).is_ok());
    }

    fn sync(&self, vmid: Vmid) -> Result<(), SyncError> {
        self.cpu.sync(vmid);
        self.with_iommu(vmid, |iommu| {
            if self.stale.load(Ordering::Relaxed) && iommu.invalidate_all(vmid).is_err() {
                return false;
            }
            let done = iommu.sync();
            if let Err(error) = &done {
                crate::log::error!("iommu does not confirm: {}", error);
            }
            self.stale.store(done.is_err(), Ordering::Relaxed);
            done.is_ok()
        });
        if vmid == Vmid::HOST && self.stale.load(Ordering::Relaxed) {
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
