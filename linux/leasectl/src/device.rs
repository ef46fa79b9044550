//! `/dev/leasehold`, as `linux/driver/uapi/leasehold.h` describes it.

use anyhow::{Context, Result};
use nix::errno::Errno;
use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, Read};
use std::os::fd::AsRawFd;
use std::os::unix::fs::OpenOptionsExt;

/// The version of the interface that this program speaks (`LEASEHOLD_API_VERSION`).
pub const API_VERSION: u32 = 1;

/// How many fault records are taken at a time.
const FAULT_BATCH: usize = 64;

/// `struct leasehold_features`.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct Features {
    flags: u32,
    /// Version of the driver's interface.
    pub api_version: u32,
    /// The hypervisor's revision: changes that break callers.
    pub revision_major: u32,
    /// The hypervisor's revision: additions.
    pub revision_minor: u32,
    /// FF-A version.
    pub ffa_version: u32,
    /// The host's FF-A endpoint id.
    pub endpoint: u32,
    /// Feature bits, [`leasehold_abi::FEATURE_BITS`].
    pub features: u64,
    /// Most VMs at a time.
    pub max_vms: u64,
    /// Most leases at a time.
    pub max_leases: u64,
    /// Most ranges in a lease.
    pub max_ranges: u64,
    reserved: [u64; 2],
}

/// `struct leasehold_create`.
#[repr(C)]
#[derive(Default)]
struct Create {
    flags: u32,
    vm: u32,
}

/// `struct leasehold_lend`.
#[repr(C)]
#[derive(Default)]
struct Lend {
    flags: u32,
    ranges: u32,
    leases: u32,
    reserved: u32,
    user_address: u64,
    length: u64,
    guest_ipa: u64,
}

/// What a lend came to.
#[derive(Clone, Copy, Debug)]
pub struct Lent {
    /// Physically contiguous ranges.
    pub ranges: u32,
    /// FF-A transactions.
    pub leases: u32,
}

/// `struct leasehold_load`.
#[repr(C)]
#[derive(Default)]
struct Load {
    flags: u32,
    reserved: u32,
    guest_ipa: u64,
    user_address: u64,
    length: u64,
}

/// `struct leasehold_start`.
#[repr(C)]
#[derive(Default)]
struct Start {
    flags: u32,
    reserved: u32,
    entry: u64,
    device_tree: u64,
}

/// `struct leasehold_run`.
#[repr(C)]
#[derive(Default)]
struct Run {
    flags: u32,
    vcpu: u32,
    reason: u64,
    details: [u64; 3],
}

/// Why a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// The guest waits for an interrupt.
    Wait,
    /// The console buffer is full.
    Console,
    /// The guest has switched itself off.
    Off,
    /// The guest asks for a reset.
    Reset,
    /// The guest cannot go on.
    Crashed {
        /// ESR_EL2.
        esr: u64,
        /// The IPA that it accessed.
        ipa: u64,
        /// The instruction.
        pc: u64,
    },
    /// The guest has touched memory that was taken from it, and cannot go on.
    Taken {
        /// ESR_EL2.
        esr: u64,
        /// The IPA that it accessed.
        ipa: u64,
        /// The instruction.
        pc: u64,
    },
    /// The driver names a reason that this program does not know.
    Unknown(u64),
}

/// `struct leasehold_destroy`.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct Destroyed {
    flags: u32,
    /// Leases that were taken back.
    pub leases: u32,
    /// Pages that the process has again.
    pub pages_back: u64,
    /// Pages that did not come back.
    pub pages_lost: u64,
}

/// `struct leasehold_fault`: one refused access.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct Fault {
    /// Class of access, [`leasehold_abi::vendor::ACCESS_CLASSES`].
    pub access: u64,
    /// What was touched.
    pub ipa: u64,
    /// The address that the program used.
    pub va: u64,
    /// The instruction.
    pub pc: u64,
    /// ESR_EL2.
    pub esr: u64,
    /// The VM that has the memory.
    pub borrower: u64,
    /// How it was delivered, [`leasehold_abi::vendor::MECHANISMS`]; bits 15:8 are an abort's status code.
    pub mechanism: u64,
    /// On which CPU; for a device, its StreamID.
    pub cpu: u64,
    /// When, in ticks of the generic timer.
    pub counter: u64,
}

/// `struct leasehold_faults`.
#[repr(C)]
#[derive(Default)]
struct Faults {
    flags: u32,
    capacity: u32,
    count: u32,
    reserved: u32,
    records: u64,
    lost: u64,
}

/// `struct leasehold_fault_counts`: how often touches of a class were answered, by each kind of mechanism.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct FaultCounts {
    flags: u32,
    access: u32,
    /// In the order of the ABI's `FAULT_COUNTS`.
    pub counts: [u64; 8],
}

/// What a call for fault records said beside them.
#[derive(Clone, Copy, Debug)]
pub struct FaultBatch {
    /// How many were lost before and between them.
    pub lost: u64,
    /// There may be more.
    pub more: bool,
}

mod ioctl {
    use super::{Create, Destroyed, FaultCounts, Faults, Features, Lend, Load, Run, Start};

    const TYPE: u8 = 0xBA;

    nix::ioctl_readwrite!(features, TYPE, 0x00, Features);
    nix::ioctl_readwrite!(create, TYPE, 0x01, Create);
    nix::ioctl_readwrite!(lend, TYPE, 0x02, Lend);
    nix::ioctl_write_ptr!(load, TYPE, 0x03, Load);
    nix::ioctl_write_ptr!(start, TYPE, 0x04, Start);
    nix::ioctl_readwrite!(run, TYPE, 0x05, Run);
    nix::ioctl_readwrite!(destroy, TYPE, 0x06, Destroyed);
    nix::ioctl_readwrite!(faults, TYPE, 0x10, Faults);
    nix::ioctl_readwrite!(fault_counts, TYPE, 0x11, FaultCounts);
    nix::ioctl_write_ptr!(unknown, TYPE, 0x7f, Load);
}

/// An open `/dev/leasehold`: room for one VM.
#[derive(Debug)]
pub struct Device(File);

impl Device {
    /// Where it is.
    pub const PATH: &str = "/dev/leasehold";

    /// Opens the device.
    ///
    /// # Errors
    /// When the driver is not loaded, or the caller may not use it.
    pub fn open() -> Result<Device> {
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .custom_flags(nix::libc::O_NONBLOCK)
            .open(Self::PATH)
            .with_context(|| format!("cannot open {}", Self::PATH))?;
        Ok(Device(file))
    }

    /// Tells what there is.
    ///
    /// # Errors
    /// The driver's.
    pub fn features(&self) -> Result<Features, Errno> {
        let mut args = Features::default();
        // SAFETY: the descriptor is open, and `args` is the structure that this command reads and writes.
        unsafe { ioctl::features(self.0.as_raw_fd(), &raw mut args) }?;
        Ok(args)
    }

    /// Makes an empty VM; returns its id.
    ///
    /// # Errors
    /// The driver's.
    pub fn create(&self) -> Result<u32, Errno> {
        self.create_with(0)
    }

    /// Makes an empty VM, with flags, of which none is known; returns its id.
    ///
    /// # Errors
    /// The driver's.
    pub fn create_with(&self, flags: u32) -> Result<u32, Errno> {
        let mut args = Create { flags, vm: 0 };
        // SAFETY: the descriptor is open, and `args` is the structure that this command reads and writes.
        unsafe { ioctl::create(self.0.as_raw_fd(), &raw mut args) }?;
        Ok(args.vm)
    }

    /// Lends `length` bytes at `address` of this process to the VM, which has them at `guest_ipa`.
    ///
    /// The kernel checks the range. What this does to the memory is [`crate::memory::Memory`]'s matter.
    ///
    /// # Errors
    /// The driver's.
    pub fn lend(&self, address: usize, length: usize, guest_ipa: u64) -> Result<Lent, Errno> {
        let mut args = Lend {
            user_address: address as u64,
            length: length as u64,
            guest_ipa,
            ..Lend::default()
        };
        // SAFETY: the descriptor is open, and `args` is the structure that this command reads and writes.
        unsafe { ioctl::lend(self.0.as_raw_fd(), &raw mut args) }?;
        Ok(Lent {
            ranges: args.ranges,
            leases: args.leases,
        })
    }

    /// Copies an image into the VM's memory.
    ///
    /// # Errors
    /// The driver's.
    pub fn load(&self, image: &[u8], guest_ipa: u64) -> Result<(), Errno> {
        let args = Load {
            guest_ipa,
            user_address: image.as_ptr() as u64,
            length: image.len() as u64,
            ..Load::default()
        };
        // SAFETY: the descriptor is open, `args` is the structure that this command reads, and the kernel only reads
        // from `image`, which is borrowed.
        unsafe { ioctl::load(self.0.as_raw_fd(), &raw const args) }?;
        Ok(())
    }

    /// Makes the VM ready to run.
    ///
    /// # Errors
    /// The driver's.
    pub fn start(&self, entry: u64, device_tree: u64) -> Result<(), Errno> {
        let args = Start {
            entry,
            device_tree,
            ..Start::default()
        };
        // SAFETY: the descriptor is open, and `args` is the structure that this command reads.
        unsafe { ioctl::start(self.0.as_raw_fd(), &raw const args) }?;
        Ok(())
    }

    /// Makes a call that there is not.
    ///
    /// # Errors
    /// The driver's.
    pub fn unknown(&self) -> Result<(), Errno> {
        let args = Load::default();
        // SAFETY: the descriptor is open, and a command that is encoded as this one reads `args` at most.
        unsafe { ioctl::unknown(self.0.as_raw_fd(), &raw const args) }?;
        Ok(())
    }

    /// Runs the VM until it needs its owner.
    ///
    /// # Errors
    /// The driver's; EINTR when a signal came.
    pub fn run(&self) -> Result<Exit, Errno> {
        let mut args = Run::default();
        // SAFETY: the descriptor is open, and `args` is the structure that this command reads and writes.
        unsafe { ioctl::run(self.0.as_raw_fd(), &raw mut args) }?;
        Ok(Exit::from_run(&args))
    }

    /// Stops the VM and takes back all memory.
    ///
    /// # Errors
    /// The driver's.
    pub fn destroy(&self) -> Result<Destroyed, Errno> {
        let mut args = Destroyed::default();
        // SAFETY: the descriptor is open, and `args` is the structure that this command reads and writes.
        unsafe { ioctl::destroy(self.0.as_raw_fd(), &raw mut args) }?;
        Ok(args)
    }

    /// Takes all fault records; returns how many were lost before and between them.
    ///
    /// # Errors
    /// The driver's.
    pub fn faults(&self, into: &mut Vec<Fault>) -> Result<u64, Errno> {
        let mut lost = 0;
        loop {
            let batch = self.some_faults(into)?;
            lost += batch.lost;
            if !batch.more {
                return Ok(lost);
            }
        }
    }

    /// Takes some fault records, not all where there are many: while one touches again and again, there is no end to them.
    ///
    /// # Errors
    /// The driver's.
    pub fn some_faults(&self, into: &mut Vec<Fault>) -> Result<FaultBatch, Errno> {
        let mut batch = [Fault::default(); FAULT_BATCH];
        let mut args = Faults {
            capacity: FAULT_BATCH as u32,
            records: batch.as_mut_ptr() as u64,
            ..Faults::default()
        };
        // SAFETY: the descriptor is open, `args` is the structure that this command reads and writes, and
        // `records` has room for `capacity` records, which may hold any value.
        unsafe { ioctl::faults(self.0.as_raw_fd(), &raw mut args) }?;
        let count = FAULT_BATCH.min(args.count as usize);
        into.extend_from_slice(&batch[..count]);
        Ok(FaultBatch {
            lost: args.lost,
            more: count == FAULT_BATCH,
        })
    }

    /// How often touches of `class`, one of [`leasehold_abi::vendor::ACCESS_CLASSES`] of CPUs, were answered.
    ///
    /// # Errors
    /// The driver's.
    pub fn fault_counts(&self, class: u64) -> Result<FaultCounts, Errno> {
        let mut args = FaultCounts {
            access: class as u32,
            ..FaultCounts::default()
        };
        // SAFETY: the descriptor is open, and `args` is the structure that this command reads and writes.
        unsafe { ioctl::fault_counts(self.0.as_raw_fd(), &raw mut args) }?;
        Ok(args)
    }

    /// Appends what the guest has written on its console to `text`; does not wait.
    ///
    /// # Errors
    /// When reading fails.
    pub fn console(&self, text: &mut Vec<u8>) -> Result<()> {
        let mut buffer = [0; 4096];
        loop {
            match (&self.0).read(&mut buffer) {
                Ok(0) => return Ok(()),
                Ok(count) => text.extend_from_slice(&buffer[..count]),
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error).context("cannot read the guest's console"),
            }
        }
    }
}

impl Exit {
    fn from_run(run: &Run) -> Exit {
        use leasehold_abi::vendor::{EXIT_CONSOLE, EXIT_CRASHED, EXIT_OFF, EXIT_RESET, EXIT_TAKEN, EXIT_WAIT};
        match run.reason {
            EXIT_WAIT => Exit::Wait,
            EXIT_CONSOLE => Exit::Console,
            EXIT_OFF => Exit::Off,
            EXIT_RESET => Exit::Reset,
            EXIT_CRASHED => Exit::Crashed {
                esr: run.details[0],
                ipa: run.details[1],
                pc: run.details[2],
            },
            EXIT_TAKEN => Exit::Taken {
                esr: run.details[0],
                ipa: run.details[1],
                pc: run.details[2],
            },
            reason => Exit::Unknown(reason),
        }
    }
}
