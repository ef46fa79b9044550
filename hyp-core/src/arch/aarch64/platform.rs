//! The machine that EL2 boots on.

use super::boot::device_tree;
use super::calls;
use super::host::{Stage2Registers, init_cpu};
use super::memory::{Cpu, clean, host_tree_buffer, read_ram};
use super::percpu::affinity;
use super::stage1::{add_ram, image};
use crate::boot::Platform;
use crate::features::Features;
use leasehold_hal::{Stage2Geometry, Vmid};
use leasehold_memory_map::{PhysAddr, PhysRange, RangeError};

/// The boot CPU, in the only boot that there is.
pub struct BootCpu(());

impl BootCpu {
    /// The calling CPU, which boots and is alone.
    pub(crate) const fn this() -> Self {
        Self(())
    }
}

impl Platform for BootCpu {
    type Cpu = Cpu;

    fn cpu(&self) -> Cpu {
        Cpu::this()
    }

    fn features(&self) -> Features {
        Features::read()
    }

    fn affinity(&self) -> u64 {
        affinity()
    }

    fn firmware(&self, arguments: [u64; 4]) -> [u64; 4] {
        calls::firmware(arguments)
    }

    fn image(&self) -> Result<PhysRange, RangeError> {
        let start = PhysAddr::new(image::start() as u64);
        PhysRange::new(start, (image::end() - image::start()) as u64)
    }

    fn device_tree(&self, address: u64) -> Option<&[u8]> {
        device_tree(address)
    }

    fn add_ram(&self, ram: PhysRange, device_tree: u64) {
        add_ram(ram, device_tree);
    }

    fn read_ram(&self, from: PhysAddr, into: &mut [u8]) {
        read_ram(from, into);
    }

    fn fill_ram<R>(&self, place: PhysRange, write: impl FnOnce(&mut [u8]) -> R) -> R {
        let written = write(host_tree_buffer(place));
        clean(place);
        written
    }

    fn init_cpu(&self, features: &Features, geometry: &Stage2Geometry, root: PhysAddr) {
        init_cpu(features, &Stage2Registers::new(geometry, root, Vmid::HOST, features));
    }
}
