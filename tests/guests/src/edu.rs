//! QEMU's `edu` device (QEMU: docs/specs/edu.rst): a PCI device that copies between memory and a buffer of its own.

use crate::arch::cpu;

/// Its vendor and device id.
const ID: u32 = 0x11e8_1234;
/// Where its registers are put: the beginning of virt's window of PCI memory (QEMU: hw/arm/virt.c, VIRT_PCIE_MMIO).
const BAR0: u32 = 0x1000_0000;
/// Configuration space: command, and its bits for memory and bus mastering.
const COMMAND: u64 = 0x04;
const MEMORY_AND_MASTER: u32 = 6;
/// Configuration space: the first base address.
const BASE_ADDRESS_0: u64 = 0x10;
/// The device's buffer, as DMA sees it.
const BUFFER: u64 = 0x4_0000;
/// How much it holds.
pub const BUFFER_BYTES: u64 = 4096;
/// Registers: source, destination, count, command.
const SOURCE: u64 = 0x80;
const DESTINATION: u64 = 0x88;
const COUNT: u64 = 0x90;
const DMA: u64 = 0x98;
/// Command: start; from the buffer to memory.
const START: u64 = 1;
const TO_MEMORY: u64 = 2;

/// The device.
#[derive(Clone, Copy, Debug)]
pub struct Edu {
    base: u64,
}

fn read32(address: u64) -> u32 {
    // SAFETY: a register of a PCI device or bridge.
    unsafe { (address as *const u32).read_volatile() }
}

fn write32(address: u64, value: u32) {
    // SAFETY: as in `read32`.
    unsafe { (address as *mut u32).write_volatile(value) }
}

fn write64(address: u64, value: u64) {
    // SAFETY: as in `read32`.
    unsafe { (address as *mut u64).write_volatile(value) }
}

impl Edu {
    /// Looks for the device on the root bus, and sets it up.
    pub fn find(ecam: u64) -> Option<Edu> {
        let device = (0..32).map(|n| ecam + (n << 15)).find(|config| read32(*config) == ID)?;
        write32(device + BASE_ADDRESS_0, BAR0);
        write32(device + COMMAND, MEMORY_AND_MASTER);
        cpu::dsb();
        Some(Edu { base: u64::from(BAR0) })
    }

    /// Copies from memory at `address` into the buffer. Did it finish? (It does not tell whether it was refused.)
    pub fn load(&self, address: u64, bytes: u64) -> bool {
        self.copy(address, BUFFER, bytes, START)
    }

    /// Copies from the buffer to memory at `address`. Did it finish?
    pub fn store(&self, address: u64, bytes: u64) -> bool {
        self.copy(BUFFER, address, bytes, START | TO_MEMORY)
    }

    /// Begins what [`store`](Self::store) does.
    pub fn begin_store(&self, address: u64, bytes: u64) {
        self.start(BUFFER, address, bytes, START | TO_MEMORY);
    }

    /// Waits for what was begun, also by somebody before. Did it finish?
    pub fn wait(&self) -> bool {
        self.finish()
    }

    /// Begins what [`store`](Self::store) does, and runs `meanwhile`. Did it finish?
    pub fn store_beside(&self, address: u64, bytes: u64, meanwhile: impl FnOnce()) -> bool {
        self.start(BUFFER, address, bytes, START | TO_MEMORY);
        meanwhile();
        self.finish()
    }

    fn copy(&self, from: u64, to: u64, bytes: u64, command: u64) -> bool {
        self.start(from, to, bytes, command);
        self.finish()
    }

    fn start(&self, from: u64, to: u64, bytes: u64, command: u64) {
        cpu::dsb();
        write64(self.base + SOURCE, from);
        write64(self.base + DESTINATION, to);
        write64(self.base + COUNT, bytes);
        write64(self.base + DMA, command);
    }

    fn finish(&self) -> bool {
        // It takes 100 ms of the machine's time.
        let done = cpu::wait(5_000, || read32(self.base + DMA) & START as u32 == 0);
        cpu::dsb();
        done
    }
}
