//! The model's way from a stream and an address to memory (IHI 0062).

use super::{Power, State};
use crate::smmu::model::{Fault, SIZES, Stage2, bits};

/// What becomes of a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It is let past untranslated.
    Past,
    /// It goes to a context bank that translates by stage 2.
    Bank(usize),
    /// It is refused: the bit of GFSR.
    Refused(u32),
}

const ICF: u32 = 0;
const USF: u32 = 1;
const SMCF: u32 = 2;
const UCBF: u32 = 3;
const TF: u32 = 1;
const AFF: u32 = 2;
const PF: u32 = 3;
const ASF: u32 = 7;

/// CR0 and ACR.
const CLIENTPD: u32 = 1;
const GFRE: u32 = 1 << 1;
const GCFGFRE: u32 = 1 << 4;
const USFCFG: u32 = 1 << 10;
const SMTNMB_TLBEN: u32 = 1 << 8;
const S2CRB_TLBEN: u32 = 1 << 10;

/// That an access is refused.
pub struct Refused;

impl State {
    /// An access by a device. `None` when it is refused.
    pub fn dma(&mut self, stream: u16, address: u64, write: Option<u64>) -> Option<u64> {
        let output = self.resolve(stream, address, write.is_some()).ok()?;
        match write {
            Some(value) => {
                self.memory.write(output & !7, value);
                Some(value)
            }
            None => Some(self.memory.read(output & !7)),
        }
    }

    /// Where an access goes. Faults are recorded.
    pub fn resolve(&mut self, stream: u16, address: u64, write: bool) -> Result<u64, Refused> {
        if self.power != Power::On {
            return Err(Refused);
        }
        if self.passed.contains(&stream) {
            return Ok(address);
        }
        match self.fate(stream) {
            Fate::Past => {
                self.note_passed(stream);
                Ok(address)
            }
            Fate::Refused(cause) => {
                let told = if cause == USF || cause == SMCF || cause == ICF || cause == UCBF {
                    GCFGFRE
                } else {
                    GFRE
                };
                self.told = self.cr0 & told != 0;
                self.fault_globally(cause, stream, address, write);
                Err(Refused)
            }
            Fate::Bank(n) => self.translate(n, stream, address, write),
        }
    }

    /// The groups that count and that `stream` is in.
    fn matching(&self, stream: u16) -> impl Iterator<Item = usize> {
        let (extended, matches) = (self.is_extended(), self.matches());
        (0..self.smr.len()).filter(move |n| {
            let (smr, s2cr) = (u64::from(self.smr[*n]), self.s2cr[*n]);
            let differs = (smr as u16 ^ stream) & !(bits(smr, 31, 16) as u16);
            match (matches, extended) {
                (false, _) => *n == usize::from(stream),
                (true, true) => s2cr >> 10 & 1 != 0 && differs == 0,
                (true, false) => smr >> 31 != 0 && (differs & 0x7fff) == 0,
            }
        })
    }

    /// What becomes of `stream`.
    pub fn fate(&self, stream: u16) -> Fate {
        if self.cr0 & CLIENTPD != 0 {
            return Fate::Past;
        }
        let mut matching = self.matching(stream);
        let Some(n) = matching.next() else {
            return if self.cr0 & USFCFG != 0 {
                Fate::Refused(USF)
            } else {
                Fate::Past
            };
        };
        if matching.next().is_some() {
            return Fate::Refused(SMCF);
        }
        match self.s2cr[n] >> 16 & 3 {
            0 => self.fate_in_bank((self.s2cr[n] & 0xff) as usize),
            1 => Fate::Past,
            _ => Fate::Refused(ICF),
        }
    }

    fn fate_in_bank(&self, n: usize) -> Fate {
        match self.banks.get(n) {
            None => Fate::Refused(UCBF),
            // Firmware's stage 1, which maps all at its own address.
            Some(bank) if bank.cbar >> 16 & 3 != 0 || bank.sctlr & 1 == 0 => Fate::Past,
            Some(_) => Fate::Bank(n),
        }
    }

    /// Whether streams lead to context bank `n`.
    pub fn leads_to(&self, n: usize) -> bool {
        if self.cr0 & CLIENTPD != 0 {
            return false;
        }
        (0..self.smr.len()).any(|group| {
            let counts = match (self.matches(), self.is_extended()) {
                (false, _) => true,
                (true, true) => self.s2cr[group] >> 10 & 1 != 0,
                (true, false) => self.smr[group] >> 31 != 0,
            };
            counts && self.s2cr[group] >> 16 & 3 == 0 && (self.s2cr[group] & 0xff) as usize == n
        })
    }

    /// Remembers that a stream is let past, where ACR says so.
    fn note_passed(&mut self, stream: u16) {
        let matched = self.matching(stream).next().is_some();
        let enabled = if matched { S2CRB_TLBEN } else { SMTNMB_TLBEN };
        if self.cr0 & CLIENTPD == 0 && self.acr & enabled != 0 {
            self.passed.insert(stream);
        }
    }

    fn translate(&mut self, n: usize, stream: u16, address: u64, write: bool) -> Result<u64, Refused> {
        let bank = self.banks[n];
        let (stalls, goes_on) = (bank.sctlr >> 7 & 1 != 0, bank.sctlr >> 8 & 1 != 0);
        self.told = bank.sctlr >> 5 & 1 != 0;
        if bank.stalled || (bank.has_faulted() && !goes_on) {
            return Err(Refused);
        }
        let tables = self.tables(n);
        let ahead = self.ahead.knows(tables.vmid, address);
        let remembered = if ahead { &mut self.ahead } else { &mut self.translations };
        let result = remembered.translate(&self.memory, &tables, address, write);
        if bank.actlr >> 1 & 1 != 0 {
            let _ = self
                .ahead
                .translate(&self.memory, &tables, (address & !0xfff) + 0x1000, false);
        }
        result.map_err(|fault| {
            let cause = match fault {
                Fault::Translation => TF,
                Fault::Access => AFF,
                Fault::Permission => PF,
                Fault::AddressSize => ASF,
            };
            self.fault_in_bank(n, cause, stream, address, write, stalls);
            Refused
        })
    }

    /// What context bank `n` walks, as far as it says what the manual has.
    fn tables(&self, n: usize) -> Stage2 {
        let bank = &self.banks[n];
        let tcr = u64::from(bank.tcr);
        assert_eq!(bank.cba2r & 1, 1, "not of VMSAv8-64");
        assert!(self.identity.id2 >> 12 & 1 != 0, "there are no such tables");
        assert_eq!(bits(tcr, 15, 14), 0, "not of 4 KiB granules");
        assert_eq!(tcr & 0x7ff8_0000, 0, "reserved bits of TCR");
        assert_ne!(tcr >> 31, 0, "RES1 of TCR");
        let coherent = bits(tcr, 13, 8) == 0b11_01_01;
        let uncached = bits(tcr, 13, 8) == 0b10_00_00;
        assert!(coherent || uncached, "odd attributes of walks");
        let ipa_bits = 64 - bits(tcr, 5, 0) as u32;
        let ias = SIZES[(self.identity.id2 & 0xf).min(5) as usize];
        let output_bits = SIZES[bits(tcr, 18, 16) as usize];
        let oas = SIZES[(self.identity.id2 >> 4 & 0xf).min(5) as usize];
        assert!(ipa_bits <= ias && output_bits <= oas, "larger than it is");
        let start_level = 2 - bits(tcr, 7, 6) as u32;
        assert_eq!(start_level, 1, "another start level");
        assert!((31..=43).contains(&ipa_bits), "a start at level 1 for {ipa_bits} bits");
        Stage2 {
            vmid: self.vmid(n),
            root: bank.ttbr0,
            ipa_bits,
            start_level,
            output_bits,
        }
    }

    fn fault_in_bank(&mut self, n: usize, cause: u32, stream: u16, address: u64, write: bool, stalls: bool) {
        let bank = &mut self.banks[n];
        if bank.has_faulted() {
            bank.fsr |= 1 << 31;
            return;
        }
        // FORMAT is 0b10: VMSAv8-64.
        bank.fsr = 0b10 << 9 | 1 << cause | u32::from(stalls) << 30;
        bank.stalled = stalls;
        bank.far = address;
        bank.fsynr0 = u32::from(write) << 4;
        bank.cbfrsynra = u32::from(stream);
    }

    fn fault_globally(&mut self, cause: u32, stream: u16, address: u64, write: bool) {
        if self.gfsr != 0 {
            self.gfsr |= 1 << 31;
            return;
        }
        self.gfsr = 1 << cause;
        self.gfar = address;
        self.gfsynr0 = u32::from(write) << 1;
        self.gfsynr1 = u32::from(stream);
    }
}
