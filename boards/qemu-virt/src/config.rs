//! The board's configuration, which the image and its twin on the build machine share.

use leasehold_hyp_core::board::{BoardConfig, El2Entry};
use leasehold_hyp_core::fault::Policy;
use leasehold_memory_map::{PhysAddr, PhysRange};
use leasehold_soc::qemu_virt;

/// What the board's author decides.
pub const CONFIG: BoardConfig = BoardConfig {
    name: "qemu-virt",
    load_address: PhysAddr::new(super::layout::LOAD_ADDRESS),
    // As QEMU does.
    entry: El2Entry::Loader,
    registers: qemu_virt::REGISTERS,
    // From 1 GiB on, 255 GiB at most (`hw/arm/virt.c`, VIRT_MEM).
    ram: &[PhysRange::constant(PhysAddr::new(1 << 30), 255 << 30)],
    // Two PL011, GIC, SMMU, and what would reach memory past the SMMU.
    kept: qemu_virt::KEPT,
    // The host is a stock Linux: this is the policy under which 6.1, 6.12 and 7.3 live through every access, whatever
    // they do about a warning or an oops, and the offender alone is told (docs/fault-delivery.md).
    policy: Policy::DEFAULT,
    // DFSC 0b110010 is not allotted (Arm ARM, ESR_EL1, "ISS encoding for an exception from a Data Abort").
    new_syndrome: 0x32,
    // A test board: what boot arguments say counts.
    overrides: true,
    // PCI is behind the SMMU; `fw_cfg` and `virtio-mmio` are hidden from the host.
    uncontained_masters: &[],
    accept_uncontained: false,
};
