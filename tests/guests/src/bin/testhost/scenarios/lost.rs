//! CPUs of the host's whose exception vectors are nowhere, or in memory that is lent: each runs from one refused fetch into
//! the next, for ever. The others go on, and so does one whose vectors come back.

use core::sync::atomic::{AtomicU64, Ordering};
use leasehold_abi::{psci as numbers, vendor};
use leasehold_guests::arch::cpu::{self, MOST};
use leasehold_guests::arch::probe::{self, Width};
use leasehold_guests::arch::smp;
use leasehold_guests::ffa::Mailbox;
use leasehold_guests::host::Host;
use leasehold_guests::pages::{Block, PAGE};
use leasehold_guests::{args, ffa, pattern, psci, vm, write_register};

/// Where the vectors of each CPU are, and what it touches.
static VECTORS: [AtomicU64; MOST] = [const { AtomicU64::new(0) }; MOST];
static TOUCHED: AtomicU64 = AtomicU64::new(0);
/// What a CPU writes whose vectors have come back.
static BACK: [AtomicU64; MOST] = [const { AtomicU64::new(0) }; MOST];

/// From VBAR_EL1 to the vector of a synchronous exception from EL1 with SP_EL1.
const SYNC: u64 = 0x200;
/// How long a CPU may take to be lost, or to come back.
const SOON_MS: u64 = 20_000;
/// As often is a lost CPU refused at least while others work.
const LEAST: u64 = 1000;

extern "C" fn lose(number: u64) {
    write_register!("vbar_el1", VECTORS[number as usize].load(Ordering::Acquire));
    let touched = TOUCHED.load(Ordering::Acquire);
    // SAFETY: a load of lent memory, which has no other effect than the exception that this CPU is lost in.
    unsafe { (touched as *const u64).read_volatile() };
}

/// A handler that writes 1 into `mark`, and stays.
fn put_handler(page: Block, mark: &AtomicU64) {
    let mark = (&raw const *mark) as u64;
    // ldr x0, .+16; mov x1, #1; str x1, [x0]; b .
    let code = [
        0x5800_0080,
        0xd280_0021,
        0xf900_0001,
        0x1400_0000,
        mark as u32,
        (mark >> 32) as u32,
    ];
    for (n, word) in code.into_iter().enumerate() {
        page.write32(SYNC as usize + n * 4, word);
    }
    page.clean();
}

/// How many fetches of the host's were refused.
fn fetches() -> u64 {
    vm::fault_counts(vendor::CLASS_FETCH).map_or(0, |counts| counts.iter().sum())
}

/// Lends, touches and takes back until it was done so often, and something else has come so far.
fn work(mail: &Mailbox, id: u64, page: Block, enough: impl Fn() -> bool) -> (u32, u32) {
    let (mut rounds, mut failed) = (0, 0);
    while rounds < 100 || !enough() && rounds < 100_000 {
        rounds += 1;
        let lent = mail.lend(id, &[(page.base(), 1)]);
        let told = probe::read(page.base() + 8, Width::Double).is_err_and(|fault| fault.is_abort());
        let back = lent.and_then(ffa::reclaim).is_ok();
        let whole = page.read(8) == pattern::at(page.base() + 8);
        failed += u32::from(!(told && back && whole));
    }
    (rounds, failed)
}

pub fn run(host: &mut Host) {
    let cpus = host.machine.cpus.clone();
    if cpus.len() < 3 {
        host.report.step("three CPUs", false, format_args!("{}", cpus.len()));
        return;
    }
    let (area, vectors) = (host.pages.take_blocks(1), host.pages.take(1));
    area.fill(pattern::at);
    put_handler(vectors, &BACK[1]);
    let Some((id, handle)) = host.lend(&[area.part(3, 1)]) else {
        return;
    };
    let mail = host.mail();
    let lent = mail.lend(id, &[(vectors.base(), 1)]);
    let Some(kept) = host.report.value("lend the vectors", lent) else {
        return;
    };
    TOUCHED.store(area.part(3, 1).base(), Ordering::Release);
    VECTORS[1].store(vectors.base(), Ordering::Release);
    // Behind all memory: nobody's.
    let nowhere = host.machine.memory.iter().map(|m| m.end).max().unwrap_or(0) + (1 << 30);
    VECTORS[2].store(nowhere, Ordering::Release);
    for number in [1, 2] {
        let on = smp::start(number, cpus[number], lose);
        host.report.same("a CPU to be lost", on, numbers::SUCCESS);
    }
    let first = fetches();
    let lost = cpu::wait(SOON_MS, || fetches() > first + 10);
    host.report.step(
        "it is refused again and again",
        lost,
        format_args!("{} times", fetches() - first),
    );
    let before = fetches();
    let (rounds, failed) = work(&mail, id, area.part(7, 1), || fetches() >= before + LEAST);
    let while_lost = fetches() - before;
    host.report.step(
        "others go on",
        failed == 0 && while_lost >= LEAST,
        format_args!("{rounds} leases, {failed} failed, {while_lost} fetches refused"),
    );
    for number in [1, 2] {
        let info = psci::call(numbers::AFFINITY_INFO_64, &[cpus[number], 0]);
        host.report.same("it is still on", info, numbers::AFFINITY_ON);
    }
    come_back(host, kept, id);
    let most = args::number_of(host.machine.args, "faults", 2000);
    let served = (0..most).filter(|_| probe::read(area.base() + 3 * PAGE, Width::Double).is_err());
    host.report.same("and this one too", served.count() as u64, most);
    let back = ffa::reclaim(handle).and_then(|()| vm::destroy(id));
    host.report.value("reclaim", back);
    let dirt = area.differs(pattern::at);
    host.report
        .step("nothing was written", dirt.is_none(), format_args!("{dirt:x?}"));
}

/// The vectors are the host's again, and what is fetched there is the handler.
fn come_back(host: &mut Host, kept: u64, id: u64) {
    let back = ffa::reclaim(kept);
    host.report.value("reclaim the vectors", back);
    let marked = cpu::wait(SOON_MS, || BACK[1].load(Ordering::Acquire) == 1);
    host.report
        .step("the lost CPU is in its handler", marked, format_args!("VM {id}"));
    let quiet = fetches();
    cpu::delay(5);
    host.report.same("no more fetches are refused", fetches(), quiet);
}
