//! `/dev/leasehold-matrix`, as `linux/matrix/uapi/leasehold_matrix.h` describes it: the kernel's own accesses.

use anyhow::{Context, Result};
use nix::errno::Errno;
use std::fs::{File, OpenOptions};
use std::os::fd::AsRawFd;

/// What the kernel is to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KernelAccess {
    /// `get_user` of a word of this process.
    GetUser = 0,
    /// `put_user` of a word of this process.
    PutUser = 1,
    /// `copy_from_kernel_nofault` of a word.
    NoFault = 2,
    /// `load_unaligned_zeropad`.
    ZeroPad = 3,
    /// A load of a word.
    Read = 4,
    /// A store of a word.
    Write = 5,
    /// `memcpy` out of it.
    Memcpy = 6,
    /// `atomic64_inc`.
    Atomic = 7,
    /// An increment by LDXR and STXR.
    Exclusive = 8,
    /// QEMU's `edu` device reads it.
    DmaRead = 9,
    /// QEMU's `edu` device writes it.
    DmaWrite = 10,
}

/// Where the kernel is to do it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KernelContext {
    /// A task that can be preempted.
    Task = 0,
    /// A task, preemption off.
    NoPreemption = 1,
    /// A hard interrupt's handler.
    Interrupt = 2,
}

/// `struct leasehold_matrix_touch`.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct Touch {
    /// A [`KernelAccess`].
    pub access: u32,
    /// A [`KernelContext`].
    pub context: u32,
    /// An address of this process.
    pub user: u64,
    /// An address of RAM.
    pub physical: u64,
    /// What to write; then what was read.
    pub value: u64,
    /// 0 or a negative error, as the access returned it.
    pub result: i64,
}

mod ioctl {
    nix::ioctl_readwrite!(touch, 0xBB, 0x00, super::Touch);
}

/// An open `/dev/leasehold-matrix`.
#[derive(Debug)]
pub struct MatrixDevice(File);

impl MatrixDevice {
    const PATH: &str = "/dev/leasehold-matrix";

    /// Opens the device.
    ///
    /// # Errors
    /// When the module is not loaded.
    pub fn open() -> Result<MatrixDevice> {
        let file = OpenOptions::new().read(true).write(true).open(Self::PATH);
        Ok(MatrixDevice(
            file.with_context(|| format!("cannot open {}", Self::PATH))?,
        ))
    }

    /// Has the kernel make an access. [`Touch::result`] and [`Touch::value`] are what came of it.
    ///
    /// # Errors
    /// The module's own.
    pub fn touch(&self, touch: &mut Touch) -> Result<(), Errno> {
        // SAFETY: the descriptor is open, and `touch` is the structure that this command reads and writes. The memory
        // that it names is the caller's own, lent or not.
        unsafe { ioctl::touch(self.0.as_raw_fd(), touch) }?;
        Ok(())
    }
}
