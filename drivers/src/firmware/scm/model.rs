//! Secure firmware that acts: it keeps who owns each page, reads the lists of a call from memory and checks them as TF-A
//! does (`qti_syscall.c`, qti_mem_assign), and on demand is interrupted, busy, asleep, late, or of another opinion.

use crate::smmu::model::SimMemory;
use leasehold_hal::{Firmware, SmcRegisters, scm};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::format;
use std::string::String;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::vec::Vec;

const PAGE: u64 = 4096;

/// TF-A knows owners below this number (QTI_VM_LAST).
const OWNERS: u32 = 44;

/// The most ranges (QTI_VM_MAX_LIST_SIZE).
const MAX_RANGES: u64 = 32;

/// Who may do what with a page.
pub type Owners = BTreeMap<u32, u32>;

/// What a call meets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// So often it is interrupted, before it is done.
    Interrupted(u32),
    /// So often it is interrupted, when what it has to do is done already.
    InterruptedLate(u32),
    /// So often it waits to be woken.
    Waits(u32),
    /// Somebody else is being served.
    Busy,
    /// It is refused with this.
    Refused(i64),
}

enum Phase {
    /// The call's registers, what it still meets, how often, and whether its work is done.
    Pending(SmcRegisters, Trouble, u32),
}

struct State {
    memory: SimMemory,
    ram: core::ops::Range<u64>,
    owners: BTreeMap<u64, Owners>,
    pending: BTreeMap<u64, Phase>,
    next: u64,
    trouble: VecDeque<Trouble>,
    wide: bool,
    narrow: bool,
    calls: u32,
    broken: Vec<String>,
}

/// The firmware; clones are handles of the same.
#[derive(Clone)]
pub struct Model(Arc<Mutex<State>>);

impl Model {
    /// Firmware of a machine with `ram`, all of it HLOS's, whose contents are `memory`. It takes arguments of 64 bits, or
    /// of 32, as `wide` and `narrow` say.
    #[must_use]
    pub fn new(memory: SimMemory, ram: core::ops::Range<u64>, wide: bool, narrow: bool) -> Self {
        Self(Arc::new(Mutex::new(State {
            memory,
            ram,
            owners: BTreeMap::new(),
            pending: BTreeMap::new(),
            next: 0x5e55_0000,
            trouble: VecDeque::new(),
            wide,
            narrow,
            calls: 0,
            broken: Vec::new(),
        })))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What the next call that has no trouble yet will meet.
    pub fn meets(&self, trouble: Trouble) {
        self.state().trouble.push_back(trouble);
    }

    /// Who owns a page.
    #[must_use]
    pub fn owners(&self, page: u64) -> Owners {
        self.state().owners(page)
    }

    /// How many calls there were since the last time.
    #[must_use]
    pub fn calls(&self) -> u32 {
        core::mem::take(&mut self.state().calls)
    }

    /// What was done that the calling convention forbids.
    #[must_use]
    pub fn broken(&self) -> Vec<String> {
        self.state().broken.clone()
    }
}

impl State {
    fn owners(&self, page: u64) -> Owners {
        let hlos = || Owners::from([(3, 7)]);
        self.owners.get(&page).cloned().unwrap_or_else(hlos)
    }

    fn call(&mut self, x: SmcRegisters) -> SmcRegisters {
        self.calls += 1;
        if x[0] == 1 {
            return match self.pending.remove(&x[6]) {
                Some(Phase::Pending(first, trouble, left)) => {
                    if first[1..6] != x[1..6] || matches!(trouble, Trouble::Waits(_)) {
                        self.broken.push(format!("{x:x?} goes on with {first:x?}"));
                    }
                    self.go_on(first, trouble, left)
                }
                None => {
                    self.broken.push(format!("{x:x?} goes on with nothing"));
                    answer(scm::BAD_ARGUMENT)
                }
            };
        }
        let function = x[0] as u32;
        if x[0] >> 32 != 0 || x[6] != 0 || x[7] != 0 {
            self.broken.push(format!("{x:x?} is no call"));
        }
        if function & 0x3fff_ffff == 0x0200_2402 {
            return match self.pending.remove(&x[2]) {
                Some(Phase::Pending(first, trouble, left)) if x[1] == 1 => self.go_on(first, trouble, left),
                _ => answer(scm::BAD_ARGUMENT),
            };
        }
        match self.trouble.pop_front() {
            None => self.perform(x),
            Some(Trouble::Busy) => answer(scm::BUSY),
            Some(Trouble::Refused(code)) => answer(code),
            Some(trouble) if function >> 31 == 1 => {
                self.broken.push(format!("{x:x?} is fast, and meets {trouble:?}"));
                answer(scm::ERROR)
            }
            Some(trouble) => {
                let left = match trouble {
                    Trouble::Interrupted(times) | Trouble::InterruptedLate(times) | Trouble::Waits(times) => times,
                    Trouble::Busy | Trouble::Refused(_) => 0,
                };
                let done = matches!(trouble, Trouble::InterruptedLate(_)).then(|| self.perform(x));
                if done.is_some_and(|x| x[0] != 0) {
                    return done.unwrap_or_default();
                }
                self.go_on(x, trouble, left)
            }
        }
    }

    fn go_on(&mut self, x: SmcRegisters, trouble: Trouble, left: u32) -> SmcRegisters {
        if left == 0 {
            return match trouble {
                Trouble::InterruptedLate(_) => answer(scm::OK),
                _ => self.perform(x),
            };
        }
        self.next += 1;
        self.pending.insert(self.next, Phase::Pending(x, trouble, left - 1));
        let mut returned = [0; 8];
        if let Trouble::Waits(_) = trouble {
            returned[..3].copy_from_slice(&[scm::WAITS as u64, 7, self.next]);
        } else {
            returned[0] = scm::INTERRUPTED as u64;
            returned[6] = self.next;
        }
        returned
    }

    fn perform(&mut self, x: SmcRegisters) -> SmcRegisters {
        let function = x[0] as u32;
        let is_wide = function & 1 << 30 != 0;
        if (is_wide && !self.wide) || (!is_wide && !self.narrow) {
            return answer(scm::UNSUPPORTED);
        }
        let known = [0x0200_0601, 0x0200_0c16, 0x0200_2402];
        match function & 0x3fff_ffff {
            0x0200_0601 if x[1] == 1 => {
                let mut returned = answer(scm::OK);
                returned[1] = u64::from(known.contains(&(x[2] as u32 & 0x3fff_ffff)));
                returned
            }
            0x0200_0c16 => match self.assign(x, is_wide) {
                Ok(()) => answer(scm::OK),
                Err(code) => answer(code),
            },
            _ => answer(scm::UNSUPPORTED),
        }
    }

    /// The word at any multiple of 4.
    fn word(&self, at: u64) -> u32 {
        (self.memory.read(at & !7) >> (8 * (at & 4))) as u32
    }

    fn assign(&mut self, x: SmcRegisters, is_wide: bool) -> Result<(), i64> {
        if x[1] != 0x1117 {
            return Err(scm::BAD_ARGUMENT);
        }
        let more = |n: u64| {
            if is_wide {
                self.memory.read(x[5] + 8 * n)
            } else {
                u64::from(self.word(x[5] + 4 * n))
            }
        };
        let (memory, memory_size, sources) = (x[2], x[3], x[4]);
        let (sources_size, owners, owners_size, zero) = (more(0), more(1), more(2), more(3));
        if [memory, sources, owners].iter().any(|at| !at.is_multiple_of(64)) {
            self.broken
                .push(format!("lists at {memory:#x}, {sources:#x}, {owners:#x}"));
        }
        let list = |size: u64, each: u64| {
            let fits = size != 0 && size.is_multiple_of(each) && size / each <= MAX_RANGES;
            fits.then_some(size / each).ok_or(scm::BAD_ARGUMENT)
        };
        if zero != 0 {
            return Err(scm::BAD_ARGUMENT);
        }
        let from: BTreeSet<u32> = (0..list(sources_size, 4)?)
            .map(|n| self.word(sources + 4 * n))
            .collect();
        let to: Owners = (0..list(owners_size, 24)?)
            .map(|n| (self.word(owners + 24 * n), self.word(owners + 24 * n + 4)))
            .collect();
        let valid = |vmid: &u32| *vmid < OWNERS;
        if !from.iter().all(valid) || !to.keys().all(valid) || to.values().any(|perms| *perms == 0 || *perms > 7) {
            return Err(scm::BAD_ARGUMENT);
        }
        let mut pages = Vec::new();
        for n in 0..list(memory_size, 16)? {
            let (start, size) = (self.memory.read(memory + 16 * n), self.memory.read(memory + 16 * n + 8));
            let end = start.checked_add(size).ok_or(scm::BAD_ADDRESS)?;
            if size == 0 || !(start | size).is_multiple_of(PAGE) || start < self.ram.start || end > self.ram.end {
                return Err(scm::BAD_ADDRESS);
            }
            pages.extend((start..end).step_by(PAGE as usize));
        }
        // All is checked before anything is done.
        if pages.iter().any(|page| !self.owners(*page).keys().eq(&from)) {
            return Err(scm::BAD_ARGUMENT);
        }
        for page in pages {
            self.owners.insert(page, to.clone());
        }
        Ok(())
    }
}

fn answer(code: i64) -> SmcRegisters {
    let mut x = [0; 8];
    x[0] = code as u64;
    x
}

impl Firmware for Model {
    const PRESENT: bool = true;

    fn call(&self, registers: SmcRegisters) -> SmcRegisters {
        self.state().call(registers)
    }
}
