//! The host's accesses that stage 2 refuses, and its devices'.

use super::{EVENT_BOUND, Hypervisor, Locked};
use crate::arch::aarch64::{self as arch, AbortFrame, PerCpu, Return, TrapFrame};
use crate::board::Board;
use crate::fault::{
    Access, Circumstances, Class, Delivery, EntryRules, Mechanism, Mode, OriginState, Record, Special, Toucher,
};
use crate::trap::{AbortIss, Esr, Hpfar};
use crate::{PageState, VmId};
use leasehold_hal::{AttachedIommu, InterruptController, IommuEvent, IommuEventKind};
use leasehold_memory_map::{Address, Ipa};

impl<B: Board> Hypervisor<B> {
    /// An abort of the host's, which most often is an access to memory that is lent: `true` when it was one and is
    /// answered, `false` when nothing was done.
    #[inline(always)]
    pub fn host_abort(&self, frame: &mut AbortFrame) -> bool {
        if !Esr::new(frame.back().esr).is_unmapped_from_below() {
            return false;
        }
        let Some(access) = abort(frame.back()) else {
            return false;
        };
        let Some(page) = access.page else { return false };
        let state = self.state.lock();
        let Some(borrower) = state.ownership.borrower_at(&self.machine(), page) else {
            return false;
        };
        self.refuse::<false>(state, frame, &access, borrower)
    }

    /// An abort of which it was not clear, a moment ago, that it was of lent memory.
    #[cold]
    pub(super) fn other_abort(&self, frame: &mut TrapFrame) {
        let put_off = PerCpu::this().take_put_off();
        let Some(mut access) = abort(&frame.back) else {
            return;
        };
        if access.page.is_none() {
            // A permission fault: where stage 1 leads now. If it leads nowhere any more, the host retries and sees that.
            access.page = arch::walk_stage1(access.far, access.mode.is_el0()).map(Address::page);
        }
        let Some(page) = access.page else { return };
        if self.trapped_access(frame, &access, page) {
            return;
        }
        let state = self.state.lock();
        let is = state.ownership.host_page_state(&self.machine(), page);
        match is {
            // It has come back, or was split or joined, since the access: that is made again.
            PageState::Owned | PageState::Away => {}
            PageState::Lent { borrower, .. } | PageState::InTransit { borrower, .. } => {
                let frame = frame.as_abort();
                match put_off {
                    Some(record) => self.special::<true>(state, frame, Some(page), borrower, (Special::Decoy, record)),
                    None => self.refuse::<true>(state, frame, &access, borrower),
                };
            }
            PageState::Device | PageState::Unmapped | PageState::Hypervisor => {
                drop(state);
                self.nothing_there(frame, &access, is);
            }
        }
    }

    /// The policy's answer for lent memory. `WHOLE` says that all registers are in `frame`; without them some answers have
    /// to be put off, and then it is `false`.
    #[inline(always)]
    fn refuse<const WHOLE: bool>(
        &self,
        mut state: Locked<'_>,
        frame: &mut AbortFrame,
        access: &Access,
        borrower: VmId,
    ) -> bool {
        let at = circumstances(borrower);
        let back = frame.back();
        let first = state
            .faults
            .first(access, back.elr, &at, arch::task, |rules| self.origin_by(rules, back));
        match first {
            Some(delivery) => self.answer::<WHOLE>(state, frame, (access, &at), delivery),
            None => self.refuse_again::<WHOLE>(state, frame, access.page, borrower, access.far, access.class),
        }
    }

    /// The same for an access that may have come back. Apart, so that a first one has no registers to keep for it; what is
    /// known of the access comes in registers, where an [`Access`] would come by way of the stack.
    #[cold]
    #[inline(never)]
    fn refuse_again<const WHOLE: bool>(
        &self,
        mut state: Locked<'_>,
        frame: &mut AbortFrame,
        page: Option<Ipa>,
        borrower: VmId,
        far: u64,
        class: Class,
    ) -> bool {
        let at = circumstances(borrower);
        let back = frame.back();
        let esr = Esr::new(back.esr);
        let access = &Access {
            class,
            mode: Mode::of(back.spsr),
            fetch: esr.abort_from_below().is_some_and(|(_, fetch)| fetch),
            esr,
            far,
            page,
        };
        let seen = (arch::task(), arch::trace());
        let delivery = state
            .faults
            .again(access, back.elr, &at, seen, |rules| self.origin_by(rules, back));
        self.answer::<WHOLE>(state, frame, (access, &at), delivery)
    }

    #[inline(always)]
    fn answer<const WHOLE: bool>(
        &self,
        state: Locked<'_>,
        frame: &mut AbortFrame,
        (access, at): (&Access, &Circumstances),
        delivery: Delivery,
    ) -> bool {
        match delivery {
            Delivery::Exception(exception) => arch::deliver(frame.back(), &exception),
            Delivery::Special(special) => {
                let (record, borrower) = (state.faults.serial(), at.borrower.unwrap_or(VmId::HOST));
                return self.special::<WHOLE>(state, frame, access.page, borrower, (special, record));
            }
        }
        if state.faults.is_due(access.class, at.now) {
            let record = state.faults.serial();
            self.tell(state, record, access.class, at.now);
        }
        true
    }

    /// An answer that is more than an exception. What cannot be done passes on to the chain's next link, at most to the
    /// External abort behind the last one.
    #[cold]
    #[inline(never)]
    fn special<'a, const WHOLE: bool>(
        &'a self,
        mut state: Locked<'a>,
        frame: &mut AbortFrame,
        page: Option<Ipa>,
        borrower: VmId,
        (first, record): (Special, u64),
    ) -> bool {
        let Some(access) = abort(frame.back()) else { return true };
        let access = Access { page, ..access };
        let now = arch::counter();
        let (origin, task) = (self.origin(frame.back()), arch::task());
        let mut delivery = Delivery::Special(first);
        loop {
            let done = match delivery {
                Delivery::Exception(exception) => {
                    arch::deliver(frame.back(), &exception);
                    true
                }
                Delivery::Special(Special::Halt) => self.halt(state, frame, (record, access.class), borrower),
                Delivery::Special(Special::Event) => self.event(&mut state, frame, record),
                Delivery::Special(Special::Decoy) if !WHOLE => {
                    PerCpu::this().put_off(record);
                    return false;
                }
                Delivery::Special(Special::Decoy) => {
                    let done;
                    (state, done) = self.decoy(state, frame.whole(), &access);
                    done
                }
                Delivery::Special(Special::ForceReclaim) => self.force_reclaim(&mut state, &access),
                Delivery::Special(Special::PassOn) => false,
            };
            if done {
                if matches!(delivery, Delivery::Special(Special::Decoy | Special::ForceReclaim)) {
                    state.faults.served(&access, origin.elr, task);
                }
                break;
            }
            let cpu = PerCpu::this().index() as u8;
            delivery = state.faults.pass_on(record, &access, cpu, &origin, task);
        }
        if state.faults.is_due(access.class, now) {
            self.tell(state, record, access.class, now);
        }
        true
    }

    /// What the log says of it, on its way.
    #[cold]
    fn tell(&self, mut state: Locked<'_>, record: u64, class: Class, now: u64) {
        state.faults.tell(record, class, now);
        drop(state);
        self.drain_if_pending();
    }

    /// The state that the trap which this CPU is in was taken from.
    pub(super) fn origin(&self, back: &Return) -> OriginState {
        self.origin_by(&self.facts().rules, back)
    }

    #[inline(always)]
    fn origin_by(&self, rules: &EntryRules, back: &Return) -> OriginState {
        let extras = rules.has_extras().then(|| arch::extras(&self.facts().features));
        arch::origin(back, extras)
    }

    /// The policy's last word on boards in bring-up: this CPU goes no further.
    #[cold]
    fn halt(&self, mut state: Locked<'_>, frame: &mut AbortFrame, (record, class): (u64, Class), borrower: VmId) -> ! {
        state.faults.tell(record, class, arch::counter());
        drop(state);
        let (back, link) = (*frame.back(), frame.link());
        let access = abort(&back);
        crate::log::error!(
            "EL2 stopped: CPU {=usize} halted by the fault policy: class {=str} ESR_EL2={=u64:#x} FAR={=u64:#x} page={} PC={=u64:#x} SPSR={=u64:#x} x30={=u64:#x} borrower={}",
            PerCpu::this().index(),
            class.name(),
            back.esr,
            access.map_or(0, |access| access.far),
            access.and_then(|access| access.page),
            back.elr,
            back.spsr,
            link,
            borrower,
        );
        self.last_words()
    }

    /// No memory, or none that a VM may know of: what a bus without anything at that address would answer.
    #[cold]
    fn nothing_there(&self, frame: &mut TrapFrame, access: &Access, state: PageState) {
        // A host whose vectors are nowhere comes here again and again.
        let unsaid = self.state.lock().faults.nothing(arch::counter());
        if let Some(unsaid) = unsaid {
            crate::log::warn!(
                "host: {=str} access at VA {=u64:#x}, IPA {}, PC {=u64:#x}: {} ({=u64} like it not shown)",
                access.class.name(),
                access.far,
                access.page,
                frame.back.elr,
                state,
                unsaid,
            );
        }
        let (rules, origin) = (&self.facts().rules, self.origin(&frame.back));
        if let Delivery::Exception(exception) = Mechanism::EXTERNAL_ABORT.deliver(access, rules, || origin) {
            arch::deliver(&mut frame.back, &exception);
        }
    }

    /// Answers accesses to registers that EL2 keeps a hand on. `false` when `page` has none.
    fn trapped_access(&self, frame: &mut TrapFrame, access: &Access, page: Ipa) -> bool {
        let interrupts = &self.facts().interrupts;
        let frames = interrupts.trapped_frames();
        let Some(number) = frames.iter().position(|range| range.contains(page.host_phys())) else {
            return false;
        };
        let Some(transfer) = Transfer::decode(access) else {
            return false;
        };
        let start = frames[number].start().get();
        let offset = page.get() - start + (access.far & 0xfff);
        if transfer.is_store {
            let value = transfer.outgoing(&frame.x);
            if !interrupts.write_trapped(number, offset, transfer.size, value) {
                self.register_refused(value, offset, number);
            }
        } else {
            transfer.incoming(&mut frame.x, interrupts.read_trapped(number, offset, transfer.size));
        }
        frame.back.skip();
        true
    }

    /// A host may write it in a loop.
    #[cold]
    fn register_refused(&self, value: u64, offset: u64, number: usize) {
        let unsaid = self.state.lock().faults.register(arch::counter());
        if let Some(unsaid) = unsaid {
            crate::log::warn!(
                "host: refused write of {=u64:#x} at offset {=u64:#x} of interrupt frame {=usize} ({=u64} like it not shown)",
                value,
                offset,
                number,
                unsaid,
            );
        }
    }

    /// Looks at what the IOMMU has refused, with a bound.
    pub(super) fn look_at_events(&self) {
        self.look_at_memory();
        for _ in 0..EVENT_BOUND {
            let event = self.unit.iommu.lock().as_mut().and_then(AttachedIommu::next_event);
            match event {
                Some(event) => self.device_refused(event),
                None => break,
            }
        }
    }

    fn device_refused(&self, event: IommuEvent) {
        let ipa = event.address.and_then(Ipa::checked);
        let borrower =
            ipa.and_then(
                |ipa| match self.state.lock().ownership.host_page_state(&self.machine(), ipa.page()) {
                    PageState::Lent { borrower, .. } | PageState::InTransit { borrower, .. } => Some(borrower),
                    _ => None,
                },
            );
        if event.kind == IommuEventKind::Lost {
            crate::log::warn!("iommu: events lost");
        }
        crate::log::trace!("iommu: {}", event);
        self.state.lock().faults.device(Record {
            toucher: Toucher::Device {
                stream: event.stream.unwrap_or(u32::MAX),
            },
            at: arch::counter(),
            page: ipa.map(Address::page),
            va: event.address.unwrap_or(0),
            pc: 0,
            esr: 0,
            borrower,
        });
    }
}

/// Now, on this CPU.
#[inline(always)]
fn circumstances(borrower: VmId) -> Circumstances {
    Circumstances {
        cpu: PerCpu::this().index() as u8,
        now: arch::counter(),
        borrower: Some(borrower),
    }
}

/// The access that the trap which this CPU is in was for.
#[inline(always)]
fn abort(back: &Return) -> Option<Access> {
    let registers = arch::abort_registers();
    Access::decode(
        Esr::new(back.esr),
        registers.far,
        Hpfar::new(registers.hpfar),
        back.spsr,
    )
}

/// A load or store by one register, as a valid syndrome describes it (Arm ARM, ESR_EL2, ISS for a data abort).
pub(super) struct Transfer {
    /// Bytes: 1, 2, 4 or 8.
    pub size: u8,
    /// Whether it writes memory.
    pub is_store: bool,
    register: usize,
    sign_extend: bool,
    wide: bool,
}

impl Transfer {
    /// `None` where the syndrome does not describe the instruction.
    pub fn decode(access: &Access) -> Option<Self> {
        let iss: AbortIss = access.iss();
        (iss.isv() && !access.fetch && !iss.s1ptw() && !iss.cm()).then(|| Self {
            size: iss.sas(),
            is_store: iss.wnr(),
            register: usize::from(iss.srt()),
            sign_extend: iss.sse(),
            wide: iss.sf(),
        })
    }

    fn mask(&self) -> u64 {
        u64::MAX >> (64 - 8 * u32::from(self.size))
    }

    /// What a store writes. Register 31 is zero.
    pub fn outgoing(&self, registers: &[u64; 31]) -> u64 {
        registers.get(self.register).copied().unwrap_or(0) & self.mask()
    }

    /// What a load leaves in its register.
    pub fn incoming(&self, registers: &mut [u64; 31], value: u64) {
        let mut value = value & self.mask();
        let unused = 64 - 8 * u32::from(self.size);
        if self.sign_extend {
            value = ((value << unused) as i64 >> unused) as u64;
        }
        if !self.wide {
            value &= 0xffff_ffff;
        }
        if let Some(register) = registers.get_mut(self.register) {
            *register = value;
        }
    }
}
