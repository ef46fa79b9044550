//! The driver on the model of a KPSS watchdog.

use super::model::Model;
use super::*;
use proptest::prelude::*;

const TICKS_PER_SECOND: u32 = SLEEP_CLOCK_HZ.get();

fn watchdog(model: &Model) -> KpssWatchdog<Model> {
    KpssWatchdog::over(model.clone(), SLEEP_CLOCK_HZ)
}

#[test]
fn it_barks_and_bites_unless_petted() {
    let model = Model::new();
    let mut watchdog = watchdog(&model);
    watchdog.start(Duration::from_secs(1), Duration::from_secs(2)).unwrap();
    assert!(watchdog.is_running());
    assert_eq!(watchdog.times(), (Duration::from_secs(1), Duration::from_secs(2)));
    for _ in 0..10 {
        model.advance(TICKS_PER_SECOND - 1);
        watchdog.pet();
    }
    assert_eq!((model.barks(), model.bites()), (0, 0));
    model.advance(TICKS_PER_SECOND);
    assert_eq!((model.barks(), model.bites()), (1, 0));
    model.advance(TICKS_PER_SECOND - 1);
    assert_eq!(model.bites(), 0);
    assert!(!watchdog.has_bitten());
    model.advance(1);
    assert_eq!(model.bites(), 1);
    assert!(watchdog.has_bitten() && !watchdog.is_running());
}

#[test]
fn it_does_not_bite_once_stopped() {
    let model = Model::new();
    let mut watchdog = watchdog(&model);
    watchdog.start(Duration::from_secs(1), Duration::from_secs(1)).unwrap();
    model.advance(TICKS_PER_SECOND - 1);
    watchdog.stop().unwrap();
    assert!(!watchdog.is_running());
    model.advance(10 * TICKS_PER_SECOND);
    assert_eq!((model.barks(), model.bites()), (0, 0));
}

#[test]
fn one_that_firmware_left_running_is_started_anew_in_time() {
    let model = Model::new();
    model.left_running(99, 100, 98);
    let mut watchdog = watchdog(&model);
    assert!(watchdog.is_running());
    let longest = watchdog.longest();
    watchdog.start(longest, longest).unwrap();
    model.advance(MAX_TICKS - 1);
    assert_eq!((model.barks(), model.bites()), (0, 0));
}

#[test]
fn a_new_start_counts_from_zero() {
    let model = Model::new();
    let mut watchdog = watchdog(&model);
    for _ in 0..3 {
        watchdog.start(Duration::from_secs(1), Duration::from_secs(1)).unwrap();
        model.advance(TICKS_PER_SECOND - 1);
    }
    assert_eq!(model.bites(), 0);
}

#[test]
fn times_that_it_cannot_count_change_nothing() {
    let model = Model::new();
    model.left_running(50, 100, 0);
    let mut watchdog = watchdog(&model);
    let second = Duration::from_secs(1);
    let longest = watchdog.longest();
    assert!(longest > Duration::from_secs(32) && longest < Duration::from_secs(33));
    for (bark, bite) in [
        (Duration::ZERO, second),
        (second, Duration::ZERO),
        (second * 2, second),
        (second, longest + second),
        (second, Duration::MAX),
        (Duration::MAX, Duration::MAX),
    ] {
        assert_eq!(watchdog.start(bark, bite), Err(WatchdogError::Times));
    }
    model.advance(50);
    assert_eq!((model.barks(), model.bites()), (1, 0));
    model.advance(50);
    assert_eq!(model.bites(), 1);
}

#[test]
fn one_that_firmware_keeps_says_so() {
    let model = Model::new();
    model.keep();
    let second = Duration::from_secs(1);
    assert_eq!(watchdog(&model).start(second, second), Err(WatchdogError::Kept));
    assert_eq!(watchdog(&model).reset_soc(), Err(WatchdogError::Kept));
    model.left_running(50, 100, 0);
    assert_eq!(watchdog(&model).stop(), Err(WatchdogError::Kept));
}

#[test]
fn it_resets_the_soc_after_128_ms() {
    let model = Model::new();
    watchdog(&model).reset_soc().unwrap();
    model.advance(TICKS_PER_SECOND * 127 / 1000);
    assert_eq!(model.bites(), 0);
    model.advance(TICKS_PER_SECOND * 2 / 1000);
    assert_eq!(model.bites(), 1);
}

#[test]
#[should_panic(expected = "sets a time while it runs")]
fn the_model_refuses_new_times_while_it_runs() {
    let model = Model::new();
    model.left_running(50, 100, 0);
    model.at(BITE_TIME).set(1);
}

proptest! {
    /// It never bites earlier than it was told, nor more than a tick later.
    #[test]
    fn a_bite_is_no_earlier_than_asked_for(hz in 1u32..=1_000_000, nanos in 1u64..=100_000_000_000) {
        let model = Model::new();
        let mut watchdog = KpssWatchdog::over(model.clone(), NonZeroU32::new(hz).unwrap());
        let bite = Duration::from_nanos(nanos);
        let exact = nanos as f64 / 1e9 * f64::from(hz);
        match watchdog.start(bite, bite) {
            Ok(()) => {
                let ticks = f64::from(model.load::<u32>(BITE_TIME.offset()));
                prop_assert!(ticks >= exact - 1e-6 && ticks < exact + 1.0 + 1e-6, "{ticks} for {exact}");
            }
            Err(_) => prop_assert!(exact > f64::from(MAX_TICKS) - 1.0),
        }
    }
}
