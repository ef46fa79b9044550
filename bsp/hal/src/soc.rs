//! A machine, as the core takes it.

use crate::{
    Console, ConsoleError, Firmware, InterruptController, InterruptError, Iommu, IommuError, MemoryController,
};
use leasehold_memory_map::PhysRange;

/// Why a part of the machine could not be had.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum SocError {
    /// It has been taken already.
    Taken,
    /// The log channel does not work.
    Console(ConsoleError),
    /// The interrupt controller is not as it must be.
    Interrupts(InterruptError),
    /// The IOMMU is not as it must be. It may not even refuse: the machine must not be used.
    Iommu(IommuError),
    /// The IOMMU needs this many bytes of memory, aligned to their size, and was given less.
    IommuMemory(usize),
    /// The description of the machine contradicts what the hardware says. The value is the address in question.
    Mismatch(u64),
}

impl From<ConsoleError> for SocError {
    fn from(error: ConsoleError) -> Self {
        Self::Console(error)
    }
}

impl From<InterruptError> for SocError {
    fn from(error: InterruptError) -> Self {
        Self::Interrupts(error)
    }
}

impl From<IommuError> for SocError {
    fn from(error: IommuError) -> Self {
        Self::Iommu(error)
    }
}

/// What became of the watchdogs that a loader may leave running.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Watchdogs {
    /// None runs.
    Quiet,
    /// One ran, and is stopped.
    Stopped,
    /// One runs that cannot be stopped, or that the host's driver takes over, and has been petted: the host must do so
    /// within its time.
    Petted,
}

/// A machine: the parts that the core needs, each given away once, and where devices are.
///
/// Parts are brought up when they are taken; each then lives in a lock, or in none, of the core's own. The log channel
/// is not among them: the board brings it up before anything else of the machine is known, so that the rest can be
/// reported.
pub trait Soc {
    /// What contains devices.
    type Iommu: Iommu;
    /// What routes interrupts.
    type InterruptController: InterruptController;
    /// Where the log goes.
    type Console: Console;
    /// What moves memory between masters: [`NoMemoryController`](crate::NoMemoryController) where nothing does.
    type MemoryController: MemoryController;
    /// What is behind SMC for the host: [`NoFirmware`](crate::NoFirmware) where that is PSCI alone.
    type Firmware: Firmware;

    /// How many bits of address the host's map must have to reach every device.
    fn ipa_bits(&self) -> u8;

    /// Device registers that the host sees at their own addresses: sorted, whole pages, without overlap, and without
    /// anything that is trapped or hidden.
    fn device_windows(&self) -> &[PhysRange];

    /// Device registers that no VM sees, whoever drives them: EL2's own log channel, the IOMMU, what would make the
    /// interrupt controller a bus master.
    fn hidden(&self) -> &[PhysRange];

    /// Stops the watchdogs that the loader has left running, or pets those that cannot be stopped or are left to the host,
    /// so that it has their whole time.
    fn calm_watchdogs(&mut self) -> Watchdogs {
        Watchdogs::Quiet
    }

    /// Finds the interrupt controller.
    ///
    /// # Errors
    /// [`SocError::Taken`], [`SocError::Interrupts`], [`SocError::Mismatch`].
    fn interrupt_controller(&mut self) -> Result<Self::InterruptController, SocError>;

    /// Brings up the IOMMU, so that it refuses every stream but those of masters that firmware left running. `None` on
    /// a machine that has none.
    ///
    /// # Errors
    /// [`SocError::Taken`], [`SocError::Iommu`], [`SocError::IommuMemory`].
    fn iommu(&mut self) -> Result<Option<Self::Iommu>, SocError>;

    /// Finds what moves memory between masters, and what tells of turned bits.
    ///
    /// # Errors
    /// [`SocError::Taken`], [`SocError::Mismatch`].
    fn memory_controller(&mut self) -> Result<Option<Self::MemoryController>, SocError> {
        Ok(None)
    }

    /// The firmware that the host may call, as far as the board's policy lets it.
    fn firmware(&mut self) -> Option<Self::Firmware> {
        None
    }
}
