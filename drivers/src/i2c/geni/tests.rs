//! The driver on the model of a serial engine, on the model of a bus.

use super::model::Model;
use super::*;
use crate::geni::model::DEPTH;
use crate::geni::registers::GENI_FW_REVISION;
use crate::i2c::model::{Memory, Symbol, Trouble};
use crate::wait::POLLS;
use embedded_hal::i2c::ErrorKind;
use proptest::prelude::*;
use std::vec::Vec;

const VERSION: QupVersion = QupVersion::new(2, 6);

/// The address of a target with seven bits, and of one with ten.
const TARGET: u8 = 0x50;
const WIDE: u16 = 0x2a5;

/// A bus that runs as the driver looks, with two targets.
fn model() -> Model {
    let model = Model::new();
    model.run_on_poll(true);
    model.bus(|bus| {
        bus.targets.insert(TARGET, Memory::default());
        bus.wide_targets.insert(WIDE, Memory::default());
    });
    model
}

fn controller(model: &Model) -> GeniI2c<Model> {
    let mut controller = GeniI2c::over(model.clone(), VERSION);
    controller.init(Clocking::Firmware).unwrap();
    controller
}

fn fill(model: &Model) {
    let fill = |memory: &mut Memory| memory.bytes = core::array::from_fn(|place| !(place as u8));
    model.bus(|bus| {
        bus.targets.values_mut().for_each(fill);
        bus.wide_targets.values_mut().for_each(fill);
    });
}

const fn start(address: u8, read: bool) -> Symbol {
    Symbol::Start {
        address,
        read,
        acknowledged: true,
    }
}

#[test]
fn init_keeps_the_speed_or_sets_it() {
    let model = model();
    let mut controller = controller(&model);
    assert_eq!(model.divider(), None);
    for (speed, divider, timing) in [
        (Speed::Standard, 7, [10, 11, 26]),
        (Speed::Fast, 2, [5, 12, 24]),
        (Speed::FastPlus, 1, [3, 9, 18]),
    ] {
        controller.init(Clocking::Crystal(speed)).unwrap();
        assert_eq!((model.divider(), model.timing()), (Some(divider), timing));
    }
}

#[test]
fn init_refuses_what_is_no_i2c_controller() {
    let model = model();
    model.left_by_firmware(GENI_FW_REVISION.offset(), 2 << 8);
    let refused = GeniI2c::over(model, VERSION).init(Clocking::Firmware);
    assert_eq!(refused, Err(GeniError::Protocol(2)));
}

#[test]
fn a_transaction_is_what_the_bus_sees() {
    let model = model();
    fill(&model);
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
fn operations_alike_are_sent_without_a_start_between_them() {
    let model = model();
    let mut controller = controller(&model);
    let (mut one, mut two) = ([0; 1], [0; 5]);
    let mut operations = [
        Operation::Write(&[0x10]),
        Operation::Write(&[1, 2, 3, 4, 5, 6]),
        Operation::Write(&[]),
    ];
    controller.transaction(TARGET, &mut operations).unwrap();
    let mut operations = [
        Operation::Write(&[0x10]),
        Operation::Read(&mut one),
        Operation::Read(&mut two),
    ];
    controller.transaction(TARGET, &mut operations).unwrap();
    assert_eq!((one, two), ([1], [2, 3, 4, 5, 6]));
    let starts = |symbol: &&Symbol| matches!(symbol, Symbol::Start { .. });
    model.bus(|bus| assert_eq!(bus.symbols().iter().filter(starts).count(), 3));
}

#[test]
fn ten_bits_reach_their_target() {
    let model = model();
    let mut controller = controller(&model);
    controller.write(WIDE, &[3, 0xaa, 0xbb]).unwrap();
    let mut bytes = [0; 2];
    controller.write_read(WIDE, &[3], &mut bytes).unwrap();
    assert_eq!(bytes, [0xaa, 0xbb]);
    // To be read from, it is written to without a byte; what it answers is behind what was read last.
    let mut byte = [1];
    controller.read(WIDE, &mut byte).unwrap();
    assert_eq!(byte, [0]);
    let first = (0b1_1110 << 2) | 0b10;
    let seen = [
        start(first, false),
        Symbol::Written(0xa5, true),
        start(first, true),
        Symbol::Read(0, false),
    ];
    model.bus(|bus| {
        let symbols = bus.symbols();
        assert_eq!(symbols[symbols.len() - 5..][..4], seen);
    });
    let nobody = controller.write(0x2a4u16, &[3]);
    assert_eq!(nobody, Err(Error::NoAcknowledge(NoAcknowledgeSource::Address)));
    model.bus(|bus| bus.wide_targets.get_mut(&WIDE).unwrap().takes = 0);
    let enough = controller.write(WIDE, &[3]);
    assert_eq!(enough, Err(Error::NoAcknowledge(NoAcknowledgeSource::Data)));
}

#[test]
fn who_is_not_there_does_not_acknowledge() {
    let model = model();
    let mut controller = controller(&model);
    for _ in 0..2 {
        let nobody = Err(Error::NoAcknowledge(NoAcknowledgeSource::Address));
        assert_eq!(controller.write(0x51u8, &[1, 2, 3, 4, 5]), nobody);
        assert_eq!(controller.read(0x51u8, &mut [0; 5]), nobody);
        model.bus(|bus| assert!(bus.is_idle()));
        controller.write(TARGET, &[0, 1]).unwrap();
    }
}

#[test]
fn who_has_enough_does_not_acknowledge() {
    let model = model();
    model.bus(|bus| bus.targets.get_mut(&TARGET).unwrap().takes = 3);
    let mut controller = controller(&model);
    let enough = Err(Error::NoAcknowledge(NoAcknowledgeSource::Data));
    assert_eq!(controller.write(TARGET, &[0, 1, 2, 3, 4, 5]), enough);
    assert_eq!(controller.write(TARGET, &[0, 1, 2]), Ok(()));
    assert_eq!(controller.write(TARGET, &[0; 200]), enough);
    model.bus(|bus| bus.targets.get_mut(&TARGET).unwrap().takes = 0);
    assert_eq!(controller.write(TARGET, &[0]), enough);
    model.bus(|bus| bus.targets.get_mut(&TARGET).unwrap().takes = 3);
    // What follows a message that fails is not sent.
    let mut byte = [0];
    assert_eq!(controller.write_read(TARGET, &[0, 1, 2, 3], &mut byte), enough);
    model.bus(|bus| assert!(bus.is_idle() && bus.symbols().last() == Some(&Symbol::Stop)));
}

#[test]
fn troubles_are_told_apart() {
    use embedded_hal::i2c::Error as _;
    for (trouble, error, kind) in [
        (Trouble::Arbitration, Error::ArbitrationLost, ErrorKind::ArbitrationLoss),
        (Trouble::Protocol, Error::Bus, ErrorKind::Bus),
        (Trouble::ClockHeld, Error::TimedOut, ErrorKind::Other),
    ] {
        for (after, read) in [0, 1, 3, 7]
            .into_iter()
            .flat_map(|after| [(after, false), (after, true)])
        {
            let model = model();
            fill(&model);
            let mut controller = controller(&model);
            model.bus(|bus| bus.trouble = Some((trouble, after)));
            let before = model.loads();
            let result = if read {
                controller.read(TARGET, &mut [0; 20])
            } else {
                controller.write(TARGET, &[0; 20])
            };
            assert_eq!(result, Err(error), "{trouble:?} after {after}");
            assert!(model.loads() - before < POLLS as usize * 8 + 1000);
            assert_eq!(error.kind(), kind);
            model.bus(|bus| {
                bus.trouble = None;
                assert!(bus.is_idle());
            });
            let mut bytes = [7; 4];
            assert_eq!(controller.write_read(TARGET, &[100], &mut bytes), Ok(()));
            assert_eq!(bytes, [!100, !101, !102, !103]);
        }
    }
}

#[test]
fn a_controller_that_hangs_is_not_waited_for() {
    let model = model();
    let mut controller = controller(&model);
    model.bus(|bus| bus.trouble = Some((Trouble::Hangs, 2)));
    let before = model.loads();
    assert_eq!(controller.write(TARGET, &[0; 20]), Err(Error::ArbitrationLost));
    assert!(model.loads() - before < 100, "{} loads", model.loads() - before);
    model.bus(|bus| assert!(bus.is_idle()));
}

#[test]
fn bytes_that_did_not_come_are_missed() {
    for after in [0, 1, 2, 5] {
        let model = model();
        let mut controller = controller(&model);
        model.bus(|bus| bus.trouble = Some((Trouble::EndsEarly, after)));
        fill(&model);
        assert_eq!(controller.read(TARGET, &mut [0; 20]), Err(Error::Controller));
        let mut bytes = [0; 3];
        assert_eq!(controller.write_read(TARGET, &[100], &mut bytes), Ok(()));
        assert_eq!(bytes, [!100, !101, !102]);
    }
}

#[test]
fn a_controller_without_a_clock_times_out() {
    let model = model();
    let mut controller = controller(&model);
    model.set_clocked(false);
    let before = model.loads();
    assert_eq!(controller.write(TARGET, &[1]), Err(Error::TimedOut));
    assert_eq!(controller.read(TARGET, &mut [1]), Err(Error::TimedOut));
    assert!(model.loads() - before < POLLS as usize * 16);
    model.set_clocked(true);
    assert_eq!(controller.write(TARGET, &[1]), Ok(()));
}

#[test]
fn what_cannot_be_is_not_begun() {
    let model = model();
    assert_eq!(
        GeniI2c::over(model.clone(), VERSION).write(TARGET, &[1]),
        Err(Error::Controller)
    );
    let mut controller = controller(&model);
    assert_eq!(controller.write(0x80u8, &[1]), Err(Error::Address(0x80)));
    assert_eq!(controller.write(0x400u16, &[1]), Err(Error::Address(0x400)));
    assert_eq!(controller.write(TARGET, &[]), Err(Error::Length(0)));
    assert_eq!(controller.read(TARGET, &mut []), Err(Error::Length(0)));
    let mut operations = [Operation::Write(&[1]), Operation::Read(&mut [])];
    assert_eq!(controller.transaction(TARGET, &mut operations), Err(Error::Length(0)));
    assert_eq!(controller.transaction(TARGET, &mut []), Ok(()));
    model.bus(|bus| assert_eq!(bus.symbols(), []));
}

#[test]
fn a_message_in_flight_at_hand_over_is_stopped() {
    let model = model();
    // It goes to address zero, and has fewer bytes than it promised.
    model.bus(|bus| bus.targets.insert(0, Memory::default()));
    model.left_by_firmware(SE_I2C_TX_TRANS_LEN.offset(), 3);
    model.left_running(I2C_WRITE, &[0], false);
    let mut controller = controller(&model);
    assert_eq!(controller.write(TARGET, &[1, 2]), Ok(()));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// What is written is read, whatever its length, and however it is cut into operations.
    #[test]
    fn what_is_written_is_read(bytes in proptest::collection::vec(any::<u8>(), 1..=255), cut in any::<prop::sample::Index>(), wide: bool) {
        let model = model();
        let mut controller = controller(&model);
        let (head, tail) = bytes.split_at(cut.index(bytes.len()));
        let mut write = [Operation::Write(&[0]), Operation::Write(head), Operation::Write(tail)];
        let mut read = std::vec![0; bytes.len()];
        let (read_head, read_tail) = read.split_at_mut(cut.index(bytes.len()));
        let mut back = [Operation::Write(&[0]), Operation::Read(read_head), Operation::Read(read_tail)];
        if wide {
            controller.transaction(WIDE, &mut write).unwrap();
            controller.transaction(WIDE, &mut back).unwrap();
        } else {
            controller.transaction(TARGET, &mut write).unwrap();
            controller.transaction(TARGET, &mut back).unwrap();
        }
        prop_assert_eq!(read, bytes);
        let stops = |symbol: &&Symbol| **symbol == Symbol::Stop;
        prop_assert_eq!(model.bus(|bus| bus.symbols().iter().filter(stops).count()), 2);
    }
}

#[test]
fn messages_may_be_longer_than_the_fifo() {
    let model = model();
    fill(&model);
    let mut controller = controller(&model);
    let mut bytes = [0; DEPTH * BYTES_PER_WORD * 2 + 1];
    controller.write_read(TARGET, &[0], &mut bytes).unwrap();
    let expected: Vec<u8> = (0..bytes.len()).map(|place| !(place as u8)).collect();
    assert_eq!(&bytes[..], expected);
}
