//! PDC, the power domain controller: interrupts on their way to the GIC, also while that sleeps.
//!
//! Some interrupts of a SoC reach the GIC through it. It makes what the GIC does not understand (low levels, falling edges)
//! into high levels and rising edges. Of its registers this is the part that routes; what wakes from sleep is firmware's.
//! EL2 leaves it to the host; this driver is for those who have a SoC to themselves.

#[cfg(any(test, feature = "model"))]
pub mod model;
mod registers;
#[cfg(test)]
mod tests;

use crate::mmio::{Io, Mmio};
use leasehold_memory_map::PhysRange;
use registers::{IRQ_CFG, PDC_VERSION, VERSION, irq_cfg, irq_enable};
use tock_registers::interfaces::{ReadWriteable, Readable, Writeable};

/// Pins that a PDC has at most (Linux `qcom-pdc.c`, PDC_MAX_GPIO_IRQS).
pub const MAX_PINS: u32 = 256;

/// The first version that has a pin's enable bit beside its type (Linux `qcom-pdc.c`, PDC_VERSION_3_2).
const OWN_ENABLE: (u32, u32) = (3, 2);

/// The first SPI of the GIC.
const FIRST_SPI: u32 = 32;

/// What a pin reacts to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trigger {
    /// As long as it is low.
    Low,
    /// As long as it is high.
    High,
    /// When it becomes low.
    Falling,
    /// When it becomes high.
    Rising,
    /// When it changes.
    Both,
}

/// What becomes of a pin at the GIC.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Output {
    /// The interrupt's number there.
    pub intid: u32,
    /// Whether it is one of edges, which rise, or else of a level, which is high.
    pub edge: bool,
}

/// There is no way for the pin of this number through the PDC.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct NoSuchPin(pub u32);

impl core::fmt::Display for NoSuchPin {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "the PDC has no pin {}", self.0)
    }
}

impl core::error::Error for NoSuchPin {}

/// Pins that become SPIs: the first pin, the first SPI counted from 0, and how many (`qcom,pdc-ranges`).
pub type Ranges = &'static [(u32, u32, u32)];

/// A PDC.
#[derive(Debug)]
pub struct Pdc<I = Mmio> {
    io: I,
    ranges: Ranges,
    /// Enable bits are beside the types.
    own_enable: bool,
}

impl Pdc<Mmio> {
    /// The PDC with its registers at `registers`, whose pins `ranges` has. Changes nothing.
    ///
    /// # Safety
    /// `registers` are those of a PDC, mapped at their own addresses as device memory, and nobody else drives it.
    #[must_use]
    pub unsafe fn new(registers: PhysRange, ranges: Ranges) -> Self {
        // SAFETY: as the caller vouches; a PDC accesses no memory.
        Self::over(unsafe { Mmio::identity(registers) }, ranges)
    }
}

impl<I: Io> Pdc<I> {
    /// The PDC behind `io`.
    pub fn over(io: I, ranges: Ranges) -> Self {
        let version = io.at(PDC_VERSION).extract();
        let own_enable = (version.read(VERSION::MAJOR), version.read(VERSION::MINOR)) >= OWN_ENABLE;
        Self { io, ranges, own_enable }
    }

    /// The SPI that a pin becomes, counted from 0.
    fn spi(&self, pin: u32) -> Result<u32, NoSuchPin> {
        let spi = self.ranges.iter().find_map(|&(first, spi, count)| {
            let offset = pin.checked_sub(first).filter(|offset| *offset < count)?;
            spi.checked_add(offset)
        });
        spi.filter(|_| pin < MAX_PINS).ok_or(NoSuchPin(pin))
    }

    /// Says what a pin reacts to, and what that is at the GIC. Comes before [`enable`](Self::enable), and before the GIC's
    /// interrupt is enabled: on its way from one trigger to another the GIC may see an interrupt that was none, and the
    /// caller clears that (Linux `qcom-pdc.c`, `qcom_pdc_gic_set_type`).
    ///
    /// # Errors
    /// [`NoSuchPin`]
    pub fn set_trigger(&mut self, pin: u32, trigger: Trigger) -> Result<Output, NoSuchPin> {
        let spi = self.spi(pin)?;
        let (value, edge) = match trigger {
            Trigger::Low => (IRQ_CFG::TYPE::LevelLow, false),
            Trigger::High => (IRQ_CFG::TYPE::LevelHigh, false),
            Trigger::Falling => (IRQ_CFG::TYPE::EdgeFalling, true),
            Trigger::Rising => (IRQ_CFG::TYPE::EdgeRising, true),
            Trigger::Both => (IRQ_CFG::TYPE::EdgeBoth, true),
        };
        self.io.at(irq_cfg(pin as usize)).modify(value);
        Ok(Output {
            intid: FIRST_SPI + spi,
            edge,
        })
    }

    /// Passes a pin on.
    ///
    /// # Errors
    /// [`NoSuchPin`]
    pub fn enable(&mut self, pin: u32) -> Result<(), NoSuchPin> {
        self.set_enabled(pin, true)
    }

    /// Passes a pin on no more.
    ///
    /// # Errors
    /// [`NoSuchPin`]
    pub fn disable(&mut self, pin: u32) -> Result<(), NoSuchPin> {
        self.set_enabled(pin, false)
    }

    fn set_enabled(&mut self, pin: u32, enabled: bool) -> Result<(), NoSuchPin> {
        self.spi(pin)?;
        if self.own_enable {
            let bit = IRQ_CFG::ENABLE.val(u32::from(enabled));
            self.io.at(irq_cfg(pin as usize)).modify(bit);
        } else {
            let bank = self.io.at(irq_enable(pin as usize));
            let bit = 1 << (pin % 32);
            bank.set(if enabled { bank.get() | bit } else { bank.get() & !bit });
        }
        Ok(())
    }
}
