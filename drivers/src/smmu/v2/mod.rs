//! SMMUv2 (Arm IHI 0062), its Non-secure interface, with stage 2 only; in particular the MMU-500 as Qualcomm's SoCs have
//! it.
//!
//! Firmware leaves masters running: the display shows its logo, storage and remote processors have work under way. So a
//! unit that is found is [`Inherited`]: checked, and as it was. [`Iommu::attach`] makes it [`Attached`]: every stream that
//! was let past before, and every one that the SoC names, is on the host's stage-2 tables, and all others are refused.
//! A master whose stream is named or has a group never notices, since the tables map what it uses at its own address:
//! first there is a context bank, then each group is turned over to it by one store, then streams without a group are
//! refused, and last the unit forgets what it knew. Nothing goes back: an attach that fails ends with every stream
//! refused (but a unit that does not confirm may go by what it remembers), and no error opens a way past.
//!
//! Not covered: Secure state's interface; units whose registers are not EL2's ([`Access`]), of which none is touched;
//! stage 1, of which EL2 has no use; masters that a loader left running with tables of its own that map memory elsewhere
//! than at its own address: they are contained like all others, and see what is at the addresses that they use.

mod bank;
mod device;
mod fault;
mod features;
mod instance;
#[cfg(any(test, feature = "model"))]
pub mod model;
mod registers;
mod streams;
#[cfg(test)]
mod tests;

use crate::mmio::{Io, Mmio};
use bank::Tables;
use device::Device;
use features::Features;
pub use instance::{Access, Implementation, Instance, Prefetch, Streams, TbuRegisters, Walks};
use leasehold_hal::{AttachedIommu, Iommu, IommuError, IommuEvent, IommuTimeout, SocError, Stage2Geometry, Vmid};
use leasehold_memory_map::{Address, Ipa, PageRange, PhysAddr, PhysRange};
use registers::{CR0, GFSR};
use streams::Groups;
use tock_registers::LocalRegisterCopy;
use tock_registers::interfaces::{Readable, Writeable};

/// Why a unit could not be taken over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum TakeError {
    /// It is not EL2's. None of its registers was touched. Masters behind it are not contained.
    NotOurs(Access, PhysRange),
    /// It is not as it must be. It is as it was.
    Iommu(IommuError),
}

impl From<IommuError> for TakeError {
    fn from(error: IommuError) -> Self {
        Self::Iommu(error)
    }
}

impl From<TakeError> for SocError {
    fn from(error: TakeError) -> Self {
        match error {
            TakeError::NotOurs(_, registers) => Self::Mismatch(registers.start().get()),
            TakeError::Iommu(error) => Self::Iommu(error),
        }
    }
}

/// A unit that has been found, and is as firmware left it: no stream is refused that was not refused before.
pub struct Inherited<I = Mmio> {
    io: I,
    instance: Instance,
    features: Features,
}

impl Inherited<Mmio> {
    /// The unit that `instance` describes. Changes nothing.
    ///
    /// # Errors
    /// [`TakeError::NotOurs`], before any register is touched; [`IommuError::Unsupported`] when it lacks something.
    ///
    /// # Safety
    /// If the access is [`Access::Full`], the registers are those of an SMMUv2, mapped at their own addresses as device
    /// memory, it has power for ever, and nobody else drives it.
    pub unsafe fn new(instance: Instance) -> Result<Self, TakeError> {
        // SAFETY: as the caller vouches; `over` makes no access where the registers are not EL2's, and the driver makes the
        // unit write to no memory.
        let io = unsafe { Mmio::identity(instance.registers) };
        Self::over(io, instance)
    }
}

impl<I: Io> Inherited<I> {
    /// The unit behind `io`.
    ///
    /// # Errors
    /// As [`new`](Inherited::new).
    pub fn over(io: I, instance: Instance) -> Result<Self, TakeError> {
        if instance.access != Access::Full {
            return Err(TakeError::NotOurs(instance.access, instance.registers));
        }
        let features = Features::read(&io);
        features.suffice(&instance)?;
        Ok(Self { io, instance, features })
    }

    /// Puts all streams that may go on on `tables`. Returns the context bank.
    fn lead_to(&self, tables: &Tables<'_>) -> Result<usize, IommuError> {
        self.features.can_walk(tables.root, tables.geometry)?;
        let mut groups = Groups::new(&self.io, self.features);
        groups.widen(self.instance.streams)?;
        let bank = groups.free_bank().ok_or_else(|| self.features.too_few_banks())?;
        bank::prepare(
            &self.io,
            &self.features,
            bank,
            tables,
            self.instance.walks,
            self.instance.implementation,
        )?;
        // Somebody before may have used the VMID.
        device::forget_everything(&self.io)?;
        groups.lead_to(bank, self.instance.streams)?;
        // Faults of whoever had it before count no more.
        let gfsr = self.io.at(GFSR).get();
        self.io.at(GFSR).set(gfsr);
        self.close()?;
        // That streams were let past may be remembered too.
        device::forget_everything(&self.io)?;
        Ok(bank)
    }

    /// Lets no stream past, whether it has a group or not. EXIDENABLE stays, since it says what groups mean.
    fn close(&self) -> Result<(), IommuError> {
        let exid = self.io.at(CR0).read(CR0::EXIDENABLE);
        let cr0 = CR0::SMCFCFG::SET
            + CR0::PTM::SET
            + CR0::VMIDPNE::SET
            + CR0::USFCFG::SET
            + CR0::GCFGFIE::SET
            + CR0::GCFGFRE::SET
            + CR0::EXIDENABLE.val(exid)
            + CR0::GFIE::SET
            + CR0::GFRE::SET
            + CR0::CLIENTPD::CLEAR;
        let wanted = LocalRegisterCopy::new(cr0.value);
        self.io.at(CR0).write(cr0);
        let read = self.io.at(CR0).extract();
        if device::decisive(read) == device::decisive(wanted) {
            Ok(())
        } else {
            Err(IommuError::Failed(read.get()))
        }
    }

    /// Refuses every stream, as far as the unit does as told: streams without a group first, so that none becomes one that
    /// is let past.
    fn refuse_all(&self) {
        let _ = self.close();
        Groups::new(&self.io, self.features).refuse_all();
        let _ = device::forget_everything(&self.io);
    }
}

/// A unit that has every stream that it lets past on the host's stage-2 tables.
pub struct Attached<I = Mmio>(Device<I>);

impl<I: Io + Send> Iommu for Inherited<I> {
    type Attached = Attached<I>;

    /// None: the architecture is of Armv8.0.
    fn bbm_level(&self) -> u8 {
        0
    }

    fn walks_coherently(&self) -> bool {
        self.instance.walks != Walks::Cleaned
    }

    fn registers(&self) -> PhysRange {
        self.instance.registers
    }

    fn attach(self, root: PhysAddr, geometry: &Stage2Geometry, vmid: Vmid) -> Result<Attached<I>, IommuError> {
        let tables = Tables { root, geometry, vmid };
        match self.lead_to(&tables) {
            Ok(bank) => Ok(Attached(Device::new(self.io, self.instance, self.features, bank, vmid))),
            Err(error) => {
                self.refuse_all();
                Err(error)
            }
        }
    }
}

impl<I: Io + Send> AttachedIommu for Attached<I> {
    fn invalidate(&mut self, vmid: Vmid, range: PageRange<Ipa>) -> Result<(), IommuError> {
        self.0.invalidate(vmid, range)
    }

    fn invalidate_all(&mut self, vmid: Vmid) -> Result<(), IommuError> {
        self.0.invalidate_all(vmid)
    }

    fn sync(&mut self) -> Result<(), IommuError> {
        self.0.sync()
    }

    fn next_event(&mut self) -> Option<IommuEvent> {
        self.0.next_event()
    }

    fn timeout(&self) -> Option<IommuTimeout> {
        self.0.timeout()
    }
}
