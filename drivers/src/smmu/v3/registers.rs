//! Registers of the SMMUv3 (Arm IHI 0070, 6.3; named here as there, without the prefix SMMU_), those of the Non-secure
//! programming interface that the driver uses.

use crate::mmio::{Ro, Rw};
use tock_registers::register_bitfields;

register_bitfields![u32,
    pub IDR0 [
        /// Stream table: linear, or also 2-level.
        ST_LEVEL OFFSET(27) NUMBITS(2) [
            Linear = 0b00,
            TwoLevel = 0b01
        ],
        STALL_MODEL OFFSET(24) NUMBITS(2) [
            StallAndTerminate = 0b00,
            Terminate = 0b01,
            StallForced = 0b10
        ],
        TTENDIAN OFFSET(21) NUMBITS(2) [
            Mixed = 0b00,
            Little = 0b10,
            Big = 0b11
        ],
        PRI OFFSET(16) NUMBITS(1) [],
        MSI OFFSET(13) NUMBITS(1) [],
        ATS OFFSET(10) NUMBITS(1) [],
        /// EL2's own stage 1 can be in its TLBs.
        Hyp OFFSET(9) NUMBITS(1) [],
        /// Coherent accesses to tables and queues.
        COHACC OFFSET(4) NUMBITS(1) [],
        /// The upper bit of TTF: VMSAv8-64 tables.
        TTF_AArch64 OFFSET(3) NUMBITS(1) [],
        S2P OFFSET(0) NUMBITS(1) []
    ],
    pub IDR1 [
        TABLES_PRESET OFFSET(30) NUMBITS(1) [],
        QUEUES_PRESET OFFSET(29) NUMBITS(1) [],
        ATTR_TYPES_OVR OFFSET(27) NUMBITS(1) [],
        CMDQS OFFSET(21) NUMBITS(5) [],
        EVENTQS OFFSET(16) NUMBITS(5) [],
        SIDSIZE OFFSET(0) NUMBITS(6) []
    ],
    pub IDR3 [
        BBML OFFSET(11) NUMBITS(2) [],
        RIL OFFSET(10) NUMBITS(1) [],
        FWB OFFSET(8) NUMBITS(1) []
    ],
    pub IDR5 [
        GRAN4K OFFSET(4) NUMBITS(1) [],
        OAS OFFSET(0) NUMBITS(3) []
    ],
    pub AIDR [
        ArchMajorRev OFFSET(4) NUMBITS(4) [
            SMMUv3 = 0
        ],
        ArchMinorRev OFFSET(0) NUMBITS(4) []
    ],
    /// CR0ACK has the same fields.
    pub CR0 [
        VMW OFFSET(6) NUMBITS(3) [],
        ATSCHK OFFSET(4) NUMBITS(1) [],
        CMDQEN OFFSET(3) NUMBITS(1) [],
        EVENTQEN OFFSET(2) NUMBITS(1) [],
        PRIQEN OFFSET(1) NUMBITS(1) [],
        SMMUEN OFFSET(0) NUMBITS(1) []
    ],
    pub CR1 [
        TABLE_SH OFFSET(10) NUMBITS(2) [ InnerShareable = 0b11 ],
        TABLE_OC OFFSET(8) NUMBITS(2) [ WriteBack = 0b01 ],
        TABLE_IC OFFSET(6) NUMBITS(2) [ WriteBack = 0b01 ],
        QUEUE_SH OFFSET(4) NUMBITS(2) [ InnerShareable = 0b11 ],
        QUEUE_OC OFFSET(2) NUMBITS(2) [ WriteBack = 0b01 ],
        QUEUE_IC OFFSET(0) NUMBITS(2) [ WriteBack = 0b01 ]
    ],
    pub CR2 [
        /// No part in broadcast TLB maintenance.
        PTM OFFSET(2) NUMBITS(1) [],
        /// Record C_BAD_STREAMID.
        RECINVSID OFFSET(1) NUMBITS(1) []
    ],
    pub GBPA [
        Update OFFSET(31) NUMBITS(1) [],
        ABORT OFFSET(20) NUMBITS(1) []
    ],
    /// IRQ_CTRLACK has the same fields.
    pub IRQ_CTRL [
        EVENTQ_IRQEN OFFSET(2) NUMBITS(1) [],
        PRIQ_IRQEN OFFSET(1) NUMBITS(1) [],
        GERROR_IRQEN OFFSET(0) NUMBITS(1) []
    ],
    /// An error is active where GERROR and GERRORN differ (7.5).
    pub GERROR [
        /// An event could not be written: those since are lost, and more are until this is acknowledged.
        EVENTQ_ABT_ERR OFFSET(2) NUMBITS(1) [],
        CMDQ_ERR OFFSET(0) NUMBITS(1) []
    ],
    pub STRTAB_BASE_CFG [
        FMT OFFSET(16) NUMBITS(2) [
            Linear = 0b00,
            TwoLevel = 0b01
        ],
        SPLIT OFFSET(6) NUMBITS(5) [],
        LOG2SIZE OFFSET(0) NUMBITS(6) []
    ],
];

register_bitfields![u64,
    /// ADDR is bits 55:6 in place.
    pub STRTAB_BASE [
        /// Read-allocate hint.
        RA OFFSET(62) NUMBITS(1) []
    ],
    /// CMDQ_BASE and EVENTQ_BASE: ADDR is bits 55:5 in place.
    pub QUEUE_BASE [
        /// Allocate hint: RA of the command queue, WA of the event queue.
        ALLOCATE OFFSET(62) NUMBITS(1) [],
        LOG2SIZE OFFSET(0) NUMBITS(5) []
    ],
];

pub const IDR0: Ro<u32, IDR0::Register> = Ro::new(0x0000);
pub const IDR1: Ro<u32, IDR1::Register> = Ro::new(0x0004);
pub const IDR3: Ro<u32, IDR3::Register> = Ro::new(0x000c);
pub const IDR5: Ro<u32, IDR5::Register> = Ro::new(0x0014);
pub const AIDR: Ro<u32, AIDR::Register> = Ro::new(0x001c);
pub const CR0: Rw<u32, CR0::Register> = Rw::new(0x0020);
pub const CR0ACK: Ro<u32, CR0::Register> = Ro::new(0x0024);
pub const CR1: Rw<u32, CR1::Register> = Rw::new(0x0028);
pub const CR2: Rw<u32, CR2::Register> = Rw::new(0x002c);
pub const GBPA: Rw<u32, GBPA::Register> = Rw::new(0x0044);
pub const IRQ_CTRL: Rw<u32, IRQ_CTRL::Register> = Rw::new(0x0050);
pub const IRQ_CTRLACK: Ro<u32, IRQ_CTRL::Register> = Ro::new(0x0054);
pub const GERROR: Ro<u32, GERROR::Register> = Ro::new(0x0060);
pub const GERRORN: Rw<u32, GERROR::Register> = Rw::new(0x0064);
/// Where the message of an interrupt is written; zero for none, as the next two.
pub const GERROR_IRQ_CFG0: Rw<u64> = Rw::new(0x0068);
pub const STRTAB_BASE: Rw<u64, STRTAB_BASE::Register> = Rw::new(0x0080);
pub const STRTAB_BASE_CFG: Rw<u32, STRTAB_BASE_CFG::Register> = Rw::new(0x0088);
pub const CMDQ_BASE: Rw<u64, QUEUE_BASE::Register> = Rw::new(0x0090);
/// Indexes have the queue's LOG2SIZE bits, and the wrap flag above them (3.5.1).
pub const CMDQ_PROD: Rw<u32> = Rw::new(0x0098);
/// As CMDQ_PROD; ERR is above.
pub const CMDQ_CONS: Rw<u32> = Rw::new(0x009c);
pub const EVENTQ_BASE: Rw<u64, QUEUE_BASE::Register> = Rw::new(0x00a0);
pub const EVENTQ_IRQ_CFG0: Rw<u64> = Rw::new(0x00b0);
pub const PRIQ_IRQ_CFG0: Rw<u64> = Rw::new(0x00d0);
/// In page 1. As CMDQ_PROD; bit 31 is OVFLG.
pub const EVENTQ_PROD: Rw<u32> = Rw::new(0x1_00a8);
/// In page 1. As CMDQ_PROD; bit 31 is OVACKFLG.
pub const EVENTQ_CONS: Rw<u32> = Rw::new(0x1_00ac);

/// OVFLG and OVACKFLG: events were lost where they differ (7.4).
pub const OVERFLOW: u32 = 1 << 31;
