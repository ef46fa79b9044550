//! Registers of the GICv2 (Arm IHI 0048B, chapter 4).

use crate::mmio::{Ro, Rw, Wo};
use tock_registers::register_bitfields;

register_bitfields![u32,
    pub GICD_CTLR [
        Enable OFFSET(0) NUMBITS(1) []
    ],
    pub GICD_SGIR [
        TargetListFilter OFFSET(24) NUMBITS(2) [
            List = 0b00
        ],
        CPUTargetList OFFSET(16) NUMBITS(8) [],
        SGIINTID OFFSET(0) NUMBITS(4) []
    ],
    pub ICPIDR2 [
        ArchRev OFFSET(4) NUMBITS(4) [
            GICv2 = 2
        ]
    ],
    pub GICC_CTLR [
        Enable OFFSET(0) NUMBITS(1) []
    ],
    pub GICC_PMR [
        Priority OFFSET(0) NUMBITS(8) []
    ],
    pub GICC_IAR [
        CPUID OFFSET(10) NUMBITS(3) [],
        InterruptID OFFSET(0) NUMBITS(10) []
    ],
];

pub const GICD_CTLR: Rw<u32, GICD_CTLR::Register> = Rw::new(0x000);
/// A bit per interrupt, those of the calling CPU's private interrupts.
pub const GICD_ISENABLER0: Rw<u32> = Rw::new(0x100);
pub const GICD_ICENABLER0: Rw<u32> = Rw::new(0x180);
/// A byte per interrupt.
pub const GICD_IPRIORITYR: usize = 0x400;
/// The first reads as the calling CPU's own bit.
pub const GICD_ITARGETSR0: Ro<u32> = Ro::new(0x800);
pub const GICD_SGIR: Wo<u32, GICD_SGIR::Register> = Wo::new(0xf00);
pub const ICPIDR2: Ro<u32, ICPIDR2::Register> = Ro::new(0xfe8);

pub const GICC_CTLR: Rw<u32, GICC_CTLR::Register> = Rw::new(0x00);
pub const GICC_PMR: Rw<u32, GICC_PMR::Register> = Rw::new(0x04);
pub const GICC_IAR: Ro<u32, GICC_IAR::Register> = Ro::new(0x0c);
/// Takes what GICC_IAR gave.
pub const GICC_EOIR: Wo<u32> = Wo::new(0x10);

/// The lowest number that is not an interrupt (3.2.5).
pub const SPECIAL: u32 = 1020;
