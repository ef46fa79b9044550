//! Many leases, of many shapes, by all CPUs at once; at the end nothing is missing.

use core::sync::atomic::{AtomicU64, Ordering};
use leasehold_abi::{ffa as numbers, vendor};
use leasehold_guests::arch::cpu::MOST;
use leasehold_guests::arch::smp;
use leasehold_guests::ffa::{self, Mailbox};
use leasehold_guests::host::Host;
use leasehold_guests::lender::{Failed, Guest, Image, named};
use leasehold_guests::pages::{Block, PAGE};
use leasehold_guests::pattern::Chance;
use leasehold_guests::tree::RAM_BASE;
use leasehold_guests::{args, pattern, vm};

/// What a CPU has to itself: 4 MiB, and an image to load.
#[derive(Clone, Copy)]
struct Own {
    memory: Block,
    image: Image,
}

struct Shared {
    mail: Mailbox,
    own: [Option<Own>; MOST],
    rounds: u64,
    seed: u64,
    /// For each CPU: rounds that ended well, and rounds for which there was no room.
    good: [AtomicU64; MOST],
    full: [AtomicU64; MOST],
    /// The first failure: the round, and what it was.
    failed: [AtomicU64; MOST],
}

pub fn run(host: &mut Host) {
    let told = vm::features();
    let Some(before) = host.report.value("features", told) else {
        return;
    };
    host.start_cpus();
    host.translate();
    let mut own = [None; MOST];
    for slot in own.iter_mut().take(host.cpus) {
        *slot = Some(Own {
            memory: host.pages.take_blocks(2),
            image: host.image(),
        });
    }
    let shared = Shared {
        mail: host.mail(),
        own,
        rounds: args::number_of(host.machine.args, "rounds", 5),
        seed: args::number_of(host.machine.args, "seed", 1),
        good: Default::default(),
        full: Default::default(),
        failed: Default::default(),
    };
    smp::each(&shared, work);
    for cpu in 0..host.cpus {
        let count = |counts: &[AtomicU64; MOST]| counts[cpu].load(Ordering::Acquire);
        let (good, full, failed) = (count(&shared.good), count(&shared.full), count(&shared.failed));
        let seen = format_args!("CPU {cpu}: {good} rounds, {full} without room, first failure {failed:#x}");
        host.report
            .step("rounds", failed == 0 && good > 0 && good + full == shared.rounds, seen);
    }
    whole(host, &shared);
    let after = vm::features();
    host.report.same("features after", after, Ok(before));
}

fn work(cpu: usize, shared: &Shared) {
    let Some(own) = shared.own[cpu] else { return };
    let mut chance = Chance::new(shared.seed << 8 | cpu as u64);
    for round in 0..shared.rounds {
        let counts = match one(&shared.mail, &own, &mut chance) {
            Ok(()) => &shared.good,
            Err(Failed(_, numbers::NO_MEMORY | vendor::NO_MEMORY)) => &shared.full,
            Err(Failed(step, status)) => {
                // Round, step's first letters and status, for the one who reads it.
                let letters = step.bytes().take(3).fold(0, |n, b| n << 8 | u64::from(b));
                let failure = (round + 1) << 40 | letters << 16 | u64::from(status as u16);
                let first = shared.failed[cpu].load(Ordering::Relaxed);
                shared.failed[cpu].store(if first == 0 { failure } else { first }, Ordering::Release);
                continue;
            }
        };
        counts[cpu].store(counts[cpu].load(Ordering::Relaxed) + 1, Ordering::Release);
    }
}

/// Some ranges of the block, none beside another, in any order.
fn pick(memory: Block, chance: &mut Chance) -> heapless::Vec<Block, 16> {
    let mut blocks: heapless::Vec<Block, 16> = heapless::Vec::new();
    let mut first = chance.below(20);
    let most = 1 + chance.below(15) as usize;
    while blocks.len() < most && first < memory.pages() {
        let pages = match chance.below(4) {
            0 => 1,
            1 => 1 + chance.below(7),
            2 => 1 + chance.below(100),
            // A whole 2 MiB, where it fits.
            _ => {
                first = first.next_multiple_of(512);
                512
            }
        };
        if first + pages > memory.pages() {
            break;
        }
        let _ = blocks.push(memory.part(first, pages));
        first += pages + 1 + chance.below(60);
    }
    for i in (1..blocks.len()).rev() {
        blocks.swap(i, chance.below(i as u64 + 1) as usize);
    }
    blocks
}

/// One lease's way, or part of it.
fn one(mail: &Mailbox, own: &Own, chance: &mut Chance) -> Result<(), Failed> {
    let blocks = pick(own.memory, chance);
    if blocks.is_empty() {
        return Ok(());
    }
    sign(&blocks);
    let pages: u64 = blocks.iter().map(Block::pages).sum();
    let contiguous = pages >= own.image.pages() && blocks.len() < 16;
    let borrowed = match chance.below(4) {
        0 => lend_only(mail, &blocks, false)?,
        2 | 3 if contiguous => live(mail, own, &blocks, chance.below(2) == 0)?,
        _ => lend_only(mail, &blocks, true)?,
    };
    check(&blocks, borrowed)
}

/// The first and the last word of every page.
fn edges(blocks: &[Block]) -> impl Iterator<Item = (Block, usize)> {
    let pages = |b: &Block| (0..b.pages() as usize).map(|page| page * PAGE as usize);
    blocks
        .iter()
        .flat_map(move |b| pages(b).flat_map(|at| [(*b, at), (*b, at + PAGE as usize - 8)]))
}

fn sign(blocks: &[Block]) {
    edges(blocks).for_each(|(block, at)| block.write(at, !pattern::at(block.base() + at as u64)));
}

/// What a guest has had is zero; what none has had is as its owner left it.
fn check(blocks: &[Block], borrowed: bool) -> Result<(), Failed> {
    let wanted = |block: Block, at: usize| {
        if borrowed {
            0
        } else {
            !pattern::at(block.base() + at as u64)
        }
    };
    let right = edges(blocks).all(|(block, at)| block.read(at) == wanted(block, at));
    if right { Ok(()) } else { Err(Failed("contents", 0)) }
}

/// A lease that no guest ever runs in. Has one had it, as far as the hypervisor goes?
fn lend_only(mail: &Mailbox, blocks: &[Block], mapped: bool) -> Result<bool, Failed> {
    let id = named("create", vm::create())?;
    let ranges = leasehold_guests::lender::ranges::<16>(blocks);
    let done = named("lend", mail.lend(id, &ranges)).map(|handle| {
        let map = if mapped {
            named("map", vm::map(id, handle, RAM_BASE))
        } else {
            Ok(())
        };
        (handle, map)
    });
    named("destroy", vm::destroy(id))?;
    let (handle, map) = done?;
    named("reclaim", ffa::reclaim(handle))?;
    map.map(|()| mapped)
}

/// A guest that is loaded, and run to its end or not.
fn live(mail: &Mailbox, own: &Own, blocks: &[Block], to_end: bool) -> Result<bool, Failed> {
    let mut guest = Guest::new(mail, &own.image, "", blocks)?;
    guest.said.quiet = true;
    let ran = guest.start(&own.image).and_then(|()| guest.run());
    let ended = if to_end && ran.is_ok() {
        guest.run_to_end().map(drop)
    } else {
        ran.map(drop)
    };
    let intact = !to_end || ended.is_err() || guest.said.has("LH-GUEST intact");
    guest.end()?;
    ended?;
    if intact { Ok(true) } else { Err(Failed("intact", 0)) }
}

/// Everything that is the host's can be lent in one lease, and comes back.
fn whole(host: &mut Host, shared: &Shared) {
    let created = vm::create();
    let Some(id) = host.report.value("create", created) else {
        return;
    };
    let mut ranges: heapless::Vec<(u64, u32), 32> = heapless::Vec::new();
    for own in shared.own.iter().flatten() {
        let _ = ranges.push((own.memory.base(), own.memory.pages() as u32));
    }
    for block in host.pages.take_rest() {
        let _ = ranges.push((block.base(), block.pages() as u32));
    }
    let pages: u64 = ranges.iter().map(|r| u64::from(r.1)).sum();
    let lent = shared.mail.lend(id, &ranges);
    if let Some(handle) = host.report.value("lend all that there is", lent) {
        let back = ffa::reclaim(handle);
        let size = pages * PAGE / (1 << 20);
        host.report.step(
            "reclaim it",
            back.is_ok(),
            format_args!("{size} MiB in {} ranges: {back:?}", ranges.len()),
        );
    }
    let gone = vm::destroy(id);
    host.report.value("destroy", gone);
}
