//! The driver against the model. Tables are laid out by hand.

mod protocol;
mod queues;
mod suite;
mod translations;

use super::model::{Hang, Identity, Initial, Model, SimMemory, Window};
use super::*;
use crate::smmu::model::tables::{self, MEMORY};
use leasehold_hal::{IommuEventKind, MemoryAttributes};

type Unit = Attached<Model, Window>;

const SHARED: u64 = 0x8000_0000;
const ROOT: PhysAddr = PhysAddr::new(tables::ROOT);
/// RAM that nothing ever maps.
const CANARY: u64 = 0x7000_0000;
const PAGE: u64 = 4096;
const BLOCK: u64 = 2 << 20;
/// A PCIe device, 00:01.0.
const EDU: u32 = 8;

fn registers() -> PhysRange {
    PhysRange::new(PhysAddr::new(0x905_0000), 0x2_0000).unwrap()
}

fn geometry(ipa_bits: u8) -> Stage2Geometry {
    Stage2Geometry::new(ipa_bits, MemoryAttributes::Combine).unwrap()
}

/// A unit and the memory around it.
struct Bench {
    memory: SimMemory,
    model: Model,
}

impl Bench {
    fn new(identity: Identity, initial: Initial) -> Self {
        let memory = SimMemory::new();
        let model = Model::new(identity, initial, &memory, CANARY);
        Self { memory, model }
    }

    fn qemu() -> Self {
        Self::new(Identity::QEMU, Initial::Bypassing)
    }

    fn found_with(&self, bytes: u64) -> Result<Found<Model, Window>, IommuError> {
        let shared = PhysRange::new(PhysAddr::new(SHARED), bytes).unwrap();
        Found::over(self.model.clone(), registers(), self.memory.window(shared), shared)
    }

    fn reset(&self) -> Result<Aborting<Model, Window>, ResetError> {
        self.found_with(MEMORY_BYTES as u64)?.reset()
    }

    fn attach(&self) -> Unit {
        self.reset().unwrap().attach(ROOT, &geometry(40), Vmid::HOST).unwrap()
    }

    fn set(&self, address: u64, level: u32, value: u64) {
        self.memory.set_entry(address, level, value);
    }

    fn map_page(&self, address: u64) {
        self.memory.map_page(address);
    }

    fn map_block(&self, address: u64) {
        self.memory.map_block(address);
    }

    fn reads(&self, address: u64) -> bool {
        self.model.dma_read(EDU, address).is_some()
    }
}

fn pages(start: u64, count: u64) -> PageRange<Ipa> {
    PageRange::new(Ipa::new(start), count).unwrap()
}
