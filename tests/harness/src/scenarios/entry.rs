//! The states that loaders leave a machine in: a stub sets each, and jumps to Leasehold.

use super::{Context, Needs, Scenario, Verdict, steps};
use crate::hardware::Hardware;
use crate::machine::{Board, Machine};
use crate::patch::Patch;
use crate::report::{End, Outcome, Source};
use leasehold_memory_map::PhysAddr;
use std::fs;
use std::path::PathBuf;
use std::time::Duration;

/// Where Leasehold is linked for.
const LINKED: u64 = 0x4020_0000;
/// Where it is not: its tables' place is free there too.
const ELSEWHERE: u64 = 0x4120_0000;
/// Where in RAM the stub lies: behind what Leasehold may take while the stub still counts.
const STUB_OFFSET: u64 = 0x0300_0000;
/// Where in its image the stub is told what to do, and how much room there is (`tests/guests/src/arch/entry.rs`).
const ARGS: std::ops::Range<usize> = 64..64 + 192;
/// RAM that nobody has taken when the host starts.
const FRAME: u64 = 0x5000_0000;
/// How long EL2 may take to say that it cannot run.
const SOON: Duration = Duration::from_secs(30);
/// QEMU's clock by instructions, 4 ns each: what a device takes 100 ms for comes after Leasehold's boot on any machine.
const COUNTED: [&str; 2] = ["-icount", "shift=2,sleep=off"];

type Failure = Box<dyn std::error::Error + Send + Sync>;

pub(super) fn scenarios() -> Vec<Scenario> {
    let copes = |name: &str, state: &'static str| {
        Scenario::new(format!("entry/{name}"), Needs::Board, move |context| {
            lives(&host(context, "release", state, LINKED)?, &[]).map(drop)
        })
    };
    let gunyah = |name: &str, state: &'static str, says: &'static str| {
        Scenario::new(format!("entry/{name}"), Needs::Board, move |context| {
            stops(&host(context, "gunyah-exit", state, LINKED)?, says)
        })
    };
    vec![
        copes("mmu-on", "state=mmu"),
        copes("mmu-on-vhe", "state=mmu-vhe"),
        copes("registers", "state=registers"),
        Scenario::new("entry/interrupt", Needs::Board, |context| {
            lives(&host(context, "release", "state=interrupt", LINKED)?.args(COUNTED), &[]).map(drop)
        }),
        Scenario::new("entry/watchdog", Needs::Board, watchdog),
        Scenario::new("entry/dma-smmu-off", Needs::Board, |context| display(context, "")),
        Scenario::new("entry/dma-smmu-live", Needs::Board, |context| display(context, "smmu")),
        Scenario::new("entry/dma-at-leasehold", Needs::Board, dma_at_leasehold),
        Scenario::new("entry/gunyah-leaves", Needs::Board, |context| {
            let outcome = lives(&host(context, "gunyah-exit", "state=gunyah again=3", LINKED)?, &[])?;
            said(&outcome, "Gunyah was asked, and answers 0x0 after 3 times")
        }),
        gunyah(
            "gunyah-refuses",
            "state=gunyah answer=0x37",
            "Gunyah does not leave EL2, and answers 0x37",
        ),
        gunyah(
            "gunyah-refuses-late",
            "state=gunyah again=2 answer=4",
            "Gunyah does not leave EL2, and answers 0x4",
        ),
        gunyah(
            "gunyah-dawdles",
            "state=gunyah again=0xffffffff",
            "Gunyah does not leave EL2: its exit does not come to an end",
        ),
        Scenario::new("entry/el1", Needs::Board, |context| {
            stops(&host(context, "release", "state=el1", LINKED)?, "entered at EL1")
        }),
        Scenario::new("entry/elsewhere", Needs::Board, |context| {
            let says = format!("the image is at {ELSEWHERE:#x}, and linked for {LINKED:#x}");
            stops(&host(context, "release", "state=plain", ELSEWHERE)?, &says)
        }),
        Scenario::new("entry/vhe-only", Needs::Board, vhe_only),
    ]
}

/// A machine in which the stub, with these words, enters that build of Leasehold at `at`.
fn host(context: &Context<'_>, build: &str, state: &str, at: u64) -> Result<Machine, Failure> {
    let machine = context.testhost_on(build, "entered")?;
    started(context, machine, &context.board(build)?, state, at)
}

fn started(context: &Context<'_>, machine: Machine, board: &Board, state: &str, at: u64) -> Result<Machine, Failure> {
    let mut stub = fs::read(context.guest("stub")?)?;
    let bytes = fs::metadata(&board.image)?.len();
    let told = format!("{state} entry={at:#x} bytes={bytes}");
    let room = stub.get_mut(ARGS).ok_or("the stub has no room for its arguments")?;
    room[..told.len()].copy_from_slice(told.as_bytes());
    // text_offset of the arm64 `Image` header.
    stub[8..16].copy_from_slice(&STUB_OFFSET.to_le_bytes());
    let path = file(context, "stub")?;
    fs::write(&path, stub)?;
    Ok(machine.started_by(path, PhysAddr::new(at)))
}

/// A file beside the run's own folder, which is emptied when it starts.
fn file(context: &Context<'_>, end: &str) -> Result<PathBuf, Failure> {
    let folder = context.bare().folder().to_owned();
    fs::create_dir_all(folder.parent().unwrap_or(&folder))?;
    Ok(format!("{}.{end}", folder.display()).into())
}

/// Leasehold copes: its host does what it always does.
fn lives(machine: &Machine, expected: &[&str]) -> Result<Outcome, Failure> {
    let always = [
        "leasehold is there",
        "virtual and physical time agree",
        "cpus up",
        "destroy, reclaim",
    ];
    let outcome = steps(machine, &[&always, expected].concat())?;
    said(&outcome, "LH-STUB state=")?;
    Ok(outcome)
}

fn said(outcome: &Outcome, words: &str) -> Verdict {
    if outcome.has(Source::Host, words) {
        Ok(())
    } else {
        Err(format!("the stub did not say `{words}`\n{}", outcome.report()).into())
    }
}

/// Leasehold says that it cannot run here, and why.
fn stops(machine: &Machine, says: &str) -> Verdict {
    let outcome = machine.start()?.finish(SOON);
    match &outcome.end {
        End::El2Stopped(line) if line.contains(says) => Ok(()),
        end => Err(format!("{end}, and not `{says}`\n{}", outcome.report()).into()),
    }
}

/// What a device was at before goes on afterwards.
fn display(context: &Context<'_>, smmu: &str) -> Verdict {
    let state = format!("state=dma to={FRAME:#x} {smmu}");
    let machine = host(context, "release", &state, LINKED)?
        .bootargs(format!("scenario=entered to={FRAME:#x}"))
        .args(COUNTED);
    lives(
        &machine,
        &["the device is through", "what the device wrote has arrived"],
    )
    .map(drop)
}

/// A device that was told to write over Leasehold is kept from it: over its vectors, which it does not live without.
fn dma_at_leasehold(context: &Context<'_>) -> Verdict {
    let target = Patch::new(&context.board("release")?)?.address("lh_host_vectors")? & !0xfff;
    let state = format!("state=dma to={target:#x}");
    let machine = host(context, "release", &state, LINKED)?
        .bootargs(format!("scenario=entered to={target:#x} kept-out"))
        .args(COUNTED);
    lives(&machine, &["the device is through"]).map(drop)
}

/// A watchdog of 4 s that a loader has started 2.5 s before, and that the host does not pet in 2.2 s: EL2 has to.
fn watchdog(context: &Context<'_>) -> Verdict {
    let hardware = Hardware::Imx8mp;
    let machine = context.hardware(hardware)?.kernel(context.guest("testhost")?);
    let machine = super::bare_metal(machine)
        .initrd(context.guest("testguest")?)
        .bootargs("scenario=entered wait-ms=2200")
        .args(["-icount", "shift=5,sleep=off"]);
    let board = context
        .artifacts
        .machines
        .get(hardware.board())
        .ok_or("the board was not built")?;
    let state = "state=watchdog half-seconds=8 wait-ms=2500";
    let outcome = lives(&started(context, machine, board, state, LINKED)?, &[])?;
    if outcome.has(Source::El2, "a watchdog runs: petted") {
        Ok(())
    } else {
        Err(format!("EL2 says nothing of the watchdog\n{}", outcome.report()).into())
    }
}

/// A CPU whose HCR_EL2.E2H stays 1, which QEMU has none of: the start code is made to write a 1 there.
fn vhe_only(context: &Context<'_>) -> Verdict {
    /// `mov x1, #0x8000_0000` and `mov x1, #0x4_0000_0000` (Arm ARM C6.2, MOV, MOVZ).
    const RW: u32 = 0xd2b0_0001;
    const E2H: u32 = 0xd2c0_0081;
    let patched = Patch::new(&context.board("release")?)?.replace_in("lh_el2_off", RW, E2H)?;
    let board = patched.write(&file(context, "image")?)?;
    let machine = Machine::leasehold(context.name, board).qemu(&context.artifacts.qemu);
    stops(&machine, "this CPU's EL2 is VHE's alone")
}
