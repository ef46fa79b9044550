//! An SMMUv2 that acts: an MMU-500 as Qualcomm's SoCs have it.
//!
//! It matches streams, walks the stage-2 tables that are in its memory, keeps what it has found until it has been told to
//! forget *and* a sync has completed, grants or refuses the DMA that a test tries, records faults, hangs and loses its
//! power when told to. Masters that stream while the driver works make an access each time it touches a register, and
//! must always get what is at that very address. It panics where a driver does what the manual forbids (IHI 0062), and
//! where a stream that was not let past untranslated comes to be.
//!
//! It shares no definition with the driver: numbers of registers and bits are written here once more.

mod registers;
mod translate;

pub use crate::smmu::model::{SimMemory, Window};

use crate::mmio::{Io, Width};
use crate::smmu::model::Translations;
use std::collections::HashSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::vec;
use std::vec::Vec;
use translate::Fate;

/// What the unit is.
#[derive(Clone, Copy, Debug)]
pub struct Identity {
    /// SMMU_IDR0.
    pub id0: u32,
    /// SMMU_IDR1.
    pub id1: u32,
    /// SMMU_IDR2.
    pub id2: u32,
    /// SMMU_IDR7.
    pub id7: u32,
}

impl Identity {
    /// An MMU-500 r2p4 as large as the QCS6490's: 128 groups, 15-bit StreamIDs, 80 context banks in a space of 1 MiB.
    pub const QCS6490: Self = Self {
        id0: 1 << 30 | 1 << 29 | 1 << 28 | 1 << 27 | 1 << 14 | 15 << 9 | 128,
        id1: 6 << 28 | 80,
        id2: 1 << 15 | 1 << 12 | 5 << 4 | 5,
        id7: 0x24,
    };

    const fn groups(&self) -> usize {
        if self.id0 >> 27 & 1 != 0 {
            (self.id0 & 0xff) as usize
        } else {
            1 << (self.id0 >> 9 & 0xf)
        }
    }

    const fn page(&self) -> usize {
        if self.id1 >> 31 != 0 { 0x1_0000 } else { 0x1000 }
    }

    const fn global_pages(&self) -> usize {
        2 << (self.id1 >> 28 & 7)
    }
}

/// Who else has a hand in the unit.
#[derive(Clone, Copy, Debug, Default)]
pub struct Quirks {
    /// A hypervisor of Qualcomm's emulates the global space: bypass written to S2CR becomes fault, fault written is
    /// ignored, and groups from 128 on are not there (Linux `arm-smmu-qcom.c`, `qcom_smmu_cfg_probe`).
    pub emulated: bool,
    /// Only Secure code reaches the global space: others read zeroes, and their writes are ignored.
    pub secure_global: bool,
    /// Secure code has left SACR.CACHE_LOCK set: ACTLR of context banks is read-only whatever ACR says.
    pub actlr_locked: bool,
    /// Context banks from this one on are Secure code's: others' writes are ignored.
    pub secure_banks_from: Option<usize>,
    /// What kind of context each bank has is for Secure code to say: others' writes of CBAR are ignored.
    pub cbar_locked: bool,
    /// Somebody below keeps this group's S2CR as it is.
    pub s2cr_locked: Option<usize>,
    /// Bits of SMRs that are there, as MASK, if not all that StreamIDs have.
    pub smr_mask: Option<u16>,
}

/// What of the unit's power.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Power {
    On,
    /// It is off, and this is what a read of any register gets.
    Off(u32),
    /// It is off, and no access may be made.
    Fatal,
}

/// What it has been told to forget, and has not yet.
#[derive(Clone, Copy)]
enum Forget {
    Everything,
    Vm(u16),
    Page { vmid: u16, ipa: u64 },
}

/// By which registers it was told so.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Source {
    Global,
    Bank(usize),
}

/// A context bank's registers.
#[derive(Clone, Copy, Default)]
struct Bank {
    cbar: u32,
    cba2r: u32,
    cbfrsynra: u32,
    sctlr: u32,
    actlr: u32,
    ttbr0: u64,
    tcr: u32,
    fsr: u32,
    far: u64,
    fsynr0: u32,
    stalled: bool,
    sync_polls: u32,
}

/// The read-only field of FSR.
const FORMAT: u32 = 3 << 9;

impl Bank {
    const fn has_faulted(&self) -> bool {
        self.fsr & !FORMAT != 0
    }
}

/// A master that streams, a word each time somebody touches a register.
#[derive(Clone, Copy)]
struct Master {
    stream: u16,
    start: u64,
    words: u64,
    next: u64,
}

struct State {
    identity: Identity,
    quirks: Quirks,
    memory: SimMemory,
    power: Power,
    hang: bool,
    cr0: u32,
    acr: u32,
    gfsr: u32,
    gfar: u64,
    gfsynr0: u32,
    gfsynr1: u32,
    smr: Vec<u32>,
    s2cr: Vec<u32>,
    banks: Vec<Bank>,
    global_sync_polls: u32,
    translations: Translations,
    /// What the next-page prefetcher has found, which only goes with everything: as bad as errata can be.
    ahead: Translations,
    /// Streams of which it remembers that they are let past.
    passed: HashSet<u16>,
    forget: Vec<(Source, Forget)>,
    masters: Vec<Master>,
    /// Streams that are watched, and what would become of each.
    watched: Vec<(u16, Fate)>,
    /// Whether the device was told that its last access was refused.
    told: bool,
    stores: u64,
    resumed: u32,
}

/// How many accesses of a register a sync takes.
const POLLS: u32 = 3;

/// The model; clones are handles of the same unit.
#[derive(Clone)]
pub struct Model(Arc<Mutex<State>>);

impl Model {
    /// A unit as it comes out of reset, where it lets every stream past.
    #[must_use]
    pub fn new(identity: Identity, quirks: Quirks, memory: &SimMemory) -> Self {
        let groups = identity.groups();
        let bank = Bank {
            actlr: 0x3,
            ..Bank::default()
        };
        let state = State {
            identity,
            quirks,
            memory: memory.clone(),
            power: Power::On,
            hang: false,
            // What the manual leaves open is as Intel and AMD document it of theirs (Stratix 10; UG1087).
            cr0: 0x0020_0001,
            acr: 0x0400_001c,
            gfsr: 0,
            gfar: 0,
            gfsynr0: 0,
            gfsynr1: 0,
            smr: vec![0; groups],
            s2cr: vec![2 << 16; groups],
            banks: vec![bank; (identity.id1 & 0xff) as usize],
            global_sync_polls: 0,
            translations: Translations::default(),
            ahead: Translations::default(),
            passed: HashSet::new(),
            forget: Vec::new(),
            masters: Vec::new(),
            watched: Vec::new(),
            told: true,
            stores: 0,
            resumed: 0,
        };
        Self(Arc::new(Mutex::new(state)))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Firmware sets CR0 and ACR.
    pub fn firmware_sets(&self, cr0: u32, acr: u32) {
        let mut state = self.state();
        state.cr0 = cr0;
        state.acr = acr;
    }

    /// Firmware makes group `n`: the registers as they are.
    pub fn firmware_maps(&self, n: usize, smr: u32, s2cr: u32) {
        let mut state = self.state();
        state.smr[n] = smr;
        state.s2cr[n] = s2cr;
    }

    /// Firmware makes context bank `n` one of stage 1, with translation on or off; either way addresses stay what they
    /// are.
    pub fn firmware_translates(&self, n: usize, on: bool) {
        let mut state = self.state();
        state.banks[n].cbar = 1 << 16;
        state.banks[n].sctlr = u32::from(on);
    }

    /// What whoever had the unit before has left in a TLB.
    pub fn firmware_remembers(&self, vmid: u16, ipa: u64, output: u64) {
        self.state().translations.remember(vmid, ipa, output);
    }

    /// A fault, and an access that waits for an answer, are left in context bank `n`.
    pub fn firmware_faulted(&self, n: usize) {
        let mut state = self.state();
        state.banks[n].fsr = 1 << 30 | 1 << 1;
        state.banks[n].stalled = true;
        state.gfsr = 1 << 1;
    }

    /// From now on `stream` reads `words` words at `start`, one with each access of a register, in a circle. Each must be
    /// what is at that address.
    pub fn start_master(&self, stream: u16, start: u64, words: u64) {
        self.state().masters.push(Master {
            stream,
            start,
            words,
            next: 0,
        });
    }

    /// All masters that were started come to rest.
    pub fn stop_masters(&self) {
        self.state().masters.clear();
    }

    /// From now on nobody may come to let `stream` past, if it is not now.
    pub fn watch(&self, stream: u16) {
        let mut state = self.state();
        let fate = state.fate(stream);
        state.watched.push((stream, fate));
    }

    /// Lets syncs never complete from now on, or all again.
    pub fn hang(&self, hang: bool) {
        self.state().hang = hang;
    }

    /// Takes its power away: registers read as `garbage`, writes and DMA get nowhere.
    pub fn lose_power(&self, garbage: u32) {
        self.state().power = Power::Off(garbage);
    }

    /// Takes its power away where an access of a register would take the machine down.
    pub fn lose_power_fatally(&self) {
        self.state().power = Power::Fatal;
    }

    /// Power comes back, and with it the state after reset.
    pub fn regain_power(&self) {
        let mut state = self.state();
        *state = Self::new(state.identity, state.quirks, &state.memory).take();
    }

    fn take(self) -> State {
        Arc::try_unwrap(self.0)
            .unwrap_or_else(|_| panic!("a handle is left"))
            .into_inner()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// A device writes `value` at `address`. Says whether it was let.
    #[must_use]
    pub fn dma_write(&self, stream: u16, address: u64, value: u64) -> bool {
        self.state().dma(stream, address, Some(value)).is_some()
    }

    /// A device reads at `address`. `None` when it was refused.
    #[must_use]
    pub fn dma_read(&self, stream: u16, address: u64) -> Option<u64> {
        self.state().dma(stream, address, None)
    }

    /// Whether the device was told that its last access was refused, and not just given zeroes.
    #[must_use]
    pub fn was_told(&self) -> bool {
        self.state().told
    }

    /// Puts any values into the registers that record faults: those of the context bank to which streams lead, FSR,
    /// FSYNR0, FAR and CBFRSYNRA; and the global ones, GFSR, GFSYNR0, GFSYNR1, GFAR.
    pub fn set_faults(&self, context: (u32, u32, u64, u32), global: (u32, u32, u32, u64)) {
        let mut state = self.state();
        let bank = state
            .banks
            .iter_mut()
            .find(|bank| bank.sctlr & 1 != 0 && bank.cbar >> 16 & 3 == 0)
            .expect("one is on");
        (bank.fsr, bank.fsynr0, bank.far, bank.cbfrsynra) = context;
        (state.gfsr, state.gfsynr0, state.gfsynr1, state.gfar) = global;
    }

    /// How often a stalled access was terminated since this was last asked.
    #[must_use]
    pub fn resumed(&self) -> u32 {
        core::mem::take(&mut self.state().resumed)
    }

    /// How many stores to registers there were.
    #[must_use]
    pub fn stores(&self) -> u64 {
        self.state().stores
    }

    /// The registers that say what becomes of streams: CR0, ACR, and the SMR and S2CR of each group.
    #[must_use]
    pub fn mapping(&self) -> (u32, u32, Vec<(u32, u32)>) {
        let state = self.state();
        let groups = state.smr.iter().copied().zip(state.s2cr.iter().copied());
        (state.cr0, state.acr, groups.collect())
    }

    /// Context bank `n`: CBAR, CBA2R, SCTLR, TCR, ACTLR.
    #[must_use]
    pub fn bank(&self, n: usize) -> [u32; 5] {
        let bank = self.state().banks[n];
        [bank.cbar, bank.cba2r, bank.sctlr, bank.tcr, bank.actlr]
    }
}

impl State {
    /// Time passes: syncs come to an end, masters make their accesses.
    fn tick(&mut self) {
        if !self.hang {
            self.finish_syncs();
        }
        for n in 0..self.masters.len() {
            let master = &mut self.masters[n];
            let address = master.start + 8 * (master.next % master.words);
            master.next += 1;
            let stream = master.stream;
            match self.resolve(stream, address, false) {
                Ok(output) => assert_eq!(output, address, "stream {stream:#x} sees other memory"),
                Err(_) => panic!("stream {stream:#x}, which is live, is refused at {address:#x}"),
            }
        }
        for n in 0..self.watched.len() {
            let (stream, before) = self.watched[n];
            let now = self.fate(stream);
            assert!(
                !(now == Fate::Past && before != Fate::Past),
                "lets stream {stream:#x} past"
            );
            self.watched[n].1 = now;
        }
    }

    fn finish_syncs(&mut self) {
        if self.global_sync_polls == 1 {
            self.forget_now(None);
        }
        self.global_sync_polls = self.global_sync_polls.saturating_sub(1);
        for n in 0..self.banks.len() {
            if self.banks[n].sync_polls == 1 {
                self.forget_now(Some(n));
            }
            self.banks[n].sync_polls = self.banks[n].sync_polls.saturating_sub(1);
        }
    }

    /// Only here does it forget anything: what it was told by the registers of a context bank, or by any.
    fn forget_now(&mut self, bank: Option<usize>) {
        for (source, what) in core::mem::take(&mut self.forget) {
            if bank.is_some_and(|bank| source != Source::Bank(bank)) {
                self.forget.push((source, what));
                continue;
            }
            match what {
                Forget::Everything => {
                    self.translations.forget_all();
                    self.ahead.forget_all();
                    self.passed.clear();
                }
                Forget::Vm(vmid) => self.translations.forget_vm(vmid),
                Forget::Page { vmid, ipa } => self.translations.forget_range(vmid, ipa, ipa + 4096, false),
            }
        }
    }
}

impl Io for Model {
    fn load<T: Width>(&self, offset: usize) -> T {
        T::truncate(self.state().load(offset, T::BYTES))
    }

    fn store<T: Width>(&self, offset: usize, value: T) {
        self.state().store(offset, T::BYTES, value.widen());
    }

    fn publish(&self) {}

    fn observe(&self) {}
}
