//! The driver on the model of a serial engine.

use super::model::Model;
use super::*;
use crate::geni::model::DEPTH;
use crate::geni::registers::{
    GENI_FW_REVISION, GENI_IF_DISABLE, SE_GENI_DMA_MODE_EN, SE_GENI_M_CMD0, SE_GENI_M_IRQ_EN, SE_GENI_RX_FIFO,
    SE_GENI_TX_FIFO, SE_GENI_TX_PACKING_CFG0,
};
use embedded_io::{Read, ReadReady, Write, WriteReady};
use proptest::prelude::*;

/// The version of the wrappers of SC7280: its ports have 16 clocks in a bit.
const VERSION: QupVersion = QupVersion::new(2, 6);

/// What the FIFO holds.
const FIFO: usize = DEPTH * BYTES_PER_WORD;

fn port(model: &Model) -> GeniUart<Model> {
    let mut port = GeniUart::over(model.clone(), VERSION);
    port.init(Clocking::Firmware).unwrap();
    port
}

/// More looks than any bounded chain of waits takes: three waits, with up to three loads in each poll.
const BOUND: usize = POLLS as usize * 3 * 3 + 1000;

#[test]
fn init_leaves_a_port_that_sends_and_keeps_its_speed() {
    let model = Model::new();
    let mut port = port(&model);
    assert_eq!((model.line(), model.divider()), ((2, 8), None));
    assert_eq!(port.write_some(b"hello"), 5);
    model.run(6);
    assert_eq!(model.sent(), b"hello");
}

#[test]
fn init_divides_the_clock_when_told_so() {
    let model = Model::new();
    let (clock_hz, baud) = (19_200_000, 115_200);
    let mut port = GeniUart::over(model.clone(), VERSION);
    port.init(Clocking::Divided { clock_hz, baud }).unwrap();
    assert_eq!(model.divider(), Some(10));
    model.run_on_poll(true);
    let mut port = GeniUart::over(model.clone(), QupVersion::new(2, 4));
    let clock_hz = 7_372_800;
    port.init(Clocking::Divided { clock_hz, baud }).unwrap();
    assert_eq!(model.divider(), Some(2));
}

#[test]
fn init_refuses_a_speed_that_the_clock_cannot_make_and_changes_nothing() {
    let model = Model::new();
    model.left_sending(b"firmware speaks", true);
    for (clock_hz, baud) in [(19_200_000, 0), (19_200_000, 921_600), (0, 9600), (100_000_000, 9)] {
        let mut port = GeniUart::over(model.clone(), VERSION);
        assert_eq!(
            port.init(Clocking::Divided { clock_hz, baud }),
            Err(GeniError::Speed(baud))
        );
    }
    model.run(100);
    assert_eq!(model.sent(), b"firmware speaks");
}

#[test]
fn init_refuses_what_is_no_uart() {
    for protocol in [0, 1, 3, 0xff] {
        let model = Model::new();
        model.left_by_firmware(GENI_FW_REVISION.offset(), protocol << 8 | 0x42);
        let refused = GeniUart::over(model, VERSION).init(Clocking::Firmware);
        assert_eq!(refused, Err(GeniError::Protocol(protocol as u8)));
    }
    let model = Model::new();
    model.left_by_firmware(GENI_IF_DISABLE.offset(), 1);
    let refused = GeniUart::over(model, VERSION).init(Clocking::Firmware);
    assert_eq!(refused, Err(GeniError::NoFifo));
}

#[test]
fn init_leaves_dma_mode() {
    let model = Model::new();
    model.left_by_firmware(SE_GENI_DMA_MODE_EN.offset(), 1);
    assert_eq!(port(&model).write_some(b"by FIFO"), 7);
}

#[test]
fn a_transfer_in_flight_at_hand_over_goes_out() {
    for receives in [false, true] {
        let model = Model::new();
        model.left_sending(b"the last words of firmware\n", receives);
        model.run_on_poll(true);
        let mut port = port(&model);
        port.write_all(b"the first of ours\n").unwrap();
        port.flush().unwrap();
        assert_eq!(model.sent(), b"the last words of firmware\nthe first of ours\n");
        assert_eq!(port.lost(), 0);
    }
}

#[test]
fn a_port_that_is_not_set_up_takes_and_gives_nothing() {
    let model = Model::new();
    model.left_sending(b"firmware", true);
    model.receive(b"for firmware");
    let mut port = GeniUart::over(model.clone(), VERSION);
    for _ in 0..2 {
        assert_eq!(port.write_some(b"ours"), 0);
        assert_eq!(port.write(b"ours"), Err(Error::TimedOut));
        assert_eq!((port.write_ready(), port.flush()), (Ok(false), Err(Error::TimedOut)));
        assert_eq!(model.loads(), 0);
        model.run(20);
    }
    for _ in 0..2 {
        assert_eq!((port.read_ready(), port.read_byte()), (Ok(false), Ok(None)));
    }
    assert_eq!((model.sent(), port.lost()), (b"firmware".to_vec(), 0));
}

#[test]
fn a_port_that_could_not_be_set_up_again_takes_nothing() {
    let model = Model::new();
    let mut port = port(&model);
    port.write_some(b"lost");
    model.set_clocked(false);
    assert_eq!(port.init(Clocking::Firmware), Err(GeniError::TimedOut));
    let before = model.loads();
    assert_eq!(port.write_some(b"more"), 0);
    assert_eq!((model.loads(), port.lost()), (before, 4));
}

#[test]
fn a_transfer_that_firmware_starved_is_cancelled_or_aborted() {
    for to_cancel in [false, true] {
        let model = Model::new();
        model.left_sending(b"half", true);
        // It promised more than it gave.
        model.left_by_firmware(SE_UART_TX_TRANS_LEN.offset(), 10);
        model.run_on_poll(true);
        model.make_deaf(to_cancel, false);
        let mut port = port(&model);
        port.write_all(b"whole").unwrap();
        port.flush().unwrap();
        assert_eq!(model.sent(), b"halfwhole");
    }
}

#[test]
fn init_gives_up_on_a_port_without_a_clock() {
    let model = Model::new();
    model.left_sending(b"stuck", true);
    model.set_clocked(false);
    let mut port = GeniUart::over(model.clone(), VERSION);
    assert_eq!(port.init(Clocking::Firmware), Err(GeniError::TimedOut));
    assert!(model.loads() < BOUND, "{} loads", model.loads());
}

#[test]
fn init_gives_up_on_a_receiver_that_does_not_stop() {
    let model = Model::new();
    model.left_sending(b"", true);
    model.run_on_poll(true);
    model.make_deaf(true, true);
    let mut port = GeniUart::over(model.clone(), VERSION);
    assert_eq!(port.init(Clocking::Firmware), Err(GeniError::TimedOut));
    assert!(model.loads() < BOUND, "{} loads", model.loads());
}

#[test]
fn the_console_takes_what_fits_and_no_more() {
    let model = Model::new();
    let mut port = port(&model);
    let text: std::vec::Vec<u8> = (0..200).collect();
    assert_eq!(port.write_some(&text), FIFO);
    assert_eq!(port.write_some(&text[FIFO..]), 0);
    model.run(FIFO - 1);
    assert_eq!(port.write_some(&text[FIFO..]), 0);
    model.run(1);
    assert_eq!(port.write_some(&text[FIFO..FIFO + 3]), 3);
    model.run(5);
    assert_eq!(model.sent(), &text[..FIFO + 3]);
    assert_eq!(port.write_some(b""), 0);
}

#[test]
fn the_console_looks_a_fixed_number_of_times() {
    let model = Model::new();
    model.set_clocked(false);
    let mut port = port(&model);
    port.write_some(b"stuck");
    for _ in 0..4 * POLLS {
        let before = model.loads();
        port.write_some(b"text");
        assert!(model.loads() - before <= 3, "{} loads", model.loads() - before);
    }
}

#[test]
fn a_port_that_never_answers_loses_text_with_a_count() {
    let model = Model::new();
    let mut port = port(&model);
    model.set_clocked(false);
    assert_eq!(port.write_some(b"stuck"), 5);
    // Each of waiting, cancelling and aborting has its patience.
    for _ in 1..3 * POLLS {
        assert_eq!(port.write_some(b"kept"), 0);
    }
    assert_eq!(port.lost(), 0);
    for _ in 0..10 {
        assert_eq!(port.write_some(b"lost"), 4);
    }
    assert_eq!(port.lost(), 45);
    // Its clock returns: the abort takes effect, and the port with it.
    model.set_clocked(true);
    model.run(1);
    assert_eq!(port.write_some(b"back"), 4);
    model.run(5);
    assert_eq!(model.sent(), b"back");
    assert_eq!(port.lost(), 45);
}

#[test]
fn a_command_that_only_abort_ends_loses_what_it_had_not_sent() {
    let model = Model::new();
    let mut port = port(&model);
    model.make_deaf(true, false);
    assert_eq!(port.write_some(b"sent and lost"), 13);
    model.run(5);
    model.set_clocked(false);
    for _ in 0..=2 * POLLS {
        port.write_some(b"x");
    }
    model.set_clocked(true);
    model.run(1);
    assert_eq!(port.write_some(b"!"), 1);
    model.run(2);
    assert_eq!(model.sent(), b"sent !");
    assert_eq!(port.lost(), 8);
}

#[test]
fn a_command_that_makes_no_progress_is_cancelled_first() {
    let model = Model::new();
    let mut port = port(&model);
    model.make_deaf(false, true);
    assert_eq!(port.write_some(b"sent and lost"), 13);
    model.run(5);
    model.set_clocked(false);
    for _ in 0..=POLLS {
        assert_eq!(port.write_some(b"x"), 0);
    }
    model.set_clocked(true);
    model.run(1);
    assert_eq!(port.write_some(b"!"), 1);
    model.run(2);
    assert_eq!((model.sent(), port.lost()), (b"sent !".to_vec(), 8));
}

#[test]
fn write_waits_with_a_bound() {
    let model = Model::new();
    let mut port = port(&model);
    let text = [b'x'; FIFO];
    assert_eq!(port.write(&text), Ok(FIFO));
    assert_eq!(port.write_ready(), Ok(false));
    let before = model.loads();
    assert_eq!(port.write(b"y"), Err(Error::TimedOut));
    assert!(model.loads() - before < BOUND);
    model.run_on_poll(true);
    port.flush().unwrap();
    assert_eq!(port.write_ready(), Ok(true));
    port.write_all(b"and many more than would fit at once, which is why it takes more than one command")
        .unwrap();
    port.flush().unwrap();
    assert_eq!(model.sent().len() + port.lost() as usize, FIFO + 81);
    assert_eq!(port.write(b""), Ok(0));
}

#[test]
fn read_gives_what_has_arrived() {
    let model = Model::new();
    let mut port = port(&model);
    let mut buf = [0; 8];
    assert_eq!(port.read_ready(), Ok(false));
    assert_eq!(port.read(&mut buf), Err(Error::TimedOut));
    assert_eq!(port.read_byte(), Ok(None));
    model.receive(b"abc");
    assert_eq!(port.read_ready(), Ok(true));
    assert_eq!(port.read(&mut buf[..2]), Ok(2));
    model.receive(b"defghi");
    assert_eq!(port.read(&mut buf[2..]), Ok(6));
    assert_eq!(&buf, b"abcdefgh");
    assert_eq!(port.read_byte(), Ok(Some(b'i')));
    assert_eq!(port.read(&mut []), Ok(0));
}

#[test]
fn what_arrived_before_the_hand_over_is_dropped() {
    let model = Model::new();
    model.left_sending(b"", true);
    model.run_on_poll(true);
    model.receive(b"for firmware");
    let mut buf = [0; 20];
    let mut port = port(&model);
    model.receive(b"for us");
    assert_eq!(port.read(&mut buf), Ok(6));
    assert_eq!(&buf[..6], b"for us");

    let model = Model::new();
    model.left_received(b"for firmware");
    let mut port = self::port(&model);
    model.receive(b"for us");
    assert_eq!(port.read(&mut buf), Ok(6));
    assert_eq!(&buf[..6], b"for us");
}

#[test]
fn init_leaves_no_interrupt() {
    let model = Model::new();
    model.at(SE_GENI_M_IRQ_EN).set(u32::MAX);
    model.at(SE_GENI_S_IRQ_EN_SET).set(u32::MAX);
    port(&model).write_some(b"silent");
    model.receive(b"silent");
    model.run(10);
    assert!(!model.interrupt());
}

#[test]
fn a_slow_line_is_no_stuck_one() {
    let model = Model::new();
    let mut port = port(&model);
    model.run_slowly(POLLS as usize / 2);
    port.write_all(&[b's'; 8]).unwrap();
    port.flush().unwrap();
    assert_eq!(model.sent(), [b's'; 8]);
}

#[test]
fn damage_is_told_once() {
    let model = Model::new();
    let mut port = port(&model);
    model.receive_damaged();
    model.receive(b"ok");
    let mut buf = [0; 2];
    assert_eq!(port.read(&mut buf), Err(Error::Framing));
    assert_eq!(port.read(&mut buf), Ok(2));
    assert_eq!(&buf, b"ok");
    model.receive(&[b'z'; DEPTH + 1]);
    assert_eq!(port.read_byte(), Err(Error::Overrun));
    let mut buf = [0; DEPTH + 1];
    assert_eq!(port.read(&mut buf), Ok(DEPTH));
}

#[test]
fn received_characters_interrupt_when_asked_to() {
    let model = Model::new();
    let mut port = port(&model);
    model.receive(b"a");
    assert!(!model.interrupt());
    port.set_receive_interrupt(true);
    assert!(model.interrupt());
    assert_eq!(port.read_byte(), Ok(Some(b'a')));
    assert!(!model.interrupt());
    model.receive(b"b");
    assert!(model.interrupt());
    port.set_receive_interrupt(false);
    assert!(!model.interrupt());
}

#[test]
#[should_panic(expected = "starts a command while one runs")]
fn the_model_refuses_a_second_command() {
    let model = Model::new();
    port(&model).write_some(b"one");
    model.at(SE_GENI_M_CMD0).set(UART_START_TX << 27);
}

#[test]
#[should_panic(expected = "fills the FIFO for no command")]
fn the_model_refuses_characters_without_a_command() {
    Model::new().at(SE_GENI_TX_FIFO).set(0);
}

#[test]
#[should_panic(expected = "the FIFO holds more than the command takes")]
fn the_model_refuses_more_characters_than_were_announced() {
    let model = Model::new();
    port(&model).write_some(b"one");
    model.at(SE_GENI_TX_FIFO).set(0);
    model.run(5);
}

#[test]
#[should_panic(expected = "while a command runs")]
fn the_model_refuses_to_be_programmed_while_it_sends() {
    let model = Model::new();
    port(&model).write_some(b"one");
    model.at(SE_GENI_TX_PACKING_CFG0).set(0);
}

#[test]
#[should_panic(expected = "reads an empty FIFO")]
fn the_model_refuses_to_give_what_has_not_arrived() {
    use tock_registers::interfaces::Readable;
    Model::new().at(SE_GENI_RX_FIFO).get();
}

#[derive(Clone, Debug)]
enum Step {
    Write(std::vec::Vec<u8>),
    Run(usize),
    Clock(bool),
    Look(u32),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        proptest::collection::vec(any::<u8>(), 0..100).prop_map(Step::Write),
        (0usize..100).prop_map(Step::Run),
        any::<bool>().prop_map(Step::Clock),
        prop_oneof![0..3u32, POLLS - 1..POLLS + 2].prop_map(Step::Look),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Whatever happens to the clock: bytes go out in order, and each byte that was taken is sent, or counted as lost,
    /// or still on its way.
    #[test]
    fn no_byte_is_unaccounted_for(steps in proptest::collection::vec(step(), 0..30)) {
        let model = Model::new();
        let mut port = port(&model);
        let mut taken = std::vec::Vec::new();
        for step in steps {
            match step {
                Step::Write(bytes) => {
                    let count = port.write_some(&bytes);
                    taken.extend_from_slice(&bytes[..count]);
                }
                Step::Run(bytes) => model.run(bytes),
                Step::Clock(on) => model.set_clocked(on),
                Step::Look(times) => (0..times).for_each(|_| { port.look(); }),
            }
        }
        model.set_clocked(true);
        for _ in 0..3 {
            model.run(FIFO + 2);
            port.look();
        }
        let sent = model.sent();
        prop_assert_eq!(sent.len() as u64 + port.lost(), taken.len() as u64);
        let mut rest = taken.iter();
        prop_assert!(sent.iter().all(|byte| rest.any(|other| other == byte)), "out of order");
    }

    /// What arrives in bursts of any size is read as it was sent, as long as it fits.
    #[test]
    fn bursts_are_read_whole(bursts in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 1..=DEPTH), 1..10)) {
        let model = Model::new();
        let mut port = port(&model);
        for burst in bursts {
            model.receive(&burst);
            let mut buf = [0; DEPTH];
            prop_assert_eq!(port.read(&mut buf), Ok(burst.len()));
            prop_assert_eq!(&buf[..burst.len()], &burst[..]);
        }
    }
}
