//! The driver on the model of a serial engine.

use super::model::{Model, Symbol};
use super::*;
use crate::geni::model::DEPTH;
use crate::geni::registers::GENI_FW_REVISION;
use crate::wait::POLLS;
use embedded_hal::spi::{MODE_0, MODE_1, MODE_2, MODE_3};
use proptest::prelude::*;
use std::vec::Vec;

const VERSION: QupVersion = QupVersion::new(2, 6);
const FIFO: usize = DEPTH * BYTES_PER_WORD;

fn model() -> Model {
    let model = Model::new();
    model.run_on_poll(true);
    model
}

fn controller(model: &Model) -> GeniSpi<Model> {
    let mut controller = GeniSpi::over(model.clone(), VERSION);
    controller.init(Clocking::Firmware, MODE_0).unwrap();
    controller
}

#[test]
fn init_sets_mode_and_speed() {
    let model = model();
    for (mode, registers) in [(MODE_0, (0, 0)), (MODE_1, (1, 0)), (MODE_2, (0, 4)), (MODE_3, (1, 4))] {
        controller(&model).init(Clocking::Firmware, mode).unwrap();
        assert_eq!((model.mode(), model.divider()), (registers, None));
    }
    let speed = |clock_hz, hz| Clocking::Divided { clock_hz, hz };
    for (version, clocking, divider) in [
        (VERSION, speed(19_200_000, 1_000_000), 20),
        (VERSION, speed(100_000_000, 50_000_000), 2),
        (QupVersion::new(1, 0), speed(19_200_000, 1_000_000), 10),
    ] {
        let mut controller = GeniSpi::over(model.clone(), version);
        controller.init(clocking, MODE_0).unwrap();
        assert_eq!(model.divider(), Some(divider));
        assert_eq!(controller.init(speed(19_200_000, 0), MODE_0), Err(GeniError::Speed(0)));
        assert_eq!(
            controller.init(speed(19_200_000, 1000), MODE_0),
            Err(GeniError::Speed(1000))
        );
    }
}

#[test]
fn init_refuses_what_is_no_spi_controller() {
    let model = model();
    model.left_by_firmware(GENI_FW_REVISION.offset(), 3 << 8);
    let refused = GeniSpi::over(model, VERSION).init(Clocking::Firmware, MODE_0);
    assert_eq!(refused, Err(GeniError::Protocol(3)));
}

#[test]
fn a_transaction_is_what_the_bus_sees() {
    let model = model();
    let mut controller = controller(&model);
    controller.select(ChipSelect::new(2).unwrap()).unwrap();
    controller.write(&[1, 2]).unwrap();
    let mut bytes = [0; 2];
    controller.read(&mut bytes).unwrap();
    assert_eq!(bytes, [3, 0]);
    controller.transfer(&mut bytes, &[7, 8, 9]).unwrap();
    assert_eq!(bytes, [0, 8]);
    let mut more = [0; 3];
    controller.transfer(&mut more, &[20]).unwrap();
    assert_eq!(more, [10, 21, 1]);
    let mut bytes = [5, 6];
    controller.transfer_in_place(&mut bytes).unwrap();
    assert_eq!(bytes, [1, 6]);
    controller.flush().unwrap();
    controller.deselect().unwrap();
    let both = |out, back| Symbol::Byte(Some(out), Some(back));
    assert_eq!(
        model.symbols(),
        [
            Symbol::Select(2),
            Symbol::Byte(Some(1), None),
            Symbol::Byte(Some(2), None),
            Symbol::Byte(None, Some(3)),
            Symbol::Byte(None, Some(0)),
            both(7, 0),
            both(8, 8),
            both(9, 9),
            both(20, 10),
            both(0, 21),
            both(0, 1),
            both(5, 1),
            both(6, 6),
            Symbol::Deselect,
        ]
    );
    assert_eq!(ChipSelect::new(4), None);
}

#[test]
fn nothing_is_no_command() {
    let model = model();
    let mut uninitialised = GeniSpi::over(model.clone(), VERSION);
    assert_eq!(uninitialised.write(&[1]), Err(Error::Controller));
    assert_eq!(uninitialised.deselect(), Err(Error::Controller));
    let mut controller = controller(&model);
    controller.read(&mut []).unwrap();
    controller.write(&[]).unwrap();
    controller.transfer(&mut [], &[]).unwrap();
    controller.transfer_in_place(&mut []).unwrap();
    assert_eq!(model.symbols(), []);
}

#[test]
fn a_command_that_fails_says_so_and_the_next_one_works() {
    for after in [0, 1, 6, FIFO, FIFO + 3] {
        let model = model();
        let mut controller = controller(&model);
        model.fail_after(after);
        assert_eq!(controller.transfer_in_place(&mut [1; 2 * FIFO]), Err(Error::Controller));
        let mut bytes = [9; 5];
        controller.transfer_in_place(&mut bytes).unwrap();
        assert_eq!(bytes[1..], [10; 4]);
    }
}

#[test]
fn a_chip_select_that_fails_says_so() {
    let model = model();
    let mut controller = controller(&model);
    let chip = ChipSelect::new(1).unwrap();
    model.fail_after(0);
    assert_eq!(controller.select(chip), Err(Error::Controller));
    assert_eq!(controller.select(chip), Ok(()));
    model.fail_after(0);
    assert_eq!(controller.deselect(), Err(Error::Controller));
}

#[test]
fn a_command_that_could_not_be_stopped_is_stopped_before_the_next_one() {
    let model = model();
    let mut controller = controller(&model);
    model.make_deaf(true, true);
    model.set_clocked(false);
    assert_eq!(controller.write(&[1; FIFO]), Err(Error::TimedOut));
    // The clock returns, too late to hear of the abort.
    model.set_clocked(true);
    model.run(1);
    model.make_deaf(false, false);
    model.run_on_poll(false);
    model.run_slowly(3);
    let mut bytes = [1, 2, 3];
    controller.transfer_in_place(&mut bytes).unwrap();
    assert_eq!(bytes[1..], [2, 3]);
}

#[test]
fn a_command_that_failed_is_not_left_running() {
    let model = model();
    let mut controller = controller(&model);
    model.run_on_poll(false);
    assert_eq!(controller.write(&[1; FIFO]), Err(Error::TimedOut));
    model.run_on_poll(true);
    model.set_clocked(true);
    let before = model.symbols().len();
    model.run(2 * FIFO);
    assert_eq!(model.symbols().len(), before);
}

#[test]
fn a_controller_without_a_clock_times_out() {
    let model = model();
    let mut controller = controller(&model);
    model.set_clocked(false);
    let before = model.loads();
    assert_eq!(controller.write(&[1; 2 * FIFO]), Err(Error::TimedOut));
    assert_eq!(controller.select(ChipSelect::new(0).unwrap()), Err(Error::TimedOut));
    assert_eq!(controller.deselect(), Err(Error::TimedOut));
    assert!(model.loads() - before < POLLS as usize * 20);
    model.set_clocked(true);
    let mut bytes = [1, 2, 3];
    controller.transfer_in_place(&mut bytes).unwrap();
    assert_eq!(bytes[1..], [2, 3]);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Transfers of any lengths send and receive each byte once and in order.
    #[test]
    fn each_byte_goes_both_ways(write in proptest::collection::vec(any::<u8>(), 0..3 * FIFO), len in 0..3 * FIFO) {
        let model = model();
        let mut read = std::vec![0; len];
        controller(&model).transfer(&mut read, &write).unwrap();
        let mut sent = write.clone();
        sent.resize(len.max(write.len()), 0);
        let got: Vec<u8> = model.symbols().iter().map(|symbol| match symbol {
            Symbol::Byte(Some(out), Some(_)) => *out,
            other => panic!("{other:?}"),
        }).collect();
        prop_assert_eq!(&got, &sent);
        let answers: Vec<u8> = core::iter::once(0).chain(sent.iter().map(|byte| byte.wrapping_add(1))).take(len).collect();
        prop_assert_eq!(read, answers);
    }
}
