//! Memory gets new owners: the call and its lists, and EL2's memory controller made of it.

use super::{ARGUMENT_BYTES, Argument, Command, Pace, Scm, ScmError, pair};
use crate::mmio::Io;
use leasehold_hal::{AssignError, Firmware, MemoryController, MemoryFault, MemoryOwner};
use leasehold_memory_map::{Address, PageRange, PhysAddr};

/// The most ranges of a call: what TF-A takes (`qti_syscall.c`, QTI_VM_MAX_LIST_SIZE is 32 for memory).
pub const MAX_RANGES: usize = 32;

/// The most owners, old or new, of a call here.
const MAX_OWNERS: usize = 8;

/// Each list starts at a multiple of that (Linux `qcom_scm.c`, qcom_scm_assign_mem).
const ALIGNMENT: usize = 64;

/// Where the lists are, behind arguments that do not fit in registers.
const SOURCES: usize = ALIGNMENT;
const RANGES: usize = SOURCES + (MAX_OWNERS * 4).next_multiple_of(ALIGNMENT);
const RANGE_BYTES: usize = 16;
const OWNER_BYTES: usize = 24;

const _: () = assert!(
    RANGES + MAX_RANGES * RANGE_BYTES + MAX_OWNERS * OWNER_BYTES <= ARGUMENT_BYTES,
    "the lists fit"
);

/// Numbers of owners (Linux `include/dt-bindings/firmware/qcom,scm.h`).
pub mod vmid {
    /// The high-level operating system: the application CPUs outside of the secure world, and what works for them.
    pub const HLOS: u32 = 0x3;
    /// The modem's memory that Linux loads (MSS_MSA).
    pub const MSS_MSA: u32 = 0xf;
    /// A trusted VM on the application CPUs.
    pub const TVM: u32 = 0x2d;
}

/// What an owner may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Perms(pub u32);

impl Perms {
    /// Read, write and execute (Linux `qcom_scm.h`, QCOM_SCM_PERM_RWX).
    pub const ALL: Self = Self(0b111);
}

/// A new owner of memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NewOwner {
    /// Its number.
    pub vmid: u32,
    /// What it may do.
    pub perms: Perms,
}

impl<F: Firmware, I: Io> Scm<F, I> {
    /// Gives `ranges`, at most [`MAX_RANGES`] of which `from` are just the owners, to the owners `to`.
    ///
    /// # Errors
    /// [`ScmError::Arguments`] for lists that are empty or too long, else as [`call`](Self::call).
    pub fn assign(
        &mut self,
        pace: Pace,
        ranges: &[PageRange<PhysAddr>],
        from: &[u32],
        to: &[NewOwner],
    ) -> Result<(), ScmError> {
        let fits = |len: usize, most: usize| (1..=most).contains(&len);
        if !(fits(ranges.len(), MAX_RANGES) && fits(from.len(), MAX_OWNERS) && fits(to.len(), MAX_OWNERS)) {
            return Err(ScmError::Arguments);
        }
        if self.is_unfinished() {
            // Firmware may still read its lists.
            self.take_up()?;
        }
        self.store_words(SOURCES, from.iter().copied());
        for (n, range) in ranges.iter().enumerate() {
            let at = RANGES + RANGE_BYTES * n;
            self.store(at, range.start().get());
            self.store(at + 8, range.bytes().len());
        }
        let owners = RANGES + (RANGE_BYTES * ranges.len()).next_multiple_of(ALIGNMENT);
        for (n, owner) in to.iter().enumerate() {
            let at = owners + OWNER_BYTES * n;
            // No context, whose address and size follow.
            self.store(at, pair(owner.vmid, owner.perms.0));
            self.store(at + 8, 0);
            self.store(at + 16, 0);
        }
        self.publish(owners + OWNER_BYTES * to.len());
        let address = |offset: usize| Argument::ReadOnly(self.address().get() + offset as u64);
        let size = |len: usize| Argument::Value(len as u64);
        let arguments = [
            address(RANGES),
            size(RANGE_BYTES * ranges.len()),
            address(SOURCES),
            size(4 * from.len()),
            address(owners),
            size(OWNER_BYTES * to.len()),
            Argument::Value(0),
        ];
        self.call(Command::ASSIGN, pace, &arguments).map(|_| ())
    }

    const fn address(&self) -> PhysAddr {
        self.at
    }

    const fn is_unfinished(&self) -> bool {
        self.unfinished.is_some()
    }

    /// Goes on with the call that is not finished.
    fn take_up(&mut self) -> Result<(), ScmError> {
        match self.unfinished.take().map(|registers| self.finish(registers)) {
            Some(Err(ScmError::Unfinished)) => Err(ScmError::Unfinished),
            _ => Ok(()),
        }
    }
}

/// To whom EL2 gives memory by it.
#[derive(Clone, Copy, Debug)]
pub struct AssignConfig {
    /// How EL2 calls. EL2 has the host's interrupts masked: a yielding call that is interrupted comes back at once, until
    /// the host has taken the interrupt.
    pub pace: Pace,
    /// Who has what is the host's.
    pub host: &'static [NewOwner],
    /// Who has what is lent. The CPUs outside of the secure world must be among those that reach it: guests run on them.
    pub borrower: &'static [NewOwner],
}

/// A memory controller that secure firmware programs.
#[derive(Debug)]
pub struct ScmMemory<F, I> {
    pub(super) channel: Scm<F, I>,
    pub(super) config: AssignConfig,
}

impl<F: Firmware, I: Io> ScmMemory<F, I> {
    /// That of the firmware behind `channel`.
    ///
    /// # Errors
    /// [`ScmError::Code`] where firmware says that it cannot move memory.
    pub fn new(mut channel: Scm<F, I>, config: AssignConfig) -> Result<Self, ScmError> {
        if !channel.is_available(Command::ASSIGN)? {
            return Err(ScmError::Code(leasehold_hal::scm::UNSUPPORTED));
        }
        Ok(Self { channel, config })
    }

    fn owners(&self, owner: MemoryOwner) -> &'static [NewOwner] {
        match owner {
            MemoryOwner::Host => self.config.host,
            MemoryOwner::Borrower => self.config.borrower,
        }
    }

    fn give(&mut self, ranges: &[PageRange<PhysAddr>], from: MemoryOwner, to: MemoryOwner) -> Result<(), ScmError> {
        let mut sources = [0; MAX_OWNERS];
        let from = self.owners(from);
        for (source, owner) in sources.iter_mut().zip(from) {
            *source = owner.vmid;
        }
        let to = self.owners(to);
        let from = sources.get(..from.len()).ok_or(ScmError::Arguments)?;
        self.channel.assign(self.config.pace, ranges, from, to)
    }

    /// Moves a range that may be there already: firmware takes sources for wrong then, but not if they are the new owners.
    fn move_one(&mut self, range: PageRange<PhysAddr>, to: MemoryOwner) -> Result<(), ScmError> {
        match self.give(&[range], other(to), to) {
            Err(ScmError::Code(code)) if code != leasehold_hal::scm::BUSY => match self.give(&[range], to, to) {
                Err(ScmError::Code(_)) => Err(ScmError::Code(code)),
                done => done,
            },
            done => done,
        }
    }
}

impl<F: Firmware, I: Io + Send> MemoryController for ScmMemory<F, I> {
    const MOVES: bool = true;

    fn assign(&mut self, ranges: &[PageRange<PhysAddr>], to: MemoryOwner) -> Result<(), AssignError> {
        let mut moved = 0;
        for batch in ranges.chunks(MAX_RANGES) {
            match self.give(batch, other(to), to) {
                Ok(()) => moved += batch.len(),
                Err(ScmError::Code(code)) if code != leasehold_hal::scm::BUSY => {
                    for range in batch {
                        self.move_one(*range, to).map_err(|error| failed(error, moved))?;
                        moved += 1;
                    }
                }
                Err(error) => return Err(failed(error, moved)),
            }
        }
        Ok(())
    }

    fn check(&mut self, _: &mut dyn FnMut(MemoryFault)) {}
}

const fn other(owner: MemoryOwner) -> MemoryOwner {
    match owner {
        MemoryOwner::Host => MemoryOwner::Borrower,
        MemoryOwner::Borrower => MemoryOwner::Host,
    }
}

const fn failed(error: ScmError, moved: usize) -> AssignError {
    match (error, moved) {
        (ScmError::Unfinished, _) => AssignError::Late,
        (ScmError::Code(code), 0) => AssignError::Refused(code),
        (ScmError::Code(code), moved) => AssignError::Partial { moved, code },
        (ScmError::Arguments | ScmError::NoConvention, moved) => AssignError::Partial {
            moved,
            code: leasehold_hal::scm::BAD_ARGUMENT,
        },
    }
}
