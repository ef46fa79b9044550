//! Registers of the SMMUv2 (Arm IHI 0062, where each is described under its name; here without the prefixes SMMU_, s and
//! CBn_), those that the driver uses. Checked against Linux `arm-smmu.h` and seL4 `smmuv2.h`, and against what is public
//! of the MMU-500's (DDI 0517; AMD UG1087; Intel's Stratix 10 register map).

use crate::mmio::{Ro, Rw, Wo};
use tock_registers::register_bitfields;

register_bitfields![u32,
    pub CR0 [
        VMID16EN OFFSET(31) NUMBITS(1) [],
        /// A stream that more than one group matches is refused.
        SMCFCFG OFFSET(21) NUMBITS(1) [],
        /// No part in broadcast TLB maintenance.
        PTM OFFSET(12) NUMBITS(1) [],
        /// VMIDs are the unit's own, not the CPUs'.
        VMIDPNE OFFSET(11) NUMBITS(1) [],
        /// A stream that no group matches is refused; else it is let past.
        USFCFG OFFSET(10) NUMBITS(1) [],
        GCFGFIE OFFSET(5) NUMBITS(1) [],
        GCFGFRE OFFSET(4) NUMBITS(1) [],
        /// 16-bit StreamIDs.
        EXIDENABLE OFFSET(3) NUMBITS(1) [],
        GFIE OFFSET(2) NUMBITS(1) [],
        GFRE OFFSET(1) NUMBITS(1) [],
        /// Every stream is let past. Set at reset.
        CLIENTPD OFFSET(0) NUMBITS(1) []
    ],
    /// Of an MMU-500 (DDI 0517, 3.5.1).
    pub ACR [
        /// Context banks' ACTLR are read-only. Set at reset, from r2p0 on.
        CACHE_LOCK OFFSET(26) NUMBITS(1) [],
        /// Streams that a group lets past are remembered in TLBs.
        S2CRB_TLBEN OFFSET(10) NUMBITS(1) [],
        /// Streams that no group matches are remembered in TLBs.
        SMTNMB_TLBEN OFFSET(8) NUMBITS(1) []
    ],
    pub ID0 [
        /// Stage 2.
        S2TS OFFSET(29) NUMBITS(1) [],
        /// Streams are matched; else they are indexes.
        SMS OFFSET(27) NUMBITS(1) [],
        /// Coherent walks.
        CTTW OFFSET(14) NUMBITS(1) [],
        /// How many bits a StreamID has.
        NUMSIDB OFFSET(9) NUMBITS(4) [],
        /// CR0.EXIDENABLE is there.
        EXIDS OFFSET(8) NUMBITS(1) [],
        /// How many stream mapping groups there are.
        NUMSMRG OFFSET(0) NUMBITS(8) []
    ],
    pub ID1 [
        /// Pages of the register space: 4 KiB or 64 KiB.
        PAGESIZE OFFSET(31) NUMBITS(1) [],
        /// log2 of the pages of the global space, less 1.
        NUMPAGENDXB OFFSET(28) NUMBITS(3) [],
        NUMCB OFFSET(0) NUMBITS(8) []
    ],
    pub ID2 [
        VMID16S OFFSET(15) NUMBITS(1) [],
        /// VMSAv8-64 tables with 4 KiB granules.
        PTFSV8_4K OFFSET(12) NUMBITS(1) [],
        OAS OFFSET(4) NUMBITS(4) [],
        IAS OFFSET(0) NUMBITS(4) []
    ],
    pub ID7 [
        MAJOR OFFSET(4) NUMBITS(4) []
    ],
    /// Global faults. Written with ones to clear.
    pub GFSR [
        /// There were more while this was not clear.
        MULTI OFFSET(31) NUMBITS(1) [],
        /// Unsupported upstream transaction.
        UUT OFFSET(8) NUMBITS(1) [],
        PF OFFSET(7) NUMBITS(1) [],
        EF OFFSET(6) NUMBITS(1) [],
        /// An access of a register that is not there, by a CPU.
        CAF OFFSET(5) NUMBITS(1) [],
        UCIF OFFSET(4) NUMBITS(1) [],
        UCBF OFFSET(3) NUMBITS(1) [],
        /// Matched more than once.
        SMCF OFFSET(2) NUMBITS(1) [],
        /// Matched by no group.
        USF OFFSET(1) NUMBITS(1) [],
        /// A context that cannot be, or S2CR.TYPE says fault.
        ICF OFFSET(0) NUMBITS(1) []
    ],
    pub GFSYNR0 [
        WNR OFFSET(1) NUMBITS(1) []
    ],
    pub GFSYNR1 [
        StreamID OFFSET(0) NUMBITS(16) []
    ],
    /// GSTATUS of sTLBGSTATUS and SACTIVE of CBn_TLBSTATUS.
    pub TLBSTATUS [
        ACTIVE OFFSET(0) NUMBITS(1) []
    ],
    /// Without extended StreamIDs.
    pub SMR [
        VALID OFFSET(31) NUMBITS(1) [],
        MASK OFFSET(16) NUMBITS(15) [],
        ID OFFSET(0) NUMBITS(15) []
    ],
    /// The same register with them: S2CR says whether it counts.
    pub SMR_EXT [
        MASK OFFSET(16) NUMBITS(16) [],
        ID OFFSET(0) NUMBITS(16) []
    ],
    pub S2CR [
        TYPE OFFSET(16) NUMBITS(2) [
            Translate = 0,
            Bypass = 1,
            Fault = 2
        ],
        /// With extended StreamIDs, that the group counts.
        EXIDVALID OFFSET(10) NUMBITS(1) [],
        CBNDX OFFSET(0) NUMBITS(8) []
    ],
    /// In global space 1, as the next two.
    pub CBAR [
        TYPE OFFSET(16) NUMBITS(2) [
            Stage2 = 0
        ],
        VMID OFFSET(0) NUMBITS(8) []
    ],
    pub CBA2R [
        VMID16 OFFSET(16) NUMBITS(16) [],
        VA64 OFFSET(0) NUMBITS(1) []
    ],
    pub CBFRSYNRA [
        StreamID OFFSET(0) NUMBITS(16) []
    ],
    /// Of a context bank, as those that follow.
    pub SCTLR [
        /// Accesses go on while a fault of another's is recorded. All streams share the bank: one's fault must not stop the
        /// others.
        HUPCF OFFSET(8) NUMBITS(1) [],
        /// Stall on fault; else terminate.
        CFCFG OFFSET(7) NUMBITS(1) [],
        CFIE OFFSET(6) NUMBITS(1) [],
        /// Tell the device.
        CFRE OFFSET(5) NUMBITS(1) [],
        M OFFSET(0) NUMBITS(1) []
    ],
    /// Of an MMU-500 (DDI 0517, 3.7.1).
    pub ACTLR [
        /// The next-page prefetcher.
        CPRE OFFSET(1) NUMBITS(1) []
    ],
    pub RESUME [
        TERMINATE OFFSET(0) NUMBITS(1) []
    ],
    /// TCR of a bank of stage 2 with VMSAv8-64 tables: as VTCR_EL2.
    pub TCR [
        RES1 OFFSET(31) NUMBITS(1) [],
        PASize OFFSET(16) NUMBITS(3) [],
        TG0 OFFSET(14) NUMBITS(2) [
            Granule4K = 0b00
        ],
        SH0 OFFSET(12) NUMBITS(2) [
            OuterShareable = 0b10,
            InnerShareable = 0b11
        ],
        ORGN0 OFFSET(10) NUMBITS(2) [
            NonCacheable = 0b00,
            WriteBack = 0b01
        ],
        IRGN0 OFFSET(8) NUMBITS(2) [
            NonCacheable = 0b00,
            WriteBack = 0b01
        ],
        SL0 OFFSET(6) NUMBITS(2) [],
        T0SZ OFFSET(0) NUMBITS(6) []
    ],
    /// Context faults. Written with ones to clear.
    pub FSR [
        /// There were more while this was not clear.
        MULTI OFFSET(31) NUMBITS(1) [],
        /// The access is stalled.
        SS OFFSET(30) NUMBITS(1) [],
        /// Of the tables. Read-only.
        FORMAT OFFSET(9) NUMBITS(2) [],
        UUT OFFSET(8) NUMBITS(1) [],
        ASF OFFSET(7) NUMBITS(1) [],
        TLBLKF OFFSET(6) NUMBITS(1) [],
        TLBMCF OFFSET(5) NUMBITS(1) [],
        EF OFFSET(4) NUMBITS(1) [],
        PF OFFSET(3) NUMBITS(1) [],
        AFF OFFSET(2) NUMBITS(1) [],
        TF OFFSET(1) NUMBITS(1) []
    ],
    pub FSYNR0 [
        WNR OFFSET(4) NUMBITS(1) []
    ],
];

/// What the unit takes any value for. Not zero: hypervisors of Qualcomm's that emulate the unit get stores from the zero
/// register wrong (Linux `arm-smmu.c`, QCOM_DUMMY_VAL).
pub const ANY: u32 = u32::MAX;

pub const CR0: Rw<u32, CR0::Register> = Rw::new(0x000);
pub const ACR: Rw<u32, ACR::Register> = Rw::new(0x010);
pub const ID0: Ro<u32, ID0::Register> = Ro::new(0x020);
pub const ID1: Ro<u32, ID1::Register> = Ro::new(0x024);
pub const ID2: Ro<u32, ID2::Register> = Ro::new(0x028);
pub const ID7: Ro<u32, ID7::Register> = Ro::new(0x03c);
pub const GFAR: Ro<u64> = Ro::new(0x040);
pub const GFSR: Rw<u32, GFSR::Register> = Rw::new(0x048);
pub const GFSYNR0: Ro<u32, GFSYNR0::Register> = Ro::new(0x050);
pub const GFSYNR1: Ro<u32, GFSYNR1::Register> = Ro::new(0x054);
/// Takes the VMID.
pub const TLBIVMID: Wo<u32> = Wo::new(0x064);
/// All but EL2's own and Secure state's.
pub const TLBIALLNSNH: Wo<u32> = Wo::new(0x068);
/// EL2's own.
pub const TLBIALLH: Wo<u32> = Wo::new(0x06c);
pub const TLBGSYNC: Wo<u32> = Wo::new(0x070);
pub const TLBGSTATUS: Ro<u32, TLBSTATUS::Register> = Ro::new(0x074);

pub const fn smr(n: usize) -> Rw<u32, SMR::Register> {
    Rw::new(0x800 + 4 * n)
}

pub const fn smr_ext(n: usize) -> Rw<u32, SMR_EXT::Register> {
    Rw::new(0x800 + 4 * n)
}

pub const fn s2cr(n: usize) -> Rw<u32, S2CR::Register> {
    Rw::new(0xc00 + 4 * n)
}

pub const fn cbar(n: usize) -> Rw<u32, CBAR::Register> {
    Rw::new(4 * n)
}

pub const fn cbfrsynra(n: usize) -> Ro<u32, CBFRSYNRA::Register> {
    Ro::new(0x400 + 4 * n)
}

pub const fn cba2r(n: usize) -> Rw<u32, CBA2R::Register> {
    Rw::new(0x800 + 4 * n)
}

pub const SCTLR: Rw<u32, SCTLR::Register> = Rw::new(0x000);
pub const ACTLR: Rw<u32, ACTLR::Register> = Rw::new(0x004);
pub const RESUME: Wo<u32, RESUME::Register> = Wo::new(0x008);
pub const TTBR0: Rw<u64> = Rw::new(0x020);
pub const TCR: Rw<u32, TCR::Register> = Rw::new(0x030);
pub const FSR: Rw<u32, FSR::Register> = Rw::new(0x058);
pub const FAR: Ro<u64> = Ro::new(0x060);
pub const FSYNR0: Ro<u32, FSYNR0::Register> = Ro::new(0x068);
/// Takes bits 47:12 of the IPA in its bits 35:0. The VMID is the bank's. Tables on the way go too.
pub const TLBIIPAS2: Wo<u64> = Wo::new(0x630);
pub const TLBSYNC: Wo<u32> = Wo::new(0x7f0);
pub const TLBSTATUS: Ro<u32, TLBSTATUS::Register> = Ro::new(0x7f4);
