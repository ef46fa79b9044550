//! A device that is at it when Leasehold starts, as a display is, with the SMMU off or live.

use core::mem::MaybeUninit;
use leasehold_guests::arch::cpu;
use leasehold_guests::edu::{BUFFER_BYTES, Edu};
use leasehold_guests::tree::Machine;
use leasehold_guests::{args, pattern, stop};

/// QEMU's SMMUv3 (hw/arm/virt.c, VIRT_SMMU).
const SMMU: u64 = 0x0905_0000;
/// Its registers (Arm IHI 0070, 6.1): CR0 and its acknowledgement, STRTAB_BASE and its configuration, command and event
/// queues.
const CR0: u64 = 0x20;
const CR0ACK: u64 = 0x24;
const CR1: u64 = 0x28;
const STRTAB_BASE: u64 = 0x80;
const STRTAB_BASE_CFG: u64 = 0x88;
const CMDQ_BASE: u64 = 0x90;
const EVENTQ_BASE: u64 = 0xa0;
/// SMMUEN, EVENTQEN, CMDQEN.
const ON: u32 = 0b1101;
/// log2 of the stream table's entries: StreamIDs of the root bus.
const STREAMS: u32 = 8;
/// The first word of an entry: valid, everything bypasses (5.2, Config).
const BYPASS: u64 = 1 | 0b100 << 1;
/// Shareability and type as they come (5.2, word 1: SHCFG).
const AS_THEY_COME: u64 = 1 << 44;

#[repr(C, align(16384))]
struct Streams([[u64; 8]; 1 << STREAMS]);
#[repr(C, align(4096))]
struct Queue([u64; 512]);
#[repr(C, align(4096))]
struct Page(MaybeUninit<[u64; 512]>);

static mut STREAM_TABLE: Streams = Streams([[0; 8]; 1 << STREAMS]);
static mut COMMANDS: Queue = Queue([0; 512]);
static mut EVENTS: Queue = Queue([0; 512]);
static mut SOURCE: Page = Page(MaybeUninit::uninit());

/// Lets the device begin to write a page to `to`, which it is through with only after Leasehold has taken over.
pub fn start(machine: &Machine, told: &str) {
    let Some(edu) = machine.ecam.and_then(Edu::find) else {
        stop(format_args!("there is no edu on the PCI bus"))
    };
    let to = args::number_of(told, "to", 0);
    let source = (&raw mut SOURCE) as u64;
    for at in (0..BUFFER_BYTES).step_by(8) {
        // SAFETY: a page of this program's that nothing else uses.
        unsafe { ((source + at) as *mut u64).write_volatile(pattern::at(to + at)) };
    }
    if args::has(told, "smmu") {
        smmu_on();
    }
    if !edu.load(source, BUFFER_BYTES) {
        stop(format_args!("the device does not read"));
    }
    edu.begin_store(to, BUFFER_BYTES);
}

/// Live, with an entry for each stream of the root bus.
fn smmu_on() {
    // SAFETY: one CPU, nobody has a reference; the SMMU comes later.
    let table = unsafe { &mut *(&raw mut STREAM_TABLE) };
    for entry in &mut table.0 {
        *entry = [BYPASS, AS_THEY_COME, 0, 0, 0, 0, 0, 0];
    }
    let write64 = |offset: u64, value: u64| {
        // SAFETY: a register of the SMMU's.
        unsafe { ((SMMU + offset) as *mut u64).write_volatile(value) }
    };
    let write32 = |offset: u64, value: u32| {
        // SAFETY: as above.
        unsafe { ((SMMU + offset) as *mut u32).write_volatile(value) }
    };
    write32(CR1, 0);
    write64(STRTAB_BASE, (&raw const *table) as u64);
    write32(STRTAB_BASE_CFG, STREAMS);
    // 2^8 commands of 16 bytes, 2^7 events of 32.
    write64(CMDQ_BASE, (&raw const COMMANDS) as u64 | 8);
    write64(EVENTQ_BASE, (&raw const EVENTS) as u64 | 7);
    cpu::dsb();
    write32(CR0, ON);
    // SAFETY: as above.
    let acknowledged = || unsafe { ((SMMU + CR0ACK) as *const u32).read_volatile() } == ON;
    if !cpu::wait(1000, acknowledged) {
        stop(format_args!("the SMMU does not go on"));
    }
}
