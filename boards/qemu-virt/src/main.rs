//! Leasehold for QEMU's `virt` machine.
#![no_std]
#![no_main]

use leasehold_hal::SocError;
use leasehold_hyp_core::board::{Board, BoardConfig};
use leasehold_hyp_core::fault::Policy;
use leasehold_memory_map::{Kept, MachineTree, PhysAddr, PhysRange};
mod interim;

/// The board.
struct QemuVirt;

const fn range(start: u64, len: u64) -> PhysRange {
    PhysRange::constant(PhysAddr::new(start), len)
}

impl Board for QemuVirt {
    type Soc = interim::S;

    const CONFIG: BoardConfig = BoardConfig {
        name: "qemu-virt",
        registers: &[
            range(0x0800_0000, 0x100_0000),
            range(0x0904_0000, 0x1000),
            range(0x0905_0000, 0x2_0000),
        ],
        ram: &[range(0x4000_0000, 0xff << 30)],
        kept: &[
            Kept::Compatible("arm,smmu-v3"),
            Kept::Reg(PhysAddr::new(0x0904_0000)),
            Kept::Compatible("arm,gic-v3-its"),
        ],
        policy: Policy::DEFAULT,
        overrides: true,
        uncontained_masters: &[],
        accept_uncontained: false,
    };

    fn console() -> Result<leasehold_drivers::serial::pl011::Pl011, SocError> {
        Ok(interim::console())
    }
    fn soc(tree: &MachineTree) -> Result<Self::Soc, SocError> {
        Ok(interim::S::new(tree))
    }
}

leasehold_hyp_core::hypervisor!(QemuVirt);
