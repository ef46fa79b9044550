//! `leasectl driver-test`: what the driver has to refuse, and what it has to do in odd ways.

use crate::device::{Destroyed, Device};
use crate::guest::{self, Layout, SPIN};
use crate::memory::{Memory, PAGE};
use crate::report::Report;
use anyhow::{Context, Result, bail, ensure};
use nix::errno::Errno;
use nix::kmod::{DeleteModuleFlags, delete_module};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::unistd::{Uid, seteuid};
use std::fmt::Debug;
use std::time::{Duration, Instant};

/// Enough for a spinning guest and its device tree.
const LAYOUT: Layout = Layout {
    mem: 64 << 10,
    ipa: 0x4000_0000,
    load_offset: 0,
};
const LENGTH: usize = LAYOUT.mem as usize;
const PAGES: u64 = LAYOUT.mem / PAGE as u64;
/// A user without privileges: `nobody`.
const NOBODY: Uid = Uid::from_raw(65534);
/// How long another thread is given to enter its guest.
const PAUSE: Duration = Duration::from_millis(200);
/// A destroy has to end a run that would not end by itself sooner than this.
const PROMPT: Duration = Duration::from_secs(5);

type Check = fn() -> Result<String>;

const CHECKS: [(&str, Check); 12] = [
    ("refuse.command", command),
    ("refuse.state", state),
    ("refuse.late", late),
    ("refuse.range", range),
    ("refuse.memory", memory),
    ("refuse.twice", twice),
    ("refuse.limit", limit),
    ("refuse.load", load),
    ("refuse.unload", unload),
    ("memfd", memfd),
    ("close", close),
    ("destroy.running", destroy_running),
];

/// Runs the command.
///
/// # Errors
/// Never: what goes wrong is in the report.
pub fn run() -> Result<bool> {
    let mut report = Report::default();
    for (name, check) in CHECKS {
        report.step(name, check());
    }
    Ok(report.done())
}

/// Fails unless a call was refused, with this error.
fn refused<T: Debug>(what: &str, result: Result<T, Errno>, error: Errno) -> Result<()> {
    match result {
        Err(seen) if seen == error => Ok(()),
        other => bail!("{what}: {other:?} instead of {error:?}"),
    }
}

/// A VM, and memory that it can have.
fn fresh() -> Result<(Device, Memory)> {
    let device = Device::open()?;
    device.create().context("cannot create a VM")?;
    Ok((device, filled()?))
}

fn filled() -> Result<Memory> {
    let memory = Memory::new(LENGTH, PAGE)?;
    memory.fill(0, LENGTH, !0);
    Ok(memory)
}

fn lend(device: &Device, memory: &Memory) -> Result<()> {
    device
        .lend(memory.address(), LENGTH, LAYOUT.ipa)
        .context("cannot lend")?;
    Ok(())
}

/// Fails unless all pages came back, and hold nothing.
fn whole(destroyed: Destroyed, memory: &Memory) -> Result<()> {
    ensure!(destroyed.pages_lost == 0, "{} pages are lost", destroyed.pages_lost);
    ensure!(
        destroyed.pages_back == PAGES,
        "{} of {PAGES} pages are back",
        destroyed.pages_back
    );
    zero(memory)
}

fn zero(memory: &Memory) -> Result<()> {
    match memory.find_other(|_| 0) {
        None => Ok(()),
        Some((offset, value)) => bail!("{value:#x} at offset {offset:#x}, which should be zero"),
    }
}

fn command() -> Result<String> {
    let device = Device::open()?;
    refused("an unknown call", device.unknown(), Errno::ENOTTY)?;
    refused("an unknown flag", device.create_with(1), Errno::EINVAL)?;
    Ok("ENOTTY, EINVAL".into())
}

fn state() -> Result<String> {
    let device = Device::open()?;
    let memory = filled()?;
    refused(
        "lend before create",
        device.lend(memory.address(), LENGTH, LAYOUT.ipa),
        Errno::EBADFD,
    )?;
    refused("load before create", device.load(&SPIN, LAYOUT.ipa), Errno::EBADFD)?;
    refused(
        "start before create",
        device.start(LAYOUT.ipa, LAYOUT.device_tree()),
        Errno::EBADFD,
    )?;
    refused("run before create", device.run(), Errno::EBADFD)?;
    refused("destroy before create", device.destroy(), Errno::EBADFD)?;
    device.create().context("cannot create a VM")?;
    refused("a second create", device.create(), Errno::EBADFD)?;
    refused("run before start", device.run(), Errno::EBADFD)?;
    Ok("EBADFD".into())
}

fn late() -> Result<String> {
    let (device, memory) = fresh()?;
    lend(&device, &memory)?;
    guest::start(&device, &LAYOUT, &SPIN)?;
    let more = filled()?;
    let behind = LAYOUT.ipa + LAYOUT.mem;
    refused(
        "lend after start",
        device.lend(more.address(), LENGTH, behind),
        Errno::EBADFD,
    )?;
    refused("load after start", device.load(&SPIN, LAYOUT.ipa), Errno::EBADFD)?;
    refused(
        "a second start",
        device.start(LAYOUT.ipa, LAYOUT.device_tree()),
        Errno::EBADFD,
    )?;
    whole(device.destroy().context("cannot destroy the VM")?, &memory)?;
    refused("run after destroy", device.run(), Errno::EBADFD)?;
    Ok("EBADFD".into())
}

fn range() -> Result<String> {
    let (device, memory) = fresh()?;
    let (at, ipa) = (memory.address(), LAYOUT.ipa);
    let cases = [
        ("an unaligned address", at + 8, LENGTH, ipa),
        ("an unaligned length", at, LENGTH - 8, ipa),
        ("an unaligned IPA", at, LENGTH, ipa + 8),
        ("no length", at, 0, ipa),
        ("an address that wraps", usize::MAX - PAGE + 1, 2 * PAGE, ipa),
        ("an IPA that wraps", at, LENGTH, u64::MAX - PAGE as u64 + 1),
        ("more pages than can be counted", 0, 1 << 62, 0),
    ];
    for (what, address, length, ipa) in cases {
        refused(what, device.lend(address, length, ipa), Errno::EINVAL)?;
    }
    ensure!(memory.find_other(|_| !0).is_none(), "a refused lend changed the memory");
    Ok(format!("{} times EINVAL", cases.len()))
}

fn memory() -> Result<String> {
    let (device, memory) = fresh()?;
    let nothing = {
        let gone = filled()?;
        gone.address()
    };
    refused(
        "memory that is not mapped",
        device.lend(nothing, LENGTH, LAYOUT.ipa),
        Errno::EFAULT,
    )?;
    let beyond = memory.address() + LENGTH - PAGE;
    memory.make_read_only()?;
    refused(
        "read-only memory",
        device.lend(memory.address(), LENGTH, LAYOUT.ipa),
        Errno::EFAULT,
    )?;
    refused(
        "read-only memory at first",
        device.lend(beyond, 2 * PAGE, LAYOUT.ipa),
        Errno::EFAULT,
    )?;
    ensure!(memory.find_other(|_| !0).is_none(), "a refused lend changed the memory");
    Ok("EFAULT".into())
}

/// A range that is lent already is refused by the hypervisor, and the first lease is none the worse for it.
fn twice() -> Result<String> {
    let (device, memory) = fresh()?;
    lend(&device, &memory)?;
    let behind = LAYOUT.ipa + LAYOUT.mem;
    refused(
        "a second lend to the same VM",
        device.lend(memory.address(), PAGE, behind),
        Errno::EPERM,
    )?;
    let other = Device::open()?;
    other.create().context("cannot create a second VM")?;
    let last = memory.address() + LENGTH - PAGE;
    refused("a lend to another VM", other.lend(last, PAGE, LAYOUT.ipa), Errno::EPERM)?;
    guest::start(&device, &LAYOUT, &SPIN)?;
    whole(device.destroy().context("cannot destroy the VM")?, &memory)?;
    Ok("EPERM, and the first lease is whole".into())
}

/// A process without CAP_IPC_LOCK may not pin more than RLIMIT_MEMLOCK says, and what is back counts no more.
fn limit() -> Result<String> {
    let (device, memory) = fresh()?;
    let (soft, hard) = getrlimit(Resource::RLIMIT_MEMLOCK).context("cannot read RLIMIT_MEMLOCK")?;
    setrlimit(Resource::RLIMIT_MEMLOCK, LAYOUT.mem, hard).context("cannot set RLIMIT_MEMLOCK")?;
    // The effective capabilities go with the effective user, and come back with it.
    seteuid(NOBODY).context("cannot become nobody")?;
    let seen = (|| {
        for _ in 0..2 {
            lend(&device, &memory)?;
            let more = filled()?;
            let behind = LAYOUT.ipa + LAYOUT.mem;
            refused(
                "one page too many",
                device.lend(more.address(), PAGE, behind),
                Errno::ENOMEM,
            )?;
            whole(device.destroy().context("cannot destroy the VM")?, &memory)?;
            device.create().context("cannot create a VM")?;
        }
        Ok("ENOMEM, twice".into())
    })();
    seteuid(Uid::from_raw(0)).context("cannot become root again")?;
    setrlimit(Resource::RLIMIT_MEMLOCK, soft, hard).context("cannot restore RLIMIT_MEMLOCK")?;
    seen
}

fn load() -> Result<String> {
    let (device, memory) = fresh()?;
    lend(&device, &memory)?;
    let image = [0x5a; 2 * PAGE];
    refused(
        "a load behind the memory",
        device.load(&SPIN, LAYOUT.ipa + LAYOUT.mem),
        Errno::EPERM,
    )?;
    let last = LAYOUT.ipa + LAYOUT.mem - PAGE as u64;
    refused(
        "a load across the end of the memory",
        device.load(&image, last),
        Errno::EPERM,
    )?;
    refused(
        "a load that wraps",
        device.load(&image, u64::MAX - PAGE as u64),
        Errno::EINVAL,
    )?;
    device.load(&image, LAYOUT.ipa + 100).context("a load across pages")?;
    whole(device.destroy().context("cannot destroy the VM")?, &memory)?;
    Ok("EPERM, twice, EINVAL".into())
}

/// The module stays as long as somebody has the device open.
fn unload() -> Result<String> {
    let _device = Device::open()?;
    let result = delete_module(c"leasehold", DeleteModuleFlags::O_NONBLOCK);
    refused("rmmod", result, Errno::EAGAIN)?;
    Ok("EAGAIN".into())
}

/// A memfd's memory can be lent too.
fn memfd() -> Result<String> {
    let (device, _) = fresh()?;
    let memory = Memory::of_memfd(LENGTH)?;
    memory.fill(0, LENGTH, !0);
    lend(&device, &memory)?;
    guest::start(&device, &LAYOUT, &SPIN)?;
    whole(device.destroy().context("cannot destroy the VM")?, &memory)?;
    Ok(format!("{PAGES} pages lent and back"))
}

/// Closing the file does what a destroy does.
fn close() -> Result<String> {
    let (device, memory) = fresh()?;
    lend(&device, &memory)?;
    drop(device);
    zero(&memory)?;
    memory.fill(0, LENGTH, !0);
    Ok(format!("{PAGES} pages are back"))
}

/// A destroy ends another thread's run, of a guest that does not come back by itself.
fn destroy_running() -> Result<String> {
    let (device, memory) = fresh()?;
    lend(&device, &memory)?;
    guest::start(&device, &LAYOUT, &SPIN)?;
    std::thread::scope(|scope| {
        let run = scope.spawn(|| device.run());
        std::thread::sleep(PAUSE);
        let busy = refused("a second run", device.run(), Errno::EBUSY);
        let start = Instant::now();
        whole(device.destroy().context("cannot destroy the VM")?, &memory)?;
        let took = start.elapsed();
        let ended = run
            .join()
            .map_err(|_| anyhow::anyhow!("the thread that ran the guest has panicked"))?;
        refused("the run", ended, Errno::ECANCELED)?;
        busy?;
        ensure!(took < PROMPT, "the destroy took {took:?}");
        Ok(format!("ECANCELED, after {} ms", took.as_millis()))
    })
}
