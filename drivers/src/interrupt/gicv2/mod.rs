//! GICv2 (Arm IHI 0048B).
//!
//! Distributor and CPU interface (GICD, GICC) are the host's. The hypervisor's interface and the virtual CPU interface
//! (GICH, GICV) are hidden from it. A GICv2 is no bus master, so nothing is trapped.

#[cfg(any(test, feature = "model"))]
pub mod model;
mod registers;

use super::{Host, PRIORITY};
use crate::cpu;
use crate::mmio::{Io, Mmio};
use leasehold_hal::{InterruptController, InterruptError};
use leasehold_memory_map::PhysRange;
use registers::{
    GICC_CTLR, GICC_EOIR, GICC_IAR, GICC_PMR, GICD_CTLR, GICD_ICENABLER0, GICD_IPRIORITYR, GICD_ISENABLER0,
    GICD_ITARGETSR0, GICD_SGIR, ICPIDR2, SPECIAL,
};
use tock_registers::interfaces::{Readable, Writeable};

/// Where the parts of a GICv2 are.
#[derive(Clone, Copy, Debug)]
pub struct Frames {
    /// GICD.
    pub distributor: PhysRange,
    /// GICC.
    pub cpu_interface: PhysRange,
    /// GICH.
    pub hypervisor: PhysRange,
    /// GICV.
    pub virtual_cpu_interface: PhysRange,
}

/// A GICv2.
pub struct Gicv2<I = Mmio> {
    distributor: I,
    cpu_interface: I,
    /// GICH and GICV.
    hidden: [PhysRange; 2],
}

impl Gicv2<Mmio> {
    /// The controller at `frames`.
    ///
    /// # Errors
    /// [`InterruptError::Unidentified`] with ICPIDR2 when it is no GICv2.
    ///
    /// # Safety
    /// `frames` are those of a GIC; GICD and GICC are mapped at their own addresses as device memory. Who else drives
    /// it agrees with the caller about it.
    pub unsafe fn new(frames: Frames) -> Result<Self, InterruptError> {
        // SAFETY: as the caller vouches; a GICv2 accesses no memory.
        let (distributor, cpu_interface) =
            unsafe { (Mmio::identity(frames.distributor), Mmio::identity(frames.cpu_interface)) };
        Self::over(
            distributor,
            cpu_interface,
            [frames.hypervisor, frames.virtual_cpu_interface],
        )
    }
}

impl<I: Io> Gicv2<I> {
    /// The controller with GICD behind `distributor` and GICC behind `cpu_interface`; GICH and GICV are `hidden`.
    ///
    /// # Errors
    /// [`InterruptError::Unidentified`] with ICPIDR2 when it is no GICv2.
    pub fn over(distributor: I, cpu_interface: I, hidden: [PhysRange; 2]) -> Result<Self, InterruptError> {
        let id = distributor.at(ICPIDR2).extract();
        if !id.matches_all(ICPIDR2::ArchRev::GICv2) {
            return Err(InterruptError::Unidentified(id.get()));
        }
        Ok(Self {
            distributor,
            cpu_interface,
            hidden,
        })
    }

    fn set_enabled(&self, intid: u32, enabled: bool) {
        let register = if enabled { GICD_ISENABLER0 } else { GICD_ICENABLER0 };
        self.distributor.at(register).set(1 << intid);
    }
}

impl<I: Io + Send + Sync> InterruptController for Gicv2<I> {
    fn init_cpu(&self) -> Result<(), InterruptError> {
        Ok(())
    }

    fn set_private_enabled(&self, intid: u32, enabled: bool) {
        if (16..32).contains(&intid) {
            self.set_enabled(intid, enabled);
        }
    }

    fn read_trapped(&self, _frame: usize, _offset: u64, _size: u8) -> u64 {
        0
    }

    fn write_trapped(&self, _frame: usize, _offset: u64, _size: u8, _value: u64) -> bool {
        false
    }

    fn trapped_frames(&self) -> &[PhysRange] {
        &[]
    }

    fn hidden(&self) -> &[PhysRange] {
        &self.hidden
    }
}

/// A GICv2 knows its CPUs by number, 0 to 7; here as on every machine with one, that is the lowest affinity field.
impl<I: Io> Host for Gicv2<I> {
    fn start(&self) -> Result<(), InterruptError> {
        self.distributor.at(GICD_CTLR).write(GICD_CTLR::Enable::SET);
        Ok(())
    }

    fn start_cpu(&self) -> Result<(), InterruptError> {
        let own = self.distributor.at(GICD_ITARGETSR0).get() as u8;
        // On a uniprocessor the register reads as zero (4.3.12).
        if own != 0 && u64::from(own.trailing_zeros()) != cpu::affinity() & 0xff {
            return Err(InterruptError::NoFrame);
        }
        for intid in 0..32 {
            self.distributor.store(GICD_IPRIORITYR + intid, PRIORITY);
        }
        self.cpu_interface.at(GICC_PMR).write(GICC_PMR::Priority::SET);
        self.cpu_interface.at(GICC_CTLR).write(GICC_CTLR::Enable::SET);
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
        let iar = self.cpu_interface.at(GICC_IAR).extract();
        // All of it goes back to GICC_EOIR: for an SGI, the sender is part of the name.
        (iar.read(GICC_IAR::InterruptID) < SPECIAL).then_some(iar.get())
    }

    fn end(&self, intid: u32) {
        self.cpu_interface.at(GICC_EOIR).set(intid);
    }

    fn send(&self, affinity: u64, intid: u32) {
        if affinity < 8 && intid < 16 {
            self.distributor.publish();
            self.distributor.at(GICD_SGIR).write(
                GICD_SGIR::TargetListFilter::List
                    + GICD_SGIR::CPUTargetList.val(1 << affinity)
                    + GICD_SGIR::SGIINTID.val(intid),
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::model::Model;
    use super::*;
    use leasehold_memory_map::PhysAddr;

    fn hidden() -> [PhysRange; 2] {
        [0x803_0000, 0x804_0000].map(|start| PhysRange::new(PhysAddr::new(start), 0x1_0000).unwrap())
    }

    fn gic(model: &Model) -> Gicv2<impl Io + Send + Sync + use<>> {
        Gicv2::over(model.distributor(), model.cpu_interface(), hidden()).unwrap()
    }

    #[test]
    fn another_controller_is_not_taken() {
        let model = Model::new(3);
        let id = Gicv2::over(model.distributor(), model.cpu_interface(), hidden())
            .err()
            .unwrap();
        assert_eq!(id, InterruptError::Unidentified(0x30));
    }

    #[test]
    fn el2_hides_its_interfaces_and_traps_nothing() {
        let model = Model::new(2);
        let gic = gic(&model);
        assert_eq!(gic.hidden(), hidden());
        assert!(gic.trapped_frames().is_empty());
        assert_eq!(gic.read_trapped(0, 0, 4), 0);
        assert!(!gic.write_trapped(0, 0, 4, 1));
    }

    #[test]
    fn el2_switches_private_peripheral_interrupts_only() {
        let model = Model::new(2);
        let gic = gic(&model);
        for intid in [15, 32, u32::MAX] {
            gic.set_private_enabled(intid, true);
        }
        assert_eq!(model.enabled(), 0);
        gic.set_private_enabled(26, true);
        gic.set_private_enabled(27, true);
        gic.set_private_enabled(26, false);
        assert_eq!(model.enabled(), 1 << 27);
    }

    #[test]
    fn a_host_sends_takes_and_ends() {
        let model = Model::new(2);
        let gic = gic(&model);
        gic.start().unwrap();
        gic.start_cpu().unwrap();
        assert_eq!(gic.acknowledge(), None);
        gic.send(0, 3);
        assert_eq!(gic.acknowledge(), None, "not enabled");
        gic.enable(3);
        let taken = gic.acknowledge().unwrap();
        assert_eq!(taken & 0x3ff, 3);
        assert_eq!(model.active(), Some(3));
        gic.end(taken);
        assert_eq!(model.active(), None);
        gic.disable(3);
        gic.send(0, 3);
        assert_eq!(gic.acknowledge(), None);
        gic.send(8, 3);
        gic.send(0, 16);
        assert_eq!(gic.acknowledge(), None);
    }
}
