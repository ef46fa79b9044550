//! A serial engine as a UART, with a line that a test listens to and talks on.

use super::registers::{SE_UART_TX_TRANS_CFG, SE_UART_TX_TRANS_LEN, SE_UART_TX_WORD_LEN, UART_START_TX};
use crate::geni::BitOrder;
use crate::geni::model::{self, Command, Core, Wire};
use crate::geni::registers::GENI_IRQ;
use std::vec::Vec;

/// The line.
#[derive(Default)]
pub struct Line {
    sent: Vec<u8>,
}

impl Wire for Line {
    const PROTOCOL: u32 = 2;

    fn begin(&mut self, _: &mut Core, command: Command) {
        assert_eq!(command.opcode, UART_START_TX, "not a command of a UART");
    }

    fn step(&mut self, engine: &mut Core) {
        if engine.command().is_none() {
            return;
        }
        if let Some(byte) = engine.next_byte(BitOrder::LsbFirst) {
            self.sent.push(byte);
            engine.advance();
        }
        if engine.moved() == engine.register(SE_UART_TX_TRANS_LEN.offset()) {
            engine.finish();
        }
    }
}

/// The model; clones are handles of the same port.
pub type Model = model::Model<Line>;

impl Model {
    /// A port as firmware leaves it: clocked, and idle.
    #[must_use]
    pub fn new() -> Self {
        Self::with_wire(Line::default())
    }

    /// Firmware has received `bytes` and not read them, and receives no more.
    pub fn left_received(&self, bytes: &[u8]) {
        self.left_running(UART_START_TX, b"", true);
        self.receive(bytes);
        self.left_running(UART_START_TX, b"", false);
    }

    /// Firmware is sending `text`, and receives or not.
    pub fn left_sending(&self, text: &[u8], receives: bool) {
        self.left_by_firmware(SE_UART_TX_TRANS_LEN.offset(), text.len() as u32);
        self.left_running(UART_START_TX, text, receives);
    }

    /// All that has gone out.
    #[must_use]
    pub fn sent(&self) -> Vec<u8> {
        self.with(|_, line| line.sent.clone())
    }

    /// Lets `bytes` arrive as one burst. What arrives while nobody receives, or without a clock, is lost.
    pub fn receive(&self, bytes: &[u8]) {
        self.with(|engine, _| {
            if !engine.receives() {
                return;
            }
            for byte in bytes {
                if !engine.receive(*byte, BitOrder::LsbFirst) {
                    engine.raise_secondary(GENI_IRQ::RX_FIFO_WR_ERR::SET.value);
                }
            }
            engine.end_receive();
        });
    }

    /// A character with a wrong parity arrives, and is dropped.
    pub fn receive_damaged(&self) {
        self.with(|engine, _| engine.raise_secondary(GENI_IRQ::GP_IRQ_0::SET.value));
    }

    /// TX_TRANS_CFG and TX_WORD_LEN.
    #[must_use]
    pub fn line(&self) -> (u32, u32) {
        self.with(|engine, _| {
            (
                engine.register(SE_UART_TX_TRANS_CFG.offset()),
                engine.register(SE_UART_TX_WORD_LEN.offset()),
            )
        })
    }
}

impl Default for Model {
    fn default() -> Self {
        Self::new()
    }
}
