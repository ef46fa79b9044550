//! QEMU's machine, and whether this package understands it: without Leasehold, with a program of a few instructions.

use super::{Context, Needs, Scenario, Verdict};
use crate::image::ImageHeader;
use crate::layout::{Item, Layout, MIB};
use crate::machine::{Board, Gic, Machine};
use crate::report::Source;
use leasehold_memory_map::{Address, PhysAddr};
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

const SOON: Duration = Duration::from_secs(30);

/// `movz x4, #0, lsl #16`: the operand is in bits 20 to 5 (Arm ARM C6.2, MOVZ).
const MOV_X4: u32 = 0xd2a0_0004;

/// Runs at EL2, from an arm64 `Image`, with its device tree's address in x0: sends x0 and the first 64 bytes of the host's
/// kernel through the first UART, the log behind its end through the second, then gives back one byte and switches off.
const PROGRAM: [u32; 26] = [
    0xd2a1_2001, //    mov  x1, #0x0900_0000
    0xd2a1_2082, //    mov  x2, #0x0904_0000
    0x5280_0103, //    mov  w3, #8
    0x3900_0020, // 1: strb w0, [x1]
    0xd348_fc00, //    lsr  x0, x0, #8
    0x7100_0463, //    subs w3, w3, #1
    0x54ff_ffa1, //    b.ne 1b
    MOV_X4,      //         mov  x4, kernel
    0x5280_0803, //    mov  w3, #64
    0x3840_1485, // 2: ldrb w5, [x4], #1
    0x3900_0025, //    strb w5, [x1]
    0x7100_0463, //    subs w3, w3, #1
    0x54ff_ffa1, //    b.ne 2b
    0x1000_01c4, //    adr  x4, log
    0x1800_0183, //    ldr  w3, length
    0x3840_1485, // 3: ldrb w5, [x4], #1
    0x3900_0045, //    strb w5, [x2]
    0x7100_0463, //    subs w3, w3, #1
    0x54ff_ffa1, //    b.ne 3b
    0xb940_1825, // 4: ldr  w5, [x1, #0x18]   (UARTFR)
    0x3727_ffe5, //    tbnz w5, #4, 4b        (RXFE)
    0x3940_0025, //    ldrb w5, [x1]
    0x3900_0025, //    strb w5, [x1]
    0x5280_0100, //    mov  w0, #8
    0x72b0_8000, //    movk w0, #0x8400, lsl #16
    0xd400_0003, //    smc  #0                (PSCI SYSTEM_OFF)
];

/// A log for it to send, and the program whose log it is.
const FIXTURE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../flash/tests/fixture");

pub(super) fn scenarios() -> Vec<Scenario> {
    let scenario = |name, memory, configure: fn(Machine) -> Machine| {
        Scenario::new(name, Needs::Qemu, move |context| places(context, memory, configure))
    };
    vec![
        scenario("machine/gicv3", 1024 * MIB, |machine| machine.smp(4)),
        scenario("machine/gicv2", 128 * MIB, |machine| {
            machine.gic(Gic::V2).cpu("cortex-a72")
        }),
        scenario("machine/edu", 256 * MIB, Machine::edu),
        scenario("machine/edu-gicv2", 2048 * MIB, |machine| machine.gic(Gic::V2).edu()),
    ]
}

/// Things lie where [`Layout`] has them, every byte of both UARTs comes through, and PSCI ends the run.
fn places(context: &Context<'_>, memory: u64, configure: fn(Machine) -> Machine) -> Verdict {
    let files = Files::write(context.bare().folder(), memory)?;
    let board = Board {
        elf: format!("{FIXTURE}/fixture.elf").into(),
        image: files.program,
    };
    let machine = Machine::leasehold(context.name, board)
        .qemu(&context.artifacts.qemu)
        .memory(memory);
    let mut run = configure(machine).kernel(&files.kernel).initrd(&files.initrd).start()?;
    run.wait_for_on(Source::El2, "two\nlines", SOON)?;
    run.send(b"E")?;
    let outcome = run.finish(SOON);
    if !outcome.end.is_success() {
        return Err(format!("{}\n{}", outcome.end, outcome.report()).into());
    }
    let host = fs::read(outcome.dir.join("host.log"))?;
    let tree = files.layout.placed().iter().find(|(item, _)| *item == Item::DeviceTree);
    let tree = tree.map(|(_, range)| range.start().get()).unwrap_or_default();
    let expected = [&tree.to_le_bytes()[..], &files.header, b"E"].concat();
    if host != expected {
        return Err(format!("the program sent {host:x?}, not {expected:x?}").into());
    }
    if fs::read(outcome.dir.join("el2.bin"))? != files.log {
        return Err("the log did not come through as it was sent".into());
    }
    Ok(())
}

/// What is in memory.
struct Files {
    program: PathBuf,
    kernel: PathBuf,
    initrd: PathBuf,
    header: Vec<u8>,
    log: Vec<u8>,
    layout: Layout,
}

impl Files {
    fn write(dir: &Path, memory: u64) -> Result<Files, Box<dyn std::error::Error + Send + Sync>> {
        // Beside the run's own folder, which is emptied when it starts.
        let file = |end: &str| PathBuf::from(format!("{}.{end}", dir.display()));
        if let Some(parent) = dir.parent() {
            fs::create_dir_all(parent)?;
        }
        let log = log_without_end(fs::read(format!("{FIXTURE}/fixture.bin"))?);
        let header = image_header(3 * MIB, b"kernel");
        let initrd = vec![0x55; 5000];
        let image = ImageHeader::parse(&header, header.len() as u64);
        let layout = Layout::plan(memory, image, Some(initrd.len() as u64))?;
        let kernel = layout.kernel.unwrap_or(PhysAddr::new(0));
        let files = Files {
            program: file("program"),
            kernel: file("kernel"),
            initrd: file("initrd"),
            header,
            log,
            layout,
        };
        fs::write(&files.program, program(kernel, &files.log)?)?;
        fs::write(&files.kernel, &files.header)?;
        fs::write(&files.initrd, initrd)?;
        Ok(files)
    }
}

/// [`PROGRAM`] as an image: it looks for the kernel there, and sends this log.
fn program(kernel: PhysAddr, log: &[u8]) -> Result<Vec<u8>, std::num::TryFromIntError> {
    let mut image = image_header(MIB, &[]);
    // b .+64: over the header.
    image[..4].copy_from_slice(&0x1400_0010_u32.to_le_bytes());
    let kernel = u32::try_from(kernel.get() >> 16)?;
    for word in PROGRAM {
        let word = if word == MOV_X4 { MOV_X4 | kernel << 5 } else { word };
        image.extend(word.to_le_bytes());
    }
    image.extend(u32::try_from(log.len())?.to_le_bytes());
    image.extend(log);
    Ok(image)
}

/// An arm64 `Image` header, with a few bytes of its own where code would be.
fn image_header(memory: u64, mark: &[u8]) -> Vec<u8> {
    let mut header = vec![0; 64];
    header[..mark.len()].copy_from_slice(mark);
    header[16..24].copy_from_slice(&memory.to_le_bytes());
    header[56..60].copy_from_slice(b"ARM\x64");
    header
}

/// The log up to its last frame, in which EL2 says that it stops.
fn log_without_end(mut log: Vec<u8>) -> Vec<u8> {
    log.pop();
    while log.last().is_some_and(|&byte| byte != 0) {
        log.pop();
    }
    log
}
