//! What holders keep, and what is done for them.

use crate::model::PAGE;
use crate::setting::{BLOCK, Call, HYPERVISOR, RAM, RAM_END, UART};
use crate::world::{Answer, World};
use leasehold_hyp_core::{Layout, OwnershipError as Error, VmId};
use leasehold_memory_map::Ipa;

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

fn refused(world: &mut World, call: &Call, error: Error) {
    assert_eq!(world.call(call).unwrap(), Err(error), "{call:x?}");
}

fn lend(ranges: Vec<(u64, u32)>) -> Call {
    Call::Lend {
        by: VmId::HOST,
        to: guest(),
        ranges,
    }
}

/// A world with a guest that has the first `pages` pages of RAM.
fn with_guest(layout: Layout, pages: u32) -> World {
    let mut world = World::new(layout);
    done(&mut world, &Call::Create(guest()));
    done(&mut world, &lend(vec![(RAM, pages)]));
    done(
        &mut world,
        &Call::Retrieve {
            by: guest(),
            lease: 1,
            ipa: IPA,
        },
    );
    world
}

#[test]
fn the_hosts_mailbox_is_not_lent() {
    for layout in BOTH {
        let mut world = with_guest(layout, 3);
        let mailbox = RAM + BLOCK + PAGE;
        done(
            &mut world,
            &Call::Pin {
                by: VmId::HOST,
                ipa: mailbox,
            },
        );
        for ranges in [
            vec![(mailbox, 1)],
            vec![(RAM + BLOCK, 512)],
            vec![(RAM + 8 * PAGE, 1), (mailbox - PAGE, 2)],
        ] {
            refused(&mut world, &lend(ranges), Error::Pinned(Ipa::new(mailbox)));
        }
        done(
            &mut world,
            &Call::Unpin {
                by: VmId::HOST,
                ipa: mailbox,
            },
        );
        done(&mut world, &lend(vec![(mailbox, 1)]));
        world.wind_up().unwrap();
    }
}

#[test]
fn a_guests_mailbox_is_not_relinquished() {
    for layout in BOTH {
        let mut world = with_guest(layout, 3);
        let mailbox = IPA + 2 * PAGE;
        let relinquish = Call::Relinquish { by: guest(), lease: 1 };
        done(
            &mut world,
            &Call::Pin {
                by: guest(),
                ipa: mailbox,
            },
        );
        refused(&mut world, &relinquish, Error::Pinned(Ipa::new(mailbox)));
        done(
            &mut world,
            &Call::Unpin {
                by: guest(),
                ipa: mailbox,
            },
        );
        done(&mut world, &relinquish);
        world.wind_up().unwrap();
    }
}

#[test]
fn the_end_of_a_guest_does_not_wait_for_its_mailbox() {
    for layout in BOTH {
        let mut world = with_guest(layout, 100);
        done(&mut world, &Call::Pin { by: guest(), ipa: IPA });
        done(&mut world, &Call::Destroy(guest()));
        done(
            &mut world,
            &Call::Reclaim {
                by: VmId::HOST,
                lease: 1,
            },
        );
        world.wind_up().unwrap();
    }
}

/// The hypervisor is no deputy: it copies only from what the host owns to what the guest has.
#[test]
fn loads_are_from_the_hosts_own_to_the_guests_own() {
    for layout in BOTH {
        let mut world = with_guest(layout, 1);
        for (to, from, error) in [
            (IPA, RAM, Error::NotOwner(Ipa::new(RAM))),
            (IPA, HYPERVISOR, Error::Hypervisor(Ipa::new(HYPERVISOR))),
            (IPA, UART, Error::Device(Ipa::new(UART))),
            (IPA, RAM_END, Error::NotOwner(Ipa::new(RAM_END))),
            (IPA + PAGE, RAM + PAGE, Error::NotOwner(Ipa::new(IPA + PAGE))),
        ] {
            refused(
                &mut world,
                &Call::Load {
                    guest: guest(),
                    to,
                    from,
                },
                error,
            );
        }
        world.wind_up().unwrap();
    }
}

#[test]
fn an_occupied_place_is_refused_before_anything_is_scrubbed() {
    for layout in BOTH {
        let mut world = with_guest(layout, 1);
        done(&mut world, &lend(vec![(RAM + BLOCK, 130)]));
        let _ = world.sim.counts();
        for ipa in [IPA, IPA - 129 * PAGE] {
            let retrieve = Call::Retrieve {
                by: guest(),
                lease: 2,
                ipa,
            };
            refused(&mut world, &retrieve, Error::Occupied(Ipa::new(IPA)));
        }
        assert_eq!(world.sim.counts().scrubs, 0);
        world.wind_up().unwrap();
    }
}

/// A place that was taken between the steps of a scrub is refused at its end, and can be given elsewhere.
#[test]
fn a_place_that_is_taken_meanwhile_is_refused() {
    for layout in BOTH {
        let mut world = with_guest(layout, 1);
        let at = |lease, ipa| Call::Retrieve {
            by: guest(),
            lease,
            ipa,
        };
        let (first, second) = (IPA + BLOCK, IPA + 2 * BLOCK);
        done(&mut world, &lend(vec![(RAM + BLOCK, 100)]));
        done(&mut world, &lend(vec![(RAM + BLOCK + 200 * PAGE, 1)]));
        assert_eq!(world.call(&at(2, first)).unwrap(), Ok(Answer::Again));
        done(&mut world, &at(3, first + 99 * PAGE));
        refused(&mut world, &at(2, first), Error::Occupied(Ipa::new(first + 99 * PAGE)));
        done(&mut world, &at(2, second));
        world.wind_up().unwrap();
    }
}
