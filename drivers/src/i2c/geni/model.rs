//! A serial engine as an I2C controller, on a bus of [`i2c::model`](crate::i2c::model).

use super::registers::{
    I2C_READ, I2C_SCL_COUNTERS, I2C_WRITE, PARAMS, SE_I2C_RX_TRANS_LEN, SE_I2C_SCL_COUNTERS, SE_I2C_TX_TRANS_LEN,
};
use crate::geni::BitOrder;
use crate::geni::model::{self, Command, Core, Wire};
use crate::geni::registers::GENI_IRQ;
use crate::i2c::model::{Bus, Trouble};
use tock_registers::LocalRegisterCopy;

/// What the engine's firmware does on the bus.
#[derive(Default)]
pub struct Controller {
    bus: Bus,
    addressed: bool,
}

impl Controller {
    fn trouble(&mut self, engine: &mut Core, trouble: Trouble) {
        match trouble {
            Trouble::Arbitration => engine.fail(GENI_IRQ::GP_IRQ_4::SET.value),
            Trouble::Protocol => engine.fail(GENI_IRQ::GP_IRQ_3::SET.value),
            Trouble::EndsEarly => {
                engine.flush_received();
                engine.finish();
            }
            Trouble::Hangs => return engine.raise_main(GENI_IRQ::GP_IRQ_4::SET.value),
            Trouble::ClockHeld => return,
        }
        self.bus.stop();
    }

    fn refused(&mut self, engine: &mut Core) {
        self.bus.stop();
        engine.fail(GENI_IRQ::GP_IRQ_1::SET.value);
    }

    fn done(&mut self, engine: &mut Core, stretches: bool) {
        if !stretches {
            self.bus.stop();
        }
        engine.finish();
    }
}

impl Wire for Controller {
    const PROTOCOL: u32 = 3;

    fn begin(&mut self, _: &mut Core, command: Command) {
        let params = PARAMS::SLV_ADDR.val(u32::MAX) + PARAMS::STOP_STRETCH::SET;
        assert_eq!(command.params & !params.value, 0, "parameters {:#x}", command.params);
        assert!(
            matches!(command.opcode, I2C_READ | I2C_WRITE),
            "command {}",
            command.opcode
        );
        self.addressed = false;
    }

    fn step(&mut self, engine: &mut Core) {
        let Some(command) = engine.command() else { return };
        let params = LocalRegisterCopy::<u32, PARAMS::Register>::new(command.params);
        let stretches = params.is_set(PARAMS::STOP_STRETCH);
        let read = command.opcode == I2C_READ;
        let len = engine.register(if read { SE_I2C_RX_TRANS_LEN } else { SE_I2C_TX_TRANS_LEN }.offset());
        if let Some(trouble) = self.bus.disturbed() {
            return self.trouble(engine, trouble);
        }
        if !self.addressed {
            self.addressed = true;
            if !self.bus.start(params.read(PARAMS::SLV_ADDR) as u8, read) {
                self.refused(engine);
            }
            return;
        }
        if read {
            if engine.is_full() {
                return;
            }
            let byte = self.bus.read(engine.moved() + 1 < len);
            engine.receive(byte, BitOrder::MsbFirst);
            engine.advance();
        } else {
            let Some(byte) = engine.next_byte(BitOrder::MsbFirst) else {
                return;
            };
            engine.advance();
            if !self.bus.write(byte) {
                return self.refused(engine);
            }
        }
        if engine.moved() == len {
            if read {
                engine.end_receive();
            }
            self.done(engine, stretches);
        }
    }

    fn stopped(&mut self, engine: &mut Core) {
        engine.flush_received();
        self.bus.stop();
    }
}

/// The model; clones are handles of the same controller.
pub type Model = model::Model<Controller>;

impl Model {
    /// A controller as firmware leaves it: clocked, and idle, on a bus without targets.
    #[must_use]
    pub fn new() -> Self {
        Self::with_wire(Controller::default())
    }

    /// Looks at the bus, or changes it.
    pub fn bus<T>(&self, f: impl FnOnce(&mut Bus) -> T) -> T {
        self.with(|_, controller| f(&mut controller.bus))
    }

    /// How many ticks SCL is high and low, and how many its cycle takes.
    #[must_use]
    pub fn timing(&self) -> [u32; 3] {
        let counters = self.with(|engine, _| engine.register(SE_I2C_SCL_COUNTERS.offset()));
        let counters = LocalRegisterCopy::<u32, I2C_SCL_COUNTERS::Register>::new(counters);
        [I2C_SCL_COUNTERS::HIGH, I2C_SCL_COUNTERS::LOW, I2C_SCL_COUNTERS::CYCLE].map(|field| counters.read(field))
    }
}

impl Default for Model {
    fn default() -> Self {
        Self::new()
    }
}
