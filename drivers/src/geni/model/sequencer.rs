//! A sequencer: one command at a time, which ends by itself, by CANCEL or by ABORT.

use super::super::registers::{GENI_CMD_CTRL_REG, GENI_CMD0, GENI_IRQ};
use super::Value;
use tock_registers::fields::FieldValue;

type Irq = FieldValue<u32, GENI_IRQ::Register>;

/// A command of a sequencer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Command {
    /// What to do.
    pub opcode: u32,
    /// With which parameters.
    pub params: u32,
}

/// A sequencer.
#[derive(Default)]
pub(super) struct Sequencer {
    pub command: Option<Command>,
    stopping: Option<Stop>,
    /// It does not react to CANCEL.
    pub uncancellable: bool,
    /// It does not react to ABORT.
    pub unabortable: bool,
    pub status: u32,
    pub enabled: u32,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Stop {
    Cancel,
    Abort,
}

impl Sequencer {
    pub fn raise(&mut self, irq: Irq) {
        self.status |= irq.value;
    }

    pub fn start(&mut self, value: u32) -> Command {
        assert_eq!(self.command, None, "starts a command while one runs");
        let value = Value::<GENI_CMD0::Register>::new(value);
        let command = Command {
            opcode: value.read(GENI_CMD0::OPCODE),
            params: value.read(GENI_CMD0::PARAMS),
        };
        self.command = Some(command);
        command
    }

    pub fn control(&mut self, value: u32) {
        let value = Value::<GENI_CMD_CTRL_REG::Register>::new(value);
        self.stopping = match (
            value.is_set(GENI_CMD_CTRL_REG::CANCEL),
            value.is_set(GENI_CMD_CTRL_REG::ABORT),
        ) {
            (true, false) => Some(Stop::Cancel),
            (false, true) => Some(Stop::Abort),
            _ => panic!("neither cancels nor aborts"),
        };
    }

    /// Cancels or aborts what was asked to. `true` when that ended a command.
    pub fn obey(&mut self) -> bool {
        let stop = match self.stopping.take() {
            Some(Stop::Cancel) if !self.uncancellable => GENI_IRQ::CMD_CANCEL::SET,
            Some(Stop::Abort) if !self.unabortable => GENI_IRQ::CMD_ABORT::SET,
            _ => return false,
        };
        self.raise(stop);
        self.command.take().is_some()
    }
}
