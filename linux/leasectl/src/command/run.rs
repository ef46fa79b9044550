//! `leasectl run`.

use crate::device::{Device, Exit};
use crate::guest::{self, Console, Layout};
use crate::memory::{Memory, PAGE};
use anyhow::{Context, Result, bail};
use std::path::PathBuf;
use std::time::Duration;

/// Runs a guest to its end.
#[derive(clap::Args, Debug)]
pub struct Args {
    /// A flat binary, which is entered at its first byte.
    image: PathBuf,
    #[command(flatten)]
    layout: Layout,
    /// Stop a guest that has not ended after so many seconds.
    #[arg(long, value_name = "SECONDS", default_value_t = u32::MAX)]
    limit: u32,
}

/// Runs the command.
///
/// # Errors
/// When the guest cannot be made or run, or does not switch itself off.
pub fn run(args: &Args) -> Result<bool> {
    let image = std::fs::read(&args.image).with_context(|| format!("cannot read {}", args.image.display()))?;
    let device = Device::open()?;
    let memory = Memory::new(args.layout.length(), PAGE)?;
    let id = device.create().context("cannot create a VM")?;
    let lent = device
        .lend(memory.address(), memory.length(), args.layout.ipa)
        .context("cannot lend the memory")?;
    eprintln!(
        "VM {id}: {} KiB lent in {} ranges, {} leases",
        args.layout.mem >> 10,
        lent.ranges,
        lent.leases
    );
    guest::start(&device, &args.layout, &image)?;

    let limit = Duration::from_secs(args.limit.into());
    let exit = guest::run_until(
        &device,
        &mut Console::default(),
        limit,
        &mut |line| println!("{line}"),
        |exit, _| exit == Exit::Off,
    );
    let destroyed = device.destroy().context("cannot destroy the VM")?;
    if destroyed.pages_lost > 0 {
        bail!("{} pages did not come back", destroyed.pages_lost);
    }
    eprintln!("VM {id}: {}", guest::describe(exit?));
    Ok(true)
}
