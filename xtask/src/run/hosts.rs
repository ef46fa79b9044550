//! The hosts that can be booted: built, with their command line and the steps that they are to report.

use super::fault;
use crate::linux::{self, Entry, Parts, Source};
use crate::setup::kernel::Kernel;
use crate::setup::toolchain::Toolchain;
use crate::{build, ui};
use anyhow::Result;
use leasehold_tests::artifacts::LinuxHost;
use leasehold_tests::scenarios;
use std::path::{Path, PathBuf};

/// A host, ready to boot.
#[derive(Clone, Debug)]
pub(crate) struct Host {
    /// What to call it.
    pub name: String,
    /// Its kernel, an arm64 `Image`.
    pub kernel: PathBuf,
    /// Its initrd.
    pub initrd: Option<PathBuf>,
    /// Its command line.
    pub bootargs: String,
    /// The steps without which a run is not good. Without any, the host need not report.
    pub steps: &'static [&'static str],
}

/// What the demo's initramfs does. The kernel hands `leasectl=`, `driver=`, `matrix=` and `unload=` of its command line on in
/// the environment. With the last, what the kernel has logged stands behind what `leasectl` says, and not in between.
const INIT: &str = r#"#!/bin/sh
/bin/busybox --install -s /bin
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t devtmpfs dev /dev
uname -r
insmod /leasehold.ko $driver
case "$leasectl" in matrix*) insmod /leasehold_matrix.ko $matrix; esac
leasectl $(echo "${leasectl:-demo}" | tr ',' ' ')
[ -z "$unload" ] || { rmmod leasehold; dmesg; }
poweroff -f
"#;

/// What a host does whose boot is measured: it comes to user space, and switches off.
const BOOT_INIT: &str = r#"#!/bin/sh
/bin/busybox --install -s /bin
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t devtmpfs dev /dev
uname -r
poweroff -f
"#;

/// Linux with our driver, which does the main job and switches off.
pub(super) fn linux(toolchain: &Toolchain, kernel: &Kernel, fault: Option<&str>) -> Result<Host> {
    let mut leasectl = vec!["demo"];
    let seen = fault.and_then(fault::seen_by_linux);
    if let Some(seen) = &seen {
        leasectl.extend(["--expect", seen]);
    }
    Ok(Host {
        initrd: Some(linux_initramfs(toolchain, kernel)?),
        bootargs: scenarios::linux_bootargs(&leasectl),
        steps: &scenarios::LINUX_DEMO,
        ..linux_alone(kernel)
    })
}

/// Linux with an initrd of the user's own, which need not report anything.
pub(super) fn linux_with(kernel: &Kernel, initrd: &Path) -> Host {
    Host {
        initrd: Some(initrd.to_path_buf()),
        ..linux_alone(kernel)
    }
}

fn linux_alone(kernel: &Kernel) -> Host {
    Host {
        name: format!("Linux {}", kernel.release.as_deref().unwrap_or("of your own")),
        kernel: kernel.image.clone(),
        initrd: None,
        bootargs: scenarios::LINUX_BOOTARGS.to_owned(),
        steps: &[],
    }
}

/// The bare-metal host. Its initrd is the guest.
pub(super) fn demo(toolchain: &Toolchain, guest: Option<&Path>, fault: Option<&str>) -> Result<Host> {
    ui::step("Building", "the bare-metal host and its guest");
    let guest = match guest {
        Some(guest) => guest.to_path_buf(),
        None => build::guest(toolchain, "guest")?.image,
    };
    let expect = fault.and_then(fault::codes).map(|codes| format!("expect={codes}"));
    Ok(Host {
        name: "the bare-metal host".to_owned(),
        kernel: build::guest(toolchain, "demo")?.image,
        initrd: Some(guest),
        bootargs: expect.unwrap_or_default(),
        steps: &scenarios::HOST_DEMO,
    })
}

/// An initramfs with our driver for this kernel, `leasectl` and a guest.
pub(crate) fn linux_initramfs(toolchain: &Toolchain, kernel: &Kernel) -> Result<PathBuf> {
    let release = kernel.release.as_deref().unwrap_or("own");
    ui::step(
        "Building",
        format_args!("driver, leasectl and initramfs for Linux {release}"),
    );
    let file = |path: &str, mode, source| Entry {
        path: path.to_owned(),
        mode,
        source: Source::File(source),
    };
    linux::initramfs(&Parts {
        name: format!("host-{release}"),
        init: INIT.to_owned(),
        files: vec![
            file("leasehold.ko", 0o644, linux::driver(kernel)?),
            file("leasehold_matrix.ko", 0o644, linux::matrix_module(kernel)?),
            file("bin/leasectl", 0o755, linux::leasectl()?),
            file("guest.bin", 0o644, build::guest(toolchain, "guest")?.image),
        ],
    })
}

/// A Linux host that comes to user space and switches off, and has nothing of ours.
pub(crate) fn linux_boot(kernel: &Kernel) -> Result<LinuxHost> {
    let release = kernel.release.clone().unwrap_or_default();
    let initrd = linux::initramfs(&Parts {
        name: format!("boot-{release}"),
        init: BOOT_INIT.to_owned(),
        files: Vec::new(),
    })?;
    Ok(LinuxHost {
        release,
        kernel: kernel.image.clone(),
        initrd,
    })
}
