//! Translations that CPUs remember when memory is lent, and when it comes back.
//!
//! All CPUs but one touch the memory without a pause while that one lends it. An access that begins after the lend has
//! returned must be refused, and the guest, who has the memory then, must not see one. In the same way back: an access
//! that begins after the reclaim has returned must succeed, and never, at any time, bring what the guest wrote.

use core::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use leasehold_abi::vendor;
use leasehold_guests::arch::cpu::{self, MOST};
use leasehold_guests::arch::probe::{self, Width};
use leasehold_guests::arch::{mmu, smp};
use leasehold_guests::ffa::{self, Mailbox};
use leasehold_guests::host::Host;
use leasehold_guests::lender::{Failed, Guest, Image, named};
use leasehold_guests::pages::Block;
use leasehold_guests::{pattern, vm};

/// What is lent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum What {
    /// A page out of a block that is whole until then.
    Page,
    /// Another page of a block that has been split for one before.
    SecondPage,
    /// All of a block.
    Block,
}

/// How stage 1 maps it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage1 {
    Off,
    Pages,
    Block,
}

pub fn run(host: &mut Host) {
    let image = host.image();
    let home = host.pages.take(image.pages() + 16);
    host.start_cpus();
    for stage1 in [Stage1::Off, Stage1::Pages, Stage1::Block] {
        if stage1 == Stage1::Pages {
            host.translate();
        }
        for what in [What::Page, What::SecondPage, What::Block] {
            alone(host, stage1, what);
            variant(host, &image, home, stage1, what);
        }
    }
}

/// One variant, for what is printed.
type Variant = (Stage1, What);

/// A block to lend from. With `SecondPage`, a page of it is lent already: the VM that has it, and the lease.
fn prepare(host: &mut Host, mail: &Mailbox, stage1: Stage1, what: What) -> (Block, Option<(u64, u64)>) {
    let area = host.pages.take_blocks(1);
    if let Some(space) = &host.space {
        space.set_granule(&mut host.pages, area, stage1 == Stage1::Pages);
    }
    let before = if what == What::SecondPage {
        lend_one(host, mail, area.part(7, 1))
    } else {
        None
    };
    let lent = if what == What::Block { area } else { area.part(8, 1) };
    lent.fill(|at| !pattern::at(at));
    (lent, before)
}

fn variant(host: &mut Host, image: &Image, home: Block, stage1: Stage1, what: What) {
    let mail = host.mail();
    let (lent, before) = prepare(host, &mail, stage1, what);
    if let Some(guest) = lend(host, "refused once lent", (stage1, what), lent, || {
        Guest::new(&mail, image, "", &[home, lent])
    }) {
        live(host, image, (stage1, what), lent, guest);
    }
    give_back(host, "reclaim the first page", before);
}

/// The lend by itself: what else a guest needs makes TLBs forget more than the lend asks them to.
fn alone(host: &mut Host, stage1: Stage1, what: What) {
    let mail = host.mail();
    let (lent, before) = prepare(host, &mail, stage1, what);
    let created = vm::create();
    if let Some(id) = host.report.value("create", created) {
        let pages = [(lent.base(), lent.pages() as u32)];
        let handle = lend(host, "refused once lent, alone", (stage1, what), lent, || {
            named("lend", mail.lend(id, &pages))
        });
        give_back(host, "reclaim what was lent alone", handle.map(|handle| (id, handle)));
    }
    give_back(host, "reclaim the first page", before);
}

fn give_back(host: &mut Host, name: &str, lease: Option<(u64, u64)>) {
    if let Some((vm, handle)) = lease {
        let taken = ffa::reclaim(handle).and_then(|()| vm::destroy(vm));
        host.report.value(name, taken);
    }
}

/// Lends a page to a VM of its own.
fn lend_one(host: &mut Host, mail: &Mailbox, page: Block) -> Option<(u64, u64)> {
    let lent = vm::create().and_then(|id| mail.lend(id, &[(page.base(), 1)]).map(|handle| (id, handle)));
    host.report.value("lend the first page", lent)
}

/// What the CPUs share while they touch. Each counts for itself.
struct Shared {
    /// What is touched.
    lent: Block,
    /// The lend, or the way back, is done.
    returned: AtomicBool,
    /// Enough.
    stop: AtomicBool,
    /// Accesses that were let through and may be.
    through: [AtomicU64; MOST],
    /// Accesses that were refused and may be.
    refused: [AtomicU64; MOST],
    /// Accesses that must not be, or not bring what they brought.
    wrong: [AtomicU64; MOST],
}

/// Accesses after which the refusals of one CPU suffice.
const ENOUGH: u64 = 48;

impl Shared {
    fn new(lent: Block) -> Shared {
        let (returned, stop) = (AtomicBool::new(false), AtomicBool::new(false));
        Shared {
            lent,
            returned,
            stop,
            through: Default::default(),
            refused: Default::default(),
            wrong: Default::default(),
        }
    }

    /// One more for this CPU, the only one that writes there.
    fn count(counts: &[AtomicU64; MOST], cpu: usize) -> u64 {
        let n = counts[cpu].load(Ordering::Relaxed) + 1;
        counts[cpu].store(n, Ordering::Release);
        n
    }

    fn sum(counts: &[AtomicU64; MOST]) -> u64 {
        counts.iter().map(|c| c.load(Ordering::Acquire)).sum()
    }

    /// Waits until every other CPU has counted as many, or one has counted what must not be.
    fn each_has(&self, counts: &[AtomicU64; MOST], enough: u64) -> bool {
        let all = || (1..smp::count()).all(|n| counts[n].load(Ordering::Acquire) >= enough);
        cpu::wait(10_000, || all() || Shared::sum(&self.wrong) > 0) && all()
    }

    /// An address of what is touched, another one each time, by whichever half it can be reached.
    fn place(&self, cpu: usize, turn: u64) -> u64 {
        let offset = (turn * 4096 + turn * 8 + cpu as u64 * 64) % self.lent.bytes();
        let at = self.lent.base() + offset;
        if turn % 2 == 1 && mmu::is_on() {
            mmu::kernel(at)
        } else {
            at
        }
    }
}

/// Loads and stores until told to stop; what begins after `returned` is to be refused.
fn touch(cpu: usize, shared: &Shared) {
    let mut turn = 0;
    while !shared.stop.load(Ordering::Acquire) {
        turn += 1;
        let after = shared.returned.load(Ordering::Acquire);
        let at = shared.place(cpu, turn);
        let result = if turn % 3 == 0 {
            // SAFETY: memory that is lent or about to be: nothing of this program's.
            unsafe { probe::write(at, Width::Double, turn << 32 | 0xbad) }
        } else {
            probe::read(at, Width::Double).map(drop)
        };
        match result {
            Ok(()) if after => Shared::count(&shared.wrong, cpu),
            Ok(()) => Shared::count(&shared.through, cpu),
            Err(_) if Shared::count(&shared.refused, cpu) >= ENOUGH => return,
            Err(_) => 0,
        };
    }
}

/// Loads until told to stop; what begins after `returned` is to succeed, and nothing but zero ever comes.
fn read(cpu: usize, shared: &Shared) {
    let mut turn = 0;
    while !shared.stop.load(Ordering::Acquire) {
        turn += 1;
        let after = shared.returned.load(Ordering::Acquire);
        match probe::read(shared.place(cpu, turn), Width::Double) {
            Ok(0) => Shared::count(&shared.through, cpu),
            Err(_) if !after => {
                cpu::delay(1);
                Shared::count(&shared.refused, cpu)
            }
            _ => Shared::count(&shared.wrong, cpu),
        };
    }
}

/// Does `deed` while the other CPUs touch, each of which has counted in `before`, and lets them go on until each has
/// counted in `until`. Gives what the deed gives, and whether each has counted in time.
fn meanwhile<T>(
    shared: &Shared,
    touch: fn(usize, &Shared),
    (before, until): (&[AtomicU64; MOST], &[AtomicU64; MOST]),
    deed: impl FnOnce() -> Result<T, Failed>,
) -> (Result<T, Failed>, bool) {
    smp::beside(shared, touch, || {
        // They have it in their TLBs when it begins, unless it is done already.
        let warm = shared.returned.load(Ordering::Acquire) || shared.each_has(before, ENOUGH / 8);
        let result = deed();
        shared.returned.store(true, Ordering::Release);
        let seen = result.is_err() || shared.each_has(until, ENOUGH / 2);
        shared.stop.store(true, Ordering::Release);
        (result, warm && seen)
    })
}

fn lend<T>(
    host: &mut Host,
    name: &str,
    variant: Variant,
    lent: Block,
    deed: impl FnOnce() -> Result<T, Failed>,
) -> Option<T> {
    let shared = Shared::new(lent);
    // This CPU has it in its TLB too.
    let warm = lent.read(8);
    let (given, seen) = meanwhile(&shared, touch, (&shared.through, &shared.refused), deed);
    let own = probe::read(lent.base() + 8, Width::Double);
    let (through, refused) = (Shared::sum(&shared.through), Shared::sum(&shared.refused));
    let wrong = Shared::sum(&shared.wrong);
    let warmed = warm != 0 && (through > 0 || host.cpus == 1);
    let good = given.is_ok() && seen && wrong == 0 && own.is_err() && warmed;
    let failed = given.as_ref().err();
    host.report.step(
        name,
        good,
        format_args!("{variant:?}: {through} accesses before, then {refused} refused and {wrong} not; {failed:?}"),
    );
    given.ok()
}

/// The guest finds what is lent clean and fills it, nobody else writes there, and then it comes back clean.
fn live(host: &mut Host, image: &Image, variant: Variant, lent: Block, mut guest: Guest) {
    let ran = guest.start(image).and_then(|()| guest.run());
    let waits = ran.is_ok_and(|exit| exit.reason == vendor::EXIT_WAIT);
    host.report
        .step("guest fills it", waits, format_args!("{variant:?}: {ran:x?}"));

    let shared = Shared::new(lent);
    shared.returned.store(true, Ordering::Release);
    let (_, seen) = meanwhile(&shared, touch, (&shared.through, &shared.refused), || Ok(()));
    let wrong = Shared::sum(&shared.wrong);
    let good = seen && wrong == 0;
    host.report.step(
        "refused while lent",
        good,
        format_args!("{variant:?}: {wrong} let through; by every CPU: {seen}"),
    );

    let ended = guest.run_to_end();
    let good = guest.said.has("zero ok") && guest.said.has("LH-GUEST intact");
    host.report
        .step("guest sees none of it", good, format_args!("{variant:?}: {ended:x?}"));

    let shared = Shared::new(lent);
    let (back, seen) = meanwhile(&shared, read, (&shared.refused, &shared.through), || guest.end());
    let (through, refused) = (Shared::sum(&shared.through), Shared::sum(&shared.refused));
    let wrong = Shared::sum(&shared.wrong);
    host.report.step(
        "there once back, and clean",
        back.is_ok() && seen && wrong == 0,
        format_args!("{variant:?}: {refused} refused before, {through} read zero, {wrong} wrong; {back:?}"),
    );
    let dirt = lent.differs(|_| 0);
    host.report.step(
        "all of it is clean",
        dirt.is_none(),
        format_args!("{variant:?}: {dirt:x?}"),
    );
}
