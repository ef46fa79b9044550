//! Accesses that are served on other memory.
//!
//! The instruction that makes the access is stepped on a copy of the way to its page, which this CPU alone is on for just
//! that instruction, and on which the page leads to one of EL2's that is zeroed for it: what an access writes there, no
//! other one finds.
//!
//! The lock is not held meanwhile, for an instruction may take long. What keeps the copy from being older than the host's
//! tables in what matters: it is made and declared live under the lock, and whoever takes something from the host, or
//! gives a table of its back, under the lock too, must invalidate translations for that, and revokes live copies before.
//! Their roots are zeroes then; the invalidation, which reaches this CPU because the copy has the host's VMID, does the
//! rest; and the instruction, if it is not over, faults, and is executed again by the host. So a lend never waits for a
//! step, and none survives a lend.

use super::{Hypervisor, Locked};
use crate::arch::aarch64::{self as arch, Return, Stepped, TrapFrame};
use crate::board::Board;
use crate::fault::decoy::{self, Ended};
use crate::fault::{Access, Mode};
use crate::machine::Machine;
use crate::stage2::Overlay;
use crate::trap::{Esr, Hpfar};
use crate::{PageState, VmId};
use leasehold_memory_map::{Address, Ipa};

/// What is to be done after a step.
enum Next {
    /// The host goes on from where it is.
    GoOn,
    /// The host makes the access again.
    Again,
    /// The instruction wants this page too.
    Cover(Ipa),
    /// The chain's next link.
    PassOn,
}

impl<B: Board> Hypervisor<B> {
    /// Serves an access to lent memory on other memory. `false` when it cannot be served so, and then nothing was done.
    #[cold]
    pub(super) fn decoy<'a>(
        &'a self,
        mut state: Locked<'a>,
        frame: &mut TrapFrame,
        access: &Access,
    ) -> (Locked<'a>, bool) {
        let before = frame.back;
        let machine = self.machine();
        let overlay = match access.page {
            Some(_) if self.can_be_stepped(&state, &before, access) => {
                arch::overlay_memory().and_then(|memory| state.ownership.overlay(&machine, memory))
            }
            _ => None,
        };
        let (Some(mut overlay), Some(mut page)) = (overlay, access.page) else {
            return (state, false);
        };
        let done = loop {
            let Some(scratch) = overlay.cover(&machine, page) else {
                break false;
            };
            machine.cpu.scrub(scratch);
            arch::barrier::dsb_sy();
            arch::begin_overlay();
            drop(state);
            let stepped = arch::step(frame, overlay.root(), &self.facts().features);
            state = self.state.lock();
            let current = arch::end_overlay();
            match self.after_step(&state, &overlay, &before, &mut frame.back, stepped) {
                Next::GoOn => break true,
                Next::PassOn => break false,
                Next::Cover(another) if current => page = another,
                Next::Again | Next::Cover(_) => {
                    frame.back = before;
                    break true;
                }
            }
            frame.back = before;
        };
        if !done {
            frame.back = before;
        }
        (state, done)
    }

    /// Whether a step of its instruction serves an access.
    fn can_be_stepped(&self, state: &Locked<'_>, back: &Return, access: &Access) -> bool {
        if !decoy::serves(access) {
            return false;
        }
        if !decoy::needs_instruction(access) {
            return true;
        }
        if access.mode == Mode::El0Aarch32 {
            return false;
        }
        self.instruction(state, back.elr, access.mode)
            .is_some_and(|instruction| !decoy::is_exclusive(instruction))
    }

    /// The instruction at `pc`, as it is now. The host may change it meanwhile: what it is taken for is not relied on.
    fn instruction(&self, state: &Locked<'_>, pc: u64, mode: Mode) -> Option<u32> {
        let by = |from_el0| arch::walk_stage1(pc, from_el0);
        // EL1 may read what EL0 may just execute, and the other way round.
        let at = by(mode.is_el0()).or_else(|| by(!mode.is_el0()))?;
        let machine = self.machine();
        let found = state.ownership.translate(&machine, VmId::HOST, at.page()).ok()?;
        let offset = at.page_offset() as usize;
        let word = machine.cpu.load(found, offset & !7);
        Some((word >> ((offset & 4) * 8)) as u32)
    }

    fn after_step(
        &self,
        state: &Locked<'_>,
        overlay: &Overlay,
        before: &Return,
        back: &mut Return,
        stepped: Stepped,
    ) -> Next {
        let (esr, far, hpfar) = match stepped {
            Stepped::Sync { esr, far, hpfar } => (Esr::new(esr), far, hpfar),
            Stepped::Otherwise => return Next::Again,
            Stepped::Impossible => return Next::PassOn,
        };
        if esr.is_step_from_below() {
            match decoy::ended((before.elr, before.spsr), (back.elr, back.spsr)) {
                Ended::Executed(spsr) => back.spsr = spsr,
                Ended::TakenToEl1 => arch::forget_step(before.spsr),
            }
            return Next::GoOn;
        }
        let Some(another) = Access::decode(esr, far, Hpfar::new(hpfar), before.spsr) else {
            return Next::PassOn;
        };
        let machine = self.machine();
        let is = |page: Ipa| state.ownership.host_page_state(&machine, page);
        let lent = |page: Ipa| matches!(is(page), PageState::Lent { .. } | PageState::InTransit { .. });
        match another.page {
            // Revoked, or it came back meanwhile.
            Some(page) if matches!(is(page), PageState::Owned | PageState::Away) => Next::Again,
            _ if !overlay.covered().iter().all(|page| lent(*page)) => Next::Again,
            Some(page) if overlay.covered().contains(&page) => Next::Again,
            Some(page) if lent(page) && decoy::serves(&another) => Next::Cover(page),
            _ => Next::PassOn,
        }
    }
}
