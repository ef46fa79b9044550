//! What each CPU has of its own, found through TPIDR_EL2.

use super::fp::FpState;
use super::guest::GuestContext;
use crate::layout::MAX_CPUS;
use crate::logring::LogRing;
use core::cell::UnsafeCell;
use core::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};

/// One CPU's own. `repr(C)`: vectors in assembly use the first fields.
#[repr(C)]
pub struct PerCpu {
    /// The guest that runs here, for the guest vectors; null while the host runs.
    pub(super) guest: UnsafeCell<*mut GuestContext>,
    /// EL2's registers while a guest runs: x19 to x30 and sp.
    pub(super) el2_registers: UnsafeCell<[u64; 13]>,
    index: AtomicUsize,
    /// Where the host enters on this CPU, and what it finds in x0: set by CPU_ON before the CPU starts.
    pub(super) entry: AtomicU64,
    pub(super) entry_argument: AtomicU64,
    /// Floating-point state of the host, saved when a guest uses the registers.
    pub(super) host_fp: UnsafeCell<FpState>,
    /// The fault record of an abort whose answer waits until all registers are saved; 0 for none.
    put_off: AtomicU64,
    /// An SDEI event of this CPU's may be due.
    event_due: AtomicBool,
    /// Log frames of this CPU.
    pub log: LogRing,
}

// SAFETY: the cells are touched by their own CPU alone (`PerCpu::this`), at EL2 with interrupts masked, never
// re-entrantly: exceptions taken at EL2 do not return.
unsafe impl Sync for PerCpu {}

impl PerCpu {
    const fn new() -> Self {
        Self {
            guest: UnsafeCell::new(core::ptr::null_mut()),
            el2_registers: UnsafeCell::new([0; 13]),
            index: AtomicUsize::new(0),
            entry: AtomicU64::new(0),
            entry_argument: AtomicU64::new(0),
            host_fp: UnsafeCell::new(FpState::new()),
            put_off: AtomicU64::new(0),
            event_due: AtomicBool::new(false),
            log: LogRing::new(),
        }
    }

    /// The calling CPU's.
    #[inline(always)]
    pub fn this() -> &'static Self {
        let at = super::sysreg::read!("tpidr_el2") as *const Self;
        // SAFETY: `boot` sets TPIDR_EL2 to an element of `PER_CPU` before any other Rust code runs on a CPU, and
        // nobody changes it.
        unsafe { &*at }
    }

    /// Number of this CPU, 0 for the one that boots.
    #[inline(always)]
    pub fn index(&self) -> usize {
        self.index.load(Ordering::Relaxed)
    }

    /// Puts the answer of the abort that this CPU is in off, until all registers are saved.
    pub fn put_off(&self, record: u64) {
        self.put_off.store(record, Ordering::Relaxed);
    }

    /// The record of the abort that this CPU is in, if its answer was put off.
    pub fn take_put_off(&self) -> Option<u64> {
        let record = self.put_off.load(Ordering::Relaxed);
        self.put_off.store(0, Ordering::Relaxed);
        (record != 0).then_some(record)
    }

    /// Tells this CPU, from whichever, that an SDEI event may be due to it.
    pub fn set_event_due(&self) {
        self.event_due.store(true, Ordering::Release);
    }

    /// Whether it has been told so.
    #[inline(always)]
    pub fn is_event_due(&self) -> bool {
        self.event_due.load(Ordering::Relaxed)
    }

    /// Before this CPU looks what is due: what it is told from here on is for the next time.
    pub fn clear_event_due(&self) {
        self.event_due.store(false, Ordering::Release);
    }

    /// CPU number `index`'s.
    pub fn of(index: usize) -> Option<&'static Self> {
        PER_CPU.get(index)
    }

    /// Notes where the host wants to start on this CPU.
    pub fn set_entry(&self, entry: u64, argument: u64) {
        self.entry.store(entry, Ordering::Relaxed);
        self.entry_argument.store(argument, Ordering::Release);
    }

    /// Where the host wants to start on this CPU, and with what in x0.
    pub fn host_entry(&self) -> (u64, u64) {
        let argument = self.entry_argument.load(Ordering::Acquire);
        (self.entry.load(Ordering::Relaxed), argument)
    }
}

// All zeroes, so that it takes no room in the image.
static PER_CPU: [PerCpu; MAX_CPUS] = [const { PerCpu::new() }; MAX_CPUS];

/// Points TPIDR_EL2 at CPU number `index`'s, which learns its number. What a CPU does first.
pub(crate) fn install(index: usize) {
    let this = &PER_CPU[index];
    this.index.store(index, Ordering::Relaxed);
    super::sysreg::write!("tpidr_el2", core::ptr::from_ref(this) as u64);
}

/// The calling CPU's affinity: Aff3 to Aff0 where MPIDR_EL1 has them.
pub fn affinity() -> u64 {
    super::sysreg::read!("mpidr_el1") & 0xff_00ff_ffff
}
