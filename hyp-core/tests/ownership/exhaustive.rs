//! Every order of calls on a small machine: two pages, two guests, callers who are the party and callers who are not.

use crate::machine::Control;
use crate::model::{Model, PAGE};
use crate::setting::{BLOCK, Call, Config, RAM};
use crate::world::World;
use leasehold_hyp_core::{Layout, VmId};
use std::collections::{BTreeSet, HashSet};

/// Two pages at the edge of two blocks.
const PAGES: [u64; 2] = [RAM + BLOCK - PAGE, RAM + BLOCK];
const IPA: u64 = 0x4000_0000;

fn config(layout: Layout, controlled: bool) -> Config {
    Config {
        controlled,
        ipa_bits: 32,
        pages: PAGES.to_vec(),
        guest_pages: vec![IPA, IPA + PAGE, IPA + 2 * PAGE],
        ..Config::new(layout)
    }
}

fn guests() -> [VmId; 2] {
    [VmId::guest(0).unwrap(), VmId::guest(1).unwrap()]
}

/// All that anyone can call in a world.
fn calls(world: &World, controlled: bool) -> Vec<Call> {
    let [first, second] = guests();
    let [low, high] = PAGES;
    let mut calls = Vec::new();
    if controlled {
        calls.extend([Control::Works, Control::Refuses, Control::Late].map(Call::Control));
    }
    for vm in guests() {
        calls.extend([Call::Create(vm), Call::Destroy(vm)]);
        let ranges = [
            vec![(low, 1)],
            vec![(low, 2)],
            vec![(high, 1), (low, 1)],
            vec![(high, 1)],
            vec![(low, 2), (low, 1)],
        ];
        for ranges in ranges.into_iter().take(if controlled { 3 } else { 5 }) {
            calls.push(Call::Lend {
                by: VmId::HOST,
                to: vm,
                ranges,
            });
        }
    }
    calls.push(Call::Lend {
        by: first,
        to: second,
        ranges: vec![(low, 1)],
    });
    // With a memory controller there is enough that fails.
    for vm in [VmId::HOST, first].into_iter().filter(|_| !controlled) {
        calls.push(Call::Stick {
            vm,
            stuck: !world.model.stuck.contains(&vm),
        });
    }
    calls.extend(PAGES.map(|page| Call::Take { page }));
    let live = |n: &usize| world.model.leases.contains_key(&world.handles[*n]);
    let stale = (0..world.handles.len()).rev().find(|n| !live(n));
    for lease in (0..world.handles.len()).filter(live).chain(stale) {
        for by in [VmId::HOST, first, second] {
            for ipa in [IPA, IPA + PAGE] {
                calls.push(Call::Retrieve { by, lease, ipa });
            }
            calls.extend([Call::Relinquish { by, lease }, Call::Reclaim { by, lease }]);
        }
    }
    calls
}

/// What tells one state from another: all but the names of handles and the number of lives.
fn key(model: &Model) -> String {
    let leases: BTreeSet<_> = model
        .leases
        .values()
        .map(|lease| {
            (
                lease.borrower,
                lease.pages.clone(),
                lease.taken.clone(),
                lease.phase,
                lease.ended,
                lease.lingering,
                lease.between.clone(),
                lease.unsure,
            )
        })
        .collect();
    let guests: Vec<_> = model.guests.iter().map(|(vm, guest)| (vm, guest.ending)).collect();
    format!(
        "{leases:?} {guests:?} {:?} {:?} {:?}",
        model.stuck,
        model.control,
        model.moved_in(&PAGES)
    )
}

/// A machine after these calls, on which every guest runs.
fn replay(config: &Config, path: &[Call]) -> World {
    let mut world = World::with(config.clone()).unwrap();
    for call in path {
        world.replay(call);
        if let Call::Create(vm) = call {
            world.replay(&Call::Start(*vm));
        }
    }
    world
}

/// Visits every state that `depth` calls lead to, makes every call in it, and gives the number of states and calls.
fn explore(config: &Config, depth: usize) -> (usize, usize) {
    let mut known = HashSet::new();
    let mut paths: Vec<Vec<Call>> = vec![Vec::new()];
    let mut made = 0;
    for _ in 0..depth {
        let mut next = Vec::new();
        for path in paths {
            let mut here = replay(config, &path);
            let before = key(&here.model);
            for call in calls(&here, config.controlled) {
                _ = here
                    .call(&call)
                    .unwrap_or_else(|violation| panic!("{path:x?}: {violation}"));
                made += 1;
                let after = key(&here.model);
                if after == before {
                    // It was refused: the next is called on the same machine.
                    continue;
                }
                if known.insert(after) {
                    next.push([path.clone(), vec![call]].concat());
                }
                here = replay(config, &path);
            }
        }
        paths = next;
    }
    (known.len(), made)
}

#[test]
fn every_order_of_calls_keeps_every_invariant_with_blocks() {
    let (states, calls) = explore(&config(Layout::Blocks, false), 6);
    println!("{states} states, {calls} calls");
    assert!(states > 100);
}

#[test]
fn every_order_of_calls_keeps_every_invariant_with_kept_tables() {
    let (states, calls) = explore(&config(Layout::KeptPages, false), 6);
    println!("{states} states, {calls} calls");
    assert!(states > 100);
}

/// Not as deep: what the memory controller does is one more thing that calls change.
#[test]
fn every_order_of_calls_keeps_every_invariant_with_a_memory_controller() {
    for (layout, depth) in [(Layout::Blocks, 5), (Layout::KeptPages, 4)] {
        let (states, calls) = explore(&config(layout, true), depth);
        println!("{states} states, {calls} calls");
        assert!(states > 100);
    }
}
