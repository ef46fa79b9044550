//! Who speaks which version, what there is, and where the buffers are.

use super::{Call, Ffa, Outcome, Refusal, Registers, Surroundings, low};
use crate::ffa::mailbox::{Buffer, Buffers, MailboxError};
use crate::id::VmId;
use crate::machine::Machine;
use leasehold_abi::ffa;
use leasehold_memory_map::{Address, Ipa, PAGE_SIZE};

/// The oldest version whose descriptors are understood here.
const VERSION_1_1: u32 = 0x1_0001;
/// `FFA_FEATURES` of `FFA_RXTX_MAP`: bits 1:0 = 0b00, buffers of 4 KiB at least, bits 31:16 = 1, and one page at most.
const BUFFER_SIZES: u32 = 1 << 16;

impl<const LEASES: usize, const VMS: usize> Ffa<LEASES, VMS> {
    /// `FFA_VERSION`: 1.2 for a caller of 1.1 or later, whose own version is noted; it goes by the lower of the two.
    /// There is nothing in common with another major version, and with 1.0, whose descriptors are laid out differently.
    pub(super) fn version(&mut self, caller: VmId, theirs: u32) -> i32 {
        // Bit 31 is zero, bits 30:16 are the major version (section 13.2.1).
        let compatible = theirs >> 16 == ffa::VERSION_1_2 >> 16 && theirs >= VERSION_1_1;
        if !compatible {
            return ffa::NOT_SUPPORTED;
        }
        if let Some(endpoint) = self.endpoint(caller) {
            endpoint.version = theirs.min(ffa::VERSION_1_2);
        }
        ffa::VERSION_1_2 as i32
    }

    /// `FFA_RXTX_MAP`.
    pub(super) fn rxtx_map<M: Machine, S: Surroundings>(
        &mut self,
        call: &mut Call<'_, M, S, LEASES, VMS>,
        tx: u64,
        rx: u64,
        pages: u64,
    ) -> Result<Outcome, Refusal> {
        let mailbox = self.mailbox(call.caller)?;
        if mailbox.buffers().is_ok() {
            return Err(MailboxError::Mapped.into());
        }
        if pages != 1 {
            return Err(Refusal::BufferPages(pages));
        }
        let (tx, rx) = (page_address(tx)?, page_address(rx)?);
        if tx == rx {
            return Err(Refusal::BadBuffer(rx.get()));
        }
        let tx = call.pin(tx)?;
        let rx = match call.pin(rx) {
            Ok(rx) => rx,
            Err(refusal) => {
                call.unpin(tx);
                return Err(refusal);
            }
        };
        mailbox.map(Buffers { tx, rx })?;
        Ok(Outcome::Success(0, 0))
    }

    /// `FFA_RXTX_UNMAP`. `w1` names another VM only where a hypervisor calls for it.
    pub(super) fn rxtx_unmap<M: Machine, S: Surroundings>(
        &mut self,
        call: &mut Call<'_, M, S, LEASES, VMS>,
        x: &Registers,
    ) -> Result<Outcome, Refusal> {
        zero(low(x[1]))?;
        let buffers = self.mailbox(call.caller)?.unmap()?;
        call.unpin(buffers.tx);
        call.unpin(buffers.rx);
        Ok(Outcome::Success(0, 0))
    }

    /// `FFA_RX_RELEASE`. `w1` names another VM only where a hypervisor calls for it.
    pub(super) fn rx_release(&mut self, caller: VmId, x: &Registers) -> Result<Outcome, Refusal> {
        zero(low(x[1]))?;
        self.mailbox(caller)?.release()?;
        Ok(Outcome::Success(0, 0))
    }
}

impl<M: Machine, S: Surroundings, const LEASES: usize, const VMS: usize> Call<'_, M, S, LEASES, VMS> {
    fn pin(&mut self, ipa: Ipa) -> Result<Buffer, Refusal> {
        let page = self.ownership.pin(self.machine, self.caller, ipa);
        page.map(|page| Buffer { ipa, page }).map_err(Refusal::Buffer)
    }

    fn unpin(&mut self, buffer: Buffer) {
        // It was pinned for this mailbox; a VM that is being destroyed has lost all its pins.
        let _ = self.ownership.unpin(self.caller, buffer.ipa);
    }
}

/// `FFA_FEATURES` (DEN0077A section 13.3, Tables 13.12 to 13.16).
pub(super) fn features(asked: u32) -> Result<Outcome, Refusal> {
    match asked {
        ffa::RXTX_MAP_32 | ffa::RXTX_MAP_64 => Ok(Outcome::Success(BUFFER_SIZES, 0)),
        // w2: no buffers but TX, no NS bit. w3, retrieve: bits 7:0 = 0, a lease is retrieved 2^(0 + 1) - 1 times.
        ffa::VERSION
        | ffa::FEATURES
        | ffa::ID_GET
        | ffa::RX_RELEASE
        | ffa::RXTX_UNMAP
        | ffa::MEM_LEND_32
        | ffa::MEM_LEND_64
        | ffa::MEM_RETRIEVE_REQ_32
        | ffa::MEM_RETRIEVE_REQ_64
        | ffa::MEM_RELINQUISH
        | ffa::MEM_RECLAIM
        | ffa::ERROR
        | ffa::SUCCESS_32
        | ffa::MEM_RETRIEVE_RESP => Ok(Outcome::Success(0, 0)),
        _ => Err(Refusal::NotOffered(asked)),
    }
}

pub(super) fn zero(register: u64) -> Result<(), Refusal> {
    if register == 0 {
        Ok(())
    } else {
        Err(Refusal::Reserved(register))
    }
}

fn page_address(raw: u64) -> Result<Ipa, Refusal> {
    let page = Ipa::checked(raw).filter(|address| address.is_aligned(PAGE_SIZE));
    page.ok_or(Refusal::BadBuffer(raw))
}
