//! Tests of the tests: a machine that leaves a step out is noticed.

use crate::machine::Omission;
use crate::model::PAGE;
use crate::setting::{BLOCK, Call, Config, RAM};
use crate::world::{Answer, World};
use leasehold_hyp_core::{Layout, OwnershipError as Error, VmId};

/// Two leases go their way, and a second guest takes the place of the first.
fn story() -> Vec<Call> {
    let host = VmId::HOST;
    let guest = VmId::guest(0).unwrap();
    let ranges = vec![(RAM + PAGE, 1), (RAM + BLOCK, 512), (RAM, 1)];
    vec![
        Call::Create(guest),
        Call::Lend {
            by: host,
            to: guest,
            ranges: ranges.clone(),
        },
        Call::Retrieve {
            by: guest,
            lease: 1,
            ipa: 0x4000_0000,
        },
        Call::Load {
            guest,
            to: 0x4000_0000,
            from: RAM + 2 * PAGE,
        },
        Call::Start(guest),
        Call::Stick { vm: guest, stuck: true },
        Call::Relinquish { by: guest, lease: 1 },
        Call::Stick {
            vm: guest,
            stuck: false,
        },
        Call::Relinquish { by: guest, lease: 1 },
        Call::Reclaim { by: host, lease: 1 },
        Call::Lend {
            by: host,
            to: guest,
            ranges: vec![(RAM, 512)],
        },
        Call::Retrieve {
            by: guest,
            lease: 2,
            ipa: 0x4000_0000,
        },
        Call::Destroy(guest),
        Call::Reclaim { by: host, lease: 2 },
        Call::Create(guest),
        Call::Start(guest),
        Call::Lend {
            by: host,
            to: guest,
            ranges,
        },
        Call::Retrieve {
            by: guest,
            lease: 3,
            ipa: 0x4000_1000,
        },
        Call::Destroy(guest),
        Call::Reclaim { by: host, lease: 3 },
        Call::Create(guest),
        Call::Lend {
            by: host,
            to: guest,
            ranges: (0..20).map(|n| (RAM + BLOCK + n * PAGE, 1)).collect(),
        },
    ]
}

/// Lives the story on a machine that leaves something out: the first thing that is wrong.
fn live(layout: Layout, omission: Option<Omission>) -> Result<(), String> {
    let mut world = World::with(Config {
        omission,
        controlled: matches!(omission, None | Some(Omission::Assign | Omission::AssignBack)),
        ..Config::new(layout)
    })
    .unwrap();
    for call in story() {
        loop {
            match world.call(&call)? {
                Ok(Answer::Again) => {}
                Ok(_) => break,
                Err(Error::TimedOut(_)) => break,
                Err(error) => return Err(format!("{call:x?}: {error:x?}")),
            }
        }
    }
    world.wind_up()
}

#[test]
fn nothing_is_wrong_when_nothing_is_left_out() {
    for layout in [Layout::Blocks, Layout::KeptPages] {
        assert_eq!(live(layout, None), Ok(()));
    }
}

fn noticed(omission: Omission, by: &str) {
    for layout in [Layout::Blocks, Layout::KeptPages] {
        let violation = live(layout, Some(omission)).expect_err("nothing was noticed");
        println!("{omission:?} {layout:?}: {violation}");
        assert!(violation.contains(by), "{layout:?}: {violation}");
    }
}

#[test]
fn invalidation_left_out_is_noticed() {
    noticed(Omission::Invalidate, "a TLB leads");
}

#[test]
fn waiting_left_out_is_noticed() {
    noticed(Omission::Sync, "a TLB leads");
}

#[test]
fn the_stage_one_step_left_out_is_noticed() {
    noticed(Omission::CombinedTranslations, "a TLB leads VmId(1)");
}

#[test]
fn the_smmu_left_out_is_noticed() {
    noticed(Omission::Smmu, "a TLB leads VmId(1)");
}

#[test]
fn entries_that_are_not_cleaned_are_noticed() {
    for layout in [Layout::Blocks, Layout::KeptPages] {
        // A walker that takes for a table what was in its memory before may find anything there: to the model of a walker
        // some of that is worth a panic.
        let noticed = std::panic::catch_unwind(|| live(layout, Some(Omission::CleanEntries)).is_err());
        assert!(noticed.unwrap_or(true), "{layout:?}");
    }
}

#[test]
fn another_cpu_left_out_is_noticed() {
    noticed(Omission::OtherCpu, "a TLB leads");
}

#[test]
fn invalidation_of_the_last_level_only_is_noticed() {
    noticed(Omission::CachedTables, "");
}

#[test]
fn scrubbing_left_out_is_noticed() {
    noticed(Omission::Scrub, "sees Secret");
}

#[test]
fn cleaning_after_a_scrub_left_out_is_noticed() {
    noticed(Omission::CleanAfterScrub, "sees Secret");
}

#[test]
fn cleaning_after_a_load_left_out_is_noticed() {
    noticed(Omission::CleanAfterCopy, "is not certain");
}

#[test]
fn instruction_caches_left_out_are_noticed() {
    noticed(Omission::InstructionCaches, "sees Secret");
}

#[test]
fn invalidation_of_all_left_out_is_noticed() {
    noticed(Omission::InvalidateAll, "a TLB leads");
}

#[test]
fn a_memory_controller_that_does_nothing_is_noticed() {
    noticed(Omission::Assign, "is kept from masters");
    noticed(Omission::AssignBack, "is kept from masters");
}
