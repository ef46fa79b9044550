//! Streams find their way whatever groups firmware has left and the SoC names.

use super::*;
use proptest::prelude::*;
use std::boxed::Box;
use std::vec::Vec;

/// 10-bit StreamIDs and 96 groups: small enough to look at every stream.
const SMALL: Identity = Identity {
    id0: 1 << 29 | 1 << 27 | 1 << 14 | 10 << 9 | 96,
    ..Identity::QCS6490
};

fn streams() -> impl Strategy<Value = Streams> {
    let mask = prop_oneof![3 => Just(0u16), 2 => 0u16..4, 1 => (0u16..0x400, 0u16..0x400).prop_map(|(a, b)| a & b)];
    (0u16..0x400, mask).prop_map(|(id, mask)| Streams::new(id & !mask, mask))
}

/// What firmware does with a group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Left {
    Past,
    Bank,
    Refused,
}

fn left() -> impl Strategy<Value = Left> {
    prop_oneof![Just(Left::Past), Just(Left::Bank), Just(Left::Refused)]
}

/// Groups that do not overlap.
fn groups() -> impl Strategy<Value = Vec<(Streams, Left)>> {
    proptest::collection::vec((streams(), left()), 0..12).prop_map(|all| {
        let mut apart: Vec<(Streams, Left)> = Vec::new();
        for (streams, left) in all {
            if apart.iter().all(|(other, _)| !other.overlaps(streams)) {
                apart.push((streams, left));
            }
        }
        apart
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]
    #[test]
    fn every_stream_is_on_the_tables_or_refused(
        inherited in groups(),
        named in proptest::collection::vec(streams(), 0..8),
        closed in any::<bool>(),
        extended in any::<bool>(),
    ) {
        let mut identity = SMALL;
        identity.id0 |= u32::from(extended) << 8;
        let mut bench = Bench::with(identity, Quirks::default());
        bench.instance.streams = Box::leak(named.clone().into_boxed_slice());
        let cr0 = if closed { CLOSED } else { OPEN };
        bench.model.firmware_sets(cr0 | u32::from(extended) << 3, REMEMBERS);
        bench.model.firmware_translates(0, true);
        for (n, (streams, left)) in inherited.iter().enumerate() {
            let s2cr = match left {
                Left::Past => BYPASS,
                Left::Bank => 0,
                Left::Refused => FAULT,
            };
            let (valid, counts) = if extended { (0, 1 << 10) } else { (VALID, 0) };
            // A unit need not keep id bits that do not matter.
            let smr = valid | u32::from(streams.mask) << 16 | u32::from(streams.id);
            bench.model.firmware_maps(2 * n, smr, s2cr | counts);
        }
        let turned = |stream| {
            inherited.iter().any(|(group, left)| {
                group.covers(stream) && (*left != Left::Refused || named.iter().any(|named| named.overlaps(*group)))
            })
        };
        for stream in 0..0x400 {
            let one = Streams::new(stream, 0);
            let group = inherited.iter().find(|(group, _)| group.covers(one));
            let live = group.map_or(!closed, |(_, left)| *left != Left::Refused);
            let stays = turned(one) || named.iter().any(|named| named.covers(one));
            if live && stays && stream % 37 == 0 {
                bench.model.start_master(stream, PICTURE, WORDS);
            }
            if stream % 41 == 0 {
                bench.model.watch(stream);
            }
        }
        // 96 groups may be too few; then all are refused.
        let attached = bench.try_attach();
        bench.model.stop_masters();
        for stream in 0..0x400 {
            let one = Streams::new(stream, 0);
            let stays = turned(one) || named.iter().any(|named| named.covers(one));
            let reached = bench.model.dma_read(stream, PICTURE).is_some();
            prop_assert_eq!(reached, stays && attached.is_ok(), "stream {:#x}", stream);
            prop_assert_eq!(bench.model.dma_read(stream, CANARY), None);
        }
    }

    #[test]
    fn halves_are_a_whole(streams in streams(), other in streams()) {
        for bit in (0..16).map(|bit| 1u16 << bit).filter(|bit| streams.mask & bit != 0) {
            let [low, high] = streams.split(bit);
            prop_assert!(!low.overlaps(high) && streams.covers(low) && streams.covers(high));
        }
        let both = (0..0x400).any(|id| {
            let one = Streams::new(id, 0);
            streams.covers(one) && other.covers(one)
        });
        prop_assert_eq!(streams.overlaps(other), both);
        let all = (0..0x400).all(|id| {
            let one = Streams::new(id, 0);
            streams.covers(one) || !other.covers(one)
        });
        prop_assert_eq!(streams.covers(other), all);
    }
}

#[test]
fn a_unit_whose_streams_are_indexes_will_do() {
    let identity = Identity {
        id0: 1 << 29 | 1 << 14 | 6 << 9,
        ..Identity::QCS6490
    };
    let make = || {
        let mut bench = Bench::with(identity, Quirks::default());
        bench.instance.streams = const { &[Streams::new(4, 1), Streams::new(0x20, 0)] };
        bench.model.firmware_sets(CLOSED, 1 << 26);
        for n in 0..64 {
            bench.model.firmware_maps(n, 0, if n == 9 { BYPASS } else { FAULT });
        }
        bench
    };
    let bench = make();
    bench.model.start_master(9, PICTURE, WORDS);
    for stream in 0..66 {
        bench.model.watch(stream);
    }
    let mut unit = bench.attach();
    for stream in 0..66 {
        let named = [4, 5, 9, 0x20].contains(&stream);
        assert_eq!(bench.model.dma_read(stream, PICTURE).is_some(), named, "{stream}");
        assert_eq!(bench.model.dma_read(stream, CANARY), None);
    }
    assert_eq!(unit.next_event().and_then(|event| event.stream), Some(0));

    // A name that is no index; then each is refused by name.
    let mut bench = make();
    bench.instance.streams = const { &[Streams::new(64, 0)] };
    assert_eq!(bench.try_attach().err(), Some(IommuError::Unsupported(identity.id0)));
    assert!((0..64).all(|stream| bench.model.dma_read(stream, PICTURE).is_none()));
}

#[test]
fn sixteen_bits_are_turned_on_when_needed_and_possible() {
    let wide = Identity {
        id0: Identity::QCS6490.id0 | 1 << 8,
        ..Identity::QCS6490
    };
    let make = |identity| {
        let mut bench = Bench::with(identity, Quirks::default());
        bench.instance.streams = const { &[Streams::new(0x8900, 2), Streams::new(0x900, 0)] };
        bench.model.firmware_sets(OPEN, 1 << 26);
        // Rubbish in groups that do not count.
        bench.model.firmware_maps(3, 0x8900, 1 << 10 | BYPASS);
        bench
    };
    for cr0 in [OPEN, CLOSED] {
        let bench = make(wide);
        bench.model.firmware_sets(cr0, 1 << 26);
        if cr0 == OPEN {
            bench.model.start_master(0x8902, PICTURE, WORDS);
            bench.model.start_master(0x900, PICTURE, WORDS);
        }
        bench.model.watch(0x8900);
        bench.model.watch(0x902);
        bench.attach();
        assert!(bench.model.dma_read(0x8900, PICTURE).is_some());
        assert!(bench.model.dma_read(0x902, PICTURE).is_none());
    }

    // Without them, or with groups that would then mean something else.
    let narrow = make(Identity::QCS6490);
    let error = Some(IommuError::Unsupported(Identity::QCS6490.id0));
    assert_eq!(narrow.try_attach().err(), error);
    assert!(narrow.refuses_all());
    let busy = make(wide);
    busy.model.firmware_maps(0, VALID | 7, BYPASS);
    assert_eq!(busy.try_attach().err(), Some(IommuError::Unsupported(wide.id0)));
    assert!(busy.refuses_all());
}

#[test]
fn a_group_counts_only_once_it_leads_to_the_tables() {
    for extended in [0, 1] {
        let identity = Identity {
            id0: Identity::QCS6490.id0 | extended << 8,
            ..Identity::QCS6490
        };
        let bench = Bench::with(identity, Quirks::default());
        bench.model.firmware_sets(CLOSED | extended << 3, 1 << 26);
        // What a group that is not yet made leads to.
        bench.model.firmware_translates(0, true);
        let counts = if extended == 1 { 1 << 10 } else { 0 };
        bench.model.firmware_maps(9, (VALID * (1 - extended)) | 7, counts);
        for stream in [UFS, DISPLAY, ADSP, CRYPTO, STRANGER] {
            bench.model.watch(stream);
        }
        bench.attach();
        assert!(bench.reads(PICTURE));
    }
}

#[test]
fn all_streams_can_be_named_at_once() {
    let mut bench = Bench::new();
    bench.instance.streams = &[Streams::ALL];
    bench.model.firmware_sets(OPEN, REMEMBERS);
    bench.model.firmware_maps(0, VALID | u32::from(DISPLAY), BYPASS);
    bench.model.start_master(DISPLAY, PICTURE, WORDS);
    bench.model.start_master(STRANGER, PICTURE, WORDS);
    bench.attach();
    bench.model.stop_masters();
    for stream in [0, DISPLAY, STRANGER, 0x7fff] {
        assert!(bench.model.dma_read(stream, PICTURE).is_some());
        assert!(bench.model.dma_read(stream, CANARY).is_none());
    }
}

#[test]
fn what_it_cannot_tell_apart_it_refuses() {
    // Too few groups.
    let mut bench = Bench::with(
        Identity {
            id0: Identity::QCS6490.id0 & !0xff | 3,
            ..Identity::QCS6490
        },
        Quirks::default(),
    );
    assert!(matches!(bench.try_attach(), Err(IommuError::Unsupported(_))));
    assert!(bench.refuses_all());
    // As many as it takes.
    bench = Bench::with(
        Identity {
            id0: Identity::QCS6490.id0 & !0xff | 4,
            ..Identity::QCS6490
        },
        Quirks::default(),
    );
    bench.attach();
    // Bits that it does not look at.
    let quirks = Quirks {
        smr_mask: Some(0x3),
        ..Quirks::default()
    };
    let bench = Bench::with(Identity::QCS6490, quirks);
    assert!(matches!(bench.try_attach(), Err(IommuError::Unsupported(_))));
    assert!(bench.refuses_all());
    let mut bench = Bench::with(SMALL, Quirks::default());
    bench.instance.streams = const { &[Streams::new(0x400, 0)] };
    assert_eq!(bench.try_attach().err(), Some(IommuError::Unsupported(SMALL.id0)));
}
