//! A SoC of Qualcomm's, built from its description.
//!
//! The same code runs on the board and, with models for registers, on the build machine: see [`Bus`].
//!
//! ```text
//! let soc = Qualcomm::over(bus, &qcs6490::QCS6490, Some(&qcs6490::QCS6490.uarts[0]))?;
//! soc.matches(&tree)?;
//! ```

mod bus;
mod port;
#[cfg(test)]
mod tests;

mod units;
mod windows;

pub use bus::{Bus, Identity};
pub use port::Port;
pub use units::{AttachedUnits, MAX_UNITS, Units};
pub use windows::{MAX_HIDDEN, MAX_WINDOWS, Windows};

use crate::description::{Gic as GicDescription, SocDescription, Uart};
use crate::take;
use leasehold_drivers::interrupt::Gic;
use leasehold_drivers::interrupt::gicv2::Gicv2;
use leasehold_drivers::interrupt::gicv3::Gicv3;
use leasehold_drivers::watchdog::kpss::KpssWatchdog;
use leasehold_hal::{InterruptController, InterruptError, NoMemoryController, Soc, SocError, Watchdogs};
use leasehold_memory_map::{Address, GicVersion, MachineTree, PhysRange};

/// A SoC.
#[derive(Debug)]
pub struct Qualcomm<B = Identity> {
    bus: B,
    description: &'static SocDescription,
    windows: Windows,
    interrupts_taken: bool,
    iommu_taken: bool,
}

impl<B: Bus> Qualcomm<B> {
    /// The SoC that `description` is of, on whose UART `log` EL2 logs. Touches no device.
    ///
    /// # Errors
    /// [`SocError::Mismatch`] when the description is not of one piece: it has more parts than there is room for, or
    /// more CPUs than redistributors.
    pub fn over(bus: B, description: &'static SocDescription, log: Option<&Uart>) -> Result<Self, SocError> {
        Ok(Self {
            bus,
            description,
            windows: Windows::of(description, log)?,
            interrupts_taken: false,
            iommu_taken: false,
        })
    }

    /// Whether `tree` is one for this SoC.
    ///
    /// # Errors
    /// [`SocError::Mismatch`] with the address of the interrupt controller, or 0 for the SoC's name, when the tree has another;
    /// [`SocError::Interrupts`] when it has none, or more CPUs than the SoC.
    pub fn matches(&self, tree: &MachineTree<'_>) -> Result<(), SocError> {
        let soc = self.description;
        if !soc.compatible.iter().any(|name| tree.is_machine(name)) {
            return Err(SocError::Mismatch(0));
        }
        let gic = tree.gic().ok_or(SocError::Interrupts(InterruptError::NoFrame))?;
        let (version, frames) = match &soc.gic {
            GicDescription::V2 { block, .. } => (GicVersion::V2, block.reg),
            GicDescription::V3 { block, .. } => (GicVersion::V3, block.reg),
        };
        let agrees = gic.version == version && frames.iter().zip(&gic.ranges).all(|(ours, theirs)| ours == theirs);
        if !agrees || gic.ranges.len() < frames.len() {
            return Err(SocError::Mismatch(soc.gic.block().first().start().get()));
        }
        let cpus = soc.cpus.affinities.len();
        if tree.cpus().len() > cpus {
            return Err(SocError::Interrupts(InterruptError::TooManyCpus(cpus)));
        }
        Ok(())
    }

    /// The description that it is built from.
    #[must_use]
    pub const fn description(&self) -> &'static SocDescription {
        self.description
    }

    fn find_gic(&self) -> Result<Gic<B::Io>, SocError> {
        match &self.description.gic {
            GicDescription::V2 { block, order, .. } => {
                let [distributor, cpu_interface, hypervisor, virtual_cpu_interface] = order.map(|n| block.reg[n]);
                let distributor = self.bus.registers(distributor);
                let cpu_interface = self.bus.registers(cpu_interface);
                let gic = Gicv2::over(distributor, cpu_interface, [hypervisor, virtual_cpu_interface])?;
                Ok(Gic::V2(gic))
            }
            GicDescription::V3 { block, its, .. } => {
                let mut hidden = heapless::Vec::<PhysRange, 4>::new();
                for its in *its {
                    let its = its.first();
                    hidden.push(its).map_err(|_| SocError::Mismatch(its.start().get()))?;
                }
                let (distributor, region) = (self.bus.registers(block.reg[0]), self.bus.registers(block.reg[1]));
                Ok(Gic::V3(Gicv3::over(distributor, [(region, block.reg[1])], &hidden)?))
            }
        }
    }
}

impl<B: Bus> Soc for Qualcomm<B> {
    type Iommu = Units<B::Io>;
    type InterruptController = Gic<B::Io>;
    type Console = Port<B::Io>;
    type MemoryController = NoMemoryController;
    type Firmware = B::Firmware;

    fn ipa_bits(&self) -> u8 {
        self.description.ipa_bits
    }

    fn device_windows(&self) -> &[PhysRange] {
        &self.windows.seen
    }

    fn hidden(&self) -> &[PhysRange] {
        &self.windows.hidden
    }

    /// Pets the watchdog where it runs and EL2 may touch it. It is not stopped, though it could be: a host that hangs while
    /// it starts is reset, as its loader meant it, and the host's driver takes over one that runs (Linux `qcom-wdt.c`,
    /// WDOG_HW_RUNNING).
    fn calm_watchdogs(&mut self) -> Watchdogs {
        let Some(watchdog) = self.description.petted_watchdog() else {
            return Watchdogs::Quiet;
        };
        let mut watchdog = KpssWatchdog::over(self.bus.registers(watchdog.block.first()), watchdog.clock_hz);
        if !watchdog.is_running() {
            return Watchdogs::Quiet;
        }
        watchdog.pet();
        Watchdogs::Petted
    }

    fn interrupt_controller(&mut self) -> Result<Gic<B::Io>, SocError> {
        take(&mut self.interrupts_taken)?;
        let gic = self.find_gic()?;
        // A frame that the host saw would let it make a bus master of the GIC.
        let seen = |frame: &&PhysRange| self.windows.seen.iter().any(|window| window.overlaps(frame));
        match gic.trapped_frames().iter().chain(gic.hidden()).find(seen) {
            Some(frame) => Err(SocError::Mismatch(frame.start().get())),
            None => Ok(gic),
        }
    }

    fn iommu(&mut self) -> Result<Option<Units<B::Io>>, SocError> {
        take(&mut self.iommu_taken)?;
        Units::find(&self.bus, self.description.smmus)
    }

    fn firmware(&mut self) -> Option<B::Firmware> {
        self.bus.firmware()
    }
}

/// Registers that EL2 itself uses of `soc`, where it logs on `log`: the interrupt controller, its SMMUs, the watchdog that it
/// pets, the port and what says of which kind that is. To be mapped before anything else, in whole pages. The host has some
/// of them too, the watchdog among them.
#[must_use]
pub const fn registers(soc: &SocDescription, log: Option<&Uart>) -> crate::list::List<PhysRange, 16> {
    let mut all = crate::list::List::new(soc.gic.block().first());
    let gic = soc.gic.block().reg;
    all = all.with(gic[0]).with(gic[1]);
    let mut n = 0;
    while n < soc.smmus.len() {
        if soc.smmus[n].contains() {
            all = all.with(soc.smmus[n].registers());
        }
        n += 1;
    }
    if let Some(watchdog) = soc.petted_watchdog() {
        all = all.with(page(watchdog.block.first()));
    }
    if let Some(uart) = log {
        all = all.with(page(uart.block.first()));
        if let crate::description::UartKind::Geni { wrapper } = uart.kind {
            all = all.with(wrapper);
        }
    }
    all
}

/// The whole page of a block that has less.
const fn page(registers: PhysRange) -> PhysRange {
    let (start, len) = (registers.start().as_u64(), registers.len());
    let down = start & !0xfff;
    crate::description::reg(down, (start + len - down).next_multiple_of(0x1000))
}
