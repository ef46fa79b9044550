//! Structures in memory: stream tables (Arm IHI 0070, chapter 5).

use super::features::Features;
use leasehold_hal::{MemoryAttributes, Stage2Geometry, Vmid};
use leasehold_memory_map::{Address, PhysAddr};
use tock_registers::fields::FieldValue;
use tock_registers::register_bitfields;

/// The size of a stream table entry, in bytes.
pub const STE_BYTES: usize = 64;
/// The size of a level-1 descriptor, in bytes.
pub const L1STD_BYTES: usize = 8;

register_bitfields![u64,
    /// Level-1 stream table descriptor (5.1). L2Ptr is bits 55:6 in place.
    pub L1STD [
        Span OFFSET(0) NUMBITS(5) []
    ],
    /// Stream table entry (5.2), bits 63:0.
    pub STE0 [
        Config OFFSET(1) NUMBITS(3) [
            Abort = 0b000,
            Stage2 = 0b110
        ],
        V OFFSET(0) NUMBITS(1) []
    ],
    /// Bits 127:64.
    pub STE1 [
        SHCFG OFFSET(44) NUMBITS(2) [
            UseIncoming = 0b01
        ],
        EATS OFFSET(28) NUMBITS(2) [
            None = 0b00
        ],
        S2FWB OFFSET(25) NUMBITS(1) []
    ],
    /// Bits 191:128.
    pub STE2 [
        S2R OFFSET(58) NUMBITS(1) [],
        S2S OFFSET(57) NUMBITS(1) [],
        S2PTW OFFSET(54) NUMBITS(1) [],
        S2ENDI OFFSET(52) NUMBITS(1) [
            Little = 0
        ],
        S2AA64 OFFSET(51) NUMBITS(1) [],
        S2PS OFFSET(48) NUMBITS(3) [],
        S2TG OFFSET(46) NUMBITS(2) [
            Granule4K = 0b00
        ],
        S2SH0 OFFSET(44) NUMBITS(2) [
            InnerShareable = 0b11
        ],
        S2OR0 OFFSET(42) NUMBITS(2) [
            WriteBack = 0b01
        ],
        S2IR0 OFFSET(40) NUMBITS(2) [
            WriteBack = 0b01
        ],
        S2SL0 OFFSET(38) NUMBITS(2) [],
        S2T0SZ OFFSET(32) NUMBITS(6) [],
        S2VMID OFFSET(0) NUMBITS(16) []
    ],
];

/// A stream table entry.
pub type Ste = [u64; STE_BYTES / 8];

fn value<R: tock_registers::RegisterLongName>(fields: FieldValue<u64, R>) -> u64 {
    fields.value
}

/// The entry that refuses its stream without an event (5.2, Config): anything else might fill the queue with what no one
/// wants to know before there are tables.
pub fn abort() -> Ste {
    [value(STE0::V::SET + STE0::Config::Abort), 0, 0, 0, 0, 0, 0, 0]
}

/// Where a walk starts.
#[derive(Clone, Copy)]
pub enum Start {
    /// In the tables of level 1 here, side by side.
    Level1(PhysAddr),
    /// In the one table of level 0 here.
    Level0(PhysAddr),
}

/// The entry that puts its stream on the stage-2 tables from `start` on: no stage 1, no stalls, faults recorded, no ATS.
pub fn stage2(start: Start, geometry: &Stage2Geometry, vmid: Vmid, features: &Features) -> Ste {
    let (root, sl0) = match start {
        Start::Level1(root) => (root, geometry.sl0()),
        // One more than a level lower has, as in VTCR_EL2 (5.2, S2SL0).
        Start::Level0(top) => (top, geometry.sl0() + 1),
    };
    let mut attributes = STE1::EATS::None + STE1::S2FWB.val(0);
    if geometry.attributes() == MemoryAttributes::ForceWriteBack {
        attributes += STE1::S2FWB::SET;
    }
    if features.overrides_attributes() {
        attributes += STE1::SHCFG::UseIncoming;
    }
    let walk = STE2::S2VMID.val(u64::from(vmid.get()))
        + STE2::S2T0SZ.val(u64::from(geometry.t0sz()))
        + STE2::S2SL0.val(u64::from(sl0))
        + STE2::S2IR0::WriteBack
        + STE2::S2OR0::WriteBack
        + STE2::S2SH0::InnerShareable
        + STE2::S2TG::Granule4K
        + STE2::S2PS.val(u64::from(features.stage2_ps()))
        + STE2::S2AA64::SET
        + STE2::S2ENDI::Little
        + STE2::S2PTW::SET
        + STE2::S2S::CLEAR
        + STE2::S2R::SET;
    let translate = STE0::V::SET + STE0::Config::Stage2;
    // S2TTB is bits 51:4 in place.
    [value(translate), value(attributes), value(walk), root.get(), 0, 0, 0, 0]
}

/// The entry of a translation table that leads to the table at `next` (Arm ARM D8.3.1).
pub fn table(next: PhysAddr) -> u64 {
    next.get() | 0b11
}

/// The descriptor of the 2^`split` entries at `entries`.
pub fn l1std(entries: PhysAddr, split: u8) -> u64 {
    entries.get() | value(L1STD::Span.val(u64::from(split) + 1))
}
