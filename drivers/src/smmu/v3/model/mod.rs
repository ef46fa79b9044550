//! An SMMUv3 that acts.
//!
//! It takes commands, walks the stream table and the stage-2 tables that are in its memory, keeps what it has found until
//! a command has told it to forget *and* a CMD_SYNC has completed, grants or refuses the DMA that a test tries, writes
//! events, and stops at bad commands. It panics where a driver does what the manual forbids (IHI 0070), and wherever it
//! could let a stream past: at every access of a register it tries, as several streams, to reach an address that no
//! table maps.
//!
//! It shares no definition with the driver: numbers of registers and bits are written here once more.

mod commands;
mod translate;

use crate::mmio::{Io, Width};
use crate::smmu::model::Translations;
pub use crate::smmu::model::{SimMemory, Window};
use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::vec::Vec;

/// What the unit is doing when it is found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Initial {
    /// Disabled, and lets all streams past.
    Bypassing,
    /// Disabled, and refuses all streams.
    Aborting,
    /// Enabled by a loader, with a stream table that lets some streams past, commands waiting, and an error.
    Loader,
}

/// What does not come to an end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hang {
    /// Nothing hangs.
    Nothing,
    /// An update of GBPA.
    Gbpa,
    /// A change of CR0.
    Cr0,
    /// A change of IRQ_CTRL.
    IrqCtrl,
    /// Commands.
    Commands,
}

/// What the unit is.
#[derive(Clone, Copy, Debug)]
pub struct Identity {
    /// SMMU_IDR0.
    pub idr0: u32,
    /// SMMU_IDR1.
    pub idr1: u32,
    /// SMMU_IDR3.
    pub idr3: u32,
    /// SMMU_IDR5.
    pub idr5: u32,
    /// SMMU_AIDR.
    pub aidr: u32,
}

impl Identity {
    /// As QEMU 10.0's virt machine has it.
    pub const QEMU: Self = Self {
        idr0: 0x0d44_101b,
        idr1: 0x0273_0010,
        idr3: 0x1414,
        idr5: 0x74,
        aidr: 1,
    };

    const fn idr0_bit(&self, bit: u32) -> bool {
        self.idr0 >> bit & 1 != 0
    }
}

/// What the unit remembers.
#[derive(Default)]
struct Caches {
    descriptors: HashMap<u32, u64>,
    entries: HashMap<u32, [u64; 8]>,
    translations: Translations,
}

/// What it has been told to forget, and has not yet.
#[derive(Clone, Copy)]
enum Forget {
    Configuration,
    Everything,
    Vm(u16),
    Ipa {
        vmid: u16,
        start: u64,
        end: u64,
        leaf: bool,
    },
}

struct State {
    identity: Identity,
    memory: SimMemory,
    hang: Hang,
    /// Registers that just keep what is written.
    plain: BTreeMap<usize, u64>,
    cr0: u32,
    cr0ack: u32,
    cr0_polls: u32,
    gbpa: u32,
    gbpa_effective: u32,
    gbpa_polls: u32,
    irq_ctrl: u32,
    irq_ctrlack: u32,
    gerror: u32,
    gerrorn: u32,
    cmdq_prod: u32,
    cmdq_cons: u32,
    eventq_prod: u32,
    eventq_cons: u32,
    caches: Caches,
    forget: Vec<Forget>,
    /// It does not let streams past untranslated.
    closed: bool,
    /// It refuses all streams that are not on tables of the driver's.
    armed: bool,
    /// An address that nobody may reach from then on.
    canary: u64,
    quiet: bool,
    bad_command: bool,
    full_is_an_abort: bool,
    commands_done: u64,
}

const CMDQEN: u32 = 1 << 3;
const EVENTQEN: u32 = 1 << 2;
const SMMUEN: u32 = 1;
const ABORT: u32 = 1 << 20;
const UPDATE: u32 = 1 << 31;
const CMDQ_ERR: u32 = 1;
const EVENTQ_ABT_ERR: u32 = 1 << 2;

/// How many accesses of a register a change takes.
const POLLS: u32 = 3;
/// How many commands it takes between two accesses of a register.
const COMMANDS_A_POLL: usize = 2;

/// The model; clones are handles of the same unit.
#[derive(Clone)]
pub struct Model(Arc<Mutex<State>>);

impl Model {
    /// A unit, found as `initial`, in `memory`. Nobody may reach `canary`, ever.
    #[must_use]
    pub fn new(identity: Identity, initial: Initial, memory: &SimMemory, canary: u64) -> Self {
        let mut state = State {
            identity,
            memory: memory.clone(),
            hang: Hang::Nothing,
            plain: BTreeMap::new(),
            cr0: 0,
            cr0ack: 0,
            cr0_polls: 0,
            gbpa: 0x1000,
            gbpa_effective: 0x1000,
            gbpa_polls: 0,
            irq_ctrl: 0,
            irq_ctrlack: 0,
            gerror: 0,
            gerrorn: 0,
            cmdq_prod: 0,
            cmdq_cons: 0,
            eventq_prod: 0,
            eventq_cons: 0,
            caches: Caches::default(),
            forget: Vec::new(),
            closed: false,
            armed: false,
            canary,
            quiet: false,
            bad_command: false,
            full_is_an_abort: false,
            commands_done: 0,
        };
        match initial {
            Initial::Bypassing => {}
            Initial::Aborting => {
                state.gbpa |= ABORT;
                state.gbpa_effective = state.gbpa;
            }
            Initial::Loader => state.as_a_loader_left_it(),
        }
        Self(Arc::new(Mutex::new(state)))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lets something hang from now on.
    pub fn hang(&self, what: Hang) {
        self.state().hang = what;
    }

    /// A device writes `value` at `address`. Says whether it was let.
    #[must_use]
    pub fn dma_write(&self, stream: u32, address: u64, value: u64) -> bool {
        self.state().dma(stream, address, Some(value)).is_some()
    }

    /// A device reads at `address`. `None` when it was refused.
    #[must_use]
    pub fn dma_read(&self, stream: u32, address: u64) -> Option<u64> {
        self.state().dma(stream, address, None)
    }

    /// A device writes, saying that it has translated the address itself (PCIe ATS). Says whether it was let.
    #[must_use]
    pub fn dma_translated(&self, stream: u32) -> bool {
        self.state().translated(stream)
    }

    /// The next command is not understood, whatever it is.
    pub fn misread_next_command(&self) {
        self.state().bad_command = true;
    }

    /// When the event queue is full, it says EVENTQ_ABT_ERR, as QEMU does, and not OVFLG.
    pub fn say_abort_when_full(&self) {
        self.state().full_is_an_abort = true;
    }

    /// Raises errors of SMMU_GERROR.
    pub fn raise(&self, errors: u32) {
        let mut state = self.state();
        state.gerror = state.gerrorn ^ errors;
    }

    /// Puts any 32 bytes into the event queue, as an event.
    pub fn record(&self, record: [u64; 4]) {
        self.state().record(record);
    }

    /// Sets the event queue's producer index to any value.
    pub fn set_eventq_prod(&self, value: u32) {
        self.state().eventq_prod = value;
    }

    /// How many commands it has taken.
    #[must_use]
    pub fn commands_done(&self) -> u64 {
        self.state().commands_done
    }

    /// SMMU_CR0ACK.
    #[must_use]
    pub fn cr0ack(&self) -> u32 {
        self.state().cr0ack
    }

    /// Whether any interrupt would be a write to memory.
    #[must_use]
    pub fn has_messages(&self) -> bool {
        let state = self.state();
        [0x68, 0xb0, 0xd0].iter().any(|register| state.plain(*register) != 0)
    }
}

impl State {
    fn plain(&self, register: usize) -> u64 {
        self.plain.get(&register).copied().unwrap_or(0)
    }

    fn as_a_loader_left_it(&mut self) {
        // A linear table of 16 streams at 4 GiB, all let past, one of them remembered; a command queue there too, whose
        // only command is not one.
        let table = 0x1_0000_0000;
        for stream in 0..16 {
            self.memory.write(table + 64 * stream, 0b1001);
        }
        self.plain.insert(0x80, table);
        self.plain.insert(0x88, 4);
        self.plain.insert(0x90, 0x1_0001_0000 | 4);
        if self.identity.idr0_bit(13) {
            self.plain.insert(0x68, 0x1_0002_0000);
            self.plain.insert(0xb0, 0x1_0002_0000);
        }
        self.memory.write(0x1_0001_0000, 0xff);
        self.cmdq_prod = 1;
        self.gerror = CMDQ_ERR;
        self.cr0 = SMMUEN | CMDQEN | EVENTQEN;
        self.cr0ack = self.cr0;
        self.irq_ctrl = 0b101;
        self.irq_ctrlack = 0b101;
        self.caches.entries.insert(8, [0b1001, 0, 0, 0, 0, 0, 0, 0]);
    }

    /// Time passes: changes take effect, commands are taken.
    fn tick(&mut self) {
        if self.cr0_polls > 0 && self.hang != Hang::Cr0 {
            self.cr0_polls -= 1;
            if self.cr0_polls == 0 {
                self.cr0ack = self.cr0 & self.cr0_fields();
            }
        }
        if self.gbpa_polls > 0 && self.hang != Hang::Gbpa {
            self.gbpa_polls -= 1;
            if self.gbpa_polls == 0 {
                self.gbpa &= !UPDATE;
                self.gbpa_effective = self.gbpa;
            }
        }
        if self.hang != Hang::IrqCtrl {
            self.irq_ctrlack = self.irq_ctrl;
        }
        for _ in 0..COMMANDS_A_POLL {
            self.take_command();
        }
        self.try_to_pass();
    }

    /// The fields of CR0 that are there: ATSCHK and PRIQEN only with ATS and PRI.
    fn cr0_fields(&self) -> u32 {
        let ats = u32::from(self.identity.idr0_bit(10)) << 4;
        let pri = u32::from(self.identity.idr0_bit(16)) << 1;
        CMDQEN | EVENTQEN | SMMUEN | ats | pri
    }

    /// Whether a stream might be let past untranslated just now, a change under way counting both ways.
    fn may_bypass(&self) -> bool {
        let translates = self.cr0 & self.cr0ack & SMMUEN != 0;
        let refuses = self.gbpa & self.gbpa_effective & ABORT != 0;
        !translates && !refuses
    }

    /// What once refused streams may never let them past again; and from when it is disabled and refuses, nobody may
    /// ever reach the canary.
    fn try_to_pass(&mut self) {
        assert!(!(self.closed && self.may_bypass()), "lets streams past");
        self.closed |= !self.may_bypass();
        self.armed |= self.closed && self.cr0ack & SMMUEN == 0;
        if !self.armed {
            return;
        }
        self.quiet = true;
        for stream in [0, 8, 0xffff] {
            assert_eq!(
                self.dma(stream, self.canary, None),
                None,
                "stream {stream} has got past"
            );
        }
        self.quiet = false;
    }

    fn load(&mut self, offset: usize, bytes: usize) -> u64 {
        let value = match (offset, bytes) {
            (0x00, 4) => u64::from(self.identity.idr0),
            (0x04, 4) => u64::from(self.identity.idr1),
            (0x0c, 4) => u64::from(self.identity.idr3),
            (0x14, 4) => u64::from(self.identity.idr5),
            (0x1c, 4) => u64::from(self.identity.aidr),
            (0x20, 4) => u64::from(self.cr0),
            (0x24, 4) => u64::from(self.cr0ack),
            (0x44, 4) => u64::from(self.gbpa),
            (0x50, 4) => u64::from(self.irq_ctrl),
            (0x54, 4) => u64::from(self.irq_ctrlack),
            (0x60, 4) => u64::from(self.gerror),
            (0x64, 4) => u64::from(self.gerrorn),
            (0x98, 4) => u64::from(self.cmdq_prod),
            (0x9c, 4) => u64::from(self.cmdq_cons),
            (0x1_00a8, 4) => u64::from(self.eventq_prod),
            (0x1_00ac, 4) => u64::from(self.eventq_cons),
            _ => panic!("reads {bytes} bytes at {offset:#x}"),
        };
        self.tick();
        value
    }

    fn store(&mut self, offset: usize, bytes: usize, value: u64) {
        assert!(
            offset == 0x44 || !self.may_bypass(),
            "writes {offset:#x} while streams are let past"
        );
        let word = value as u32;
        match (offset, bytes) {
            (0x20, 4) => self.write_cr0(word),
            (0x44, 4) => {
                assert_eq!(self.gbpa & UPDATE, 0, "writes GBPA during an update");
                assert_ne!(word & UPDATE, 0, "writes GBPA without Update");
                self.gbpa = word;
                self.gbpa_polls = POLLS;
            }
            (0x50, 4) => {
                let messages = [0x68, 0xb0, 0xd0].iter().any(|register| self.plain(*register) != 0);
                assert!(word == 0 || !messages, "enables interrupts that are writes to memory");
                self.irq_ctrl = word;
            }
            (0x64, 4) => self.gerrorn = word,
            (0x98, 4) => self.write_cmdq_prod(word),
            (0x9c, 4) => {
                self.only_while(0x9c, self.cr0 | self.cr0ack, CMDQEN);
                self.cmdq_cons = word;
            }
            (0x1_00a8, 4) => {
                self.only_while(0x1_00a8, self.cr0 | self.cr0ack, EVENTQEN);
                self.eventq_prod = word;
            }
            (0x1_00ac, 4) => self.eventq_cons = word,
            // CR1, CR2, STRTAB_BASE and its CFG.
            (0x28, 4) => self.keep(offset, value, SMMUEN | CMDQEN | EVENTQEN),
            (0x2c | 0x88, 4) | (0x80, 8) => self.keep(offset, value, SMMUEN),
            (0x90, 8) => self.keep(offset, value, CMDQEN),
            (0xa0, 8) => self.keep(offset, value, EVENTQEN),
            (0x68 | 0xb0 | 0xd0, 8) => {
                assert!(self.identity.idr0_bit(13), "messages are not there");
                assert_eq!(self.irq_ctrl | self.irq_ctrlack, 0, "writes {offset:#x} while enabled");
                self.plain.insert(offset, value);
            }
            _ => panic!("writes {bytes} bytes at {offset:#x}"),
        }
        self.tick();
    }

    fn only_while(&self, offset: usize, enabled: u32, none_of: u32) {
        assert_eq!(enabled & none_of, 0, "writes {offset:#x} while in use");
    }

    fn keep(&mut self, offset: usize, value: u64, none_of: u32) {
        self.only_while(offset, self.cr0 | self.cr0ack, none_of);
        self.plain.insert(offset, value);
    }

    fn write_cr0(&mut self, value: u32) {
        let under_way = self.cr0 ^ self.cr0ack;
        assert_eq!(
            (value ^ self.cr0) & under_way & self.cr0_fields(),
            0,
            "changes a field of CR0 whose change is under way"
        );
        assert_eq!(value & !self.cr0_fields(), 0, "sets reserved fields of CR0");
        self.cr0 = value;
        self.cr0_polls = POLLS;
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
