//! The last-level cache of Qualcomm's newer SoCs, in front of memory: its banks, and the errors that its ECC has seen.
//!
//! What the cache holds for whom (its slices) is left as firmware has set it up. Status is read from each bank; what is
//! set and cleared is so in all of them, by the broadcast registers.

#[cfg(any(test, feature = "model"))]
pub mod model;
mod registers;
#[cfg(test)]
mod tests;

use crate::mmio::{Io, Mmio, Window};
use leasehold_memory_map::PhysRange;
use registers::{
    CMN_INTERRUPT_0_ENABLE, COMMON_STATUS0, DRP_ECC_ERROR_CFG, ECC_BITS, ECC_ERROR_STATUS0, ECC_ERROR_STATUS1,
    RamRegisters, Registers, V1, V2_1,
};
use tock_registers::interfaces::{ReadWriteable, Readable, Writeable};

/// The size of a bank's registers that are used, in bytes.
const BANK: usize = 0x5_3000;

/// The same, where the layout is [`Layout::V1`], whose banks are smaller.
const BANK_V1: usize = 0x4_3000;

/// The most syndromes of a RAM.
const MAX_SYNDROMES: usize = 8;

/// Where registers are within a bank.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layout {
    /// SDM845, SM8250, SC7280.
    V1,
    /// SM8550, SM8650, X1E80100.
    V2_1,
}

impl Layout {
    const fn registers(self) -> Registers {
        match self {
            Self::V1 => V1,
            Self::V2_1 => V2_1,
        }
    }

    const fn bank(self) -> usize {
        match self {
            Self::V1 => BANK_V1,
            Self::V2_1 => BANK,
        }
    }
}

/// Who may do what with the registers about errors.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ecc {
    /// Nobody: firmware has locked them, and a read of one crashes the machine (SDM845).
    Locked,
    /// They are there, and interrupts are as firmware has set them up (X1E80100).
    SetUp,
    /// They are there, and interrupts are the driver's to set up.
    Open,
}

/// What differs between SoCs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Config {
    /// Where registers are within a bank.
    pub layout: Layout,
    /// How far each bank's registers are behind the start, in bytes, the first one's first.
    pub banks: &'static [usize],
    /// How far the broadcast registers are behind the start, in bytes.
    pub broadcast: usize,
    /// Who may do what with the registers about errors.
    pub ecc: Ecc,
}

/// Why something cannot be said about the cache.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum LlccError {
    /// It has this many banks, and another number of them is known.
    Banks(u32),
    /// Firmware has locked the registers about errors.
    Locked,
}

impl core::fmt::Display for LlccError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Self::Banks(banks) => write!(f, "the cache has {banks} banks"),
            Self::Locked => f.write_str("firmware has locked the cache's error registers"),
        }
    }
}

impl core::error::Error for LlccError {}

/// A part of the cache.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Ram {
    /// Tags (TRP).
    Tag,
    /// Data (DRP).
    Data,
}

/// Errors of one kind in one RAM of one bank, since they were cleared last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct EccError {
    /// The bank.
    pub bank: usize,
    /// The RAM.
    pub ram: Ram,
    /// Single-bit errors have been corrected, double-bit errors have not: what was read was wrong.
    pub corrected: bool,
    /// How many there were; the counter may have stopped at its end.
    pub count: u32,
    /// In which ways, a bit for each.
    pub ways: u32,
    syndromes: [u32; MAX_SYNDROMES],
    syndrome_count: usize,
}

impl EccError {
    /// What the ECC saw of the last one.
    #[must_use]
    pub fn syndromes(&self) -> &[u32] {
        &self.syndromes[..self.syndrome_count]
    }
}

/// The cache.
#[derive(Debug)]
pub struct Llcc<I = Mmio> {
    io: I,
    config: Config,
}

impl Llcc<Mmio> {
    /// The cache with its registers at `registers`, all banks and the broadcast ones.
    ///
    /// # Safety
    /// `registers` are those of an LLCC as `config` describes, mapped at their own addresses as device memory, and nobody
    /// else clears its errors.
    #[must_use]
    pub unsafe fn new(registers: PhysRange, config: Config) -> Self {
        // SAFETY: as the caller vouches; the registers that are written change what is reported only.
        Self::over(unsafe { Mmio::identity(registers) }, config)
    }
}

impl<I: Io> Llcc<I> {
    /// The cache behind `io`.
    pub const fn over(io: I, config: Config) -> Self {
        Self { io, config }
    }

    /// How many banks it has.
    ///
    /// # Errors
    /// [`LlccError::Banks`] when that is not what the configuration says.
    pub fn banks(&self) -> Result<usize, LlccError> {
        let first = self.config.banks.first().ok_or(LlccError::Banks(0))?;
        let status = self.window(*first).at(self.registers().status0).extract();
        let banks = status.read(COMMON_STATUS0::LB_CNT);
        if banks as usize == self.config.banks.len() {
            Ok(banks as usize)
        } else {
            Err(LlccError::Banks(banks))
        }
    }

    /// Its version, as HW_INFO says.
    pub fn version(&self) -> u32 {
        self.window(self.config.broadcast).at(self.registers().hw_info).get()
    }

    /// Lets errors of both kinds in both RAMs interrupt, the first single-bit error on. Where firmware has done so this does
    /// nothing.
    ///
    /// # Errors
    /// [`LlccError::Locked`], [`LlccError::Banks`].
    pub fn set_up(&mut self) -> Result<(), LlccError> {
        self.open()?;
        if self.config.ecc == Ecc::SetUp {
            return Ok(());
        }
        let registers = self.registers();
        let all = self.window(self.config.broadcast);
        let both = ECC_BITS::SB::SET + ECC_BITS::DB::SET;
        all.at(registers.interrupt_0_enable)
            .modify(CMN_INTERRUPT_0_ENABLE::TRP0::SET);
        all.at(registers.trp.interrupt_enable).modify(both);
        all.at(registers.drp_ecc_error_cfg)
            .write(DRP_ECC_ERROR_CFG::SB_THRESHOLD.val(1));
        all.at(registers.interrupt_0_enable)
            .modify(CMN_INTERRUPT_0_ENABLE::DRP0::SET);
        all.at(registers.drp.interrupt_enable).write(both);
        Ok(())
    }

    /// Tells `report` of all errors since the last call, and clears them: first the reports of all banks, then one clear of
    /// each RAM in all banks, as a clear cannot be told to one bank. What happens in between is lost. Returns how many
    /// reports there were.
    ///
    /// # Errors
    /// [`LlccError::Locked`], [`LlccError::Banks`]: nothing was reported nor cleared.
    pub fn check(&mut self, mut report: impl FnMut(EccError)) -> Result<usize, LlccError> {
        self.open()?;
        let registers = self.registers();
        let mut reports = 0;
        for (ram, of_ram) in [(Ram::Data, &registers.drp), (Ram::Tag, &registers.trp)] {
            let before = reports;
            for (bank, at) in self.config.banks.iter().enumerate() {
                let window = self.window(*at);
                let status = window.at(of_ram.interrupt_status).extract();
                for corrected in [false, true] {
                    let bit = if corrected { ECC_BITS::SB } else { ECC_BITS::DB };
                    if status.is_set(bit) {
                        report(error(&window, of_ram, bank, ram, corrected));
                        reports += 1;
                    }
                }
            }
            if reports > before {
                let all = self.window(self.config.broadcast);
                let both = ECC_BITS::SB::SET + ECC_BITS::DB::SET;
                all.at(of_ram.interrupt_clear).write(both);
                all.at(of_ram.counter_clear).write(both);
            }
        }
        Ok(reports)
    }

    fn open(&self) -> Result<(), LlccError> {
        if self.config.ecc == Ecc::Locked {
            return Err(LlccError::Locked);
        }
        self.banks().map(|_| ())
    }

    fn window(&self, at: usize) -> Window<'_, I> {
        Window::new(&self.io, at, self.config.layout.bank())
    }

    const fn registers(&self) -> Registers {
        self.config.layout.registers()
    }
}

fn error<I: Io>(bank: &Window<'_, I>, of_ram: &RamRegisters, number: usize, ram: Ram, corrected: bool) -> EccError {
    let (counts, ways) = (bank.at(of_ram.status1).extract(), bank.at(of_ram.status0).extract());
    let (count, ways, first) = if corrected {
        (
            counts.read(ECC_ERROR_STATUS1::SB_COUNT),
            ways.read(ECC_ERROR_STATUS0::SB_WAYS),
            of_ram.syndromes[0],
        )
    } else {
        (
            counts.read(ECC_ERROR_STATUS1::DB_COUNT),
            ways.read(ECC_ERROR_STATUS0::DB_WAYS),
            of_ram.syndromes[1],
        )
    };
    let mut syndromes = [0; MAX_SYNDROMES];
    for (index, syndrome) in syndromes.iter_mut().take(of_ram.count).enumerate() {
        *syndrome = bank.load(first + 4 * index);
    }
    EccError {
        bank: number,
        ram,
        corrected,
        count,
        ways,
        syndromes,
        syndrome_count: of_ram.count,
    }
}
