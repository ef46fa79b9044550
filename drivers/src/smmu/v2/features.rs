//! What an SMMUv2 says about itself, and what it must have.

use super::instance::{Instance, Walks};
use super::registers::{ID0, ID1, ID2, ID7};
use crate::mmio::{Io, Window};
use leasehold_hal::{IommuError, MemoryAttributes, Stage2Geometry};
use leasehold_memory_map::{Address, PAGE_SIZE, PhysAddr};
use tock_registers::LocalRegisterCopy;
use tock_registers::interfaces::Readable;

/// How wide addresses are, by OAS and IAS (Arm IHI 0062, ID2). Greater values are reserved.
const SIZES: [u8; 6] = [32, 36, 40, 42, 44, 48];
/// The most stream mapping groups for which there are registers.
const MAX_GROUPS: usize = 256;
/// The most context banks that there can be.
pub const MAX_BANKS: usize = 128;

/// The identification registers.
#[derive(Clone, Copy)]
pub struct Features {
    id0: LocalRegisterCopy<u32, ID0::Register>,
    id1: LocalRegisterCopy<u32, ID1::Register>,
    id2: LocalRegisterCopy<u32, ID2::Register>,
    id7: LocalRegisterCopy<u32, ID7::Register>,
}

impl Features {
    pub fn read(io: &impl Io) -> Self {
        Self {
            id0: io.at(ID0).extract(),
            id1: io.at(ID1).extract(),
            id2: io.at(ID2).extract(),
            id7: io.at(ID7).extract(),
        }
    }

    /// Whether it has what the driver stands on, whatever the tables: VMSAv8-64 stage 2 with 4 KiB granules, walks that
    /// see the tables, registers where the SoC says they are.
    pub fn suffice(&self, instance: &Instance) -> Result<(), IommuError> {
        let sees = instance.walks != Walks::Coherent || self.id0.is_set(ID0::CTTW);
        let can_be = (1..=MAX_GROUPS).contains(&self.groups());
        if !(self.id0.is_set(ID0::S2TS) && sees && can_be) {
            return Err(IommuError::Unsupported(self.id0.get()));
        }
        let bytes = 2 * self.global_pages() * self.page_bytes();
        let banks = 1..=self.global_pages().min(MAX_BANKS);
        if bytes as u64 > instance.registers.len() || !banks.contains(&self.banks()) {
            return Err(IommuError::Unsupported(self.id1.get()));
        }
        if !self.id2.is_set(ID2::PTFSV8_4K) {
            return Err(IommuError::Unsupported(self.id2.get()));
        }
        Ok(())
    }

    /// Whether it can walk tables of this geometry from `root`.
    pub fn can_walk(&self, root: PhysAddr, geometry: &Stage2Geometry) -> Result<(), IommuError> {
        let wide = geometry.ipa_bits() > SIZES[self.size(ID2::IAS)];
        // Forced write-back is younger than the architecture.
        if wide || geometry.attributes() != MemoryAttributes::Combine {
            return Err(IommuError::Unsupported(self.id2.get()));
        }
        let size = geometry.root_tables() as u64 * PAGE_SIZE;
        let end = root.checked_add(size);
        if !root.is_aligned(size) || end.is_none_or(|end| end.get() > 1 << SIZES[self.size(ID2::OAS)]) {
            return Err(IommuError::Root(root));
        }
        Ok(())
    }

    fn size(&self, field: tock_registers::fields::Field<u32, ID2::Register>) -> usize {
        (self.id2.read(field) as usize).min(SIZES.len() - 1)
    }

    /// PASize: all that it has.
    pub fn pa_size(&self) -> u32 {
        self.size(ID2::OAS) as u32
    }

    /// That it cannot tell streams apart as it would have to.
    pub fn too_few_groups(&self) -> IommuError {
        IommuError::Unsupported(self.id0.get())
    }

    /// That there is no context bank left.
    pub fn too_few_banks(&self) -> IommuError {
        IommuError::Unsupported(self.id1.get())
    }

    pub fn matches_streams(&self) -> bool {
        self.id0.is_set(ID0::SMS)
    }

    pub fn has_extended_ids(&self) -> bool {
        self.id0.is_set(ID0::EXIDS)
    }

    pub fn has_wide_vmids(&self) -> bool {
        self.id2.is_set(ID2::VMID16S)
    }

    /// Whether ACR.CACHE_LOCK is there, if it is an MMU-500: from r2p0 on.
    pub fn has_cache_lock(&self) -> bool {
        self.id7.read(ID7::MAJOR) >= 2
    }

    /// The bits that an index can have, where streams are indexes.
    pub fn index_mask(&self) -> u16 {
        !(u16::MAX << self.id0.read(ID0::NUMSIDB))
    }

    /// How many S2CRs there are: one for each SMR or one for each index.
    pub fn groups(&self) -> usize {
        if self.matches_streams() {
            self.id0.read(ID0::NUMSMRG) as usize
        } else {
            1 << self.id0.read(ID0::NUMSIDB)
        }
    }

    pub fn banks(&self) -> usize {
        self.id1.read(ID1::NUMCB) as usize
    }

    fn page_bytes(&self) -> usize {
        if self.id1.is_set(ID1::PAGESIZE) {
            0x1_0000
        } else {
            0x1000
        }
    }

    fn global_pages(&self) -> usize {
        2 << self.id1.read(ID1::NUMPAGENDXB)
    }

    /// Global space 1.
    pub fn global1<'a, I: Io>(&self, io: &'a I) -> Window<'a, I> {
        Window::new(io, self.page_bytes(), self.page_bytes())
    }

    /// Context bank `n`, which is less than [`banks`](Self::banks).
    pub fn bank<'a, I: Io>(&self, io: &'a I, n: usize) -> Window<'a, I> {
        let base = (self.global_pages() + n) * self.page_bytes();
        Window::new(io, base, self.page_bytes())
    }
}
