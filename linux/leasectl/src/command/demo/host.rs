//! Steps that look at the host.

use super::{Args, Demo, Faults};
use crate::command::features;
use crate::device::Device;
use crate::guest::Console;
use crate::kmsg::Log;
use anyhow::{Context, Result, bail};
use std::process::Command;

/// Says which kernel the host is.
pub fn kernel() -> Result<String> {
    let release = std::fs::read_to_string("/proc/sys/kernel/osrelease").context("cannot read the kernel's release")?;
    Ok(release.trim().to_owned())
}

/// Asks whether the driver takes memory out of the kernel's map: it was told to, and the kernel lets it.
pub fn unmapped() -> Result<String> {
    const PARAMETER: &str = "/sys/module/leasehold/parameters/unmap";
    let unmap = std::fs::read_to_string(PARAMETER).with_context(|| format!("cannot read {PARAMETER}"))?;
    match unmap.trim() {
        "Y" => Ok("the kernel does not map what is lent".into()),
        other => bail!("{PARAMETER} is {other}"),
    }
}

/// Finds the driver, and prepares the rest.
pub fn driver(args: &Args) -> Result<(Demo, String)> {
    let device = Device::open()?;
    let features = features::get(&device)?;
    let seen = format!(
        "Leasehold {}.{}, FF-A {}, endpoint {}, {} VMs, {} leases of {} ranges, features {}",
        features.revision_major,
        features.revision_minor,
        features::ffa_version(&features),
        features.endpoint,
        features.max_vms,
        features.max_leases,
        features.max_ranges,
        features::names(features.features),
    );
    let mut faults = Faults::default();
    device
        .faults(&mut faults.records)
        .context("cannot take the fault records that are there")?;
    faults.records.clear();
    let demo = Demo {
        args: args.clone(),
        device,
        vm: 0,
        memory: super::lease::memory(args.layout.length())?,
        physical: Vec::new(),
        console: Console::default(),
        touches: Vec::new(),
        faults,
        log: Log::from_now()?,
    };
    Ok((demo, seen))
}

impl Demo {
    /// The host makes system calls, runs another process, and its kernel has nothing to complain of.
    pub(super) fn alive(&mut self) -> Result<String> {
        let itself = std::env::current_exe().context("cannot find this program")?;
        let output = Command::new(itself)
            .arg("--version")
            .output()
            .context("cannot run another process")?;
        if !output.status.success() {
            bail!("another process ended with {}", output.status);
        }
        let uptime = std::fs::read_to_string("/proc/uptime").context("cannot read /proc/uptime")?;
        let uptime = uptime.split(' ').next().unwrap_or("");
        self.no_trouble()?;
        Ok(format!("another process ran, no oops, up {uptime} s"))
    }

    /// Fails when the kernel's log tells of a fault in it.
    pub(super) fn no_trouble(&self) -> Result<()> {
        match self.log.trouble()?.first() {
            None => Ok(()),
            Some(line) => bail!("the kernel says: {line}"),
        }
    }
}
