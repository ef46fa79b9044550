//! The driver on the model of an LLCC.

use super::model::Model;
use super::*;
use proptest::prelude::*;
use std::vec::Vec;

/// As RB3 Gen 2 has it (SC7280): two banks.
const SC7280: Config = Config {
    layout: Layout::V1,
    banks: &[0, 0x8_0000],
    broadcast: 0x40_0000,
    ecc: Ecc::Open,
};

const OTHER: Config = Config {
    layout: Layout::V2_1,
    banks: &[0, 0x20_0000, 0x40_0000, 0x60_0000],
    broadcast: 0x80_0000,
    ecc: Ecc::Open,
};

const LOCKED: Config = Config {
    ecc: Ecc::Locked,
    ..SC7280
};

fn checked(llcc: &mut Llcc<Model>) -> Vec<EccError> {
    let mut errors = Vec::new();
    let count = llcc.check(|error| errors.push(error)).unwrap();
    assert_eq!(count, errors.len());
    errors
}

#[test]
fn banks_are_found() {
    for config in [SC7280, OTHER, LOCKED] {
        let model = Model::new(config);
        let llcc = Llcc::over(model.clone(), config);
        assert_eq!((llcc.banks(), llcc.version()), (Ok(config.banks.len()), 0));
        for banks in [0, 1, 15] {
            model.report_banks(banks);
            assert_eq!(llcc.banks(), Err(LlccError::Banks(banks)));
        }
    }
    let none = Config { banks: &[], ..SC7280 };
    assert_eq!(Llcc::over(Model::new(none), none).banks(), Err(LlccError::Banks(0)));
}

#[test]
fn what_firmware_has_locked_is_not_touched() {
    let mut llcc = Llcc::over(Model::new(LOCKED), LOCKED);
    assert_eq!(llcc.set_up(), Err(LlccError::Locked));
    assert_eq!(llcc.check(|_| panic!("reports")), Err(LlccError::Locked));
}

#[test]
fn interrupts_are_set_up_unless_firmware_has() {
    for (ecc, set_up) in [(Ecc::Open, true), (Ecc::SetUp, false)] {
        for config in [SC7280, OTHER] {
            let config = Config { ecc, ..config };
            let model = Model::new(config);
            Llcc::over(model.clone(), config).set_up().unwrap();
            assert_eq!(model.is_set_up(), set_up);
        }
    }
}

#[test]
fn registers_are_where_the_version_has_them() {
    // By hand from Linux llcc-qcom.c.
    for (config, status, clear, enable, cfg, syndrome) in [
        (SC7280, 0x4_1000, 0x4_1008, 0x3_001c, 0x4_0000, 0x4_2070),
        (OTHER, 0x5_0020, 0x5_0028, 0x3_401c, 0x5_0000, 0x5_2120),
    ] {
        let model = Model::new(config);
        Llcc::over(model.clone(), config).set_up().unwrap();
        model.corrupt(1, Ram::Data, false, 0, &[0x5a]);
        let bank = config.banks[1];
        let at = |offset| model.load::<u32>(bank + offset);
        assert_eq!(
            (at(enable), at(cfg), at(status), at(syndrome)),
            (1 << 6 | 1, 1 << 24, 2, 0x5a)
        );
        assert_eq!(at(0x2_0488), 3);
        model.store(config.broadcast + clear, 3u32);
        assert_eq!(at(status), 0);
        model.corrupt(1, Ram::Tag, true, 0, &[0xa5]);
        assert_eq!(
            (at(0x2_0480), at(0x2_0344), at(0x2_0348), at(0x2_034c)),
            (1, 1, 1 << 16, 0xa5)
        );
    }
}

#[test]
fn errors_are_reported_once_with_all_that_is_known() {
    for config in [SC7280, OTHER] {
        let model = Model::new(config);
        let mut llcc = Llcc::over(model.clone(), config);
        assert_eq!(checked(&mut llcc), []);
        model.corrupt(1, Ram::Data, true, 3, &[1, 2, 3, 4, 5, 6, 7, 8]);
        model.corrupt(1, Ram::Data, true, 5, &[8, 7, 6, 5, 4, 3, 2, 1]);
        model.corrupt(0, Ram::Tag, false, 15, &[9, 10, 11, 12, 13, 14]);
        let errors = checked(&mut llcc);
        let [data, tag] = &errors[..] else { panic!("{errors:?}") };
        assert_eq!((data.bank, data.ram, data.corrected), (1, Ram::Data, true));
        assert_eq!((data.count, data.ways), (2, 1 << 3 | 1 << 5));
        assert_eq!(data.syndromes(), [8, 7, 6, 5, 4, 3, 2, 1]);
        assert_eq!((tag.bank, tag.ram, tag.corrected), (0, Ram::Tag, false));
        assert_eq!((tag.count, tag.ways), (1, 1 << 15));
        assert_eq!(tag.syndromes(), [9, 10, 11, 12, 13, 14]);
        assert_eq!(checked(&mut llcc), []);
        model.corrupt(1, Ram::Data, true, 3, &[]);
        assert_eq!(checked(&mut llcc)[0].count, 1);
    }
}

#[test]
fn nothing_is_cleared_when_the_banks_are_others() {
    let model = Model::new(SC7280);
    let mut llcc = Llcc::over(model.clone(), SC7280);
    model.corrupt(0, Ram::Data, false, 0, &[]);
    model.report_banks(4);
    assert_eq!(llcc.check(|_| panic!("reports")), Err(LlccError::Banks(4)));
    assert_eq!(llcc.set_up(), Err(LlccError::Banks(4)));
    model.report_banks(2);
    assert_eq!(checked(&mut llcc).len(), 1);
}

proptest! {
    /// Each kind of error in each RAM of each bank is reported once, whatever else there is.
    #[test]
    fn no_error_hides_another(errors in proptest::collection::vec((0..4usize, any::<bool>(), any::<bool>(), 0..16u32), 0..30)) {
        let model = Model::new(OTHER);
        let mut llcc = Llcc::over(model.clone(), OTHER);
        let mut expected = std::collections::BTreeMap::new();
        for (bank, tag, corrected, way) in errors {
            model.corrupt(bank, if tag { Ram::Tag } else { Ram::Data }, corrected, way, &[]);
            let (count, ways) = expected.entry((tag, bank, corrected)).or_insert((0, 0));
            *count += 1;
            *ways |= 1 << way;
        }
        let seen: std::collections::BTreeMap<_, _> = checked(&mut llcc)
            .iter()
            .map(|error| ((error.ram == Ram::Tag, error.bank, error.corrected), (error.count, error.ways)))
            .collect();
        prop_assert_eq!(seen, expected);
        prop_assert_eq!(checked(&mut llcc), []);
    }
}
