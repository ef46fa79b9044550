//! One instruction of the host's, executed on tables of this CPU's own.
//!
//! EL2 takes debug exceptions meanwhile (MDCR_EL2.TDE) and steps (MDSCR_EL1.SS): the host's own breakpoints, watchpoints
//! and steps are put aside, and its OS lock, which would keep steps from happening. The tables have the host's VMID, so
//! that every invalidation that is asked of the host's translations reaches this CPU's too. What this CPU's TLB knows
//! from one set of tables is forgotten before the other is used.

use super::barrier;
use super::guest::{GuestContext, enter};
use super::host::{hcr, hpfar};
use super::percpu::PerCpu;
use super::sysreg::{read, write};
use super::vectors::{Return, TrapFrame};
use crate::fault::decoy;
use crate::features::Features;
use crate::layout::MAX_CPUS;
use crate::stage2::{OVERLAY_PAGES, OVERLAY_ROOTS, OVERLAY_TABLES, OverlayMemory};
use core::cell::UnsafeCell;
use core::mem::offset_of;
use core::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use leasehold_memory_map::{Address, PhysAddr};

/// MDCR_EL2.TDE: debug exceptions go to EL2.
const TDE: u64 = 1 << 8;
/// MDSCR_EL1.SS: software step.
const MDSCR_SS: u64 = 1;
/// MDSCR_EL1.KDE and MDE: what else could cause a debug exception.
const MDSCR_OTHERS: u64 = 1 << 13 | 1 << 15;
/// OSLSR_EL1.OSLK.
const OSLK: u64 = 1 << 1;
/// The VMID in VTTBR_EL2.
const VMID: u64 = 0xffff << 48;

type Page = [u64; 512];

/// One CPU's memory for an overlay. Aligned as its root must be.
#[repr(C, align(8192))]
struct Memory {
    root: [Page; OVERLAY_ROOTS],
    tables: [Page; OVERLAY_TABLES],
    pages: [Page; OVERLAY_PAGES],
}

const _: () = assert!(size_of::<[Page; OVERLAY_ROOTS]>() == align_of::<Memory>());

struct Shared(UnsafeCell<Memory>);

// SAFETY: nobody makes a reference to what is inside: it is written and read as tables and pages of RAM are, by address.
unsafe impl Sync for Shared {}

static MEMORY: [Shared; MAX_CPUS] = [const {
    Shared(UnsafeCell::new(Memory {
        root: [[0; 512]; OVERLAY_ROOTS],
        tables: [[0; 512]; OVERLAY_TABLES],
        pages: [[0; 512]; OVERLAY_PAGES],
    }))
}; MAX_CPUS];

/// CPUs that are on their overlay, a bit each. Changed under the lock that changes of the host's tables need.
static LIVE: AtomicU32 = AtomicU32::new(0);
const _: () = assert!(MAX_CPUS <= 32);

/// Where this CPU's overlay is made.
pub fn overlay_memory() -> Option<OverlayMemory> {
    let at = MEMORY[PerCpu::this().index()].0.get() as u64;
    let part = |offset: usize| PhysAddr::checked(at + offset as u64);
    Some(OverlayMemory {
        root: part(offset_of!(Memory, root))?,
        tables: part(offset_of!(Memory, tables))?,
        pages: part(offset_of!(Memory, pages))?,
    })
}

fn bit() -> u32 {
    1 << PerCpu::this().index()
}

/// Notes that this CPU goes onto its overlay. Under the lock.
pub fn begin_overlay() {
    LIVE.fetch_or(bit(), Ordering::Release);
}

/// Notes that this CPU is off its overlay, under the lock. Whether nobody has revoked it.
pub fn end_overlay() -> bool {
    LIVE.fetch_and(!bit(), Ordering::AcqRel) & bit() != 0
}

/// Takes their overlays from all CPUs, under the lock: from the invalidation on that follows, and that is waited for, no
/// walk by way of one finds anything.
#[inline(always)]
pub fn revoke_overlays() {
    if LIVE.load(Ordering::Acquire) != 0 {
        revoke();
    }
}

#[cold]
fn revoke() {
    let live = LIVE.swap(0, Ordering::AcqRel);
    for (cpu, memory) in MEMORY.iter().enumerate() {
        if live & 1 << cpu == 0 {
            continue;
        }
        let root = memory.0.get() as *const AtomicU64;
        for n in 0..OVERLAY_ROOTS * 512 {
            // SAFETY: the root is what `Memory` begins with, `OVERLAY_ROOTS` tables of 512 aligned words, to which no
            // reference is ever made.
            unsafe { &*root.add(n) }.store(0, Ordering::Relaxed);
        }
    }
}

/// How a step came back to EL2.
#[derive(Clone, Copy, Debug)]
pub enum Stepped {
    /// Synchronously: ESR_EL2, FAR_EL2, HPFAR_EL2.
    Sync {
        /// ESR_EL2.
        esr: u64,
        /// FAR_EL2.
        far: u64,
        /// HPFAR_EL2.
        hpfar: u64,
    },
    /// By something else than the instruction.
    Otherwise,
    /// There was no step: the OS double lock forbids it.
    Impossible,
}

/// What a step puts aside.
struct PutAside {
    vttbr: u64,
    hcr: u64,
    mdcr: u64,
    mdscr: u64,
    locked: bool,
}

impl PutAside {
    fn begin(root: PhysAddr) -> Self {
        let old = Self {
            vttbr: read!("vttbr_el2"),
            hcr: read!("hcr_el2"),
            mdcr: read!("mdcr_el2"),
            mdscr: read!("mdscr_el1"),
            locked: read!("oslsr_el1") & OSLK != 0,
        };
        switch_tables(old.vttbr & VMID | root.get());
        // Nothing that waits may be what is stepped.
        write!("hcr_el2", old.hcr | hcr::TWI | hcr::TWE);
        write!("mdcr_el2", old.mdcr | TDE);
        if old.locked {
            write!("oslar_el1", 0);
            barrier::isb();
        }
        write!("mdscr_el1", old.mdscr & !MDSCR_OTHERS | MDSCR_SS);
        barrier::isb();
        old
    }

    fn end(self) {
        if self.locked {
            // What is writable with the lock alone is written back as it was read: with the lock.
            write!("oslar_el1", 1);
            barrier::isb();
        }
        write!("mdscr_el1", self.mdscr);
        write!("mdcr_el2", self.mdcr);
        write!("hcr_el2", self.hcr);
        switch_tables(self.vttbr);
    }
}

/// Translates by other tables of the same VMID. EL2's own translation is none of it.
fn switch_tables(vttbr: u64) {
    write!("vttbr_el2", vttbr);
    barrier::isb();
    if cfg!(feature = "break-decoy-invalidation") {
        return;
    }
    barrier::tlbi_vmalls12e1();
    barrier::dsb_ish();
    barrier::isb();
}

/// Executes one instruction of the host's, from the state in `frame`, on the tables at `root`. The frame then has the
/// registers as they are, and PC and state of where it came back from.
pub fn step(frame: &mut TrapFrame, root: PhysAddr, features: &Features) -> Stepped {
    // OSDLR_EL1.DLK.
    if read!("osdlr_el1") & 1 != 0 {
        return Stepped::Impossible;
    }
    let aside = PutAside::begin(root);
    frame.back.spsr = decoy::stepping(frame.back.spsr, features.nmi);
    // SAFETY: a `TrapFrame` begins as a `GuestContext` does, as far as `enter` looks (asserted below), and is borrowed
    // exclusively. The overlay keeps the host in what is the host's, and the pages that were made for it.
    let why = unsafe { enter(core::ptr::from_mut(frame).cast()) };
    let stepped = match why {
        0 => Stepped::Sync {
            esr: read!("esr_el2"),
            far: read!("far_el2"),
            hpfar: hpfar(),
        },
        _ => Stepped::Otherwise,
    };
    aside.end();
    stepped
}

const _: () = assert!(offset_of!(TrapFrame, x) == offset_of!(GuestContext, x));
const _: () = assert!(offset_of!(TrapFrame, back) + offset_of!(Return, elr) == offset_of!(GuestContext, pc));
const _: () = assert!(offset_of!(TrapFrame, back) + offset_of!(Return, spsr) == offset_of!(GuestContext, state));

/// Takes what a step has left in SPSR_EL1 out, when its instruction ended in an exception to EL1. `before` is the state
/// of the instruction.
pub fn forget_step(before: u64) {
    write!("spsr_el1", decoy::without_step(before, read!("spsr_el1")));
}
