//! QEMU's imx8mp-evk.

use leasehold_boards::soc::imx8mp::IMX8MP;
use leasehold_boards::{Description, El2Entry, Facts, Firmware, Machine, PhysAddr, Policy, STOCK_LINUX, Tier};

/// The board.
pub const BOARD: Description = Description {
    name: "qemu-imx8mp",
    title: "QEMU's imx8mp-evk",
    tier: Tier::RunsInCi,
    machine: Machine::Other(Facts {
        soc: "i.MX 8M Plus",
        cpus: "4 x Cortex-A53",
        gic: "GIC-500 (v3)",
        smmu: "none",
        console: "i.MX UART 1",
        uncontained: IMX8MP.uncontained,
    }),
    // QEMU loads an arm64 `Image` with a text offset of 0 at 2 MiB into RAM (`hw/arm/boot.c`).
    load_address: PhysAddr::new(0x4020_0000),
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
