//! QEMU's `virt` machine, version 10.0 (`hw/arm/virt.c`, `base_memmap`, `extended_memmap` and `a15irqmap`; checked against
//! the tree that the machine writes).
//!
//! The host sees a device where it is, or not at all. What it does not see, besides what EL2 drives itself, are the
//! masters that reach memory past the SMMU: `fw_cfg` (whose DMA interface copies to any address), the `virtio-mmio`
//! transports and the platform bus. PCI devices are behind the SMMU, and can do all that those can.
//!
//! Devices that exist for ACPI or the Secure state only, and have no node in the tree, are left out.

#[cfg(feature = "stub-firmware")]
mod stub;

use crate::qualcomm::{Bus, Identity};
use crate::take;
use heapless::Vec;
use leasehold_drivers::interrupt::Gic;
use leasehold_drivers::interrupt::gicv2::Gicv2;
use leasehold_drivers::interrupt::gicv3::{Gicv3, MAX_CPUS};
use leasehold_drivers::serial::pl011::{Config, Pl011};
use leasehold_drivers::smmu::v3::{Aborting, Found, MEMORY_BYTES};
use leasehold_hal::{ConsoleError, InterruptController, InterruptError, Soc, SocError};
use leasehold_memory_map::{Address, GicVersion, Kept, MachineTree, PhysAddr, PhysRange};

const fn range(start: u64, len: u64) -> PhysRange {
    PhysRange::constant(PhysAddr::new(start), len)
}

const FLASH: PhysRange = range(0, 0x0800_0000);
const GIC_DIST: PhysRange = range(0x0800_0000, 0x1_0000);
const GIC_CPU: PhysRange = range(0x0801_0000, 0x1_0000);
const GIC_V2M: PhysRange = range(0x0802_0000, 0x1000);
const GIC_HYP: PhysRange = range(0x0803_0000, 0x1_0000);
const GIC_VCPU: PhysRange = range(0x0804_0000, 0x1_0000);
const GIC_ITS: PhysRange = range(0x0808_0000, 0x2_0000);
const GIC_REDIST: PhysRange = range(0x080a_0000, 0xf6_0000);
const UART0: PhysRange = range(0x0900_0000, 0x1000);
const RTC: PhysRange = range(0x0901_0000, 0x1000);
const FW_CFG: PhysRange = range(0x0902_0000, 0x1000);
const GPIO: PhysRange = range(0x0903_0000, 0x1000);
const UART1_BASE: PhysAddr = PhysAddr::new(0x0904_0000);
const UART1: PhysRange = PhysRange::constant(UART1_BASE, 0x1000);
const SMMU: PhysRange = range(0x0905_0000, 0x2_0000);
const VIRTIO_MMIO: PhysRange = range(0x0a00_0000, 0x4000);
const PLATFORM_BUS: PhysRange = range(0x0c00_0000, 0x0200_0000);
/// 32-bit memory space of PCI, and its port space behind it.
const PCIE_MMIO_AND_PIO: PhysRange = range(0x1000_0000, 0x2f00_0000);
const HIGH_PCIE_ECAM: PhysRange = range(0x40_1000_0000, 0x1000_0000);
const HIGH_PCIE_MMIO: PhysRange = range(0x80_0000_0000, 0x80_0000_0000);

/// How far apart redistributors are: a control frame, then one for SGIs and PPIs.
const REDIST_STRIDE: u64 = 0x2_0000;
/// The size of either frame.
const REDIST_FRAME: u64 = 0x1_0000;

/// The clock of the UARTs in Hz (`apb-pclk`), and a speed that QEMU does not care about.
const UART: Config = Config {
    clock_hz: 24_000_000,
    baud: 115_200,
};

/// How many bits of address reach the end of the high memory space of PCI.
const IPA_BITS: u8 = 40;

/// The shared peripheral interrupt of the host's UART, counted from 0 as in a tree; level.
pub const UART0_SPI: u32 = 1;
/// That of EL2's UART; level.
pub const UART1_SPI: u32 = 8;
/// The SMMU has recorded an event; edge.
pub const SMMU_EVENTQ_SPI: u32 = 74;
/// The SMMU has an error; edge.
pub const SMMU_GERROR_SPI: u32 = 77;

/// Registers that EL2 itself uses, whatever the configuration.
pub const REGISTERS: &[PhysRange] = &[GIC_DIST, GIC_CPU, GIC_REDIST, UART1, SMMU];

/// Nodes of the machine's tree that the host does not get: what [`QemuVirt`] hides from it.
pub const KEPT: &[Kept<'static>] = &[
    Kept::Compatible("arm,smmu-v3"),
    Kept::Compatible("arm,gic-v3-its"),
    Kept::Compatible("qemu,fw-cfg-mmio"),
    Kept::Compatible("virtio,mmio"),
    Kept::Compatible("qemu,platform"),
    Kept::Reg(UART1_BASE),
];

/// What differs from one `virt` machine to another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct QemuVirtConfig {
    /// `gic-version=2` or `3`.
    pub gic: GicVersion,
    /// `-smp`.
    pub cpus: usize,
    /// Whether there is `iommu=smmuv3`.
    pub smmu: bool,
}

impl QemuVirtConfig {
    /// The configuration that the machine's tree tells of.
    ///
    /// # Errors
    /// [`SocError::Mismatch`] with the address of a part that is not where this machine has it;
    /// [`SocError::Interrupts`] where the tree has no GIC, or more CPUs than there is room for.
    pub fn from_tree(tree: &MachineTree<'_>) -> Result<Self, SocError> {
        let gic = tree.gic().ok_or(SocError::Interrupts(InterruptError::NoFrame))?;
        let expected: &[PhysRange] = match gic.version {
            GicVersion::V2 => &[GIC_DIST, GIC_CPU, GIC_HYP, GIC_VCPU],
            GicVersion::V3 => &[GIC_DIST, GIC_REDIST],
        };
        for (found, expected) in gic.ranges.iter().zip(expected) {
            same(*found, *expected)?;
        }
        for found in tree.smmus() {
            same(*found, SMMU)?;
        }
        let cpus = tree.cpus().len();
        if cpus > MAX_CPUS {
            return Err(SocError::Interrupts(InterruptError::TooManyCpus(MAX_CPUS)));
        }
        Ok(Self {
            gic: gic.version,
            cpus,
            smmu: !tree.smmus().is_empty(),
        })
    }
}

fn same(found: PhysRange, expected: PhysRange) -> Result<(), SocError> {
    if found == expected {
        Ok(())
    } else {
        Err(SocError::Mismatch(found.start().get()))
    }
}

/// The machine, or a model of it behind `B`.
#[derive(Debug)]
pub struct QemuVirt<B = Identity> {
    bus: B,
    layout: Layout,
    interrupts_taken: bool,
    iommu_taken: bool,
}

/// What of the machine is the host's, and what is not.
#[derive(Debug)]
struct Layout {
    config: QemuVirtConfig,
    windows: Vec<PhysRange, { MAX_CPUS + 16 }>,
    hidden: Vec<PhysRange, 8>,
}

impl QemuVirt {
    /// The machine, as configured. Touches no device.
    ///
    /// # Errors
    /// [`SocError::Interrupts`] where there are more CPUs than there is room for.
    ///
    /// # Safety
    /// This is QEMU's `virt` machine. [`REGISTERS`] are mapped at their own addresses as device memory and the program's
    /// image at its own as Inner Shareable write-back memory, for ever. There is one such value in the program, and
    /// nothing else in it drives the interrupt controller or the SMMU.
    pub unsafe fn new(config: QemuVirtConfig) -> Result<Self, SocError> {
        // SAFETY: as the caller vouches.
        let bus = unsafe { Identity::new() };
        Self::over(config, bus)
    }

    /// EL2's log channel: the second UART, which is there where QEMU is given two `-serial`.
    ///
    /// # Errors
    /// [`ConsoleError::TimedOut`] when it is not there, or stuck.
    ///
    /// # Safety
    /// This is QEMU's `virt` machine. The UART's registers ([`REGISTERS`]) are mapped at their own addresses as device
    /// memory, for ever, and nothing else in the program drives it.
    pub unsafe fn console() -> Result<Pl011, ConsoleError> {
        // SAFETY: as the caller vouches.
        Self::console_on(&unsafe { Identity::new() })
    }
}

impl<B: Bus> QemuVirt<B> {
    /// The machine behind `bus`, as configured. Touches no device.
    ///
    /// # Errors
    /// [`SocError::Interrupts`] where there are more CPUs than there is room for.
    pub fn over(config: QemuVirtConfig, bus: B) -> Result<Self, SocError> {
        Ok(Self {
            bus,
            layout: Layout::of(config)?,
            interrupts_taken: false,
            iommu_taken: false,
        })
    }

    /// EL2's log channel behind `bus`.
    ///
    /// # Errors
    /// [`ConsoleError::TimedOut`] when it is not there, or stuck.
    pub fn console_on(bus: &B) -> Result<Pl011<B::Io>, ConsoleError> {
        let mut port = Pl011::over(bus.registers(UART1));
        port.init(UART)?;
        Ok(port)
    }
}

impl Layout {
    fn of(config: QemuVirtConfig) -> Result<Self, SocError> {
        let too_many = SocError::Interrupts(InterruptError::TooManyCpus(MAX_CPUS));
        if config.cpus > MAX_CPUS {
            return Err(too_many);
        }
        let mut windows = Vec::new();
        let mut add = |window| windows.push(window).map_err(|_| too_many);
        for window in [FLASH, GIC_DIST] {
            add(window)?;
        }
        match config.gic {
            GicVersion::V2 => [GIC_CPU, GIC_V2M].into_iter().try_for_each(&mut add)?,
            GicVersion::V3 => (0..config.cpus as u64).filter_map(sgi_frame).try_for_each(&mut add)?,
        }
        for window in [UART0, RTC, GPIO, PCIE_MMIO_AND_PIO, HIGH_PCIE_ECAM, HIGH_PCIE_MMIO] {
            add(window)?;
        }
        let (first, second) = match config.gic {
            GicVersion::V2 => (GIC_HYP, Some(GIC_VCPU)),
            GicVersion::V3 => (GIC_ITS, None),
        };
        let always = [UART1, SMMU, FW_CFG, VIRTIO_MMIO, PLATFORM_BUS];
        Ok(Self {
            config,
            windows,
            hidden: core::iter::once(first).chain(second).chain(always).collect(),
        })
    }
}

/// The frame for SGIs and PPIs of CPU number `cpu`, whose control frame is before it.
fn sgi_frame(cpu: u64) -> Option<PhysRange> {
    let offset = cpu.checked_mul(REDIST_STRIDE)?.checked_add(REDIST_FRAME)?;
    let start = GIC_REDIST.start().checked_add(offset)?;
    PhysRange::new(start, REDIST_FRAME).ok()
}

impl<B: Bus> Soc for QemuVirt<B> {
    type Iommu = Aborting<B::Io, B::Io>;
    type InterruptController = Gic<B::Io>;
    type Console = Pl011<B::Io>;
    #[cfg(not(feature = "stub-firmware"))]
    type MemoryController = leasehold_hal::NoMemoryController;
    #[cfg(not(feature = "stub-firmware"))]
    type Firmware = leasehold_hal::NoFirmware;
    #[cfg(feature = "stub-firmware")]
    type MemoryController = stub::StubController;
    #[cfg(feature = "stub-firmware")]
    type Firmware = stub::StubFirmware;

    fn ipa_bits(&self) -> u8 {
        IPA_BITS
    }

    fn device_windows(&self) -> &[PhysRange] {
        &self.layout.windows
    }

    fn hidden(&self) -> &[PhysRange] {
        &self.layout.hidden
    }

    fn interrupt_controller(&mut self) -> Result<Gic<B::Io>, SocError> {
        take(&mut self.interrupts_taken)?;
        let bus = &self.bus;
        let gic = match self.layout.config.gic {
            GicVersion::V2 => Gic::V2(Gicv2::over(
                bus.registers(GIC_DIST),
                bus.registers(GIC_CPU),
                [GIC_HYP, GIC_VCPU],
            )?),
            GicVersion::V3 => Gic::V3(Gicv3::over(
                bus.registers(GIC_DIST),
                [(bus.registers(GIC_REDIST), GIC_REDIST)],
                &[GIC_ITS],
            )?),
        };
        // A control frame that the host saw would let it make a bus master of the GIC.
        let seen = |frame: &&PhysRange| self.layout.windows.iter().any(|window| window.overlaps(frame));
        match gic.trapped_frames().iter().find(seen) {
            Some(frame) => Err(SocError::Mismatch(frame.start().get())),
            None => Ok(gic),
        }
    }

    fn iommu(&mut self) -> Result<Option<Self::Iommu>, SocError> {
        take(&mut self.iommu_taken)?;
        if !self.layout.config.smmu {
            return Ok(None);
        }
        let (shared, memory) = self.bus.smmu_memory().ok_or(SocError::IommuMemory(MEMORY_BYTES))?;
        let found = Found::over(self.bus.registers(SMMU), SMMU, shared, memory)?;
        Ok(Some(found.reset()?))
    }

    #[cfg(feature = "stub-firmware")]
    fn memory_controller(&mut self) -> Result<Option<stub::StubController>, SocError> {
        Ok(Some(stub::StubController::new()))
    }

    #[cfg(feature = "stub-firmware")]
    fn firmware(&mut self) -> Option<stub::StubFirmware> {
        Some(stub::StubFirmware)
    }
}

#[cfg(test)]
mod tests;
