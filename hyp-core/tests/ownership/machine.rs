//! A machine that acts as badly as the architecture lets it.
//!
//! TLBs are the sets of all translations that they may hold: whatever a walk could have found at any moment, from the
//! root or from a cached table, stays until it was invalidated *and* that was waited for. Memory likewise (see
//! [`cache`](crate::cache)). Nothing here is random: the worst machine is always the one that is looked at.

use crate::cache::{Line, Principal, Value};
use crate::walker;
use leasehold_hal::{AssignError, MemoryOwner, Vmid};
use leasehold_hyp_core::{Machine, SyncError};
use leasehold_memory_map::{Address, Ipa, PageRange, PhysAddr};
use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// A thing that a machine, or whoever drives it, leaves out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Omission {
    Invalidate,
    InvalidateAll,
    Sync,
    /// The VMID-wide stage-1 step behind the invalidation by IPA.
    CombinedTranslations,
    /// Cached tables survive an invalidation by IPA.
    CachedTables,
    /// Invalidations do not reach the SMMU.
    Smmu,
    /// Entries stay in the CPUs' caches, where the SMMU does not look.
    CleanEntries,
    /// Invalidations do not reach the second CPU.
    OtherCpu,
    Scrub,
    CleanAfterScrub,
    CleanAfterCopy,
    InstructionCaches,
    /// Entries that are made invalid stay as they are.
    Unmap,
    /// A page is scrubbed, and forgotten by instruction caches, when its owner has it again.
    LateScrub,
    /// Invalidations take effect when the next page has been scrubbed.
    LateSync,
    /// The memory controller does nothing, and says that all is well.
    Assign,
    /// The memory controller does not take memory from the borrower's hands again, and says that all is well.
    AssignBack,
}

/// What the memory controller does about moves.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Control {
    /// What it is told.
    Works,
    /// It refuses what would move anything.
    Refuses,
    /// It moves every second page of those that are to move, first one set, then the other, and does not answer in time.
    Late,
}

/// A memory controller.
struct Controller {
    control: Control,
    /// Pages that are kept from the host's masters.
    moved: BTreeSet<u64>,
    /// Which of two sets is next.
    odd: bool,
}

/// What may walk tables.
const CPU0: usize = 0;
const CPU1: usize = 1;
const SMMU: usize = 2;

type Stamp = u64;

/// What a TLB may hold, each with the last moment at which it may have been put there.
#[derive(Clone, Default)]
struct Tlb {
    /// (VMID, IPA, PA, size of the entry it is from) of pages.
    stage2: BTreeMap<(u8, u64, u64, u64), Stamp>,
    /// (VMID, IPA, PA) of combined stage-1 and stage-2 translations.
    combined: BTreeSet<(u8, u64, u64)>,
    /// (VMID, level, first IPA, table) of cached tables; the level is the table's own.
    tables: BTreeMap<(u8, u32, u64, u64), Stamp>,
}

enum Asked {
    Range(u8, u64, u64, Stamp),
    All(u8, Stamp),
}

struct State {
    /// As CPUs see them.
    tables: Vec<[u64; 512]>,
    /// As they were when they were cleaned. Memory, where the SMMU looks, has that or what CPUs see.
    cleaned: Vec<[u64; 512]>,
    pool: std::ops::Range<u64>,
    tlbs: [Tlb; 3],
    /// Who runs, and the root that it runs on.
    running: BTreeMap<u8, (Principal, u64)>,
    /// Pages that are looked at, as their VMs address them.
    watched: BTreeMap<u8, Vec<u64>>,
    lines: BTreeMap<u64, Line>,
    /// Entries that decide about a watched page, and their levels.
    deciding: HashMap<(u64, usize), u32>,
    /// Pages of the host's that nothing may take away, even for a moment: a device may be using them.
    kept: BTreeSet<u64>,
    /// Whether blocks may be split and joined while they are in use.
    splits: bool,
    /// What the rules for changing live tables forbid, and was done.
    broken: Vec<String>,
    observed: bool,
    clock: Stamp,
    asked: Vec<Asked>,
    stuck: BTreeSet<u8>,
    /// VMIDs whose last wait ran out.
    lapsed: BTreeSet<u8>,
    /// Pages that are still to be scrubbed, and VMIDs whose invalidations are still to take effect.
    late: (Vec<u64>, Vec<u8>),
    /// Who, whose bytes, and in which page: what somebody saw of another's at any moment.
    glimpsed: BTreeSet<(Principal, Value, u64)>,
    /// For whom the host loads.
    loading: Option<Principal>,
    omission: Option<Omission>,
    controller: Option<Controller>,
    reads: u32,
    writes: u32,
    syncs: u32,
    scrubs: u32,
    /// Which pages, since somebody asked.
    scrubbed: Vec<u64>,
}

/// The machine.
pub struct Sim(RefCell<State>);

impl Sim {
    pub fn new(pool: std::ops::Range<u64>, omission: Option<Omission>) -> Self {
        Self(RefCell::new(State {
            // What was never written is garbage that hardware would take for a table.
            tables: vec![[0xdead_0003; 512]; ((pool.end - pool.start) / 4096) as usize],
            cleaned: vec![[0xdead_0003; 512]; ((pool.end - pool.start) / 4096) as usize],
            pool,
            tlbs: Default::default(),
            running: BTreeMap::new(),
            watched: BTreeMap::new(),
            lines: BTreeMap::new(),
            deciding: HashMap::new(),
            kept: BTreeSet::new(),
            splits: false,
            broken: Vec::new(),
            observed: false,
            clock: 0,
            asked: Vec::new(),
            stuck: BTreeSet::new(),
            lapsed: BTreeSet::new(),
            late: Default::default(),
            glimpsed: BTreeSet::new(),
            loading: None,
            omission,
            controller: None,
            reads: 0,
            writes: 0,
            syncs: 0,
            scrubs: 0,
            scrubbed: Vec::new(),
        }))
    }

    /// Looks at these pages of a VM from now on.
    pub fn watch(&self, vmid: u8, pages: Vec<u64>) {
        self.0.borrow_mut().watched.insert(vmid, pages);
    }

    /// Follows the contents of a page of RAM.
    pub fn follow(&self, page: u64, value: Value) {
        self.0.borrow_mut().lines.insert(page, Line::new(value));
    }

    /// From now on there is a memory controller, and every master behind it that works for the host does all that it can.
    pub fn control(&self, control: Control) {
        let mut state = self.0.borrow_mut();
        let new = || Controller {
            control,
            moved: BTreeSet::new(),
            odd: false,
        };
        state.controller.get_or_insert_with(new).control = control;
        state.observed = false;
    }

    /// Whether a page is kept from the host's masters.
    pub fn is_moved(&self, page: u64) -> bool {
        let state = self.0.borrow();
        state
            .controller
            .as_ref()
            .is_some_and(|controller| controller.moved.contains(&page))
    }

    /// Lets a VM run on tables.
    pub fn run(&self, principal: Principal, root: u64) {
        let mut state = self.0.borrow_mut();
        state.running.insert(principal.vmid, (principal, root));
        state.observed = false;
    }

    /// Takes a VM off all CPUs.
    pub fn halt(&self, vmid: u8) {
        let mut state = self.0.borrow_mut();
        state.observe();
        state.running.remove(&vmid);
    }

    /// Lets waits for a VMID run out, or not.
    pub fn stick(&self, vmid: u8, stuck: bool) {
        let mut state = self.0.borrow_mut();
        if stuck {
            state.stuck.insert(vmid)
        } else {
            state.stuck.remove(&vmid)
        };
    }

    /// Whether the last wait for a VMID ran out.
    pub fn has_lapsed(&self, vmid: u8) -> bool {
        self.0.borrow().lapsed.contains(&vmid)
    }

    /// From now on, something is left out, or nothing any more.
    pub fn leave_out(&self, omission: Option<Omission>) {
        self.0.borrow_mut().omission = omission;
    }

    /// What anybody may have seen of another's bytes so far, at whatever moment.
    pub fn glimpsed(&self) -> Option<(Principal, Value, u64)> {
        let mut state = self.0.borrow_mut();
        state.observe();
        state.glimpsed.first().copied()
    }

    /// Says for whom the next copies are.
    pub fn loading(&self, principal: Principal) {
        self.0.borrow_mut().loading = Some(principal);
    }

    /// Every (VMID, PA) that some TLB may lead to.
    pub fn reach(&self) -> BTreeSet<(u8, u64)> {
        let mut state = self.0.borrow_mut();
        state.observe();
        let pages = |tlb: &Tlb| {
            let stage2 = tlb.stage2.keys().map(|&(vmid, ipa, pa, _)| (vmid, ipa, pa));
            stage2
                .chain(tlb.combined.iter().copied())
                .map(|(vmid, _, pa)| (vmid, pa))
                .collect::<Vec<_>>()
        };
        state.tlbs.iter().flat_map(pages).collect()
    }

    /// A page for which some TLB may hold entries of two sizes, although all that was asked for was confirmed: on such
    /// hardware accesses may end in TLB conflict aborts (Arm ARM D8.16.1).
    pub fn mixed(&self) -> Option<(u8, u64)> {
        let mut state = self.0.borrow_mut();
        state.observe();
        let state = &*state;
        state.tlbs.iter().find_map(|tlb| {
            let pairs = tlb.stage2.keys().zip(tlb.stage2.keys().skip(1));
            let mut mixed = pairs.filter(|(a, b)| (a.0, a.1) == (b.0, b.1) && a.3 != b.3);
            mixed
                .find(|(a, _)| !state.lapsed.contains(&a.0))
                .map(|(a, _)| (a.0, a.1))
        })
    }

    /// The contents of a page that is followed.
    pub fn line(&self, page: u64) -> Option<Line> {
        let mut state = self.0.borrow_mut();
        state.observe();
        state.lines.get(&page).cloned()
    }

    /// A page of the pool, to look at.
    pub fn table(&self, page: u64) -> Vec<u64> {
        self.0.borrow_mut().table(page).to_vec()
    }

    /// An entry of a page of the pool, to look at.
    pub fn entry(&self, page: u64, index: usize) -> u64 {
        self.0.borrow_mut().table(page)[index]
    }

    /// The first entry of these tables that is not cleaned.
    pub fn uncleaned(&self, tables: &[u64]) -> Option<(u64, usize)> {
        let state = self.0.borrow();
        tables.iter().find_map(|&table| {
            let number = state.number(table);
            let mut entries = state.tables[number].iter().zip(&state.cleaned[number]);
            Some((table, entries.position(|(seen, cleaned)| seen != cleaned)?))
        })
    }

    /// From now on, nothing may take these pages from the host, even for a moment. Blocks in use may be split if
    /// `splits` says so.
    pub fn keep(&self, pages: BTreeSet<u64>, splits: bool) {
        let mut state = self.0.borrow_mut();
        state.kept = pages;
        state.splits = splits;
        state.observed = false;
    }

    /// What was done that the rules for changing live tables forbid.
    pub fn broken(&self) -> Vec<String> {
        self.0.borrow().broken.clone()
    }

    /// The pages that were scrubbed since the last time.
    pub fn scrubbed(&self) -> Vec<u64> {
        std::mem::take(&mut self.0.borrow_mut().scrubbed)
    }

    /// How many entries were read and written, translations waited for, and pages scrubbed, since the last time.
    pub fn counts(&self) -> Counts {
        let mut state = self.0.borrow_mut();
        let take = |count: &mut u32| std::mem::take(count);
        let state = &mut *state;
        Counts {
            reads: take(&mut state.reads),
            writes: take(&mut state.writes),
            syncs: take(&mut state.syncs),
            scrubs: take(&mut state.scrubs),
        }
    }
}

/// What was asked of a machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Counts {
    pub reads: u32,
    pub writes: u32,
    pub syncs: u32,
    pub scrubs: u32,
}

impl State {
    /// Which page of the pool it is.
    fn number(&self, page: u64) -> usize {
        assert!(
            self.pool.contains(&page) && page.is_multiple_of(4096),
            "{page:#x} is no page of the pool"
        );
        ((page - self.pool.start) / 4096) as usize
    }

    fn table(&mut self, page: u64) -> &mut [u64; 512] {
        let number = self.number(page);
        &mut self.tables[number]
    }

    /// What an entry may be to that walker, one or the other.
    fn seen(&self, agent: usize, table: u64, index: usize) -> [u64; 2] {
        let number = self.number(table);
        let seen = self.tables[number][index];
        if agent == SMMU {
            [seen, self.cleaned[number][index]]
        } else {
            [seen; 2]
        }
    }

    /// Everybody who runs does all that they can: walk, write, fetch.
    fn observe(&mut self) {
        if self.observed {
            return;
        }
        self.observed = true;
        self.clock += 1;
        self.deciding.clear();
        self.observe_masters();
        for (principal, root) in self.running.clone().into_values() {
            let agents: &[usize] = if principal.vmid == Vmid::HOST.get() {
                &[CPU0, CPU1, SMMU]
            } else {
                &[CPU0, CPU1]
            };
            for ipa in self.watched.get(&principal.vmid).cloned().unwrap_or_default() {
                for &agent in agents {
                    self.walk(agent, principal.vmid, root, ipa);
                    self.use_translations(agent, principal, ipa);
                }
            }
        }
    }

    /// The host's masters, which only the memory controller stands in the way of, read and write what they can.
    fn observe_masters(&mut self) {
        let Some(controller) = &self.controller else { return };
        let host = Principal {
            vmid: Vmid::HOST.get(),
            life: 0,
        };
        for (page, line) in self
            .lines
            .iter_mut()
            .filter(|(page, _)| !controller.moved.contains(page))
        {
            let others = line.visible().into_iter().filter(|value| !value.is_of(host));
            self.glimpsed.extend(others.map(|value| (host, value, *page)));
            line.maybe_write(Value::Secret(host));
        }
    }

    /// What moves must not be within anybody's reach: who loses it would find it gone, who gets it is not to have it yet.
    fn check_move(&mut self, page: u64) {
        let leads = |tlb: &Tlb| {
            let stage2 = tlb.stage2.keys().any(|&(_, _, pa, _)| pa == page);
            stage2 || tlb.combined.iter().any(|&(.., pa)| pa == page)
        };
        if self.tlbs.iter().any(leads) {
            self.broken
                .push(format!("{page:#x} moves while a TLB leads somebody there"));
        }
    }

    /// Walks from the root and from each cached table, and keeps all that is found. What is found by way of a cached
    /// table is as old as that.
    fn walk(&mut self, agent: usize, vmid: u8, root: u64, ipa: u64) {
        let base = |level: u32| ipa >> walker::bits_below(level) << walker::bits_below(level);
        let mut places = vec![(walker::start(root, ipa).0, self.clock)];
        for level in 1..=3 {
            for (table, age) in places {
                let index = walker::index(ipa, level);
                self.deciding.insert((table, index), level);
                for entry in self.seen(agent, table, index) {
                    self.keep_entry(agent, vmid, level, ipa, entry, age);
                }
            }
            let first = (vmid, level + 1, base(level), 0);
            let last = (vmid, level + 1, base(level), u64::MAX);
            let cached = self.tlbs[agent].tables.range(first..=last);
            places = cached.map(|(key, age)| (key.3, *age)).collect();
        }
        if vmid == Vmid::HOST.get() && self.kept.contains(&ipa) && !self.is_mapped(root, ipa) {
            self.broken.push(format!("{ipa:#x} was taken away for a moment"));
        }
        let (first, last) = ((vmid, ipa, 0, 0), (vmid, ipa, u64::MAX, u64::MAX));
        let found = self.tlbs[agent].stage2.range(first..=last);
        let found: Vec<_> = found.map(|(&(vmid, ipa, pa, _), _)| (vmid, ipa, pa)).collect();
        self.tlbs[agent].combined.extend(found);
    }

    /// Keeps what an entry that was found on a walk says.
    fn keep_entry(&mut self, agent: usize, vmid: u8, level: u32, ipa: u64, entry: u64, age: Stamp) {
        let tlb = &mut self.tlbs[agent];
        // What is no table is not walked: that it was taken for one is wrong enough.
        let known = match walker::step(entry, level, ipa) {
            walker::Step::Fault => return,
            walker::Step::Next(next) if !self.pool.contains(&next) => {
                self.broken.push(format!("a walker takes {next:#x} for a table"));
                return;
            }
            walker::Step::Next(next) => {
                let base = ipa >> walker::bits_below(level) << walker::bits_below(level);
                tlb.tables.entry((vmid, level + 1, base, next)).or_insert(age)
            }
            walker::Step::Leaf(leaf) => {
                let key = (vmid, ipa, leaf.pa + (ipa - leaf.ipa), leaf.size);
                tlb.stage2.entry(key).or_insert(age)
            }
        };
        *known = age.max(*known);
    }

    /// Whether a walk from the root finds a page.
    fn is_mapped(&mut self, root: u64, ipa: u64) -> bool {
        let mut table = walker::start(root, ipa).0;
        for level in 1..=3 {
            match walker::step(self.table(table)[walker::index(ipa, level)], level, ipa) {
                walker::Step::Fault => return false,
                walker::Step::Leaf(_) => return true,
                walker::Step::Next(next) => table = next,
            }
        }
        false
    }

    fn use_translations(&mut self, agent: usize, principal: Principal, ipa: u64) {
        let first = (principal.vmid, ipa, 0);
        let last = (principal.vmid, ipa, u64::MAX);
        for &(_, _, pa) in self.tlbs[agent].combined.range(first..=last) {
            if let Some(line) = self.lines.get_mut(&pa) {
                let others = line.visible().into_iter().filter(|value| !value.is_of(principal));
                self.glimpsed.extend(others.map(|value| (principal, value, pa)));
                line.maybe_write(Value::Secret(principal));
                line.maybe_fetch();
            }
        }
    }

    fn scrub(&mut self, page: u64) {
        self.observe();
        let omission = self.omission;
        if let Some(line) = self.lines.get_mut(&page) {
            if omission != Some(Omission::Scrub) {
                line.write(Value::Zero);
            }
            if omission != Some(Omission::CleanAfterScrub) {
                line.clean();
            }
        }
        self.observed = false;
    }

    /// Scrubs what should have been, as soon as the host has it.
    fn scrub_late(&mut self) {
        let host = self.running.get(&Vmid::HOST.get()).map(|(_, root)| *root);
        for page in std::mem::take(&mut self.late.0) {
            if host.is_some_and(|root| self.is_mapped(root, page)) {
                self.observed = false;
                self.scrub(page);
                self.lines.values_mut().for_each(Line::forget_fetched);
            } else {
                self.late.0.push(page);
            }
        }
    }

    fn agents(&self, vmid: u8) -> Vec<usize> {
        let all = if vmid == Vmid::HOST.get() {
            vec![CPU0, CPU1, SMMU]
        } else {
            vec![CPU0, CPU1]
        };
        let left_out = match self.omission {
            Some(Omission::Smmu) => SMMU,
            Some(Omission::OtherCpu) => CPU1,
            _ => return all,
        };
        all.into_iter().filter(|agent| *agent != left_out).collect()
    }

    fn confirm(&mut self, vmid: u8) {
        let keep_tables = self.omission == Some(Omission::CachedTables);
        let keep_combined = self.omission == Some(Omission::CombinedTranslations);
        let asked = std::mem::take(&mut self.asked);
        let (mine, others): (Vec<_>, Vec<_>) = asked.into_iter().partition(|asked| match asked {
            Asked::Range(of, ..) | Asked::All(of, _) => *of == vmid,
        });
        self.asked = others;
        for agent in self.agents(vmid) {
            let tlb = &mut self.tlbs[agent];
            for asked in &mine {
                match *asked {
                    Asked::Range(_, start, end, when) => {
                        tlb.stage2
                            .retain(|&(of, ipa, ..), at| of != vmid || *at > when || ipa < start || ipa >= end);
                        let size = |level: u32| 1 << walker::bits_below(level - 1);
                        tlb.tables.retain(|&(of, level, base, _), at| {
                            keep_tables || of != vmid || *at > when || base >= end || base + size(level) <= start
                        });
                    }
                    Asked::All(_, when) => {
                        tlb.stage2.retain(|&(of, ..), at| of != vmid || *at > when);
                        tlb.tables.retain(|&(of, ..), at| of != vmid || *at > when);
                    }
                }
            }
            if !keep_combined {
                tlb.combined.retain(|&(of, ..)| of != vmid);
            }
        }
    }
}

impl Machine for Sim {
    const MOVES: bool = true;

    fn assign(&self, ranges: &[PageRange<PhysAddr>], to: MemoryOwner) -> Result<(), AssignError> {
        let mut state = self.0.borrow_mut();
        state.observe();
        let Some(controller) = &mut state.controller else {
            return Ok(());
        };
        let away = to == MemoryOwner::Borrower;
        let pages = ranges.iter().flat_map(PageRange::pages).map(|page| page.get());
        let mut pages: Vec<u64> = pages.filter(|page| controller.moved.contains(page) != away).collect();
        let outcome = match controller.control {
            Control::Works => Ok(()),
            Control::Refuses if pages.is_empty() => Ok(()),
            Control::Refuses => return Err(AssignError::Refused(-2)),
            Control::Late => {
                let mut mine = controller.odd;
                controller.odd = !controller.odd;
                pages.retain(|_| {
                    mine = !mine;
                    mine
                });
                Err(AssignError::Late)
            }
        };
        let omission = state.omission;
        for page in pages {
            state.check_move(page);
            let Some(controller) = &mut state.controller else { break };
            match (away, omission) {
                (_, Some(Omission::Assign)) | (false, Some(Omission::AssignBack)) => {}
                (true, _) => _ = controller.moved.insert(page),
                (false, _) => _ = controller.moved.remove(&page),
            }
        }
        state.observed = false;
        outcome
    }

    fn read_entry(&self, table: PhysAddr, index: usize) -> u64 {
        let mut state = self.0.borrow_mut();
        state.reads += 1;
        state.table(table.get())[index]
    }

    fn write_entry(&self, table: PhysAddr, index: usize, value: u64) {
        let mut state = self.0.borrow_mut();
        state.observe();
        state.writes += 1;
        let old = state.table(table.get())[index];
        if state.omission == Some(Omission::Unmap) && old & 1 == 1 && value & 1 == 0 {
            return;
        }
        state.table(table.get())[index] = value;
        if let Some(&level) = state.deciding.get(&(table.get(), index)) {
            if !walker::may_become(level, old, value, state.splits) {
                state.broken.push(format!("{old:#x} became {value:#x} in use"));
            }
            state.observed = false;
        }
        state.scrub_late();
    }

    fn fill_table(&self, table: PhysAddr, first: u64, step: u64) {
        let mut state = self.0.borrow_mut();
        state.observe();
        let values = (0..512).map(|n: u64| first.wrapping_add(n.wrapping_mul(step)));
        for (entry, value) in state.table(table.get()).iter_mut().zip(values) {
            *entry = value;
        }
        state.observed = false;
    }

    fn clean_entries(&self, table: PhysAddr, first: usize, count: usize) {
        let mut state = self.0.borrow_mut();
        state.observe();
        if state.omission == Some(Omission::CleanEntries) {
            return;
        }
        let number = state.number(table.get());
        let range = first..first + count;
        let entries: Vec<u64> = state.tables[number][range.clone()].to_vec();
        state.cleaned[number][range].copy_from_slice(&entries);
        state.observed = false;
    }

    fn publish(&self) {}

    fn invalidate(&self, vmid: Vmid, range: PageRange<Ipa>) {
        let mut state = self.0.borrow_mut();
        state.observe();
        if state.omission != Some(Omission::Invalidate) {
            // What was put in by a walk of the tables as they are now is not stale.
            let now = state.clock;
            state.clock += 1;
            state
                .asked
                .push(Asked::Range(vmid.get(), range.start().get(), range.end().get(), now));
        }
    }

    fn invalidate_all(&self, vmid: Vmid) {
        let mut state = self.0.borrow_mut();
        state.observe();
        if state.omission != Some(Omission::InvalidateAll) {
            let now = state.clock;
            state.clock += 1;
            state.asked.push(Asked::All(vmid.get(), now));
        }
    }

    fn sync(&self, vmid: Vmid) -> Result<(), SyncError> {
        let mut state = self.0.borrow_mut();
        state.syncs += 1;
        state.observe();
        if state.stuck.contains(&vmid.get()) {
            // What was asked for got lost.
            state.asked.clear();
            state.lapsed.insert(vmid.get());
            return Err(SyncError);
        }
        state.lapsed.remove(&vmid.get());
        if state.omission == Some(Omission::LateSync) {
            state.late.1.push(vmid.get());
        } else if state.omission != Some(Omission::Sync) {
            state.confirm(vmid.get());
            state.observed = false;
        }
        Ok(())
    }

    fn scrub(&self, page: PhysAddr) {
        let mut state = self.0.borrow_mut();
        state.scrubs += 1;
        state.scrubbed.push(page.get());
        if !state.lines.contains_key(&page.get()) {
            return;
        }
        if state.omission == Some(Omission::LateScrub) {
            state.late.0.push(page.get());
            return;
        }
        state.scrub(page.get());
        for vmid in std::mem::take(&mut state.late.1) {
            state.observe();
            state.confirm(vmid);
            state.observed = false;
        }
    }

    fn copy(&self, to: PhysAddr, from: PhysAddr, len: usize) {
        assert_eq!(
            (to.page_offset(), from.page_offset(), len),
            (0, 0, 4096),
            "tests load whole pages"
        );
        let mut state = self.0.borrow_mut();
        state.observe();
        let omission = state.omission;
        if let (Some(target), Some(line)) = (state.loading, state.lines.get_mut(&to.get())) {
            line.write(Value::Loaded(target));
            if omission != Some(Omission::CleanAfterCopy) {
                line.clean();
            }
        }
        state.observed = false;
    }

    fn settle(&self) {
        let mut state = self.0.borrow_mut();
        state.observe();
        if state.omission != Some(Omission::InstructionCaches) {
            state.lines.values_mut().for_each(Line::forget_fetched);
        }
        state.observed = false;
    }
}
