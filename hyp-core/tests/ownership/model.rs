//! What each call must do, written as plainly as possible: per page who has it, per lease how far it is.

use crate::cache::Principal;
use crate::machine::Control;
use leasehold_hal::AssignError;
use leasehold_hyp_core::{Handle, OwnershipError as Error, PageState, RANGES_PER_LEASE, SCRUB_STEP_PAGES, Step, VmId};
use leasehold_memory_map::Ipa;
use std::collections::{BTreeMap, BTreeSet};

pub const PAGE: u64 = 4096;

/// What a page was made for at boot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Made {
    Ram,
    Device,
    Hypervisor,
    Nothing,
}

/// How far a lease is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Phase {
    /// Pages left to scrub before it can be retrieved.
    Lent(usize),
    Retrieved(u64),
    /// TLBs have not confirmed.
    Unconfirmed,
    /// Pages left to scrub.
    Scrubbing(usize),
    Clean,
    /// The memory controller has not moved it back.
    Returning,
    /// The memory controller has not undone a lend that failed.
    Undone,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lease {
    pub borrower: VmId,
    pub pages: Vec<u64>,
    /// Those of them that went back before the rest.
    pub taken: BTreeSet<u64>,
    pub phase: Phase,
    pub ended: bool,
    /// Where the borrower had it when it lost it without confirmation.
    pub lingering: bool,
    /// What the borrower lost, and the memory controller has not moved.
    pub between: BTreeSet<u64>,
    /// The memory controller may have moved a page of it.
    pub unsure: bool,
}

#[derive(Clone, Debug, Default)]
pub struct Guest {
    pub ending: bool,
    pub pins: BTreeSet<u64>,
    pub life: u32,
}

/// The model.
#[derive(Clone)]
pub struct Model {
    pub made: fn(u64) -> Made,
    pub limit: u64,
    pub guest_limit: u64,
    pub max_leases: usize,
    pub max_guests: usize,
    pub lent: BTreeMap<u64, Handle>,
    pub leases: BTreeMap<Handle, Lease>,
    pub guests: BTreeMap<VmId, Guest>,
    pub host_pins: BTreeSet<u64>,
    pub stuck: BTreeSet<VmId>,
    /// What the memory controller does, and which pages it keeps from the host's masters.
    pub control: Option<Control>,
    pub moved: BTreeSet<u64>,
    odd: bool,
    pub lives: u32,
}

impl Model {
    pub fn new(made: fn(u64) -> Made, limit: u64, max_leases: usize, max_guests: usize) -> Self {
        Self {
            made,
            limit,
            guest_limit: limit.min(1 << 39),
            max_leases,
            max_guests,
            lent: BTreeMap::new(),
            leases: BTreeMap::new(),
            guests: BTreeMap::new(),
            host_pins: BTreeSet::new(),
            stuck: BTreeSet::new(),
            control: None,
            moved: BTreeSet::new(),
            odd: false,
            lives: 0,
        }
    }

    pub fn principal(&self, vm: VmId) -> Principal {
        let life = if vm == VmId::HOST { 0 } else { self.guests[&vm].life };
        Principal {
            vmid: vm.vmid().get(),
            life,
        }
    }

    fn live(&self, vm: VmId) -> Result<&Guest, Error> {
        self.guests
            .get(&vm)
            .filter(|guest| !guest.ending)
            .ok_or(Error::NoSuchVm(vm))
    }

    pub fn create(&mut self, vm: VmId) -> Result<(), Error> {
        if vm.slot().is_none_or(|slot| slot >= self.max_guests) {
            return Err(Error::NoSuchVm(vm));
        }
        if self.guests.contains_key(&vm) {
            return Err(Error::VmExists(vm));
        }
        self.lives += 1;
        self.guests.insert(
            vm,
            Guest {
                life: self.lives,
                ..Guest::default()
            },
        );
        Ok(())
    }

    /// The pages that a lend takes, in order.
    pub fn lend(&self, lender: VmId, borrower: VmId, ranges: &[(u64, u32)]) -> Result<Vec<u64>, Error> {
        if lender != VmId::HOST {
            return Err(Error::Denied(lender));
        }
        self.live(borrower)?;
        if self.leases.len() == self.max_leases {
            return Err(Error::TooManyLeases(self.max_leases));
        }
        let mut pages = Vec::new();
        for (n, &(address, count)) in ranges.iter().enumerate() {
            let end = address
                .checked_add(u64::from(count) * PAGE)
                .filter(|end| *end <= self.limit);
            if count == 0 || !address.is_multiple_of(PAGE) || end.is_none() {
                return Err(Error::InvalidRange {
                    address,
                    pages: u64::from(count),
                });
            }
            if pages.len() as u64 + u64::from(count) > 1 << 18 {
                return Err(Error::TooManyPages(1 << 18));
            }
            let range: Vec<u64> = (0..u64::from(count)).map(|n| address + n * PAGE).collect();
            if let Some(pinned) = self.host_pins.iter().find(|pin| range.contains(pin)) {
                return Err(Error::Pinned(Ipa::new(*pinned)));
            }
            for page in range {
                let at = Ipa::new(page);
                match (self.made)(page) {
                    Made::Hypervisor => return Err(Error::Hypervisor(at)),
                    Made::Device => return Err(Error::Device(at)),
                    Made::Nothing => return Err(Error::NotOwner(at)),
                    Made::Ram if self.lent.contains_key(&page) => return Err(Error::NotOwner(at)),
                    Made::Ram if pages.contains(&page) => return Err(Error::Overlap(at)),
                    Made::Ram => pages.push(page),
                }
            }
            if n == RANGES_PER_LEASE {
                return Err(Error::TooManyRanges(n));
            }
        }
        if pages.is_empty() {
            return Err(Error::NoRanges);
        }
        if self.stuck.contains(&VmId::HOST) {
            Err(Error::TimedOut(VmId::HOST))
        } else {
            Ok(pages)
        }
    }

    /// The memory controller moves pages.
    fn assign(&mut self, pages: &[u64], away: bool) -> Result<(), Error> {
        let Some(control) = self.control.filter(|_| !pages.is_empty()) else {
            return Ok(());
        };
        // As many ranges as are moved at once. Tests have fewer in a lease that meets trouble.
        let mut pages: Vec<u64> = pages
            .iter()
            .copied()
            .filter(|page| self.moved.contains(page) != away)
            .collect();
        let outcome = match control {
            Control::Works => Ok(()),
            Control::Refuses if pages.is_empty() => Ok(()),
            Control::Refuses => return Err(Error::Controller(AssignError::Refused(-2))),
            Control::Late => {
                let mut mine = self.odd;
                self.odd = !self.odd;
                pages.retain(|_| {
                    mine = !mine;
                    mine
                });
                Err(Error::Controller(AssignError::Late))
            }
        };
        for page in pages {
            if away {
                self.moved.insert(page);
            } else {
                self.moved.remove(&page);
            }
        }
        outcome
    }

    /// The pages that are in a lease still.
    fn left(&self, handle: Handle) -> Vec<u64> {
        let lease = &self.leases[&handle];
        let left = lease.pages.iter().filter(|page| !lease.taken.contains(page));
        left.copied().collect()
    }

    /// Which of some pages are kept from the host's masters, and which are next when the controller is late.
    pub fn moved_in(&self, pages: &[u64]) -> (Vec<bool>, bool) {
        let odd = self.odd && self.control == Some(Control::Late);
        (pages.iter().map(|page| self.moved.contains(page)).collect(), odd)
    }

    /// Whether a lend of before is still to be undone.
    pub fn has_undone(&self) -> bool {
        self.leases.values().any(|lease| lease.phase == Phase::Undone)
    }

    /// A lend that failed is undone, if there is one.
    pub fn undo_some(&mut self) {
        let undone = self.leases.iter().filter(|(_, lease)| lease.phase == Phase::Undone);
        if let Some(handle) = undone
            .map(|(handle, _)| *handle)
            .min_by_key(|handle| handle.raw() & 0xff)
        {
            self.undo(handle);
        }
    }

    fn undo(&mut self, handle: Handle) {
        if self.assign(&self.left(handle), false).is_ok() {
            self.leases.remove(&handle);
            self.lent.retain(|_, of| *of != handle);
        }
    }

    /// The last step of a lend, whose pages are gone from the owner: it is recorded under `handle`, or undone.
    pub fn hand_over(&mut self, handle: Handle, borrower: VmId, pages: Vec<u64>) -> Result<(), Error> {
        self.lent(handle, borrower, pages.clone());
        let moved = self.assign(&pages, true);
        if moved.is_err() {
            let lease = self.leases.get_mut(&handle).expect("just recorded");
            lease.phase = Phase::Undone;
            lease.ended = true;
            self.undo(handle);
        }
        moved
    }

    /// Records a lend that was done.
    pub fn lent(&mut self, handle: Handle, borrower: VmId, pages: Vec<u64>) {
        assert_eq!(handle.raw() >> 63, 1);
        self.lent.extend(pages.iter().map(|page| (*page, handle)));
        let phase = Phase::Lent(pages.len());
        let lease = Lease {
            borrower,
            pages,
            taken: BTreeSet::new(),
            phase,
            ended: false,
            lingering: false,
            between: BTreeSet::new(),
            unsure: false,
        };
        assert!(
            self.leases.insert(handle, lease).is_none(),
            "a handle is not used twice"
        );
    }

    fn cleanse(&mut self, handle: Handle) -> Result<Step, Error> {
        let lease = self.leases.get_mut(&handle).expect("found before");
        if lease.phase == Phase::Unconfirmed {
            if self.stuck.contains(&lease.borrower) {
                return Err(Error::TimedOut(lease.borrower));
            }
            lease.lingering = false;
            lease.phase = Phase::Scrubbing(lease.pages.len());
        }
        let (Phase::Lent(left) | Phase::Scrubbing(left)) = &mut lease.phase else {
            return Ok(Step::Done);
        };
        *left = left.saturating_sub(SCRUB_STEP_PAGES);
        if *left > 0 {
            return Ok(Step::Again);
        }
        lease.phase = Phase::Clean;
        Ok(Step::Done)
    }

    fn vacant(&self, vm: VmId, ipa: u64, pages: u64) -> Result<(), Error> {
        let map = self.guest_view(vm);
        match (0..pages).map(|n| ipa + n * PAGE).find(|page| map.contains_key(page)) {
            Some(page) => Err(Error::Occupied(Ipa::new(page))),
            None => Ok(()),
        }
    }

    pub fn retrieve(&mut self, by: VmId, handle: Handle, ipa: u64) -> Result<Step, Error> {
        let lease = self.leases.get(&handle).ok_or(Error::NoSuchLease(handle))?;
        if lease.borrower != by || lease.ended {
            return Err(Error::NotParty(by));
        }
        if matches!(lease.phase, Phase::Retrieved(_) | Phase::Returning | Phase::Undone) {
            return Err(Error::WrongState(handle));
        }
        self.live(by)?;
        let count = lease.pages.len() as u64;
        let end = ipa.checked_add(count * PAGE).filter(|end| *end <= self.guest_limit);
        if !ipa.is_multiple_of(PAGE) || end.is_none() {
            return Err(Error::InvalidRange {
                address: ipa,
                pages: count,
            });
        }
        let fresh = match lease.phase {
            Phase::Lent(left) | Phase::Scrubbing(left) => left == lease.pages.len(),
            _ => true,
        };
        if fresh {
            self.vacant(by, ipa, count)?;
        }
        if self.leases[&handle].unsure {
            self.assign(&self.left(handle), true)?;
            let lease = self.leases.get_mut(&handle).expect("found before");
            lease.unsure = false;
            let all = lease.pages.len();
            match &mut lease.phase {
                Phase::Lent(left) | Phase::Scrubbing(left) => *left = all,
                phase @ Phase::Clean => *phase = Phase::Scrubbing(all),
                _ => {}
            }
        }
        if self.cleanse(handle)? == Step::Done {
            self.vacant(by, ipa, count)?;
            self.leases.get_mut(&handle).expect("found before").phase = Phase::Retrieved(ipa);
            return Ok(Step::Done);
        }
        Ok(Step::Again)
    }

    fn withdraw(&mut self, handle: Handle) -> Result<(), Error> {
        let lease = self.leases.get_mut(&handle).expect("found before");
        lease.between.clear();
        if self.stuck.contains(&lease.borrower) {
            lease.phase = Phase::Unconfirmed;
            lease.lingering = true;
            return Err(Error::TimedOut(lease.borrower));
        }
        lease.phase = Phase::Scrubbing(lease.pages.len());
        Ok(())
    }

    pub fn relinquish(&mut self, by: VmId, handle: Handle) -> Result<Step, Error> {
        let lease = self.leases.get(&handle).ok_or(Error::NoSuchLease(handle))?;
        if lease.borrower != by || lease.ended {
            return Err(Error::NotParty(by));
        }
        match lease.phase {
            Phase::Lent(_) | Phase::Clean | Phase::Returning | Phase::Undone => {
                return Err(Error::WrongState(handle));
            }
            Phase::Retrieved(ipa) => {
                let end = ipa + lease.pages.len() as u64 * PAGE;
                if let Some(pin) = self.guests[&by].pins.range(ipa..end).next() {
                    return Err(Error::Pinned(Ipa::new(*pin)));
                }
                self.withdraw(handle)?;
            }
            Phase::Unconfirmed | Phase::Scrubbing(_) => {}
        }
        self.cleanse(handle)
    }

    pub fn reclaim(&mut self, by: VmId, handle: Handle) -> Result<Step, Error> {
        let lease = self.leases.get(&handle).ok_or(Error::NoSuchLease(handle))?;
        if by != VmId::HOST {
            return Err(Error::NotParty(by));
        }
        let phase = lease.phase;
        if matches!(phase, Phase::Retrieved(_)) {
            return Err(Error::WrongState(handle));
        }
        let dirty = matches!(phase, Phase::Unconfirmed | Phase::Scrubbing(_));
        if dirty && self.cleanse(handle)? == Step::Again {
            return Ok(Step::Again);
        }
        if let Err(error) = self.assign(&self.left(handle), false) {
            let lease = self.leases.get_mut(&handle).expect("found before");
            if lease.phase != Phase::Undone {
                lease.phase = Phase::Returning;
            }
            return Err(error);
        }
        self.leases.remove(&handle);
        self.lent.retain(|_, of| *of != handle);
        self.undo_some();
        Ok(Step::Done)
    }

    /// `choice` is the lease that the call takes care of, if there is one left.
    pub fn destroy(&mut self, vm: VmId, choice: Option<Handle>) -> Result<Step, Error> {
        let guest = self.guests.get_mut(&vm).ok_or(Error::NoSuchVm(vm))?;
        guest.ending = true;
        guest.pins.clear();
        let Some(handle) = choice else {
            if self.stuck.contains(&vm) {
                return Err(Error::TimedOut(vm));
            }
            self.guests.remove(&vm);
            return Ok(Step::Done);
        };
        let untouched = match self.leases[&handle].phase {
            Phase::Retrieved(_) => {
                self.withdraw(handle)?;
                false
            }
            Phase::Lent(_) | Phase::Returning | Phase::Undone => true,
            _ => false,
        };
        if untouched || self.cleanse(handle)? == Step::Done {
            self.leases.get_mut(&handle).expect("chosen among these").ended = true;
        }
        Ok(Step::Again)
    }

    /// The owner gets one page back, whatever is with the rest.
    pub fn take(&mut self, page: u64) -> Result<(), Error> {
        let page = page & !0xfff;
        let handle = *self.lent.get(&page).ok_or(Error::NotOwner(Ipa::new(page)))?;
        let lease = self.leases.get_mut(&handle).expect("lent pages name a lease");
        let stuck = self.stuck.contains(&lease.borrower);
        match lease.phase {
            Phase::Retrieved(ipa) => {
                let n = lease.pages.iter().position(|of| *of == page).expect("it is lent by it");
                let at = ipa + n as u64 * PAGE;
                if self.guests[&lease.borrower].pins.contains(&at) {
                    return Err(Error::Pinned(Ipa::new(at)));
                }
                if stuck && !lease.between.contains(&page) {
                    return Err(Error::TimedOut(lease.borrower));
                }
                lease.between.insert(page);
            }
            Phase::Unconfirmed if stuck => return Err(Error::TimedOut(lease.borrower)),
            Phase::Unconfirmed => {
                lease.lingering = false;
                lease.phase = Phase::Scrubbing(lease.pages.len());
            }
            Phase::Lent(_) | Phase::Scrubbing(_) | Phase::Clean | Phase::Returning | Phase::Undone => {}
        }
        let moved = self.assign(&[page], false);
        let lease = self.leases.get_mut(&handle).expect("found before");
        lease.unsure |= moved.is_err();
        moved?;
        lease.between.remove(&page);
        lease.taken.insert(page);
        self.lent.remove(&page);
        Ok(())
    }

    /// The leases that a VM has not been relieved of.
    pub fn leases_of(&self, vm: VmId) -> Vec<Handle> {
        let of = |(handle, lease): (&Handle, &Lease)| (lease.borrower == vm && !lease.ended).then_some(*handle);
        self.leases.iter().filter_map(of).collect()
    }

    /// IPA to PA of all that a guest has.
    pub fn guest_map(&self, vm: VmId) -> BTreeMap<u64, u64> {
        let view = self.guest_view(vm).into_iter();
        view.filter_map(|(ipa, page)| Some((ipa, page?))).collect()
    }

    /// IPA to PA of all that a guest has, and nothing where it finds a page taken.
    pub fn guest_view(&self, vm: VmId) -> BTreeMap<u64, Option<u64>> {
        let mut map = BTreeMap::new();
        for lease in self.leases.values().filter(|lease| lease.borrower == vm) {
            if let Phase::Retrieved(ipa) = lease.phase {
                map.extend(lease.pages.iter().enumerate().map(|(n, page)| {
                    (
                        ipa + n as u64 * PAGE,
                        Some(*page).filter(|page| !lease.taken.contains(page) && !lease.between.contains(page)),
                    )
                }));
            }
        }
        map
    }

    /// Who may reach a page of RAM: its holder, and whoever had it and may still have a translation.
    pub fn holders(&self, page: u64) -> BTreeSet<VmId> {
        let Some(handle) = self.lent.get(&page) else {
            return BTreeSet::from([VmId::HOST]);
        };
        let lease = &self.leases[handle];
        let has = (matches!(lease.phase, Phase::Retrieved(_)) && !lease.between.contains(&page)) || lease.lingering;
        if has {
            BTreeSet::from([lease.borrower])
        } else {
            BTreeSet::new()
        }
    }

    /// What the host is to be told about a page.
    pub fn page_state(&self, page: u64) -> PageState {
        if let Some(handle) = self.lent.get(&page) {
            let (handle, lease) = (*handle, &self.leases[handle]);
            let borrower = lease.borrower;
            return match lease.phase {
                Phase::Unconfirmed | Phase::Scrubbing(_) | Phase::Returning | Phase::Undone => {
                    PageState::InTransit { handle, borrower }
                }
                _ => PageState::Lent { handle, borrower },
            };
        }
        match (self.made)(page) {
            Made::Ram => PageState::Owned,
            Made::Device => PageState::Device,
            Made::Hypervisor => PageState::Hypervisor,
            Made::Nothing => PageState::Unmapped,
        }
    }

    pub fn translate(&self, vm: VmId, ipa: u64) -> Result<u64, Error> {
        let at = Ipa::new(ipa);
        if vm == VmId::HOST {
            return match self.page_state(ipa & !0xfff) {
                PageState::Owned => Ok(ipa),
                PageState::Device => Err(Error::Device(at)),
                PageState::Hypervisor => Err(Error::Hypervisor(at)),
                _ => Err(Error::NotOwner(at)),
            };
        }
        self.live(vm)?;
        let page = self.guest_map(vm).get(&(ipa & !0xfff)).copied();
        page.map(|page| page + (ipa & 0xfff)).ok_or(Error::NotOwner(at))
    }

    pub fn pin(&mut self, vm: VmId, ipa: u64) -> Result<u64, Error> {
        if !ipa.is_multiple_of(PAGE) {
            return Err(Error::InvalidRange { address: ipa, pages: 1 });
        }
        let address = self.translate(vm, ipa)?;
        let pins = match self.guests.get_mut(&vm) {
            Some(guest) => &mut guest.pins,
            None => &mut self.host_pins,
        };
        if pins.contains(&ipa) {
            return Err(Error::Pinned(Ipa::new(ipa)));
        }
        if pins.len() == leasehold_hyp_core::PINS_PER_VM {
            return Err(Error::TooManyPins(pins.len()));
        }
        pins.insert(ipa);
        Ok(address)
    }

    pub fn unpin(&mut self, vm: VmId, ipa: u64) -> Result<(), Error> {
        let pins = if vm == VmId::HOST {
            &mut self.host_pins
        } else {
            self.live(vm)?;
            &mut self.guests.get_mut(&vm).expect("just found").pins
        };
        if pins.remove(&ipa) {
            Ok(())
        } else {
            Err(Error::NotOwner(Ipa::new(ipa)))
        }
    }
}
