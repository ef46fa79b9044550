//! Who owns and who holds each page, and how that changes.
//!
//! The host owns all RAM but the hypervisor's. It lends ranges to guests; a lease goes through these phases, in each of
//! which at most one VM can reach its pages:
//!
//! ```text
//!  lend            retrieve                      relinquish, destroy_vm           reclaim
//! ------> Lent ------------> Retrieved ------> Unconfirmed -> Scrubbing -> Clean ------> (owned)
//!          |      (scrubs)       ^     (unmaps)       (TLBs)       (scrubs)  |
//!          |                     +------------------------------------------+ retrieve
//!          +------> (owned) reclaim
//! ```
//!
//! Where a memory controller moves memory between bus masters, it does so when no CPU and no SMMU leads anyone to the pages: as
//! the last step of a lend, and on the way back after the scrub and before the owner's entries are valid
//! ([`controller`]).
//!
//! In each of these phases the owner can have a page back alone ([`Ownership::take`]): it is scrubbed, and the lease goes
//! on without it.
//!
//! A page's state is not stored per page: the host's table entry says whether it is the host's, and else names the
//! lease, whose phase says the rest. Everything here is called under one lock, and no call does more than its range
//! of table entries and [`SCRUB_STEP_PAGES`] scrubs.

mod borrow;
mod controller;
mod error;
mod held;
mod lease;
mod lend;
mod query;
mod take;

pub use borrow::Step;
pub use error::OwnershipError;
use held::Holds;
pub use held::{MAX_HOLDS, Use};
pub use lease::{PAGES_PER_LEASE, RANGES_PER_LEASE};
pub use lend::Constituent;
pub use query::{LeaseInfo, LeaseState, PageState};
pub use take::GuestPage;

use crate::id::VmId;
use crate::machine::Machine;
use crate::stage2::{Layout, Pool, Purpose, Stage2};
use heapless::Vec;
use lease::Leases;
use leasehold_hal::Stage2Geometry;
use leasehold_memory_map::{Address, Ipa, PageRange, PhysAddr, PhysRange};

/// The most pages that one call scrubs.
pub const SCRUB_STEP_PAGES: usize = 64;
/// The most pages that a VM can pin.
pub const PINS_PER_VM: usize = 4;
/// A guest's tables have one root table, so this many bits at most.
const GUEST_IPA_BITS: u8 = 39;

/// What the host's map is made of.
#[derive(Clone, Copy, Debug)]
pub struct HostMap<'a> {
    /// Pages for tables: the host's root, aligned to its size, comes first. Nobody else may use them.
    pub pool: PageRange<PhysAddr>,
    /// Size and attributes of the tables.
    pub geometry: Stage2Geometry,
    /// How RAM is mapped.
    pub layout: Layout,
    /// The machine's RAM.
    pub ram: &'a [PhysRange],
    /// Registers that the host may reach.
    pub devices: &'a [PhysRange],
    /// What is the hypervisor's of either. The pool is, whether it stands here or not.
    pub hypervisor: &'a [PhysRange],
}

/// A VM's tables, and the pages that it must keep.
#[derive(Debug)]
struct Vm {
    tables: Stage2,
    pins: Vec<PageRange<Ipa>, PINS_PER_VM>,
    /// Being destroyed.
    ending: bool,
}

impl Vm {
    const fn new(tables: Stage2) -> Self {
        Self {
            tables,
            pins: Vec::new(),
            ending: false,
        }
    }
}

/// The owner of every page, for at most `LEASES` leases (255 at most) and `VMS` guests at a time.
#[derive(Debug)]
pub struct Ownership<const LEASES: usize, const VMS: usize> {
    pool: Pool,
    host: Vm,
    guests: [Option<Vm>; VMS],
    guest_geometry: Option<Stage2Geometry>,
    leases: Leases<LEASES>,
    /// How many lends failed and are not undone.
    undone: u8,
    holds: Holds,
}

impl<const LEASES: usize, const VMS: usize> Default for Ownership<LEASES, VMS> {
    fn default() -> Self {
        Self::new()
    }
}

impl<const LEASES: usize, const VMS: usize> Ownership<LEASES, VMS> {
    /// Knows of no memory yet: every call is refused until [`init_host`](Self::init_host).
    #[must_use]
    pub const fn new() -> Self {
        Self {
            pool: Pool::EMPTY,
            host: Vm::new(Stage2::NONE),
            guests: [const { None }; VMS],
            guest_geometry: None,
            leases: Leases::new(),
            undone: 0,
            holds: Holds::NONE,
        }
    }

    /// Builds the host's map: what a later list says overrides what an earlier one said, and what no list has is
    /// mapped nowhere. Once, before any CPU or device walks it.
    ///
    /// # Errors
    /// [`OwnershipError::BadLayout`] for ranges that are not whole pages or that the geometry does not reach,
    /// [`OwnershipError::NoMemory`] when the pool is too small. The host must not run then.
    pub fn init_host(&mut self, machine: &impl Machine, map: &HostMap<'_>) -> Result<(), OwnershipError> {
        let (tables, pool) =
            Stage2::host(machine, map.pool, &map.geometry, map.layout).ok_or(OwnershipError::NoMemory)?;
        *self = Self {
            pool,
            host: Vm::new(tables),
            ..Self::new()
        };
        let bits = map.geometry.ipa_bits().min(GUEST_IPA_BITS);
        self.guest_geometry = Stage2Geometry::new(bits, map.geometry.attributes()).ok();
        let lists = [
            (map.ram, Purpose::Ram),
            (map.devices, Purpose::Device),
            (map.hypervisor, Purpose::Hypervisor),
        ];
        for (ranges, purpose) in lists {
            for range in ranges {
                self.assign(machine, *range, purpose)?;
            }
        }
        self.assign(machine, map.pool.bytes(), Purpose::Hypervisor)?;
        self.host.tables.finish_boot(machine, &mut self.pool);
        machine.publish();
        Ok(())
    }

    fn assign(&mut self, machine: &impl Machine, range: PhysRange, purpose: Purpose) -> Result<(), OwnershipError> {
        let bad = OwnershipError::BadLayout {
            start: range.start().get(),
            len: range.len(),
        };
        let pages = PageRange::try_from(range).map_err(|_| bad)?;
        let pages = PageRange::new(pages.start().as_host_ipa(), pages.count()).map_err(|_| bad)?;
        if !self.host.tables.covers(pages) {
            return Err(bad);
        }
        self.host.tables.assign(machine, &mut self.pool, pages, purpose)?;
        Ok(())
    }

    /// The root of the host's tables, which CPUs and SMMUs walk.
    #[must_use]
    pub fn host_root(&self) -> PhysAddr {
        self.host.tables.root()
    }

    /// The geometry of every guest's tables: the host's, but 39 bits at most. `None` before
    /// [`init_host`](Self::init_host).
    #[must_use]
    pub fn guest_geometry(&self) -> Option<Stage2Geometry> {
        self.guest_geometry
    }

    /// The root of a guest's tables.
    ///
    /// # Errors
    /// [`OwnershipError::NoSuchVm`].
    pub fn guest_root(&self, vm: VmId) -> Result<PhysAddr, OwnershipError> {
        self.guest(vm).map(|guest| guest.tables.root())
    }

    /// Makes a VM that has no memory.
    ///
    /// # Errors
    /// [`OwnershipError::NoSuchVm`] for an id that no guest can have here, [`OwnershipError::VmExists`],
    /// [`OwnershipError::NoMemory`].
    pub fn create_vm(&mut self, machine: &impl Machine, vm: VmId) -> Result<(), OwnershipError> {
        let missing = OwnershipError::NoSuchVm(vm);
        let geometry = self.guest_geometry.ok_or(missing)?;
        let slot = vm.slot().and_then(|slot| self.guests.get_mut(slot)).ok_or(missing)?;
        if slot.is_some() {
            return Err(OwnershipError::VmExists(vm));
        }
        let tables = Stage2::guest(machine, &mut self.pool, &geometry, vm.vmid()).ok_or(OwnershipError::NoMemory)?;
        *slot = Some(Vm::new(tables));
        machine.publish();
        Ok(())
    }

    /// How many pages the table pool has left.
    #[must_use]
    pub fn free_tables(&self) -> u32 {
        self.pool.available()
    }

    fn guest(&self, vm: VmId) -> Result<&Vm, OwnershipError> {
        let slot = vm.slot().and_then(|slot| self.guests.get(slot));
        slot.and_then(Option::as_ref).ok_or(OwnershipError::NoSuchVm(vm))
    }

    /// A guest that is not being destroyed.
    fn live_guest(&self, vm: VmId) -> Result<&Vm, OwnershipError> {
        self.guest(vm).and_then(|guest| {
            if guest.ending {
                Err(OwnershipError::NoSuchVm(vm))
            } else {
                Ok(guest)
            }
        })
    }

    /// A guest's tables, and the pool beside them.
    fn guest_tables(&mut self, vm: VmId) -> Result<(&mut Stage2, &mut Pool), OwnershipError> {
        let slot = vm.slot().and_then(|slot| self.guests.get_mut(slot));
        let guest = slot.and_then(Option::as_mut).ok_or(OwnershipError::NoSuchVm(vm))?;
        Ok((&mut guest.tables, &mut self.pool))
    }

    /// A VM, the host or a guest that is not being destroyed.
    fn vm(&self, vm: VmId) -> Result<&Vm, OwnershipError> {
        if vm == VmId::HOST {
            Ok(&self.host)
        } else {
            self.live_guest(vm)
        }
    }

    fn vm_mut(&mut self, vm: VmId) -> Result<&mut Vm, OwnershipError> {
        if vm == VmId::HOST {
            return Ok(&mut self.host);
        }
        let slot = vm.slot().and_then(|slot| self.guests.get_mut(slot));
        slot.and_then(Option::as_mut)
            .filter(|guest| !guest.ending)
            .ok_or(OwnershipError::NoSuchVm(vm))
    }
}

/// A range of whole pages that `vm`'s tables reach.
fn checked_range(vm: &Vm, address: u64, pages: u64) -> Result<PageRange<Ipa>, OwnershipError> {
    Ipa::checked(address)
        .and_then(|start| PageRange::new(start, pages).ok())
        .filter(|range| vm.tables.covers(*range))
        .ok_or(OwnershipError::InvalidRange { address, pages })
}
