//! Asking others to touch what one may not: the hypervisor through its buffers and its loads, the interrupt controller
//! through its tables, a device through DMA.

use leasehold_abi::{ffa as numbers, vendor};
use leasehold_guests::arch::probe::{self, Width};
use leasehold_guests::edu::{BUFFER_BYTES, Edu};
use leasehold_guests::ffa;
use leasehold_guests::host::Host;
use leasehold_guests::lender::Guest;
use leasehold_guests::pages::{Block, PAGE};
use leasehold_guests::tree::RAM_BASE;
use leasehold_guests::{pattern, vm};

/// Offsets in a redistributor (Arm IHI0069H, 12.11): control, type, and the tables of LPIs.
const GICR_CTLR: u64 = 0x00;
const GICR_PROPBASER: u64 = 0x70;
const GICR_PENDBASER: u64 = 0x78;
/// The ITS of QEMU's `virt` (hw/arm/virt.c, VIRT_GIC_ITS), which the host's tree does not have, and registers of it (Arm
/// IHI0069H, 12.19): control, command queue, first table, and the one that devices write to.
const ITS: u64 = 0x0808_0000;
const GITS: [u64; 4] = [0x00, 0x80, 0x100, 0x1_0040];
/// GICR_CTLR.EnableLPIs.
const ENABLE_LPIS: u64 = 1;
/// What is tried deep in the guest's memory, behind its image and its tree.
const INSIDE: u64 = 1 << 20;

pub fn run(host: &mut Host) {
    let image = host.image();
    let lent = host.pages.take_blocks(1);
    let mail = host.mail();
    let made = Guest::new(&mail, &image, "", &[lent]);
    let Some(mut guest) = host.report.value("guest", made) else {
        return;
    };
    let target = lent.base() + INSIDE;
    loads(host, &guest, target);
    let ran = guest.start(&image).and_then(|()| guest.run());
    host.report
        .step("guest fills its memory", ran.is_ok(), format_args!("{ran:x?}"));
    buffers(host, target);
    interrupts(host, target);
    dma(host, target);
    hypervisor(host);
    let ended = guest.run_to_end();
    let intact = guest.said.has("zero ok") && guest.said.has("LH-GUEST intact");
    host.report
        .step("guest sees none of it", intact, format_args!("{ended:x?}"));
    let ended = guest.end();
    host.report.value("end", ended);
    let dirt = lent.differs(|_| 0);
    host.report.step("clean", dirt.is_none(), format_args!("{dirt:x?}"));
}

/// A page of each hole in RAM.
fn hypervisors(host: &Host) -> impl Iterator<Item = u64> + use<> {
    host.machine
        .holes()
        .into_iter()
        .flat_map(|h| [h.start, (h.start + h.bytes() / 2) & !(PAGE - 1), h.end - PAGE])
}

fn loads(host: &mut Host, guest: &Guest, target: u64) {
    let own = host.pages.take(2);
    let to = RAM_BASE + INSIDE;
    let mut load = |name: &str, vm, to, from, bytes| {
        let answer = vm::load(vm, to, from, bytes);
        let good = matches!(answer, Err(vendor::DENIED | vendor::INVALID_PARAMETERS));
        host.report.step("load", good, format_args!("{name}: {answer:?}"));
    };
    let id = guest.id;
    load("from lent memory", id, to, target, 64);
    load("from the guest's own, by its address", id, to, 0x3000_0000, 64);
    load("from a device", id, to, 0x0900_0000, 4);
    load("from behind RAM", id, to, 1 << 40, 64);
    load("from the last bytes", id, to, u64::MAX - 7, 8);
    load("across a page of the host's", id, to, own.base() + PAGE - 8, 16);
    load("across a page of the guest's", id, to + PAGE - 8, own.base(), 16);
    load("nothing", id, to, own.base(), 0);
    load("a page and a byte", id, to, own.base(), 4097);
    load("everything", id, to, own.base(), u64::MAX);
    load("to where no memory is", id, RAM_BASE + (1 << 30), own.base(), 64);
    load("to below RAM", id, RAM_BASE - 64, own.base(), 64);
    load("to nobody", id + 100, to, own.base(), 64);
    load("to the host", 1, to, own.base(), 64);
    load("to the hypervisor", 0, to, own.base(), 64);
    for at in hypervisors(host) {
        let answer = vm::load(id, to, at, 64);
        let good = matches!(answer, Err(vendor::DENIED | vendor::INVALID_PARAMETERS));
        host.report
            .step("load", good, format_args!("from the hypervisor {at:#x}: {answer:?}"));
    }
}

/// Buffers that are somebody else's.
fn buffers(host: &mut Host, target: u64) {
    let mail = host.mail();
    let unmapped = ffa::unmap();
    host.report.value("unmap", unmapped);
    let own = host.pages.take(2);
    let (a, b) = (own.base(), own.base() + PAGE);
    let mut bad = |name: &str, tx, rx, pages| {
        let answer = ffa::map(tx, rx, pages);
        if answer.is_ok() {
            let _ = ffa::unmap();
        }
        let refusals = [numbers::INVALID_PARAMETERS, numbers::DENIED, numbers::NO_MEMORY];
        let good = answer.is_err_and(|e| refusals.contains(&e));
        host.report.step("RXTX_MAP", good, format_args!("{name}: {answer:?}"));
    };
    bad("TX lent", target, b, 1);
    bad("RX lent", a, target, 1);
    bad("TX device", 0x0900_0000, b, 1);
    bad("RX device", a, 0x0900_0000, 1);
    bad("RX behind RAM", a, 1 << 40, 1);
    bad("both the same", a, a, 1);
    bad("overlapping", a, b, 2);
    bad("TX unaligned", a + 8, b, 1);
    bad("no pages", a, b, 0);
    bad("as many as can be", a, b, 0x3f);
    bad("reserved bits of the count", a, b, 0x40 | 1);
    bad("wrapping", 0xffff_ffff_ffff_f000, b, 2);
    for at in hypervisors(host) {
        for (name, tx, rx) in [("TX", at, b), ("RX", a, at)] {
            let answer = ffa::map(tx, rx, 1);
            let good = answer == Err(numbers::INVALID_PARAMETERS) || answer == Err(numbers::DENIED);
            host.report.step(
                "RXTX_MAP",
                good,
                format_args!("{name} the hypervisor's {at:#x}: {answer:?}"),
            );
        }
    }
    let mapped = ffa::map(mail.tx.base(), mail.rx.base(), 1);
    host.report.value("map again", mapped);
}

/// Tables of interrupts in memory that is not the host's.
fn interrupts(host: &mut Host, target: u64) {
    let Some((_, frame)) = host.machine.gic else {
        host.report.step("redistributor", true, format_args!("there is none"));
        return;
    };
    let own = host.pages.take(16);
    for at in hypervisors(host).chain([target, own.base()]) {
        // SAFETY: registers of the interrupt controller. Where they point to is what is tried.
        let writes = unsafe {
            [
                probe::write(frame + GICR_PROPBASER, Width::Double, at | 0xf),
                probe::write(frame + GICR_PENDBASER, Width::Double, at | 1 << 62),
                probe::write(frame + GICR_CTLR, Width::Word, ENABLE_LPIS),
            ]
        };
        let control = probe::read(frame + GICR_CTLR, Width::Word);
        let off = control.map_or(true, |c| c & ENABLE_LPIS == 0);
        let refused = writes.iter().filter(|w| w.is_err()).count();
        host.report.step(
            "LPIs stay off",
            off,
            format_args!("{at:#x}: {refused} writes refused, CTLR {control:x?}"),
        );
        let pending = probe::read(frame + GICR_PENDBASER, Width::Double);
        let kept = pending.is_ok_and(|p| p & 0x000f_ffff_ffff_0000 == at & 0x000f_ffff_ffff_0000 && at != 0);
        host.report
            .step("PENDBASER takes nothing", !kept, format_args!("{at:#x}: {pending:x?}"));
    }
    for register in GITS {
        let read = probe::read(ITS + register, Width::Word);
        // SAFETY: registers of the interrupt controller, which are not to be reached.
        let written = unsafe { probe::write(ITS + register, Width::Word, target as u32 as u64) };
        host.report.step(
            "no ITS",
            read.is_err() && written.is_err(),
            format_args!("{register:#x}: {read:x?} {written:x?}"),
        );
    }
    let dirt = own.differs(|_| 0);
    host.report
        .step("no table was written", dirt.is_none(), format_args!("{dirt:x?}"));
}

/// What the host writes, and the device carries.
fn mark(address: u64) -> u64 {
    pattern::at(address ^ 0xffff_0000_0000)
}

fn dma(host: &mut Host, target: u64) {
    let Some(edu) = host.machine.ecam.and_then(Edu::find) else {
        host.report
            .step("DMA device", false, format_args!("there is no edu on the PCI bus"));
        return;
    };
    let (from, to) = (host.pages.take(1), host.pages.take(1));
    from.fill(mark);
    let marked = |block: &Block| block.differs(|at| mark(at - block.base() + from.base())).is_none();
    let ran = edu.load(from.base(), BUFFER_BYTES) && edu.store(to.base(), BUFFER_BYTES);
    host.report
        .step("DMA of the host's own memory", ran && marked(&to), format_args!(""));
    for at in hypervisors(host).chain([target]) {
        // In: what the buffer holds afterwards is what it held, or nothing.
        let ran = edu.load(from.base(), BUFFER_BYTES) && edu.load(at, BUFFER_BYTES);
        to.fill(|_| 0);
        let ran = ran && edu.store(to.base(), BUFFER_BYTES);
        let leaked = to.differs(|a| {
            let found = to.read((a - to.base()) as usize);
            if found == 0 {
                0
            } else {
                mark(a - to.base() + from.base())
            }
        });
        host.report.step(
            "DMA from",
            ran && leaked.is_none(),
            format_args!("{at:#x}: {leaked:x?}"),
        );
        // Out: the guest and the hypervisor would notice.
        let ran = edu.load(from.base(), BUFFER_BYTES) && edu.store(at, BUFFER_BYTES);
        host.report
            .step("DMA to", ran && vm::is_leasehold(), format_args!("{at:#x}"));
    }
}

/// A load from and a store to each page of what the tree leaves out of RAM.
fn hypervisor(host: &mut Host) {
    for hole in &host.machine.holes() {
        let pages = || (hole.start..hole.end).step_by(PAGE as usize);
        let read = pages().find(|at| probe::read(at + 8, Width::Double).is_ok());
        // SAFETY: none of this program's.
        let written = pages().find(|at| unsafe { probe::write(at + 16, Width::Double, 0xdead) }.is_ok());
        let good = read.is_none() && written.is_none();
        host.report.step(
            "no page can be reached",
            good,
            format_args!("{hole:x?}: {read:x?} {written:x?}"),
        );
    }
}
