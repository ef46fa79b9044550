//! The boot CPU, RAM and firmware of a twin.

use crate::profile::Profile;
use leasehold_abi::psci;
use leasehold_drivers::smmu::v3::model::SimMemory;
use leasehold_hal::{Stage2Geometry, Vmid};
use leasehold_hyp_core::boot::Platform;
use leasehold_hyp_core::features::Features;
use leasehold_hyp_core::{Machine, SyncError};
use leasehold_memory_map::{Address, Ipa, PAGE_SIZE, PageRange, PhysAddr, PhysRange, RangeError};
use std::cell::RefCell;

/// Reads bytes, wherever they begin.
#[must_use]
pub fn read_bytes(memory: &SimMemory, from: u64, len: usize) -> Vec<u8> {
    let byte = |at: u64| memory.read(at & !7).to_le_bytes()[(at & 7) as usize];
    (from..from + len as u64).map(byte).collect()
}

/// Writes bytes, from a multiple of 8 on.
pub fn write_bytes(memory: &SimMemory, to: u64, bytes: &[u8]) {
    for (n, part) in bytes.chunks(8).enumerate() {
        let mut word = [0; 8];
        word[..part.len()].copy_from_slice(part);
        memory.write(to + 8 * n as u64, u64::from_le_bytes(word));
    }
}

/// What the CPU does by itself. Its TLBs hold nothing: what stale entries would do is for the tests of `hyp-core`.
pub struct TwinCpu(pub SimMemory);

impl Machine for TwinCpu {
    fn read_entry(&self, table: PhysAddr, index: usize) -> u64 {
        self.0.read(table.get() + 8 * index as u64)
    }

    fn write_entry(&self, table: PhysAddr, index: usize, value: u64) {
        self.0.write(table.get() + 8 * index as u64, value);
    }

    fn fill_table(&self, table: PhysAddr, first: u64, step: u64) {
        for index in 0..512 {
            let value = first.wrapping_add(step.wrapping_mul(index));
            self.0.write(table.get() + 8 * index, value);
        }
    }

    fn clean_entries(&self, _: PhysAddr, _: usize, _: usize) {}

    fn publish(&self) {}

    fn invalidate(&self, _: Vmid, _: PageRange<Ipa>) {}

    fn invalidate_all(&self, _: Vmid) {}

    fn sync(&self, _: Vmid) -> Result<(), SyncError> {
        Ok(())
    }

    fn scrub(&self, page: PhysAddr) {
        write_bytes(&self.0, page.get(), &[0; PAGE_SIZE as usize]);
    }

    fn copy(&self, to: PhysAddr, from: PhysAddr, len: usize) {
        write_bytes(&self.0, to.get(), &read_bytes(&self.0, from.get(), len));
    }

    fn settle(&self) {}
}

/// The machine that boots.
pub struct TwinPlatform {
    /// All of memory.
    pub memory: SimMemory,
    /// Where EL2's image is.
    pub image: PhysRange,
    /// What is in x0, and the tree that is there.
    pub tree: (u64, Vec<u8>),
    /// What the CPU has.
    pub profile: &'static Profile,
    /// RAM that EL2 has been let reach.
    pub reached: RefCell<Vec<PhysRange>>,
    /// What the CPU was given to translate with.
    pub stage2: RefCell<Option<(Stage2Geometry, PhysAddr)>>,
}

impl Platform for TwinPlatform {
    type Cpu = TwinCpu;

    fn cpu(&self) -> TwinCpu {
        TwinCpu(self.memory.clone())
    }

    fn features(&self) -> Features {
        self.profile.features()
    }

    fn affinity(&self) -> u64 {
        0
    }

    fn firmware(&self, [function, what, ..]: [u64; 4]) -> [u64; 4] {
        assert_eq!(
            function,
            u64::from(psci::FEATURES),
            "the boot asks the firmware for features only"
        );
        let there = what == u64::from(psci::CPU_SUSPEND_64) || what == u64::from(psci::SYSTEM_RESET2_64);
        [if there { 0 } else { u64::MAX }, 0, 0, 0]
    }

    fn image(&self) -> Result<PhysRange, RangeError> {
        Ok(self.image)
    }

    fn device_tree(&self, address: u64) -> Option<&[u8]> {
        // As `arch` does, which sees no more of the tree than the first words of its header.
        let is_one = address.is_multiple_of(8) && self.tree.1.starts_with(&0xd00d_feed_u32.to_be_bytes());
        (address == self.tree.0 && is_one).then_some(&*self.tree.1)
    }

    fn add_ram(&self, ram: PhysRange, _: u64) {
        self.reached.borrow_mut().push(ram);
    }

    fn read_ram(&self, from: PhysAddr, into: &mut [u8]) {
        self.must_reach(from.get(), into.len() as u64);
        into.copy_from_slice(&read_bytes(&self.memory, from.get(), into.len()));
    }

    fn fill_ram<R>(&self, place: PhysRange, write: impl FnOnce(&mut [u8]) -> R) -> R {
        self.must_reach(place.start().get(), place.len());
        let mut bytes = vec![0; place.len() as usize];
        let result = write(&mut bytes);
        write_bytes(&self.memory, place.start().get(), &bytes);
        result
    }

    fn init_cpu(&self, _: &Features, geometry: &Stage2Geometry, root: PhysAddr) {
        *self.stage2.borrow_mut() = Some((*geometry, root));
    }
}

impl TwinPlatform {
    /// EL2 reaches only RAM that it has mapped.
    fn must_reach(&self, start: u64, len: u64) {
        let reached = self.reached.borrow();
        let inside = |ram: &PhysRange| ram.start().get() <= start && start + len <= ram.end().get();
        assert!(reached.iter().any(inside), "EL2 has not mapped {start:#x}");
    }
}
