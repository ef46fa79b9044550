//! The driver against the model. Tables are laid out by hand.

mod faults;
mod handover;
mod protocol;
mod streams;
mod suite;
mod timeouts;
mod translations;

use super::model::{Identity, Model, Quirks, SimMemory};
use super::*;
use crate::smmu::model::tables::{self, MEMORY};
use leasehold_hal::{IommuEventKind, MemoryAttributes};

type Unit = Attached<Model>;

const ROOT: PhysAddr = PhysAddr::new(tables::ROOT);
/// RAM that nothing ever maps.
const CANARY: u64 = 0x7000_0000;
/// Where the display's picture is, and how many words of it.
const PICTURE: u64 = 0x4000_0000;
const WORDS: u64 = 0x600;
const PAGE: u64 = 4096;

/// Streams of the QCS6490 (its device tree): storage, display, a remote processor, and somebody whose id is masked.
const UFS: u16 = 0x80;
const DISPLAY: u16 = 0x900;
const ADSP: u16 = 0x1800;
const CRYPTO: u16 = 0x4e4;
const STREAMS: &[Streams] = &[
    Streams::new(UFS, 0),
    Streams::new(DISPLAY, 0x402),
    Streams::new(ADSP, 0),
    Streams::new(CRYPTO, 0x11),
    // Said twice in the tree, for two devices.
    Streams::new(CRYPTO, 0x11),
];
/// What nobody has named.
const STRANGER: u16 = 0x123;

/// CR0 as Linux or a loader might leave it: with streams without a group let past, and refused.
const OPEN: u32 = 0x0020_1836;
const CLOSED: u32 = OPEN | 1 << 10;
/// TLBs remember what is let past.
const REMEMBERS: u32 = 1 << 26 | 1 << 10 | 1 << 8;
const VALID: u32 = 1 << 31;
const BYPASS: u32 = 1 << 16 | 0xff;
const FAULT: u32 = 2 << 16;

const INSTANCE: Instance = Instance {
    registers: PhysRange::constant(PhysAddr::new(0x1500_0000), 0x10_0000),
    access: Access::Full,
    implementation: Implementation::Mmu500(Prefetch::Off),
    walks: Walks::Coherent,
    streams: STREAMS,
    tbus: Some(TbuRegisters::QUALCOMM),
};

fn geometry(ipa_bits: u8) -> Stage2Geometry {
    Stage2Geometry::new(ipa_bits, MemoryAttributes::Combine).unwrap()
}

fn pages(start: u64, count: u64) -> PageRange<Ipa> {
    PageRange::new(Ipa::new(start), count).unwrap()
}

/// Takes all events, of which there are few: the registers hold one of each kind.
fn drain(unit: &mut Unit) {
    let taken = (0..10).take_while(|_| unit.next_event().is_some()).count();
    assert!(taken < 10, "there is no end of events");
}

/// A unit and the memory around it, in which the picture is mapped.
struct Bench {
    memory: SimMemory,
    model: Model,
    instance: Instance,
}

impl Bench {
    fn with(identity: Identity, quirks: Quirks) -> Self {
        let memory = SimMemory::new();
        let model = Model::new(identity, quirks, &memory);
        for page in 0..(8 * WORDS).div_ceil(PAGE) {
            memory.map_page(PICTURE + page * PAGE);
        }
        Self {
            memory,
            model,
            instance: INSTANCE,
        }
    }

    fn new() -> Self {
        Self::with(Identity::QCS6490, Quirks::default())
    }

    fn take(&self) -> Result<Inherited<Model>, TakeError> {
        Inherited::over(self.model.clone(), self.instance)
    }

    fn try_attach(&self) -> Result<Unit, IommuError> {
        self.take().unwrap().attach(ROOT, &geometry(40), Vmid::HOST)
    }

    fn attach(&self) -> Unit {
        self.try_attach().unwrap()
    }

    fn reads(&self, address: u64) -> bool {
        self.model.dma_read(UFS, address).is_some()
    }

    fn unmap(&self, address: u64) {
        self.memory.set_entry(address, 3, 0);
    }

    /// Whether none of the streams gets anywhere.
    fn refuses_all(&self) -> bool {
        [0, UFS, DISPLAY, DISPLAY | 2, ADSP, CRYPTO, STRANGER, 0x7fff]
            .iter()
            .all(|stream| self.model.dma_read(*stream, PICTURE).is_none() && !self.model.dma_write(*stream, CANARY, 1))
    }
}
