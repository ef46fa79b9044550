//! The arguments of a call that are addresses: whether they lead to the host's own memory, which is held then.

use super::arguments::{Arguments, Reader};
use super::{CallMemory, Effect, Filter, MAX_SHARES, Refusal, by};
use crate::machine::Machine;
use crate::ownership::{Ownership, OwnershipError, PAGES_PER_LEASE};
use leasehold_hal::{SmcAction, SmcBuffer, SmcSize};
use leasehold_memory_map::{Address, Ipa, IpaRange, PAGE_SIZE, PageRange};

/// Where the copies of lists are in EL2's memory for a call, in doublewords: behind ten arguments, each at a multiple of 64 bytes
/// (Linux `qcom_scm.c`, qcom_scm_assign_mem).
const SOURCES: usize = 16;
const OWNERS: usize = SOURCES + MAX_SOURCES / 2;
const RANGES: usize = OWNERS + MAX_OWNERS * OWNER_WORDS;

/// The most old owners, new owners, and ranges of a call. TF-A takes 32 ranges (`qti_syscall.c`).
const MAX_SOURCES: usize = 16;
const MAX_OWNERS: usize = 8;
const MAX_RANGES: usize = 32;

/// Doublewords of a new owner: number and permissions, then a context and its size, which nobody uses.
const OWNER_WORDS: usize = 3;

const _: () = assert!(RANGES + 2 * MAX_RANGES <= super::CALL_WORDS, "the copies fit");

/// The host's number among owners (Linux `include/dt-bindings/firmware/qcom,scm.h`, QCOM_SCM_VMID_HLOS).
const HLOS: u32 = 3;

/// Read and write, in a new owner's first doubleword (Linux `include/linux/firmware/qcom/qcom_scm.h`, QCOM_SCM_PERM_RW).
const READ_WRITE: u64 = 0b110 << 32;

/// What of an argument that has an address and flags are the flags.
const FLAGS: u64 = PAGE_SIZE - 1;

impl Filter {
    /// Vets the arguments of a call for `slot`, and says what becomes of what it holds.
    pub(super) fn vet<const LEASES: usize, const VMS: usize>(
        &self,
        ownership: &mut Ownership<LEASES, VMS>,
        machine: &impl Machine,
        memory: &impl CallMemory,
        action: &SmcAction,
        arguments: &mut Arguments,
        slot: usize,
    ) -> Result<Effect, Refusal> {
        let processor = |arguments: &Arguments| {
            let id = arguments.get(0)?;
            u32::try_from(id).map_err(|_| Refusal::Argument(0))
        };
        let mut hold = |address: u64, len: u64| hold(ownership, machine, address, len, slot);
        match *action {
            SmcAction::Pass | SmcAction::IsAvailable => Ok(Effect::LetGo),
            SmcAction::Refuse(code) => Err(Refusal::Policy(code)),
            // Decided before.
            SmcAction::Resume => Err(Refusal::Unnamed),
            SmcAction::Buffers(buffers) => {
                for buffer in buffers {
                    let (address, len) = extent(arguments, buffer)?;
                    if (address, len) != (0, 0) {
                        hold(address, len)?;
                    }
                }
                Ok(Effect::LetGo)
            }
            SmcAction::Give(buffer) => {
                let (address, len) = extent(arguments, &buffer)?;
                let pages = hold(address, len)?;
                alone(ownership, pages, slot)?;
                Ok(Effect::SendAway)
            }
            SmcAction::Register(ranges) => {
                let register = arguments.get(0)?;
                let word = register.checked_add(4).filter(|_| register.is_multiple_of(4));
                let end = word.ok_or(Refusal::Register(register))?;
                let named = |range: &leasehold_memory_map::PhysRange| {
                    range.start().get() <= register && end <= range.end().get()
                };
                let named = ranges.iter().any(named);
                named.then_some(Effect::LetGo).ok_or(Refusal::Register(register))
            }
            SmcAction::AssignMemory => assign(ownership, machine, memory, arguments, slot),
            SmcAction::Share => {
                let [address, secure, size] = [arguments.get(0)?, arguments.get(1)?, arguments.get(2)?];
                if address & !FLAGS != secure & !FLAGS {
                    return Err(Refusal::Argument(1));
                }
                if self.shares.len() == MAX_SHARES {
                    return Err(Refusal::Full);
                }
                hold(address & !FLAGS, size & !FLAGS)?;
                Ok(Effect::Share)
            }
            SmcAction::Unshare => Ok(Effect::Unshare(arguments.get(0)?)),
            SmcAction::ProcessorImage(most) => {
                let id = processor(arguments)?;
                hold(arguments.get(1)?, most)?;
                Ok(Effect::Image(id))
            }
            SmcAction::ProcessorMemory => {
                let id = processor(arguments)?;
                hold(arguments.get(1)?, arguments.get(2)?)?;
                Ok(Effect::Processor(id))
            }
            SmcAction::ProcessorStart(named) => {
                let id = processor(arguments)?;
                let named = named.contains(&id);
                let fresh = !self.running.contains(&id);
                named
                    .then_some(Effect::Start { id, fresh })
                    .ok_or(Refusal::Processor(id))
            }
            SmcAction::ProcessorStop => Ok(Effect::Stop(processor(arguments)?)),
        }
    }
}

fn extent(arguments: &Arguments, buffer: &SmcBuffer) -> Result<(u64, u64), Refusal> {
    let len = match buffer.size {
        SmcSize::Argument(n) => arguments.get(n)?,
        SmcSize::AtMost(len) => len,
    };
    Ok((arguments.get(buffer.address)?, len))
}

/// Holds the host's own memory at `address` while the call in `slot` runs.
fn hold<const LEASES: usize, const VMS: usize>(
    ownership: &mut Ownership<LEASES, VMS>,
    machine: &impl Machine,
    address: u64,
    len: u64,
    slot: usize,
) -> Result<PageRange<Ipa>, Refusal> {
    let start = Ipa::checked(address).ok_or(Refusal::Address(address))?;
    let range = IpaRange::new(start, len).map_err(|_| Refusal::Address(address))?;
    Ok(ownership.hold(machine, range, by(slot))?)
}

/// What changes owners must not be in another call: which of the two comes first is for nobody to know.
fn alone<const LEASES: usize, const VMS: usize>(
    ownership: &Ownership<LEASES, VMS>,
    pages: PageRange<Ipa>,
    slot: usize,
) -> Result<(), Refusal> {
    if ownership.is_in_call(pages, by(slot)) {
        Err(Refusal::Full)
    } else {
        Ok(())
    }
}

/// How many elements of `size` bytes a list of `bytes` has.
fn elements(bytes: u64, size: u64, most: usize, argument: u8) -> Result<usize, Refusal> {
    let count = bytes / size;
    if bytes == 0 || !bytes.is_multiple_of(size) || count > most as u64 {
        return Err(Refusal::Argument(argument));
    }
    Ok(count as usize)
}

/// Memory changes owners: all lists are copied, and firmware gets the copies.
fn assign<const LEASES: usize, const VMS: usize>(
    ownership: &mut Ownership<LEASES, VMS>,
    machine: &impl Machine,
    memory: &impl CallMemory,
    arguments: &mut Arguments,
    slot: usize,
) -> Result<Effect, Refusal> {
    let ranges = elements(arguments.get(1)?, 16, MAX_RANGES, 1)?;
    let sources = elements(arguments.get(3)?, 4, MAX_SOURCES, 3)?;
    let owners = elements(arguments.get(5)?, 24, MAX_OWNERS, 5)?;
    if arguments.get(6)? != 0 {
        return Err(Refusal::Argument(6));
    }
    let lists = [
        (0, RANGES, 2 * ranges),
        (2, SOURCES, sources.div_ceil(2)),
        (4, OWNERS, OWNER_WORDS * owners),
    ];
    let mut copies = [0; super::CALL_WORDS];
    let reader = Reader {
        ownership: &*ownership,
        machine,
        memory,
    };
    for (argument, to, words) in lists {
        let list = arguments.get(argument)?;
        for (n, copy) in copies[to..to + words].iter_mut().enumerate() {
            let at = list.checked_add(8 * n as u64).ok_or(Refusal::Address(list))?;
            *copy = reader.word(at)?;
        }
    }
    // No context: it would be one more address.
    let owners = &mut copies[OWNERS..OWNERS + OWNER_WORDS * owners];
    if owners
        .chunks(OWNER_WORDS)
        .any(|owner| owner[1] != 0 || owner[2] as u32 != 0)
    {
        return Err(Refusal::Argument(4));
    }
    // With less than both, EL2 would find its own accesses refused.
    let back = owners.len() == OWNER_WORDS && owners[0] as u32 == HLOS && owners[0] & READ_WRITE == READ_WRITE;
    let bytes = copies[RANGES..RANGES + 2 * ranges]
        .chunks(2)
        .fold(0, |sum: u64, pair| sum.saturating_add(pair[1]));
    if bytes > PAGES_PER_LEASE * PAGE_SIZE {
        return Err(OwnershipError::TooManyPages(PAGES_PER_LEASE).into());
    }
    let mut away = None;
    for pair in copies[RANGES..RANGES + 2 * ranges].chunks(2) {
        let whole = (pair[0] | pair[1]).is_multiple_of(PAGE_SIZE);
        if !whole {
            return Err(Refusal::Address(pair[0]));
        }
        let pages = hold(ownership, machine, pair[0], pair[1], slot)?;
        alone(ownership, pages, slot)?;
        let here = ownership.is_away(pages);
        let here = here.filter(|here| *away.get_or_insert(*here) == *here);
        here.ok_or(Refusal::Mixed(pages.start().host_phys()))?;
    }
    for (argument, to, words) in lists {
        for (n, copy) in copies.iter().enumerate().skip(to).take(words) {
            memory.store(slot, n, *copy);
        }
        let at = memory.address(slot).get() + 8 * to as u64;
        arguments.set(usize::from(argument), at);
    }
    Ok(match (away, back) {
        (_, true) => Effect::BringBack,
        (Some(true), false) => Effect::LetGo,
        (_, false) => Effect::SendAway,
    })
}
