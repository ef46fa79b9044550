//! Touches of lent memory that are served on other memory (`decoy`).

use core::sync::atomic::{AtomicU64, Ordering};
use leasehold_abi::vendor;
use leasehold_guests::arch::el0::{Program, Stub};
use leasehold_guests::arch::fp;
use leasehold_guests::arch::mmu;
use leasehold_guests::arch::one::{self, Instruction as I, Registers};
use leasehold_guests::arch::probe::{self, Fault, Width};
use leasehold_guests::arch::smp;
use leasehold_guests::host::Host;
use leasehold_guests::pages::{Block, PAGE};
use leasehold_guests::{args, ffa, pattern, read_register, vm};

/// What an instruction does to the registers that it was given, when all that it reads is zero.
type Change = fn(&mut Registers);

/// One way to touch memory.
struct Way {
    name: &'static str,
    instruction: I,
    change: Change,
    /// With stage 1 off, memory is of Device type, for which this instruction is none.
    normal: bool,
    /// It is one of FEAT_LSE's.
    lse: bool,
}

const fn way(name: &'static str, instruction: I, change: Change) -> Way {
    Way {
        name,
        instruction,
        change,
        normal: false,
        lse: false,
    }
}

const fn of_normal(name: &'static str, instruction: I, change: Change) -> Way {
    Way {
        normal: true,
        ..way(name, instruction, change)
    }
}

const fn of_lse(name: &'static str, instruction: I, change: Change) -> Way {
    Way {
        lse: true,
        ..of_normal(name, instruction, change)
    }
}

/// ID_AA64ISAR0_EL1.Atomic.
fn has_lse() -> bool {
    read_register!("id_aa64isar0_el1") >> 20 & 0xf != 0
}

const WAYS: [Way; 15] = [
    way("load 8", I::LOAD_BYTE, |r| r.x[3] = 0),
    way("load 64", I::LOAD, |r| r.x[3] = 0),
    way("load acquire", I::LOAD_ACQUIRE, |r| r.x[3] = 0),
    way("load pair", I::LOAD_PAIR, |r| (r.x[3], r.x[4]) = (0, 0)),
    way("load, write back", I::LOAD_BACK, |r| {
        (r.x[0], r.x[3]) = (r.x[0] + 8, 0);
    }),
    way("load vector", I::LOAD_VECTOR, |_| {}),
    way("store 64", I::STORE, |_| {}),
    way("store release", I::STORE_RELEASE, |_| {}),
    way("store pair", I::STORE_PAIR, |_| {}),
    of_lse("add", I::ADD, |r| r.x[3] = 0),
    of_lse("swap", I::SWAP, |r| r.x[3] = 0),
    of_lse("compare, swap", I::COMPARE_SWAP, |r| r.x[3] = 0),
    of_lse("compare, swap pair", I::COMPARE_SWAP_PAIR, |r| {
        (r.x[4], r.x[5]) = (0, 0);
    }),
    of_normal("dc zva", I::ZERO, |_| {}),
    of_normal("dc civac", I::CLEAN, |_| {}),
];

/// What is not a general register and must stay as it is.
pub fn aside() -> [u64; 6] {
    [
        read_register!("mdscr_el1"),
        read_register!("oslsr_el1"),
        read_register!("daif"),
        read_register!("esr_el1"),
        read_register!("far_el1"),
        read_register!("spsr_el1"),
    ]
}

/// Executes it, and compares every register.
fn execute(host: &mut Host, with: &str, way: &Way, address: u64, sp0: bool) {
    let mut registers = Registers::new(address, sp0);
    let mut wanted = registers;
    (way.change)(&mut wanted);
    let before = aside();
    // SAFETY: lent memory, which is not this program's.
    let outcome = unsafe { way.instruction.run(&mut registers) };
    let after = aside();
    // What it jumps by, and where its stack happens to be.
    (wanted.x[30], wanted.sp) = (registers.x[30], registers.sp);
    let good = outcome.is_ok() && registers == wanted && before == after;
    host.report.step(
        way.name,
        good,
        format_args!(
            "{with}: {outcome:x?}, x0 {:#x} x3 {:#x} x4 {:#x}, aside {before:x?} {after:x?}",
            registers.x[0], registers.x[3], registers.x[4]
        ),
    );
}

fn refused<T: core::fmt::Debug>(host: &mut Host, name: &str, result: Result<T, Fault>) {
    // What comes behind the last link.
    let good = result
        .as_ref()
        .is_err_and(|fault| fault.is_abort() && fault.status() == 0x10);
    host.report.step(name, good, format_args!("{result:x?}"));
}

/// Every kind of access, by a chain whose only link is a decoy. Each finds zeroes, and none changes what the next finds.
pub fn run(host: &mut Host) {
    fp::enable();
    let (area, other) = (host.pages.take_blocks(1), host.pages.take_blocks(1));
    area.fill(pattern::at);
    let Some((id, handle)) = host.lend(&[area.part(3, 2)]) else {
        return;
    };
    let lent = area.part(3, 2).base();
    for sp0 in [false, true] {
        for way in WAYS.iter().filter(|way| !way.normal) {
            execute(host, "stage 1 off", way, lent + 64, sp0);
        }
    }
    host.start_cpus();
    host.translate();
    host.map_in_pages(area, area.part(4, 1));
    for sp0 in [false, true] {
        for way in WAYS.iter().filter(|way| !way.lse || has_lse()) {
            execute(host, "lower half", way, lent + 128, sp0);
            execute(host, "upper half", way, mmu::kernel(lent + 128), sp0);
        }
    }
    edges(host, area);
    vectors(host, lent);
    at_el0(host, lent);
    copies(host, area, other);
    never(host, lent);
    all_cpus(host, area);
    beside_lends(host, id, area);
    again_and_again(host, lent);
    let beside = area
        .part(5, 507)
        .differs(pattern::at)
        .or(area.part(0, 3).differs(pattern::at));
    host.report
        .step("pages beside", beside.is_none(), format_args!("{beside:x?}"));
    let back = ffa::reclaim(handle).and_then(|()| vm::destroy(id));
    host.report.value("reclaim", back);
    let dirt = area.differs(pattern::at);
    host.report
        .step("nothing was written", dirt.is_none(), format_args!("{dirt:x?}"));
    borrower(host);
}

/// Accesses of 8 and 16 bytes across each edge: own and lent, lent and lent, lent and own.
fn edges(host: &mut Host, area: Block) {
    let lent = area.base() + 3 * PAGE..area.base() + 5 * PAGE;
    let byte = |at: u64| {
        if lent.contains(&at) {
            return 0;
        }
        pattern::at(at & !7) >> (at % 8 * 8) & 0xff
    };
    let word = |at: u64| (0..8).fold(0, |sum, n| sum | byte(at + n) << (n * 8));
    for edge in [3, 4, 5] {
        for before in [3, 4, 8, 13] {
            let at = area.base() + edge * PAGE - before;
            let mut registers = Registers::new(at, false);
            // SAFETY: a load.
            let outcome = unsafe { I::LOAD_PAIR.run(&mut registers) };
            let (found, wanted) = ([registers.x[3], registers.x[4]], [word(at), word(at + 8)]);
            host.report.step(
                "load across an edge",
                outcome.is_ok() && found == wanted,
                format_args!("{edge} - {before}: {outcome:x?} {found:x?}, wanted {wanted:x?}"),
            );
        }
    }
    // A store across an edge leaves its own part where it belongs.
    let at = area.base() + 3 * PAGE - 4;
    let (mut registers, old) = (Registers::new(at, false), pattern::at(at & !7));
    // SAFETY: memory of this test's alone.
    let outcome = unsafe { I::STORE.run(&mut registers) };
    let found = area.part(2, 1).read(PAGE as usize - 8);
    let wanted = old & 0xffff_ffff | registers.x[1] << 32;
    area.part(2, 1).write(PAGE as usize - 8, old);
    host.report.step(
        "store across an edge",
        outcome.is_ok() && found == wanted,
        format_args!("{outcome:x?}: {found:#x}, wanted {wanted:#x}"),
    );
}

/// SVE, where there is any, also across the edge.
fn vectors(host: &mut Host, lent: u64) {
    // ID_AA64PFR0_EL1.SVE.
    if read_register!("id_aa64pfr0_el1") >> 32 & 0xf == 0 {
        return;
    }
    one::all_active();
    for at in [lent + 64, lent + PAGE - 8, lent + PAGE] {
        let mut registers = Registers::new(at, false);
        // SAFETY: a load.
        let outcome = unsafe { I::LOAD_SVE.run(&mut registers) };
        let found = one::vector();
        host.report.step(
            "load sve",
            outcome.is_ok() && found == 0,
            format_args!("{at:#x}: {outcome:x?} {found:#x}"),
        );
    }
}

fn at_el0(host: &mut Host, lent: u64) {
    let program = host.program();
    let address = mmu::user(lent + 256);
    for (name, stub) in [
        ("EL0 load", Stub::Load),
        ("EL0 store", Stub::Store),
        ("EL0 pair", Stub::Pair),
        ("EL0 clean", Stub::Clean),
        ("EL0 load", Stub::Load),
        ("EL0 add", Stub::Add),
        ("EL0 load", Stub::Load),
    ] {
        if stub == Stub::Add && !has_lse() {
            continue;
        }
        let before = aside();
        let result = at(&program, stub, address);
        let after = aside();
        // What it leaves in x0; SPSR_EL1, ESR_EL1 and FAR_EL1 are its `svc`'s.
        let good = match stub {
            Stub::Load | Stub::Pair | Stub::Add => result == Ok(0),
            _ => result.is_ok(),
        };
        let good = good && before[..3] == after[..3];
        host.report.step(name, good, format_args!("{result:x?}"));
    }
    refused(host, "EL0 exclusive", at(&program, Stub::Exclusive, address));
    refused(host, "EL0 fetch", at(&program, Stub::Jump, mmu::user(lent + PAGE)));
}

fn at(program: &Program, stub: Stub, address: u64) -> Result<u64, Fault> {
    // SAFETY: lent memory; what could be fetched is EL0's, which comes back at its first exception.
    unsafe { program.run(stub, address, 1) }
}

/// FEAT_MOPS, where it is: sets and copies from, to and within lent memory, over its edges.
fn copies(host: &mut Host, area: Block, other: Block) {
    // ID_AA64ISAR2_EL1.MOPS.
    if read_register!("S3_0_C0_C6_2") >> 16 & 0xf == 0 {
        return;
    }
    let own = area.base();
    let (lent, end) = (own + 3 * PAGE, own + 5 * PAGE);
    let sequence = |instructions: [I; 3], registers: &mut Registers| {
        // SAFETY: memory of this test's alone.
        instructions.map(|i| unsafe { i.run(registers) })
    };
    let set = [I::SET_BEGIN, I::SET, I::SET_END];
    let copy = [I::COPY_BEGIN, I::COPY, I::COPY_END];
    for (name, to, from, bytes) in [
        ("set lent", lent + 24, None, 700),
        ("set across", lent + PAGE - 100, None, 3000),
        ("copy from lent", other.base(), Some(lent + 8), 600),
        ("copy from lent pages", other.base(), Some(lent + 8), 2 * PAGE - 8),
        ("copy to lent", lent + 16, Some(other.base()), 2 * PAGE - 16),
        ("copy within", lent + PAGE + 8, Some(lent + 16), 1000),
        ("copy across", other.base(), Some(lent - 64), 2 * PAGE + 128),
    ] {
        let mut registers = Registers::new(from.unwrap_or(to), false);
        (registers.x[1], registers.x[2], registers.x[3]) = (0xab, bytes, to);
        other.fill(|_| 0x5555_5555_5555_5555);
        let done = sequence(if from.is_some() { copy } else { set }, &mut registers);
        let mut good = done.iter().all(Result::is_ok) && registers.x[2] == 0;
        if let (Some(from), true) = (from, to == other.base()) {
            let wrong = (0..bytes / 8).find(|n| {
                let at = from + n * 8;
                let wanted = if (lent..end).contains(&at) { 0 } else { pattern::at(at) };
                other.read(*n as usize * 8) != wanted
            });
            good &= wrong.is_none();
        }
        host.report
            .step(name, good, format_args!("{done:x?}, {} bytes left", registers.x[2]));
    }
}

/// What no decoy serves.
fn never(host: &mut Host, lent: u64) {
    let mut registers = Registers::new(lent, false);
    // SAFETY: a load.
    refused(host, "exclusive", unsafe { I::LOAD_EXCLUSIVE.run(&mut registers) });
    // SAFETY: it is not to be reached; were it, this program would be lost, and that would be seen.
    refused(host, "fetch", unsafe { probe::fetch(lent, 0) });
}

/// Each CPU stores and loads at the same place: each load finds zero, whatever the others do.
fn all_cpus(host: &mut Host, area: Block) {
    let shared = (area.base() + 3 * PAGE + 512, AtomicU64::new(0));
    smp::each(&shared, |number, (at, wrong)| {
        for n in 0..25_u64 {
            // SAFETY: lent memory.
            let stored = unsafe { probe::write(*at, Width::Double, n + 1 + number as u64) };
            let loaded = probe::read(*at, Width::Double);
            if stored.is_err() || loaded != Ok(0) {
                wrong.fetch_add(1, Ordering::Relaxed);
            }
        }
    });
    let wrong = shared.1.load(Ordering::Relaxed);
    host.report
        .step("all CPUs at once", wrong == 0, format_args!("{wrong} wrong of 25 each"));
}

/// Others are served while neighbours of the page are lent and come back.
fn beside_lends(host: &mut Host, id: u64, area: Block) {
    let stop = AtomicU64::new(0);
    let shared = (area, AtomicU64::new(0), &stop, AtomicU64::new(0));
    let mail = host.mail();
    let failed = smp::beside(
        &shared,
        |_, (area, wrong, stop, count)| {
            let lent = area.base() + 3 * PAGE;
            while stop.load(Ordering::Acquire) == 0 {
                count.fetch_add(1, Ordering::Relaxed);
                // Across the edge of a page that comes and goes.
                let mut registers = Registers::new(lent + 2 * PAGE - 8, false);
                // SAFETY: a load.
                let outcome = unsafe { I::LOAD_PAIR.run(&mut registers) };
                let own = pattern::at(lent + 2 * PAGE);
                if outcome.is_err() || registers.x[3] != 0 || ![0, own].contains(&registers.x[4]) {
                    wrong.fetch_add(1, Ordering::Relaxed);
                }
            }
        },
        || {
            let (mut failed, mut rounds) = (0, 0);
            let served = |least: u64| shared.3.load(Ordering::Acquire) >= least;
            // At least as often, and until the others have had their share of it.
            while rounds < 50 || !served(50) && rounds < 5000 {
                rounds += 1;
                let lent = mail.lend(id, &[(area.base() + 5 * PAGE, 1), (area.base() + 9 * PAGE, 3)]);
                failed += u32::from(lent.and_then(ffa::reclaim).is_err());
            }
            stop.store(1, Ordering::Release);
            failed
        },
    );
    let (wrong, count) = (shared.1.load(Ordering::Relaxed), shared.3.load(Ordering::Relaxed));
    host.report.step(
        "beside lends",
        wrong == 0 && failed == 0 && count >= 50,
        format_args!("{wrong} wrong of {count}, {failed} lends failed"),
    );
}

fn again_and_again(host: &mut Host, lent: u64) {
    let most = args::number_of(host.machine.args, "faults", 10_000);
    let wrong = (0..most).filter(|_| probe::read_again(lent + 256) != Ok(0)).count();
    host.report
        .step("again and again", wrong == 0, format_args!("{wrong} wrong of {most}"));
    let mechanism = vm::fault().map(|record| record.mechanism);
    host.report.same("record", mechanism, Ok(vendor::MECHANISM_DECOY));
    vm::drain_faults();
}

/// A guest whose memory the host reads and writes all over does not notice.
fn borrower(host: &mut Host) {
    let image = host.image();
    let memory = host.pages.take_blocks(1);
    let Some(mut guest) = host.running(&image, memory) else {
        return;
    };
    let mut wrong = 0;
    for page in 0..memory.pages() {
        let address = memory.base() + page * PAGE + 8 * page % PAGE;
        // SAFETY: lent memory.
        let stored = unsafe { probe::write(address, Width::Double, 0xbad) };
        wrong += u32::from(stored.is_err() || probe::read(address, Width::Double) != Ok(0));
    }
    host.report
        .step("touched all over", wrong == 0, format_args!("{wrong} wrong"));
    let end = guest.run_to_end().map(|(exit, _)| exit.reason);
    host.report.same("it ends", end, Ok(vendor::EXIT_OFF));
    host.report.step(
        "it has noticed nothing",
        guest.said.has("LH-GUEST intact"),
        format_args!(""),
    );
    let ended = guest.end();
    host.report.value("end", ended);
}
