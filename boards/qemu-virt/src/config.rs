//! The board's configuration, which the image and its twin on the build machine share.

use super::board::BOARD;
use leasehold_boards::Lists;
use leasehold_hal::SmcPolicy;
use leasehold_hyp_core::board::BoardConfig;
use leasehold_memory_map::{PhysAddr, PhysRange};
use leasehold_soc::qemu_virt;

/// What the board's author decides, and what follows from the machine.
pub const CONFIG: BoardConfig = BOARD.config(&Lists {
    registers: qemu_virt::REGISTERS,
    // From 1 GiB on, 255 GiB at most (`hw/arm/virt.c`, VIRT_MEM).
    ram: &[PhysRange::constant(PhysAddr::new(1 << 30), 255 << 30)],
    // Two PL011, GIC, SMMU, and what would reach memory past the SMMU.
    kept: qemu_virt::KEPT,
    uncontained: &[],
    // QEMU is the firmware, and has PSCI alone.
    smc: SmcPolicy::NONE,
});
