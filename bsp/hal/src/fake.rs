//! A machine for tests: its parts record what they are told, and act on it.
//!
//! Each part is a handle: a test keeps a clone of what it gives to the code under test.

mod firmware;

pub use firmware::{FakeFirmware, FakeMemoryController};

use crate::{
    AttachedIommu, Console, InterruptController, InterruptError, Iommu, IommuError, IommuEvent, Soc, SocError,
    Stage2Geometry, Vmid,
};
use leasehold_memory_map::{Address, Ipa, PageRange, PhysAddr, PhysRange};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::vec::Vec;

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[derive(Debug)]
struct ConsoleState {
    bytes: Vec<u8>,
    room: usize,
}

/// A channel that keeps what it takes, and takes no more than it has room for.
#[derive(Clone, Debug)]
pub struct FakeConsole(Arc<Mutex<ConsoleState>>);

impl FakeConsole {
    /// A channel with room for `room` bytes.
    #[must_use]
    pub fn new(room: usize) -> Self {
        Self(Arc::new(Mutex::new(ConsoleState {
            bytes: Vec::new(),
            room,
        })))
    }

    /// All bytes taken so far.
    #[must_use]
    pub fn bytes(&self) -> Vec<u8> {
        lock(&self.0).bytes.clone()
    }

    /// Makes room for `more` bytes, as a channel does that drains.
    pub fn drain(&self, more: usize) {
        lock(&self.0).room += more;
    }
}

impl Console for FakeConsole {
    fn write_some(&mut self, bytes: &[u8]) -> usize {
        let mut state = lock(&self.0);
        let taken = bytes.len().min(state.room);
        state.room -= taken;
        state.bytes.extend_from_slice(&bytes[..taken]);
        taken
    }
}

#[derive(Debug, Default)]
struct InterruptState {
    failing: Option<InterruptError>,
    cpus_initialised: usize,
    enabled: BTreeSet<u32>,
    registers: BTreeMap<(usize, u64), u64>,
}

/// An interrupt controller with frames of plain memory. All CPUs share one set of private interrupts.
#[derive(Clone, Debug)]
pub struct FakeInterruptController {
    state: Arc<Mutex<InterruptState>>,
    frames: Vec<PhysRange>,
    hidden: Vec<PhysRange>,
}

impl FakeInterruptController {
    /// A controller with these trapped frames and hidden ranges.
    #[must_use]
    pub fn new(frames: &[PhysRange], hidden: &[PhysRange]) -> Self {
        Self {
            state: Arc::default(),
            frames: frames.to_vec(),
            hidden: hidden.to_vec(),
        }
    }

    /// Lets every further `init_cpu` fail, or none.
    pub fn fail(&self, error: Option<InterruptError>) {
        lock(&self.state).failing = error;
    }

    /// How often a CPU was initialised.
    #[must_use]
    pub fn cpus_initialised(&self) -> usize {
        lock(&self.state).cpus_initialised
    }

    /// Whether the private interrupt is enabled.
    #[must_use]
    pub fn is_enabled(&self, intid: u32) -> bool {
        lock(&self.state).enabled.contains(&intid)
    }
}

impl InterruptController for FakeInterruptController {
    fn init_cpu(&self) -> Result<(), InterruptError> {
        let mut state = lock(&self.state);
        if let Some(error) = state.failing {
            return Err(error);
        }
        state.cpus_initialised += 1;
        Ok(())
    }

    fn set_private_enabled(&self, intid: u32, enabled: bool) {
        let mut state = lock(&self.state);
        if !(16..32).contains(&intid) {
            return;
        }
        if enabled {
            state.enabled.insert(intid);
        } else {
            state.enabled.remove(&intid);
        }
    }

    fn read_trapped(&self, frame: usize, offset: u64, _size: u8) -> u64 {
        lock(&self.state).registers.get(&(frame, offset)).copied().unwrap_or(0)
    }

    fn write_trapped(&self, frame: usize, offset: u64, _size: u8, value: u64) -> bool {
        let inside = self.frames.get(frame).is_some_and(|range| offset < range.len());
        if inside {
            lock(&self.state).registers.insert((frame, offset), value);
        }
        inside
    }

    fn trapped_frames(&self) -> &[PhysRange] {
        &self.frames
    }

    fn hidden(&self) -> &[PhysRange] {
        &self.hidden
    }
}

/// What an IOMMU was told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IommuCall {
    /// `attach`.
    Attach(PhysAddr, Stage2Geometry, Vmid),
    /// `invalidate`.
    Invalidate(Vmid, PageRange<Ipa>),
    /// `invalidate_all`.
    InvalidateAll(Vmid),
    /// `sync`.
    Sync,
}

#[derive(Debug)]
struct IommuState {
    bbm_level: u8,
    attach_error: Option<IommuError>,
    sync_error: Option<IommuError>,
    calls: Vec<IommuCall>,
    cached: BTreeSet<(Vmid, Ipa)>,
    pending: Vec<IommuCall>,
    events: VecDeque<IommuEvent>,
}

/// An IOMMU that remembers the pages that devices have touched, until it is told to forget them and has confirmed.
#[derive(Clone, Debug)]
pub struct FakeIommu {
    state: Arc<Mutex<IommuState>>,
    registers: PhysRange,
}

impl FakeIommu {
    /// An IOMMU of break-before-make level `bbm_level`.
    #[must_use]
    pub fn new(bbm_level: u8, registers: PhysRange) -> Self {
        Self {
            state: Arc::new(Mutex::new(IommuState {
                bbm_level,
                attach_error: None,
                sync_error: None,
                calls: Vec::new(),
                cached: BTreeSet::new(),
                pending: Vec::new(),
                events: VecDeque::new(),
            })),
            registers,
        }
    }

    /// Lets `attach` fail.
    pub fn fail_attach(&self, error: IommuError) {
        lock(&self.state).attach_error = Some(error);
    }

    /// Lets every further `sync` fail (and confirm nothing), or none.
    pub fn fail_sync(&self, error: Option<IommuError>) {
        lock(&self.state).sync_error = error;
    }

    /// A device uses the translation of `ipa`, and the IOMMU keeps it.
    pub fn touch(&self, vmid: Vmid, ipa: Ipa) {
        lock(&self.state).cached.insert((vmid, ipa.page()));
    }

    /// Whether a device could still use a translation of `ipa` from before.
    #[must_use]
    pub fn is_cached(&self, vmid: Vmid, ipa: Ipa) -> bool {
        lock(&self.state).cached.contains(&(vmid, ipa.page()))
    }

    /// Puts an event into the queue.
    pub fn push_event(&self, event: IommuEvent) {
        lock(&self.state).events.push_back(event);
    }

    /// Everything it was told, in order.
    #[must_use]
    pub fn calls(&self) -> Vec<IommuCall> {
        lock(&self.state).calls.clone()
    }
}

impl Iommu for FakeIommu {
    type Attached = Self;

    fn bbm_level(&self) -> u8 {
        lock(&self.state).bbm_level
    }

    fn registers(&self) -> PhysRange {
        self.registers
    }

    fn attach(self, root: PhysAddr, geometry: &Stage2Geometry, vmid: Vmid) -> Result<Self, IommuError> {
        {
            let mut state = lock(&self.state);
            if let Some(error) = state.attach_error {
                return Err(error);
            }
            state.calls.push(IommuCall::Attach(root, *geometry, vmid));
        }
        Ok(self)
    }
}

impl FakeIommu {
    fn ask(&self, call: IommuCall) {
        let mut state = lock(&self.state);
        state.calls.push(call);
        state.pending.push(call);
    }
}

impl AttachedIommu for FakeIommu {
    fn invalidate(&mut self, vmid: Vmid, range: PageRange<Ipa>) -> Result<(), IommuError> {
        self.ask(IommuCall::Invalidate(vmid, range));
        Ok(())
    }

    fn invalidate_all(&mut self, vmid: Vmid) -> Result<(), IommuError> {
        self.ask(IommuCall::InvalidateAll(vmid));
        Ok(())
    }

    fn sync(&mut self) -> Result<(), IommuError> {
        let mut state = lock(&self.state);
        state.calls.push(IommuCall::Sync);
        let pending = core::mem::take(&mut state.pending);
        if let Some(error) = state.sync_error {
            return Err(error);
        }
        for call in pending {
            state.cached.retain(|(vmid, ipa)| match call {
                IommuCall::Invalidate(of, range) => *vmid != of || !range.bytes().contains(*ipa),
                IommuCall::InvalidateAll(of) => *vmid != of,
                IommuCall::Attach(..) | IommuCall::Sync => true,
            });
        }
        Ok(())
    }

    fn next_event(&mut self) -> Option<IommuEvent> {
        lock(&self.state).events.pop_front()
    }
}

/// A machine of fakes.
#[derive(Debug)]
pub struct FakeSoc {
    /// How many bits of address the host's map must have.
    pub ipa_bits: u8,
    /// What the host sees.
    pub device_windows: Vec<PhysRange>,
    /// What nobody sees.
    pub hidden: Vec<PhysRange>,
    interrupts: Option<FakeInterruptController>,
    iommu: Option<Option<FakeIommu>>,
    /// What moves memory, until it is taken.
    pub memory: Option<FakeMemoryController>,
    /// What is behind SMC, until it is taken.
    pub firmware: Option<FakeFirmware>,
}

impl FakeSoc {
    /// A machine with these parts, and no devices besides.
    #[must_use]
    pub fn new(interrupts: FakeInterruptController, iommu: Option<FakeIommu>) -> Self {
        Self {
            ipa_bits: 40,
            device_windows: Vec::new(),
            hidden: Vec::new(),
            interrupts: Some(interrupts),
            iommu: Some(iommu),
            memory: None,
            firmware: None,
        }
    }
}

impl Soc for FakeSoc {
    type Iommu = FakeIommu;
    type InterruptController = FakeInterruptController;
    type Console = FakeConsole;
    type MemoryController = FakeMemoryController;
    type Firmware = FakeFirmware;

    fn ipa_bits(&self) -> u8 {
        self.ipa_bits
    }

    fn device_windows(&self) -> &[PhysRange] {
        &self.device_windows
    }

    fn hidden(&self) -> &[PhysRange] {
        &self.hidden
    }

    fn interrupt_controller(&mut self) -> Result<FakeInterruptController, SocError> {
        self.interrupts.take().ok_or(SocError::Taken)
    }

    fn iommu(&mut self) -> Result<Option<FakeIommu>, SocError> {
        self.iommu.take().ok_or(SocError::Taken)
    }

    fn memory_controller(&mut self) -> Result<Option<FakeMemoryController>, SocError> {
        Ok(self.memory.take())
    }

    fn firmware(&mut self) -> Option<FakeFirmware> {
        self.firmware.take()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::MemoryAttributes;

    fn iommu() -> FakeIommu {
        FakeIommu::new(2, PhysRange::new(PhysAddr::new(0x905_0000), 0x2_0000).unwrap())
    }

    fn attached(iommu: &FakeIommu) -> FakeIommu {
        let geometry = Stage2Geometry::new(40, MemoryAttributes::Combine).unwrap();
        iommu
            .clone()
            .attach(PhysAddr::new(0x4000_0000), &geometry, Vmid::HOST)
            .unwrap()
    }

    #[test]
    fn a_translation_goes_at_the_sync_and_not_before() {
        let handle = iommu();
        let mut iommu = attached(&handle);
        let page = Ipa::new(0x4020_0000);
        handle.touch(Vmid::HOST, page);
        iommu.invalidate(Vmid::HOST, PageRange::single(page).unwrap()).unwrap();
        assert!(handle.is_cached(Vmid::HOST, page));
        iommu.sync().unwrap();
        assert!(!handle.is_cached(Vmid::HOST, page));
    }

    #[test]
    fn a_failed_sync_confirms_nothing() {
        let handle = iommu();
        let mut iommu = attached(&handle);
        let page = Ipa::new(0x4020_0000);
        handle.touch(Vmid::HOST, page);
        iommu.invalidate_all(Vmid::HOST).unwrap();
        handle.fail_sync(Some(IommuError::TimedOut));
        assert_eq!(iommu.sync(), Err(IommuError::TimedOut));
        handle.fail_sync(None);
        iommu.sync().unwrap();
        assert!(
            handle.is_cached(Vmid::HOST, page),
            "what failed must be asked for again"
        );
    }

    #[test]
    fn a_console_takes_what_it_has_room_for() {
        let handle = FakeConsole::new(4);
        assert_eq!(handle.clone().write_some(b"leased"), 4);
        handle.drain(1);
        assert_eq!(handle.clone().write_some(b"ed"), 1);
        assert_eq!(handle.bytes(), b"lease");
    }

    #[test]
    fn parts_are_given_once() {
        let mut soc = FakeSoc::new(FakeInterruptController::new(&[], &[]), None);
        assert!(soc.interrupt_controller().is_ok());
        assert_eq!(soc.interrupt_controller().unwrap_err(), SocError::Taken);
        assert_eq!(soc.iommu().map(|iommu| iommu.is_none()), Ok(true));
        assert_eq!(soc.iommu().unwrap_err(), SocError::Taken);
    }
}
