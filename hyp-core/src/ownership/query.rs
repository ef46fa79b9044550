//! What is where, and the pages that a VM must keep.

use super::lease::{Lease, Phase};
use super::{Ownership, OwnershipError, PINS_PER_VM};
use crate::id::{Handle, VmId};
use crate::machine::Machine;
use crate::stage2::{Entry, Memory, Overlay, OverlayMemory, Owner};
use leasehold_memory_map::{Address, Ipa, PAGE_SIZE, PageRange, PhysAddr};

/// What a page of the host's address space is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum PageState {
    /// RAM of the host's that it can reach.
    Owned,
    /// RAM of the host's that it has given to other masters, or to firmware, by a call to firmware.
    Away,
    /// Registers that it can reach.
    Device,
    /// Nothing that it may reach: no memory, or registers that are hidden or answered by the hypervisor.
    Unmapped,
    /// The hypervisor's.
    Hypervisor,
    /// Lent: the borrower has it or can get it, or has given it back and the host can reclaim it.
    Lent {
        /// The lease.
        handle: Handle,
        /// To whom.
        borrower: VmId,
    },
    /// Taken from the borrower, but not confirmed by TLBs, not scrubbed, or not moved by the memory controller yet: nobody
    /// sees it.
    InTransit {
        /// The lease.
        handle: Handle,
        /// To whom it was lent.
        borrower: VmId,
    },
}

/// How far a lease is, for those who ask.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum LeaseState {
    /// Nobody sees it; it can be retrieved or reclaimed.
    Lent,
    /// The borrower has it at this address.
    Retrieved(Ipa),
    /// Nobody sees it, and it must be scrubbed before anybody can.
    InTransit,
    /// The borrower is gone; it can be reclaimed.
    Ended,
}

/// A lease, for those who ask.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct LeaseInfo {
    /// To whom it is lent.
    pub borrower: VmId,
    /// How many pages it has.
    pub pages: u32,
    /// How far it is.
    pub state: LeaseState,
}

impl LeaseInfo {
    fn of(lease: &Lease) -> Self {
        let state = match lease.phase {
            Phase::Returning | Phase::Undone => LeaseState::InTransit,
            _ if lease.ended => LeaseState::Ended,
            Phase::Lent | Phase::Clean => LeaseState::Lent,
            Phase::Retrieved => LeaseState::Retrieved(lease.ipa),
            Phase::Unconfirmed | Phase::Scrubbing => LeaseState::InTransit,
        };
        Self {
            borrower: lease.borrower,
            pages: lease.pages,
            state,
        }
    }
}

impl<const LEASES: usize, const VMS: usize> Ownership<LEASES, VMS> {
    /// What the host's page at `ipa` is.
    #[must_use]
    pub fn host_page_state(&self, machine: &impl Machine, ipa: Ipa) -> PageState {
        let owner = match self.host.tables.lookup(machine, ipa).0 {
            Entry::Leaf {
                memory: Memory::Ram, ..
            } if self.holds.is_away(ipa.page()) => return PageState::Away,
            Entry::Leaf {
                memory: Memory::Ram, ..
            } => return PageState::Owned,
            Entry::Leaf {
                memory: Memory::Device, ..
            } => return PageState::Device,
            Entry::Invalid { owner, .. } => owner,
            Entry::Table { .. } => Owner::Hypervisor,
        };
        let index = match owner {
            Owner::Nobody => return PageState::Unmapped,
            // A guest's tables alone say that of a page.
            Owner::Hypervisor | Owner::Taken => return PageState::Hypervisor,
            Owner::Lease(index) => index,
        };
        let lease = self.leases.get(index);
        let borrower = lease.borrower;
        match (lease.handle, lease.phase) {
            (None, _) => PageState::Hypervisor,
            (Some(handle), Phase::Unconfirmed | Phase::Scrubbing | Phase::Returning | Phase::Undone) => {
                PageState::InTransit { handle, borrower }
            }
            (Some(handle), Phase::Lent | Phase::Clean | Phase::Retrieved) => PageState::Lent { handle, borrower },
        }
    }

    /// A copy of the host's map, made in `memory`, for one CPU to be on while the host's tables do not change; see
    /// [`Overlay`]. `None` where the map does not fit.
    pub fn overlay(&self, machine: &impl Machine, memory: OverlayMemory) -> Option<Overlay> {
        self.host.tables.overlay(machine, memory)
    }

    /// To whom the host's page at `ipa` is lent, if it is: [`host_page_state`](Self::host_page_state) for who asks often.
    #[inline(always)]
    #[must_use]
    pub fn borrower_at(&self, machine: &impl Machine, ipa: Ipa) -> Option<VmId> {
        let lease = self.host.tables.lease_at(machine, ipa)?;
        Some(self.leases.get(lease).borrower)
    }

    /// The lease that `handle` names.
    ///
    /// # Errors
    /// [`OwnershipError::NoSuchLease`].
    pub fn lease(&self, handle: Handle) -> Result<LeaseInfo, OwnershipError> {
        Ok(LeaseInfo::of(self.leases.get(self.leases.find(handle)?)))
    }

    /// The leases to `borrower`, also those that wait for the owner to reclaim them.
    pub fn leases_of(&self, borrower: VmId) -> impl Iterator<Item = (Handle, LeaseInfo)> {
        self.leases
            .in_use()
            .filter(move |(_, lease)| lease.borrower == borrower)
            .map(|(handle, lease)| (handle, LeaseInfo::of(lease)))
    }

    /// Where the memory is that `vm` reaches at `ipa`: RAM that it can read and write. True for as long as the lock is
    /// held.
    ///
    /// # Errors
    /// [`OwnershipError::NoSuchVm`]; [`OwnershipError::Device`], [`OwnershipError::Hypervisor`] or
    /// [`OwnershipError::NotOwner`] for what it cannot reach; [`OwnershipError::Pinned`] for what other masters have.
    pub fn translate(&self, machine: &impl Machine, vm: VmId, ipa: Ipa) -> Result<PhysAddr, OwnershipError> {
        let (entry, level) = self.vm(vm)?.tables.lookup(machine, ipa);
        self.touchable(vm, ipa)?;
        let address = match entry {
            Entry::Leaf {
                address,
                memory: Memory::Ram,
                ..
            } => address,
            Entry::Leaf {
                memory: Memory::Device, ..
            } => return Err(OwnershipError::Device(ipa)),
            Entry::Invalid {
                owner: Owner::Hypervisor,
                ..
            } => return Err(OwnershipError::Hypervisor(ipa)),
            Entry::Invalid { .. } | Entry::Table { .. } => return Err(OwnershipError::NotOwner(ipa)),
        };
        address
            .checked_add(ipa.get() & (level.size() - 1))
            .ok_or(OwnershipError::NotOwner(ipa))
    }

    /// Copies `len` bytes of the host's memory into a guest's. Neither side may cross a page. Instruction caches still
    /// have what was there: [`Machine::settle`] before the guest runs.
    ///
    /// # Errors
    /// [`OwnershipError::InvalidRange`] with the address whose page `len` (given as pages) does not fit in; else as
    /// [`translate`](Self::translate).
    pub fn load(
        &self,
        machine: &impl Machine,
        guest: VmId,
        to: Ipa,
        from: Ipa,
        len: u64,
    ) -> Result<(), OwnershipError> {
        for address in [to, from] {
            if len == 0 || len > PAGE_SIZE - address.page_offset() {
                return Err(OwnershipError::InvalidRange {
                    address: address.get(),
                    pages: len.div_ceil(PAGE_SIZE),
                });
            }
        }
        self.live_guest(guest)?;
        let target = self.translate(machine, guest, to)?;
        let source = self.translate(machine, VmId::HOST, from)?;
        machine.copy(target, source, len as usize);
        Ok(())
    }

    /// Makes the page at `ipa` one that `vm` keeps, because the hypervisor reads or writes it for the VM. Gives its
    /// physical address, which stays true until [`unpin`](Self::unpin).
    ///
    /// # Errors
    /// As [`translate`](Self::translate); [`OwnershipError::InvalidRange`] for an address within a page;
    /// [`OwnershipError::Pinned`] if it is already, [`OwnershipError::TooManyPins`].
    pub fn pin(&mut self, machine: &impl Machine, vm: VmId, ipa: Ipa) -> Result<PhysAddr, OwnershipError> {
        let page = PageRange::single(ipa).map_err(|_| OwnershipError::InvalidRange {
            address: ipa.get(),
            pages: 1,
        })?;
        let address = self.translate(machine, vm, ipa)?;
        let pins = &mut self.vm_mut(vm)?.pins;
        if pins.contains(&page) {
            return Err(OwnershipError::Pinned(ipa));
        }
        pins.push(page).map_err(|_| OwnershipError::TooManyPins(PINS_PER_VM))?;
        Ok(address)
    }

    /// Lets a pinned page go.
    ///
    /// # Errors
    /// [`OwnershipError::NoSuchVm`]; [`OwnershipError::NotOwner`] if it is not pinned.
    pub fn unpin(&mut self, vm: VmId, ipa: Ipa) -> Result<(), OwnershipError> {
        let pins = &mut self.vm_mut(vm)?.pins;
        let place = pins
            .iter()
            .position(|pin| pin.start() == ipa)
            .ok_or(OwnershipError::NotOwner(ipa))?;
        pins.swap_remove(place);
        Ok(())
    }
}
