//! Calls of our own by the host: guests, their memory and their runs; fault records.

use super::host::write_uid;
use super::{Hypervisor, MAX_LEASES, State, guest};
use crate::arch::aarch64::{PerCpu, TrapFrame};
use crate::board::Board;
use crate::boot::Containment;
use crate::fault::{Class, Mechanism};
use crate::machine::Machine;
use crate::sdei::Event;
use crate::vm::{MAX_GUESTS, Phase, VmError};
use crate::{Handle, LeaseState, OwnershipError, RANGES_PER_LEASE, Step, VmId};
use leasehold_abi::{smccc, vendor};
use leasehold_hal::AssignError;
use leasehold_memory_map::{Address, GuestConfig, GuestTree, Ipa, IpaRange, PAGE_SIZE};

/// What a call comes to: values for x1 and further, or a status.
pub(super) type Outcome<const N: usize> = Result<[u64; N], i32>;

/// Bytes of the guest's device tree in its memory.
const TREE_BYTES: u64 = super::GUEST_TREE as u64;

impl<B: Board> Hypervisor<B> {
    #[inline(never)]
    pub(super) fn host_vendor(&self, frame: &mut TrapFrame, function: u32) {
        let [_, x1, x2, x3, x4, ..] = frame.x;
        match function {
            smccc::VENDOR_HYP_CALL_UID => {
                write_uid(&mut frame.x);
            }
            smccc::VENDOR_HYP_REVISION => {
                frame.x[0] = u64::from(vendor::REVISION_MAJOR);
                frame.x[1] = u64::from(vendor::REVISION_MINOR);
            }
            vendor::FEATURES => answer(frame, Ok(self.features())),
            vendor::VM_CREATE => answer(frame, self.vm_create(x1)),
            vendor::VM_MAP => answer(frame, self.vm_map(x1, x2, x3)),
            vendor::VM_LOAD => answer(frame, self.vm_load(x1, x2, x3, x4)),
            vendor::VM_START => answer(frame, self.vm_start(x1, x2, x3)),
            vendor::VM_RUN => answer(frame, self.vm_run(x1, x2)),
            vendor::VM_DESTROY => answer(frame, self.vm_destroy(x1)),
            vendor::CONSOLE_READ => self.console_read(frame),
            vendor::LEND_UNMAPPED => answer(frame, self.lend_unmapped(x1, x2)),
            vendor::FAULT_READ => answer(frame, self.fault_read()),
            vendor::FAULT_EVENT => answer(frame, self.fault_event()),
            vendor::FAULT_CURRENT => answer(frame, self.fault_current()),
            vendor::FAULT_COUNTS => answer(frame, self.fault_counts(x1)),
            _ => self.host_unknown(frame, function),
        }
    }

    fn features(&self) -> [u64; 4] {
        let mut bits = 0;
        if self.unit.iommu.lock().is_some() {
            bits |= vendor::FEATURE_DMA_PROTECTED;
        }
        if self.state.lock().containment != Containment::Whole {
            bits |= vendor::FEATURE_UNCONTAINED_MASTERS;
        }
        [bits, MAX_GUESTS as u64, MAX_LEASES as u64, RANGES_PER_LEASE as u64]
    }

    fn vm_create(&self, flags: u64) -> Outcome<1> {
        if flags != 0 {
            return Err(vendor::INVALID_PARAMETERS);
        }
        let mut state = self.state.lock();
        let State { ownership, vms, .. } = &mut *state;
        let id = vms.create().map_err(refused("create"))?;
        if let Err(error) = ownership.create_vm(&self.machine(), id) {
            let _ = vms.begin_destroy(id);
            vms.finish_destroy(id);
            return Err(refused_memory("create")(error));
        }
        crate::log::info!("vm {}: created", id);
        Ok([u64::from(id.endpoint())])
    }

    fn vm_map(&self, vm: u64, handle: u64, ipa: u64) -> Outcome<0> {
        let handle = Handle::from_raw(handle);
        let at = Ipa::checked(ipa).ok_or(vendor::INVALID_PARAMETERS)?;
        let mut state = self.state.lock();
        let State { ownership, vms, .. } = &mut *state;
        let id = vms.find(vm).map_err(refused("map"))?;
        let guest = vms.in_phase(id, Phase::Created).map_err(refused("map"))?;
        let pages = ownership.lease(handle).map_err(refused_memory("map"))?.pages;
        let range = IpaRange::new(at, u64::from(pages) * PAGE_SIZE).map_err(|_| vendor::INVALID_PARAMETERS)?;
        if guest.memory.is_full() {
            return Err(refused("map")(VmError::TooManyRanges));
        }
        match ownership
            .retrieve(&self.machine(), id, handle, at)
            .map_err(refused_memory("map"))?
        {
            Step::Again => Err(vendor::AGAIN),
            Step::Done => {
                guest.add_memory(range).map_err(refused("map"))?;
                crate::log::debug!("vm {}: {=u32} pages at {}", id, pages, at);
                Ok([])
            }
        }
    }

    fn vm_load(&self, vm: u64, to: u64, from: u64, len: u64) -> Outcome<0> {
        let to = Ipa::checked(to).ok_or(vendor::INVALID_PARAMETERS)?;
        let from = Ipa::checked(from).ok_or(vendor::INVALID_PARAMETERS)?;
        let mut state = self.state.lock();
        let State { ownership, vms, .. } = &mut *state;
        let id = vms.find(vm).map_err(refused("load"))?;
        let guest = vms.in_phase(id, Phase::Created).map_err(refused("load"))?;
        let machine = self.machine();
        ownership
            .load(&machine, id, to, from, len)
            .map_err(refused_memory("load"))?;
        // What is in the guest's memory now counts, not what the host may have written meanwhile.
        let copied = ownership.translate(&machine, id, to).map_err(refused_memory("load"))?;
        guest.digest.add(to, len, |offset, into| {
            if let Some(at) = copied.checked_add(offset) {
                machine.cpu.read_page(at, into);
            }
        });
        Ok([])
    }

    fn vm_start(&self, vm: u64, entry: u64, tree_at: u64) -> Outcome<0> {
        let entry = Ipa::checked(entry)
            .filter(|at| at.is_aligned(4))
            .ok_or(vendor::INVALID_PARAMETERS)?;
        let tree_at = Ipa::checked(tree_at)
            .filter(|at| at.is_aligned(8))
            .ok_or(vendor::INVALID_PARAMETERS)?;
        let mut state = self.state.lock();
        let State {
            ownership, vms, tree, ..
        } = &mut *state;
        let id = vms.find(vm).map_err(refused("start"))?;
        let guest = vms.in_phase(id, Phase::Created).map_err(refused("start"))?;
        if !guest.has_memory(entry, 4) || !guest.has_memory(tree_at, TREE_BYTES) {
            return Err(vendor::INVALID_PARAMETERS);
        }
        let len = write_tree(ownership, id, &guest.memory, tree).ok_or(vendor::NO_MEMORY)?;
        let machine = self.machine();
        let mut written = 0;
        while written < len {
            let at = tree_at.checked_add(written as u64).ok_or(vendor::INVALID_PARAMETERS)?;
            let page = ownership.translate(&machine, id, at).map_err(refused_memory("start"))?;
            let count = (len - written).min((PAGE_SIZE - at.page_offset()) as usize);
            machine.cpu.write_page(page, &tree[written..written + count]);
            written += count;
        }
        machine.cpu.settle();
        let digest = guest.digest.finish();
        // The lock of the guest's registers is free: nobody runs a guest that was never started.
        let context = id
            .slot()
            .and_then(|slot| self.contexts.get(slot))
            .and_then(|context| context.try_lock());
        context.ok_or(vendor::BUSY)?.reset(entry.get(), tree_at.get());
        vms.start(id).map_err(refused("start"))?;
        crate::log::info!("vm {}: starts at {}, loaded SHA-256 {=[u8; 32]:02x}", id, entry, digest);
        Ok([])
    }

    fn vm_run(&self, vm: u64, vcpu: u64) -> Outcome<4> {
        if vcpu != 0 {
            return Err(vendor::INVALID_PARAMETERS);
        }
        let id = self.state.lock().vms.find(vm).map_err(refused("run"))?;
        let end = self.run_guest(id).map_err(refused("run"))?;
        if end.is_final() {
            let mut state = self.state.lock();
            if let Ok(vm) = state.vms.get_mut(id) {
                guest::say_rest(id, &mut vm.uart);
            }
            crate::log::info!(
                "vm {}: ended, reason {=u64}, {=[?]:#x}",
                id,
                end.reason,
                end.details.as_slice()
            );
        }
        let [first, second, third] = end.details;
        Ok([end.reason, first, second, third])
    }

    fn vm_destroy(&self, vm: u64) -> Outcome<0> {
        self.look_at_events();
        let mut state = self.state.lock();
        let State {
            ownership, vms, ffa, ..
        } = &mut *state;
        let id = vms.find(vm).map_err(refused("destroy"))?;
        vms.begin_destroy(id).map_err(refused("destroy"))?;
        match ownership
            .destroy_vm(&self.machine(), id)
            .map_err(refused_memory("destroy"))?
        {
            Step::Again => Err(vendor::AGAIN),
            Step::Done => {
                ffa.forget(id);
                vms.finish_destroy(id);
                crate::log::info!("vm {}: destroyed", id);
                Ok([])
            }
        }
    }

    fn console_read(&self, frame: &mut TrapFrame) {
        let mut bytes = [0; 112];
        let taken = {
            let mut state = self.state.lock();
            let found = state.vms.find(frame.x[1]);
            found.and_then(|id| state.vms.get_mut(id).map(|vm| vm.console.take(&mut bytes)))
        };
        match taken {
            Err(error) => answer(frame, Err::<[u64; 0], _>(refused("console")(error))),
            Ok(count) => {
                answer(frame, Ok([count as u64]));
                for (register, word) in frame.x[2..16].iter_mut().zip(bytes.as_chunks().0) {
                    *register = u64::from_le_bytes(*word);
                }
            }
        }
    }

    fn fault_read(&self) -> Outcome<10> {
        self.look_at_events();
        let (lost, record) = self.state.lock().faults.read().ok_or(vendor::NO_DATA)?;
        let mut values = [0; 10];
        values[0] = lost;
        values[1..].copy_from_slice(&record.to_registers());
        Ok(values)
    }

    fn fault_counts(&self, class: u64) -> Outcome<{ Mechanism::KINDS }> {
        let class = Class::ALL.into_iter().find(|known| known.abi() == class);
        let class = class.ok_or(vendor::INVALID_PARAMETERS)?;
        Ok(*self.state.lock().faults.counts(class))
    }

    fn fault_event(&self) -> Outcome<1> {
        if self.state.lock().faults.uses(Mechanism::Sdei) {
            Ok([u64::from(Event::Fault.number())])
        } else {
            Err(vendor::NOT_SUPPORTED)
        }
    }

    fn fault_current(&self) -> Outcome<9> {
        let cause = self.state.lock().sdei.cause(PerCpu::this().index());
        cause.map(|record| record.to_registers()).ok_or(vendor::DENIED)
    }
}

fn answer<const N: usize>(frame: &mut TrapFrame, outcome: Outcome<N>) {
    match outcome {
        Ok(values) => {
            frame.x[0] = vendor::SUCCESS as u64;
            frame.x[1..=N].copy_from_slice(&values);
        }
        Err(status) => frame.x[0] = i64::from(status) as u64,
    }
}

/// The status for a refusal, which is logged.
fn refused(what: &'static str) -> impl Fn(VmError) -> i32 {
    move |error| {
        crate::log::warn!("host: {=str} refused: {}", what, error);
        match error {
            VmError::NoSuchVm(_) => vendor::INVALID_PARAMETERS,
            VmError::TooMany | VmError::TooManyRanges => vendor::NO_MEMORY,
            VmError::Phase(_) => vendor::DENIED,
            VmError::Running => vendor::BUSY,
        }
    }
}

/// The status for a refusal of memory, which is logged.
fn refused_memory(what: &'static str) -> impl Fn(OwnershipError) -> i32 {
    move |error| {
        crate::log::warn!("host: {=str} refused: {}", what, error);
        use OwnershipError as E;
        match error {
            E::NoMemory | E::TooManyLeases(_) | E::TooManyPins(_) => vendor::NO_MEMORY,
            E::TimedOut(_) | E::Controller(AssignError::Late) => vendor::TIMED_OUT,
            E::NotOwner(_)
            | E::Hypervisor(_)
            | E::Device(_)
            | E::Pinned(_)
            | E::Denied(_)
            | E::NotParty(_)
            | E::WrongState(_)
            | E::Controller(_) => vendor::DENIED,
            E::InvalidRange { .. }
            | E::NoRanges
            | E::TooManyRanges(_)
            | E::TooManyPages(_)
            | E::Overlap(_)
            | E::Occupied(_)
            | E::NoSuchVm(_)
            | E::VmExists(_)
            | E::NoSuchLease(_)
            | E::BadLayout { .. } => vendor::INVALID_PARAMETERS,
        }
    }
}

/// Makes the guest's tree in `into`, and gives its length.
fn write_tree(
    ownership: &crate::Ownership<MAX_LEASES, MAX_GUESTS>,
    id: VmId,
    memory: &[IpaRange],
    into: &mut [u8],
) -> Option<usize> {
    let mut leases = heapless::Vec::<u64, 16>::new();
    for (handle, info) in ownership.leases_of(id) {
        if info.state == LeaseState::Lent {
            leases.push(handle.raw()).ok()?;
        }
    }
    GuestTree::write(
        &GuestConfig {
            memory,
            leases: &leases,
            bootargs: "",
            gic: None,
        },
        into,
    )
    .ok()
}
