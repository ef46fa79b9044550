//! The suite of all units, on the model.

use super::*;
use crate::smmu::suite::{self, CASES};

impl suite::Bench for Bench {
    type Unit = Unit;

    fn tables(&self) -> u64 {
        tables::ROOT
    }

    fn memory(&self) -> u64 {
        0x5000_0000
    }

    fn read(&self, address: u64) -> u64 {
        self.memory.read(address)
    }

    fn write(&self, address: u64, value: u64) {
        self.memory.write(address, value);
    }

    fn attach(&mut self, root: PhysAddr, geometry: &Stage2Geometry, vmid: Vmid) -> Result<Unit, IommuError> {
        self.take().unwrap().attach(root, geometry, vmid)
    }

    fn splits(&self) -> bool {
        false
    }

    fn stream(&self) -> u32 {
        UFS.into()
    }

    fn device_writes(&mut self, address: u64, value: u64) {
        let _ = self.model.dma_write(UFS, address, value);
    }

    fn device_reads(&mut self, address: u64) -> u64 {
        self.model.dma_read(UFS, address).unwrap_or(0)
    }

    fn hang(&mut self, hang: bool) {
        self.model.hang(hang);
    }
}

#[test]
fn every_case_on_one_unit_after_the_other() {
    let mut bench = Bench::new();
    for case in CASES {
        let done = case.run(&mut bench);
        assert!(done.is_ok(), "{}: {done:x?}", case.name);
    }
}
