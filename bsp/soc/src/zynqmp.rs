//! AMD Zynq UltraScale+ (UG1085, chapter "System Addresses"; UG1087), as QEMU 10.0 has it (`hw/arm/xlnx-zynqmp.c`).
//!
//! Four Cortex-A53 and a GIC-400. QEMU does not emulate the SMMU of the SoC, so this description has none, and is for
//! QEMU's `xlnx-zcu102`: on silicon, where EL2 would have to drive the SMMU, it must not be used.

use crate::description::reg;
use crate::plain::{PlainDescription, PlainGic, PlainMachine};
use leasehold_drivers::mmio::Io;
use leasehold_drivers::serial::cadence::{CadenceUart, Config};
use leasehold_hal::ConsoleError;
use leasehold_memory_map::{Kept, PhysAddr, PhysRange};

const DISTRIBUTOR: PhysRange = reg(0xf901_0000, 0x1_0000);
const CPU_INTERFACE: PhysRange = reg(0xf902_0000, 0x2_0000);
const HYPERVISOR: PhysRange = reg(0xf904_0000, 0x2_0000);
const VIRTUAL_CPU_INTERFACE: PhysRange = reg(0xf906_0000, 0x2_0000);
/// The host's.
const UART0: PhysRange = reg(0xff00_0000, 0x1000);
/// EL2's.
const UART1_BASE: PhysAddr = PhysAddr::new(0xff01_0000);
const UART1: PhysRange = PhysRange::constant(UART1_BASE, 0x1000);
/// Peripherals of the full-power domain: DisplayPort, SATA, GDMA, PCIe, APU control.
const FULL_POWER: PhysRange = reg(0xfd00_0000, 0x0100_0000);
/// Peripherals of the low-power domain behind the UARTs: I2C, SPI, CAN, GPIO, Ethernet, SD, QSPI, USB, LPD DMA.
const LOW_POWER: PhysRange = reg(0xff02_0000, 0x00fe_0000);

/// What of it matters to EL2.
pub const ZYNQMP: PlainDescription = PlainDescription {
    gic: PlainGic::V2 {
        distributor: DISTRIBUTOR,
        cpu_interface: CPU_INTERFACE,
        hypervisor: HYPERVISOR,
        virtual_cpu_interface: VIRTUAL_CPU_INTERFACE,
    },
    log: UART1,
    registers: &[DISTRIBUTOR, CPU_INTERFACE, UART1],
    windows: &[DISTRIBUTOR, CPU_INTERFACE, FULL_POWER, UART0, LOW_POWER],
    hidden: &[HYPERVISOR, VIRTUAL_CPU_INTERFACE, UART1],
    // RAM's upper part starts at 32 GiB, PCIe ends at 1 TiB.
    ipa_bits: 40,
    ram: &[reg(0, 0x8000_0000), reg(0x8_0000_0000, 0x8_0000_0000)],
    kept: &[Kept::Reg(UART1_BASE)],
    uncontained: &[
        "Ethernet (GEM)",
        "SD",
        "USB",
        "QSPI",
        "SATA",
        "DisplayPort",
        "PCIe",
        "DMA controllers",
        "Cortex-R5",
    ],
};

/// The SoC.
#[derive(Debug)]
pub struct Zynqmp;

impl PlainMachine for Zynqmp {
    const DESCRIPTION: &'static PlainDescription = &ZYNQMP;
    type Port<I: Io + Send + Sync> = CadenceUart<I>;

    fn port<I: Io + Send + Sync>(io: I) -> Result<CadenceUart<I>, ConsoleError> {
        let mut port = CadenceUart::over(io);
        // 100 MHz is what boot firmware gives the port on ZCU102; QEMU does not care.
        port.init(Config {
            clock_hz: 100_000_000,
            baud: 115_200,
        })?;
        Ok(port)
    }
}
