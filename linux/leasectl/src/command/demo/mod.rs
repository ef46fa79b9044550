//! `leasectl demo`: the main job, one line a step.

mod dma;
mod host;
mod lease;
mod touches;

use crate::device::{Device, Fault};
use crate::expect::Mechanism;
use crate::guest::{Console, Layout};
use crate::kmsg;
use crate::memory::Memory;
use crate::report::Report;
use anyhow::{Context, Result, anyhow};
use std::path::PathBuf;

/// Lends memory to a guest, touches it, survives, and takes it back.
#[derive(clap::Args, Clone, Debug)]
pub struct Args {
    /// The guest: a flat binary, which is entered at its first byte.
    #[arg(long, value_name = "FILE", default_value = "/guest.bin")]
    image: PathBuf,
    #[command(flatten)]
    layout: Layout,
    /// What the board's policy has for an access from EL0.
    #[arg(long, value_name = "MECHANISM", default_value = "external-abort")]
    expect: Mechanism,
    /// The driver is to take memory out of the kernel's own map before it lends it.
    #[arg(long)]
    unmapped: bool,
    /// Takes every CPU but the first away, brings it back, and touches lent memory from it.
    #[arg(long)]
    replug: bool,
}

/// What the steps share.
struct Demo {
    args: Args,
    device: Device,
    /// The VM's id, once there is one.
    vm: u32,
    memory: Memory,
    /// The physical addresses of the pages of `memory`.
    physical: Vec<u64>,
    console: Console,
    touches: Vec<touches::Touch>,
    faults: Faults,
    log: kmsg::Log,
}

/// The fault records so far.
#[derive(Default)]
struct Faults {
    records: Vec<Fault>,
    lost: u64,
}

/// A step: its name, and what it does.
type Step = (&'static str, fn(&mut Demo) -> Result<String>);

/// Steps without which those that follow make no sense.
const FIRST: [Step; 5] = [
    ("create", Demo::create),
    ("lend", Demo::lend),
    ("load", Demo::load),
    ("start", Demo::start),
    ("guest", Demo::guest),
];

/// Steps that are tried whatever came before.
const THEN: [Step; 10] = [
    ("touch.el0.read", Demo::touch_read),
    ("touch.el0.write", Demo::touch_write),
    ("host.alive", Demo::alive),
    ("dma", Demo::dma),
    ("dma.fault", Demo::dma_fault),
    ("faults", Demo::faults),
    ("guest.end", Demo::guest_end),
    ("reclaim", Demo::reclaim),
    ("zero", Demo::zero),
    ("again", Demo::again),
];

/// Runs the command.
///
/// # Errors
/// Never: what goes wrong is in the report.
pub fn run(args: &Args) -> Result<bool> {
    let mut report = Report::default();
    report.step("kernel", host::kernel());
    let mut first = None;
    report.step(
        "driver",
        host::driver(args).map(|(demo, seen)| {
            first = Some(demo);
            seen
        }),
    );

    if args.unmapped {
        report.step("unmapped", host::unmapped());
    }

    let mut demo = first;
    for (name, step) in FIRST {
        let seen = demo.as_mut().context("not reached").and_then(step);
        if !report.step(name, seen) {
            demo = None;
        }
    }
    let replug: Option<Step> = args.replug.then_some(("replug", Demo::replug));
    for (name, step) in replug.into_iter().chain(THEN) {
        let seen = demo.as_mut().ok_or_else(|| anyhow!("not reached")).and_then(step);
        report.step(name, seen);
    }
    Ok(report.done())
}
