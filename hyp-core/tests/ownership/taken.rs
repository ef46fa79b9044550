//! Single pages that the host takes back from a borrower: nobody sees the other's bytes at any moment, and each step of
//! it is needed.

use crate::machine::Omission;
use crate::model::PAGE;
use crate::setting::{BLOCK, Call, Config, RAM};
use crate::world::{Answer, World};
use leasehold_hyp_core::{Layout, OwnershipError as Error, VmId};
use leasehold_memory_map::{Address, Ipa};

const BOTH: [Layout; 2] = [Layout::Blocks, Layout::KeptPages];
const IPA: u64 = 0x4000_0000;

fn guest() -> VmId {
    VmId::guest(0).unwrap()
}

fn done(world: &mut World, call: &Call) {
    loop {
        match world.call(call).unwrap() {
            Ok(Answer::Again) => {}
            other => return assert!(other.is_ok(), "{call:x?}: {other:?}"),
        }
    }
}

fn retrieve() -> Call {
    Call::Retrieve {
        by: guest(),
        lease: 1,
        ipa: IPA,
    }
}

fn relinquish() -> Call {
    Call::Relinquish { by: guest(), lease: 1 }
}

fn take(n: u64) -> Call {
    Call::Take { page: RAM + n * PAGE }
}

/// A world with a guest that runs and to which the first `pages` pages of RAM are lent.
fn lent(config: Config, pages: u32) -> World {
    let mut world = World::with(config).unwrap();
    done(&mut world, &Call::Create(guest()));
    done(
        &mut world,
        &Call::Lend {
            by: VmId::HOST,
            to: guest(),
            ranges: vec![(RAM, pages)],
        },
    );
    done(&mut world, &Call::Start(guest()));
    world
}

/// The same where it has them.
fn retrieved(layout: Layout, pages: u32) -> World {
    let mut world = lent(Config::new(layout), pages);
    done(&mut world, &retrieve());
    world
}

/// Takes a page on a machine that leaves something out for as long: the first thing that is wrong. The borrower has it by a
/// page's entry, or by a block's.
fn take_without(omission: Option<Omission>, layout: Layout, pages: u32) -> Result<(), String> {
    let mut world = retrieved(layout, pages);
    world.sim.leave_out(omission);
    let taken = world.call(&take(1));
    world.sim.leave_out(None);
    assert_eq!(taken?, Ok(Answer::Done));
    world.wind_up()
}

#[test]
fn nothing_is_wrong_when_nothing_is_left_out() {
    for layout in BOTH {
        for pages in [3, (BLOCK / PAGE) as u32] {
            assert_eq!(take_without(None, layout, pages), Ok(()));
        }
    }
}

/// `by` is what is wrong then.
fn noticed(omission: Omission, by: &str) {
    for layout in BOTH {
        for pages in [3, (BLOCK / PAGE) as u32] {
            let violation = take_without(Some(omission), layout, pages).expect_err("nothing was noticed");
            assert!(violation.contains(by), "{layout:?}, {pages} pages: {violation}");
        }
    }
}

#[test]
fn a_borrower_that_keeps_its_entry_is_noticed() {
    noticed(Omission::Unmap, "the map of VmId(2)");
}

#[test]
fn invalidation_of_the_borrowers_translations_left_out_is_noticed() {
    noticed(Omission::InvalidateAll, "a TLB leads VmId(2)");
}

#[test]
fn waiting_for_it_left_out_is_noticed() {
    noticed(Omission::Sync, "a TLB leads VmId(2)");
}

#[test]
fn the_stage_one_step_left_out_is_noticed() {
    noticed(Omission::CombinedTranslations, "a TLB leads VmId(2)");
}

#[test]
fn another_cpu_left_out_is_noticed() {
    noticed(Omission::OtherCpu, "a TLB leads VmId(2)");
}

#[test]
fn scrubbing_left_out_is_noticed() {
    noticed(Omission::Scrub, "VmId(1) sees Secret");
}

#[test]
fn cleaning_after_the_scrub_left_out_is_noticed() {
    noticed(Omission::CleanAfterScrub, "VmId(1) sees Secret");
}

#[test]
fn instruction_caches_left_out_are_noticed() {
    noticed(Omission::InstructionCaches, "VmId(1) sees Secret");
}

#[test]
fn giving_back_before_the_scrub_is_noticed() {
    noticed(Omission::LateScrub, "somebody saw another's bytes");
}

#[test]
fn scrubbing_before_the_borrower_is_out_is_noticed() {
    noticed(Omission::LateSync, "VmId(1) sees Secret");
}

#[test]
fn the_rest_stays_the_borrowers() {
    for layout in BOTH {
        let mut world = retrieved(layout, 512);
        for n in [64, 0, 511] {
            done(&mut world, &take(n));
            let again = world.call(&take(n)).unwrap();
            assert_eq!(again, Err(Error::NotOwner(Ipa::new(RAM + n * PAGE))));
        }
        let view = world.model.guest_view(guest());
        assert_eq!(view.values().filter(|page| page.is_some()).count(), 509);
        // Retrieved once more, it goes without them.
        done(&mut world, &relinquish());
        done(&mut world, &retrieve());
        assert_eq!(world.model.guest_map(guest()).len(), 509);
        world.wind_up().unwrap();
    }
}

#[test]
fn a_borrowers_mailbox_is_not_taken() {
    for layout in BOTH {
        let mut world = retrieved(layout, 3);
        let mailbox = Ipa::new(IPA + PAGE);
        let pin = Call::Pin {
            by: guest(),
            ipa: mailbox.get(),
        };
        done(&mut world, &pin);
        let before = world.tables();
        assert_eq!(world.call(&take(1)).unwrap(), Err(Error::Pinned(mailbox)));
        assert_eq!(world.tables().0, before.0, "{layout:?}");
        done(&mut world, &take(2));
        let unpin = Call::Unpin {
            by: guest(),
            ipa: mailbox.get(),
        };
        done(&mut world, &unpin);
        done(&mut world, &take(1));
        world.wind_up().unwrap();
    }
}

/// Between borrower and owner: some of it is scrubbed already, some is not.
#[test]
fn a_page_in_transit_is_taken() {
    for layout in BOTH {
        let mut world = retrieved(layout, 512);
        assert_eq!(world.call(&relinquish()).unwrap(), Ok(Answer::Again));
        for n in [1, 511] {
            done(&mut world, &take(n));
        }
        done(&mut world, &relinquish());
        done(&mut world, &take(64));
        world.wind_up().unwrap();
    }
}

/// Nobody has retrieved it yet: it may hold what the owner left.
#[test]
fn a_page_that_nobody_has_is_taken() {
    for layout in BOTH {
        let mut world = lent(Config::new(layout), 3);
        done(&mut world, &take(1));
        done(&mut world, &retrieve());
        assert_eq!(world.model.guest_map(guest()).len(), 2);
        world.wind_up().unwrap();
    }
}

/// As long as TLBs do not confirm, the borrower may still reach it: the owner does not get it.
#[test]
fn a_page_that_tlbs_may_hold_is_not_taken() {
    for layout in BOTH {
        for relinquished in [false, true] {
            let mut world = retrieved(layout, 3);
            let stick = |stuck| Call::Stick { vm: guest(), stuck };
            done(&mut world, &stick(true));
            let late = Err(Error::TimedOut(guest()));
            if relinquished {
                assert_eq!(world.call(&relinquish()).unwrap(), late);
            }
            assert_eq!(world.call(&take(1)).unwrap(), late);
            done(&mut world, &stick(false));
            done(&mut world, &take(1));
            world.wind_up().unwrap();
        }
    }
}
