//! interim
use leasehold_drivers::interrupt::{Gic, gicv3::Gicv3};
use leasehold_drivers::serial::pl011::Pl011;
use leasehold_hal::*;
use leasehold_memory_map::*;
pub enum No {}
pub struct NoIommu(No);
impl Iommu for NoIommu {
    type Attached = NoIommu;
    fn bbm_level(&self) -> u8 {
        2
    }
    fn registers(&self) -> PhysRange {
        match self.0 {}
    }
    fn attach(self, _: PhysAddr, _: &Stage2Geometry, _: Vmid) -> Result<NoIommu, IommuError> {
        match self.0 {}
    }
}
impl AttachedIommu for NoIommu {
    fn invalidate(&mut self, _: Vmid, _: PageRange<Ipa>) -> Result<(), IommuError> {
        match self.0 {}
    }
    fn invalidate_all(&mut self, _: Vmid) -> Result<(), IommuError> {
        match self.0 {}
    }
    fn sync(&mut self) -> Result<(), IommuError> {
        match self.0 {}
    }
    fn next_event(&mut self) -> Option<IommuEvent> {
        match self.0 {}
    }
}
const fn r(a: u64, l: u64) -> PhysRange {
    PhysRange::constant(PhysAddr::new(a), l)
}
pub struct S {
    gicr: PhysRange,
    windows: heapless::Vec<PhysRange, 16>,
}
static HIDDEN: [PhysRange; 3] = [
    r(0x0808_0000, 0x2_0000),
    r(0x0904_0000, 0x1000),
    r(0x0905_0000, 0x2_0000),
];
impl S {
    pub fn new(t: &MachineTree) -> Self {
        let g = t.gic().unwrap().ranges[1];
        let mut w = heapless::Vec::new();
        for x in [r(0, 0x0800_0000), r(0x0800_0000, 0x1_0000)] {
            w.push(x).unwrap();
        }
        for i in 0..t.cpus().len() as u64 {
            w.push(r(g.start().get() + i * 0x2_0000 + 0x1_0000, 0x1_0000)).unwrap();
        }
        for x in [
            r(0x0900_0000, 0x4_0000),
            r(0x0904_1000, 0xf000),
            r(0x0907_0000, 0x3700_0000 - 0x7_0000),
            r(0x40_1000_0000, 0x1000_0000),
            r(0x80_0000_0000, 0x7f_c000_0000),
        ] {
            w.push(x).unwrap();
        }
        Self { gicr: g, windows: w }
    }
}
impl Soc for S {
    type Iommu = NoIommu;
    type InterruptController = Gic;
    type Console = Pl011;
    fn ipa_bits(&self) -> u8 {
        40
    }
    fn device_windows(&self) -> &[PhysRange] {
        &self.windows
    }
    fn hidden(&self) -> &[PhysRange] {
        &HIDDEN
    }
    fn console(&mut self) -> Result<Pl011, SocError> {
        unimplemented!()
    }
    fn interrupt_controller(&mut self) -> Result<Gic, SocError> {
        Ok(Gic::V3(unsafe {
            Gicv3::new(r(0x0800_0000, 0x1_0000), &[self.gicr], &[])
        }?))
    }
    fn iommu(&mut self) -> Result<Option<NoIommu>, SocError> {
        Ok(None)
    }
}
pub fn console() -> Pl011 {
    unsafe { Pl011::new(r(0x0904_0000, 0x1000)) }
}
