//! The unit that is set up: forgetting, waiting, and what was refused.

use super::fault::{self, LOST, Syndrome};
use super::features::Features;
use super::instance::Instance;
use super::registers::{
    ANY, CBFRSYNRA, CR0, FAR, FSR, FSYNR0, GFAR, GFSR, GFSYNR0, GFSYNR1, RESUME, TLBGSTATUS, TLBGSYNC, TLBIALLH,
    TLBIALLNSNH, TLBIIPAS2, TLBIVMID, TLBSTATUS, TLBSYNC, cbfrsynra,
};
use crate::mmio::{Io, Register, Window};
use crate::wait::{self, TimedOut};
use leasehold_hal::{IommuError, IommuEvent, IommuTimeout, Vmid};
use leasehold_memory_map::{Address, Ipa, PAGE_SIZE, PageRange};
use tock_registers::LocalRegisterCopy;
use tock_registers::interfaces::{Readable, Writeable};

/// Up to how many pages of a range are worth a store each. Beyond, all of the VM goes, and is walked for again.
const SINGLES: u64 = 64;

/// From what a sync has to be awaited.
#[derive(Clone, Copy, Default)]
struct Asked {
    /// The context bank's registers.
    bank: bool,
    /// Global space 0's.
    global: bool,
}

/// A unit that is set up.
pub struct Device<I> {
    pub io: I,
    pub instance: Instance,
    pub features: Features,
    /// The context bank to which all streams lead.
    bank: usize,
    /// Whose tables it walks.
    vmid: Vmid,
    /// CR0, as far as it matters.
    cr0: LocalRegisterCopy<u32, CR0::Register>,
    asked: Asked,
    /// What was read when a sync last took too long. While it is under way, another must not be asked for: some of the
    /// buffer units take a limited number, and then stall whoever asks (CodeLinaro `arm-smmu.c`, `__arm_smmu_tlb_sync`).
    late: Option<IommuTimeout>,
    /// Whether that one may still be under way.
    stuck: bool,
    /// Faults were lost, and nobody has been told.
    lost: bool,
    /// Whose turn it is to tell of faults first, so that neither can hide the other.
    global_first: bool,
}

/// The fields of CR0 that let streams past or change what they are matched with.
pub fn decisive(cr0: LocalRegisterCopy<u32, CR0::Register>) -> u32 {
    let fields = CR0::CLIENTPD::SET + CR0::USFCFG::SET + CR0::EXIDENABLE::SET + CR0::VMID16EN::SET;
    cr0.get() & fields.mask()
}

/// Makes the unit forget all that is not Secure state's, and waits for it. A sync of whoever had it before, or one that
/// took too long, must be over.
pub fn forget_everything(io: &impl Io) -> Result<(), TimedOut> {
    idle(io, TLBGSTATUS)?;
    io.publish();
    io.at(TLBIALLNSNH).set(ANY);
    io.at(TLBIALLH).set(ANY);
    io.at(TLBGSYNC).set(ANY);
    idle(io, TLBGSTATUS)
}

type Status = Register<u32, TLBSTATUS::Register, crate::mmio::ReadOnly>;

/// Waits, with a bound, until the sync that `status` is about is done.
fn idle(io: &impl Io, status: Status) -> Result<(), TimedOut> {
    wait::until(|| !io.at(status).is_set(TLBSTATUS::ACTIVE))
}

impl<I: Io> Device<I> {
    pub fn new(io: I, instance: Instance, features: Features, bank: usize, vmid: Vmid) -> Self {
        let cr0 = io.at(CR0).extract();
        Self {
            io,
            instance,
            features,
            bank,
            vmid,
            cr0,
            asked: Asked::default(),
            late: None,
            stuck: false,
            lost: false,
            global_first: false,
        }
    }

    fn cb(&self) -> Window<'_, I> {
        self.features.bank(&self.io, self.bank)
    }

    /// Whether a sync that took too long is still under way.
    fn is_stuck(&self) -> bool {
        self.stuck
            && (self.io.at(TLBGSTATUS).is_set(TLBSTATUS::ACTIVE) || self.cb().at(TLBSTATUS).is_set(TLBSTATUS::ACTIVE))
    }

    pub fn invalidate(&mut self, vmid: Vmid, range: PageRange<Ipa>) -> Result<(), IommuError> {
        if vmid != self.vmid || range.count() > SINGLES {
            return self.invalidate_all(vmid);
        }
        if self.is_stuck() {
            return Err(IommuError::TimedOut);
        }
        self.asked.bank = true;
        // What was done to the tables comes first.
        self.io.publish();
        let cb = self.cb();
        let first = range.start().get() / PAGE_SIZE;
        for page in 0..range.count() {
            cb.at(TLBIIPAS2).set(first + page);
        }
        Ok(())
    }

    pub fn invalidate_all(&mut self, vmid: Vmid) -> Result<(), IommuError> {
        if self.is_stuck() {
            return Err(IommuError::TimedOut);
        }
        self.asked.global = true;
        self.io.publish();
        self.io.at(TLBIVMID).set(u32::from(vmid.get()));
        Ok(())
    }

    pub fn sync(&mut self) -> Result<(), IommuError> {
        if self.stuck {
            self.come_to_an_end()?;
        }
        if self.asked.bank {
            self.cb().at(TLBSYNC).set(ANY);
            let done = idle(&self.cb(), TLBSTATUS);
            done.map_err(|_| self.too_late())?;
        }
        if self.asked.global {
            self.io.at(TLBGSYNC).set(ANY);
            idle(&self.io, TLBGSTATUS).map_err(|_| self.too_late())?;
        }
        self.is_there()?;
        self.asked = Asked::default();
        Ok(())
    }

    /// Whether it is as it was set up. A unit that lost its power answers anything, and lets everything past once it is
    /// back.
    fn is_there(&self) -> Result<(), IommuError> {
        let cr0 = self.io.at(CR0).extract();
        if decisive(cr0) == decisive(self.cr0) {
            Ok(())
        } else {
            Err(IommuError::Failed(cr0.get()))
        }
    }

    /// Waits for the sync that took too long.
    #[cold]
    fn come_to_an_end(&mut self) -> Result<(), IommuError> {
        idle(&self.cb(), TLBSTATUS)?;
        idle(&self.io, TLBGSTATUS)?;
        self.stuck = false;
        Ok(())
    }

    /// Notes what the unit says of a sync that takes too long.
    #[cold]
    fn too_late(&mut self) -> IommuError {
        let read = |offset: u16| self.io.load::<u32>(usize::from(offset));
        let late = IommuTimeout {
            status: [self.io.at(TLBGSTATUS).get(), self.cb().at(TLBSTATUS).get()],
            buffers: self
                .instance
                .tbus
                .map(|tbus| [read(tbus.power), read(tbus.acknowledged), read(tbus.progress)]),
        };
        self.late = Some(late);
        self.stuck = true;
        IommuError::TimedOut
    }

    pub fn timeout(&self) -> Option<IommuTimeout> {
        self.late
    }

    pub fn next_event(&mut self) -> Option<IommuEvent> {
        if core::mem::take(&mut self.lost) {
            return Some(LOST);
        }
        self.global_first = !self.global_first;
        if self.global_first {
            self.global_fault().or_else(|| self.context_fault())
        } else {
            self.context_fault().or_else(|| self.global_fault())
        }
    }

    /// Takes what the context bank has recorded.
    fn context_fault(&mut self) -> Option<IommuEvent> {
        let cb = self.cb();
        let fsr = cb.at(FSR).extract();
        if !fault::is_recorded(fsr) {
            return None;
        }
        let global1 = self.features.global1(&self.io);
        let syndrome = Syndrome {
            stream: global1.at(cbfrsynra(self.bank)).read(CBFRSYNRA::StreamID),
            address: cb.at(FAR).get(),
            write: cb.at(FSYNR0).is_set(FSYNR0::WNR),
        };
        cb.at(FSR).set(fsr.get());
        if fsr.is_set(FSR::SS) {
            // Nobody asked for stalls. The fault is cleared before, or the next would count as one more of it.
            self.io.publish();
            cb.at(RESUME).write(RESUME::TERMINATE::SET);
        }
        self.tell(fsr.is_set(FSR::MULTI), fault::of_context(fsr, syndrome))
    }

    /// Takes what global space 0 has recorded.
    fn global_fault(&mut self) -> Option<IommuEvent> {
        let gfsr = self.io.at(GFSR).extract();
        if !fault::is_recorded_globally(gfsr) {
            return None;
        }
        let syndrome = Syndrome {
            stream: self.io.at(GFSYNR1).read(GFSYNR1::StreamID),
            address: self.io.at(GFAR).get(),
            write: self.io.at(GFSYNR0).is_set(GFSYNR0::WNR),
        };
        self.io.at(GFSR).set(gfsr.get());
        self.tell(gfsr.is_set(GFSR::MULTI), fault::of_global(gfsr, syndrome))
    }

    /// The event, and that there were more, one after the other.
    fn tell(&mut self, more: bool, event: Option<IommuEvent>) -> Option<IommuEvent> {
        if event.is_none() {
            return more.then_some(LOST);
        }
        self.lost = more;
        event
    }
}
