//! NXP i.MX 8M Plus (reference manual IMX8MPRM, chapter "Memory Maps"; Linux, `freescale/imx8mp.dtsi`), as QEMU 10.0
//! has it (`hw/arm/fsl-imx8mp.c`).
//!
//! Four Cortex-A53 and a GIC-500. The SoC has no SMMU.

use crate::description::reg;
use crate::plain::{PlainDescription, PlainGic, PlainMachine};
use crate::qualcomm::Bus;
use leasehold_drivers::mmio::Io;
use leasehold_drivers::serial::imx::{Config, ImxUart};
use leasehold_drivers::watchdog::imx::ImxWatchdog;
use leasehold_hal::{ConsoleError, Watchdogs};
use leasehold_memory_map::{Kept, PhysAddr, PhysRange};

const DISTRIBUTOR: PhysRange = reg(0x3880_0000, 0x1_0000);
const REDISTRIBUTORS: PhysRange = reg(0x3888_0000, 0xc_0000);
/// EL2's. The host has UART2, as on the EVK.
const UART1_BASE: PhysAddr = PhysAddr::new(0x3086_0000);
const UART1: PhysRange = PhysRange::constant(UART1_BASE, 0x1_0000);

/// The watchdogs: the host's, which EL2 pets once.
const WATCHDOGS: [PhysRange; 3] = [
    reg(0x3028_0000, 0x1_0000),
    reg(0x3029_0000, 0x1_0000),
    reg(0x302a_0000, 0x1_0000),
];

/// The frame for SGIs and PPIs of CPU number `cpu`, whose control frame is before it.
const fn sgi_frame(cpu: u64) -> PhysRange {
    reg(0x3889_0000 + cpu * 0x2_0000, 0x1_0000)
}

/// What of it matters to EL2.
pub const IMX8MP: PlainDescription = PlainDescription {
    gic: PlainGic::V3 {
        distributor: DISTRIBUTOR,
        redistributors: REDISTRIBUTORS,
    },
    log: UART1,
    registers: &[
        WATCHDOGS[0],
        WATCHDOGS[1],
        WATCHDOGS[2],
        UART1,
        DISTRIBUTOR,
        REDISTRIBUTORS,
    ],
    windows: &[
        // OCRAM.
        reg(0x0090_0000, 0x9_0000),
        // PCIe's memory.
        reg(0x1800_0000, 0x0800_0000),
        // AIPS 1 to 3 up to UART1, and everything behind it up to the GIC.
        reg(0x3000_0000, 0x0086_0000),
        reg(0x3087_0000, 0x07f9_0000),
        DISTRIBUTOR,
        sgi_frame(0),
        sgi_frame(1),
        sgi_frame(2),
        sgi_frame(3),
    ],
    hidden: &[UART1],
    ipa_bits: 40,
    ram: &[reg(0x4000_0000, 0x2_0000_0000)],
    kept: &[Kept::Reg(UART1_BASE)],
    uncontained: &[
        "SDMA",
        "uSDHC",
        "Ethernet (FEC, QoS)",
        "USB",
        "PCIe",
        "GPU",
        "VPU",
        "NPU",
        "display",
        "camera",
        "audio DSP",
        "Cortex-M7",
    ],
};

/// The SoC.
#[derive(Debug)]
pub struct Imx8mp;

impl PlainMachine for Imx8mp {
    const DESCRIPTION: &'static PlainDescription = &IMX8MP;
    type Port<I: Io + Send + Sync> = ImxUart<I>;

    fn port<I: Io + Send + Sync>(io: I) -> Result<ImxUart<I>, ConsoleError> {
        let mut port = ImxUart::over(io);
        // The port's clock comes from the 24 MHz oscillator, as boot firmware leaves it; QEMU does not care.
        port.init(Config {
            clock_hz: 24_000_000,
            baud: 115_200,
        })?;
        Ok(port)
    }

    fn calm_watchdogs<B: Bus>(bus: &B) -> Watchdogs {
        let mut found = Watchdogs::Quiet;
        for range in WATCHDOGS {
            let mut watchdog = ImxWatchdog::over(bus.registers(range));
            if watchdog.is_running() {
                watchdog.pet();
                found = Watchdogs::Petted;
            }
        }
        found
    }
}
