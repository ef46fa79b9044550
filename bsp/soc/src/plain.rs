//! Machines that come to an interrupt controller, a log port and windows to devices, none of them behind an SMMU: each
//! is a constant, and the type of its port.
//!
//! The host sees devices where they are. As nothing contains their masters, lending is refused unless the board accepts
//! it.

use crate::qualcomm::{Bus, Identity};
use crate::take;
use core::marker::PhantomData;
use heapless::Vec;
use leasehold_drivers::interrupt::Gic;
use leasehold_drivers::interrupt::gicv2::Gicv2;
use leasehold_drivers::interrupt::gicv3::Gicv3;
use leasehold_drivers::mmio::Io;
use leasehold_drivers::smmu::v3::Aborting;
use leasehold_hal::{
    Console, ConsoleError, InterruptController, InterruptError, NoFirmware, NoMemoryController, Soc, SocError,
    Watchdogs,
};
use leasehold_memory_map::{Address, GicVersion, Kept, MachineTree, PhysRange};

/// The interrupt controller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PlainGic {
    /// GICv2: what a tree's `reg` has, in its order.
    V2 {
        /// GICD.
        distributor: PhysRange,
        /// GICC.
        cpu_interface: PhysRange,
        /// GICH.
        hypervisor: PhysRange,
        /// GICV.
        virtual_cpu_interface: PhysRange,
    },
    /// GICv3 without an ITS.
    V3 {
        /// GICD.
        distributor: PhysRange,
        /// GICR, all of them.
        redistributors: PhysRange,
    },
}

/// What such a machine is.
#[derive(Clone, Copy, Debug)]
pub struct PlainDescription {
    /// The interrupt controller.
    pub gic: PlainGic,
    /// EL2's log port.
    pub log: PhysRange,
    /// Registers that EL2 itself uses: the interrupt controller's and the log port's.
    pub registers: &'static [PhysRange],
    /// Device registers that the host sees: sorted, whole pages, without overlap.
    pub windows: &'static [PhysRange],
    /// Device registers that no VM sees.
    pub hidden: &'static [PhysRange],
    /// How many bits of address reach all RAM and every device.
    pub ipa_bits: u8,
    /// Where RAM can be.
    pub ram: &'static [PhysRange],
    /// Nodes of the tree that the host does not get.
    pub kept: &'static [Kept<'static>],
    /// The bus masters, which nothing contains.
    pub uncontained: &'static [&'static str],
}

/// One such machine.
pub trait PlainMachine: Send + Sync + 'static {
    /// What it is.
    const DESCRIPTION: &'static PlainDescription;
    /// The driver of its log port.
    type Port<I: Io + Send + Sync>: Console;

    /// Sets the log port behind `io` up.
    ///
    /// # Errors
    /// As the driver has them.
    fn port<I: Io + Send + Sync>(io: I) -> Result<Self::Port<I>, ConsoleError>;

    /// Stops or pets the watchdogs behind `bus`.
    fn calm_watchdogs<B: Bus>(_bus: &B) -> Watchdogs {
        Watchdogs::Quiet
    }
}

/// The machine `M`, or a model of it behind `B`.
#[derive(Debug)]
pub struct Plain<M, B = Identity> {
    bus: B,
    interrupts_taken: bool,
    iommu_taken: bool,
    machine: PhantomData<M>,
}

impl<M: PlainMachine> Plain<M> {
    /// The machine that the program runs on. Touches no device.
    ///
    /// # Errors
    /// As [`over`](Self::over).
    ///
    /// # Safety
    /// This is machine `M`. The registers that its description calls EL2's are mapped at their own addresses as device
    /// memory, for ever. There is one such value in the program, and nothing else in it drives the interrupt
    /// controller.
    pub unsafe fn new(tree: &MachineTree<'_>) -> Result<Self, SocError> {
        // SAFETY: as the caller vouches.
        let bus = unsafe { Identity::new() };
        Self::over(bus, tree)
    }

    /// EL2's log port.
    ///
    /// # Errors
    /// As the driver has them.
    ///
    /// # Safety
    /// As for [`new`](Self::new), and nothing else in the program drives the port.
    pub unsafe fn console() -> Result<<Self as Soc>::Console, ConsoleError> {
        // SAFETY: as the caller vouches.
        Self::console_on(&unsafe { Identity::new() })
    }
}

impl<M: PlainMachine, B: Bus> Plain<M, B> {
    /// The machine behind `bus`, whose tree this is.
    ///
    /// # Errors
    /// [`SocError::Mismatch`] with the address of a part of the interrupt controller that the tree has elsewhere;
    /// [`SocError::Interrupts`] where it has none, or of another version.
    pub fn over(bus: B, tree: &MachineTree<'_>) -> Result<Self, SocError> {
        let found = tree.gic().ok_or(SocError::Interrupts(InterruptError::NoFrame))?;
        let (version, expected): (_, Vec<PhysRange, 4>) = match M::DESCRIPTION.gic {
            PlainGic::V2 {
                distributor,
                cpu_interface,
                hypervisor,
                virtual_cpu_interface,
            } => (
                GicVersion::V2,
                Vec::from_array([distributor, cpu_interface, hypervisor, virtual_cpu_interface]),
            ),
            PlainGic::V3 {
                distributor,
                redistributors,
            } => (GicVersion::V3, [distributor, redistributors].into_iter().collect()),
        };
        if found.version != version {
            return Err(SocError::Interrupts(InterruptError::NoFrame));
        }
        match found
            .ranges
            .iter()
            .zip(&expected)
            .find(|(found, expected)| found != expected)
        {
            Some((found, _)) => Err(SocError::Mismatch(found.start().get())),
            None => Ok(Self {
                bus,
                interrupts_taken: false,
                iommu_taken: false,
                machine: PhantomData,
            }),
        }
    }

    /// EL2's log port behind `bus`.
    ///
    /// # Errors
    /// As the driver has them.
    pub fn console_on(bus: &B) -> Result<M::Port<B::Io>, ConsoleError> {
        M::port(bus.registers(M::DESCRIPTION.log))
    }
}

impl<M: PlainMachine, B: Bus> Soc for Plain<M, B> {
    type Iommu = Aborting<B::Io, B::Io>;
    type InterruptController = Gic<B::Io>;
    type Console = M::Port<B::Io>;
    type MemoryController = NoMemoryController;
    type Firmware = NoFirmware;

    fn ipa_bits(&self) -> u8 {
        M::DESCRIPTION.ipa_bits
    }

    fn device_windows(&self) -> &[PhysRange] {
        M::DESCRIPTION.windows
    }

    fn hidden(&self) -> &[PhysRange] {
        M::DESCRIPTION.hidden
    }

    fn calm_watchdogs(&mut self) -> Watchdogs {
        M::calm_watchdogs(&self.bus)
    }

    fn interrupt_controller(&mut self) -> Result<Gic<B::Io>, SocError> {
        take(&mut self.interrupts_taken)?;
        let bus = &self.bus;
        let gic = match M::DESCRIPTION.gic {
            PlainGic::V2 {
                distributor,
                cpu_interface,
                hypervisor,
                virtual_cpu_interface,
            } => Gic::V2(Gicv2::over(
                bus.registers(distributor),
                bus.registers(cpu_interface),
                [hypervisor, virtual_cpu_interface],
            )?),
            PlainGic::V3 {
                distributor,
                redistributors,
            } => Gic::V3(Gicv3::over(
                bus.registers(distributor),
                [(bus.registers(redistributors), redistributors)],
                &[],
            )?),
        };
        // A control frame that the host saw would let it make a bus master of the GIC.
        let seen = |frame: &&PhysRange| self.device_windows().iter().any(|window| window.overlaps(frame));
        match gic.trapped_frames().iter().find(seen) {
            Some(frame) => Err(SocError::Mismatch(frame.start().get())),
            None => Ok(gic),
        }
    }

    fn iommu(&mut self) -> Result<Option<Self::Iommu>, SocError> {
        take(&mut self.iommu_taken)?;
        Ok(None)
    }
}

#[cfg(test)]
mod tests;
