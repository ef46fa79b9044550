//! A serial engine as an SPI controller, with chips that answer a byte behind, as shift registers do.

use super::registers::{
    PARAMS, SE_SPI_CPHA, SE_SPI_CPOL, SE_SPI_DEMUX_SEL, SE_SPI_RX_TRANS_LEN, SE_SPI_TX_TRANS_LEN, SPI_CS_ASSERT,
    SPI_CS_DEASSERT, SPI_RX_ONLY, SPI_TX_ONLY,
};
use crate::geni::BitOrder;
use crate::geni::model::{self, Command, Core, Wire};
use crate::geni::registers::GENI_IRQ;
use std::vec::Vec;

/// What is seen on the bus.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Symbol {
    /// A chip select goes low.
    Select(u32),
    /// It goes high again.
    Deselect,
    /// A byte each way: out, if the controller sends, and in, if it listens.
    Byte(Option<u8>, Option<u8>),
}

/// The chips: each answers with the byte it got before, plus one.
#[derive(Default)]
pub struct Chips {
    symbols: Vec<Symbol>,
    held: u8,
    /// After this many bytes the engine reports that a command is none.
    fails_after: Option<usize>,
}

impl Wire for Chips {
    const PROTOCOL: u32 = 1;

    fn begin(&mut self, engine: &mut Core, command: Command) {
        match command.opcode {
            SPI_CS_ASSERT | SPI_CS_DEASSERT => assert_eq!(command.params, 0, "parameters of a chip select"),
            1..=3 => {
                assert_eq!(
                    command.params,
                    PARAMS::FRAGMENTATION::SET.value,
                    "lets the chip select go"
                );
                let len = |offset| engine.register(offset) as usize;
                assert!(
                    len(SE_SPI_RX_TRANS_LEN.offset()) <= model::DEPTH * 4,
                    "receives more than fits"
                );
            }
            opcode => panic!("command {opcode}"),
        }
    }

    fn step(&mut self, engine: &mut Core) {
        let Some(command) = engine.command() else { return };
        if let Some(left) = self.fails_after.as_mut() {
            if *left == 0 {
                self.fails_after = None;
                return engine.fail(GENI_IRQ::ILLEGAL_CMD::SET.value);
            }
            *left -= 1;
        }
        match command.opcode {
            SPI_CS_ASSERT => {
                self.symbols
                    .push(Symbol::Select(engine.register(SE_SPI_DEMUX_SEL.offset())));
                return engine.finish();
            }
            SPI_CS_DEASSERT => {
                self.symbols.push(Symbol::Deselect);
                return engine.finish();
            }
            _ => {}
        }
        let (sends, receives) = (command.opcode & SPI_TX_ONLY != 0, command.opcode & SPI_RX_ONLY != 0);
        let mut out = None;
        if sends {
            out = engine.next_byte(BitOrder::MsbFirst);
            if out.is_none() {
                return;
            }
        }
        let back = core::mem::replace(&mut self.held, out.unwrap_or(0xff).wrapping_add(1));
        if receives {
            assert!(engine.receive(back, BitOrder::MsbFirst), "overruns the FIFO");
        }
        self.symbols.push(Symbol::Byte(out, receives.then_some(back)));
        engine.advance();
        let len = if sends {
            SE_SPI_TX_TRANS_LEN
        } else {
            SE_SPI_RX_TRANS_LEN
        };
        if engine.moved() == engine.register(len.offset()) {
            if receives {
                engine.end_receive();
            }
            engine.finish();
        }
    }

    fn stopped(&mut self, engine: &mut Core) {
        engine.flush_received();
    }
}

/// The model; clones are handles of the same controller.
pub type Model = model::Model<Chips>;

impl Model {
    /// A controller as firmware leaves it: clocked, and idle.
    #[must_use]
    pub fn new() -> Self {
        Self::with_wire(Chips::default())
    }

    /// All that was seen on the bus so far.
    #[must_use]
    pub fn symbols(&self) -> Vec<Symbol> {
        self.with(|_, chips| chips.symbols.clone())
    }

    /// Lets a command fail after so many bytes.
    pub fn fail_after(&self, bytes: usize) {
        self.with(|_, chips| chips.fails_after = Some(bytes));
    }

    /// CPHA and CPOL.
    #[must_use]
    pub fn mode(&self) -> (u32, u32) {
        self.with(|engine, _| {
            (
                engine.register(SE_SPI_CPHA.offset()),
                engine.register(SE_SPI_CPOL.offset()),
            )
        })
    }
}

impl Default for Model {
    fn default() -> Self {
        Self::new()
    }
}
