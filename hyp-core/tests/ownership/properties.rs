//! Any calls by anyone, in any order.

use crate::machine::Control;
use crate::model::PAGE;
use crate::setting::{BLOCK, Call, Config, EDGES, GUEST_IPAS, GUESTS, HYPERVISOR_END, RAM};
use crate::world::{Answer, World};
use leasehold_hyp_core::{Layout, VmId};
use proptest::prelude::*;
use proptest::sample::select;

/// The host, the guests that there can be, and one more.
fn vm() -> impl Strategy<Value = VmId> {
    let guest = (0..=GUESTS).prop_map(|slot| VmId::guest(slot).unwrap());
    prop_oneof![1 => Just(VmId::HOST), 3 => guest]
}

fn guest() -> impl Strategy<Value = VmId> {
    (0..GUESTS).prop_map(|slot| VmId::guest(slot).unwrap())
}

/// Mostly RAM, in pieces that begin and end where something changes; sometimes anything.
fn range() -> impl Strategy<Value = (u64, u32)> {
    let good = select(vec![
        RAM,
        RAM + PAGE,
        RAM + BLOCK - PAGE,
        RAM + BLOCK,
        RAM + 2 * BLOCK,
        HYPERVISOR_END,
    ]);
    let count = select(vec![1, 1, 2, 3, 64, 65, 130, 511, 512, 513, 1024]);
    prop_oneof![
        8 => (good, count),
        2 => (select(EDGES.to_vec()), select(vec![1, 2, 512])),
        1 => (any::<u64>(), any::<u32>()),
        1 => (select(EDGES.to_vec()).prop_map(|page| page + 8), 0..3_u32),
    ]
}

/// Mostly one that may be lent.
fn page() -> impl Strategy<Value = u64> {
    let pages = |(start, count): (u64, u32)| {
        let count = u64::from(count).clamp(1, 1024);
        (0..count).prop_map(move |n| (start & ((1 << 44) - 1)) + n * PAGE)
    };
    prop_oneof![
        4 => select(EDGES.to_vec()),
        1 => select(EDGES.to_vec()).prop_map(|page| page + 0x123),
        2 => range().prop_flat_map(pages),
    ]
}

fn ipa() -> impl Strategy<Value = u64> {
    prop_oneof![
        8 => select(GUEST_IPAS.to_vec()),
        1 => select(vec![0, 0x4000_0008, (1 << 39) - PAGE, 1 << 39, 1 << 51]),
    ]
}

fn call() -> impl Strategy<Value = Call> {
    let lease = || 0..6_usize;
    let host_or_any = || prop_oneof![9 => Just(VmId::HOST), 1 => vm()];
    prop_oneof![
        2 => guest().prop_map(Call::Create),
        1 => vm().prop_map(Call::Create),
        2 => guest().prop_map(Call::Start),
        1 => vm().prop_map(Call::Destroy),
        8 => (host_or_any(), vm(), prop::collection::vec(range(), 0..4))
            .prop_map(|(by, to, ranges)| Call::Lend { by, to, ranges }),
        10 => (vm(), lease(), ipa()).prop_map(|(by, lease, ipa)| Call::Retrieve { by, lease, ipa }),
        5 => (vm(), lease()).prop_map(|(by, lease)| Call::Relinquish { by, lease }),
        5 => (host_or_any(), lease()).prop_map(|(by, lease)| Call::Reclaim { by, lease }),
        8 => page().prop_map(|page| Call::Take { page }),
        1 => (vm(), ipa()).prop_map(|(by, ipa)| Call::Pin { by, ipa }),
        1 => select(EDGES.to_vec()).prop_map(|ipa| Call::Pin { by: VmId::HOST, ipa }),
        1 => (vm(), ipa()).prop_map(|(by, ipa)| Call::Unpin { by, ipa }),
        1 => select(EDGES.to_vec()).prop_map(|ipa| Call::Unpin { by: VmId::HOST, ipa }),
        2 => (vm(), ipa(), select(EDGES.to_vec())).prop_map(|(guest, to, from)| Call::Load { guest, to, from }),
        1 => (vm(), any::<bool>()).prop_map(|(vm, stuck)| Call::Stick { vm, stuck }),
    ]
}

fn control() -> impl Strategy<Value = Call> {
    select(vec![Control::Works, Control::Refuses, Control::Late]).prop_map(Call::Control)
}

/// Calls that get somewhere: a guest that has a lease, before anything else happens.
fn beginning() -> impl Strategy<Value = Vec<Call>> {
    let guest = VmId::guest(0).unwrap();
    (prop::collection::vec(range(), 1..4), ipa()).prop_map(move |(ranges, ipa)| {
        vec![
            Call::Create(guest),
            Call::Lend {
                by: VmId::HOST,
                to: guest,
                ranges,
            },
            Call::Retrieve {
                by: guest,
                lease: 1,
                ipa,
            },
        ]
    })
}

fn run(layout: Layout, calls: &[Call]) -> Result<(), String> {
    run_in(World::new(layout), calls)
}

fn run_in(mut world: World, calls: &[Call]) -> Result<(), String> {
    for call in calls {
        _ = world.call(call)?;
    }
    world.wind_up()
}

/// `PROPTEST_CASES` asks for more or fewer.
fn config() -> ProptestConfig {
    let cases = std::env::var("PROPTEST_CASES")
        .ok()
        .and_then(|count| count.parse().ok());
    ProptestConfig {
        failure_persistence: None,
        max_shrink_iters: 400,
        ..ProptestConfig::with_cases(cases.unwrap_or(192))
    }
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn any_calls_keep_every_invariant_with_blocks(
        beginning in beginning(),
        calls in prop::collection::vec(call(), 1..40),
    ) {
        run(Layout::Blocks, &[beginning, calls].concat()).map_err(TestCaseError::fail)?;
    }

    #[test]
    fn any_calls_keep_every_invariant_with_kept_tables(
        beginning in beginning(),
        calls in prop::collection::vec(call(), 1..40),
    ) {
        run(Layout::KeptPages, &[beginning, calls].concat()).map_err(TestCaseError::fail)?;
    }

    /// The memory controller fails as well, at any moment.
    #[test]
    fn any_calls_keep_every_invariant_with_a_memory_controller(
        layout in select(vec![Layout::Blocks, Layout::KeptPages]),
        beginning in beginning(),
        calls in prop::collection::vec(prop_oneof![4 => call(), 1 => control()], 1..30),
    ) {
        let world = World::with(Config { controlled: true, ..Config::new(layout) }).unwrap();
        run_in(world, &[beginning, calls].concat()).map_err(TestCaseError::fail)?;
    }

    /// A lease of any size comes all the way and back, and ends as it began.
    #[test]
    fn any_lease_goes_its_way(
        ranges in prop::collection::vec(range(), 1..4),
        ipa in ipa(),
        layout in select(vec![Layout::Blocks, Layout::KeptPages]),
        destroyed in any::<bool>(),
    ) {
        let guest = VmId::guest(1).unwrap();
        let mut world = World::new(layout);
        let lend = Call::Lend { by: VmId::HOST, to: guest, ranges };
        let retrieve = Call::Retrieve { by: guest, lease: 1, ipa };
        let relinquish = if destroyed { Call::Destroy(guest) } else { Call::Relinquish { by: guest, lease: 1 } };
        let reclaim = Call::Reclaim { by: VmId::HOST, lease: 1 };
        for call in [Call::Create(guest), lend, retrieve, Call::Start(guest), relinquish, reclaim] {
            while world.call(&call).map_err(TestCaseError::fail)? == Ok(Answer::Again) {}
        }
        world.wind_up().map_err(TestCaseError::fail)?;
    }
}
