//! What an SMMUv3 says about itself, and what it must have.

use super::registers::{AIDR, IDR0, IDR1, IDR3, IDR5};
use crate::mmio::Io;
use leasehold_hal::{IommuError, MemoryAttributes, Stage2Geometry};
use leasehold_memory_map::{Address, PhysAddr};
use tock_registers::LocalRegisterCopy;
use tock_registers::interfaces::Readable;

/// The largest S2PS that a 4 KiB granule can have without 52-bit descriptors: 48 bits (Arm IHI 0070, 5.2, S2PS).
const PS_48: u8 = 0b101;

/// The identification registers.
#[derive(Clone, Copy)]
pub struct Features {
    idr0: LocalRegisterCopy<u32, IDR0::Register>,
    idr1: LocalRegisterCopy<u32, IDR1::Register>,
    idr3: LocalRegisterCopy<u32, IDR3::Register>,
    idr5: LocalRegisterCopy<u32, IDR5::Register>,
    aidr: LocalRegisterCopy<u32, AIDR::Register>,
}

impl Features {
    pub fn read(io: &impl Io) -> Self {
        Self {
            idr0: io.at(IDR0).extract(),
            idr1: io.at(IDR1).extract(),
            idr3: io.at(IDR3).extract(),
            idr5: io.at(IDR5).extract(),
            aidr: io.at(AIDR).extract(),
        }
    }

    /// Whether it is of the architecture that the driver is for.
    pub fn identify(&self) -> Result<(), IommuError> {
        if self.aidr.matches_all(AIDR::ArchMajorRev::SMMUv3) {
            Ok(())
        } else {
            Err(IommuError::Unsupported(self.aidr.get()))
        }
    }

    /// Whether it has what the driver stands on, whatever the tables: little-endian VMSAv8-64 stage 2 with 4 KiB
    /// granules, without stalls, tables and queues in coherent memory of our choice.
    pub fn suffice(&self) -> Result<(), IommuError> {
        let idr0 = &self.idr0;
        let walks = idr0.is_set(IDR0::S2P) && idr0.is_set(IDR0::TTF_AArch64) && idr0.is_set(IDR0::COHACC);
        let terminates =
            idr0.matches_all(IDR0::STALL_MODEL::StallAndTerminate) || idr0.matches_all(IDR0::STALL_MODEL::Terminate);
        let little = idr0.matches_all(IDR0::TTENDIAN::Mixed) || idr0.matches_all(IDR0::TTENDIAN::Little);
        if !(walks && terminates && little) {
            return Err(IommuError::Unsupported(idr0.get()));
        }
        if self.idr1.is_set(IDR1::TABLES_PRESET) || self.idr1.is_set(IDR1::QUEUES_PRESET) {
            return Err(IommuError::Unsupported(self.idr1.get()));
        }
        if !self.idr5.is_set(IDR5::GRAN4K) {
            return Err(IommuError::Unsupported(self.idr5.get()));
        }
        Ok(())
    }

    /// Whether it can walk tables of this geometry from `root`.
    pub fn can_walk(&self, root: PhysAddr, geometry: &Stage2Geometry) -> Result<(), IommuError> {
        // Where there is no AArch32, IAS is OAS (3.4); the host's map is an identity, so a larger input is of no use.
        if geometry.ipa_bits() > self.output_bits() {
            return Err(IommuError::Unsupported(self.idr5.get()));
        }
        if geometry.attributes() == MemoryAttributes::ForceWriteBack && !self.idr3.is_set(IDR3::FWB) {
            return Err(IommuError::Unsupported(self.idr3.get()));
        }
        let size = geometry.root_tables() as u64 * leasehold_memory_map::PAGE_SIZE;
        let end = root.checked_add(size);
        if !root.is_aligned(size) || end.is_none_or(|end| end.get() > 1 << self.output_bits()) {
            return Err(IommuError::Root(root));
        }
        Ok(())
    }

    /// Whether a walk of these tables starts at level 0, in a table of the driver's whose entries are the tables that stand
    /// side by side at level 1, and not in those at once.
    ///
    /// It sees the same either way. QEMU 10.0 looks in the first of the tables side by side for all of them
    /// (`smmu_ptw_64_s2` clears the very bits that tell them apart): besides that devices get nowhere, a translation is
    /// remembered under two addresses and forgotten under one. A start at level 0 needs 44 bits of output (Arm ARM
    /// D8.2.9).
    pub fn starts_at_level_0(&self, geometry: &Stage2Geometry) -> bool {
        geometry.root_tables() > 1 && self.output_bits() >= 44
    }

    /// How wide the addresses are that come out of it, at most 48 bits (6.3.6, OAS).
    pub fn output_bits(&self) -> u8 {
        [32, 36, 40, 42, 44, 48][usize::from(self.stage2_ps())]
    }

    /// S2PS: all that it has.
    pub fn stage2_ps(&self) -> u8 {
        (self.idr5.read(IDR5::OAS) as u8).min(PS_48)
    }

    /// The break-before-make level. A reserved value promises nothing.
    pub fn bbm_level(&self) -> u8 {
        match self.idr3.read(IDR3::BBML) {
            level @ 0..=2 => level as u8,
            _ => 0,
        }
    }

    pub fn has_two_level_tables(&self) -> bool {
        self.idr0.matches_all(IDR0::ST_LEVEL::TwoLevel)
    }

    pub fn has_range_invalidation(&self) -> bool {
        self.idr3.is_set(IDR3::RIL)
    }

    pub fn has_ats(&self) -> bool {
        self.idr0.is_set(IDR0::ATS)
    }

    pub fn has_pri(&self) -> bool {
        self.idr0.is_set(IDR0::PRI)
    }

    pub fn has_messages(&self) -> bool {
        self.idr0.is_set(IDR0::MSI)
    }

    pub fn has_hyp(&self) -> bool {
        self.idr0.is_set(IDR0::Hyp)
    }

    pub fn overrides_attributes(&self) -> bool {
        self.idr1.is_set(IDR1::ATTR_TYPES_OVR)
    }

    /// How many bits a StreamID has, at most 32.
    pub fn stream_bits(&self) -> u8 {
        (self.idr1.read(IDR1::SIDSIZE) as u8).min(32)
    }

    /// log2 of how many entries the command queue can have.
    pub fn command_bits(&self) -> u8 {
        self.idr1.read(IDR1::CMDQS) as u8
    }

    /// log2 of how many entries the event queue can have.
    pub fn event_bits(&self) -> u8 {
        self.idr1.read(IDR1::EVENTQS) as u8
    }
}
