//! Leasehold for QEMU's `virt` machine: the board of CI, and of everyone without a board.
#![no_std]
#![no_main]

mod board;
mod config;

use leasehold_hal::{Soc, SocError};
use leasehold_hyp_core::board::{Board, BoardConfig, El2Entry};
use leasehold_memory_map::MachineTree;
use leasehold_soc::qemu_virt::{self, QemuVirtConfig};

/// The board.
struct QemuVirt;

impl Board for QemuVirt {
    type Soc = qemu_virt::QemuVirt;

    const CONFIG: BoardConfig = BoardConfig {
        // For tests, entered as by XBL on boards with Gunyah.
        entry: if cfg!(feature = "gunyah-exit") {
            El2Entry::GunyahExit
        } else {
            config::CONFIG.entry
        },
        // In tests something stands for more firmware than QEMU's.
        smc: if cfg!(feature = "stub-firmware") {
            leasehold_soc::secure::qcs6490::POLICY
        } else {
            config::CONFIG.smc
        },
        ..config::CONFIG
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
