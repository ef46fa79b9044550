//! FF-A calls of the host and of guests: what `ffa` needs of the machine.

use super::{Containment, Hypervisor, State};
use crate::arch::aarch64::{Cpu, Run, TrapFrame};
use crate::board::Board;
use crate::ffa::calls::{Registers, Surroundings};
use crate::{LeaseState, Ownership, VmId};
use leasehold_abi::ffa;
use leasehold_memory_map::{Address, Ipa, PAGE_SIZE, PhysAddr};

/// From here on a guest gets leases for which it names no place: behind all that its tree calls memory, below the end
/// of the smallest addresses that a guest's tables have (36 bits).
const PLACES: Ipa = Ipa::new(8 << 30);

/// The machine around a call.
struct Around {
    cpu: Cpu,
    lending_allowed: bool,
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

    fn place(&self, _vm: VmId, _pages: u32) -> Option<Ipa> {
        self.place
    }
}

impl<B: Board> Hypervisor<B> {
    #[inline(never)]
    pub(super) fn host_ffa(&self, frame: &mut TrapFrame) {
        if let Some(registers) = frame.x.first_chunk_mut() {
            self.ffa(VmId::HOST, registers);
        }
    }

    /// A guest's. Where there is more to do than one step it is told to call again; the host's interrupts have their
    /// chance in between.
    pub(super) fn guest_ffa(&self, id: VmId, run: &mut Run<'_>) {
        if let Some(registers) = run.context().x.first_chunk_mut() {
            self.ffa(id, registers);
        }
    }

    fn ffa(&self, caller: VmId, registers: &mut Registers) {
        let mut state = self.state.lock();
        let State { ownership, ffa, .. } = &mut *state;
        let place = is_retrieve(registers[0] as u32)
            .then(|| next_place(ownership, caller))
            .flatten();
        let around = Around {
            cpu: Cpu::this(),
            lending_allowed: self.facts().containment != Containment::Refused,
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
