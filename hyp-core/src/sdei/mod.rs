//! The host's SDEI (Arm DEN0054C, version 1.1): which handlers it has registered, and which of them are running.
//!
//! Pure state, one for all CPUs, behind a lock. Reading the interrupted registers and entering handlers is for the caller:
//! [`Dispatcher::call`] yields an [`Answer`], [`Dispatcher::fault`] and [`Dispatcher::due`] an [`Entry`].
//!
//! There are two events, both private to a PE. There are no shared ones and no interrupts to bind, so what the document
//! says of such events is what it says of events that do not exist: INVALID_PARAMETERS. As there is one event for each
//! priority, "an event of this priority is running" and "this event is running" are the same.
//!
//! What the document leaves open is done as Trusted Firmware-A does it (`services/std_svc/sdei`), except that a call which
//! is refused changes nothing at all: its `SDEI_PRIVATE_RESET` unregisters what it can.

mod pe;

use leasehold_abi::sdei;
use pe::Pe;

/// The events that there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Event {
    /// The one that `SDEI_EVENT_SIGNAL` signals: of normal priority.
    Software,
    /// An access to memory that is not the host's: of critical priority, so that a handler of the other one is told too.
    Fault,
}

impl Event {
    const ALL: [Self; 2] = [Self::Software, Self::Fault];

    /// Its number.
    #[must_use]
    pub const fn number(self) -> u32 {
        match self {
            Self::Software => sdei::EVENT_SOFTWARE,
            Self::Fault => sdei::EVENT_FAULT,
        }
    }

    /// The one that an argument names. Bits 63:32 are not part of a 32-bit argument (DEN0028 section 2.7).
    fn named(argument: u64) -> Result<Self, Error> {
        let number = argument as u32;
        let found = Self::ALL.into_iter().find(|event| event.number() == number);
        found.ok_or(Error::InvalidParameters)
    }
}

/// Why a call is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Error {
    /// There is no such call.
    NotSupported,
    /// There is no such event, PE, interrupt, register, flag or address.
    InvalidParameters,
    /// Not in this state, or not outside of a handler.
    Denied,
    /// Done as far as it can be: the rest when the event's handler completes.
    Pending,
    /// No slots to bind interrupts with.
    OutOfResource,
}

impl Error {
    /// The return code.
    #[must_use]
    pub const fn code(self) -> i64 {
        match self {
            Self::NotSupported => sdei::NOT_SUPPORTED,
            Self::InvalidParameters => sdei::INVALID_PARAMETERS,
            Self::Denied => sdei::DENIED,
            Self::Pending => sdei::PENDING,
            Self::OutOfResource => sdei::OUT_OF_RESOURCE,
        }
    }
}

/// What a handler interrupts, and what comes back when it completes. It never leaves EL2: the host reads its registers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Interrupted {
    /// x0 to x17.
    pub x: [u64; sdei::SAVED_REGISTERS],
    /// Where it was.
    pub pc: u64,
    /// PSTATE, as SPSR_EL2 has it.
    pub pstate: u64,
}

/// A handler that is to be entered: `x0` is the event's number, `x1` the argument, `x2` and `x3` are PC and PSTATE of what
/// is interrupted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    /// What for.
    pub event: Event,
    /// Where the handler is.
    pub address: u64,
    /// What it was registered with.
    pub argument: u64,
}

/// What becomes of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum Answer {
    /// `x0` is this, and the caller goes on.
    Return(i64),
    /// `x0` is 0, and the PE of this number is to look for what is due to it.
    Signalled(usize),
    /// The caller goes on where it was interrupted.
    Complete(Interrupted),
    /// The caller goes on at `at`, as in the handler of an exception that has interrupted it where it was.
    Resume {
        /// What was interrupted.
        interrupted: Interrupted,
        /// Where it goes on.
        at: u64,
    },
}

impl From<Result<i64, Error>> for Answer {
    fn from(result: Result<i64, Error>) -> Self {
        Self::Return(result.unwrap_or_else(Error::code))
    }
}

/// Interrupts that a caller may want to bind: PPIs and SPIs (GIC architecture, IHI 0069, 2.2.1), also of the extended
/// ranges.
const fn is_bindable(interrupt: u64) -> bool {
    matches!(interrupt as u32, 16..=1019 | 1056..=1119 | 4096..=5119)
}

/// The dispatcher of a host with at most `PES` CPUs. `C` is what the handler of [`Event::Fault`] may ask about its cause.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Dispatcher<C, const PES: usize> {
    pes: [Pe<C>; PES],
}

impl<C: Copy, const PES: usize> Dispatcher<C, PES> {
    /// All PEs are masked, and nothing is registered.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            pes: [const { Pe::new() }; PES],
        }
    }

    /// PE number `pe` starts over: masked, and with nothing registered.
    pub fn reset(&mut self, pe: usize) {
        if let Some(pe) = self.pes.get_mut(pe) {
            *pe = Pe::new();
        }
    }

    /// Decides on a call by PE number `pe` with `x1` to `x5` in `args`. `find` gives the number of the host's PE with an
    /// affinity.
    pub fn call(
        &mut self,
        pe: usize,
        function: u32,
        args: [u64; 5],
        find: impl FnOnce(u64) -> Option<usize>,
    ) -> Answer {
        if function == sdei::EVENT_SIGNAL {
            return match self.signal(args[0], find(args[1])) {
                Ok(target) => Answer::Signalled(target),
                Err(error) => Answer::Return(error.code()),
            };
        }
        match self.pes.get_mut(pe) {
            Some(pe) => pe.call(function, args),
            None => Answer::Return(sdei::DENIED),
        }
    }

    /// The event has edge-triggered semantics. Where it is not registered nobody waits for it
    /// (section 5.1.16.1).
    fn signal(&mut self, event: u64, target: Option<usize>) -> Result<usize, Error> {
        if Event::named(event)? != Event::Software {
            return Err(Error::InvalidParameters);
        }
        let number = target.ok_or(Error::InvalidParameters)?;
        let target = self.pes.get_mut(number).ok_or(Error::InvalidParameters)?;
        target.signal();
        Ok(number)
    }

    /// PE number `pe` has made an access to memory that is not its own, because of which `interrupted` does not go on. The
    /// handler that is to be entered, if one is there and may be.
    pub fn fault(&mut self, pe: usize, interrupted: &Interrupted, cause: C) -> Option<Entry> {
        self.pes.get_mut(pe)?.enter(Event::Fault, interrupted, Some(cause))
    }

    /// The handler that PE number `pe` is to enter instead of going on with `interrupted`, if an event is pending that may
    /// be told.
    pub fn due(&mut self, pe: usize, interrupted: &Interrupted) -> Option<Entry> {
        self.pes.get_mut(pe)?.due(interrupted)
    }

    /// Why the handler of [`Event::Fault`] is running on PE number `pe`, if it is.
    #[must_use]
    pub fn cause(&self, pe: usize) -> Option<C> {
        self.pes.get(pe)?.cause()
    }
}

impl<C: Copy, const PES: usize> Default for Dispatcher<C, PES> {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
#[path = "tests/mod.rs"]
mod tests;
