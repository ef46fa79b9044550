//! Guests: who is there, in which phase of its life, and what its console said.

use crate::VmId;
use crate::digest::LoadDigest;
use crate::pl011::Pl011;
use heapless::Vec;
use leasehold_memory_map::{Ipa, IpaRange};

/// The most guests at a time.
pub const MAX_GUESTS: usize = 8;

/// The most separate ranges of memory that a guest's tree can name.
pub const MAX_RANGES: usize = 16;

/// Bytes of console output that wait for the host.
pub const CONSOLE_BYTES: usize = 1024;

/// Where a guest is in its life. Each call is for some phases alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Phase {
    /// There is no guest of this id.
    Free,
    /// It takes memory and what is loaded into it.
    Created,
    /// It can be run.
    Ready,
    /// A CPU of the host's runs it: nobody else touches its registers.
    Running,
    /// It has switched itself off, or cannot go on. What is left is to destroy it.
    Ended,
    /// It is being destroyed, in steps.
    Dying,
}

/// Why a guest does not do as asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum VmError {
    /// There is no guest of this id.
    NoSuchVm(u16),
    /// All ids are taken.
    TooMany,
    /// Not in this phase.
    Phase(Phase),
    /// A CPU runs it.
    Running,
    /// It has too many separate ranges of memory.
    TooManyRanges,
}

/// Text on its way from a guest to the host: a ring, which loses the oldest.
#[derive(Debug)]
pub struct ConsoleRing {
    bytes: [u8; CONSOLE_BYTES],
    head: usize,
    len: usize,
}

impl ConsoleRing {
    const fn new() -> Self {
        Self {
            bytes: [0; CONSOLE_BYTES],
            head: 0,
            len: 0,
        }
    }

    /// Adds a byte; the oldest goes when there is no room.
    pub fn push(&mut self, byte: u8) {
        let at = (self.head + self.len) % CONSOLE_BYTES;
        self.bytes[at] = byte;
        if self.len == CONSOLE_BYTES {
            self.head = (self.head + 1) % CONSOLE_BYTES;
        } else {
            self.len += 1;
        }
    }

    /// Takes the oldest bytes, as many as `into` has room for. Returns how many.
    pub fn take(&mut self, into: &mut [u8]) -> usize {
        let count = into.len().min(self.len);
        for slot in &mut into[..count] {
            *slot = self.bytes[self.head];
            self.head = (self.head + 1) % CONSOLE_BYTES;
        }
        self.len -= count;
        count
    }

    /// Whether nothing waits.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Whether it should be read before more is written.
    pub fn is_nearly_full(&self) -> bool {
        self.len >= CONSOLE_BYTES * 3 / 4
    }
}

/// One guest.
#[derive(Debug)]
pub struct Vm {
    phase: Phase,
    /// Its console's text for the host.
    pub console: ConsoleRing,
    /// Memory that the host mapped before the start, neighbours merged.
    pub memory: Vec<IpaRange, MAX_RANGES>,
    /// Its UART.
    pub uart: Pl011,
    /// What was loaded into it.
    pub digest: LoadDigest,
}

impl Vm {
    const fn new() -> Self {
        Self {
            phase: Phase::Free,
            console: ConsoleRing::new(),
            memory: Vec::new(),
            uart: Pl011::new(),
            digest: LoadDigest::new(),
        }
    }

    /// Where it is in its life.
    pub fn phase(&self) -> Phase {
        self.phase
    }

    /// Notes that `range` is its memory.
    ///
    /// # Errors
    /// [`VmError::TooManyRanges`].
    pub fn add_memory(&mut self, range: IpaRange) -> Result<(), VmError> {
        if let Some(last) = self.memory.last_mut()
            && last.end() == range.start()
            && let Some(len) = last.len().checked_add(range.len())
            && let Ok(merged) = IpaRange::new(last.start(), len)
        {
            *last = merged;
            return Ok(());
        }
        self.memory.push(range).map_err(|_| VmError::TooManyRanges)
    }

    /// Whether all `len` bytes from `at` are memory that was mapped before the start.
    pub fn has_memory(&self, at: Ipa, len: u64) -> bool {
        IpaRange::new(at, len).is_ok_and(|range| self.memory.iter().any(|memory| memory.covers(&range)))
    }
}

/// All guests.
#[derive(Debug)]
pub struct Vms {
    slots: [Vm; MAX_GUESTS],
}

impl Default for Vms {
    fn default() -> Self {
        Self::new()
    }
}

impl Vms {
    /// None yet.
    pub const fn new() -> Self {
        Self {
            slots: [const { Vm::new() }; MAX_GUESTS],
        }
    }

    /// Makes a guest, without memory.
    ///
    /// # Errors
    /// [`VmError::TooMany`].
    pub fn create(&mut self) -> Result<VmId, VmError> {
        let slot = self
            .slots
            .iter()
            .position(|vm| vm.phase == Phase::Free)
            .ok_or(VmError::TooMany)?;
        let id = VmId::guest(slot).ok_or(VmError::TooMany)?;
        self.slots[slot] = Vm::new();
        self.slots[slot].phase = Phase::Created;
        Ok(id)
    }

    /// The guest with this endpoint id.
    ///
    /// # Errors
    /// [`VmError::NoSuchVm`].
    pub fn find(&self, endpoint: u64) -> Result<VmId, VmError> {
        let raw = u16::try_from(endpoint).map_err(|_| VmError::NoSuchVm(u16::MAX))?;
        let id = VmId::from_endpoint(raw).ok_or(VmError::NoSuchVm(raw))?;
        self.get(id).map(|_| id)
    }

    /// The guest `id`.
    ///
    /// # Errors
    /// [`VmError::NoSuchVm`].
    pub fn get(&self, id: VmId) -> Result<&Vm, VmError> {
        id.slot()
            .and_then(|slot| self.slots.get(slot))
            .filter(|vm| vm.phase != Phase::Free)
            .ok_or(VmError::NoSuchVm(id.endpoint()))
    }

    /// The guest `id`, to change it.
    ///
    /// # Errors
    /// [`VmError::NoSuchVm`].
    pub fn get_mut(&mut self, id: VmId) -> Result<&mut Vm, VmError> {
        id.slot()
            .and_then(|slot| self.slots.get_mut(slot))
            .filter(|vm| vm.phase != Phase::Free)
            .ok_or(VmError::NoSuchVm(id.endpoint()))
    }

    /// The guest `id`, which must be in `phase`.
    ///
    /// # Errors
    /// [`VmError::NoSuchVm`], [`VmError::Running`], [`VmError::Phase`].
    pub fn in_phase(&mut self, id: VmId, phase: Phase) -> Result<&mut Vm, VmError> {
        let vm = self.get_mut(id)?;
        match vm.phase {
            found if found == phase => Ok(vm),
            Phase::Running => Err(VmError::Running),
            found => Err(VmError::Phase(found)),
        }
    }

    /// From created to ready.
    ///
    /// # Errors
    /// As [`in_phase`](Self::in_phase).
    pub fn start(&mut self, id: VmId) -> Result<(), VmError> {
        self.in_phase(id, Phase::Created)?.phase = Phase::Ready;
        Ok(())
    }

    /// From ready to running: the caller alone has the guest's registers until [`end_run`](Self::end_run).
    ///
    /// # Errors
    /// As [`in_phase`](Self::in_phase).
    pub fn begin_run(&mut self, id: VmId) -> Result<(), VmError> {
        self.in_phase(id, Phase::Ready)?.phase = Phase::Running;
        Ok(())
    }

    /// From running back to ready, or to ended when the guest is not to run again.
    pub fn end_run(&mut self, id: VmId, ended: bool) {
        if let Ok(vm) = self.in_phase(id, Phase::Running) {
            vm.phase = if ended { Phase::Ended } else { Phase::Ready };
        }
    }

    /// Into dying, from any phase but running. Again while dying.
    ///
    /// # Errors
    /// [`VmError::NoSuchVm`], [`VmError::Running`].
    pub fn begin_destroy(&mut self, id: VmId) -> Result<(), VmError> {
        let vm = self.get_mut(id)?;
        if vm.phase == Phase::Running {
            return Err(VmError::Running);
        }
        vm.phase = Phase::Dying;
        Ok(())
    }

    /// From dying to free.
    pub fn finish_destroy(&mut self, id: VmId) {
        if let Ok(vm) = self.in_phase(id, Phase::Dying) {
            vm.phase = Phase::Free;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_life_goes_through_its_phases_and_no_other_way() {
        let mut vms = Vms::new();
        let id = vms.create().unwrap();
        assert_eq!(vms.begin_run(id), Err(VmError::Phase(Phase::Created)));
        vms.start(id).unwrap();
        assert_eq!(vms.start(id), Err(VmError::Phase(Phase::Ready)));
        vms.begin_run(id).unwrap();
        assert_eq!(vms.begin_run(id), Err(VmError::Running));
        assert_eq!(vms.begin_destroy(id), Err(VmError::Running));
        vms.end_run(id, true);
        assert_eq!(vms.begin_run(id), Err(VmError::Phase(Phase::Ended)));
        vms.begin_destroy(id).unwrap();
        vms.begin_destroy(id).unwrap();
        vms.finish_destroy(id);
        assert_eq!(vms.begin_destroy(id), Err(VmError::NoSuchVm(id.endpoint())));
    }

    #[test]
    fn ids_run_out_and_come_back() {
        let mut vms = Vms::new();
        let ids: std::vec::Vec<_> = (0..MAX_GUESTS).map(|_| vms.create().unwrap()).collect();
        assert_eq!(vms.create(), Err(VmError::TooMany));
        vms.begin_destroy(ids[3]).unwrap();
        assert_eq!(vms.create(), Err(VmError::TooMany));
        vms.finish_destroy(ids[3]);
        assert_eq!(vms.create(), Ok(ids[3]));
    }

    #[test]
    fn ids_that_no_guest_has_are_not_found() {
        let mut vms = Vms::new();
        vms.create().unwrap();
        for endpoint in [0, 1, 3, 0xffff, 0x1_0002, u64::MAX] {
            assert!(vms.find(endpoint).is_err(), "{endpoint:#x}");
        }
        assert!(vms.find(2).is_ok());
    }

    #[test]
    fn neighbouring_memory_is_one_range() {
        let mut vm = Vm::new();
        for (at, len) in [(0x1000, 0x1000), (0x2000, 0x3000), (0x8000, 0x1000)] {
            vm.add_memory(IpaRange::new(Ipa::new(at), len).unwrap()).unwrap();
        }
        assert_eq!(vm.memory.len(), 2);
        assert!(vm.has_memory(Ipa::new(0x1fff), 0x3001));
        assert!(!vm.has_memory(Ipa::new(0x4fff), 2));
        assert!(!vm.has_memory(Ipa::new(0x1000), 0));
        for n in 0..MAX_RANGES as u64 - 2 {
            vm.add_memory(IpaRange::new(Ipa::new(0x10_000 + n * 0x2000), 0x1000).unwrap())
                .unwrap();
        }
        let one_more = IpaRange::new(Ipa::new(0x80_0000), 0x1000).unwrap();
        assert_eq!(vm.add_memory(one_more), Err(VmError::TooManyRanges));
    }

    #[test]
    fn the_console_keeps_the_newest_and_hands_out_the_oldest_first() {
        let mut ring = ConsoleRing::new();
        for n in 0..CONSOLE_BYTES + 10 {
            ring.push(n as u8);
        }
        assert!(ring.is_nearly_full());
        let mut out = [0; 4];
        assert_eq!(ring.take(&mut out), 4);
        assert_eq!(out, [10, 11, 12, 13]);
        let mut rest = [0; CONSOLE_BYTES];
        assert_eq!(ring.take(&mut rest), CONSOLE_BYTES - 4);
        assert!(ring.is_empty());
    }
}
