//! A serial engine that acts: sequencers with their commands, FIFOs with their packing, interrupts, and a clock that can
//! stop. What is at the other end of the wire is a [`Wire`]; the models of the drivers above have one each.
//!
//! It panics where a driver does what no command sequence of the engine allows.

mod fifo;
mod sequencer;

pub use sequencer::Command;

use super::registers::{
    BYTES_PER_WORD, GENI_CGC, GENI_FORCE_DEFAULT, GENI_FW_REVISION, GENI_FW_REVISION_RO, GENI_IF_DISABLE, GENI_IRQ,
    GENI_OUTPUT, GENI_SER_CLK_CFG, GENI_SER_M_CLK_CFG, GENI_STATUS, SE_DMA_GENERAL, SE_GENI_BYTE_GRAN,
    SE_GENI_DMA_MODE_EN, SE_GENI_M_CMD_CTRL_REG, SE_GENI_M_CMD0, SE_GENI_M_GP_LENGTH, SE_GENI_M_IRQ_CLEAR,
    SE_GENI_M_IRQ_EN, SE_GENI_M_IRQ_STATUS, SE_GENI_RX_FIFO, SE_GENI_RX_FIFO_STATUS, SE_GENI_RX_PACKING_CFG0,
    SE_GENI_RX_PACKING_CFG1, SE_GENI_RX_RFR_WATERMARK_REG, SE_GENI_RX_WATERMARK_REG, SE_GENI_S_CMD_CTRL_REG,
    SE_GENI_S_CMD0, SE_GENI_S_IRQ_CLEAR, SE_GENI_S_IRQ_EN, SE_GENI_S_IRQ_EN_CLEAR, SE_GENI_S_IRQ_EN_SET,
    SE_GENI_S_IRQ_STATUS, SE_GENI_STATUS, SE_GENI_TX_FIFO, SE_GENI_TX_FIFO_STATUS, SE_GENI_TX_PACKING_CFG0,
    SE_GENI_TX_PACKING_CFG1, SE_GENI_TX_WATERMARK_REG, SE_GSI_EVENTS, SE_HW_PARAM, SE_HW_PARAM_0, SE_HW_PARAM_1,
    SE_IRQ, SE_IRQ_EN,
};
use super::{BitOrder, Packing};
use crate::mmio::{Io, Width};
use sequencer::Sequencer;
use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tock_registers::LocalRegisterCopy;

/// Words in each FIFO.
pub const DEPTH: usize = 16;

/// The protocol registers, which all mean something else to each protocol; programmed between commands only.
const PROTOCOL_REGISTERS: core::ops::Range<usize> = 0x200..0x2c0;

type Value<R> = LocalRegisterCopy<u32, R>;

/// What an engine's firmware does with its commands, and who answers.
pub trait Wire: Send {
    /// FW_REVISION's PROTOCOL.
    const PROTOCOL: u32;

    /// The main sequencer starts `command`.
    fn begin(&mut self, engine: &mut Core, command: Command);

    /// The time of one byte passes.
    fn step(&mut self, engine: &mut Core);

    /// The main sequencer's command has been cancelled or aborted.
    fn stopped(&mut self, _: &mut Core) {}
}

/// The engine itself.
pub struct Core {
    registers: BTreeMap<usize, u32>,
    main: Sequencer,
    secondary: Sequencer,
    moved: u32,
    /// The last command has failed.
    failed: bool,
    tx: VecDeque<u32>,
    sending: Option<(u32, usize)>,
    rx: VecDeque<(u32, usize, bool)>,
    receiving: (u32, usize),
    clocked: bool,
    /// Looks in the time of a byte; zero when looks take no time.
    looks_per_byte: usize,
    loads: usize,
}

impl Core {
    fn new(protocol: u32) -> Self {
        let hw_param = SE_HW_PARAM::FIFO_WIDTH.val(32) + SE_HW_PARAM::FIFO_DEPTH.val(DEPTH as u32);
        let registers = [
            (
                GENI_FW_REVISION.offset(),
                GENI_FW_REVISION_RO::PROTOCOL.val(protocol).value,
            ),
            (SE_HW_PARAM_0.offset(), hw_param.value),
            (SE_HW_PARAM_1.offset(), hw_param.value),
        ];
        Self {
            registers: registers.into(),
            main: Sequencer::default(),
            secondary: Sequencer::default(),
            moved: 0,
            failed: false,
            tx: VecDeque::new(),
            sending: None,
            rx: VecDeque::new(),
            receiving: (0, 0),
            clocked: true,
            looks_per_byte: 0,
            loads: 0,
        }
    }

    /// What was last written to a register, or what firmware left there.
    #[must_use]
    pub fn register(&self, offset: usize) -> u32 {
        self.registers.get(&offset).copied().unwrap_or(0)
    }

    /// Firmware has left `value` in a register.
    pub fn set_register(&mut self, offset: usize, value: u32) {
        self.registers.insert(offset, value);
    }

    /// The main sequencer's command.
    #[must_use]
    pub fn command(&self) -> Option<Command> {
        self.main.command
    }

    /// The secondary sequencer runs a command.
    #[must_use]
    pub fn receives(&self) -> bool {
        self.secondary.command.is_some()
    }

    /// How many bytes the main sequencer's command has moved.
    #[must_use]
    pub fn moved(&self) -> u32 {
        self.moved
    }

    /// The main sequencer's command has moved a byte.
    pub fn advance(&mut self) {
        self.moved += 1;
    }

    /// The main sequencer's command is done.
    pub fn finish(&mut self) {
        assert!(self.tx.is_empty(), "the FIFO holds more than the command takes");
        self.main.command = None;
        self.main.raise(GENI_IRQ::CMD_DONE::SET);
    }

    /// The main sequencer's command fails, for the reason that `irqs` tell.
    pub fn fail(&mut self, irqs: u32) {
        self.main.command = None;
        self.failed = true;
        self.flush_received();
        self.main.status |= irqs | (GENI_IRQ::CMD_FAILURE::SET + GENI_IRQ::CMD_DONE::SET).value;
    }

    /// Something has happened to the main sequencer's command, which goes on.
    pub fn raise_main(&mut self, irqs: u32) {
        self.main.status |= irqs;
    }

    /// Something has happened to the secondary sequencer.
    pub fn raise_secondary(&mut self, irqs: u32) {
        self.secondary.status |= irqs;
    }

    fn levels(&mut self) {
        if self.main.command.is_some()
            && self.tx.len() <= self.register(SE_GENI_TX_WATERMARK_REG.offset()) as usize
            && self.register(SE_GENI_TX_WATERMARK_REG.offset()) != 0
        {
            self.main.raise(GENI_IRQ::TX_FIFO_WATERMARK::SET);
        }
        if self.rx.len() >= self.register(SE_GENI_RX_WATERMARK_REG.offset()).max(1) as usize {
            self.main.raise(GENI_IRQ::RX_FIFO_WATERMARK::SET);
            self.secondary.raise(GENI_IRQ::RX_FIFO_WATERMARK::SET);
        }
    }

    fn status(&self) -> u32 {
        (GENI_STATUS::M_GENI_CMD_ACTIVE.val(self.main.command.is_some().into())
            + GENI_STATUS::S_GENI_CMD_ACTIVE.val(self.secondary.command.is_some().into()))
        .value
    }

    fn load(&mut self, offset: usize) -> u32 {
        match offset {
            _ if offset == SE_GENI_STATUS.offset() => self.status(),
            _ if offset == SE_GENI_M_GP_LENGTH.offset() => self.moved,
            _ if offset == SE_GENI_M_IRQ_STATUS.offset() => {
                let secondary = self.secondary.status & self.secondary.enabled != 0;
                self.main.status | GENI_IRQ::SEC_IRQ.val(secondary.into()).value
            }
            _ if offset == SE_GENI_S_IRQ_STATUS.offset() => self.secondary.status,
            _ if offset == SE_GENI_M_IRQ_EN.offset() => self.main.enabled,
            _ if offset == SE_GENI_S_IRQ_EN.offset() => self.secondary.enabled,
            _ if offset == SE_GENI_TX_FIFO_STATUS.offset() => self.tx.len() as u32,
            _ if offset == SE_GENI_RX_FIFO_STATUS.offset() => self.rx_status(),
            _ if offset == SE_GENI_RX_FIFO.offset() => self.rx.pop_front().expect("reads an empty FIFO").0,
            _ if READ_BACK.contains(&offset) || PROTOCOL_REGISTERS.contains(&offset) => self.register(offset),
            _ => panic!("reads {offset:#x}"),
        }
    }

    /// Stores to what is not started here. A command that this starts is returned.
    fn store(&mut self, offset: usize, value: u32) -> Option<Command> {
        match offset {
            _ if offset == SE_GENI_M_CMD0.offset() => return Some(self.start(value)),
            _ if offset == SE_GENI_M_CMD_CTRL_REG.offset() => self.main.control(value),
            _ if offset == SE_GENI_S_CMD0.offset() => {
                self.secondary.start(value);
            }
            _ if offset == SE_GENI_S_CMD_CTRL_REG.offset() => self.secondary.control(value),
            _ if offset == SE_GENI_M_IRQ_CLEAR.offset() => self.main.status &= !value,
            _ if offset == SE_GENI_M_IRQ_EN.offset() => self.main.enabled = value,
            _ if offset == SE_GENI_S_IRQ_CLEAR.offset() => self.secondary.status &= !value,
            _ if offset == SE_GENI_S_IRQ_EN.offset() => self.secondary.enabled = value,
            _ if offset == SE_GENI_S_IRQ_EN_SET.offset() => self.secondary.enabled |= value,
            _ if offset == SE_GENI_S_IRQ_EN_CLEAR.offset() => self.secondary.enabled &= !value,
            _ if offset == SE_GENI_TX_FIFO.offset() => {
                // A command may fail at any time: what it would have taken is forgotten.
                if self.failed {
                    return None;
                }
                assert!(self.main.command.is_some(), "fills the FIFO for no command");
                assert!(self.tx.len() < DEPTH, "sends into a full FIFO");
                self.tx.push_back(value);
            }
            _ if LENGTHS.contains(&offset) => {
                assert_eq!(self.main.command, None, "programs a length while a command runs");
                self.registers.insert(offset, value);
            }
            _ if PROGRAMMED.contains(&offset) || PROTOCOL_REGISTERS.contains(&offset) => {
                assert_eq!(self.status(), 0, "programs {offset:#x} while a command runs");
                self.registers.insert(offset, value);
            }
            _ if WATERMARKS.contains(&offset) => {
                self.registers.insert(offset, value);
            }
            _ => panic!("writes {offset:#x}"),
        }
        self.levels();
        None
    }

    fn start(&mut self, value: u32) -> Command {
        assert_eq!(
            self.register(SE_GENI_DMA_MODE_EN.offset()),
            0,
            "uses a FIFO in DMA mode"
        );
        // What a command before did not take is not sent (Linux qcom_geni_serial.c, qcom_geni_serial_start_tx_fifo).
        self.tx.clear();
        self.sending = None;
        (self.moved, self.failed) = (0, false);
        self.main.start(value)
    }
}

/// The lengths of the main sequencer's next command, whatever its protocol.
const LENGTHS: [usize; 2] = [0x26c, 0x270];

/// Registers that are programmed while no command runs.
const PROGRAMMED: [usize; 10] = [
    GENI_FORCE_DEFAULT.offset(),
    GENI_OUTPUT.offset(),
    GENI_CGC.offset(),
    GENI_SER_M_CLK_CFG.offset(),
    super::registers::GENI_SER_S_CLK_CFG.offset(),
    0x7c,
    SE_GSI_EVENTS.offset(),
    SE_IRQ.offset(),
    SE_DMA_GENERAL.offset(),
    SE_GENI_BYTE_GRAN.offset(),
];

/// Registers that are programmed at any time.
const WATERMARKS: [usize; 3] = [
    SE_GENI_TX_WATERMARK_REG.offset(),
    SE_GENI_RX_WATERMARK_REG.offset(),
    SE_GENI_RX_RFR_WATERMARK_REG.offset(),
];

/// Registers that hold what was written, or what the engine is.
const READ_BACK: [usize; 8] = [
    GENI_FW_REVISION.offset(),
    GENI_IF_DISABLE.offset(),
    SE_HW_PARAM_0.offset(),
    SE_HW_PARAM_1.offset(),
    GENI_CGC.offset(),
    SE_DMA_GENERAL.offset(),
    GENI_OUTPUT.offset(),
    GENI_SER_M_CLK_CFG.offset(),
];

struct State<W> {
    core: Core,
    wire: W,
}

impl<W: Wire> State<W> {
    fn run(&mut self) {
        if !self.core.clocked {
            return;
        }
        if self.core.main.obey() {
            self.wire.stopped(&mut self.core);
        }
        self.core.secondary.obey();
        self.wire.step(&mut self.core);
        self.core.levels();
    }
}

/// The model; clones are handles of the same engine.
pub struct Model<W>(Arc<Mutex<State<W>>>);

impl<W> Clone for Model<W> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<W: Wire> Model<W> {
    /// An engine as firmware leaves it: loaded with its protocol, clocked, and idle.
    #[must_use]
    pub fn with_wire(wire: W) -> Self {
        let core = Core::new(W::PROTOCOL);
        Self(Arc::new(Mutex::new(State { core, wire })))
    }

    fn state(&self) -> MutexGuard<'_, State<W>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Looks at the engine and its wire, or changes them.
    pub fn with<T>(&self, f: impl FnOnce(&mut Core, &mut W) -> T) -> T {
        let state = &mut *self.state();
        f(&mut state.core, &mut state.wire)
    }

    /// Lets the time of `bytes` bytes pass.
    pub fn run(&self, bytes: usize) {
        let mut state = self.state();
        for _ in 0..bytes {
            state.run();
        }
    }

    /// Lets the time of one byte pass each time a driver looks, or not.
    pub fn run_on_poll(&self, on: bool) {
        self.run_slowly(usize::from(on));
    }

    /// Lets the time of one byte pass each time a driver has looked `looks` times.
    pub fn run_slowly(&self, looks: usize) {
        self.state().core.looks_per_byte = looks;
    }

    /// Stops the engine's clock, or starts it again: without it registers answer, and nothing moves.
    pub fn set_clocked(&self, on: bool) {
        self.state().core.clocked = on;
    }

    /// Makes both sequencers deaf to CANCEL, and to ABORT.
    pub fn make_deaf(&self, to_cancel: bool, to_abort: bool) {
        let core = &mut self.state().core;
        for sequencer in [&mut core.main, &mut core.secondary] {
            sequencer.uncancellable = to_cancel;
            sequencer.unabortable = to_abort;
        }
    }

    /// Firmware has left `value` in the register at `offset`.
    pub fn left_by_firmware(&self, offset: usize, value: u32) {
        self.state().core.set_register(offset, value);
    }

    /// Firmware has left a command running, with `bytes` in the FIFO, and receives or not.
    pub fn left_running(&self, opcode: u32, bytes: &[u8], receives: bool) {
        let command = Command { opcode, params: 0 };
        let packing = Packing::new(BYTES_PER_WORD, BitOrder::LsbFirst);
        let state = &mut *self.state();
        let core = &mut state.core;
        core.set_register(SE_GENI_TX_PACKING_CFG0.offset(), packing.cfg0);
        core.set_register(SE_GENI_TX_PACKING_CFG1.offset(), packing.cfg1);
        core.set_register(SE_GENI_RX_PACKING_CFG0.offset(), packing.cfg0);
        core.set_register(SE_GENI_RX_PACKING_CFG1.offset(), packing.cfg1);
        core.tx.extend(bytes.chunks(BYTES_PER_WORD).map(|chunk| {
            let mut word = [0; BYTES_PER_WORD];
            word[..chunk.len()].copy_from_slice(chunk);
            u32::from_le_bytes(word)
        }));
        core.main.command = (!bytes.is_empty()).then_some(command);
        core.secondary.command = receives.then_some(command);
        if !bytes.is_empty() {
            state.wire.begin(core, command);
        }
    }

    /// How often a driver has looked.
    #[must_use]
    pub fn loads(&self) -> usize {
        self.state().core.loads
    }

    /// The engine's interrupt line.
    #[must_use]
    pub fn interrupt(&self) -> bool {
        let state = self.state();
        let lines = Value::<SE_IRQ_EN::Register>::new(state.core.register(SE_IRQ.offset()));
        let raised = |sequencer: &Sequencer| sequencer.status & sequencer.enabled != 0;
        lines.is_set(SE_IRQ_EN::GENI_M) && raised(&state.core.main)
            || lines.is_set(SE_IRQ_EN::GENI_S) && raised(&state.core.secondary)
    }

    /// By how much the clock is divided. `None` while SER_CLK_EN is clear.
    #[must_use]
    pub fn divider(&self) -> Option<u32> {
        let clock = Value::<GENI_SER_CLK_CFG::Register>::new(self.state().core.register(GENI_SER_M_CLK_CFG.offset()));
        clock
            .is_set(GENI_SER_CLK_CFG::SER_CLK_EN)
            .then(|| clock.read(GENI_SER_CLK_CFG::CLK_DIV))
    }
}

impl<W: Wire> Io for Model<W> {
    fn load<T: Width>(&self, offset: usize) -> T {
        assert_eq!(T::BYTES, 4, "an engine is accessed by words");
        let mut state = self.state();
        state.core.loads += 1;
        let core = &state.core;
        if core.looks_per_byte != 0 && core.loads.is_multiple_of(core.looks_per_byte) {
            state.run();
        }
        T::truncate(u64::from(state.core.load(offset)))
    }

    fn store<T: Width>(&self, offset: usize, value: T) {
        assert_eq!(T::BYTES, 4, "an engine is accessed by words");
        let state = &mut *self.state();
        if let Some(command) = state.core.store(offset, value.widen() as u32) {
            state.wire.begin(&mut state.core, command);
        }
    }

    fn publish(&self) {}

    fn observe(&self) {}
}
