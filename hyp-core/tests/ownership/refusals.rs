//! Lends that must be refused, laid out by hand.

use crate::model::PAGE;
use crate::setting::{BLOCK, Call, HYPERVISOR, HYPERVISOR_END, RAM, RAM_END, UART, WINDOW};
use crate::world::World;
use leasehold_hyp_core::{Layout, OwnershipError as Error, VmId};
use leasehold_memory_map::Ipa;

/// A lend of `ranges` by the host is refused like this, whatever the layout.
fn refused(ranges: &[(u64, u32)], error: Error) {
    let to = VmId::guest(0).unwrap();
    for layout in [Layout::Blocks, Layout::KeptPages] {
        let mut world = World::new(layout);
        world.call(&Call::Create(to)).unwrap().unwrap();
        let lend = Call::Lend {
            by: VmId::HOST,
            to,
            ranges: ranges.to_vec(),
        };
        assert_eq!(world.call(&lend).unwrap(), Err(error), "{layout:?}: {ranges:x?}");
        world.wind_up().unwrap();
    }
}

#[test]
fn ranges_that_overlap() {
    let inside = RAM + 3 * PAGE;
    for (ranges, at) in [
        (vec![(RAM, 1), (RAM, 1)], RAM),
        (vec![(RAM, 512), (RAM, 512)], RAM),
        (vec![(RAM, 1024), (RAM + BLOCK, 512)], RAM + BLOCK),
        (vec![(RAM, 512), (inside, 1)], inside),
        (vec![(inside, 1), (RAM, 512)], inside),
        (vec![(inside, 1), (RAM, 1024)], inside),
        (vec![(RAM + PAGE, 600), (RAM + BLOCK, 512)], RAM + BLOCK),
        (vec![(RAM + BLOCK, 512), (RAM + PAGE, 600)], RAM + BLOCK),
        (vec![(RAM, 2), (RAM + 2 * PAGE, 2), (RAM + PAGE, 1)], RAM + PAGE),
    ] {
        refused(&ranges, Error::Overlap(Ipa::new(at)));
    }
}

#[test]
fn memory_that_is_not_the_callers() {
    let before_end = HYPERVISOR_END - PAGE;
    refused(&[(RAM, 1), (HYPERVISOR, 1)], Error::Hypervisor(Ipa::new(HYPERVISOR)));
    refused(&[(HYPERVISOR - PAGE, 2)], Error::Hypervisor(Ipa::new(HYPERVISOR)));
    refused(&[(before_end, 2)], Error::Hypervisor(Ipa::new(before_end)));
    refused(&[(RAM, 2048)], Error::Hypervisor(Ipa::new(HYPERVISOR)));
    refused(&[(UART, 1)], Error::Device(Ipa::new(UART)));
    refused(&[(RAM, 1), (WINDOW, 512)], Error::Device(Ipa::new(WINDOW)));
    refused(&[(RAM_END - PAGE, 2)], Error::NotOwner(Ipa::new(RAM_END)));
    refused(&[(0, 1)], Error::NotOwner(Ipa::new(0)));
    refused(&[(RAM - PAGE, 2)], Error::NotOwner(Ipa::new(RAM - PAGE)));
}

#[test]
fn ranges_that_are_none() {
    let wraps = u64::MAX - 2 * PAGE + 1;
    for (address, pages) in [
        (RAM, 0),
        (RAM + 8, 1),
        (wraps, 4),
        ((1 << 40) - PAGE, 2),
        (1 << 52, 1),
        (u64::MAX, u32::MAX),
    ] {
        let pages_given = u64::from(pages);
        refused(
            &[(RAM, 1), (address, pages)],
            Error::InvalidRange {
                address,
                pages: pages_given,
            },
        );
    }
    refused(&[], Error::NoRanges);
}
