//! The driver on the model of a QUP, on the model of a bus.

use super::model::{FIFO, Model};
use super::*;
use crate::i2c::model::{Memory, Symbol, Trouble};
use crate::wait::POLLS;
use proptest::prelude::*;
use std::vec::Vec;

/// The address of a target with seven bits, and of one with ten.
const TARGET: u8 = 0x50;
const WIDE: u16 = 0x2a5;

fn model() -> Model {
    let model = Model::new();
    model.bus(|bus| {
        let mut memory = Memory::default();
        memory.bytes = core::array::from_fn(|place| !(place as u8));
        bus.targets.insert(TARGET, memory.clone());
        bus.wide_targets.insert(WIDE, memory);
    });
    model
}

fn controller(model: &Model) -> QupI2c<Model> {
    let mut controller = QupI2c::over(model.clone());
    controller.init(Clocking::Firmware).unwrap();
    controller
}

const fn start(address: u8, read: bool) -> Symbol {
    Symbol::Start {
        address,
        read,
        acknowledged: true,
    }
}

#[test]
fn the_dividers_are_those_of_other_drivers() {
    // Linux qup_i2c_probe, worked out by hand: 19.2 MHz is 192 times 100 kHz, and 48 times 400 kHz.
    assert_eq!(clock_control(19_200_000, 100_000), Some(3 << 8 | 93));
    assert_eq!(clock_control(19_200_000, 400_000), Some(14 << 16 | 3 << 8 | 28));
    for (clock_hz, hz) in [
        (19_200_000, 0),
        (0, 100_000),
        (19_200_000, 10_000),
        (500_000, 100_000),
        (4_000_000, 1_000_000),
        (19_200_000, 2_000_000),
        (u32::MAX, 400_000),
    ] {
        assert_eq!(clock_control(clock_hz, hz), None, "{clock_hz} {hz}");
    }
}

#[test]
fn the_speed_stays_or_is_set() {
    let model = model();
    let firmware = model.clock_control();
    let mut controller = controller(&model);
    controller.write(TARGET, &[1]).unwrap();
    assert_eq!(model.clock_control(), firmware);
    let (clock_hz, hz) = (19_200_000, 400_000);
    controller.init(Clocking::Divided { clock_hz, hz }).unwrap();
    controller.write(TARGET, &[1]).unwrap();
    assert_eq!(Some(model.clock_control()), clock_control(clock_hz, hz));
    let hz = 0;
    assert_eq!(
        controller.init(Clocking::Divided { clock_hz, hz }),
        Err(QupError::Speed(0))
    );
}

#[test]
fn a_transaction_is_what_the_bus_sees() {
    let model = model();
    let mut bytes = [0; 2];
    controller(&model).write_read(TARGET, &[7], &mut bytes).unwrap();
    assert_eq!(bytes, [!7, !8]);
    let seen = [
        start(TARGET, false),
        Symbol::Written(7, true),
        start(TARGET, true),
        Symbol::Read(!7, true),
        Symbol::Read(!8, false),
        Symbol::Stop,
    ];
    model.bus(|bus| assert_eq!(bus.symbols(), seen));
}

#[test]
fn a_read_before_a_write_ends_without_acknowledgement() {
    let model = model();
    let mut controller = controller(&model);
    let (mut one, mut two) = ([0; 1], [0; 2]);
    let mut operations = [
        Operation::Read(&mut one),
        Operation::Read(&mut two),
        Operation::Write(&[5]),
        Operation::Write(&[6]),
    ];
    controller.transaction(TARGET, &mut operations).unwrap();
    let seen = [
        start(TARGET, true),
        Symbol::Read(!0, true),
        Symbol::Read(!1, true),
        Symbol::Read(!2, false),
        start(TARGET, false),
        Symbol::Written(5, true),
        Symbol::Written(6, true),
        Symbol::Stop,
    ];
    model.bus(|bus| assert_eq!(bus.symbols(), seen));
    assert_eq!((one, two), ([!0], [!1, !2]));
}

#[test]
fn ten_bits_reach_their_target() {
    let model = model();
    let mut controller = controller(&model);
    controller.write(WIDE, &[3, 0xaa, 0xbb]).unwrap();
    let mut bytes = [0; 2];
    controller.write_read(WIDE, &[3], &mut bytes).unwrap();
    assert_eq!(bytes, [0xaa, 0xbb]);
    let nobody = Err(Error::NoAcknowledge(NoAcknowledgeSource::Unknown));
    assert_eq!(controller.write(0x2a4u16, &[3]), nobody);
}

#[test]
fn who_is_not_there_or_has_enough_does_not_acknowledge() {
    let model = model();
    model.bus(|bus| bus.targets.get_mut(&TARGET).unwrap().takes = 3);
    let mut controller = controller(&model);
    let nobody = Err(Error::NoAcknowledge(NoAcknowledgeSource::Unknown));
    for _ in 0..2 {
        assert_eq!(controller.write(0x51u8, &[1, 2, 3, 4, 5]), nobody);
        assert_eq!(controller.read(0x51u8, &mut [0; 5]), nobody);
        // The last byte, one in the middle, and one in another block.
        assert_eq!(controller.write(TARGET, &[0, 1, 2, 3]), nobody);
        assert_eq!(controller.write(TARGET, &[0, 1, 2, 3, 4, 5]), nobody);
        assert_eq!(controller.write(TARGET, &[0; 200]), nobody);
        model.bus(|bus| assert!(bus.is_idle()));
        assert_eq!(controller.write(TARGET, &[0, 1, 2]), Ok(()));
    }
}

#[test]
fn troubles_are_told_apart() {
    for (trouble, error) in [
        (Trouble::Arbitration, Error::ArbitrationLost),
        (Trouble::Protocol, Error::Bus),
        (Trouble::EndsEarly, Error::Controller),
        (Trouble::ClockHeld, Error::TimedOut),
    ] {
        for after in [0, 1, 3, 7] {
            let model = model();
            let mut controller = controller(&model);
            model.bus(|bus| bus.trouble = Some((trouble, after)));
            let before = model.loads();
            assert_eq!(
                controller.write(TARGET, &[0; 20]),
                Err(error),
                "{trouble:?} after {after}"
            );
            assert!(model.loads() - before < POLLS as usize * 8 + 1000);
            model.bus(|bus| {
                bus.trouble = None;
                assert!(bus.is_idle());
            });
            let mut bytes = [7; 4];
            assert_eq!(controller.write_read(TARGET, &[40], &mut bytes), Ok(()));
            assert_eq!(bytes, [!40, !41, !42, !43]);
        }
    }
}

#[test]
fn a_controller_without_a_clock_times_out() {
    let model = model();
    let mut controller = controller(&model);
    model.set_clocked(false);
    let before = model.loads();
    assert_eq!(controller.write(TARGET, &[1]), Err(Error::TimedOut));
    assert_eq!(controller.init(Clocking::Firmware), Err(QupError::TimedOut));
    assert!(model.loads() - before < POLLS as usize * 4);
    model.set_clocked(true);
    assert_eq!(controller.write(TARGET, &[1]), Ok(()));
}

#[test]
fn what_cannot_be_is_not_begun() {
    let model = model();
    assert_eq!(QupI2c::over(model.clone()).write(TARGET, &[1]), Err(Error::Controller));
    let mut controller = controller(&model);
    assert_eq!(controller.write(0x80u8, &[1]), Err(Error::Address(0x80)));
    assert_eq!(controller.write(0x400u16, &[1]), Err(Error::Address(0x400)));
    assert_eq!(controller.write(TARGET, &[]), Err(Error::Length(0)));
    let mut operations = [Operation::Write(&[1]), Operation::Read(&mut [])];
    assert_eq!(controller.transaction(TARGET, &mut operations), Err(Error::Length(0)));
    assert_eq!(controller.transaction(TARGET, &mut []), Ok(()));
    model.bus(|bus| assert_eq!(bus.symbols(), []));
}

#[test]
#[should_panic(expected = "fills the FIFO in state 0")]
fn the_model_refuses_bytes_while_it_resets() {
    Model::new().at(OUT_FIFO).set(0);
}

#[test]
#[should_panic(expected = "goes from state 0 to 3")]
fn the_model_refuses_to_pause_what_does_not_run() {
    Model::new().at(STATE).write(QUP_STATE::STATE::Pause);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// What is written is read, whatever its length, and however it is cut into operations.
    #[test]
    fn what_is_written_is_read(bytes in proptest::collection::vec(any::<u8>(), 1..=255), cut in any::<prop::sample::Index>()) {
        let model = model();
        let mut controller = controller(&model);
        let (head, tail) = bytes.split_at(cut.index(bytes.len()));
        let mut write = [Operation::Write(&[0]), Operation::Write(head), Operation::Write(tail)];
        let mut read = std::vec![0; bytes.len()];
        let (read_head, read_tail) = read.split_at_mut(cut.index(bytes.len()));
        let mut back = [Operation::Write(&[0]), Operation::Read(read_head), Operation::Read(read_tail)];
        controller.transaction(TARGET, &mut write).unwrap();
        controller.transaction(TARGET, &mut back).unwrap();
        prop_assert_eq!(read, bytes);
        let stops = |symbol: &&Symbol| **symbol == Symbol::Stop;
        prop_assert_eq!(model.bus(|bus| bus.symbols().iter().filter(stops).count()), 2);
    }
}

#[test]
fn messages_may_be_longer_than_the_fifo() {
    let model = model();
    let mut controller = controller(&model);
    for len in [FIFO - 4, FIFO - 3, FIFO - 2, FIFO - 1, FIFO, 4 * FIFO + 1] {
        let mut bytes = std::vec![0; len];
        controller.write_read(TARGET, &[0], &mut bytes).unwrap();
        let expected: Vec<u8> = (0..len).map(|place| !(place as u8)).collect();
        assert_eq!(bytes, expected);
        controller
            .write(TARGET, &std::iter::once(0).chain(expected).collect::<Vec<_>>())
            .unwrap();
    }
}
