//! SMMUv3 (Arm IHI 0070), its Non-secure programming interface, with stage 2 only.
//!
//! The protocol is in the types. A unit is [`Found`], with whatever it was left doing. [`Found::reset`] makes it
//! [`Aborting`]: every stream is refused, and at no moment on the way was one let past (6.3, SMMU_GBPA: ABORT is set, by
//! its update protocol, before anything else). [`Iommu::attach`] makes it [`Attached`]: every stream is on the host's
//! stage-2 tables. Nothing goes back, and no error opens a way past it.
//!
//! Not covered: the Secure and Realm interfaces, which are not EL2's; devices that reach memory by another way.

mod command;
mod event;
mod features;
mod layout;
#[cfg(any(test, feature = "model"))]
pub mod model;
mod queue;
mod registers;
mod reset;
mod structures;
#[cfg(test)]
mod tests;

use crate::mmio::{Io, Mmio};
use crate::wait;
use command::{COMMAND_BYTES, Command, Invalidation};
use core::cell::UnsafeCell;
use event::EVENT_BYTES;
use features::Features;
use layout::Layout;
use leasehold_hal::{AttachedIommu, Iommu, IommuError, IommuEvent, IommuTimeout, Stage2Geometry, Vmid};
use leasehold_memory_map::{Address, Ipa, PAGE_SIZE, PageRange, PhysAddr, PhysRange};
use queue::Position;
use registers::{CMDQ_CONS, CMDQ_PROD, EVENTQ_CONS, EVENTQ_PROD, GERROR, GERRORN, OVERFLOW};
pub use reset::ResetError;
use structures::{STE_BYTES, Start, Ste};
use tock_registers::interfaces::{Readable, Writeable};

/// How much memory is enough for a unit with 16-bit StreamIDs and 2-level stream tables, in bytes.
pub const MEMORY_BYTES: usize = 0x1_0000;

/// Memory for [`MEMORY_BYTES`], for a `static`.
#[repr(C, align(65536))]
pub struct StaticMemory(UnsafeCell<[u8; MEMORY_BYTES]>);

// SAFETY: a shared reference only gives the address away.
unsafe impl Sync for StaticMemory {}

impl StaticMemory {
    /// Zeroed memory.
    #[must_use]
    pub const fn new() -> Self {
        Self(UnsafeCell::new([0; MEMORY_BYTES]))
    }

    /// Where it is.
    #[must_use]
    pub const fn as_ptr(&self) -> *mut u8 {
        self.0.get().cast()
    }
}

impl Default for StaticMemory {
    fn default() -> Self {
        Self::new()
    }
}

/// Memory that the unit and the driver share.
struct Memory<M> {
    io: M,
    range: PhysRange,
}

impl<M: Io> Memory<M> {
    fn write<const N: usize>(&self, offset: usize, structure: [u64; N]) {
        for (n, value) in structure.into_iter().enumerate() {
            self.io.store(offset + 8 * n, value);
        }
    }

    /// The physical address of what is `offset` behind the base; inside, so it is one.
    fn address(&self, offset: usize) -> PhysAddr {
        self.range
            .start()
            .checked_add(offset as u64)
            .unwrap_or(self.range.start())
    }
}

/// A unit that has been found and left as it was.
pub struct Found<I = Mmio, M = Mmio> {
    io: I,
    registers: PhysRange,
    memory: Memory<M>,
    features: Features,
}

impl Found<Mmio, Mmio> {
    /// The unit with its registers (both pages, 128 KiB) at `registers`, which will keep its queues and tables in
    /// `memory`. Changes nothing.
    ///
    /// # Errors
    /// [`IommuError::Unsupported`] with AIDR when it is not of this architecture.
    ///
    /// # Safety
    /// `registers` are those of an SMMUv3, mapped at their own addresses as device memory, and nobody else drives it.
    /// `memory` is mapped at its own addresses as Inner Shareable write-back memory; from now on nothing else uses it,
    /// not even when this value is gone, since the unit may go on reading and writing there.
    pub unsafe fn new(registers: PhysRange, memory: PhysRange) -> Result<Self, IommuError> {
        // SAFETY: as the caller vouches. The driver lets the unit write to its event queue only, which is in `memory`.
        let (io, shared) = unsafe { (Mmio::identity(registers), Mmio::identity(memory)) };
        Self::over(io, registers, shared, memory)
    }
}

impl<I: Io, M: Io> Found<I, M> {
    /// The unit behind `io`, whose registers are at `registers`, with the memory behind `shared`, which is at `memory`.
    ///
    /// # Errors
    /// As [`new`](Found::new).
    pub fn over(io: I, registers: PhysRange, shared: M, memory: PhysRange) -> Result<Self, IommuError> {
        let features = Features::read(&io);
        features.identify()?;
        let memory = Memory {
            io: shared,
            range: memory,
        };
        Ok(Self {
            io,
            registers,
            memory,
            features,
        })
    }
}

/// A unit that is set up.
struct Device<I, M> {
    io: I,
    registers: PhysRange,
    memory: Memory<M>,
    features: Features,
    layout: Layout,
    /// Where the next command goes.
    command: Position,
    /// Up to where commands have been seen to be consumed.
    consumer: Position,
    /// GERRORN.
    acknowledged: u32,
    /// Events were lost, and nobody has been told.
    lost: bool,
    /// What was read when commands last took too long.
    late: Option<IommuTimeout>,
    /// Where the next event is taken.
    event: Position,
    /// OVACKFLG.
    event_acknowledged: u32,
}

impl<I: Io, M: Io> Device<I, M> {
    /// Up to where commands have been consumed.
    fn consumed(&mut self) -> Position {
        self.consumer = self.command.read(self.io.at(CMDQ_CONS).get());
        self.consumer
    }

    /// Acknowledges the errors that are active, so that the unit goes on. Fails if there are any but that events were lost;
    /// a command that it could not take is replaced by one that does nothing (7.1).
    fn check(&mut self) -> Result<(), IommuError> {
        let mut errors = self.io.at(GERROR).get() ^ self.acknowledged;
        if errors == 0 {
            return Ok(());
        }
        if GERROR::CMDQ_ERR.is_set(errors) {
            let culprit = self.consumed().index();
            self.memory
                .write(self.layout.commands + culprit * COMMAND_BYTES, command::sync());
            self.memory.io.publish();
        }
        self.acknowledged ^= errors;
        self.io.at(GERRORN).set(self.acknowledged);
        // A device can bring this about, and it says nothing of commands.
        self.lost |= GERROR::EVENTQ_ABT_ERR.is_set(errors);
        errors &= !GERROR::EVENTQ_ABT_ERR::SET.value;
        if errors == 0 {
            Ok(())
        } else {
            Err(IommuError::Failed(errors))
        }
    }

    /// Waits until `done`, with a bound, and no longer than until there is an error.
    fn wait(&mut self, done: impl Fn(&mut Self) -> bool) -> Result<(), IommuError> {
        let mut checked = Ok(());
        let waited = wait::until(|| {
            let done = done(self);
            checked = self.check();
            done || checked.is_err()
        });
        waited.map_err(|_| self.too_late())?;
        checked
    }

    /// Notes what the unit says when commands take too long: how far it is, and whether something is wrong.
    #[cold]
    fn too_late(&mut self) -> IommuError {
        self.late = Some(IommuTimeout {
            status: [self.io.at(CMDQ_CONS).get(), self.io.at(GERROR).get()],
            buffers: None,
        });
        IommuError::TimedOut
    }

    /// Puts a command into the queue, when it has room.
    #[inline(always)]
    fn submit(&mut self, command: Command) -> Result<(), IommuError> {
        if self.command.is_full(self.consumer) {
            self.make_room()?;
        }
        self.memory
            .write(self.layout.commands + self.command.index() * COMMAND_BYTES, command);
        self.memory.io.publish();
        self.command = self.command.next();
        self.io.at(CMDQ_PROD).set(self.command.raw());
        Ok(())
    }

    #[cold]
    fn make_room(&mut self) -> Result<(), IommuError> {
        self.wait(|unit| !unit.command.is_full(unit.consumed()))
    }

    /// Waits until all commands so far are done.
    fn sync(&mut self) -> Result<(), IommuError> {
        self.submit(command::sync())?;
        if self.consumed() == self.command && self.io.at(GERROR).get() == self.acknowledged {
            return Ok(());
        }
        self.finish()
    }

    #[cold]
    fn finish(&mut self) -> Result<(), IommuError> {
        self.wait(|unit| unit.consumed() == unit.command)
    }

    /// Gives every stream the entry `ste`: first all of it but its beginning, which says whether the rest counts, then
    /// that (3.21.3), each time with what the unit remembers discarded.
    fn set_entries(&mut self, ste: Ste) -> Result<(), IommuError> {
        for part in [1..ste.len(), 0..1] {
            for entry in 0..self.layout.table.entries() {
                let offset = self.layout.entries + entry * STE_BYTES;
                for word in part.clone() {
                    self.memory.io.store(offset + 8 * word, ste[word]);
                }
            }
            self.memory.io.publish();
            self.submit(command::cfgi_all())?;
            // What the unit remembers of translations may have been made with fields of the old entry (5.2.1).
            self.submit(command::tlbi_nsnh_all())?;
            self.sync()?;
        }
        Ok(())
    }

    /// Where walks of the tables at `root`, which it can walk, start.
    fn start(&self, root: PhysAddr, geometry: &Stage2Geometry) -> Start {
        if !self.features.starts_at_level_0(geometry) {
            return Start::Level1(root);
        }
        let tables = (0..geometry.root_tables()).filter_map(|n| root.checked_add(n as u64 * PAGE_SIZE));
        for (n, next) in tables.enumerate() {
            self.memory.write(self.layout.top + 8 * n, [structures::table(next)]);
        }
        Start::Level0(self.memory.address(self.layout.top))
    }

    /// Whether events were lost since this was last asked: there was no room (7.4), or none could be written (7.2).
    fn take_lost(&mut self, producer: u32) -> bool {
        let full = (producer ^ self.event_acknowledged) & OVERFLOW != 0;
        if full {
            self.event_acknowledged ^= OVERFLOW;
            self.give_back_events();
        }
        core::mem::take(&mut self.lost) | full
    }

    /// Tells the unit up to where events have been taken.
    fn give_back_events(&self) {
        self.io.at(EVENTQ_CONS).set(self.event.raw() | self.event_acknowledged);
    }

    fn next_event(&mut self) -> Option<IommuEvent> {
        let producer = self.io.at(EVENTQ_PROD).get();
        if self.take_lost(producer) {
            return Some(event::LOST);
        }
        if Position::of(producer, self.layout.event_bits) == self.event {
            return self.lost_to_an_error().then_some(event::LOST);
        }
        // The record is read after the index that covers it (3.5.2), and before its place is given back.
        self.memory.io.observe();
        let offset = self.layout.events + self.event.index() * EVENT_BYTES;
        let record = core::array::from_fn(|word| self.memory.io.load(offset + 8 * word));
        self.memory.io.observe();
        self.event = self.event.next();
        self.give_back_events();
        Some(event::decode(record))
    }

    /// Acknowledges that events could not be written, if so, and says so. What else is wrong is left to the next sync.
    fn lost_to_an_error(&mut self) -> bool {
        let error = (self.io.at(GERROR).get() ^ self.acknowledged) & GERROR::EVENTQ_ABT_ERR::SET.value;
        if error == 0 {
            return false;
        }
        self.acknowledged ^= error;
        self.io.at(GERRORN).set(self.acknowledged);
        true
    }
}

/// A unit that refuses every stream.
pub struct Aborting<I = Mmio, M = Mmio>(Device<I, M>);

/// A unit that has every stream on the host's stage-2 tables.
pub struct Attached<I = Mmio, M = Mmio>(Device<I, M>);

impl<I: Io + Send, M: Io + Send> Iommu for Aborting<I, M> {
    type Attached = Attached<I, M>;

    fn bbm_level(&self) -> u8 {
        self.0.features.bbm_level()
    }

    /// [`Found::reset`] refuses a unit without coherent access (SMMU_IDR0.COHACC).
    fn walks_coherently(&self) -> bool {
        true
    }

    fn registers(&self) -> PhysRange {
        self.0.registers
    }

    fn attach(mut self, root: PhysAddr, geometry: &Stage2Geometry, vmid: Vmid) -> Result<Attached<I, M>, IommuError> {
        let features = self.0.features;
        features.can_walk(root, geometry)?;
        let start = self.0.start(root, geometry);
        self.0
            .set_entries(structures::stage2(start, geometry, vmid, &features))?;
        Ok(Attached(self.0))
    }
}

impl<I: Io + Send, M: Io + Send> AttachedIommu for Attached<I, M> {
    const MAY_WALK_PAST_CACHES: bool = false;

    fn invalidate(&mut self, vmid: Vmid, range: PageRange<Ipa>) -> Result<(), IommuError> {
        if range.count() == 1 {
            return self.0.submit(command::tlbi_page(vmid, range.start()));
        }
        let ranges = self.0.features.has_range_invalidation();
        Invalidation::new(vmid, range, ranges).try_for_each(|command| self.0.submit(command))
    }

    fn invalidate_all(&mut self, vmid: Vmid) -> Result<(), IommuError> {
        self.0.submit(command::tlbi_s12_vmall(vmid))
    }

    fn sync(&mut self) -> Result<(), IommuError> {
        self.0.sync()
    }

    fn next_event(&mut self) -> Option<IommuEvent> {
        self.0.next_event()
    }

    /// SMMU_CMDQ_CONS and SMMU_GERROR.
    fn timeout(&self) -> Option<IommuTimeout> {
        self.0.late
    }
}
