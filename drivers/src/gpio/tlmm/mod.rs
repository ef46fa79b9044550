//! The pins of Qualcomm's SoCs: TLMM, the top-level mode multiplexer.
//!
//! Each pin has a page of registers of its own, so pins do not disturb each other. A pin is [taken](Tlmm::pin) once at a
//! time, and is then an input, an output, or belongs to another block of the SoC. Inputs can interrupt, by the one
//! interrupt of the whole TLMM; wake-up from sleep, which goes through PDC or MPM, is not used.

#[cfg(any(test, feature = "model"))]
pub mod model;
mod registers;
#[cfg(test)]
mod tests;

use crate::mmio::{Io, Mmio, Window};
use core::convert::Infallible;
use core::marker::PhantomData;
use core::ops::Range;
use core::sync::atomic::{AtomicU32, Ordering};
use embedded_hal::digital::{self, InputPin, OutputPin, StatefulOutputPin};
use leasehold_memory_map::PhysRange;
use registers::{CFG, GPIO_CFG, GPIO_IN_OUT, GPIO_INTR_CFG, GPIO_INTR_STATUS, IN_OUT, INTR_CFG, INTR_STATUS, PAGE};
use tock_registers::interfaces::{ReadWriteable, Readable, Writeable};

/// Pins that a TLMM may have at most.
pub const MAX_PINS: usize = 256;

/// Where the pins' registers are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Placement {
    /// One after the other from the start on.
    Flat,
    /// In tiles, each with room for all pins.
    Tiles {
        /// How far each tile is behind the start, in bytes.
        tiles: &'static [usize],
        /// The tile of each pin: an index into `tiles`.
        of_pin: &'static [u8],
    },
}

/// Which interrupts of pins go to the application processors.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Target {
    /// The lowest bit of the field of three bits in INTR_CFG.
    pub shift: u8,
    /// The field's value for them.
    pub value: u8,
}

/// What differs between SoCs, and boards.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Config {
    /// How many pins there are. Those from [`MAX_PINS`] on are not used.
    pub pins: u16,
    /// Where their registers are.
    pub placement: Placement,
    /// Where interrupts go.
    pub target: Target,
    /// Some pins have another owner (the always-on subsystem) from whom they must be claimed.
    pub egpio: bool,
    /// Pins that secure firmware keeps: touching them may reset the SoC.
    pub reserved: &'static [Range<u16>],
}

impl Config {
    /// The place of the registers of `pin`, if it may be used.
    fn page(&self, pin: u16) -> Result<usize, TlmmError> {
        let index = usize::from(pin);
        if pin >= self.pins || index >= MAX_PINS {
            return Err(TlmmError::NoSuchPin(pin));
        }
        if self.reserved.iter().any(|range| range.contains(&pin)) {
            return Err(TlmmError::Reserved(pin));
        }
        let tile = match self.placement {
            Placement::Flat => Some(0),
            Placement::Tiles { tiles, of_pin } => of_pin
                .get(index)
                .and_then(|tile| tiles.get(usize::from(*tile)).copied()),
        };
        Ok(tile.ok_or(TlmmError::NoSuchPin(pin))? + index * PAGE)
    }
}

/// Why a pin cannot be had.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum TlmmError {
    /// There is no pin of this number.
    NoSuchPin(u16),
    /// Secure firmware keeps the pin of this number.
    Reserved(u16),
    /// The pin of this number has been taken, and not been given back.
    Taken(u16),
    /// There is no function of this number.
    NoSuchFunction(u8),
}

impl core::fmt::Display for TlmmError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Self::NoSuchPin(pin) => write!(f, "there is no pin {pin}"),
            Self::Reserved(pin) => write!(f, "secure firmware keeps pin {pin}"),
            Self::Taken(pin) => write!(f, "pin {pin} is in use"),
            Self::NoSuchFunction(function) => write!(f, "there is no function {function}"),
        }
    }
}

impl core::error::Error for TlmmError {}

/// What holds a pin that nobody drives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pull {
    /// Nothing.
    None,
    /// A resistor to ground.
    Down,
    /// Whatever level it had.
    Keeper,
    /// A resistor to the supply.
    Up,
}

/// How strongly a pin is driven.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DriveStrength(u32);

impl DriveStrength {
    /// The weakest, 2 mA.
    pub const WEAKEST: Self = Self(0);

    /// This many mA: 2 to 16, in steps of 2.
    #[must_use]
    pub const fn milliamperes(milliamperes: u32) -> Option<Self> {
        match milliamperes {
            2..=16 if milliamperes.is_multiple_of(2) => Some(Self(milliamperes / 2 - 1)),
            _ => None,
        }
    }
}

/// A function that a pin has for another block: 1 to 15, a different set for each pin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Function(u32);

impl Function {
    /// The function of this number.
    ///
    /// # Errors
    /// [`TlmmError::NoSuchFunction`]; zero is none, as it is what inputs and outputs have.
    pub const fn new(number: u8) -> Result<Self, TlmmError> {
        match number {
            1..=15 => Ok(Self(number as u32)),
            _ => Err(TlmmError::NoSuchFunction(number)),
        }
    }
}

/// What makes an input interrupt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trigger {
    /// As long as it is high.
    High,
    /// As long as it is low.
    Low,
    /// When it becomes high.
    Rising,
    /// When it becomes low.
    Falling,
    /// When it changes.
    Both,
}

/// All pins.
#[derive(Debug)]
pub struct Tlmm<I = Mmio> {
    io: I,
    config: Config,
    taken: [AtomicU32; MAX_PINS / 32],
}

impl Tlmm<Mmio> {
    /// The pins with their registers at `registers`.
    ///
    /// # Safety
    /// `registers` are those of a TLMM as `config` describes, mapped at their own addresses as device memory; nobody else
    /// drives the pins that are going to be taken; and what is connected to them cannot break the program's memory.
    #[must_use]
    pub unsafe fn new(registers: PhysRange, config: Config) -> Self {
        // SAFETY: as the caller vouches; TLMM accesses no memory.
        Self::over(unsafe { Mmio::identity(registers) }, config)
    }
}

impl<I: Io> Tlmm<I> {
    /// The pins behind `io`.
    pub const fn over(io: I, config: Config) -> Self {
        Self {
            io,
            config,
            taken: [const { AtomicU32::new(0) }; MAX_PINS / 32],
        }
    }

    /// Takes a pin, which stays as it is. When it is dropped it is given back, and interrupts
    /// no more.
    ///
    /// # Errors
    /// [`TlmmError::NoSuchPin`], [`TlmmError::Reserved`], [`TlmmError::Taken`].
    pub fn pin(&self, number: u16) -> Result<Pin<'_, I>, TlmmError> {
        let page = self.config.page(number)?;
        let (word, bit) = self.place(number);
        if word.fetch_or(bit, Ordering::Acquire) & bit != 0 {
            return Err(TlmmError::Taken(number));
        }
        Ok(Pin {
            hold: Hold {
                tlmm: self,
                number,
                page,
                listening: false,
            },
            mode: PhantomData,
        })
    }

    fn place(&self, number: u16) -> (&AtomicU32, u32) {
        (&self.taken[usize::from(number) / 32], 1 << (number % 32))
    }
}

/// A pin that is taken.
struct Hold<'t, I: Io> {
    tlmm: &'t Tlmm<I>,
    number: u16,
    page: usize,
    /// It was made to interrupt.
    listening: bool,
}

impl<'t, I: Io> Hold<'t, I> {
    fn registers(&self) -> Window<'t, I> {
        Window::new(&self.tlmm.io, self.page, PAGE)
    }

    /// Forwards no interrupt. Edges are latched nevertheless; levels are not, as they would be there again at once.
    fn silence(&self) {
        let registers = self.registers();
        let intr_cfg = registers.at(INTR_CFG);
        let is_level = intr_cfg.matches_all(GPIO_INTR_CFG::INTR_DECT_CTL::Level);
        let mut silent = GPIO_INTR_CFG::INTR_ENABLE::CLEAR;
        if is_level {
            silent += GPIO_INTR_CFG::INTR_RAW_STATUS_EN::CLEAR;
        }
        intr_cfg.modify(silent);
    }
}

impl<I: Io> Drop for Hold<'_, I> {
    fn drop(&mut self) {
        if self.listening {
            self.silence();
        }
        let (word, bit) = self.tlmm.place(self.number);
        word.fetch_and(!bit, Ordering::Release);
    }
}

/// The pin is as it was found.
pub struct AsFound;
/// The pin is an input.
pub struct Input;
/// The pin is an output.
pub struct Output;
/// The pin belongs to another block.
pub struct Peripheral;

/// A pin, in the mode `M`.
pub struct Pin<'t, I: Io = Mmio, M = AsFound> {
    hold: Hold<'t, I>,
    mode: PhantomData<M>,
}

impl<'t, I: Io, M> Pin<'t, I, M> {
    /// Makes it an input.
    pub fn into_input(self, pull: Pull) -> Pin<'t, I, Input> {
        self.configure(0, false, pull, DriveStrength::WEAKEST)
    }

    /// Makes it an output that is `high` from the first moment on.
    pub fn into_output(self, high: bool, strength: DriveStrength) -> Pin<'t, I, Output> {
        self.drive(high);
        self.configure(0, true, Pull::None, strength)
    }

    /// Gives it to another block.
    pub fn into_peripheral(self, function: Function, pull: Pull, strength: DriveStrength) -> Pin<'t, I, Peripheral> {
        // The block's own signal says when the pin is driven; OE is for general purposes.
        self.configure(function.0, false, pull, strength)
    }

    /// Its number.
    #[must_use]
    pub const fn number(&self) -> u16 {
        self.hold.number
    }

    fn configure<N>(self, function: u32, output: bool, pull: Pull, strength: DriveStrength) -> Pin<'t, I, N> {
        let registers = self.hold.registers();
        self.hold.silence();
        let pull = match pull {
            Pull::None => GPIO_CFG::PULL::None,
            Pull::Down => GPIO_CFG::PULL::Down,
            Pull::Keeper => GPIO_CFG::PULL::Keeper,
            Pull::Up => GPIO_CFG::PULL::Up,
        };
        let mut cfg = registers.at(CFG).extract();
        cfg.modify(
            pull + GPIO_CFG::FUNC_SEL.val(function)
                + GPIO_CFG::DRV_STRENGTH.val(strength.0)
                + GPIO_CFG::OE.val(output.into()),
        );
        if self.hold.tlmm.config.egpio && cfg.is_set(GPIO_CFG::EGPIO_PRESENT) {
            cfg.modify(GPIO_CFG::EGPIO_ENABLE::SET);
        }
        // One write, so that the pin is never half of what it was and half of what it becomes.
        registers.at(CFG).set(cfg.get());
        Pin {
            hold: self.hold,
            mode: PhantomData,
        }
    }

    fn drive(&self, high: bool) {
        self.hold
            .registers()
            .at(IN_OUT)
            .write(GPIO_IN_OUT::OUT.val(high.into()));
    }

    fn level(&self) -> bool {
        self.hold.registers().at(IN_OUT).is_set(GPIO_IN_OUT::IN)
    }
}

impl<I: Io> Pin<'_, I, Input> {
    /// Interrupts the application processors at `trigger` from now on; what was detected before is forgotten.
    ///
    /// The sequence is Linux' (pinctrl-msm.c, msm_gpio_irq_set_type): what turning detection on latches is cleared before
    /// anything is forwarded.
    pub fn listen(&mut self, trigger: Trigger) {
        self.hold.listening = true;
        self.hold.silence();
        let registers = self.hold.registers();
        let target = self.hold.tlmm.config.target;
        let detection = match trigger {
            Trigger::High | Trigger::Low => GPIO_INTR_CFG::INTR_DECT_CTL::Level,
            Trigger::Rising => GPIO_INTR_CFG::INTR_DECT_CTL::Rising,
            Trigger::Falling => GPIO_INTR_CFG::INTR_DECT_CTL::Falling,
            Trigger::Both => GPIO_INTR_CFG::INTR_DECT_CTL::Both,
        };
        let mut cfg = registers.at(INTR_CFG).extract();
        cfg.set(cfg.get() & !(0b111 << target.shift) | u32::from(target.value & 0b111) << target.shift);
        cfg.modify(
            detection
                + GPIO_INTR_CFG::INTR_POL_CTL.val((trigger != Trigger::Low).into())
                + GPIO_INTR_CFG::INTR_RAW_STATUS_EN::SET,
        );
        registers.at(INTR_CFG).set(cfg.get());
        self.clear();
        cfg.modify(GPIO_INTR_CFG::INTR_ENABLE::SET);
        registers.at(INTR_CFG).set(cfg.get());
    }

    /// Interrupts no more, until [`unmask`](Self::unmask) or [`listen`](Self::listen). Edges in between are kept.
    pub fn mask(&mut self) {
        self.hold.silence();
    }

    /// Interrupts again, at what [`listen`](Self::listen) was told last.
    pub fn unmask(&mut self) {
        self.hold
            .registers()
            .at(INTR_CFG)
            .modify(GPIO_INTR_CFG::INTR_RAW_STATUS_EN::SET + GPIO_INTR_CFG::INTR_ENABLE::SET);
    }

    /// Something was detected since it was cleared last.
    #[must_use]
    pub fn is_pending(&self) -> bool {
        self.hold
            .registers()
            .at(INTR_STATUS)
            .is_set(GPIO_INTR_STATUS::INTR_STATUS)
    }

    /// Forgets what was detected. A level that is still there is detected again: first see to what caused it.
    pub fn clear(&mut self) {
        self.hold.registers().at(INTR_STATUS).set(0);
    }
}

impl<I: Io, M> digital::ErrorType for Pin<'_, I, M> {
    type Error = Infallible;
}

impl<I: Io> InputPin for Pin<'_, I, Input> {
    fn is_high(&mut self) -> Result<bool, Infallible> {
        Ok(self.level())
    }

    fn is_low(&mut self) -> Result<bool, Infallible> {
        Ok(!self.level())
    }
}

/// What is on the wire, whatever the output says.
impl<I: Io> InputPin for Pin<'_, I, Output> {
    fn is_high(&mut self) -> Result<bool, Infallible> {
        Ok(self.level())
    }

    fn is_low(&mut self) -> Result<bool, Infallible> {
        Ok(!self.level())
    }
}

impl<I: Io> OutputPin for Pin<'_, I, Output> {
    fn set_low(&mut self) -> Result<(), Infallible> {
        self.drive(false);
        Ok(())
    }

    fn set_high(&mut self) -> Result<(), Infallible> {
        self.drive(true);
        Ok(())
    }
}

impl<I: Io> StatefulOutputPin for Pin<'_, I, Output> {
    fn is_set_high(&mut self) -> Result<bool, Infallible> {
        Ok(self.hold.registers().at(IN_OUT).is_set(GPIO_IN_OUT::OUT))
    }

    fn is_set_low(&mut self) -> Result<bool, Infallible> {
        Ok(!self.is_set_high()?)
    }
}
