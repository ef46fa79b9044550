//! What the host may call of the firmware behind SMC.
//!
//! Firmware takes physical addresses, and reaches all memory: so each call is one that the board's [`SmcPolicy`] names, and each
//! argument that is an address leads to memory that is the host's own and stays so while the call runs. What firmware reads a
//! second time (arguments in memory, lists) is copied into EL2's memory once; the copy is what was vetted, and what firmware
//! gets. All is decided here, under the lock of all state; the call itself is made without one.
//!
//! A call that firmware puts off stays in its slot, with all that it holds, until the host has it go on to its end. The host
//! goes on with it by a number of EL2's: what firmware was told the first time, EL2 tells it again.

mod arguments;
#[cfg(test)]
mod tests;
mod vet;

use crate::log;
use crate::machine::Machine;
use crate::ownership::{Ownership, OwnershipError, Use};
use arguments::{Arguments, Reader};
use heapless::Vec;
use leasehold_abi::smccc;
use leasehold_hal::{SmcAction, SmcPolicy, SmcRegisters, SmcRule, scm};
use leasehold_memory_map::{Address, PhysAddr};

/// The most calls that are in firmware, or put off, at a time.
pub const MAX_CALLS: usize = 8;

/// Doublewords of EL2's own memory for each of them.
pub const CALL_WORDS: usize = 128;

/// The most shares with secure software at a time.
const MAX_SHARES: usize = 16;

/// The most remote processors that run at a time.
const MAX_PROCESSORS: usize = 16;

/// The bits of a function id that tell one function from another: fast or yielding, 32 or 64 bits do not.
const FUNCTION: u32 = 0x3fff_ffff;

/// Memory, as calls need it.
pub trait CallMemory {
    /// The doubleword at `at`, aligned, in a page of the host's: by a single load, of what is there for every observer.
    fn load(&self, at: PhysAddr) -> u64;

    /// Writes doubleword `word` of the memory for the call in `slot`.
    fn store(&self, slot: usize, word: usize, value: u64);

    /// Where that memory is.
    fn address(&self, slot: usize) -> PhysAddr;

    /// Lets firmware see what was written there, also if it reads past the caches.
    fn publish(&self, slot: usize);
}

/// Why a call is not made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Refusal {
    /// The policy does not name it.
    Unnamed,
    /// The policy refuses it, with this code.
    Policy(i64),
    /// `x1` does not describe the arguments that it has.
    Description(u64),
    /// An argument is not what it must be: its number.
    Argument(u8),
    /// An address is none.
    Address(u64),
    /// It leads to memory that is not the host's own, or not only.
    Memory(OwnershipError),
    /// A range of it has gone to other masters in part.
    Mixed(PhysAddr),
    /// A register that the policy does not name.
    Register(u64),
    /// A remote processor that the policy does not name.
    Processor(u32),
    /// There is no such call that could go on.
    NotPending(u64),
    /// There is no room for one more.
    Full,
}

impl From<OwnershipError> for Refusal {
    fn from(error: OwnershipError) -> Self {
        Self::Memory(error)
    }
}

impl Refusal {
    /// What the host finds in `x0`: Qualcomm's codes for calls that have them.
    #[must_use]
    pub const fn code(&self) -> i64 {
        match self {
            Self::Unnamed => smccc::NOT_SUPPORTED as i64,
            Self::Policy(code) => *code,
            Self::Description(_) | Self::Argument(_) | Self::NotPending(_) => scm::BAD_ARGUMENT,
            Self::Memory(OwnershipError::TooManyPins(_)) => scm::NO_MEMORY,
            Self::Address(_) | Self::Memory(_) | Self::Mixed(_) | Self::Register(_) | Self::Processor(_) => {
                scm::BAD_ADDRESS
            }
            Self::Full => scm::BUSY,
        }
    }
}

/// What is to be done about a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The host gets this, and firmware hears nothing of it.
    Answer(SmcRegisters),
    /// Firmware gets this, and the host what it returns.
    Pass(SmcRegisters),
    /// Firmware gets this, and what it returns goes to [`Filter::end`] with the slot.
    Call(usize, SmcRegisters),
}

/// What becomes of what a call holds when it has ended well.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Effect {
    /// The host has it to itself.
    LetGo,
    /// It is away.
    SendAway,
    /// It is away no more.
    BringBack,
    /// It is a remote processor's image, in place of an earlier one.
    Image(u32),
    /// It is a remote processor's memory, in place of an earlier one.
    Processor(u32),
    /// A remote processor runs; `fresh` if it did not before.
    Start { id: u32, fresh: bool },
    /// A remote processor runs no more.
    Stop(u32),
    /// It is shared.
    Share,
    /// What this handle names is shared no more.
    Unshare(u64),
}

impl Effect {
    /// Whether two calls must not be in firmware together: the state of one and the same thing depends on which ends first.
    fn conflicts(self, other: Self) -> bool {
        let shares = |effect| matches!(effect, Self::Share | Self::Unshare(_));
        let same = self.processor().is_some() && self.processor() == other.processor();
        same || (shares(self) && shares(other))
    }

    const fn processor(self) -> Option<u32> {
        match self {
            Self::Image(id) | Self::Processor(id) | Self::Start { id, .. } | Self::Stop(id) => Some(id),
            _ => None,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Free,
    /// In firmware.
    Running,
    /// Firmware has been interrupted, and calls it `session`. The host calls it `token`.
    Interrupted {
        token: u64,
        session: u64,
    },
    /// It waits, and firmware calls it `context`.
    Waiting {
        context: u64,
    },
}

#[derive(Clone, Copy, Debug)]
struct Call {
    phase: Phase,
    registers: SmcRegisters,
    effect: Effect,
}

/// What is known of the host's calls.
#[derive(Debug)]
pub struct Filter {
    calls: [Call; MAX_CALLS],
    /// What the next token is told from earlier ones by.
    generation: u64,
    /// Handles of what is shared, and the number of the share.
    shares: Vec<(u64, u8), MAX_SHARES>,
    /// Remote processors that run.
    running: Vec<u32, MAX_PROCESSORS>,
}

impl Default for Filter {
    fn default() -> Self {
        Self::new()
    }
}

impl Filter {
    /// No call is being made.
    #[must_use]
    pub const fn new() -> Self {
        const FREE: Call = Call {
            phase: Phase::Free,
            registers: [0; 8],
            effect: Effect::LetGo,
        };
        Self {
            calls: [FREE; MAX_CALLS],
            generation: 1,
            shares: Vec::new(),
            running: Vec::new(),
        }
    }

    /// Decides about a call that the host makes with these registers. What is refused is logged, and has changed nothing.
    pub fn begin<const LEASES: usize, const VMS: usize>(
        &mut self,
        ownership: &mut Ownership<LEASES, VMS>,
        machine: &impl Machine,
        memory: &impl CallMemory,
        policy: &SmcPolicy,
        x: &SmcRegisters,
    ) -> Verdict {
        let function = x[0] as u32;
        let rule = policy.rules.iter().find(|rule| rule.function == function & FUNCTION);
        let decided = match rule {
            _ if function == scm::INTERRUPTED as u32 => self.go_on(x[6]),
            Some(rule) => self.decide(ownership, machine, memory, policy, rule, x),
            None if policy.passing_owners.contains(&((function >> 24 & 0x3f) as u8)) => Ok(Verdict::Pass(*x)),
            None => Err(Refusal::Unnamed),
        };
        decided.unwrap_or_else(|refusal| {
            let name = rule.map_or("?", |rule| rule.name);
            if refusal == Refusal::Unnamed {
                log::debug!("host: unknown call {=u32:#x}", function);
            } else {
                log::warn!(
                    "host: firmware call {=u32:#x} ({=str}) refused: {}",
                    function,
                    name,
                    refusal
                );
            }
            Verdict::Answer(answer(refusal.code()))
        })
    }

    fn decide<const LEASES: usize, const VMS: usize>(
        &mut self,
        ownership: &mut Ownership<LEASES, VMS>,
        machine: &impl Machine,
        memory: &impl CallMemory,
        policy: &SmcPolicy,
        rule: &SmcRule,
        x: &SmcRegisters,
    ) -> Result<Verdict, Refusal> {
        if let SmcAction::Refuse(code) = rule.action {
            return Err(Refusal::Policy(code));
        }
        let Some(described) = rule.arginfo else {
            return Ok(Verdict::Pass(*x));
        };
        if x[1] != u64::from(described) {
            return Err(Refusal::Description(x[1]));
        }
        let reader = Reader {
            ownership: &*ownership,
            machine,
            memory,
        };
        let mut arguments = Arguments::read(x, &reader)?;
        match rule.action {
            SmcAction::IsAvailable if !is_offered(policy, arguments.get(0)?) => {
                return Ok(Verdict::Answer(answer(scm::OK)));
            }
            SmcAction::Resume => return self.wake(arguments.get(0)?, x),
            _ => {}
        }
        let free = self.calls.iter().position(|call| call.phase == Phase::Free);
        let slot = free.ok_or(Refusal::Full)?;
        let ours = memory.address(slot).get();
        if !arguments.wide && arguments.need_memory() && ours + 8 * CALL_WORDS as u64 > 1 << 32 {
            // In the convention of 32 bits there is no way to say where the copies are.
            return Err(Refusal::Address(ours));
        }
        let effect = self
            .vet(ownership, machine, memory, &rule.action, &mut arguments, slot)
            .and_then(|effect| self.alone(effect))
            .inspect_err(|_| ownership.let_go(by(slot)))?;
        if let Effect::Start { id, fresh: true } = effect {
            // From now on its memory is let go of by stopping it alone.
            self.running.push(id).map_err(|_| Refusal::Full)?;
        }
        let mut registers = [0; 8];
        registers[..2].copy_from_slice(&[x[0] & u64::from(u32::MAX), x[1]]);
        arguments.write(&mut registers, memory, slot);
        memory.publish(slot);
        self.calls[slot] = Call {
            phase: Phase::Running,
            registers,
            effect,
        };
        Ok(Verdict::Call(slot, registers))
    }

    /// Whether no other call is in firmware that this one must not be with.
    fn alone(&self, effect: Effect) -> Result<Effect, Refusal> {
        let busy = |call: &&Call| call.phase != Phase::Free && call.effect.conflicts(effect);
        match self.calls.iter().find(busy) {
            Some(_) => Err(Refusal::Full),
            None => Ok(effect),
        }
    }

    /// The host goes on with a call that was interrupted.
    fn go_on(&mut self, wanted: u64) -> Result<Verdict, Refusal> {
        let found = self
            .calls
            .iter_mut()
            .zip(0..)
            .find_map(|(call, slot)| match call.phase {
                Phase::Interrupted { token, session } if token == wanted => Some((call, slot, session)),
                _ => None,
            });
        let (call, slot, session) = found.ok_or(Refusal::NotPending(wanted))?;
        call.phase = Phase::Running;
        let mut registers = call.registers;
        registers[0] = scm::INTERRUPTED as u64;
        registers[6] = session;
        Ok(Verdict::Call(slot, registers))
    }

    /// The host goes on with a call that was to wait.
    fn wake(&mut self, wanted: u64, x: &SmcRegisters) -> Result<Verdict, Refusal> {
        let waiting = Phase::Waiting { context: wanted };
        let slot = self.calls.iter().position(|call| call.phase == waiting);
        let slot = slot.ok_or(Refusal::NotPending(wanted))?;
        self.calls[slot].phase = Phase::Running;
        // What is interrupted after that is the call by which it goes on.
        self.calls[slot].registers = [x[0] & u64::from(u32::MAX), 1, wanted, 0, 0, 0, 0, 0];
        Ok(Verdict::Call(slot, self.calls[slot].registers))
    }

    /// What firmware returned of the call in `slot`: gives what the host gets of it.
    pub fn end<const LEASES: usize, const VMS: usize>(
        &mut self,
        ownership: &mut Ownership<LEASES, VMS>,
        slot: usize,
        returned: &SmcRegisters,
    ) -> SmcRegisters {
        let Some(call) = self.calls.get_mut(slot).filter(|call| call.phase == Phase::Running) else {
            return answer(scm::ERROR);
        };
        let mut host = [returned[0], returned[1], returned[2], returned[3], 0, 0, 0, 0];
        // A status has 32 bits, whatever the convention.
        match i64::from(returned[0] as i32) {
            scm::INTERRUPTED => {
                let token = self.generation << 8 | slot as u64;
                self.generation += 1;
                call.phase = Phase::Interrupted {
                    token,
                    session: returned[6],
                };
                host = answer(scm::INTERRUPTED);
                host[6] = token;
            }
            scm::WAITS => call.phase = Phase::Waiting { context: returned[2] },
            status => {
                call.phase = Phase::Free;
                let effect = call.effect;
                self.settle(ownership, slot, effect, status, returned[1]);
            }
        }
        host
    }

    fn settle<const LEASES: usize, const VMS: usize>(
        &mut self,
        ownership: &mut Ownership<LEASES, VMS>,
        slot: usize,
        effect: Effect,
        status: i64,
        handle: u64,
    ) {
        let held = by(slot);
        let done = status == scm::OK;
        match effect {
            Effect::SendAway if done || !is_refusal(status) => ownership.pass_on(held, Use::Away),
            Effect::BringBack if done => ownership.return_held(held),
            Effect::Image(id) if done => self.replace(ownership, id, held, Use::Image(id)),
            Effect::Processor(id) if done => self.replace(ownership, id, held, Use::Processor(id)),
            Effect::Start { id, fresh: true } if is_refusal(status) => self.running.retain(|running| *running != id),
            Effect::Stop(id) if done => {
                self.running.retain(|running| *running != id);
                ownership.let_go(Use::Image(id));
                ownership.let_go(Use::Processor(id));
            }
            Effect::Share if done => match self.free_share() {
                Some(number) if self.shares.push((handle, number)).is_ok() => {
                    ownership.pass_on(held, Use::Share(number));
                }
                // There was room when it was begun; others may have taken it since. What nobody can name stays shared.
                _ => ownership.pass_on(held, Use::Away),
            },
            Effect::Share if !is_refusal(status) => ownership.pass_on(held, Use::Away),
            Effect::Unshare(handle) if done => {
                if let Some(place) = self.shares.iter().position(|(known, _)| *known == handle) {
                    let (_, number) = self.shares.swap_remove(place);
                    ownership.let_go(Use::Share(number));
                }
            }
            _ => {}
        }
        ownership.let_go(held);
    }

    /// What a call holds is a remote processor's from now on, in place of what was until then if it does not run.
    fn replace<const LEASES: usize, const VMS: usize>(
        &self,
        ownership: &mut Ownership<LEASES, VMS>,
        id: u32,
        held: Use,
        to: Use,
    ) {
        if !self.running.contains(&id) {
            ownership.let_go(to);
        }
        ownership.pass_on(held, to);
    }

    fn free_share(&self) -> Option<u8> {
        (0..MAX_SHARES as u8).find(|number| self.shares.iter().all(|(_, taken)| taken != number))
    }
}

const fn by(slot: usize) -> Use {
    Use::Call(slot as u8)
}

/// Whether a status says that nothing was done. Of others, what a call was to change may have changed in part.
const fn is_refusal(status: i64) -> bool {
    matches!(
        status,
        scm::BAD_ARGUMENT | scm::BAD_ADDRESS | scm::UNSUPPORTED | scm::BUSY
    )
}

/// Whether the policy lets the host call a function at all.
fn is_offered(policy: &SmcPolicy, function: u64) -> bool {
    let wanted = function as u32 & FUNCTION;
    let rule = policy.rules.iter().find(|rule| rule.function == wanted);
    rule.is_some_and(|rule| !matches!(rule.action, SmcAction::Refuse(_)))
}

const fn answer(status: i64) -> SmcRegisters {
    [status as u64, 0, 0, 0, 0, 0, 0, 0]
}
