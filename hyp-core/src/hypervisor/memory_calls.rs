//! FF-A calls of the host and of guests: what `ffa` needs of the machine.

use super::vendor::Outcome;
use super::{Containment, Hypervisor, State};
use crate::arch::aarch64::{Cpu, Run, TrapFrame, stage1_maps};
use crate::board::Board;
use crate::ffa::calls::{Registers, Surroundings};
use crate::{LeaseState, Ownership, VmId};
use leasehold_abi::{ffa, vendor};
use leasehold_memory_map::{Address, Ipa, PAGE_SIZE, PhysAddr};

/// From here on a guest gets leases for which it names no place: behind all that its tree calls memory, below the end
/// of the smallest addresses that a guest's tables have (36 bits).
const PLACES: Ipa = Ipa::new(8 << 30);

/// The machine around a call.
struct Around {
    cpu: Cpu,
    lending_allowed: bool,
    alias: Option<u64>,
    place: Option<Ipa>,
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

    fn place(&self, _vm: VmId, _pages: u32) -> Option<Ipa> {
        self.place
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
        let State { ownership, ffa, .. } = &mut *state;
        let place = is_retrieve(registers[0] as u32)
            .then(|| next_place(ownership, caller))
            .flatten();
        let around = Around {
            cpu: Cpu::this(),
            lending_allowed: self.facts().containment != Containment::Refused,
            alias,
            place,
        };
        ffa.call(ownership, &self.machine(), &around, caller, registers);
    }
}

fn is_retrieve(function: u32) -> bool {
    matches!(function, ffa::MEM_RETRIEVE_REQ_32 | ffa::MEM_RETRIEVE_REQ_64)
}

/// Behind the last lease that the guest has at a place of our choice.
fn next_place<const LEASES: usize, const VMS: usize>(ownership: &Ownership<LEASES, VMS>, id: VmId) -> Option<Ipa> {
    let ends = ownership.leases_of(id).filter_map(|(_, lease)| match lease.state {
        LeaseState::Retrieved(at) => at.checked_add(u64::from(lease.pages) * PAGE_SIZE),
        LeaseState::Lent | LeaseState::InTransit | LeaseState::Ended => None,
    });
    ends.chain(core::iter::once(PLACES)).max()
}
