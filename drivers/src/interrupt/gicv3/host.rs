//! A GICv3 in the hands of a program at EL1 that takes interrupts.

use super::registers::{GICD_CTLR, GICR_IGROUPR0, GICR_IPRIORITYR, SGI_BASE, SPECIAL};
use super::{Gicv3, icc, wake};
use crate::interrupt::{Host, PRIORITY};
use crate::mmio::Io;
use crate::wait;
use leasehold_hal::InterruptError;
use tock_registers::interfaces::{ReadWriteable, Readable, Writeable};

impl<I: Io> Gicv3<I> {
    fn distributor_settles(&self) -> Result<(), InterruptError> {
        Ok(wait::until(|| !self.distributor.at(GICD_CTLR).is_set(GICD_CTLR::RWP))?)
    }
}

impl<I: Io> Host for Gicv3<I> {
    fn start(&self) -> Result<(), InterruptError> {
        // Affinity routing comes first: changing it with groups enabled is UNPREDICTABLE (12.9.4).
        self.distributor.at(GICD_CTLR).write(GICD_CTLR::ARE_NS::SET);
        self.distributor_settles()?;
        self.distributor.at(GICD_CTLR).modify(GICD_CTLR::EnableGrp1A::SET);
        self.distributor_settles()
    }

    fn start_cpu(&self) -> Result<(), InterruptError> {
        let control = self.own_frame(0).ok_or(InterruptError::NoFrame)?;
        wake(&control)?;
        let sgi = self.own_frame(SGI_BASE).ok_or(InterruptError::NoFrame)?;
        sgi.at(GICR_IGROUPR0).set(u32::MAX);
        for intid in 0..32 {
            sgi.store(GICR_IPRIORITYR + intid, PRIORITY);
        }
        sgi.publish();
        icc::enable();
        Ok(())
    }

    fn enable(&self, intid: u32) {
        if intid < 32 {
            self.set_enabled(intid, true);
        }
    }

    fn disable(&self, intid: u32) {
        if intid < 32 {
            self.set_enabled(intid, false);
        }
    }

    fn acknowledge(&self) -> Option<u32> {
        Some(icc::iar1()).filter(|intid| *intid < SPECIAL)
    }

    fn end(&self, intid: u32) {
        icc::eoir1(intid);
    }

    fn send(&self, affinity: u64, intid: u32) {
        if intid >= 16 {
            return;
        }
        self.distributor.publish();
        let aff = |level: u32| affinity >> (8 * level) & 0xff;
        // ICC_SGI1R_EL1 (12.2.22): Aff3, RS (which sixteen of Aff0), Aff2, INTID, Aff1, a bit of TargetList.
        let target = (affinity >> 32 & 0xff) << 48
            | (aff(0) >> 4) << 44
            | aff(2) << 32
            | u64::from(intid) << 24
            | aff(1) << 16
            | 1 << (aff(0) & 0xf);
        icc::sgi1r(target);
    }
}
