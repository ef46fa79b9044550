//! The driver on the model.

use super::model::Model;
use super::*;
use std::vec;

/// As the QCS6490's tree has them, some of them.
const RANGES: Ranges = &[(0, 480, 40), (40, 140, 14), (54, 263, 1), (156, 716, 12)];
/// Versions before and after enable bits moved.
const VERSIONS: [u32; 4] = [0x2_0600, 0x3_0100, 0x3_0200, 0x4_0000];

#[test]
fn the_gic_sees_high_levels_and_rising_edges_alone() {
    for version in VERSIONS {
        let model = Model::new(version);
        let mut pdc = Pdc::over(model.clone(), RANGES);
        for (trigger, edge, level, edges) in [
            (Trigger::Low, false, [true, false], 0),
            (Trigger::High, false, [false, true], 0),
            (Trigger::Falling, true, [false, false], 1),
            (Trigger::Rising, true, [false, false], 1),
            (Trigger::Both, true, [false, false], 2),
        ] {
            assert_eq!(pdc.set_trigger(41, trigger), Ok(Output { intid: 32 + 141, edge }));
            pdc.enable(41).unwrap();
            let before = model.edges(41);
            model.drive(41, false);
            assert_eq!(model.level(41), level[0], "{version:#x} {trigger:?}");
            model.drive(41, true);
            assert_eq!(model.level(41), level[1], "{version:#x} {trigger:?}");
            model.drive(41, false);
            assert_eq!(model.edges(41) - before, edges, "{version:#x} {trigger:?}");
            pdc.disable(41).unwrap();
            model.drive(41, true);
            assert!(!model.level(41) && model.edges(41) - before == edges);
            model.drive(41, false);
        }
    }
}

#[test]
fn pins_do_not_disturb_each_other() {
    for version in VERSIONS {
        let model = Model::new(version);
        let mut pdc = Pdc::over(model.clone(), RANGES);
        for pin in [0, 31, 32, 53, 167] {
            pdc.enable(pin).unwrap();
        }
        pdc.set_trigger(32, Trigger::Both).unwrap();
        pdc.disable(31).unwrap();
        assert_eq!(model.enabled(), vec![0, 32, 53, 167]);
    }
}

#[test]
fn a_pin_that_is_in_no_range_is_refused() {
    let model = Model::new(0x3_0000);
    // The last range goes beyond all registers, and beyond all numbers.
    let mut pdc = Pdc::over(model.clone(), &[(0, 480, 40), (250, u32::MAX - 3, u32::MAX)]);
    for pin in [40, 249, 254, 256, 1000, u32::MAX] {
        assert_eq!(pdc.set_trigger(pin, Trigger::High), Err(NoSuchPin(pin)));
        assert_eq!(pdc.enable(pin), Err(NoSuchPin(pin)));
        assert_eq!(pdc.disable(pin), Err(NoSuchPin(pin)));
    }
    assert!(model.enabled().is_empty());
}
