//! A unit that does not answer, and one that is gone.

use super::*;

#[test]
fn a_sync_that_does_not_complete_is_an_error_in_time_and_leaves_a_record() {
    for by_vm in [false, true] {
        let bench = Bench::new();
        let mut unit = bench.attach();
        assert!(bench.reads(PICTURE));
        bench.unmap(PICTURE);
        assert_eq!(unit.timeout(), None);
        bench.model.hang(true);
        if by_vm {
            unit.invalidate_all(Vmid::HOST).unwrap();
        } else {
            unit.invalidate(Vmid::HOST, pages(PICTURE, 1)).unwrap();
        }
        assert_eq!(unit.sync(), Err(IommuError::TimedOut));
        assert!(bench.reads(PICTURE), "assume that it is still in use");
        let record = unit.timeout().unwrap();
        assert_eq!(record.status, if by_vm { [1, 0] } else { [0, 1] });
        assert_eq!(record.buffers, Some([0x3ff, 0x01ff_0001, 1 << 20]));
        // Nothing is piled up behind it: the model would mind.
        let stores = bench.model.stores();
        assert_eq!(unit.sync(), Err(IommuError::TimedOut));
        assert_eq!(
            unit.invalidate(Vmid::HOST, pages(PICTURE, 1)),
            Err(IommuError::TimedOut)
        );
        assert_eq!(unit.invalidate_all(Vmid::HOST), Err(IommuError::TimedOut));
        assert_eq!(bench.model.stores(), stores);
        // It comes to its senses.
        bench.model.hang(false);
        unit.sync().unwrap();
        assert!(!bench.reads(PICTURE));
        bench.memory.map_page(PICTURE);
        assert!(bench.reads(PICTURE));
        bench.unmap(PICTURE);
        unit.invalidate(Vmid::HOST, pages(PICTURE, 1)).unwrap();
        unit.sync().unwrap();
        assert!(!bench.reads(PICTURE));
    }
}

#[test]
fn what_was_asked_for_while_it_hung_needs_a_sync_of_its_own() {
    let bench = Bench::new();
    let mut unit = bench.attach();
    assert!(bench.reads(PICTURE) && bench.reads(PICTURE + PAGE));
    bench.unmap(PICTURE);
    bench.unmap(PICTURE + PAGE);
    bench.model.hang(true);
    unit.invalidate(Vmid::HOST, pages(PICTURE, 1)).unwrap();
    assert_eq!(unit.sync(), Err(IommuError::TimedOut));
    bench.model.hang(false);
    let taken = (0..10).find_map(|_| unit.invalidate(Vmid::HOST, pages(PICTURE + PAGE, 1)).ok());
    assert_eq!(taken, Some(()));
    assert!(bench.reads(PICTURE + PAGE));
    unit.sync().unwrap();
    assert!(!bench.reads(PICTURE) && !bench.reads(PICTURE + PAGE));
}

#[test]
fn without_registers_of_the_buffers_none_is_read() {
    let mut bench = Bench::new();
    bench.instance.tbus = None;
    let mut unit = bench.attach();
    bench.model.hang(true);
    unit.invalidate_all(Vmid::HOST).unwrap();
    assert_eq!(unit.sync(), Err(IommuError::TimedOut));
    assert_eq!(unit.timeout().map(|record| record.buffers), Some(None));
}

#[test]
fn a_unit_that_lost_its_power_confirms_nothing() {
    for garbage in [0, u32::MAX, 0xdead_beef, 0xdead_beee] {
        let bench = Bench::new();
        let mut unit = bench.attach();
        bench.model.lose_power(garbage);
        unit.invalidate(Vmid::HOST, pages(PICTURE, 1)).unwrap();
        unit.invalidate_all(Vmid::HOST).unwrap();
        assert!(unit.sync().is_err(), "{garbage:#x}");
        // It is back, and lets everything past.
        bench.model.regain_power();
        assert!(bench.model.dma_read(STRANGER, CANARY).is_some());
        let mut confirmed = unit.sync();
        for _ in 0..3 {
            let _ = unit.invalidate_all(Vmid::HOST);
            confirmed = confirmed.or(unit.sync());
        }
        assert!(confirmed.is_err(), "{garbage:#x}");
    }
}
