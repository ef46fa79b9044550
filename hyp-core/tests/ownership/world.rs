//! The real thing and the model side by side on a machine, and all that must hold after every call.

use crate::cache::{Principal, Value};
use crate::machine::{Control, Sim};
use crate::model::{Made, Model, PAGE, Phase};
use crate::setting::{
    BLOCK, Call, Config, DEVICE_BLOCK, DEVICE_PAGE, GUESTS, HYPERVISOR, HYPERVISOR_END, LEASES, POOL, POOL_PAGES, RAM,
    RAM_BLOCK, RAM_END, RAM_PAGE, UART, WINDOW, made,
};
use crate::walker::{self, Leaf};
use leasehold_hal::{MemoryAttributes, Stage2Geometry};
use leasehold_hyp_core::{
    Constituent, GuestPage, Handle, HostMap, Layout, LeaseState, Ownership, OwnershipError as Error, PageState, Step,
    VmId,
};
use leasehold_memory_map::{AddrRange, Address, Ipa, PageRange, PhysAddr, PhysRange};
use std::collections::{BTreeMap, BTreeSet};

/// What must not be, or did not happen.
pub type Violation = String;

macro_rules! ensure {
    ($condition:expr, $($message:tt)*) => {
        if !$condition {
            return Err(format!($($message)*));
        }
    };
}

/// Everything.
pub struct World {
    pub sim: Sim,
    pub real: Ownership<LEASES, GUESTS>,
    pub model: Model,
    /// Every handle there ever was, and one that never was.
    pub handles: Vec<Handle>,
    /// VMs that run or have run.
    ran: BTreeSet<VmId>,
    config: Config,
    /// As of the last call, unless that was replayed.
    now: Option<Tables>,
}

/// Names a lease that is gone before anybody could see it.
const NOBODYS: Handle = Handle::from_raw(1 << 63 | 0xff);

/// The contents of all tables by address, and how many tables are left.
pub type Tables = (BTreeMap<u64, Vec<u64>>, u32);

fn phys(start: u64, end: u64) -> PhysRange {
    AddrRange::new(PhysAddr::new(start), end - start).unwrap()
}

impl World {
    pub fn new(layout: Layout) -> Self {
        Self::with(Config::new(layout)).unwrap()
    }

    /// A machine that has booted: the host runs.
    pub fn with(config: Config) -> Result<Self, Error> {
        let pool = PageRange::new(PhysAddr::new(POOL), config.pool_pages).unwrap();
        let sim = Sim::new(POOL..pool.end().get(), config.omission);
        let mut real = Ownership::new();
        let map = HostMap {
            pool,
            geometry: Stage2Geometry::new(config.ipa_bits, MemoryAttributes::Combine).unwrap(),
            layout: config.layout,
            ram: &[phys(RAM, RAM + BLOCK + PAGE), phys(RAM + BLOCK + PAGE, RAM_END)],
            devices: &[phys(UART, UART + PAGE), phys(WINDOW, WINDOW + BLOCK)],
            hypervisor: &[phys(HYPERVISOR, HYPERVISOR_END)],
        };
        real.init_host(&sim, &map)?;
        let host = Principal { vmid: 1, life: 0 };
        for page in config.pages.iter().filter(|page| made(**page) == Made::Ram) {
            sim.follow(*page, Value::Secret(host));
        }
        sim.watch(1, config.pages.clone());
        sim.run(host, real.host_root().get());
        if config.controlled {
            sim.control(Control::Works);
        }
        let mut model = Model::new(made, 1 << config.ipa_bits, LEASES, GUESTS);
        model.control = config.controlled.then_some(Control::Works);
        Ok(Self {
            sim,
            real,
            model,
            handles: vec![Handle::from_raw(0x1234)],
            ran: BTreeSet::from([VmId::HOST]),
            config,
            now: None,
        })
    }

    /// Makes a call on both sides and looks at nothing.
    pub fn replay(&mut self, call: &Call) {
        self.sim.keep(BTreeSet::new(), self.config.layout == Layout::Blocks);
        _ = self.both(call);
        self.now = None;
    }

    /// Makes a call on both sides, compares what they say, and checks everything.
    pub fn call(&mut self, call: &Call) -> Result<Outcome, Violation> {
        let before = self.now.take().unwrap_or_else(|| self.tables());
        let model_before = self.model.clone();
        let undone = model_before.has_undone();
        let lapsed = self.sim.has_lapsed(1);
        self.sim
            .keep(self.untouched(call), self.config.layout == Layout::Blocks);
        _ = self.sim.scrubbed();
        let (real, mut model) = self.both(call);
        let mut scrubbed = self.sim.scrubbed().into_iter();
        let lost = scrubbed.find(|page| !model_before.lent.contains_key(page));
        ensure!(lost.is_none(), "{call:x?} scrubs {lost:x?}, which is the host's");
        if real == Err(Error::NoMemory) && self.config.pool_pages < POOL_PAGES {
            self.model = model_before;
            self.nothing_retrieved(call)?;
            model = real;
        }
        ensure!(same(&real, &model), "{call:x?}: {real:x?}, should be {model:x?}");
        let changes_on_error = matches!(
            call,
            Call::Relinquish { .. } | Call::Reclaim { .. } | Call::Destroy(_) | Call::Take { .. }
        ) || undone
            || self.model.has_undone();
        let after = self.tables();
        if real.is_err() && !changes_on_error {
            ensure!(
                after.0 == before.0,
                "{call:x?} was refused with {real:x?} but changed a table"
            );
            // Tables whose confirmation ran out before may be kept on, or come back.
            let kept = lapsed || self.model.stuck.contains(&VmId::HOST);
            ensure!(
                after.1 == before.1 || kept,
                "{call:x?} was refused but {} tables became {}",
                before.1,
                after.1
            );
        }
        let unchanged = real.is_err() && after == before;
        self.now = Some(after);
        self.check(unchanged)
            .map_err(|violation| format!("after {call:x?} -> {real:x?}: {violation}"))?;
        Ok(real)
    }

    fn both(&mut self, call: &Call) -> (Outcome, Outcome) {
        let (sim, real, model) = (&self.sim, &mut self.real, &mut self.model);
        let done = |step: Step| {
            if step == Step::Done {
                Answer::Done
            } else {
                Answer::Again
            }
        };
        match call {
            Call::Create(vm) => {
                let outcome = real.create_vm(sim, *vm);
                sim.watch(vm.vmid().get(), self.config.guest_pages.clone());
                (outcome.map(|()| Answer::Done), model.create(*vm).map(|()| Answer::Done))
            }
            Call::Start(vm) => {
                if let Ok(root) = real.guest_root(*vm) {
                    // What the call that starts a guest does.
                    leasehold_hyp_core::Machine::settle(sim);
                    sim.run(model.principal(*vm), root.get());
                    self.ran.insert(*vm);
                }
                (Ok(Answer::Done), Ok(Answer::Done))
            }
            Call::Destroy(vm) => {
                if *vm != VmId::HOST {
                    sim.halt(vm.vmid().get());
                }
                let choice = model
                    .leases_of(*vm)
                    .into_iter()
                    .min_by_key(|handle| handle.raw() & 0xff);
                let outcome = real.destroy_vm(sim, *vm).map(done);
                if outcome == Ok(Answer::Done) {
                    self.ran.remove(vm);
                }
                (outcome, model.destroy(*vm, choice).map(done))
            }
            Call::Lend { by, to, ranges } => {
                let constituents = ranges.iter().map(|&(address, pages)| Constituent { address, pages });
                let outcome = real.lend(sim, *by, *to, constituents);
                if *by == VmId::HOST && model.guests.get(to).is_some_and(|guest| !guest.ending) {
                    model.undo_some();
                }
                let mut expected = model.lend(*by, *to, ranges);
                // A lend that the memory controller has failed has a handle, which nobody is told.
                let unnamed = |page: &u64| match real.host_page_state(sim, Ipa::new(*page)) {
                    PageState::InTransit { handle, .. } => handle,
                    _ => NOBODYS,
                };
                if let Ok(pages) = expected.clone() {
                    let handle = outcome.unwrap_or_else(|_| unnamed(&pages[0]));
                    assert!(!self.handles.contains(&handle), "a handle names one lease, ever");
                    expected = model.hand_over(handle, *to, pages.clone()).map(|()| pages);
                    if outcome.is_ok() {
                        self.handles.push(handle);
                    }
                }
                (outcome.map(|_| Answer::Done), expected.map(|_| Answer::Done))
            }
            Call::Retrieve { by, lease, ipa } => {
                let handle = self.handles[lease % self.handles.len()];
                let outcome = real.retrieve(sim, *by, handle, Ipa::new(*ipa));
                (outcome.map(done), model.retrieve(*by, handle, *ipa).map(done))
            }
            Call::Relinquish { by, lease } => {
                let handle = self.handles[lease % self.handles.len()];
                (
                    real.relinquish(sim, *by, handle).map(done),
                    model.relinquish(*by, handle).map(done),
                )
            }
            Call::Reclaim { by, lease } => {
                let handle = self.handles[lease % self.handles.len()];
                (
                    real.reclaim(sim, *by, handle).map(done),
                    model.reclaim(*by, handle).map(done),
                )
            }
            Call::Take { page } => {
                let outcome = real.take(sim, Ipa::new(*page));
                (outcome.map(|()| Answer::Done), model.take(*page).map(|()| Answer::Done))
            }
            Call::Pin { by, ipa } => {
                let outcome = real.pin(sim, *by, Ipa::new(*ipa));
                let at = |address| Answer::At(address);
                (outcome.map(|address| at(address.get())), model.pin(*by, *ipa).map(at))
            }
            Call::Unpin { by, ipa } => {
                let outcome = real.unpin(*by, Ipa::new(*ipa));
                (
                    outcome.map(|()| Answer::Done),
                    model.unpin(*by, *ipa).map(|()| Answer::Done),
                )
            }
            Call::Load { guest, to, from } => {
                if model.guests.contains_key(guest) {
                    sim.loading(model.principal(*guest));
                }
                let outcome = real.load(sim, *guest, Ipa::new(*to), Ipa::new(*from), PAGE);
                let unaligned = [*to, *from].into_iter().find(|address| !address.is_multiple_of(PAGE));
                let expected = if let Some(address) = unaligned {
                    Err(Error::InvalidRange { address, pages: 1 })
                } else if *guest == VmId::HOST {
                    Err(Error::NoSuchVm(*guest))
                } else {
                    model
                        .translate(*guest, *to)
                        .and_then(|_| model.translate(VmId::HOST, *from))
                };
                (outcome.map(|()| Answer::Done), expected.map(|_| Answer::Done))
            }
            Call::Control(control) => {
                sim.control(*control);
                model.control = Some(*control);
                (Ok(Answer::Done), Ok(Answer::Done))
            }
            Call::Stick { vm, stuck } => {
                sim.stick(vm.vmid().get(), *stuck);
                if *stuck {
                    model.stuck.insert(*vm)
                } else {
                    model.stuck.remove(vm)
                };
                (Ok(Answer::Done), Ok(Answer::Done))
            }
        }
    }

    /// The host's pages that are none of a call's business.
    fn untouched(&self, call: &Call) -> BTreeSet<u64> {
        let own = |page: &u64| made(*page) == Made::Ram && !self.model.lent.contains_key(page);
        let mut pages: BTreeSet<_> = self.config.pages.iter().copied().filter(own).collect();
        // A lend that failed may be undone before this one.
        let mut model = self.model.clone();
        model.undo_some();
        if let Call::Lend { by, to, ranges } = call
            && matches!(model.lend(*by, *to, ranges), Ok(_) | Err(Error::TimedOut(_)))
        {
            for &(start, count) in ranges {
                pages.retain(|page| *page < start || *page >= start + u64::from(count) * PAGE);
            }
        }
        pages
    }

    /// The pool was empty: a lease that was to be retrieved may have been scrubbed, and may have to be once more.
    fn nothing_retrieved(&mut self, call: &Call) -> Result<(), Violation> {
        if let Call::Retrieve { lease, .. } = call {
            let handle = self.handles[lease % self.handles.len()];
            let state = self.real.lease(handle).map_err(|error| format!("{error:?}"))?.state;
            let lease = self.model.leases.get_mut(&handle).ok_or("no such lease")?;
            lease.phase = match state {
                LeaseState::Lent => Phase::Clean,
                LeaseState::InTransit => Phase::Scrubbing(lease.pages.len()),
                _ => return Err(format!("{call:x?} failed, and left {state:x?}")),
            };
        }
        Ok(())
    }

    /// All that must hold between calls. Tables that have not changed were looked at before.
    fn check(&self, unchanged: bool) -> Result<(), Violation> {
        if !unchanged {
            self.check_tables()?;
        }
        let broken = self.sim.broken();
        ensure!(broken.is_empty(), "{broken:?}");
        self.check_tlbs()?;
        self.check_contents()?;
        if self.config.controlled {
            for page in &self.config.pages {
                let (real, model) = (self.sim.is_moved(*page), self.model.moved.contains(page));
                ensure!(
                    real == model,
                    "{page:#x} is kept from masters: {real}, should be {model}"
                );
            }
        }
        let mixed = self.sim.mixed();
        ensure!(mixed.is_none(), "a TLB holds entries of two sizes for {mixed:x?}");

        for &page in &self.config.pages {
            let (real, model) = (
                self.real.host_page_state(&self.sim, Ipa::new(page + 8)),
                self.model.page_state(page),
            );
            ensure!(real == model, "{page:#x} is {real:x?}, should be {model:x?}");
        }
        Ok(())
    }

    fn bits(&self) -> u32 {
        u32::from(self.config.ipa_bits)
    }

    fn walk(&self, root: u64, bits: u32) -> (Vec<Leaf>, Vec<u64>) {
        walker::walk_all(&|table, index| self.sim.entry(table, index), root, bits)
    }

    /// Walks every table: the maps are the model's, entries are as they should be, and no page is in two maps.
    fn check_tables(&self) -> Result<(), Violation> {
        let (leaves, mut tables) = self.walk(self.real.host_root().get(), self.bits());
        let uncleaned = self.sim.uncleaned(&tables);
        ensure!(uncleaned.is_none(), "not cleaned: {uncleaned:x?}");
        let mut host = Vec::new();
        for leaf in leaves {
            ensure!(leaf.ipa == leaf.pa, "{leaf:x?} is no identity");
            let kind = (made(leaf.pa), leaf.size == PAGE);
            let attributes = match kind {
                (Made::Device, true) => DEVICE_PAGE,
                (Made::Device, false) => DEVICE_BLOCK,
                (_, true) => RAM_PAGE,
                (_, false) => RAM_BLOCK,
            };
            ensure!(leaf.attributes == attributes, "{leaf:x?} should have {attributes:#x}");
            host.extend((0..leaf.size / PAGE).map(|n| leaf.pa + n * PAGE));
        }
        let windows = [(UART, UART + PAGE), (WINDOW, WINDOW + BLOCK), (RAM, RAM_END)];
        let all = windows
            .into_iter()
            .flat_map(|(start, end)| (start..end).step_by(PAGE as usize));
        let own = |page: &u64| made(*page) != Made::Hypervisor && !self.model.lent.contains_key(page);
        ensure!(
            host == all.filter(own).collect::<Vec<_>>(),
            "the host's map is not what it owns"
        );
        let mut seen = BTreeSet::new();
        for vm in self.model.guests.keys() {
            let root = self.real.guest_root(*vm).map_err(|error| format!("{error:?}"))?;
            let (leaves, more) = self.walk(root.get(), self.bits().min(39));
            tables.extend(more);
            let mut map = BTreeMap::new();
            for leaf in leaves {
                let attributes = if leaf.size == PAGE { RAM_PAGE } else { RAM_BLOCK };
                ensure!(leaf.attributes == attributes, "{leaf:x?} should have {attributes:#x}");
                map.extend((0..leaf.size / PAGE).map(|n| (leaf.ipa + n * PAGE, leaf.pa + n * PAGE)));
            }
            ensure!(map == self.model.guest_map(*vm), "the map of {vm:?} is not what it has");
            for (ipa, page) in self.model.guest_view(*vm) {
                let real = self.real.guest_page(&self.sim, *vm, Ipa::new(ipa));
                let lives = !self.model.guests[vm].ending;
                let model = if page.is_some() {
                    GuestPage::Mapped
                } else {
                    GuestPage::Taken
                };
                ensure!(
                    real == model || !lives,
                    "{vm:?} has {real:?} at {ipa:#x}, should have {model:?}"
                );
            }
            for page in map.into_values() {
                ensure!(made(page) == Made::Ram, "{vm:?} reaches {page:#x}");
                let elsewhere = host.binary_search(&page).is_ok() || !seen.insert(page);
                ensure!(!elsewhere, "{page:#x} is in two maps");
            }
        }
        let distinct: BTreeSet<_> = tables.iter().collect();
        ensure!(distinct.len() == tables.len(), "a table is in two trees");
        Ok(())
    }

    /// No TLB leads anyone to what is not theirs.
    fn check_tlbs(&self) -> Result<(), Violation> {
        for (vmid, page) in self.sim.reach() {
            let vm = VmId::from_endpoint(u16::from(vmid)).ok_or("a VMID of no VM")?;
            let allowed = match made(page) {
                Made::Ram => self.model.holders(page).contains(&vm),
                Made::Device => vm == VmId::HOST,
                Made::Hypervisor | Made::Nothing => false,
            };
            ensure!(
                allowed,
                "a TLB leads {vm:?} to {page:#x}, which is {:x?}",
                self.model.page_state(page)
            );
        }
        Ok(())
    }

    /// Nobody sees another's bytes, and who has not run sees just what was put there for it.
    fn check_contents(&self) -> Result<(), Violation> {
        for &page in &self.config.pages {
            let Some(line) = self.sim.line(page) else { continue };
            let lease = self.model.lent.get(&page).map(|handle| &self.model.leases[handle]);
            let holder = match lease {
                None => VmId::HOST,
                Some(lease) if lease.between.contains(&page) => continue,
                Some(lease) if matches!(lease.phase, Phase::Retrieved(_)) => lease.borrower,
                Some(lease) => {
                    let clean =
                        lease.phase != Phase::Clean || lease.unsure || line.reads() == BTreeSet::from([Value::Zero]);
                    ensure!(clean, "{page:#x} is given back with {line:?}");
                    continue;
                }
            };
            let me = self.model.principal(holder);
            for value in line.visible() {
                ensure!(value.is_of(me), "{holder:?} sees {value:?} at {page:#x}");
            }
            let certain = self.ran.contains(&holder) || line.reads().len() == 1;
            ensure!(
                certain,
                "{holder:?} has not run, but what it will read at {page:#x} is not certain: {line:?}"
            );
        }
        // Not now, but for a moment during the call.
        let glimpsed = self.sim.glimpsed();
        ensure!(glimpsed.is_none(), "somebody saw another's bytes: {glimpsed:x?}");
        Ok(())
    }

    /// What all trees consist of, and how many tables are left.
    pub fn tables(&self) -> Tables {
        let (_, mut tables) = self.walk(self.real.host_root().get(), self.bits());
        for vm in self.model.guests.keys() {
            if let Ok(root) = self.real.guest_root(*vm) {
                tables.extend(self.walk(root.get(), self.bits().min(39)).1);
            }
        }
        let contents = tables.into_iter().map(|table| (table, self.sim.table(table)));
        (contents.collect(), self.real.free_tables())
    }

    /// A lease and back, if there is memory for that, so that nothing waits for a confirmation any more.
    fn one_more_lease(&mut self) -> Result<(), Violation> {
        let vm = VmId::guest(0).unwrap();
        let lend = Call::Lend {
            by: VmId::HOST,
            to: vm,
            ranges: vec![(RAM, 1)],
        };
        let tight = self.config.pool_pages < POOL_PAGES;
        for call in [Call::Create(vm), lend] {
            let outcome = self.call(&call)?;
            let full = tight && outcome == Err(Error::NoMemory);
            ensure!(full || outcome == Ok(Answer::Done), "{call:x?}: {outcome:?}");
            if full {
                break;
            }
        }
        _ = self.call(&Call::Reclaim {
            by: VmId::HOST,
            lease: self.handles.len() - 1,
        })?;
        _ = self.call(&Call::Destroy(vm))?;
        Ok(())
    }

    /// Lends that come to nothing, after which those are undone that failed before.
    fn undo_all(&mut self) -> Result<(), Violation> {
        let vm = VmId::guest(0).unwrap();
        let nothing = Call::Lend {
            by: VmId::HOST,
            to: vm,
            ranges: Vec::new(),
        };
        if self.model.has_undone() {
            _ = self.call(&Call::Create(vm))?;
            for _ in 0..LEASES {
                _ = self.call(&nothing)?;
            }
            _ = self.call(&Call::Destroy(vm))?;
        }
        Ok(())
    }

    /// Ends everything in the ordinary way: all is as it was at boot.
    pub fn wind_up(&mut self) -> Result<(), Violation> {
        for vm in [VmId::HOST].into_iter().chain((0..GUESTS).filter_map(VmId::guest)) {
            _ = self.call(&Call::Stick { vm, stuck: false })?;
        }
        if self.config.controlled {
            _ = self.call(&Call::Control(Control::Works))?;
        }
        for vm in self.model.guests.keys().copied().collect::<Vec<_>>() {
            while self.call(&Call::Destroy(vm))? == Ok(Answer::Again) {}
        }
        self.undo_all()?;
        for lease in 0..self.handles.len() {
            while self.call(&Call::Reclaim { by: VmId::HOST, lease })? == Ok(Answer::Again) {}
        }
        ensure!(
            self.model.leases.is_empty() && self.model.lent.is_empty(),
            "a lease is left"
        );
        for ipa in self.model.host_pins.clone() {
            _ = self.call(&Call::Unpin { by: VmId::HOST, ipa })?;
        }
        self.one_more_lease()?;
        let boot = Self::with(self.config.clone())
            .map_err(|error| format!("{error:?}"))?
            .tables();
        let end = self.tables();
        ensure!(end.1 == boot.1, "{} tables were left at boot, {} now", boot.1, end.1);
        ensure!(end.0 == boot.0, "tables are not as they were at boot");
        Ok(())
    }
}

/// What a call says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    Done,
    Again,
    At(u64),
}

/// How a call ends.
pub type Outcome = Result<Answer, Error>;

/// Which of several pinned pages is named does not matter.
fn same(real: &Outcome, model: &Outcome) -> bool {
    matches!((real, model), (Err(Error::Pinned(_)), Err(Error::Pinned(_)))) || real == model
}
