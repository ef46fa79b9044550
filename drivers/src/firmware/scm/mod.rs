//! Qualcomm's secure channel manager: calls to the secure monitor, and the one that moves memory between masters.
//!
//! Linux `drivers/firmware/qcom/qcom_scm.c`, `qcom_scm-smc.c` and `qcom_scm.h`; TF-A `plat/qti/common/src/qti_syscall.c`. No
//! other public source is known. Of what is open: whether the firmware of a board answers the memory call when the vendor's
//! hypervisor has left (TF-A does), whether as a fast call, and whether owners can be named as new owners of what they have.

mod assign;
#[cfg(any(test, feature = "model"))]
pub mod model;
#[cfg(test)]
mod tests;

pub use assign::{AssignConfig, MAX_RANGES, NewOwner, Perms, ScmMemory, vmid};

use crate::cpu;
use crate::mmio::Io;
use leasehold_hal::scm::{self, IN_REGISTERS, MAX_ARGUMENTS};
use leasehold_hal::{Firmware, SmcRegisters};
use leasehold_memory_map::{Address, PAGE_SIZE, PhysAddr, PhysRange};

/// Bytes of the memory in which arguments are passed, aligned to as many.
pub const ARGUMENT_BYTES: usize = PAGE_SIZE as usize;

/// How often a call that was interrupted, or that waits, is taken up again before it is left for later.
const RESUMES: u32 = 64;

/// How often a call is made that finds the firmware busy (Linux `qcom_scm-smc.c`, QCOM_SCM_EBUSY_MAX_RETRY).
const BUSY_TRIES: u32 = 20;

/// SiP service calls (DEN0028 section 2.5).
const SIP: u32 = 2 << 24;

/// Bits of a function id.
const FAST: u32 = 1 << 31;
const CONVENTION_64: u32 = 1 << 30;

/// A service's command: the low half of the function id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Command {
    /// The service.
    pub service: u8,
    /// The command.
    pub command: u8,
}

impl Command {
    /// Whether there is a call of this id.
    pub const IS_CALL_AVAILABLE: Self = Self::new(0x06, 0x01);
    /// Memory gets new owners.
    pub const ASSIGN: Self = Self::new(0x0c, 0x16);
    /// A call that waits goes on.
    pub const RESUME: Self = Self::new(0x24, 0x02);

    /// Command `command` of `service`.
    #[must_use]
    pub const fn new(service: u8, command: u8) -> Self {
        Self { service, command }
    }

    /// The function id without the bits that say how it is called.
    #[must_use]
    pub const fn function(self) -> u32 {
        SIP | (self.service as u32) << 8 | self.command as u32
    }
}

/// How firmware takes its arguments.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Convention {
    /// 64 bits each.
    Smc64,
    /// 32 bits each.
    Smc32,
}

/// Whether firmware may put a call off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pace {
    /// It is done when it returns.
    Fast,
    /// It may return when an interrupt is pending, and be taken up again.
    Yielding,
}

/// An argument.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Argument {
    /// A value.
    Value(u64),
    /// The address of memory that firmware reads.
    ReadOnly(u64),
    /// The address of memory that firmware reads and writes.
    ReadWrite(u64),
}

impl Argument {
    /// Its two bits in the description of arguments (`qcom_scm.h`, QCOM_SCM_VAL, QCOM_SCM_RO, QCOM_SCM_RW).
    const fn kind(self) -> u64 {
        match self {
            Self::Value(_) => 0,
            Self::ReadOnly(_) => 1,
            Self::ReadWrite(_) => 2,
        }
    }

    const fn value(self) -> u64 {
        match self {
            Self::Value(value) | Self::ReadOnly(value) | Self::ReadWrite(value) => value,
        }
    }
}

/// Why a call has no result.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum ScmError {
    /// The firmware's own code. For a wrong argument or address, an unsupported call or a busy firmware nothing was done; else
    /// some of it may have been.
    Code(i64),
    /// It is not finished, within the bound. The next call takes it up first.
    Unfinished,
    /// There are too many arguments, or one is too wide for the convention.
    Arguments,
    /// The firmware has neither convention.
    NoConvention,
}

impl core::fmt::Display for ScmError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Self::Code(code) => write!(f, "firmware says {code}"),
            Self::Unfinished => f.write_str("firmware has not finished in time"),
            Self::Arguments => f.write_str("arguments that the convention has no room for"),
            Self::NoConvention => f.write_str("firmware has no known calling convention"),
        }
    }
}

impl core::error::Error for ScmError {}

/// The channel.
#[derive(Debug)]
pub struct Scm<F, I> {
    firmware: F,
    /// What firmware reads arguments from.
    memory: I,
    at: PhysAddr,
    convention: Convention,
    /// The registers by which a call that is not finished goes on.
    unfinished: Option<SmcRegisters>,
}

impl<F: Firmware, I: Io> Scm<F, I> {
    /// The channel to `firmware`, which is asked for its convention. `memory` is `range`, as the program and as firmware sees
    /// it: [`ARGUMENT_BYTES`] aligned to as many, of nobody else's.
    ///
    /// # Errors
    /// [`ScmError::NoConvention`].
    ///
    /// # Safety
    /// `range` is mapped at its own addresses as write-back memory, for as long as the value lives.
    pub unsafe fn find(firmware: F, memory: I, range: PhysRange) -> Result<Self, ScmError> {
        if range.len() < ARGUMENT_BYTES as u64 || !range.start().is_aligned(ARGUMENT_BYTES as u64) {
            return Err(ScmError::Arguments);
        }
        let mut channel = Self {
            firmware,
            memory,
            at: range.start(),
            convention: Convention::Smc64,
            unfinished: None,
        };
        for convention in [Convention::Smc64, Convention::Smc32] {
            channel.convention = convention;
            if channel.is_available(Command::IS_CALL_AVAILABLE).is_ok_and(|is| is) {
                return Ok(channel);
            }
        }
        Err(ScmError::NoConvention)
    }

    /// How firmware takes arguments.
    pub const fn convention(&self) -> Convention {
        self.convention
    }

    /// Whether firmware has a command.
    ///
    /// # Errors
    /// As [`call`](Self::call).
    pub fn is_available(&mut self, command: Command) -> Result<bool, ScmError> {
        let argument = Argument::Value(command.function().into());
        self.call(Command::IS_CALL_AVAILABLE, Pace::Fast, &[argument])
            .map(|[first, ..]| first == 1)
    }

    /// Calls a command, and gives what firmware returns in `x1` to `x3`. A call of before that is not finished goes first. Bounded by
    /// [`RESUMES`] and [`BUSY_TRIES`] calls for each of the two.
    ///
    /// # Errors
    /// [`ScmError`].
    pub fn call(&mut self, command: Command, pace: Pace, arguments: &[Argument]) -> Result<[u64; 3], ScmError> {
        if let Some(registers) = self.unfinished.take() {
            // What became of it is not this caller's concern, if only it has ended.
            if self.finish(registers) == Err(ScmError::Unfinished) {
                return Err(ScmError::Unfinished);
            }
        }
        let registers = self.registers(command, pace, arguments)?;
        self.finish(registers)
    }

    fn registers(&self, command: Command, pace: Pace, arguments: &[Argument]) -> Result<SmcRegisters, ScmError> {
        let wide = self.convention == Convention::Smc64;
        let fits = |argument: &Argument| wide || argument.value() >> 32 == 0;
        if arguments.len() > MAX_ARGUMENTS || !arguments.iter().all(fits) {
            return Err(ScmError::Arguments);
        }
        let kinds = arguments
            .iter()
            .zip(0..)
            .map(|(argument, n)| argument.kind() << (4 + 2 * n));
        let mut registers = [0; 8];
        registers[0] = self.function(command, pace);
        registers[1] = kinds.fold(arguments.len() as u64, |info, kind| info | kind);
        for (register, argument) in registers[2..].iter_mut().zip(arguments).take(IN_REGISTERS) {
            *register = argument.value();
        }
        if arguments.len() > IN_REGISTERS {
            let rest = &arguments[IN_REGISTERS - 1..];
            if wide {
                for (n, argument) in rest.iter().enumerate() {
                    self.store(n * 8, argument.value());
                }
            } else {
                self.store_words(0, rest.iter().map(|argument| argument.value() as u32));
            }
            self.publish(rest.len() * 8);
            registers[1 + IN_REGISTERS] = self.at.get();
        }
        Ok(registers)
    }

    fn function(&self, command: Command, pace: Pace) -> u64 {
        let wide = if self.convention == Convention::Smc64 {
            CONVENTION_64
        } else {
            0
        };
        let fast = if pace == Pace::Fast { FAST } else { 0 };
        u64::from(command.function() | wide | fast)
    }

    /// Makes the call in `registers` and goes on with it until it ends, or the bound is reached.
    fn finish(&mut self, mut registers: SmcRegisters) -> Result<[u64; 3], ScmError> {
        let (mut resumes, mut tries) = (0, 0);
        loop {
            let returned = self.firmware.call(registers);
            // A status has 32 bits, whatever the convention.
            match i64::from(returned[0] as i32) {
                scm::OK => return Ok([returned[1], returned[2], returned[3]]),
                scm::INTERRUPTED => {
                    registers[0] = scm::INTERRUPTED as u64;
                    registers[6] = returned[6];
                    resumes += 1;
                }
                scm::WAITS => {
                    registers = [0; 8];
                    registers[0] = self.function(Command::RESUME, Pace::Yielding);
                    registers[1] = 1;
                    registers[2] = returned[2];
                    resumes += 1;
                }
                scm::BUSY if tries < BUSY_TRIES => tries += 1,
                code => return Err(ScmError::Code(code)),
            }
            if resumes > RESUMES {
                self.unfinished = Some(registers);
                return Err(ScmError::Unfinished);
            }
        }
    }

    fn store(&self, offset: usize, value: u64) {
        self.memory.store(offset, value);
    }

    /// Stores words of 32 bits, with zeroes up to the next multiple of 64 bits.
    fn store_words(&self, offset: usize, mut words: impl Iterator<Item = u32>) {
        let mut at = offset;
        while let Some(word) = words.next() {
            self.store(at, pair(word, words.next().unwrap_or(0)));
            at += 8;
        }
    }

    /// Lets firmware see the first `len` bytes, also if it reads past the caches.
    fn publish(&self, len: usize) {
        self.memory.publish();
        // SAFETY: `find`'s caller vouches for the range, and `len` is within it.
        unsafe { cpu::clean(self.at.get(), len as u64) }
    }
}

/// Two words, the first one lower in memory.
const fn pair(first: u32, second: u32) -> u64 {
    first as u64 | (second as u64) << 32
}
