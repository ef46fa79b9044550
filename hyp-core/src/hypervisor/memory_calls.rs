//! FF-A calls of the host and of guests: what `ffa` needs of the machine.

use super::vendor::Outcome;
use super::{Hypervisor, State};
use crate::VmId;
use crate::arch::aarch64::{Cpu, Run, TrapFrame, stage1_maps};
use crate::board::Board;
use crate::boot::Containment;
use crate::ffa::calls::{Registers, Surroundings};
use leasehold_abi::{ffa, vendor};
use leasehold_memory_map::{Ipa, PhysAddr};

/// From here on a guest gets leases for which it names no place: behind all that its tree calls memory, below the end
/// of the smallest addresses that a guest's tables have (36 bits).
const PLACES: Ipa = Ipa::new(8 << 30);

/// The machine around a call.
struct Around {
    cpu: Cpu,
    lending_allowed: bool,
    alias: Option<u64>,
}

impl Surroundings for Around {
    fn load(&self, page: PhysAddr, offset: usize) -> u64 {
        self.cpu.load(page, offset)
    }

    fn store(&self, page: PhysAddr, offset: usize, value: u64) {
        self.cpu.store(page, offset, value);
    }

    fn lending_allowed(&self) -> bool {
        self.lending_allowed
    }

    fn alias(&self) -> Option<u64> {
        self.alias
    }

    fn stage1_maps(&self, va: u64) -> bool {
        stage1_maps(va)
    }

    fn places(&self) -> Ipa {
        PLACES
    }
}

impl<B: Board> Hypervisor<B> {
    #[inline(never)]
    pub(super) fn host_ffa(&self, frame: &mut TrapFrame) {
        if let Some(registers) = frame.x.first_chunk_mut() {
            self.ffa(VmId::HOST, registers, None);
        }
    }

    /// `LEND_UNMAPPED`: the host lends what it does not map any more at `offset` above its IPAs.
    pub(super) fn lend_unmapped(&self, length: u64, offset: u64) -> Outcome<1> {
        let mut registers: Registers = [0; 18];
        [registers[0], registers[1], registers[2]] = [ffa::MEM_LEND_64.into(), length, length];
        self.ffa(VmId::HOST, &mut registers, Some(offset));
        let [function, _, low, high] = [0, 1, 2, 3].map(|n| registers[n] as u32);
        if function == ffa::SUCCESS_32 {
            return Ok([u64::from(low) | u64::from(high) << 32]);
        }
        Err(match low as i32 {
            ffa::INVALID_PARAMETERS => vendor::INVALID_PARAMETERS,
            ffa::NO_MEMORY => vendor::NO_MEMORY,
            ffa::ABORTED => vendor::TIMED_OUT,
            _ => vendor::DENIED,
        })
    }

    /// A guest's. Where there is more to do than one step it is told to call again; the host's interrupts have their
    /// chance in between.
    pub(super) fn guest_ffa(&self, id: VmId, run: &mut Run<'_>) {
        if let Some(registers) = run.context().x.first_chunk_mut() {
            self.ffa(id, registers, None);
        }
    }

    fn ffa(&self, caller: VmId, registers: &mut Registers, alias: Option<u64>) {
        let mut state = self.state.lock();
        let State {
            ownership,
            ffa,
            containment,
            ..
        } = &mut *state;
        let around = Around {
            cpu: Cpu::this(),
            lending_allowed: *containment != Containment::Refused,
            alias,
        };
        ffa.call(ownership, &self.machine(), &around, caller, registers);
    }
}
