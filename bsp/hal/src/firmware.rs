//! The firmware behind SMC: how it is called, and what of that a host may do.

use leasehold_memory_map::PhysRange;

/// `x0` to `x7` of a call (Arm DEN0028, section 2.6).
pub type SmcRegisters = [u64; 8];

/// Firmware at EL3, and what stands behind it.
pub trait Firmware: Send + Sync {
    /// Whether there is any that the host may call beyond PSCI. A constant, so that other machines pay nothing for it.
    const PRESENT: bool;

    /// Calls it from EL2, with these registers, and gives what it returns in them. How long that takes is the firmware's to
    /// say: no lock may be held that others need meanwhile.
    ///
    /// Whoever calls has made sure that the call exposes no memory: firmware takes physical addresses.
    fn call(&self, registers: SmcRegisters) -> SmcRegisters;
}

/// What machines have whose firmware has nothing for the host but PSCI.
#[derive(Clone, Copy, Debug)]
pub enum NoFirmware {}

impl Firmware for NoFirmware {
    const PRESENT: bool = false;

    fn call(&self, _: SmcRegisters) -> SmcRegisters {
        match *self {}
    }
}

/// What the host may call, and how arguments that are addresses are vetted. What no rule names is refused.
#[derive(Clone, Copy, Debug)]
pub struct SmcPolicy {
    /// Rules, of which the first that names a call is the one for it.
    pub rules: &'static [SmcRule],
    /// Owning entities (DEN0028 section 2.5; bits 29:24 of a function id) whose calls pass as they are where no rule names
    /// them. Firmware takes physical addresses: this is for entities that have no call with one.
    pub passing_owners: &'static [u8],
}

impl SmcPolicy {
    /// Nothing.
    pub const NONE: Self = Self {
        rules: &[],
        passing_owners: &[],
    };
}

/// What becomes of a call.
#[derive(Clone, Copy, Debug)]
pub struct SmcRule {
    /// Its name, for the log.
    pub name: &'static str,
    /// The function id without its two highest bits (fast or yielding, 32 or 64 bit): the rule is for all of them.
    pub function: u32,
    /// What `x1` must be, where that describes the arguments: their number in bits 3:0, and two bits for the type of each
    /// from bit 4 on (Linux `drivers/firmware/qcom/qcom_scm.h`, QCOM_SCM_ARGS). Any after the fourth are in memory, at the
    /// address in `x5`. `None` for calls of which all registers are values.
    pub arginfo: Option<u32>,
    /// What is done.
    pub action: SmcAction,
}

/// A buffer that a call names: arguments are counted from 0, which is in `x2`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SmcBuffer {
    /// The argument that has its physical address.
    pub address: u8,
    /// How long it is.
    pub size: SmcSize,
}

/// How long a buffer is, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SmcSize {
    /// As an argument says.
    Argument(u8),
    /// At most so long, where no argument says so: that much has to be the host's.
    AtMost(u64),
}

/// What is done about a call.
#[derive(Clone, Copy, Debug)]
pub enum SmcAction {
    /// It passes: no argument is an address.
    Pass,
    /// It is refused with this in `x0`.
    Refuse(i64),
    /// These buffers must be the host's own, and stay so while it runs. An empty one at address 0 is none.
    Buffers(&'static [SmcBuffer]),
    /// This memory must be the host's own, and is the firmware's for ever after.
    Give(SmcBuffer),
    /// Argument 0 is the address of a register of 32 bits, which must be in one of these.
    Register(&'static [PhysRange]),
    /// Argument 0 is a function id: whether that may be called is for EL2 to say first.
    IsAvailable,
    /// Argument 0 names a call that waits (`x2` of its last return): it goes on.
    Resume,
    /// Memory changes its owners, by lists: ranges (0, 1), owners (2, 3), new owners with permissions (4, 5).
    AssignMemory,
    /// Memory is shared with secure software, until [`Unshare`](Self::Unshare): address with flags (0), the same as secure
    /// software has it (1), size with flags (2). Returns a handle in `x1`.
    Share,
    /// Argument 0 is the handle of what is shared no more.
    Unshare,
    /// A remote processor's (0) image is described by a buffer (1) of at most so many bytes, which firmware keeps reading
    /// until the processor is stopped.
    ProcessorImage(u64),
    /// A remote processor (0) has its memory at an address (1), so many bytes (2), until it is stopped.
    ProcessorMemory,
    /// A remote processor (0) is to run, which must be one of these: others have streams on no table.
    ProcessorStart(&'static [u32]),
    /// A remote processor (0) is to stop.
    ProcessorStop,
}

/// Qualcomm's convention: arguments, and what a firmware returns in `x0` (Linux `drivers/firmware/qcom/qcom_scm.h`).
pub mod scm {
    /// The most arguments of a call (Linux `drivers/firmware/qcom/qcom_scm.h`, MAX_QCOM_SCM_ARGS).
    pub const MAX_ARGUMENTS: usize = 10;
    /// How many arguments are in registers; from the last of them on they are in memory if there are more.
    pub const IN_REGISTERS: usize = 4;

    /// Done.
    pub const OK: i64 = 0;
    /// Not done yet, since an interrupt is pending: the call goes on by one whose `x0` is this and `x6` the one returned.
    pub const INTERRUPTED: i64 = 1;
    /// Not done yet: it goes on by a call of its own when its wait queue (`x1`) is woken; `x2` names it.
    pub const WAITS: i64 = 2;
    /// Something else is wrong.
    pub const ERROR: i64 = -1;
    /// An argument is wrong.
    pub const BAD_ARGUMENT: i64 = -2;
    /// An address is wrong.
    pub const BAD_ADDRESS: i64 = -3;
    /// There is no such call.
    pub const UNSUPPORTED: i64 = -4;
    /// There is no room for it.
    pub const NO_MEMORY: i64 = -5;
    /// Not now.
    pub const BUSY: i64 = -12;
}
