//! One lease's way, step by step.

use crate::setting::{BLOCK, Call, RAM};
use crate::world::{Answer, World};
use leasehold_hyp_core::{Layout, VmId};

const BOTH: [Layout; 2] = [Layout::Blocks, Layout::KeptPages];

fn guest() -> VmId {
    VmId::guest(0).unwrap()
}

fn to_the_end(world: &mut World, call: &Call) {
    loop {
        match world.call(call).unwrap() {
            Ok(Answer::Again) => {}
            other => return assert!(other.is_ok(), "{call:x?}: {other:?}"),
        }
    }
}

#[test]
fn a_lease_goes_its_way_and_all_is_as_before() {
    for layout in BOTH {
        for ranges in [
            vec![(RAM, 1)],
            vec![(RAM, 512)],
            vec![(RAM, 1024)],
            vec![(RAM + 0x1000, 70)],
            vec![(RAM + 0x1000, 512)],
            vec![(RAM + BLOCK - 0x1000, 1), (RAM + BLOCK, 512), (RAM, 3)],
        ] {
            let mut world = World::new(layout);
            let lease = 1;
            for call in [
                Call::Create(guest()),
                Call::Lend {
                    by: VmId::HOST,
                    to: guest(),
                    ranges,
                },
                Call::Retrieve {
                    by: guest(),
                    lease,
                    ipa: 0x4000_0000,
                },
                Call::Load {
                    guest: guest(),
                    to: 0x4000_0000,
                    from: RAM + 2 * BLOCK,
                },
                Call::Start(guest()),
                Call::Relinquish { by: guest(), lease },
                Call::Reclaim { by: VmId::HOST, lease },
            ] {
                to_the_end(&mut world, &call);
            }
            world.wind_up().unwrap();
        }
    }
}
