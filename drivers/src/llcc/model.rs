//! An LLCC that acts: banks that see errors when a test says so, and broadcast registers. It panics where a driver touches
//! registers that firmware has locked.

use super::registers::{COMMON_STATUS0, ECC_BITS, ECC_ERROR_STATUS0, ECC_ERROR_STATUS1, RamRegisters, Registers};
use super::{Config, Ecc, Ram};
use crate::mmio::{Io, Width};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::vec;
use std::vec::Vec;
use tock_registers::LocalRegisterCopy;

type Value<R> = LocalRegisterCopy<u32, R>;

struct State {
    config: Config,
    /// Of each bank, by offset. What is broadcast goes to all of them.
    banks: Vec<BTreeMap<usize, u32>>,
}

impl State {
    fn registers(&self) -> Registers {
        self.config.layout.registers()
    }

    /// Which bank, or `None` for the broadcast registers, and how far behind its start.
    fn place(&self, offset: usize) -> (Option<usize>, usize) {
        let size = self.config.layout.bank();
        let within = |start: &usize| (*start..*start + size).contains(&offset);
        if within(&self.config.broadcast) {
            return (None, offset - self.config.broadcast);
        }
        let bank = self.config.banks.iter().position(within);
        let bank = bank.unwrap_or_else(|| panic!("touches {offset:#x}, where no bank is"));
        (Some(bank), offset - self.config.banks[bank])
    }

    fn check_lock(&self, offset: usize) {
        let common = [self.registers().hw_info.offset(), self.registers().status0.offset()];
        assert!(
            self.config.ecc != Ecc::Locked || common.contains(&offset),
            "touches {offset:#x}, which is locked"
        );
    }

    fn load(&self, offset: usize) -> u32 {
        let (bank, offset) = self.place(offset);
        self.check_lock(offset);
        let value = |bank: &BTreeMap<usize, u32>| bank.get(&offset).copied().unwrap_or(0);
        match bank {
            Some(bank) => value(&self.banks[bank]),
            None => self.banks.iter().map(value).fold(0, |all, one| all | one),
        }
    }

    fn store(&mut self, offset: usize, written: u32) {
        let (bank, offset) = self.place(offset);
        self.check_lock(offset);
        assert_eq!(bank, None, "writes one bank");
        let registers = self.registers();
        for bank in &mut self.banks {
            let clears = [registers.trp, registers.drp]
                .into_iter()
                .any(|ram| clear(bank, &ram, offset, written));
            if !clears {
                bank.insert(offset, written);
            }
        }
    }
}

/// Clears what a write to `offset` clears. `false` when that is nothing.
fn clear(bank: &mut BTreeMap<usize, u32>, ram: &RamRegisters, offset: usize, written: u32) -> bool {
    let written = Value::<ECC_BITS::Register>::new(written);
    if offset == ram.interrupt_clear.offset() {
        *bank.entry(ram.interrupt_status.offset()).or_default() &= !written.get();
    } else if offset == ram.counter_clear.offset() {
        let mut counts = Value::<ECC_ERROR_STATUS1::Register>::new(bank.remove(&ram.status1.offset()).unwrap_or(0));
        if written.is_set(ECC_BITS::SB) {
            counts.modify(ECC_ERROR_STATUS1::SB_COUNT.val(0));
        }
        if written.is_set(ECC_BITS::DB) {
            counts.modify(ECC_ERROR_STATUS1::DB_COUNT.val(0));
        }
        bank.insert(ram.status1.offset(), counts.get());
    } else {
        return false;
    }
    true
}

/// The model; clones are handles of the same cache.
#[derive(Clone)]
pub struct Model(Arc<Mutex<State>>);

impl Model {
    /// A cache without errors.
    #[must_use]
    pub fn new(config: Config) -> Self {
        let model = Self(Arc::new(Mutex::new(State {
            config,
            banks: vec![BTreeMap::new(); config.banks.len()],
        })));
        model.report_banks(config.banks.len() as u32);
        model
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lets the cache say that it has so many banks.
    pub fn report_banks(&self, banks: u32) {
        let state = &mut *self.state();
        let offset = state.registers().status0.offset();
        for bank in &mut state.banks {
            bank.insert(offset, COMMON_STATUS0::LB_CNT.val(banks).value);
        }
    }

    /// Lets an error happen: in which bank, RAM and way, whether it can be corrected, and with which syndromes.
    pub fn corrupt(&self, bank: usize, ram: Ram, corrected: bool, way: u32, syndromes: &[u32]) {
        let state = &mut *self.state();
        let registers = match ram {
            Ram::Tag => state.registers().trp,
            Ram::Data => state.registers().drp,
        };
        let bank = &mut state.banks[bank];
        let bit = if corrected {
            ECC_BITS::SB::SET
        } else {
            ECC_BITS::DB::SET
        };
        *bank.entry(registers.interrupt_status.offset()).or_default() |= bit.value;
        let counts = bank.entry(registers.status1.offset()).or_default();
        let mut value = Value::<ECC_ERROR_STATUS1::Register>::new(*counts);
        if corrected {
            value.modify(ECC_ERROR_STATUS1::SB_COUNT.val((value.read(ECC_ERROR_STATUS1::SB_COUNT) + 1).min(0xff)));
        } else {
            value.modify(ECC_ERROR_STATUS1::DB_COUNT.val((value.read(ECC_ERROR_STATUS1::DB_COUNT) + 1).min(0x1f)));
        }
        *counts = value.get();
        let ways = if corrected {
            ECC_ERROR_STATUS0::SB_WAYS.val(1 << way)
        } else {
            ECC_ERROR_STATUS0::DB_WAYS.val(1 << way)
        };
        *bank.entry(registers.status0.offset()).or_default() |= ways.value;
        let first = registers.syndromes[usize::from(!corrected)];
        for (index, syndrome) in syndromes.iter().enumerate() {
            bank.insert(first + 4 * index, *syndrome);
        }
    }

    /// Errors of both kinds in both RAMs interrupt.
    #[must_use]
    pub fn is_set_up(&self) -> bool {
        let state = self.state();
        let registers = state.registers();
        state.banks.iter().all(|bank| {
            let at = |offset| bank.get(&offset).copied().unwrap_or(0);
            at(registers.interrupt_0_enable.offset()) == (1 << 6 | 1)
                && at(registers.trp.interrupt_enable.offset()) == 0b11
                && at(registers.drp.interrupt_enable.offset()) == 0b11
                && at(registers.drp_ecc_error_cfg.offset()) == 1 << 24
        })
    }
}

impl Io for Model {
    fn load<T: Width>(&self, offset: usize) -> T {
        assert_eq!(T::BYTES, 4, "an LLCC is accessed by words");
        T::truncate(u64::from(self.state().load(offset)))
    }

    fn store<T: Width>(&self, offset: usize, value: T) {
        assert_eq!(T::BYTES, 4, "an LLCC is accessed by words");
        self.state().store(offset, value.widen() as u32);
    }

    fn publish(&self) {}

    fn observe(&self) {}
}
