//! A TLMM that acts: pins with something connected to them or not, and the interrupt to the application processors. It
//! panics where a driver touches a pin that it must not, or drives against somebody else.

use super::registers::{
    CFG, GPIO_CFG, GPIO_IN_OUT, GPIO_INTR_CFG, GPIO_INTR_STATUS, IN_OUT, INTR_CFG, INTR_STATUS, PAGE,
};
use super::{Config, MAX_PINS};
use crate::mmio::{Io, Width};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::vec::Vec;
use tock_registers::LocalRegisterCopy;

type Value<R> = LocalRegisterCopy<u32, R>;

#[derive(Clone, Default)]
struct Line {
    cfg: u32,
    out: bool,
    intr_cfg: u32,
    detected: bool,
    /// What is connected, if it drives.
    connected: Option<bool>,
    level: bool,
    /// Every level that the wire has had.
    history: Vec<bool>,
}

impl Line {
    fn cfg(&self) -> Value<GPIO_CFG::Register> {
        Value::new(self.cfg)
    }

    fn intr_cfg(&self) -> Value<GPIO_INTR_CFG::Register> {
        Value::new(self.intr_cfg)
    }

    /// The pin is TLMM's, and drives the wire.
    fn drives(&self) -> bool {
        let cfg = self.cfg();
        let owned = !cfg.is_set(GPIO_CFG::EGPIO_PRESENT) || cfg.is_set(GPIO_CFG::EGPIO_ENABLE);
        owned && cfg.is_set(GPIO_CFG::OE) && cfg.matches_all(GPIO_CFG::FUNC_SEL::Gpio)
    }

    fn settle(&mut self) {
        let before = self.level;
        self.level = match (self.drives(), self.connected) {
            (true, other) => {
                assert!(
                    other.is_none_or(|other| other == self.out),
                    "drives against somebody else"
                );
                self.out
            }
            (false, Some(level)) => level,
            (false, None) => match self.cfg().read_as_enum(GPIO_CFG::PULL) {
                Some(GPIO_CFG::PULL::Value::Down) => false,
                Some(GPIO_CFG::PULL::Value::Up) => true,
                _ => before,
            },
        };
        if self.level != before {
            self.history.push(self.level);
            self.detect_edge();
        }
        self.detect_level();
    }

    fn detect_edge(&mut self) {
        use GPIO_INTR_CFG::INTR_DECT_CTL::Value as Detection;
        let cfg = self.intr_cfg();
        let edge = match cfg.read_as_enum(GPIO_INTR_CFG::INTR_DECT_CTL) {
            Some(Detection::Rising) => self.level,
            Some(Detection::Falling) => !self.level,
            Some(Detection::Both) => true,
            _ => false,
        };
        self.detected |= edge && cfg.is_set(GPIO_INTR_CFG::INTR_RAW_STATUS_EN);
    }

    fn detect_level(&mut self) {
        let cfg = self.intr_cfg();
        let level = cfg.matches_all(GPIO_INTR_CFG::INTR_DECT_CTL::Level)
            && self.level == cfg.is_set(GPIO_INTR_CFG::INTR_POL_CTL);
        self.detected |= level && cfg.is_set(GPIO_INTR_CFG::INTR_RAW_STATUS_EN);
    }

    fn set_intr_cfg(&mut self, value: u32) {
        let before = self.intr_cfg();
        self.intr_cfg = value;
        let now = self.intr_cfg();
        // As the hardware may do (Linux pinctrl-msm.c, msm_gpio_irq_mask and msm_gpio_irq_set_type), this one always latches
        // an edge that was none, when detection is turned on or becomes another.
        let detection = GPIO_INTR_CFG::INTR_DECT_CTL;
        let changes =
            !before.is_set(GPIO_INTR_CFG::INTR_RAW_STATUS_EN) || before.read(detection) != now.read(detection);
        self.detected |= changes
            && now.is_set(GPIO_INTR_CFG::INTR_RAW_STATUS_EN)
            && !now.matches_all(GPIO_INTR_CFG::INTR_DECT_CTL::Level);
        self.detect_level();
    }

    fn interrupts(&self, config: &Config) -> bool {
        let cfg = self.intr_cfg();
        let target = cfg.get() >> config.target.shift & 0b111;
        self.detected && cfg.is_set(GPIO_INTR_CFG::INTR_ENABLE) && target == u32::from(config.target.value)
    }

    fn load(&self, offset: usize) -> u32 {
        match offset {
            _ if offset == CFG.offset() => self.cfg,
            _ if offset == IN_OUT.offset() => {
                (GPIO_IN_OUT::IN.val(self.level.into()) + GPIO_IN_OUT::OUT.val(self.out.into())).value
            }
            _ if offset == INTR_CFG.offset() => self.intr_cfg,
            _ if offset == INTR_STATUS.offset() => GPIO_INTR_STATUS::INTR_STATUS.val(self.detected.into()).value,
            _ => panic!("reads {offset:#x}"),
        }
    }

    fn store(&mut self, offset: usize, value: u32) {
        match offset {
            _ if offset == CFG.offset() => self.cfg = value,
            _ if offset == IN_OUT.offset() => {
                self.out = Value::<GPIO_IN_OUT::Register>::new(value).is_set(GPIO_IN_OUT::OUT);
            }
            _ if offset == INTR_CFG.offset() => self.set_intr_cfg(value),
            _ if offset == INTR_STATUS.offset() => self.detected &= value & 1 != 0,
            _ => panic!("writes {offset:#x}"),
        }
        self.settle();
    }
}

struct State {
    config: Config,
    lines: Vec<Line>,
    interrupt: bool,
    interrupts: usize,
}

impl State {
    /// Follows the interrupt line.
    fn update(&mut self) {
        let now = self.lines.iter().any(|line| line.interrupts(&self.config));
        self.interrupts += usize::from(now && !self.interrupt);
        self.interrupt = now;
    }

    /// The pin whose registers are at `offset`, and how far behind their start that is.
    fn line(&mut self, offset: usize) -> (&mut Line, usize) {
        let page = offset / PAGE * PAGE;
        let pins = 0..self.config.pins.min(MAX_PINS as u16);
        let pin = pins
            .into_iter()
            .find(|pin| self.config.page(*pin) == Ok(page))
            .unwrap_or_else(|| panic!("touches {offset:#x}, where no pin is that may be touched"));
        (&mut self.lines[usize::from(pin)], offset - page)
    }
}

/// The model; clones are handles of the same TLMM.
#[derive(Clone)]
pub struct Model(Arc<Mutex<State>>);

impl Model {
    /// Pins that nothing is connected to.
    #[must_use]
    pub fn new(config: Config) -> Self {
        let lines = std::vec![Line::default(); usize::from(config.pins)];
        Self(Arc::new(Mutex::new(State {
            config,
            lines,
            interrupt: false,
            interrupts: 0,
        })))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn with<T>(&self, pin: u16, f: impl FnOnce(&mut Line) -> T) -> T {
        let mut state = self.state();
        let result = f(&mut state.lines[usize::from(pin)]);
        state.update();
        result
    }

    /// Firmware has left `cfg` and `intr_cfg` in a pin's registers.
    pub fn left_by_firmware(&self, pin: u16, cfg: u32, intr_cfg: u32) {
        self.with(pin, |line| {
            (line.cfg, line.intr_cfg) = (cfg, intr_cfg);
            line.settle();
        });
    }

    /// Lets what is connected to a pin drive it, or leave it alone.
    pub fn connect(&self, pin: u16, level: Option<bool>) {
        self.with(pin, |line| {
            line.connected = level;
            line.settle();
        });
    }

    /// The level of a pin's wire.
    #[must_use]
    pub fn level(&self, pin: u16) -> bool {
        self.with(pin, |line| line.level)
    }

    /// Every level that a pin's wire has had since the first one, low.
    #[must_use]
    pub fn history(&self, pin: u16) -> Vec<bool> {
        self.with(pin, |line| line.history.clone())
    }

    /// GPIO_CFG of a pin.
    #[must_use]
    pub fn cfg(&self, pin: u16) -> u32 {
        self.with(pin, |line| line.cfg)
    }

    /// The interrupt to the application processors.
    #[must_use]
    pub fn interrupt(&self) -> bool {
        self.state().interrupt
    }

    /// How often it was raised.
    #[must_use]
    pub fn interrupts(&self) -> usize {
        self.state().interrupts
    }
}

impl Io for Model {
    fn load<T: Width>(&self, offset: usize) -> T {
        assert_eq!(T::BYTES, 4, "TLMM is accessed by words");
        let mut state = self.state();
        let (line, offset) = state.line(offset);
        T::truncate(u64::from(line.load(offset)))
    }

    fn store<T: Width>(&self, offset: usize, value: T) {
        assert_eq!(T::BYTES, 4, "TLMM is accessed by words");
        let mut state = self.state();
        let (line, offset) = state.line(offset);
        line.store(offset, value.widen() as u32);
        state.update();
    }

    fn publish(&self) {}

    fn observe(&self) {}
}
