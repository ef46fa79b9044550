//! Lend, retrieve, relinquish, reclaim.

use super::alias::Unmapped;
use super::setup::zero;
use super::{Call, Ffa, Outcome, Refusal, Registers, Surroundings, Terms, low};
use crate::ffa::mailbox::Buffer;
use crate::ffa::{DataAccess, Lend, Relinquish, RetrieveRequest, RetrieveResponse, Sink, Source};
use crate::id::{Handle, VmId};
use crate::machine::Machine;
use crate::ownership::{LeaseInfo, LeaseState, Step};
use leasehold_abi::ffa;
use leasehold_memory_map::{Address, Ipa, PAGE_SIZE, PageRange, PhysAddr};

/// Flags of `FFA_MEM_RECLAIM` (DEN0140, bits 1:0): zero the memory, the call may be cut short. EL2 does both anyway.
const RECLAIM_FLAGS: u64 = 0b11;

/// A buffer of a VM's.
struct Page<'a, S> {
    surroundings: &'a S,
    page: PhysAddr,
}

impl<S: Surroundings> Source for Page<'_, S> {
    #[inline(always)]
    fn size(&self) -> usize {
        PAGE_SIZE as usize
    }

    #[inline(always)]
    fn doubleword(&self, offset: usize) -> u64 {
        self.surroundings.load(self.page, offset % PAGE_SIZE as usize)
    }
}

impl<S: Surroundings> Sink for Page<'_, S> {
    fn put(&mut self, offset: usize, value: u64) {
        if inside(offset) {
            self.surroundings.store(self.page, offset, value);
        }
    }
}

const fn inside(offset: usize) -> bool {
    offset <= PAGE_SIZE as usize - 8
}

impl<const LEASES: usize, const VMS: usize> Ffa<LEASES, VMS> {
    /// `FFA_MEM_LEND`.
    pub(super) fn lend<M: Machine, S: Surroundings>(
        &mut self,
        call: &mut Call<'_, M, S, LEASES, VMS>,
        x: &Registers,
        address: u64,
    ) -> Result<Outcome, Refusal> {
        if !call.surroundings.lending_allowed() {
            return Err(Refusal::Uncontained);
        }
        let length = descriptor_length(x, address)?;
        let tx = call.page(self.mailbox(call.caller)?.buffers()?.tx);
        let lend = Lend::decode(&tx, length)?;
        if lend.sender != call.caller.endpoint() {
            return Err(Refusal::NotSender(lend.sender));
        }
        if lend.access != DataAccess::ReadWrite {
            return Err(Refusal::LessAccess);
        }
        let borrower = VmId::from_endpoint(lend.receiver).filter(|borrower| *borrower != call.caller);
        let borrower = borrower.ok_or(Refusal::NoSuchEndpoint(lend.receiver))?;
        let mut ranges = Unmapped::new(lend.constituents, call.surroundings);
        let lent = call.ownership.lend(call.machine, call.caller, borrower, &mut ranges);
        let handle = match lent {
            Ok(handle) => handle,
            // A range that is not encoded as it must be, or is mapped, shows as one that nobody owns.
            Err(error) => {
                let malformed = ranges.inner().error().map(Refusal::from);
                return Err(malformed.or(ranges.refusal()).unwrap_or(error.into()));
            }
        };
        if let Some(terms) = self.terms.get_mut(usize::from(handle.index())) {
            *terms = Some(Terms {
                handle,
                tag: lend.tag,
                implementation_defined: lend.implementation_defined,
            });
        }
        Ok(Outcome::Success(handle.raw() as u32, (handle.raw() >> 32) as u32))
    }

    /// `FFA_MEM_RETRIEVE_REQ`.
    pub(super) fn retrieve<M: Machine, S: Surroundings>(
        &mut self,
        call: &mut Call<'_, M, S, LEASES, VMS>,
        x: &Registers,
        address: u64,
    ) -> Result<Outcome, Refusal> {
        let length = descriptor_length(x, address)?;
        let buffers = self.mailbox(call.caller)?.writable()?;
        let request = RetrieveRequest::decode(&call.page(buffers.tx), length)?;
        let lease = call.borrowed(&request)?;
        let terms = self.agreed(&request)?;
        let place = call.place(&request, &lease)?;
        let step = call
            .ownership
            .retrieve(call.machine, call.caller, request.handle, place.start())?;
        if step == Step::Again {
            return Ok(Outcome::Again);
        }
        let response = RetrieveResponse {
            sender: VmId::HOST,
            receiver: call.caller,
            handle: request.handle,
            tag: terms.tag,
            implementation_defined: terms.implementation_defined,
            place,
        };
        let version = self.endpoint(call.caller).map_or(ffa::VERSION_1_2, |e| e.version);
        let length = response.encode(&mut call.page(buffers.rx), version);
        self.mailbox(call.caller)?.fill()?;
        Ok(Outcome::Retrieved(length as u32))
    }

    /// `FFA_MEM_RELINQUISH`.
    pub(super) fn relinquish<M: Machine, S: Surroundings>(
        &mut self,
        call: &mut Call<'_, M, S, LEASES, VMS>,
    ) -> Result<Outcome, Refusal> {
        let tx = call.page(self.mailbox(call.caller)?.buffers()?.tx);
        let given = Relinquish::decode(&tx)?;
        if given.endpoint != call.caller.endpoint() {
            return Err(Refusal::NotReceiver(given.endpoint));
        }
        let step = call.ownership.relinquish(call.machine, call.caller, given.handle)?;
        Ok(finished(step))
    }

    /// What the lender said of the lease, which the borrower must name too.
    fn agreed(&self, request: &RetrieveRequest) -> Result<Terms, Refusal> {
        let terms = self.terms.get(usize::from(request.handle.index())).copied().flatten();
        terms
            .filter(|terms| {
                terms.handle == request.handle
                    && terms.tag == request.tag
                    && terms.implementation_defined == request.implementation_defined
            })
            .ok_or(Refusal::WrongTag(request.tag))
    }
}

impl<'a, M: Machine, S: Surroundings, const LEASES: usize, const VMS: usize> Call<'a, M, S, LEASES, VMS> {
    /// `FFA_MEM_RECLAIM`.
    pub(super) fn reclaim(&mut self, x: &Registers) -> Result<Outcome, Refusal> {
        zero(low(x[3]) & !RECLAIM_FLAGS)?;
        let handle = Handle::from_raw(low(x[1]) | low(x[2]) << 32);
        let step = self.ownership.reclaim(self.machine, self.caller, handle)?;
        Ok(finished(step))
    }

    fn page(&self, buffer: Buffer) -> Page<'a, S> {
        Page {
            surroundings: self.surroundings,
            page: buffer.page,
        }
    }

    /// The lease, if the caller is its borrower and asks for what it can have.
    fn borrowed(&self, request: &RetrieveRequest) -> Result<LeaseInfo, Refusal> {
        if request.receiver != self.caller.endpoint() {
            return Err(Refusal::NotReceiver(request.receiver));
        }
        let lease = self.ownership.lease(request.handle)?;
        if lease.borrower != self.caller {
            return Err(crate::OwnershipError::NotParty(self.caller).into());
        }
        if request.sender != VmId::HOST.endpoint() {
            return Err(Refusal::NotLender(request.sender));
        }
        if !matches!(request.attributes, 0 | ffa::ATTRIBUTES_NORMAL_WB_ISH) {
            return Err(Refusal::Attributes(request.attributes));
        }
        if request.data == Some(DataAccess::ReadOnly) || request.executable == Some(false) {
            return Err(Refusal::LessAccess);
        }
        Ok(lease)
    }

    /// Where the borrower gets the lease.
    fn place(&self, request: &RetrieveRequest, lease: &LeaseInfo) -> Result<PageRange<Ipa>, Refusal> {
        let pages = u64::from(lease.pages);
        match request.place {
            Some(place) if place.count() == pages => Ok(place),
            Some(place) => Err(Refusal::WrongPages(place.count())),
            None => {
                let place = self.next_place().and_then(|start| PageRange::new(start, pages).ok());
                place.ok_or(Refusal::NoPlace)
            }
        }
    }

    /// Behind the last lease that the caller has at a place of our choice.
    fn next_place(&self) -> Option<Ipa> {
        let ends = self
            .ownership
            .leases_of(self.caller)
            .filter_map(|(_, lease)| match lease.state {
                LeaseState::Retrieved(at) => at.checked_add(u64::from(lease.pages) * PAGE_SIZE),
                LeaseState::Lent | LeaseState::InTransit | LeaseState::Ended => None,
            });
        ends.chain(core::iter::once(self.surroundings.places())).max()
    }
}

const fn finished(step: Step) -> Outcome {
    match step {
        Step::Done => Outcome::Success(0, 0),
        Step::Again => Outcome::Again,
    }
}

/// The length of the descriptor in TX that `w1` to `w4` announce: all of it, and there.
fn descriptor_length(x: &Registers, address: u64) -> Result<usize, Refusal> {
    let (total, fragment) = (x[1] as u32, x[2] as u32);
    if address != 0 {
        return Err(Refusal::OwnBuffer(address));
    }
    zero(low(x[4]))?;
    if total != fragment {
        return Err(Refusal::Fragmented(total, fragment));
    }
    if u64::from(total) > PAGE_SIZE {
        return Err(Refusal::TooLong(total));
    }
    Ok(total as usize)
}
