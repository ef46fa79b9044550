//! QEMU's `virt` machine: the board of CI, and of everyone without a board.

use leasehold_boards::{Description, El2Entry, Facts, Firmware, Machine, PhysAddr, Policy, Tier};

/// The board.
pub const BOARD: Description = Description {
    name: "qemu-virt",
    title: "QEMU virt",
    tier: Tier::RunsInCi,
    machine: Machine::Other(Facts {
        soc: "QEMU virt",
        cpus: "1 to 12, any with EL2",
        gic: "GICv2 or GICv3",
        smmu: "SMMUv3 or none",
        console: "second PL011",
        // PCI is behind the SMMU; `fw_cfg` and `virtio-mmio` are hidden from the host.
        uncontained: &[],
    }),
    // QEMU loads an arm64 `Image` with a text offset of 0 at 2 MiB into RAM, which starts at 1 GiB (`hw/arm/boot.c`,
    // `hw/arm/virt.c`).
    load_address: PhysAddr::new(0x4020_0000),
    tree: None,
    reserved: &[],
    reserved_pins: &[],
    entry: El2Entry::Loader("QEMU -kernel, virtualization=on"),
    firmware: Firmware::Psci,
    // The host is a stock Linux: this is the policy under which 6.1, 6.12 and 7.3 live through every access, whatever they
    // do about a warning or an oops, and the offender alone is told (docs/fault-delivery.md).
    policy: Policy::DEFAULT,
    policy_reason: leasehold_boards::STOCK_LINUX,
    // A test board: what boot arguments say counts.
    overrides: true,
    accept_uncontained: false,
    verified: &["every scenario, in CI, on QEMU"],
};
