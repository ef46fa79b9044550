//! SDEI events for the host: what `sdei` decides, done.
//!
//! An event that a CPU signals to another one is told when that one is in EL2 the next time, other than by an abort that is
//! answered on the short way: while the host runs, EL2 takes no interrupts, and so has no way to call a CPU in.

use super::{Hypervisor, Locked};
use crate::arch::aarch64::{self as arch, AbortFrame, PerCpu, Return, TrapFrame};
use crate::board::Board;
use crate::sdei::{Answer, Entry, Interrupted};
use leasehold_abi::sdei;

impl<B: Board> Hypervisor<B> {
    #[cold]
    pub(super) fn host_sdei(&self, frame: &mut TrapFrame, function: u32) {
        let [_, args @ .., _, _] = frame.x.first_chunk::<8>().copied().unwrap_or_default();
        let target = match function {
            sdei::EVENT_SIGNAL => self.facts().psci.lock().number(args[1]),
            _ => None,
        };
        let this = PerCpu::this();
        let mut state = self.state.lock();
        match state.sdei.call(this.index(), function, args, |_| target) {
            Answer::Return(value) => {
                crate::log::trace!(
                    "sdei: CPU {=usize} calls {=u32:#x}, {=u64:#x}: {=i64}",
                    this.index(),
                    function,
                    args[0],
                    value
                );
                frame.x[0] = value as u64;
            }
            Answer::Signalled(target) => {
                frame.x[0] = sdei::SUCCESS as u64;
                if let Some(target) = PerCpu::of(target) {
                    target.set_event_due();
                }
            }
            Answer::Complete(interrupted) => restore(frame, &interrupted),
            Answer::Resume { interrupted, at } => {
                restore(frame, &interrupted);
                let pstate = self.facts().rules.handler_pstate(&self.origin(&frame.back));
                arch::set_return(frame.back.elr, frame.back.spsr);
                (frame.back.elr, frame.back.spsr) = (at, pstate);
            }
        }
        // The call may have been what an event has waited for.
        self.enter_if_due(&mut state, frame.as_abort());
    }

    /// Has the host's handler called for an access to lent memory. `false` when there is none that may be: then nothing was
    /// done.
    pub(super) fn event(&self, state: &mut Locked<'_>, frame: &mut AbortFrame, record: u64) -> bool {
        let Some(cause) = state.faults.record(record).copied() else {
            return false;
        };
        let interrupted = interrupted(frame);
        let entry = state.sdei.fault(PerCpu::this().index(), &interrupted, cause);
        self.enter(frame, &interrupted, entry)
    }

    /// Has the host's handler called for what other CPUs have signalled, if it may be.
    #[cold]
    pub(super) fn enter_due(&self, frame: &mut TrapFrame) {
        let mut state = self.state.lock();
        self.enter_if_due(&mut state, frame.as_abort());
    }

    fn enter_if_due(&self, state: &mut Locked<'_>, frame: &mut AbortFrame) {
        let this = PerCpu::this();
        // What is not told now is told after a call of this CPU's, or when the flag is set again.
        this.clear_event_due();
        let interrupted = interrupted(frame);
        let entry = state.sdei.due(this.index(), &interrupted);
        self.enter(frame, &interrupted, entry);
    }

    /// Enters a handler as by an exception, but that EL1's exception registers are left alone.
    fn enter(&self, frame: &mut AbortFrame, interrupted: &Interrupted, entry: Option<Entry>) -> bool {
        let Some(entry) = entry else { return false };
        let pstate = self.facts().rules.handler_pstate(&self.origin(frame.back()));
        let arguments = [
            u64::from(entry.event.number()),
            entry.argument,
            interrupted.pc,
            interrupted.pstate,
        ];
        frame.low()[..arguments.len()].copy_from_slice(&arguments);
        let back = frame.back();
        (back.elr, back.spsr) = (entry.address, pstate);
        true
    }
}

fn interrupted(frame: &mut AbortFrame) -> Interrupted {
    let Return { elr, spsr, .. } = *frame.back();
    Interrupted {
        x: *frame.low(),
        pc: elr,
        pstate: spsr,
    }
}

/// PSTATE is what the CPU itself has saved when it was interrupted: the host has no hand in it.
fn restore(frame: &mut TrapFrame, interrupted: &Interrupted) {
    let frame = frame.as_abort();
    *frame.low() = interrupted.x;
    let back = frame.back();
    (back.elr, back.spsr) = (interrupted.pc, interrupted.pstate);
}
