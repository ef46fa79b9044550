//! What is not what it should be: EL2 says so in one line and stops, and the report shows that line.

use super::{Context, Needs, Scenario, Verdict};
use crate::layout::MIB;
use crate::machine::Machine;
use crate::patch::Patch;
use crate::report::{End, Outcome};
use std::fs;
use std::path::PathBuf;
use std::time::Duration;

/// How long EL2 may take to say it.
const SOON: Duration = Duration::from_secs(30);
/// Where the host's kernel is put.
const KERNEL: u32 = 0x4400_0000;
/// Where a device tree of a scenario's own is put.
const TREE: u32 = 0x4f00_0000;
/// EL2 and the machine's tree fit, and little more.
const MEMORY: u64 = 256 * MIB;

type Failure = Box<dyn std::error::Error + Send + Sync>;

pub(super) fn scenarios() -> Vec<Scenario> {
    let kernel = |name: &str, bytes: fn() -> Vec<u8>, says: &'static str| {
        Scenario::new(format!("bad-input/kernel-{name}"), Needs::Board, move |context| {
            stops(&kernel(context, &bytes())?, &[says])
        })
    };
    let tree = |name: &str, change: fn(Vec<u8>) -> Vec<u8>, says: &'static str| {
        Scenario::new(format!("bad-input/tree-{name}"), Needs::Board, move |context| {
            stops(&tree(context, change)?, &[says])
        })
    };
    vec![
        Scenario::new("bad-input/no-kernel", Needs::Board, |context| {
            stops(&context.leasehold("release")?.memory(MEMORY), &["no kernel: "])
        }),
        kernel(
            "text",
            || b"This is no kernel.\n".repeat(100),
            "the kernel at 0x44000000 is no arm64 Image",
        ),
        kernel(
            "cut-in-its-header",
            || image(MIB)[..60].to_vec(),
            "the kernel at 0x44000000 is no arm64 Image",
        ),
        kernel(
            "compressed",
            || [&[0x1f, 0x8b][..], &[8; 4094]].concat(),
            "the kernel at 0x44000000 is no arm64 Image",
        ),
        kernel("of-a-pc", pc_kernel, "the kernel at 0x44000000 is no arm64 Image"),
        kernel("too-large", || image(MEMORY), "the kernel at 0x44000000 does not fit"),
        kernel(
            "that-wraps",
            || image(u64::MAX),
            "the kernel at 0x44000000 does not fit",
        ),
        tree(
            "text",
            |_| b"This is no tree.\n".repeat(100),
            "no device tree at 0x4f000000",
        ),
        tree("empty", |_| vec![0; 4096], "no device tree at 0x4f000000"),
        tree(
            "cut-short",
            |mut tree| {
                tree.truncate(2048);
                tree
            },
            "the device tree cannot be read",
        ),
        tree(
            "that-ends-early",
            |mut tree| {
                tree.truncate(2048);
                tree[4..8].copy_from_slice(&2048_u32.to_be_bytes());
                tree
            },
            "the device tree cannot be read",
        ),
        Scenario::new("bad-input/crash", Needs::Board, crash),
    ]
}

/// EL2 stops at once, and what it says has these words in it.
fn stops(machine: &Machine, says: &[&str]) -> Verdict {
    stopped(machine, says).map(drop)
}

fn stopped(machine: &Machine, says: &[&str]) -> Result<Outcome, Failure> {
    let outcome = machine.start()?.finish(SOON);
    let report = outcome.report();
    let End::El2Stopped(message) = &outcome.end else {
        return Err(format!("{}, and not by EL2's word\n{report}", outcome.end).into());
    };
    let tail = report.to_string();
    for word in says {
        if !message.contains(word) || !tail.contains(word) {
            return Err(format!("`{word}` is not what it says\n{report}").into());
        }
    }
    Ok(outcome)
}

/// A file beside the run's own folder, which is emptied when it starts.
fn file(context: &Context<'_>, end: &str) -> Result<PathBuf, Failure> {
    let folder = context.bare().folder().to_owned();
    fs::create_dir_all(folder.parent().unwrap_or(&folder))?;
    Ok(format!("{}.{end}", folder.display()).into())
}

/// A machine whose host's kernel is these bytes. The harness's own check of a kernel is passed by.
fn kernel(context: &Context<'_>, bytes: &[u8]) -> Result<Machine, Failure> {
    let path = file(context, "kernel")?;
    fs::write(&path, bytes)?;
    let loader = format!(
        "guest-loader,addr={KERNEL:#x},kernel={}",
        path.display().to_string().replace(',', ",,")
    );
    Ok(context.leasehold("release")?.memory(MEMORY).args(["-device", &loader]))
}

/// A machine that hands EL2 its device tree as `change` makes it.
fn tree(context: &Context<'_>, change: fn(Vec<u8>) -> Vec<u8>) -> Result<Machine, Failure> {
    let path = file(context, "dtb")?;
    let dump = format!("dumpdtb={}", path.display());
    let machine = context.leasehold("release")?.memory(MEMORY);
    let outcome = machine.clone().args(["-machine", &dump]).start()?.finish(SOON);
    let good = fs::read(&path).map_err(|error| format!("QEMU gives no tree: {error}\n{}", outcome.report()))?;
    fs::write(&path, change(good))?;
    let patched = Patch::new(&context.board("release")?)?.start_with_tree(TREE)?;
    let board = patched.write(&file(context, "image")?)?;
    let loader = format!(
        "loader,addr={TREE:#x},force-raw=on,file={}",
        path.display().to_string().replace(',', ",,")
    );
    Ok(Machine::leasehold(context.name, board)
        .qemu(&context.artifacts.qemu)
        .memory(MEMORY)
        .args(["-device", &loader]))
}

/// The header of an arm64 `Image` that takes this much memory.
fn image(memory: u64) -> Vec<u8> {
    let mut image = vec![0; 4096];
    image[16..24].copy_from_slice(&memory.to_le_bytes());
    image[56..60].copy_from_slice(b"ARM\x64");
    image
}

/// What a PC's boot loader looks for: 0x55 0xaa at byte 510, `HdrS` at 514 (Linux, Documentation/arch/x86/boot.rst).
fn pc_kernel() -> Vec<u8> {
    let mut kernel = vec![0; 4096];
    kernel[..2].copy_from_slice(b"MZ");
    kernel[510..518].copy_from_slice(&[0x55, 0xaa, 0xeb, 0x66, b'H', b'd', b'r', b'S']);
    kernel
}

/// An EL2 that breaks on its way to the host: the functions on its stack, and their places in the source, stand below
/// the dump, in the report and in the file.
fn crash(context: &Context<'_>) -> Verdict {
    let patched = Patch::new(&context.board("release")?)?.break_function("host_memory")?;
    let board = patched.write(&file(context, "image")?)?;
    let machine = Machine::leasehold(context.name, board).qemu(&context.artifacts.qemu);
    let outcome = stopped(&machine, &["ESR_EL2", "FAR_EL2", "HPFAR_EL2", "ELR_EL2"])?;
    let (report, log) = (
        outcome.report().to_string(),
        fs::read_to_string(outcome.dir.join("el2.log"))?,
    );
    for text in [&report, &log] {
        // Where it broke, what that was inlined into or called by, and the start code at the bottom.
        for word in [
            "::host_memory (hyp-core/src/boot/memory.rs:",
            "::boot_main (hyp-core/src/hypervisor/start.rs:",
            " lh_at_el2+0x",
        ] {
            if !text.contains(word) {
                return Err(format!("`{word}` is not in the trace\n{text}").into());
            }
        }
    }
    Ok(())
}
