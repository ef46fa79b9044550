//! QEMU's xlnx-zcu102.

use leasehold_boards::soc::zynqmp::ZYNQMP;
use leasehold_boards::{Description, El2Entry, Facts, Firmware, Machine, PhysAddr, Policy, STOCK_LINUX, Tier};

/// The board.
pub const BOARD: Description = Description {
    name: "qemu-zcu102",
    title: "QEMU's xlnx-zcu102",
    tier: Tier::RunsInCi,
    machine: Machine::Other(Facts {
        soc: "Zynq UltraScale+",
        cpus: "4 x Cortex-A53",
        gic: "GIC-400 (v2)",
        smmu: "none",
        console: "Cadence UART 1",
        uncontained: ZYNQMP.uncontained,
    }),
    // QEMU loads an arm64 `Image` with a text offset of 0 at 2 MiB into RAM (`hw/arm/boot.c`).
    load_address: PhysAddr::new(0x0020_0000),
    tree: None,
    reserved: &[],
    reserved_pins: &[],
    entry: El2Entry::Loader("QEMU enters the image at EL2"),
    firmware: Firmware::Psci,
    policy: Policy::DEFAULT,
    policy_reason: STOCK_LINUX,
    // A test board: what boot arguments say counts.
    overrides: true,
    // Nothing contains its masters, and none of them is told to do anything by the tests' hosts.
    accept_uncontained: true,
    verified: &["the main job with a bare-metal host, on QEMU"],
};
