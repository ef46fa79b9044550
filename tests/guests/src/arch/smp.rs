//! The other CPUs: started by PSCI, then given functions to run.
//!
//! Nothing here needs exclusives, so that it works with the MMU off too: each word has one writer. CPUs with the MMU on
//! and CPUs with the MMU off see each other's words only on a machine without caches, such as QEMU's TCG.

use super::cpu::{self, MOST};
use super::entry;
use crate::psci;
use core::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

const STACK: usize = 64 << 10;

#[repr(C, align(4096))]
struct Stacks([[u8; STACK]; MOST]);

static mut STACKS: Stacks = Stacks([[0; STACK]; MOST]);

/// What `lh_secondary` reads, with the MMU off: stack, number, function.
#[repr(C, align(64))]
struct Start([AtomicU64; 8]);

static STARTS: [Start; MOST] = [const { Start([const { AtomicU64::new(0) }; 8]) }; MOST];

/// A function that CPUs run, with their number and an argument.
type Work = fn(usize, usize);

/// Counted up once per piece of work.
static TURN: AtomicU64 = AtomicU64::new(0);
static WORK: AtomicUsize = AtomicUsize::new(0);
static ARGUMENT: AtomicUsize = AtomicUsize::new(0);
/// The last turn that each CPU has finished.
static DONE: [AtomicU64; MOST] = [const { AtomicU64::new(0) }; MOST];
/// How many rendezvous each CPU has come to.
static MET: [AtomicU64; MOST] = [const { AtomicU64::new(0) }; MOST];
/// How many CPUs take part.
static COUNT: AtomicUsize = AtomicUsize::new(1);

/// No CPU is waited for longer than this.
const PATIENCE_MS: u64 = 60_000;

/// How many CPUs take part in [`each`].
pub fn count() -> usize {
    COUNT.load(Ordering::Acquire)
}

/// Turns on CPU `number`, with affinity `mpidr`, to run `main`, and gives what PSCI said.
pub fn start(number: usize, mpidr: u64, main: extern "C" fn(u64)) -> i32 {
    let stack = (&raw const STACKS) as u64 + ((number + 1) * STACK) as u64;
    let start = &STARTS[number].0;
    start[0].store(stack, Ordering::Relaxed);
    start[1].store(number as u64, Ordering::Relaxed);
    start[2].store(main as usize as u64, Ordering::Relaxed);
    let (image, end) = entry::image();
    cpu::clean(image, end - image);
    psci::cpu_on(mpidr, entry::secondary_entry(), (&raw const *start) as u64)
}

extern "C" fn serve(number: u64) {
    let number = number as usize;
    let mut seen = DONE[number].load(Ordering::Acquire);
    // Tell that this CPU is here.
    MET[number].store(MET[0].load(Ordering::Acquire), Ordering::Release);
    DONE[number].store(seen | HERE, Ordering::Release);
    cpu::sev();
    loop {
        let turn = TURN.load(Ordering::Acquire);
        if turn == seen {
            cpu::wfe();
            continue;
        }
        seen = turn;
        let work = WORK.load(Ordering::Acquire);
        // SAFETY: `begin` stores a `Work` there before it counts the turn up.
        let work: Work = unsafe { core::mem::transmute::<usize, Work>(work) };
        work(number, ARGUMENT.load(Ordering::Acquire));
        DONE[number].store(turn | HERE, Ordering::Release);
        cpu::sev();
    }
}

/// In [`DONE`]: the CPU has come up.
const HERE: u64 = 1 << 63;

/// Turns on all CPUs but the first, and gives how many there are then, this one included.
pub fn start_all(cpus: &[u64]) -> usize {
    let mut up = 1;
    for (number, mpidr) in cpus.iter().enumerate().take(MOST).skip(1) {
        DONE[number].store(TURN.load(Ordering::Acquire), Ordering::Release);
        if start(number, *mpidr, serve) != psci::SUCCESS {
            break;
        }
        if !cpu::wait(PATIENCE_MS, || DONE[number].load(Ordering::Acquire) & HERE != 0) {
            break;
        }
        up += 1;
    }
    COUNT.store(up, Ordering::Release);
    up
}

fn begin(work: Work, argument: usize) -> u64 {
    WORK.store(work as usize, Ordering::Release);
    ARGUMENT.store(argument, Ordering::Release);
    let turn = TURN.load(Ordering::Acquire) + 1;
    TURN.store(turn, Ordering::Release);
    cpu::sev();
    turn
}

fn finish(turn: u64) {
    if !cpu::wait(PATIENCE_MS, || {
        (1..count()).all(|n| DONE[n].load(Ordering::Acquire) == turn | HERE)
    }) {
        crate::stop(format_args!("not every CPU has finished in {PATIENCE_MS} ms"));
    }
}

/// What every CPU is given: a function, and what it is to work on.
struct Job<'a, T> {
    work: fn(usize, &T),
    on: &'a T,
}

/// The [`Work`] that does a [`Job`].
fn do_job<T>(number: usize, job: usize) {
    // SAFETY: `beside` gives the address of a `Job` of the same `T`, and does not return while a CPU may use it.
    let job = unsafe { &*(job as *const Job<'_, T>) };
    (job.work)(number, job.on);
}

/// Runs `work`, with its number and `on`, on every other CPU, and `deed` on this one meanwhile.
pub fn beside<T: Sync, R>(on: &T, work: fn(usize, &T), deed: impl FnOnce() -> R) -> R {
    let job = Job { work, on };
    let turn = begin(do_job::<T>, (&raw const job) as usize);
    let result = deed();
    finish(turn);
    result
}

/// Runs `work`, with its number and `on`, on every CPU, this one included.
pub fn each<T: Sync>(on: &T, work: fn(usize, &T)) {
    beside(on, work, || work(0, on));
}

/// Gives the other CPUs a last piece of work, from which they do not come back. Its arguments are a CPU's number and 0.
pub fn dismiss(work: fn(usize, usize)) {
    begin(work, 0);
    COUNT.store(1, Ordering::Release);
}

/// Waits until every CPU has come here. Only inside of [`each`]. Did they, in time?
pub fn meet(number: usize) -> bool {
    let mine = MET[number].load(Ordering::Acquire) + 1;
    MET[number].store(mine, Ordering::Release);
    cpu::wait(PATIENCE_MS, || {
        (0..count()).all(|n| MET[n].load(Ordering::Acquire) >= mine)
    })
}
