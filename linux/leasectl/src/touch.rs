//! Touching memory, and seeing what comes of it.
//!
//! The touch is made by a process of its own that shares this one's address space (`clone` with `CLONE_VM`): the very
//! same mapping, but whatever the access brings, a signal, death or a loop that never ends, this process lives on.

use anyhow::{Context, Result};
use nix::errno::Errno;
use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, Signal, kill, sigaction};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;
use std::fmt;
use std::ptr::NonNull;
use std::sync::Mutex;
use std::sync::atomic::{AtomicI32, AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// How long a touch may take before it counts as stuck.
const PATIENCE: Duration = Duration::from_secs(2);
/// How often to look whether it is done.
const POLL: Duration = Duration::from_millis(1);
/// Stack of the process that touches: it calls a handful of functions, and takes one signal (whose frame has the
/// vector registers, 8 KiB and more with SVE).
const STACK: usize = 256 << 10;

/// What to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Load a byte.
    Read,
    /// Store this byte.
    Write(u8),
    /// Call it as a function.
    Execute,
}

/// What came of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The access went through; a load gave this byte.
    Done(u8),
    /// A signal with a handler.
    Signal {
        /// `si_signo`.
        number: i32,
        /// `si_code`.
        code: i32,
        /// `si_addr`.
        address: usize,
        /// The instruction.
        pc: u64,
    },
    /// The process was killed without its handler being run.
    Killed(Signal),
    /// It was still at it after two seconds.
    Stuck,
}

/// What the touching process leaves behind; it shares these with this one.
struct Record {
    number: AtomicI32,
    code: AtomicI32,
    address: AtomicUsize,
    pc: AtomicU64,
    value: AtomicI32,
}

static RECORD: Record = Record {
    number: AtomicI32::new(0),
    code: AtomicI32::new(0),
    address: AtomicUsize::new(0),
    pc: AtomicU64::new(0),
    value: AtomicI32::new(-1),
};

/// One touch at a time: there is one [`RECORD`].
static ONE: Mutex<()> = Mutex::new(());

/// Touches the byte at `address`, which is mapped in this process, and not a part of any Rust object.
///
/// # Errors
/// When the process that is to touch cannot be made.
pub fn touch(address: NonNull<u8>, access: Access) -> Result<Outcome> {
    let _one = ONE.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    RECORD.number.store(0, Ordering::SeqCst);
    RECORD.value.store(-1, Ordering::SeqCst);

    let task = Task { address, access };
    let mut stack = vec![0_u128; STACK / 16];
    let top = stack.as_mut_ptr_range().end.cast();
    let argument = (&raw const task).cast_mut().cast();
    // SAFETY: the child shares this address space and runs on `stack`, from its top, which is aligned to 16, down.
    // `stack` and `task` outlive it: `wait` returns only when it is gone. It makes system calls that do not fail (so
    // errno, which it shares, stays as it is), touches the one byte, writes to atomics, and takes no lock.
    let pid = unsafe { nix::libc::clone(child, top, nix::libc::CLONE_VM | nix::libc::SIGCHLD, argument) };
    let pid = Errno::result(pid).context("cannot make a process to touch memory")?;
    let outcome = wait(Pid::from_raw(pid));
    drop(stack);
    outcome
}

/// What the process that touches is to do.
struct Task {
    address: NonNull<u8>,
    access: Access,
}

/// Runs in the process that touches.
extern "C" fn child(task: *mut core::ffi::c_void) -> i32 {
    // SAFETY: this is the task that `touch` has passed, and keeps until this process is gone.
    let Task { address, access } = unsafe { task.cast::<Task>().read() };
    let action = SigAction::new(SigHandler::SigAction(on_signal), SaFlags::SA_SIGINFO, SigSet::all());
    for signal in [Signal::SIGBUS, Signal::SIGSEGV, Signal::SIGILL] {
        // SAFETY: `on_signal` is async-signal-safe. Without CLONE_SIGHAND the table of handlers is this process's own.
        if unsafe { sigaction(signal, &action) }.is_err() {
            return 1;
        }
    }
    let value = match access {
        // SAFETY: the caller vouches that the byte is mapped and no Rust object. A fault runs `on_signal`, which
        // does not come back.
        Access::Read => unsafe { address.read_volatile() },
        Access::Write(value) => {
            // SAFETY: as above.
            unsafe { address.write_volatile(value) };
            value
        }
        Access::Execute => {
            // SAFETY: a function pointer is an address. Whatever instructions are there, this process, which is made
            // for it, runs them; zeroes are an undefined instruction, which runs `on_signal`.
            let function: extern "C" fn() = unsafe { core::mem::transmute(address) };
            function();
            0
        }
    };
    RECORD.value.store(value.into(), Ordering::SeqCst);
    0
}

extern "C" fn on_signal(number: i32, info: *mut nix::libc::siginfo_t, context: *mut core::ffi::c_void) {
    // SAFETY: with SA_SIGINFO the kernel passes a valid siginfo_t, which for these signals has an address, and a
    // valid ucontext_t.
    let (code, address, pc) = unsafe { ((*info).si_code, (*info).si_addr(), pc(context.cast())) };
    RECORD.code.store(code, Ordering::SeqCst);
    RECORD.address.store(address.addr(), Ordering::SeqCst);
    RECORD.pc.store(pc, Ordering::SeqCst);
    RECORD.number.store(number, Ordering::SeqCst);
    // SAFETY: ends this process only, at once, without running anything of the one whose memory it shares.
    unsafe { nix::libc::_exit(0) }
}

/// The instruction that a signal came at.
///
/// # Safety
/// The context is the one that the kernel passed to a signal handler.
#[cfg(target_arch = "aarch64")]
unsafe fn pc(context: *const nix::libc::ucontext_t) -> u64 {
    // SAFETY: the caller vouches for the pointer.
    unsafe { (*context).uc_mcontext.pc }
}

/// The instruction that a signal came at: for unit tests on the build machine.
///
/// # Safety
/// The context is the one that the kernel passed to a signal handler.
#[cfg(target_arch = "x86_64")]
unsafe fn pc(context: *const nix::libc::ucontext_t) -> u64 {
    // SAFETY: the caller vouches for the pointer.
    unsafe { (*context).uc_mcontext.gregs[nix::libc::REG_RIP as usize].cast_unsigned() }
}

fn wait(pid: Pid) -> Result<Outcome> {
    let start = Instant::now();
    let mut stuck = false;
    loop {
        let flags = if stuck { None } else { Some(WaitPidFlag::WNOHANG) };
        let status = match waitpid(pid, flags) {
            Err(Errno::EINTR) => continue,
            status => status.context("cannot wait for the process that touches memory")?,
        };
        match status {
            WaitStatus::StillAlive if start.elapsed() < PATIENCE => std::thread::sleep(POLL),
            WaitStatus::StillAlive => {
                // A loop of faults at EL0 can be killed: its stack may only go once it has.
                kill(pid, Signal::SIGKILL).context("cannot kill the process that touches memory")?;
                stuck = true;
            }
            _ if stuck => return Ok(Outcome::Stuck),
            WaitStatus::Signaled(_, signal, _) => return Ok(Outcome::Killed(signal)),
            _ => return outcome(),
        }
    }
}

fn outcome() -> Result<Outcome> {
    let number = RECORD.number.load(Ordering::SeqCst);
    if number != 0 {
        return Ok(Outcome::Signal {
            number,
            code: RECORD.code.load(Ordering::SeqCst),
            address: RECORD.address.load(Ordering::SeqCst),
            pc: RECORD.pc.load(Ordering::SeqCst),
        });
    }
    let value = RECORD.value.load(Ordering::SeqCst);
    u8::try_from(value)
        .map(Outcome::Done)
        .context("the process that touches memory could not take signals")
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Outcome::Done(value) => write!(f, "went through ({value:#04x})"),
            Outcome::Signal {
                number, code, address, ..
            } => {
                let name = Signal::try_from(number).map_or("an unknown signal", Signal::as_str);
                match code_name(number, code) {
                    Some(code) => write!(f, "{name} {code} at {address:#x}"),
                    None => write!(f, "{name} code {code} at {address:#x}"),
                }
            }
            Outcome::Killed(signal) => write!(f, "killed by {signal}"),
            Outcome::Stuck => f.write_str("stuck, tried again and again"),
        }
    }
}

fn code_name(number: i32, code: i32) -> Option<&'static str> {
    use nix::libc::{SIGBUS, SIGSEGV};
    Some(match (number, code) {
        (SIGBUS, BUS_ADRALN) => "BUS_ADRALN",
        (SIGBUS, 2) => "BUS_ADRERR",
        (SIGBUS, BUS_OBJERR) => "BUS_OBJERR",
        (SIGSEGV, 1) => "SEGV_MAPERR",
        (SIGSEGV, 2) => "SEGV_ACCERR",
        (SIGSEGV, SEGV_MTESERR) => "SEGV_MTESERR",
        _ => return None,
    })
}

/// `si_code` of SIGBUS: an address that is not aligned (Linux, asm-generic/siginfo.h).
pub const BUS_ADRALN: i32 = 1;
/// `si_code` of SIGBUS: an error of the object that is mapped.
pub const BUS_OBJERR: i32 = 3;
/// `si_code` of SIGSEGV: a synchronous tag check fault.
pub const SEGV_MTESERR: i32 = 9;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::memory::{Memory, PAGE};

    #[test]
    fn own_memory_can_be_touched() {
        let memory = Memory::new(PAGE, 0).unwrap();
        assert_eq!(
            touch(memory.at(8, 1), Access::Write(0x5a)).unwrap(),
            Outcome::Done(0x5a)
        );
        assert_eq!(memory.read(8), 0x5a);
        assert_eq!(touch(memory.at(8, 1), Access::Read).unwrap(), Outcome::Done(0x5a));
    }

    #[test]
    fn a_refused_touch_is_reported_and_survived() {
        let file = std::fs::OpenOptions::new()
            .read(true)
            .write(true)
            .open("/dev/zero")
            .unwrap();
        let length = std::num::NonZeroUsize::new(PAGE).unwrap();
        let (prot, flags) = (
            nix::sys::mman::ProtFlags::PROT_NONE,
            nix::sys::mman::MapFlags::MAP_PRIVATE,
        );
        // SAFETY: a new mapping, which nothing refers to.
        let page = unsafe { nix::sys::mman::mmap(None, length, prot, flags, file, 0) }.unwrap();
        for access in [Access::Read, Access::Write(1)] {
            let Outcome::Signal {
                number,
                code,
                address,
                pc,
            } = touch(page.cast(), access).unwrap()
            else {
                panic!("no signal");
            };
            assert_eq!((number, code, address), (nix::libc::SIGSEGV, 2, page.as_ptr().addr()));
            assert_ne!(pc, 0);
        }
    }
}
