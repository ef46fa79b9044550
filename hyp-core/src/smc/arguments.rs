//! What a call is given: copied once, so that the host cannot change it after it was looked at.

use super::{CallMemory, Refusal};
use crate::id::VmId;
use crate::machine::Machine;
use crate::ownership::{Ownership, OwnershipError};
use leasehold_hal::SmcRegisters;
use leasehold_hal::scm::{IN_REGISTERS, MAX_ARGUMENTS};
use leasehold_memory_map::{Address, Ipa};

/// Bit 30 of a function id: arguments of 64 bits (DEN0028 section 2.5).
const WIDE: u64 = 1 << 30;

/// Reads the host's memory, each word once.
pub(super) struct Reader<'a, M, C, const LEASES: usize, const VMS: usize> {
    pub(super) ownership: &'a Ownership<LEASES, VMS>,
    pub(super) machine: &'a M,
    pub(super) memory: &'a C,
}

impl<M: Machine, C: CallMemory, const LEASES: usize, const VMS: usize> Reader<'_, M, C, LEASES, VMS> {
    /// The doubleword at `address`, which must be aligned and the host's own. The lock is held: it stays the host's until
    /// the load is done.
    pub(super) fn word(&self, address: u64) -> Result<u64, Refusal> {
        let at = Ipa::checked(address)
            .filter(|at| at.is_aligned(8))
            .ok_or(Refusal::Memory(OwnershipError::InvalidRange { address, pages: 1 }))?;
        let at = self.ownership.translate(self.machine, VmId::HOST, at)?;
        Ok(self.memory.load(at))
    }
}

/// The arguments of a call.
#[derive(Clone, Copy, Debug)]
pub(super) struct Arguments {
    values: [u64; MAX_ARGUMENTS],
    count: usize,
    pub(super) wide: bool,
}

impl Arguments {
    /// Those that `x` has, and what it says are more.
    pub(super) fn read<M: Machine, C: CallMemory, const LEASES: usize, const VMS: usize>(
        x: &SmcRegisters,
        reader: &Reader<'_, M, C, LEASES, VMS>,
    ) -> Result<Self, Refusal> {
        let count = (x[1] & 0xf) as usize;
        if count > MAX_ARGUMENTS {
            return Err(Refusal::Description(x[1]));
        }
        let wide = x[0] & WIDE != 0;
        let narrow = |value: u64| if wide { value } else { u64::from(value as u32) };
        let mut values = [0; MAX_ARGUMENTS];
        for (value, register) in values.iter_mut().zip(&x[2..]).take(IN_REGISTERS.min(count)) {
            *value = narrow(*register);
        }
        if count > IN_REGISTERS {
            let at = narrow(x[1 + IN_REGISTERS]);
            let rest = &mut values[IN_REGISTERS - 1..count];
            let words = |n: usize| at.checked_add(8 * n as u64).ok_or(Refusal::Address(at));
            if wide {
                for (n, value) in rest.iter_mut().enumerate() {
                    *value = reader.word(words(n)?)?;
                }
            } else {
                for (n, pair) in rest.chunks_mut(2).enumerate() {
                    let word = reader.word(words(n)?)?;
                    for (value, half) in pair.iter_mut().zip([word as u32, (word >> 32) as u32]) {
                        *value = u64::from(half);
                    }
                }
            }
        }
        Ok(Self { values, count, wide })
    }

    /// Argument `n`.
    pub(super) fn get(&self, n: u8) -> Result<u64, Refusal> {
        let given = self.values.get(..self.count).unwrap_or_default();
        given.get(usize::from(n)).copied().ok_or(Refusal::Argument(n))
    }

    /// Whether there are more than registers have room for: EL2's memory for the call has to be within firmware's reach then.
    pub(super) const fn need_memory(&self) -> bool {
        self.count > IN_REGISTERS
    }

    /// Argument `n` is something else.
    pub(super) fn set(&mut self, n: usize, value: u64) {
        if let Some(argument) = self.values.get_mut(n) {
            *argument = value;
        }
    }

    /// Writes them into registers, and the rest of them into EL2's own memory for the call in `slot`.
    pub(super) fn write(&self, x: &mut SmcRegisters, memory: &impl CallMemory, slot: usize) {
        let in_registers = if self.count > IN_REGISTERS {
            IN_REGISTERS - 1
        } else {
            self.count
        };
        let (first, rest) = self.values[..self.count].split_at(in_registers);
        x[2..2 + in_registers].copy_from_slice(first);
        if rest.is_empty() {
            return;
        }
        if self.wide {
            for (n, value) in rest.iter().enumerate() {
                memory.store(slot, n, *value);
            }
        } else {
            for (n, pair) in rest.chunks(2).enumerate() {
                let high = pair.get(1).copied().unwrap_or(0);
                memory.store(slot, n, (pair[0] & 0xffff_ffff) | high << 32);
            }
        }
        x[1 + IN_REGISTERS] = memory.address(slot).get();
    }
}
