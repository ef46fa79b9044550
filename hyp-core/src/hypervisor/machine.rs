//! CPUs and the IOMMU together, as the core's logic takes them.

use crate::arch::aarch64::{self as arch, Cpu};
use crate::episode::Episodes;
use crate::machine::{Machine, SyncError};
use core::sync::atomic::{AtomicBool, Ordering};
use leasehold_hal::{AttachedIommu, IommuError, Vmid};
use leasehold_memory_map::{Ipa, PageRange, PhysAddr};
use spin::mutex::SpinMutex;

/// The IOMMU, and what is known of it.
pub struct Unit<I> {
    /// The IOMMU, if there is one.
    pub iommu: SpinMutex<Option<I>>,
    /// It has not confirmed something: all it knows is to be forgotten before its next word counts.
    stale: AtomicBool,
    /// Whether it walks past the CPUs' caches. Boot finds out before it makes the first table.
    pub past_caches: AtomicBool,
    /// When it did not confirm.
    stuck: SpinMutex<Episodes>,
}

impl<I> Unit<I> {
    /// There is none yet.
    pub const fn new() -> Self {
        Self {
            iommu: SpinMutex::new(None),
            stale: AtomicBool::new(false),
            past_caches: AtomicBool::new(false),
            stuck: SpinMutex::new(Episodes::new()),
        }
    }
}

/// The machine from the calling CPU.
pub struct El2<'a, I> {
    /// This CPU's hands.
    pub cpu: Cpu,
    unit: &'a Unit<I>,
}

impl<'a, I: AttachedIommu> El2<'a, I> {
    /// With this IOMMU, if there is one.
    pub(super) fn new(unit: &'a Unit<I>) -> Self {
        Self { cpu: Cpu::this(), unit }
    }

    fn with_iommu(&self, vmid: Vmid, ask: impl FnOnce(&mut I) -> bool) {
        if vmid != Vmid::HOST {
            return;
        }
        if let Some(iommu) = self.unit.iommu.lock().as_mut()
            && !ask(iommu)
        {
            self.unit.stale.store(true, Ordering::Relaxed);
        }
    }
}

impl<I: AttachedIommu> El2<'_, I> {
    /// Logs that it does not confirm, and what it says of itself: once until it has confirmed, and at a bounded rate, as a
    /// host can bring about any number of waits.
    #[cold]
    fn tell(&self, iommu: &I, error: IommuError) {
        if let Some(untold) = self.unit.stuck.lock().begin(arch::counter()) {
            crate::log::error!(
                "iommu does not confirm: {}, {} ({=u64} like it not shown)",
                error,
                iommu.timeout(),
                untold
            );
        }
    }
}

impl<I: AttachedIommu> Machine for El2<'_, I> {
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
            let was_stale = self.unit.stale.load(Ordering::Relaxed);
            let asked = if was_stale { iommu.invalidate_all(vmid) } else { Ok(()) };
            let done = asked.and_then(|()| iommu.sync());
            match done {
                Ok(()) if was_stale => self.unit.stuck.lock().end(),
                Ok(()) => {}
                Err(error) => self.tell(iommu, error),
            }
            self.unit.stale.store(done.is_err(), Ordering::Relaxed);
            done.is_ok()
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
