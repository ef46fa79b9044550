//! Registers of the GICv3 (Arm IHI 0069, chapter 12).

use crate::mmio::{Ro, Rw, Wo};
use tock_registers::register_bitfields;

/// The size of a frame (12.1): control (RD_base), SGIs and PPIs (SGI_base), virtual LPIs (VLPI_base).
pub const FRAME: usize = 0x1_0000;
/// SGI_base behind RD_base.
pub const SGI_BASE: usize = FRAME;
/// VLPI_base behind RD_base, where GICR_TYPER.VLPIS. A reserved frame follows it.
pub const VLPI_BASE: usize = 2 * FRAME;

register_bitfields![u32,
    pub GICD_CTLR [
        /// Register write pending.
        RWP OFFSET(31) NUMBITS(1) [],
        /// Affinity routing, of the Non-secure state or of the only one (12.9.4).
        ARE_NS OFFSET(4) NUMBITS(1) [],
        /// Group 1, likewise (EnableGrp1 where there is one Security state).
        EnableGrp1A OFFSET(1) NUMBITS(1) []
    ],
    pub GICR_CTLR [
        /// Register write pending.
        RWP OFFSET(3) NUMBITS(1) [],
        /// GICR_INVLPIR and GICR_INVALLR are there.
        IR OFFSET(2) NUMBITS(1) [],
        /// EnableLPIs can be cleared.
        CES OFFSET(1) NUMBITS(1) [],
        /// The redistributor reads and writes LPI tables in memory.
        EnableLPIs OFFSET(0) NUMBITS(1) []
    ],
    pub GICR_WAKER [
        ChildrenAsleep OFFSET(2) NUMBITS(1) [],
        ProcessorSleep OFFSET(1) NUMBITS(1) []
    ],
    pub PIDR2 [
        ArchRev OFFSET(4) NUMBITS(4) [
            GICv3 = 3,
            GICv4 = 4
        ]
    ],
];

register_bitfields![u64,
    pub GICR_TYPER [
        /// Aff3 to Aff0 of its CPU.
        Affinity_Value OFFSET(32) NUMBITS(32) [],
        VSGI OFFSET(26) NUMBITS(1) [],
        RVPEID OFFSET(7) NUMBITS(1) [],
        /// The last one of this region.
        Last OFFSET(4) NUMBITS(1) [],
        DirectLPI OFFSET(3) NUMBITS(1) [],
        Dirty OFFSET(2) NUMBITS(1) [],
        VLPIS OFFSET(1) NUMBITS(1) [],
        PLPIS OFFSET(0) NUMBITS(1) []
    ],
];

pub const GICD_CTLR: Rw<u32, GICD_CTLR::Register> = Rw::new(0x0000);
pub const GICD_PIDR2: Ro<u32, PIDR2::Register> = Ro::new(0xffe8);

// RD_base.
pub const GICR_CTLR: Rw<u32, GICR_CTLR::Register> = Rw::new(0x0000);
pub const GICR_TYPER: Ro<u64, GICR_TYPER::Register> = Ro::new(0x0008);
pub const GICR_WAKER: Rw<u32, GICR_WAKER::Register> = Rw::new(0x0014);
pub const GICR_SETLPIR: Wo<u64> = Wo::new(0x0040);
pub const GICR_CLRLPIR: Wo<u64> = Wo::new(0x0048);
pub const GICR_PROPBASER: Rw<u64> = Rw::new(0x0070);
pub const GICR_PENDBASER: Rw<u64> = Rw::new(0x0078);
pub const GICR_INVLPIR: Wo<u64> = Wo::new(0x00a0);
pub const GICR_INVALLR: Wo<u64> = Wo::new(0x00b0);
/// Named in early issues only, IMPLEMENTATION DEFINED since: moves an LPI, that is, writes pending tables.
pub const GICR_MOVLPIR: Wo<u64> = Wo::new(0x0100);
/// As GICR_MOVLPIR, all LPIs.
pub const GICR_MOVALLR: Wo<u64> = Wo::new(0x0110);
pub const GICR_PIDR2: Ro<u32, PIDR2::Register> = Ro::new(0xffe8);

// SGI_base.
pub const GICR_IGROUPR0: Rw<u32> = Rw::new(0x0080);
pub const GICR_ISENABLER0: Rw<u32> = Rw::new(0x0100);
pub const GICR_ICENABLER0: Rw<u32> = Rw::new(0x0180);
/// A byte per interrupt.
pub const GICR_IPRIORITYR: usize = 0x0400;

/// The lowest number that is not an interrupt (2.2.1); LPIs, from 8192, are never enabled here.
pub const SPECIAL: u32 = 1020;
