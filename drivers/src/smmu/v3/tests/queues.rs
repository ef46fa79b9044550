//! Commands and events when there are many, when they are bad, and when nobody takes them.

use super::*;
use proptest::prelude::*;

#[test]
fn more_commands_than_there_is_room_for_are_taken_in_turn() {
    let bench = Bench::qemu();
    bench.map_page(0x4000_1000);
    let mut unit = bench.attach();
    assert!(bench.reads(0x4000_1000));
    bench.set(0x4000_1000, 3, 0);
    unit.invalidate(Vmid::HOST, pages(0x4000_1000, 1)).unwrap();
    // Three times round a queue of 256.
    for page in 0..768 {
        unit.invalidate(Vmid::HOST, pages(0x5000_0000 + page * PAGE, 1))
            .unwrap();
    }
    unit.sync().unwrap();
    assert!(!bench.reads(0x4000_1000));
}

#[test]
fn commands_that_nobody_takes_are_an_error_in_time() {
    let bench = Bench::qemu();
    bench.map_page(0x4000_1000);
    let mut unit = bench.attach();
    assert!(bench.reads(0x4000_1000));
    bench.set(0x4000_1000, 3, 0);
    bench.model.hang(Hang::Commands);
    let taken: u32 = bench.model.load(0x9c);
    assert_eq!(unit.timeout(), None);
    unit.invalidate(Vmid::HOST, pages(0x4000_1000, 1)).unwrap();
    assert_eq!(unit.sync(), Err(IommuError::TimedOut));
    assert_eq!(unit.timeout().map(|said| said.status), Some([taken, 0]));
    assert!(bench.reads(0x4000_1000), "assume that it is still in use");
    let mut full = Ok(());
    for _ in 0..300 {
        full = unit.invalidate(Vmid::HOST, pages(0x4000_1000, 1));
        if full.is_err() {
            break;
        }
    }
    assert_eq!(full, Err(IommuError::TimedOut));
    // It comes to its senses.
    bench.model.hang(Hang::Nothing);
    unit.sync().unwrap();
    assert!(!bench.reads(0x4000_1000));
}

#[test]
fn a_command_that_is_not_understood_is_told_and_passed_over() {
    let bench = Bench::qemu();
    bench.map_page(0x4000_1000);
    let mut unit = bench.attach();
    assert!(bench.reads(0x4000_1000));
    bench.set(0x4000_1000, 3, 0);
    // Twice, since the second error toggles back what the first has toggled.
    for _ in 0..2 {
        bench.map_page(0x4000_2000);
        assert!(bench.reads(0x4000_2000));
        bench.set(0x4000_2000, 3, 0);
        bench.model.misread_next_command();
        unit.invalidate(Vmid::HOST, pages(0x4000_1000, 1)).unwrap();
        unit.invalidate(Vmid::HOST, pages(0x4000_2000, 1)).unwrap();
        assert_eq!(unit.sync(), Err(IommuError::Failed(1)));
        unit.sync().unwrap();
        assert!(bench.reads(0x4000_1000), "its command was passed over");
        assert!(!bench.reads(0x4000_2000), "the command behind it was taken");
    }
    unit.invalidate(Vmid::HOST, pages(0x4000_1000, 1)).unwrap();
    unit.sync().unwrap();
    assert!(!bench.reads(0x4000_1000));
}

#[test]
fn a_bad_command_in_a_full_queue_does_not_block_it() {
    let bench = Bench::qemu();
    let mut unit = bench.attach();
    bench.model.misread_next_command();
    let mut first = Ok(());
    for page in 0..600 {
        first = first.and(unit.invalidate(Vmid::HOST, pages(0x5000_0000 + page * PAGE, 1)));
    }
    assert_eq!(first, Err(IommuError::Failed(1)));
    unit.sync().unwrap();
}

#[test]
fn other_errors_are_told_once() {
    let bench = Bench::qemu();
    let mut unit = bench.attach();
    // MSI_GERROR_ABT_ERR and SFM_ERR, with EVENTQ_ABT_ERR besides.
    for errors in [1 << 7, 1 << 8, 0x180] {
        bench.model.raise(errors | 1 << 2);
        assert_eq!(unit.sync(), Err(IommuError::Failed(errors)));
        unit.sync().unwrap();
        assert_eq!(unit.next_event(), Some(event::LOST));
        assert_eq!(unit.next_event(), None);
    }
}

#[test]
fn events_that_are_lost_are_told_and_the_rest_goes_on() {
    let bench = Bench::qemu();
    let mut unit = bench.attach();
    for round in 0..3 {
        for access in 0..1100u64 {
            assert!(!bench.model.dma_write(EDU, 0x5000_0000 + 8 * access, 1));
        }
        assert_eq!(unit.next_event().map(|event| event.kind), Some(IommuEventKind::Lost));
        for access in 0..1024u64 {
            let event = unit.next_event().unwrap();
            assert_eq!(event.address, Some(0x5000_0000 + 8 * access), "round {round}");
        }
        assert_eq!(unit.next_event(), None);
        assert!(!bench.reads(0x6000_0000));
        assert_eq!(unit.next_event().and_then(|event| event.address), Some(0x6000_0000));
    }
}

#[test]
fn events_that_could_not_be_written_are_told_and_fail_no_command() {
    let bench = Bench::qemu();
    bench.model.say_abort_when_full();
    let mut unit = bench.attach();
    for sync_first in [true, false] {
        for access in 0..1100u64 {
            assert!(!bench.model.dma_write(EDU, 0x5000_0000 + 8 * access, 1));
        }
        let mut events = 0;
        let mut lost = 0;
        if sync_first {
            unit.invalidate(Vmid::HOST, pages(0x5000_0000, 1)).unwrap();
            unit.sync().unwrap();
        }
        while let Some(event) = unit.next_event() {
            if event.kind == IommuEventKind::Lost {
                lost += 1;
            } else {
                events += 1;
            }
        }
        assert_eq!((events, lost), (1024, 1));
        assert!(!bench.reads(0x6000_0000));
        assert_eq!(unit.next_event().and_then(|event| event.address), Some(0x6000_0000));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]
    #[test]
    fn whatever_is_in_the_event_queue_is_drained(
        records in proptest::collection::vec(any::<[u64; 4]>(), 0..20),
        producer in any::<u32>(),
    ) {
        let bench = Bench::qemu();
        let mut unit = bench.attach();
        for record in &records {
            bench.model.record(*record);
        }
        for record in &records {
            prop_assert_eq!(unit.next_event(), Some(event::decode(*record)));
        }
        bench.model.set_eventq_prod(producer);
        // A queue of 1024, once or twice round, and a loss.
        let drained = (0..3000).take_while(|_| unit.next_event().is_some()).count();
        prop_assert!(drained < 2050);
    }
}
