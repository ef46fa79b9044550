//! Leasehold for QEMU's `virt` machine: the board of CI, and of everyone without a board.
#![no_std]
#![no_main]

mod layout;

use leasehold_hal::{SmcPolicy, Soc, SocError};
use leasehold_hyp_core::board::{Board, BoardConfig};
use leasehold_hyp_core::fault::Policy;
use leasehold_memory_map::{MachineTree, PhysAddr, PhysRange};
use leasehold_soc::qemu_virt::{self, QemuVirtConfig};

/// The board.
struct QemuVirt;

impl Board for QemuVirt {
    type Soc = qemu_virt::QemuVirt;

    const CONFIG: BoardConfig = BoardConfig {
        name: "qemu-virt",
        load_address: PhysAddr::new(layout::LOAD_ADDRESS),
        registers: qemu_virt::REGISTERS,
        // From 1 GiB on, 255 GiB at most (`hw/arm/virt.c`, VIRT_MEM).
        ram: &[PhysRange::constant(PhysAddr::new(1 << 30), 255 << 30)],
        // Two PL011, GIC, SMMU, and what would reach memory past the SMMU.
        kept: qemu_virt::KEPT,
        // The host is a stock Linux: this is the policy under which 6.1, 6.12 and 7.3 live through every access, whatever
        // they do about a warning or an oops, and the offender alone is told (docs/fault-delivery.md).
        policy: Policy::DEFAULT,
        // QEMU is the firmware, and has PSCI alone.
        smc: if cfg!(feature = "stub-firmware") {
            leasehold_soc::secure::qcs6490::POLICY
        } else {
            SmcPolicy::NONE
        },
        // DFSC 0b110010 is not allotted (Arm ARM, ESR_EL1, "ISS encoding for an exception from a Data Abort").
        new_syndrome: 0x32,
        // A test board: what boot arguments say counts.
        overrides: true,
        // PCI is behind the SMMU; `fw_cfg` and `virtio-mmio` are hidden from the host.
        uncontained_masters: &[],
        accept_uncontained: false,
    };

    fn console() -> Result<<Self::Soc as Soc>::Console, SocError> {
        // SAFETY: this image is for QEMU's `virt`; the core calls this once, with `CONFIG.registers` mapped for good.
        Ok(unsafe { qemu_virt::QemuVirt::console() }?)
    }

    fn soc(tree: &MachineTree<'_>) -> Result<Self::Soc, SocError> {
        let config = QemuVirtConfig::from_tree(tree)?;
        // SAFETY: as above; the core calls this once, after it has mapped the image and `CONFIG.registers` for good, and
        // drives interrupt controller and SMMU through what it gets here alone.
        unsafe { qemu_virt::QemuVirt::new(config) }
    }
}

leasehold_hyp_core::hypervisor!(QemuVirt);
