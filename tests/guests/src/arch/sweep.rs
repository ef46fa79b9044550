//! Instructions made at run time: every system register there may be, and others that somebody above may look at.

use super::probe::{self, Fault};
use super::{call, cpu};
use crate::pages::Block;

/// A page where one instruction at a time is put and run.
pub struct Bench {
    page: Block,
}

/// `RET`.
const RET: u32 = 0xd65f_03c0;
/// `MRS X0, S<op0>_<op1>_C<n>_C<m>_<op2>` and its `MSR`, with everything zero and op0 2.
const MRS: u32 = 0xd530_0000;
const MSR: u32 = 0xd510_0000;

/// An encoding of a system register: op0, op1, CRn, CRm, op2.
pub type Register = (u32, u32, u32, u32, u32);

const fn bits((op0, op1, crn, crm, op2): Register) -> u32 {
    (op0 & 1) << 19 | op1 << 16 | crn << 12 | crm << 8 | op2 << 5
}

impl Bench {
    /// Uses `page`, which must be executable at EL1.
    pub fn new(page: Block) -> Bench {
        Bench { page }
    }

    /// Runs one instruction, with `x0` given, and gives `x0`.
    ///
    /// # Errors
    /// The exception that came instead.
    ///
    /// # Safety
    /// It must not write to memory or to a register that this program stands on.
    pub unsafe fn run(&self, instruction: u32, x0: u64) -> Result<u64, Fault> {
        self.page.write32(0, instruction);
        self.page.write32(4, RET);
        cpu::clean(self.page.base(), 8);
        cpu::invalidate_instructions();
        // SAFETY: that instruction, and a return; the caller answers for the instruction.
        unsafe { probe::fetch(self.page.base(), x0) }
    }

    /// Reads a system register.
    ///
    /// # Errors
    /// The exception that came instead.
    pub fn read(&self, register: Register) -> Result<u64, Fault> {
        // SAFETY: a read. What some reads do (acknowledge an interrupt) nothing here stands on.
        unsafe { self.run(MRS | bits(register), 0) }
    }

    /// Writes a system register.
    ///
    /// # Errors
    /// The exception that came instead.
    ///
    /// # Safety
    /// This program must not stand on what it holds.
    pub unsafe fn write(&self, register: Register, value: u64) -> Result<u64, Fault> {
        // SAFETY: as the caller says.
        unsafe { self.run(MSR | bits(register), value) }
    }
}

/// EC of what CPACR_EL1, which is this program's own, keeps from it: FP, SVE, SME (Arm ARM D24.2.40).
const BY_CPACR: [u64; 3] = [0x07, 0x19, 0x1d];

/// What reading all registers came to.
#[derive(Clone, Copy, Debug, Default)]
pub struct Tally {
    /// How many have a value.
    pub values: u32,
    /// How many are UNDEFINED, or off by CPACR_EL1.
    pub undefined: u32,
    /// The first that is neither, and its ESR_EL1.
    pub odd: Option<(Register, u64)>,
}

impl Tally {
    fn add(&mut self, register: Register, result: Result<u64, Fault>) {
        match result {
            Ok(_) => self.values += 1,
            Err(fault) if fault.is_undefined() || BY_CPACR.contains(&fault.class()) => self.undefined += 1,
            Err(fault) => self.odd = self.odd.or(Some((register, fault.esr))),
        }
    }
}

/// Reads every register of op0 `op0`, op1 and CRn in the ranges given.
pub fn read_all(bench: &Bench, op0: u32, op1: core::ops::Range<u32>, crn: core::ops::Range<u32>) -> Tally {
    let mut tally = Tally::default();
    for op1 in op1 {
        for crn in crn.clone() {
            for crm in 0..16 {
                for op2 in 0..8 {
                    let register = (op0, op1, crn, crm, op2);
                    tally.add(register, bench.read(register));
                }
            }
        }
    }
    tally
}

/// Registers that this program does not stand on, written with zero: performance monitors, debug, the interrupt
/// controller's, timers.
pub const WRITABLE: [(&str, Register); 26] = [
    ("PMCR_EL0", (3, 3, 9, 12, 0)),
    ("PMCNTENSET_EL0", (3, 3, 9, 12, 1)),
    ("PMSELR_EL0", (3, 3, 9, 12, 5)),
    ("PMCCNTR_EL0", (3, 3, 9, 13, 0)),
    ("PMXEVTYPER_EL0", (3, 3, 9, 13, 1)),
    ("PMUSERENR_EL0", (3, 3, 9, 14, 0)),
    ("PMINTENSET_EL1", (3, 0, 9, 14, 1)),
    ("MDSCR_EL1", (2, 0, 0, 2, 2)),
    ("DBGBVR0_EL1", (2, 0, 0, 0, 4)),
    ("DBGBCR0_EL1", (2, 0, 0, 0, 5)),
    ("DBGWVR0_EL1", (2, 0, 0, 0, 6)),
    ("DBGWCR0_EL1", (2, 0, 0, 0, 7)),
    ("OSLAR_EL1", (2, 0, 1, 0, 4)),
    ("OSDLR_EL1", (2, 0, 1, 3, 4)),
    ("ICC_SGI0R_EL1", (3, 0, 12, 11, 7)),
    ("ICC_ASGI1R_EL1", (3, 0, 12, 11, 6)),
    ("ICC_PMR_EL1", (3, 0, 4, 6, 0)),
    ("ICC_BPR1_EL1", (3, 0, 12, 12, 3)),
    ("ICC_IGRPEN1_EL1", (3, 0, 12, 12, 7)),
    ("ICC_IGRPEN0_EL1", (3, 0, 12, 12, 6)),
    ("CNTV_CTL_EL0", (3, 3, 14, 3, 1)),
    ("CNTP_CTL_EL0", (3, 3, 14, 2, 1)),
    ("CNTKCTL_EL1", (3, 0, 14, 1, 0)),
    ("TRFCR_EL1", (3, 0, 1, 2, 1)),
    ("PMSCR_EL1", (3, 0, 9, 9, 0)),
    ("TRBLIMITR_EL1", (3, 0, 9, 11, 0)),
];

/// Instructions, besides reads and writes of registers, that somebody above may look at.
pub const INSTRUCTIONS: [(&str, u32); 14] = [
    ("dc isw", 0xd508_7640),
    ("dc csw", 0xd508_7a40),
    ("dc cisw", 0xd508_7e40),
    ("ic iallu", 0xd508_751f),
    ("ic ialluis", 0xd508_711f),
    ("tlbi vmalle1", 0xd508_871f),
    ("tlbi vmalle1is", 0xd508_831f),
    ("at s1e1r", 0xd508_7800),
    ("at s12e1r", 0xd50c_7880),
    ("tlbi alle1", 0xd50c_879f),
    ("wfe", 0xd503_205f),
    ("smc #1", 0xd400_0023),
    ("hvc #0xffff", 0xd41f_ffe2),
    ("hlt #0", 0xd440_0000),
];

/// Does every one of them give a result or is UNDEFINED? The first that does not.
///
/// `x0` is 0 with all of them: set and way 0, address 0, and no function of anybody's.
pub fn odd_instruction(bench: &Bench) -> Option<(&'static str, Fault)> {
    INSTRUCTIONS.iter().find_map(|(name, instruction)| {
        // SAFETY: they change no memory and no register that this program stands on.
        let result = unsafe { bench.run(*instruction, 0) };
        result.err().filter(|f| !f.is_undefined()).map(|f| (*name, f))
    })
}

/// Does every one of [`WRITABLE`] take zero or is UNDEFINED? The first that does not.
pub fn odd_write(bench: &Bench) -> Option<(&'static str, Fault)> {
    WRITABLE.iter().find_map(|(name, register)| {
        // SAFETY: this program stands on none of them.
        let result = unsafe { bench.write(*register, 0) };
        result.err().filter(|f| !f.is_undefined()).map(|f| (*name, f))
    })
}

/// Function ids of owner `owner` that nobody has given a meaning to: every one must be answered `NOT_SUPPORTED`, and
/// leave `x1` to `x28` as they were. The first that is not, and what came, or how many there were.
///
/// # Errors
/// The function id, and the first register that is not as it should be.
pub fn unknown_calls(conduit: call::Conduit, ids: impl Iterator<Item = u32>) -> Result<u32, (u32, usize, u64)> {
    let mut count = 0;
    for id in ids {
        let mut registers: call::Registers =
            core::array::from_fn(|i| 0x1111_2222_0000_0000 | (i as u64) << 16 | 0x5a5a);
        let before = registers;
        registers[0] = u64::from(id);
        call::raw(conduit, &mut registers);
        if registers[0] as u32 != u32::MAX {
            return Err((id, 0, registers[0]));
        }
        if let Some(i) = (1..registers.len()).find(|i| registers[*i] != before[*i]) {
            return Err((id, i, registers[i]));
        }
        count += 1;
    }
    Ok(count)
}
