//! The driver on the model of TLMM.

use super::model::Model;
use super::*;
use proptest::prelude::*;

/// As RB3 Gen 2 has it (SC7280).
const CONFIG: Config = Config {
    pins: 175,
    placement: Placement::Flat,
    target: Target { shift: 5, value: 3 },
    egpio: true,
    reserved: &[32..34, 48..52],
};

const STRONG: DriveStrength = DriveStrength::milliamperes(16).unwrap();

fn tlmm(model: &Model) -> Tlmm<Model> {
    Tlmm::over(model.clone(), CONFIG)
}

#[test]
fn an_output_drives_its_wire() {
    let model = Model::new(CONFIG);
    let tlmm = tlmm(&model);
    let mut pin = tlmm.pin(7).unwrap().into_output(true, STRONG);
    assert!(model.level(7) && pin.is_set_high().unwrap() && pin.is_high().unwrap());
    pin.set_low().unwrap();
    assert!(!model.level(7) && pin.is_set_low().unwrap() && pin.is_low().unwrap());
    pin.toggle().unwrap();
    assert!(model.level(7));
    // OE, 16 mA, function 0, no pull.
    assert_eq!(model.cfg(7), 1 << 9 | 7 << 6);
    assert!(!model.level(6) && !model.level(8));
}

#[test]
fn a_pin_becomes_an_output_without_a_glitch() {
    let model = Model::new(CONFIG);
    let tlmm = tlmm(&model);
    tlmm.pin(3).unwrap().into_input(Pull::Up).into_output(true, STRONG);
    assert_eq!(model.history(3), [true]);
    let pin = tlmm.pin(4).unwrap().into_output(true, STRONG).into_input(Pull::Down);
    pin.into_output(false, STRONG);
    assert_eq!(model.history(4), [true, false]);
}

#[test]
fn an_input_reads_what_is_connected_or_else_its_pull() {
    let model = Model::new(CONFIG);
    let tlmm = tlmm(&model);
    let mut pin = tlmm.pin(0).unwrap().into_input(Pull::Up);
    assert_eq!((pin.is_high(), pin.is_low()), (Ok(true), Ok(false)));
    model.connect(0, Some(false));
    assert_eq!((pin.is_high(), pin.is_low()), (Ok(false), Ok(true)));
    model.connect(0, None);
    assert_eq!(pin.is_high(), Ok(true));
    let mut pin = pin.into_input(Pull::Down);
    assert_eq!(pin.is_high(), Ok(false));
    model.connect(0, Some(true));
    let mut pin = pin.into_input(Pull::Keeper);
    model.connect(0, None);
    assert_eq!(pin.is_high(), Ok(true));
    model.connect(0, Some(false));
    let mut pin = pin.into_input(Pull::None);
    assert_eq!(pin.is_low(), Ok(true));
}

#[test]
fn a_pin_is_given_to_another_block() {
    let model = Model::new(CONFIG);
    let tlmm = tlmm(&model);
    let function = Function::new(2).unwrap();
    let strength = DriveStrength::milliamperes(6).unwrap();
    let pin = tlmm.pin(20).unwrap().into_peripheral(function, Pull::Up, strength);
    assert_eq!((pin.number(), model.cfg(20)), (20, 2 << 6 | 2 << 2 | 3));
    for number in [0, 16, 255] {
        assert_eq!(Function::new(number), Err(TlmmError::NoSuchFunction(number)));
    }
    for milliamperes in [0, 1, 3, 17, 18, u32::MAX] {
        assert_eq!(DriveStrength::milliamperes(milliamperes), None);
    }
}

#[test]
fn a_pin_of_another_owner_is_claimed() {
    let (present, enable) = (1 << 11, 1 << 12);
    for egpio in [true, false] {
        let config = Config { egpio, ..CONFIG };
        let model = Model::new(config);
        model.left_by_firmware(9, present, 0);
        let tlmm = Tlmm::over(model.clone(), config);
        let pin = tlmm.pin(9).unwrap().into_input(Pull::None);
        assert_eq!(model.cfg(9), if egpio { present | enable } else { present });
        // Without its owner's leave, an output says what it would.
        let mut pin = pin.into_output(true, STRONG);
        assert_eq!((pin.is_set_high(), pin.is_high()), (Ok(true), Ok(egpio)));
    }
}

#[test]
fn pins_that_cannot_be_had_are_not_touched() {
    let model = Model::new(CONFIG);
    let tlmm = tlmm(&model);
    for pin in [32, 33, 48, 51] {
        assert_eq!(tlmm.pin(pin).err(), Some(TlmmError::Reserved(pin)));
    }
    for pin in [175, 255, 256, u16::MAX] {
        assert_eq!(tlmm.pin(pin).err(), Some(TlmmError::NoSuchPin(pin)));
    }
    let many = Config { pins: 300, ..CONFIG };
    assert_eq!(
        Tlmm::over(model.clone(), many).pin(256).err(),
        Some(TlmmError::NoSuchPin(256))
    );
    for pin in (0..175).filter(|pin| !matches!(pin, 32..34 | 48..52)) {
        tlmm.pin(pin).unwrap().into_input(Pull::None);
    }
}

#[test]
fn a_pin_is_taken_once_at_a_time() {
    let model = Model::new(CONFIG);
    let tlmm = tlmm(&model);
    let pin = tlmm.pin(31).unwrap();
    assert_eq!(tlmm.pin(31).err(), Some(TlmmError::Taken(31)));
    let pin = pin.into_input(Pull::None);
    assert_eq!(tlmm.pin(31).err(), Some(TlmmError::Taken(31)));
    let others = (tlmm.pin(30).unwrap(), tlmm.pin(63).unwrap());
    drop(pin);
    tlmm.pin(31).unwrap();
    assert_eq!(tlmm.pin(30).err(), Some(TlmmError::Taken(30)));
    drop(others);
}

#[test]
fn pins_in_tiles_are_found() {
    const TILED: Config = Config {
        pins: 4,
        placement: Placement::Tiles {
            tiles: &[0x10_0000, 0x50_0000],
            of_pin: &[1, 0, 1, 2],
        },
        reserved: &[],
        ..CONFIG
    };
    let model = Model::new(TILED);
    let tlmm = Tlmm::over(model.clone(), TILED);
    for pin in 0..3 {
        tlmm.pin(pin).unwrap().into_output(true, STRONG);
        assert!(model.level(pin));
    }
    assert_eq!(TILED.page(2), Ok(0x50_2000));
    // Its tile is none.
    assert_eq!(tlmm.pin(3).err(), Some(TlmmError::NoSuchPin(3)));
}

/// Each trigger by edges, and whether a rising and a falling edge are one.
const EDGES: [(Trigger, bool, bool); 3] = [
    (Trigger::Rising, true, false),
    (Trigger::Falling, false, true),
    (Trigger::Both, true, true),
];

#[test]
fn edges_interrupt_once() {
    for (trigger, rise, fall) in EDGES {
        let model = Model::new(CONFIG);
        let tlmm = tlmm(&model);
        let mut pin = tlmm.pin(5).unwrap().into_input(Pull::None);
        pin.listen(trigger);
        for (level, edge) in [(true, rise), (false, fall), (true, rise)] {
            assert!(!pin.is_pending(), "{trigger:?}");
            model.connect(5, Some(level));
            assert_eq!(
                (model.interrupt(), pin.is_pending()),
                (edge, edge),
                "{trigger:?}, {level}"
            );
            pin.clear();
        }
    }
}

#[test]
fn levels_interrupt_as_long_as_they_are_there() {
    for (trigger, active) in [(Trigger::High, true), (Trigger::Low, false)] {
        let model = Model::new(CONFIG);
        let tlmm = tlmm(&model);
        model.connect(5, Some(!active));
        let mut pin = tlmm.pin(5).unwrap().into_input(Pull::None);
        pin.listen(trigger);
        assert!(!model.interrupt() && !pin.is_pending(), "{trigger:?}");
        model.connect(5, Some(active));
        assert!(model.interrupt() && pin.is_pending(), "{trigger:?}");
        pin.clear();
        assert!(model.interrupt(), "{trigger:?}");
        model.connect(5, Some(!active));
        pin.clear();
        assert!(!model.interrupt() && !pin.is_pending(), "{trigger:?}");
    }
}

#[test]
fn what_was_detected_before_is_forgotten() {
    let model = Model::new(CONFIG);
    let tlmm = tlmm(&model);
    let mut pin = tlmm.pin(5).unwrap().into_input(Pull::None);
    for trigger in [Trigger::Rising, Trigger::Falling, Trigger::Both] {
        pin.listen(Trigger::Both);
        model.connect(5, Some(true));
        model.connect(5, Some(false));
        assert!(model.interrupt());
        let before = model.interrupts();
        pin.listen(trigger);
        assert!(!model.interrupt() && !pin.is_pending());
        assert_eq!(model.interrupts(), before);
    }
}

#[test]
fn a_new_trigger_does_not_interrupt_by_itself() {
    let model = Model::new(CONFIG);
    let tlmm = tlmm(&model);
    let mut pin = tlmm.pin(5).unwrap().into_input(Pull::None);
    pin.listen(Trigger::High);
    pin.listen(Trigger::Rising);
    pin.listen(Trigger::High);
    assert_eq!(model.interrupts(), 0);
}

#[test]
fn a_masked_input_keeps_edges_and_forgets_levels() {
    let model = Model::new(CONFIG);
    let tlmm = tlmm(&model);
    let mut pin = tlmm.pin(5).unwrap().into_input(Pull::None);
    pin.listen(Trigger::Rising);
    pin.mask();
    model.connect(5, Some(true));
    assert!(!model.interrupt() && pin.is_pending());
    pin.unmask();
    assert!(model.interrupt());
    pin.listen(Trigger::High);
    assert!(model.interrupt());
    pin.mask();
    pin.clear();
    assert!(!model.interrupt() && !pin.is_pending());
    pin.unmask();
    assert!(model.interrupt());
}

#[test]
fn interrupts_that_firmware_left_are_silenced_and_redirected() {
    let model = Model::new(CONFIG);
    // To another processor, on a level, enabled.
    model.left_by_firmware(5, 0, 1 << 5 | 1 << 4 | 1 << 1 | 1);
    model.left_by_firmware(6, 0, 3 << 5 | 1 << 4 | 1 << 1 | 1);
    model.connect(5, Some(true));
    model.connect(6, Some(true));
    assert!(model.interrupt());
    let tlmm = tlmm(&model);
    let silent = tlmm.pin(6).unwrap().into_input(Pull::None);
    assert!(!model.interrupt());
    let mut pin = tlmm.pin(5).unwrap().into_input(Pull::None);
    pin.listen(Trigger::High);
    assert!(model.interrupt());
    drop(silent);
}

#[test]
fn a_pin_that_is_given_back_interrupts_no_more() {
    let model = Model::new(CONFIG);
    let tlmm = tlmm(&model);
    let mut pin = tlmm.pin(5).unwrap().into_input(Pull::Up);
    pin.listen(Trigger::High);
    assert!(model.interrupt());
    drop(pin);
    assert!(!model.interrupt());
}

#[test]
fn targets_have_other_places_on_other_socs() {
    for target in [Target { shift: 8, value: 3 }, Target { shift: 5, value: 4 }] {
        let config = Config { target, ..CONFIG };
        let model = Model::new(config);
        model.left_by_firmware(5, 0, 7 << target.shift);
        let tlmm = Tlmm::over(model.clone(), config);
        let mut pin = tlmm.pin(5).unwrap().into_input(Pull::Up);
        pin.listen(Trigger::High);
        assert!(model.interrupt());
    }
}

#[test]
#[should_panic(expected = "drives against somebody else")]
fn the_model_refuses_an_output_against_another() {
    let model = Model::new(CONFIG);
    model.connect(5, Some(false));
    tlmm(&model).pin(5).unwrap().into_output(true, STRONG);
}

#[test]
#[should_panic(expected = "where no pin is that may be touched")]
fn the_model_refuses_a_reserved_pin() {
    Model::new(CONFIG).at(CFG).set(0);
    Model::new(CONFIG).store(32 * PAGE, 0u32);
}

proptest! {
    /// An edge that its input listens to is never missed, however it is masked in between; and no other interrupts.
    #[test]
    fn no_edge_is_missed(trigger in 0..3usize, steps in proptest::collection::vec((0..4u8, any::<bool>()), 0..50)) {
        let (trigger, rise, fall) = EDGES[trigger];
        let model = Model::new(CONFIG);
        let tlmm = tlmm(&model);
        let mut pin = tlmm.pin(1).unwrap().into_input(Pull::None);
        pin.listen(trigger);
        let (mut level, mut expected, mut masked) = (false, false, false);
        for (step, to) in steps {
            match step {
                0 => {
                    expected |= if to { !level && rise } else { level && fall };
                    level = to;
                    model.connect(1, Some(to));
                }
                1 => {
                    pin.mask();
                    masked = true;
                }
                2 => {
                    pin.unmask();
                    masked = false;
                }
                _ => {
                    pin.clear();
                    expected = false;
                }
            }
            prop_assert_eq!(pin.is_pending(), expected);
            prop_assert_eq!(model.interrupt(), expected && !masked);
        }
    }
}
