//! `leasectl touch ACCESS`: lends a page, has it accessed in one way, and prints what was seen. The process may not
//! survive it, so `leasectl matrix` starts one for each access.

use super::alive::pin;
use super::lent::{Lent, OWN};
use super::seen::Seen;
use super::{kcore, program32, system_call};
use crate::matrix_device::{KernelAccess, KernelContext, MatrixDevice, Touch};
use crate::memory::PAGE;
use crate::touch::{Access, Outcome, touch};
use anyhow::{Context, Result, bail};
use nix::errno::Errno;
use nix::sys::mman::MmapAdvise;
use nix::sys::resource::{Resource, setrlimit};
use nix::sys::signal::Signal;
use std::os::unix::process::ExitStatusExt;
use std::process::{Command, ExitStatus};
use std::ptr::NonNull;

/// The CPU that touches. Another one watches: a kernel that is caught in a loop may let nothing else run there.
const CPU: usize = 1;
/// What is written: neither zero nor what memory that stays has in it.
const WRITTEN: u64 = 0xd7d6_d5d4_d3d2_d1d0;
/// How many bytes of the page that stays `load_unaligned_zeropad` reads; the others of its eight are lent.
const BELOW: u64 = 3;

/// The one that is made so often in a row that it looks like a loop.
pub const AGAIN: &str = "read-again";

/// Makes one access.
#[derive(clap::Args, Clone, Debug)]
pub struct Args {
    /// Which.
    access: String,
}

/// Makes the access, on memory that is lent.
type Make = fn(&Lent) -> Result<Seen>;

/// Accesses of a process to its own mapping, from EL0.
const USER: [(&str, Make); 3] = [
    ("user-read", |lent| from_el0(lent, Access::Read)),
    ("user-write", |lent| from_el0(lent, Access::Write(WRITTEN as u8))),
    ("user-exec", |lent| {
        lent.memory().make_executable()?;
        from_el0(lent, Access::Execute)
    }),
];

/// Accesses that the kernel makes on behalf of a process, in a system call.
const CALLS: [(&str, Make); 5] = [
    ("read", system_call::read),
    (AGAIN, system_call::read_again),
    ("write", system_call::write),
    ("futex-wait", system_call::futex_wait),
    ("futex-wake-op", system_call::futex_wake_op),
];

/// Accesses of the test module.
const KERNEL: [(&str, KernelAccess, KernelContext); 16] = [
    ("get-user", KernelAccess::GetUser, KernelContext::Task),
    ("put-user", KernelAccess::PutUser, KernelContext::Task),
    ("kernel-nofault", KernelAccess::NoFault, KernelContext::Task),
    ("kernel-zeropad", KernelAccess::ZeroPad, KernelContext::Task),
    ("kernel-zeropad-irq", KernelAccess::ZeroPad, KernelContext::Interrupt),
    ("kernel-read", KernelAccess::Read, KernelContext::Task),
    ("kernel-read-nopreempt", KernelAccess::Read, KernelContext::NoPreemption),
    ("kernel-read-irq", KernelAccess::Read, KernelContext::Interrupt),
    ("kernel-write", KernelAccess::Write, KernelContext::Task),
    (
        "kernel-write-nopreempt",
        KernelAccess::Write,
        KernelContext::NoPreemption,
    ),
    ("kernel-write-irq", KernelAccess::Write, KernelContext::Interrupt),
    ("kernel-memcpy", KernelAccess::Memcpy, KernelContext::Task),
    ("kernel-atomic", KernelAccess::Atomic, KernelContext::Task),
    ("kernel-exclusive", KernelAccess::Exclusive, KernelContext::Task),
    ("dma-read", KernelAccess::DmaRead, KernelContext::Task),
    ("dma-write", KernelAccess::DmaWrite, KernelContext::Task),
];

/// Accesses on behalf of another process, or of none.
const OTHERS: [(&str, Make); 5] = [
    ("ptrace", |lent| peer("ptrace", lent)),
    ("process-vm-readv", |lent| peer("process-vm-readv", lent)),
    ("proc-mem", |lent| peer("proc-mem", lent)),
    ("proc-kcore", |lent| kcore::read(lent.physical)),
    ("core-dump", core_dump),
];

/// Runs the command.
///
/// # Errors
/// When the access cannot be made.
pub fn run(args: &Args) -> Result<bool> {
    pin(CPU)?;
    println!("{}", make(&args.access)?);
    Ok(true)
}

fn make(name: &str) -> Result<Seen> {
    if let Some((_, access, context)) = KERNEL.iter().find(|(known, ..)| *known == name) {
        return in_kernel(&Lent::new()?, *access, *context);
    }
    if name == program32::NAME {
        return program32::read();
    }
    let found = USER
        .iter()
        .chain(&CALLS)
        .chain(&OTHERS)
        .find(|(known, _)| *known == name);
    let (_, make) = found.with_context(|| format!("no access is called {name}"))?;
    make(&Lent::new()?)
}

fn from_el0(lent: &Lent, access: Access) -> Result<Seen> {
    let pointer = NonNull::new(lent.pointer()).context("no address")?;
    Ok(match touch(pointer, access)? {
        // Zeroes are an undefined instruction: it was fetched.
        Outcome::Signal { number, .. } if access == Access::Execute && number == Signal::SIGILL as i32 => Seen::Done,
        Outcome::Done(_) => Seen::Done,
        Outcome::Signal { number, code, .. } => Seen::Signal(Signal::try_from(number)?, code),
        Outcome::Killed(signal) => Seen::Killed(signal),
        Outcome::Stuck => Seen::Stuck,
    })
}

fn in_kernel(lent: &Lent, access: KernelAccess, context: KernelContext) -> Result<Seen> {
    let below = if access == KernelAccess::ZeroPad { BELOW } else { 0 };
    let mut touch = Touch {
        access: access as u32,
        context: context as u32,
        user: lent.address as u64,
        physical: lent.physical - below,
        value: WRITTEN,
        result: 0,
    };
    let touched = MatrixDevice::open()?.touch(&mut touch);
    touched.context("the module refuses the access")?;
    Ok(match (access, touch.result) {
        // Little-endian: what comes first is least.
        (KernelAccess::ZeroPad, 0) if touch.value == OWN >> (64 - 8 * BELOW) => Seen::Right,
        (KernelAccess::ZeroPad, 0) => Seen::Wrong(touch.value),
        (_, 0) => Seen::Done,
        (_, error) => Seen::Error(Errno::from_raw(-i32::try_from(error)?)),
    })
}

/// Has another process access this one's memory.
fn peer(how: &str, lent: &Lent) -> Result<Seen> {
    let (pid, address) = (std::process::id().to_string(), lent.address.to_string());
    let mut peer = Command::new(std::env::current_exe()?);
    let status = peer.args(["peer", how, &pid, &address]).status()?;
    ended_well(status)
}

/// What became of a process that prints what it has seen itself: nothing is left to say where it has.
fn ended_well(status: ExitStatus) -> Result<Seen> {
    match status.signal() {
        Some(signal) => Ok(Seen::Killed(Signal::try_from(signal)?)),
        None if status.success() => std::process::exit(0),
        None => bail!("another process ended with {status}"),
    }
}

/// Ends this process by a signal that has it dumped, with the lent page. `matrix` looks at the dump.
fn core_dump(lent: &Lent) -> Result<Seen> {
    setrlimit(Resource::RLIMIT_CORE, u64::MAX, u64::MAX).context("cannot allow core dumps")?;
    let offset = lent.address - lent.memory().address();
    lent.memory().advise(offset, PAGE, MmapAdvise::MADV_DODUMP)?;
    std::process::abort()
}
