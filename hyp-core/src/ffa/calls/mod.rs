//! The calls: registers in, registers out.
//!
//! Decoding is in [`descriptor`](super::descriptor), decisions are in [`Ownership`]; here they meet, with the mailboxes
//! of all VMs and what a lender said of each lease. Offered is what lending needs:
//!
//! | call | who | notes |
//! | --- | --- | --- |
//! | `FFA_VERSION`, `FFA_FEATURES`, `FFA_ID_GET` | all | 1.2; 1.1 is spoken too |
//! | `FFA_RXTX_MAP`, `FFA_RXTX_UNMAP`, `FFA_RX_RELEASE` | all | one page each |
//! | `FFA_MEM_LEND`, `FFA_MEM_RECLAIM` | the host | one borrower, descriptor whole and in TX |
//! | `FFA_MEM_RETRIEVE_REQ`, `FFA_MEM_RELINQUISH` | guests | read, write and execute |
//!
//! A call that did a bounded part of its work returns `RETRY`: the same call goes on from there.

mod alias;
mod memory;
mod refusal;
mod setup;

pub use refusal::Refusal;

use super::mailbox::Mailbox;
use crate::id::{Handle, VmId};
use crate::log;
use crate::machine::Machine;
use crate::ownership::Ownership;
use leasehold_abi::ffa;
use leasehold_memory_map::{Ipa, PhysAddr};

/// `x0` to `x17` of a caller.
pub type Registers = [u64; 18];

/// What the calls ask of whoever makes them possible.
pub trait Surroundings {
    /// The doubleword at `offset`, a multiple of 8 below 4096, of a page that a VM has for a buffer and may be changing.
    fn load(&self, page: PhysAddr, offset: usize) -> u64;

    /// Writes that doubleword.
    fn store(&self, page: PhysAddr, offset: usize, value: u64);

    /// Whether the board lets memory be lent at all: every master is contained, or it accepts those that are not.
    fn lending_allowed(&self) -> bool;

    /// What the lender adds to an IPA for the virtual address at which it must not have the memory any more when it lends;
    /// `None` when it has promised nothing.
    fn alias(&self) -> Option<u64>;

    /// Whether the caller's stage 1 has something at `va`.
    fn stage1_maps(&self, va: u64) -> bool;

    /// From here on a borrower gets leases for which it names no place, one behind the other.
    fn places(&self) -> Ipa;
}

/// What a VM has of FF-A.
#[derive(Clone, Copy, Debug)]
struct Endpoint {
    mailbox: Mailbox,
    /// The version that it speaks, 1.2 until it says otherwise.
    version: u32,
}

impl Endpoint {
    const NEW: Self = Self {
        mailbox: Mailbox::new(),
        version: ffa::VERSION_1_2,
    };
}

/// What a lender says of a lease, which the borrower must know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Terms {
    handle: Handle,
    tag: u64,
    implementation_defined: [u64; 2],
}

/// All VMs' FF-A, for as many leases and guests as [`Ownership`] has.
#[derive(Debug)]
pub struct Ffa<const LEASES: usize, const VMS: usize> {
    host: Endpoint,
    guests: [Endpoint; VMS],
    terms: [Option<Terms>; LEASES],
}

/// How a call ended that was not refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Outcome {
    /// `FFA_SUCCESS` with `w2` and `w3`.
    Success(u32, u32),
    /// `FFA_MEM_RETRIEVE_RESP` with the length of what is in RX.
    Retrieved(u32),
    /// Some of it is done.
    Again,
}

/// Bit 30 of a function id: 64-bit (DEN0028 section 2.5).
const WIDE: u32 = 1 << 30;

const _: () = assert!(
    ffa::RXTX_MAP_64 == ffa::RXTX_MAP_32 | WIDE
        && ffa::MEM_LEND_64 == ffa::MEM_LEND_32 | WIDE
        && ffa::MEM_RETRIEVE_REQ_64 == ffa::MEM_RETRIEVE_REQ_32 | WIDE
);

/// A call on its way.
struct Call<'a, M, S, const LEASES: usize, const VMS: usize> {
    ownership: &'a mut Ownership<LEASES, VMS>,
    machine: &'a M,
    surroundings: &'a S,
    caller: VmId,
}

impl<const LEASES: usize, const VMS: usize> Default for Ffa<LEASES, VMS> {
    fn default() -> Self {
        Self::new()
    }
}

impl<const LEASES: usize, const VMS: usize> Ffa<LEASES, VMS> {
    /// Nobody has said anything yet.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            host: Endpoint::NEW,
            guests: [Endpoint::NEW; VMS],
            terms: [None; LEASES],
        }
    }

    /// Forgets a guest that is destroyed, or is about to be created.
    pub fn forget(&mut self, vm: VmId) {
        if let Some(endpoint) = self.endpoint(vm) {
            *endpoint = Endpoint::NEW;
        }
    }

    /// Answers the call in `x`, whose function id is one of FF-A's: `x0` to `x7` are the results, all others stay.
    pub fn call<M: Machine, S: Surroundings>(
        &mut self,
        ownership: &mut Ownership<LEASES, VMS>,
        machine: &M,
        surroundings: &S,
        caller: VmId,
        x: &mut Registers,
    ) {
        // Bits 63:32 of w0 are not part of the function id (DEN0028 section 2.5).
        let function = x[0] as u32;
        if function == ffa::VERSION {
            let answer = self.version(caller, x[1] as u32);
            answer_with(x, [answer as u32, 0, 0, 0]);
            return;
        }
        let mut call = Call {
            ownership,
            machine,
            surroundings,
            caller,
        };
        match self.dispatch(&mut call, function, x) {
            Ok(Outcome::Success(w2, w3)) => answer_with(x, [ffa::SUCCESS_32, 0, w2, w3]),
            Ok(Outcome::Retrieved(length)) => answer_with(x, [ffa::MEM_RETRIEVE_RESP, length, length, 0]),
            Ok(Outcome::Again) => answer_with(x, [ffa::ERROR, 0, ffa::RETRY as u32, 0]),
            Err(refusal) => {
                refused(caller, function, &refusal);
                answer_with(x, [ffa::ERROR, 0, refusal.code() as u32, 0]);
            }
        }
    }

    fn dispatch<M: Machine, S: Surroundings>(
        &mut self,
        call: &mut Call<'_, M, S, LEASES, VMS>,
        function: u32,
        x: &Registers,
    ) -> Result<Outcome, Refusal> {
        // Calls of both widths differ in bit 30, and in how much of a register is an address.
        let wide = function & WIDE != 0;
        let address = |register: u64| if wide { register } else { low(register) };
        match function & !WIDE {
            ffa::RXTX_MAP_32 => self.rxtx_map(call, address(x[1]), address(x[2]), low(x[3])),
            ffa::MEM_LEND_32 => self.lend(call, x, address(x[3])),
            ffa::MEM_RETRIEVE_REQ_32 => self.retrieve(call, x, address(x[3])),
            _ if wide => Err(Refusal::NotOffered(function)),
            ffa::FEATURES => setup::features(x[1] as u32),
            ffa::ID_GET => Ok(Outcome::Success(call.caller.endpoint().into(), 0)),
            ffa::RX_RELEASE => self.rx_release(call.caller, x),
            ffa::RXTX_UNMAP => self.rxtx_unmap(call, x),
            ffa::MEM_RELINQUISH => self.relinquish(call),
            ffa::MEM_RECLAIM => call.reclaim(x),
            _ => Err(Refusal::NotOffered(function)),
        }
    }

    fn endpoint(&mut self, vm: VmId) -> Option<&mut Endpoint> {
        match vm.slot() {
            None => Some(&mut self.host),
            Some(slot) => self.guests.get_mut(slot),
        }
    }

    fn mailbox(&mut self, vm: VmId) -> Result<&mut Mailbox, Refusal> {
        let unknown = Refusal::NoSuchEndpoint(vm.endpoint());
        self.endpoint(vm).map(|endpoint| &mut endpoint.mailbox).ok_or(unknown)
    }
}

/// The argument of a 32-bit call.
const fn low(register: u64) -> u64 {
    register & u32::MAX as u64
}

/// `w0` to `w3`; `x4` to `x7` must be zero.
fn answer_with(x: &mut Registers, words: [u32; 4]) {
    let [w0, w1, w2, w3] = words.map(u64::from);
    // Eight stores: `fill` would be a call.
    [x[0], x[1], x[2], x[3], x[4], x[5], x[6], x[7]] = [w0, w1, w2, w3, 0, 0, 0, 0];
}

/// One line of log: who asked for what, and why it was refused.
#[cold]
fn refused(caller: VmId, function: u32, refusal: &Refusal) {
    log::warn!(
        "FF-A: VM {=u16} is refused {=str} ({=u32:#x}): {}",
        caller.endpoint(),
        name(function),
        function,
        refusal
    );
}

/// The name of a function, for the log.
fn name(function: u32) -> &'static str {
    match function {
        ffa::FEATURES => "FFA_FEATURES",
        ffa::ID_GET => "FFA_ID_GET",
        ffa::SPM_ID_GET => "FFA_SPM_ID_GET",
        ffa::RX_RELEASE => "FFA_RX_RELEASE",
        ffa::RXTX_MAP_32 | ffa::RXTX_MAP_64 => "FFA_RXTX_MAP",
        ffa::RXTX_UNMAP => "FFA_RXTX_UNMAP",
        ffa::MEM_DONATE_32 | ffa::MEM_DONATE_64 => "FFA_MEM_DONATE",
        ffa::MEM_LEND_32 | ffa::MEM_LEND_64 => "FFA_MEM_LEND",
        ffa::MEM_SHARE_32 | ffa::MEM_SHARE_64 => "FFA_MEM_SHARE",
        ffa::MEM_RETRIEVE_REQ_32 | ffa::MEM_RETRIEVE_REQ_64 => "FFA_MEM_RETRIEVE_REQ",
        ffa::MEM_RELINQUISH => "FFA_MEM_RELINQUISH",
        ffa::MEM_RECLAIM => "FFA_MEM_RECLAIM",
        _ => "a call that is not offered",
    }
}

#[cfg(test)]
mod tests;
