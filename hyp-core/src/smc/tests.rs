//! The filter against an oracle that knows what firmware does with each call, and a host that changes its memory whenever it is
//! read.

use super::*;
use crate::id::{Handle, VmId};
use crate::machine::SyncError;
use crate::ownership::{Constituent, HostMap, PageState};
use crate::stage2::Layout;
use core::cell::{Cell, RefCell};
use leasehold_hal::{MemoryAttributes, SmcBuffer, SmcSize, Stage2Geometry, Vmid};
use leasehold_memory_map::{Address, Ipa, PageRange, PhysRange};
use proptest::prelude::*;
use proptest::sample::select;
use std::collections::{BTreeMap, BTreeSet};
use std::vec;
use std::vec::Vec;

const PAGE: u64 = 4096;
const RAM: u64 = 0x8000_0000;
const RAM_LEN: u64 = 0x100_0000;
const HYPERVISOR: u64 = 0x80f0_0000;
const DEVICE: u64 = 0x0900_0000;
/// EL2's memory for calls.
const CALLS: u64 = 0x80f8_0000;
const LENT: u64 = RAM + 0x10_0000;
const OWN: u64 = RAM + 0x20_0000;
const LIST: u64 = RAM + 0x30_0000;

const fn rule(name: &'static str, function: u32, arginfo: u32, action: SmcAction) -> SmcRule {
    SmcRule {
        name,
        function,
        arginfo: Some(arginfo),
        action,
    }
}

const fn buffer(address: u8, size: SmcSize) -> SmcBuffer {
    SmcBuffer { address, size }
}

const POLICY: SmcPolicy = SmcPolicy {
    rules: &[
        rule("info", 0x0200_0601, 1, SmcAction::IsAvailable),
        rule("assign", 0x0200_0c16, 0x1117, SmcAction::AssignMemory),
        rule("image", 0x0200_0201, 0x82, SmcAction::ProcessorImage(0x2000)),
        rule("memory", 0x0200_0202, 3, SmcAction::ProcessorMemory),
        rule("start", 0x0200_0205, 1, SmcAction::ProcessorStart(&[1, 18])),
        rule("stop", 0x0200_0206, 1, SmcAction::ProcessorStop),
        rule("share", 0x0200_0c1e, 4, SmcAction::Share),
        rule("unshare", 0x0200_0c1d, 1, SmcAction::Unshare),
        rule("dump", 0x0200_0110, 2, SmcAction::Refuse(scm::UNSUPPORTED)),
        rule(
            "write",
            0x0200_0502,
            2,
            SmcAction::Register(&[PhysRange::constant(PhysAddr::new(DEVICE), 8)]),
        ),
        rule("value", 0x0200_0c08, 4, SmcAction::Pass),
        rule(
            "key",
            0x0200_1004,
            0x85,
            SmcAction::Buffers(&[buffer(1, SmcSize::Argument(2))]),
        ),
        rule(
            "table",
            0x0200_0c04,
            0x23,
            SmcAction::Give(buffer(0, SmcSize::Argument(1))),
        ),
        rule("resume", 0x0200_2402, 1, SmcAction::Resume),
        SmcRule {
            name: "version",
            function: 0x0200_ff03,
            arginfo: None,
            action: SmcAction::Pass,
        },
    ],
    passing_owners: &[],
};

/// Tables, and the host's memory, which says something else each time it is read if `words` has any.
struct Fake {
    pages: RefCell<BTreeMap<u64, [u64; 512]>>,
    words: Vec<u64>,
    reads: Cell<usize>,
    /// Pages that are lent.
    lent: RefCell<BTreeSet<u64>>,
    lists: RefCell<[[u64; CALL_WORDS]; MAX_CALLS]>,
    published: RefCell<[[u64; CALL_WORDS]; MAX_CALLS]>,
}

impl Fake {
    fn set(&self, page: u64, index: usize, value: u64) {
        self.pages.borrow_mut().entry(page).or_insert([0; 512])[index] = value;
    }

    fn write(&self, at: u64, words: &[u64]) {
        for (n, word) in words.iter().enumerate() {
            let at = at + 8 * n as u64;
            self.set(at & !0xfff, (at & 0xfff) as usize / 8, *word);
        }
    }
}

impl Machine for Fake {
    fn read_entry(&self, table: PhysAddr, index: usize) -> u64 {
        self.pages.borrow().get(&table.get()).map_or(0, |words| words[index])
    }
    fn write_entry(&self, table: PhysAddr, index: usize, value: u64) {
        self.set(table.get(), index, value);
    }
    fn fill_table(&self, table: PhysAddr, first: u64, step: u64) {
        (0..512).for_each(|n| self.set(table.get(), n, first.wrapping_add(step.wrapping_mul(n as u64))));
    }
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

impl CallMemory for Fake {
    fn load(&self, at: PhysAddr) -> u64 {
        assert!(
            at.is_aligned(8) && (RAM..HYPERVISOR).contains(&at.get()) && !self.lent.borrow().contains(&at.page().get())
        );
        let n = self.reads.replace(self.reads.get() + 1);
        match self.words.get(n % self.words.len().max(1)) {
            Some(word) => *word,
            None => self.read_entry(at.page(), at.page_offset() as usize / 8),
        }
    }
    fn store(&self, slot: usize, word: usize, value: u64) {
        self.lists.borrow_mut()[slot][word] = value;
    }
    fn address(&self, slot: usize) -> PhysAddr {
        PhysAddr::new(CALLS + (slot * CALL_WORDS * 8) as u64)
    }
    fn publish(&self, slot: usize) {
        self.published.borrow_mut()[slot] = self.lists.borrow()[slot];
    }
}

/// What firmware has, as the oracle reads it out of what it gets.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Doing {
    Nothing,
    /// The ranges, and whether HLOS alone is to have them.
    Assign(bool),
    Give,
    Image(u64),
    Memory(u64),
    Stop(u64),
    Share,
    Unshare(u64),
}

struct World {
    filter: Filter,
    ownership: Ownership<8, 2>,
    fake: Fake,
    leases: Vec<Handle>,
    /// Of each call in firmware, or put off.
    calls: BTreeMap<usize, (Vec<u64>, Doing)>,
    away: BTreeSet<u64>,
    images: BTreeMap<u64, BTreeSet<u64>>,
    shares: BTreeMap<u64, BTreeSet<u64>>,
}

fn guest() -> VmId {
    VmId::guest(0).unwrap()
}

fn range(start: u64, len: u64) -> PhysRange {
    PhysRange::new(PhysAddr::new(start), len).unwrap()
}

impl World {
    fn new(words: Vec<u64>) -> Self {
        let fake = Fake {
            pages: RefCell::default(),
            words,
            reads: Cell::new(0),
            lent: RefCell::default(),
            lists: RefCell::new([[0; CALL_WORDS]; MAX_CALLS]),
            published: RefCell::new([[0; CALL_WORDS]; MAX_CALLS]),
        };
        let mut ownership = Ownership::new();
        let map = HostMap {
            pool: PageRange::new(PhysAddr::new(HYPERVISOR), 64).unwrap(),
            geometry: Stage2Geometry::new(40, MemoryAttributes::Combine).unwrap(),
            layout: Layout::Blocks,
            ram: &[range(RAM, RAM_LEN)],
            devices: &[range(DEVICE, PAGE)],
            hypervisor: &[range(HYPERVISOR, RAM + RAM_LEN - HYPERVISOR)],
        };
        ownership.init_host(&fake, &map).unwrap();
        ownership.create_vm(&fake, guest()).unwrap();
        let mut world = Self {
            filter: Filter::new(),
            ownership,
            fake,
            leases: Vec::new(),
            calls: BTreeMap::new(),
            away: BTreeSet::new(),
            images: BTreeMap::new(),
            shares: BTreeMap::new(),
        };
        assert!(world.lend(LENT, 2));
        world
    }

    fn lend(&mut self, address: u64, pages: u32) -> bool {
        let range = [Constituent { address, pages }];
        let lent = self.ownership.lend(&self.fake, VmId::HOST, guest(), range);
        let Ok(handle) = lent else { return false };
        self.leases.push(handle);
        let pages: Vec<u64> = (0..u64::from(pages)).map(|n| address + n * PAGE).collect();
        let firmwares = self.firmwares();
        assert!(
            pages.iter().all(|page| !firmwares.contains(page)),
            "firmware has what is lent"
        );
        self.fake.lent.borrow_mut().extend(pages);
        true
    }

    /// All pages that firmware, or who has got memory by it, reaches by the host's calls.
    fn firmwares(&self) -> BTreeSet<u64> {
        let calls = self.calls.values().flat_map(|(pages, _)| pages);
        let images = self.images.values().flatten();
        calls
            .chain(&self.away)
            .chain(images)
            .chain(self.shares.values().flatten())
            .copied()
            .collect()
    }

    fn call(&mut self, x: SmcRegisters) -> Verdict {
        let verdict = self
            .filter
            .begin(&mut self.ownership, &self.fake, &self.fake, &POLICY, &x);
        if let Verdict::Call(slot, got) = verdict {
            let known = self.calls.contains_key(&slot);
            let goes_on = got[0] as u32 == 1 || got[0] as u32 & FUNCTION == 0x0200_2402;
            assert_eq!(known, goes_on, "{x:x?}");
            if !known {
                let (pages, doing) = self.read(slot, &got);
                for page in &pages {
                    let own = (RAM..HYPERVISOR).contains(page) && !self.fake.lent.borrow().contains(page);
                    assert!(own, "{x:x?} leads firmware to {page:#x}: {got:x?}");
                }
                self.calls.insert(slot, (pages, doing));
            }
        }
        verdict
    }

    /// What firmware makes of a call. All lists must be where the host cannot change them.
    fn read(&self, slot: usize, x: &SmcRegisters) -> (Vec<u64>, Doing) {
        let ours = CALLS + (slot * CALL_WORDS * 8) as u64;
        let word = |at: u64| {
            let n = at.checked_sub(ours).filter(|n| n / 8 < CALL_WORDS as u64);
            self.fake.published.borrow()[slot][n.expect("a list that the host can change") as usize / 8]
        };
        let wide = x[0] & 1 << 30 != 0;
        let count = (x[1] & 0xf) as usize;
        let argument = |n: usize| match (count > 4, wide) {
            (true, true) if n >= 3 => word(x[5] + 8 * (n as u64 - 3)),
            (true, false) if n >= 3 => {
                let at = x[5] + 4 * (n as u64 - 3);
                word(at & !7) >> (8 * (at & 4)) & 0xffff_ffff
            }
            _ => x[2 + n],
        };
        let pages = |at: u64, len: u64| (at & !0xfff..at + len).step_by(PAGE as usize).collect::<Vec<_>>();
        match x[0] as u32 & FUNCTION {
            0x0200_0c16 => {
                let list = |at: u64, len: u64| (0..len.div_ceil(8)).map(|n| word(at + 8 * n)).collect::<Vec<_>>();
                let ranges = list(argument(0), argument(1));
                _ = list(argument(2), argument(3));
                let owners = list(argument(4), argument(5));
                assert!(owners.chunks(3).all(|owner| owner[1] == 0), "a context");
                let back = owners.len() == 3 && owners[0] as u32 == 3;
                let pages = ranges.chunks(2).flat_map(|pair| pages(pair[0], pair[1])).collect();
                (pages, Doing::Assign(back))
            }
            0x0200_0201 => (pages(argument(1), 0x2000), Doing::Image(argument(0))),
            0x0200_0202 => (pages(argument(1), argument(2)), Doing::Memory(argument(0))),
            0x0200_0206 => (Vec::new(), Doing::Stop(argument(0))),
            0x0200_0205 => {
                assert!([1, 18].contains(&argument(0)));
                (Vec::new(), Doing::Nothing)
            }
            0x0200_0c1e => (pages(argument(0) & !0xfff, argument(2) & !0xfff), Doing::Share),
            0x0200_0c1d => (Vec::new(), Doing::Unshare(argument(0))),
            0x0200_1004 if (argument(1), argument(2)) == (0, 0) => (Vec::new(), Doing::Nothing),
            0x0200_1004 => (pages(argument(1), argument(2)), Doing::Nothing),
            0x0200_0c04 => (pages(argument(0), argument(1)), Doing::Give),
            0x0200_0502 => {
                assert!([DEVICE, DEVICE + 4].contains(&argument(0)));
                (Vec::new(), Doing::Nothing)
            }
            0x0200_0601 | 0x0200_0c08 => (Vec::new(), Doing::Nothing),
            other => panic!("firmware gets {other:#x}"),
        }
    }

    fn end(&mut self, slot: usize, returned: SmcRegisters) -> SmcRegisters {
        let host = self.filter.end(&mut self.ownership, slot, &returned);
        let status = returned[0] as i32 as i64;
        if matches!(status, scm::INTERRUPTED | scm::WAITS) {
            return host;
        }
        let Some((pages, doing)) = self.calls.remove(&slot) else {
            return host;
        };
        let done = status == scm::OK;
        let refused = is_refusal(status);
        match doing {
            Doing::Assign(true) if done => self.away.retain(|page| !pages.contains(page)),
            Doing::Assign(false) | Doing::Give if !refused => self.away.extend(pages),
            Doing::Image(id) | Doing::Memory(id) if done => self.images.entry(id).or_default().extend(pages),
            Doing::Stop(id) if done => _ = self.images.remove(&id),
            Doing::Share if done => self.shares.entry(returned[1]).or_default().extend(pages),
            Doing::Unshare(handle) if done => _ = self.shares.remove(&handle),
            _ => {}
        }
        host
    }

    fn refused(&mut self, x: SmcRegisters, code: i64) {
        let before = std::format!("{:?} {:?}", self.filter, self.ownership);
        assert_eq!(self.call(x), Verdict::Answer(answer(code)), "{x:x?}");
        let after = std::format!("{:?} {:?}", self.filter, self.ownership);
        assert_eq!(before, after, "{x:x?} was refused and changed something");
    }

    /// Lists for a change of owners, in the host's memory, and the call for it.
    fn assign(&self, ranges: &[(u64, u64)], to: &[u32]) -> SmcRegisters {
        self.assign_with(ranges, to, 7)
    }

    fn assign_with(&self, ranges: &[(u64, u64)], to: &[u32], permissions: u64) -> SmcRegisters {
        let ranges: Vec<u64> = ranges.iter().flat_map(|(at, len)| [*at, *len]).collect();
        let owners: Vec<u64> = to
            .iter()
            .flat_map(|vmid| [u64::from(*vmid) | permissions << 32, 0, 0])
            .collect();
        self.fake.write(LIST, &[4, LIST + 0x200, 8 * owners.len() as u64, 0]);
        self.fake.write(LIST + 0x100, &[3]);
        self.fake.write(LIST + 0x200, &owners);
        self.fake.write(LIST + 0x400, &ranges);
        let len = 8 * ranges.len() as u64;
        [0x4200_0c16, 0x1117, LIST + 0x400, len, LIST + 0x100, LIST, 0, 0]
    }
}

fn slot(verdict: Verdict) -> (usize, SmcRegisters) {
    match verdict {
        Verdict::Call(slot, x) => (slot, x),
        other => panic!("{other:x?}"),
    }
}

#[test]
fn memory_that_goes_to_others_cannot_be_lent_until_it_is_back() {
    let mut w = World::new(Vec::new());
    let pair = [(OWN, 2 * PAGE), (OWN + 0x10_000, PAGE)];
    let out = w.assign(&pair, &[15]);
    let (n, x) = slot(w.call(out));
    assert_eq!((x[0], x[1], x[6]), (0x4200_0c16, 0x1117, 0));
    assert!(!w.lend(OWN, 1), "while the call runs");
    assert_eq!(w.end(n, answer(scm::OK))[0], 0);
    assert!(!w.lend(OWN + PAGE, 1) && !w.lend(OWN + 0x10_000, 1) && w.lend(OWN + 2 * PAGE, 1));
    let state = |w: &World| w.ownership.host_page_state(&w.fake, Ipa::new(OWN));
    assert_eq!(state(&w), PageState::Away);
    let at = w.ownership.translate(&w.fake, VmId::HOST, Ipa::new(OWN));
    assert_eq!(at, Err(OwnershipError::Pinned(Ipa::new(OWN))), "EL2 does not touch it");
    // Some of it with some that is not away: neither one nor the other.
    let mixed = w.assign(&[(OWN, PAGE), (OWN + 0x20_000, PAGE)], &[3]);
    w.refused(mixed, scm::BAD_ADDRESS);
    // The host's again, but not to write: EL2 could not scrub it.
    for permissions in [0, 4, 5, 2] {
        let back = w.assign_with(&[(OWN, PAGE)], &[3], permissions);
        let n = slot(w.call(back)).0;
        w.end(n, answer(scm::OK));
        assert_eq!(state(&w), PageState::Away, "{permissions}");
        assert!(!w.lend(OWN, 1));
    }
    let back = w.assign(&[(OWN, PAGE)], &[3]);
    let n = slot(w.call(back)).0;
    assert!(!w.lend(OWN, 1));
    w.end(n, answer(scm::OK));
    assert_eq!(state(&w), PageState::Owned);
    assert!(w.lend(OWN, 1) && !w.lend(OWN + PAGE, 1));
}

#[test]
fn an_assignment_that_is_refused_changes_nothing_and_one_that_fails_counts_as_done() {
    for (code, lendable) in [
        (scm::BAD_ARGUMENT, true),
        (scm::BUSY, true),
        (scm::ERROR, false),
        (-77, false),
    ] {
        let mut w = World::new(Vec::new());
        let x = w.assign(&[(OWN, PAGE)], &[15]);
        let n = slot(w.call(x)).0;
        w.end(n, answer(code));
        assert_eq!(w.lend(OWN, 1), lendable, "{code}");
    }
}

#[test]
fn every_address_of_every_list_must_be_the_hosts() {
    let mut w = World::new(Vec::new());
    for bad in [
        LENT,
        LENT + PAGE,
        HYPERVISOR,
        CALLS,
        DEVICE,
        0,
        RAM + RAM_LEN,
        1 << 51,
        !0xfff,
        OWN + 1,
    ] {
        let mut x = w.assign(&[(OWN, PAGE), (bad, PAGE)], &[15]);
        w.refused(x, scm::BAD_ADDRESS);
        x = w.assign(&[(OWN, PAGE)], &[15]);
        for register in [2, 4, 5] {
            let mut lists = x;
            lists[register] = bad & !7 | (bad & 1) << 2;
            w.refused(lists, scm::BAD_ADDRESS);
        }
        w.fake.write(LIST + 8, &[bad & !7 | (bad & 1) << 2]);
        w.refused(x, scm::BAD_ADDRESS);
    }
    // A range that begins well and does not end well, or does not end.
    for len in [RAM_LEN, LENT - RAM + PAGE, !0xfff, 0] {
        let x = w.assign(&[(RAM, len)], &[15]);
        w.refused(x, scm::BAD_ADDRESS);
    }
}

#[test]
fn lists_are_as_long_as_firmware_takes_them() {
    let mut w = World::new(Vec::new());
    let x = w.assign(&[(OWN, PAGE); 33], &[15]);
    w.refused(x, scm::BAD_ARGUMENT);
    let x = w.assign(&[(OWN, PAGE)], &[]);
    w.refused(x, scm::BAD_ARGUMENT);
    let x = w.assign(&[(OWN, PAGE)], &[15; 9]);
    w.refused(x, scm::BAD_ARGUMENT);
    let ranges: Vec<(u64, u64)> = (0..32).map(|n| (OWN + 2 * n * PAGE, PAGE)).collect();
    let x = w.assign(&ranges, &[15; 8]);
    let n = slot(w.call(x)).0;
    w.end(n, answer(scm::OK));
    assert_eq!(w.away.len(), 32);
}

#[test]
fn a_call_goes_on_as_it_began_and_by_its_number_alone() {
    let mut w = World::new(Vec::new());
    let x = [0x4200_1004, 0x85, 7, OWN, 64, LIST, 0, 0];
    w.fake.write(LIST, &[3, 512]);
    let (n, first) = slot(w.call(x));
    w.refused([1, 0x85, 7, OWN, 64, LIST, 0x1234, 0], scm::BAD_ARGUMENT);
    let interrupted = [1, 0, 0, 0, 0, 0, 0x5e55, 0];
    let host = w.end(n, interrupted);
    assert_eq!(host[0], 1);
    assert_ne!(host[6], 0x5e55, "firmware's own number is not for the host");
    assert!(!w.lend(OWN, 1), "while it is put off");
    for number in [0, 0x5e55, host[6] + 256, host[6] ^ 1] {
        w.refused([1, 0x85, 7, OWN, 64, LIST, number, 0], scm::BAD_ARGUMENT);
    }
    // What else the host says does not matter.
    let (again, x) = slot(w.call([1, 0x1117, LENT, LENT, LENT, LENT, host[6], LENT]));
    let mut expected = first;
    expected[0] = 1;
    expected[6] = 0x5e55;
    assert_eq!((again, x), (n, expected));
    w.refused([1, 0, 0, 0, 0, 0, host[6], 0], scm::BAD_ARGUMENT);
    w.end(n, answer(scm::OK));
    assert!(w.lend(OWN, 1));
}

#[test]
fn a_call_that_waits_goes_on_by_its_name() {
    let mut w = World::new(Vec::new());
    let (n, _) = slot(w.call([0x4200_0202, 3, 18, OWN, PAGE, 0, 0, 0]));
    let mut waits = answer(scm::WAITS);
    waits[1..3].copy_from_slice(&[7, 0xc0de]);
    assert_eq!(w.end(n, waits), waits);
    assert!(!w.lend(OWN, 1));
    let resume = |context| [0x4200_2402, 1, context, 0, 0, 0, 0, 0];
    w.refused(resume(0xc0df), scm::BAD_ARGUMENT);
    assert_eq!(slot(w.call(resume(0xc0de))), (n, resume(0xc0de)));
    w.end(n, answer(scm::OK));
    assert!(!w.lend(OWN, 1), "it is the processor's");
    let n = slot(w.call([0x4200_0206, 1, 18, 0, 0, 0, 0, 0])).0;
    w.end(n, answer(scm::OK));
    assert!(w.lend(OWN, 1));
}

#[test]
fn there_are_so_many_calls_at_a_time() {
    let mut w = World::new(Vec::new());
    let x = [0x4200_0c08, 4, 1, 2, 3, 4, 5, 6];
    let slots: BTreeSet<usize> = (0..MAX_CALLS).map(|_| slot(w.call(x)).0).collect();
    assert_eq!(slots.len(), MAX_CALLS);
    w.refused(x, scm::BUSY);
    w.end(3, answer(scm::OK));
    assert_eq!(slot(w.call(x)), (3, [0x4200_0c08, 4, 1, 2, 3, 4, 0, 0]));
}

#[test]
fn what_the_policy_does_not_name_is_not_passed_on() {
    let mut w = World::new(Vec::new());
    for function in [
        0x4200_0c17,
        0x8400_0050,
        0x3200_0600,
        0x0300_0000,
        0x0200_010f,
        0xc200_0001_u64,
    ] {
        w.refused([function, 0, 0, 0, 0, 0, 0, 0], -1);
    }
    w.refused([0x4200_0110, 2, 1, 0, 0, 0, 0, 0], scm::UNSUPPORTED);
    // Another description of arguments, as would make values addresses.
    for arginfo in [0, 3, 5, 0x14, 0x24, 0x1_0000_0004] {
        w.refused([0x4200_0c08, arginfo, 1, 2, 3, 4, 0, 0], scm::BAD_ARGUMENT);
    }
    let version = [0x8200_ff03, 1, 2, 3, 4, 5, 6, 7];
    assert_eq!(w.call(version), Verdict::Pass(version));
    for (function, offered) in [(0x0200_0c16, true), (0x0200_0110, false), (0x0200_0c17, false)] {
        let verdict = w.call([0x4200_0601, 1, function, 0, 0, 0, 0, 0]);
        assert_eq!(matches!(verdict, Verdict::Call(..)), offered);
    }
    for register in [DEVICE + 8, DEVICE + 5, DEVICE - 4, 0, u64::MAX, LENT] {
        w.refused([0x4200_0502, 2, register, 1, 0, 0, 0, 0], scm::BAD_ADDRESS);
    }
    w.refused([0x4200_0205, 1, 4, 0, 0, 0, 0, 0], scm::BAD_ADDRESS);
}

#[test]
fn what_ends_in_an_unknown_order_is_not_begun() {
    let mut w = World::new(Vec::new());
    let out = w.assign(&[(OWN, PAGE)], &[15]);
    let n = slot(w.call(out)).0;
    w.end(n, answer(scm::OK));
    // On its way back, and to somebody else.
    let back = w.assign(&[(OWN, PAGE)], &[3]);
    let n = slot(w.call(back)).0;
    let on = w.assign(&[(OWN, PAGE)], &[22]);
    w.refused(on, scm::BUSY);
    w.refused([0x4200_0c04, 0x23, OWN, PAGE, 0, 0, 0, 0], scm::BUSY);
    w.end(n, answer(scm::OK));
    // A remote processor that starts is not stopped, and its memory not changed.
    let memory = |at: u64| [0x4200_0202, 3, 18, at, PAGE, 0, 0, 0];
    let (start, stop) = ([0x4200_0205, 1, 18, 0, 0, 0, 0, 0], [0x4200_0206, 1, 18, 0, 0, 0, 0, 0]);
    let n = slot(w.call(memory(OWN))).0;
    w.end(n, answer(scm::OK));
    let n = slot(w.call(start)).0;
    for x in [
        start,
        stop,
        memory(OWN + PAGE),
        [0x4200_0201, 0x82, 18, OWN + PAGE, 0, 0, 0, 0],
    ] {
        w.refused(x, scm::BUSY);
    }
    w.end(n, answer(scm::OK));
    // It runs: other memory comes to that which it has.
    let n = slot(w.call(memory(OWN + PAGE))).0;
    w.end(n, answer(scm::OK));
    assert!(!w.lend(OWN, 1) && !w.lend(OWN + PAGE, 1));
    let n = slot(w.call(stop)).0;
    w.end(n, answer(scm::OK));
    assert!(w.lend(OWN, 1) && w.lend(OWN + PAGE, 1));
    let share = [0x4200_0c1e, 4, LIST, LIST, PAGE, 3, 0, 0];
    let n = slot(w.call(share)).0;
    w.refused(share, scm::BUSY);
    w.refused([0x4200_0c1d, 1, 7, 0, 0, 0, 0, 0], scm::BUSY);
    w.end(n, answer(scm::OK));
}

#[test]
fn what_there_is_no_room_to_bring_back_stays_away() {
    let mut w = World::new(Vec::new());
    // Pages apart, and a range whose middle comes back: that takes one more hold than there was.
    let far = RAM + 0x80_0000;
    for n in 0..127 {
        let x = w.assign(&[(far + 2 * n * PAGE, PAGE)], &[15]);
        let n = slot(w.call(x)).0;
        w.end(n, answer(scm::OK));
    }
    let x = w.assign(&[(OWN, 3 * PAGE)], &[15]);
    let n = slot(w.call(x)).0;
    w.end(n, answer(scm::OK));
    let x = w.assign(&[(OWN + PAGE, PAGE)], &[3]);
    w.refused(x, scm::NO_MEMORY);
    assert!(!w.lend(OWN, 1) && !w.lend(OWN + PAGE, 1) && !w.lend(OWN + 2 * PAGE, 1));
}

#[test]
fn what_is_shared_is_so_until_its_handle_is_given_back() {
    let mut w = World::new(Vec::new());
    let share = |at: u64, secure: u64| [0x4200_0c1e, 4, at | 6, secure | 6, (2 * PAGE) | 0x200, 3, 0, 0];
    w.refused(share(LENT, OWN), scm::BAD_ARGUMENT);
    w.refused(share(OWN, LENT), scm::BAD_ARGUMENT);
    w.refused(share(LENT, LENT), scm::BAD_ADDRESS);
    let n = slot(w.call(share(OWN, OWN))).0;
    w.end(n, [0, 0xabc, 0, 0, 0, 0, 0, 0]);
    assert!(!w.lend(OWN + PAGE, 1));
    let unshare = |handle: u64| [0x4200_0c1d, 1, handle, 0, 0, 0, 0, 0];
    let n = slot(w.call(unshare(0xabd))).0;
    w.end(n, answer(scm::OK));
    assert!(!w.lend(OWN + PAGE, 1));
    let n = slot(w.call(unshare(0xabc))).0;
    w.end(n, answer(scm::OK));
    assert!(w.lend(OWN + PAGE, 1));
}

/// Any word: most of them mean something somewhere.
fn word() -> impl Strategy<Value = u64> {
    let addresses = vec![
        LENT,
        LENT + PAGE,
        LENT - PAGE,
        LENT + 2 * PAGE,
        OWN,
        OWN + PAGE,
        LIST,
        LIST + 0x100,
        HYPERVISOR,
        CALLS,
        HYPERVISOR - PAGE,
        RAM,
        DEVICE,
        0,
    ];
    prop_oneof![
        6 => select(addresses),
        4 => select(vec![1, 2, 3, 4, 7, 8, 16, 18, 24, 32, 48, 64, 0x7_0000_0003, 0x7_0000_000f]),
        3 => select(vec![PAGE, 2 * PAGE, 0x10_0000, 0x20_0000]),
        1 => any::<u64>(),
    ]
}

fn registers() -> impl Strategy<Value = SmcRegisters> {
    let known = select(
        POLICY
            .rules
            .iter()
            .map(|rule| (rule.function, rule.arginfo))
            .collect::<Vec<_>>(),
    );
    let head = (known, select(vec![0_u64, 1 << 30, 1 << 31, 3 << 30]));
    let head = head.prop_map(|((function, info), kind)| (u64::from(function) | kind, u64::from(info.unwrap_or(0))));
    let head = prop_oneof![8 => head, 1 => (Just(1), Just(0)), 1 => (any::<u64>(), word())];
    (head, prop::array::uniform6(word()))
        .prop_map(|((function, info), rest)| [function, info, rest[0], rest[1], rest[2], rest[3], rest[4], rest[5]])
}

#[derive(Clone, Debug)]
enum Event {
    Call(SmcRegisters),
    /// An assignment whose lists are as they should be, of such ranges.
    Assign(Vec<(u64, u64)>, u32),
    End(usize, i64, u64),
    Lend(u64, u32),
    Reclaim,
}

fn event() -> impl Strategy<Value = Event> {
    let status = select(vec![0, 0, 0, 0, 1, 2, -1, -2, -12]);
    let range = (
        select(vec![OWN, OWN + PAGE, LENT, LENT - PAGE, LIST]),
        select(vec![PAGE, 2 * PAGE]),
    );
    prop_oneof![
        8 => registers().prop_map(Event::Call),
        3 => (prop::collection::vec(range, 1..4), select(vec![3, 15])).prop_map(|(ranges, to)| Event::Assign(ranges, to)),
        6 => (0..MAX_CALLS, status, select(vec![1, 2, 3])).prop_map(|(n, status, handle)| Event::End(n, status, handle)),
        4 => (word(), 1..3_u32).prop_map(|(at, pages)| Event::Lend(at, pages)),
        1 => Just(Event::Reclaim),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(768) })]

    /// Whatever the host calls and lends in whatever order, whatever firmware says, and whatever the host's memory says each
    /// time it is read: firmware is never led to what is lent, or EL2's, and what firmware has is never lent.
    #[test]
    fn firmware_and_borrowers_never_have_the_same(
        words in prop::collection::vec(word(), 0..40),
        events in prop::collection::vec(event(), 1..60),
    ) {
        let steady = words.is_empty();
        let mut w = World::new(words);
        for event in events {
            match event {
                Event::Call(x) => _ = w.call(x),
                Event::Assign(ranges, to) if steady => {
                    let listed: Vec<u64> = (LIST..LIST + PAGE).step_by(PAGE as usize).collect();
                    if !listed.iter().any(|page| w.fake.lent.borrow().contains(page)) {
                        let x = w.assign(&ranges, &[to]);
                        _ = w.call(x);
                    }
                }
                Event::Assign(..) => {}
                Event::End(n, status, handle) => {
                    let slots: Vec<usize> = w.calls.keys().copied().collect();
                    if let Some(slot) = slots.get(n % slots.len().max(1)) {
                        _ = w.end(*slot, [status as u64, handle, 0xc0de, 0, 0, 0, 0x5e55, 0]);
                    }
                }
                Event::Lend(at, pages) => _ = w.lend(at, pages),
                Event::Reclaim => {
                    if let Some(handle) = w.leases.pop() {
                        _ = w.ownership.reclaim(&w.fake, VmId::HOST, handle).unwrap();
                        w.fake.lent.borrow_mut().retain(|page| {
                            w.ownership.host_page_state(&w.fake, Ipa::new(*page)) != PageState::Owned
                        });
                    }
                }
            }
            prop_assert!(w.fake.lent.borrow().is_disjoint(&w.firmwares()));
        }
    }
}
