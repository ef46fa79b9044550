//! The driver on the model of a UARTDM.

use super::model::{DEPTH, Model};
use super::*;
use embedded_io::{Read, ReadReady, Write, WriteReady};
use proptest::prelude::*;
use std::vec::Vec;

fn port(model: &Model) -> Uartdm<Model> {
    let mut port = Uartdm::over(model.clone());
    port.init(Clocking::Firmware).unwrap();
    port
}

#[test]
fn the_codes_are_those_of_other_drivers() {
    // Linux msm_serial.c, msm_find_best_baud: 7.3728 MHz / 16 / 4 is code 0xcc.
    assert_eq!(clock_code(7_372_800, 115_200), Some(0xc));
    assert_eq!(clock_code(1_843_200, 115_200), Some(0xf));
    assert_eq!(clock_code(7_372_800, 300), Some(0x0));
    for (clock_hz, baud) in [
        (7_372_800, 0),
        (0, 115_200),
        (19_200_000, 115_200),
        (7_372_800, 921_600),
    ] {
        assert_eq!(clock_code(clock_hz, baud), None);
    }
}

#[test]
fn init_leaves_a_port_that_sends_and_keeps_its_speed() {
    let model = Model::new();
    let mut port = port(&model);
    assert_eq!((model.line(), model.divisors()), ((0, 0x34, 0), None));
    assert_eq!(port.write_some(b"hello"), 5);
    model.transmit(5);
    assert_eq!(model.sent(), b"hello");
}

#[test]
fn init_divides_the_clock_when_told_so() {
    let model = Model::new();
    let mut port = Uartdm::over(model.clone());
    let (clock_hz, baud) = (7_372_800, 115_200);
    assert_eq!(port.init(Clocking::Divided { clock_hz, baud }), Ok(()));
    assert_eq!(model.divisors(), Some((64, 64)));
    let clock_hz = 19_200_000;
    assert_eq!(
        port.init(Clocking::Divided { clock_hz, baud }),
        Err(ConsoleError::Speed(baud))
    );
    assert_eq!(model.divisors(), Some((64, 64)));
}

#[test]
fn init_waits_for_what_is_being_sent() {
    let model = Model::new();
    model.left_sending(b"the last words");
    model.transmit_on_poll(true);
    port(&model);
    assert_eq!(model.sent(), b"the last words");
}

#[test]
fn init_gives_up_on_a_port_that_does_not_send() {
    let model = Model::new();
    model.left_sending(b"stuck");
    assert_eq!(
        Uartdm::over(model.clone()).init(Clocking::Firmware),
        Err(ConsoleError::TimedOut)
    );
    assert!(model.loads() <= POLLS as usize);
}

#[test]
fn a_port_that_is_not_set_up_takes_and_gives_nothing() {
    let model = Model::new();
    model.left_sending(b"firmware");
    model.receive(b"for firmware");
    let mut port = Uartdm::over(model.clone());
    for _ in 0..=POLLS {
        assert_eq!(port.write_some(b"ours"), 0);
    }
    assert_eq!(port.write(b"ours"), Err(Error::TimedOut));
    assert_eq!((port.read_ready(), port.read_byte()), (Ok(false), Ok(None)));
    model.transmit(100);
    assert_eq!((model.sent(), port.lost()), (b"firmware".to_vec(), 0));
}

#[test]
fn the_console_takes_what_fits_and_no_more() {
    let model = Model::new();
    let mut port = port(&model);
    let text = [b'x'; DEPTH + 20];
    assert_eq!(port.write_some(&text), DEPTH);
    assert_eq!(port.write_some(&text[DEPTH..]), 0);
    model.transmit(3);
    assert_eq!(port.write_some(&text[DEPTH..]), 3);
    assert_eq!(port.write_some(b""), 0);
    model.transmit(100);
    assert_eq!(model.sent(), &text[..DEPTH + 3]);
}

#[test]
fn a_port_that_never_answers_loses_text_with_a_count() {
    let model = Model::new();
    let mut port = port(&model);
    port.write_some(&[b'x'; DEPTH]);
    for _ in 0..POLLS {
        let before = model.loads();
        assert_eq!(port.write_some(b"kept"), 0);
        assert_eq!(model.loads() - before, 1);
    }
    assert_eq!(port.lost(), 0);
    for _ in 0..10 {
        assert_eq!(port.write_some(b"lost"), 4);
    }
    assert_eq!(port.lost(), 40);
    model.transmit(DEPTH);
    assert_eq!(port.write_some(b"back"), 4);
    assert_eq!(port.write_some(&[b'y'; DEPTH]), DEPTH - 4);
    // Patience is there again.
    assert_eq!(port.write_some(b"kept"), 0);
    assert_eq!(port.lost(), 40);
}

#[test]
fn write_waits_with_a_bound() {
    let model = Model::new();
    let mut port = port(&model);
    assert_eq!(port.write(&[b'x'; DEPTH]), Ok(DEPTH));
    assert_eq!(port.write_ready(), Ok(false));
    let before = model.loads();
    assert_eq!(port.write(b"x"), Err(Error::TimedOut));
    assert_eq!(port.flush(), Err(Error::TimedOut));
    assert_eq!(model.loads() - before, 2 * POLLS as usize);
    assert_eq!(port.write(b""), Ok(0));
    model.transmit_on_poll(true);
    port.write_all(&[b'y'; 3 * DEPTH]).unwrap();
    port.flush().unwrap();
    assert_eq!(
        model.sent(),
        [[b'x'; DEPTH], [b'y'; DEPTH], [b'y'; DEPTH], [b'y'; DEPTH]].concat()
    );
}

#[test]
fn read_gives_what_has_arrived() {
    let model = Model::new();
    let mut port = port(&model);
    let mut buf = [0; 8];
    assert_eq!(port.read_ready(), Ok(false));
    assert_eq!(port.read(&mut buf), Err(Error::TimedOut));
    assert_eq!(port.read_byte(), Ok(None));
    for text in [&b"a"[..], b"bc", b"defg", b"hijkl"] {
        model.receive(text);
        assert_eq!(port.read_ready(), Ok(true));
        assert_eq!(port.read(&mut buf), Ok(text.len()));
        assert_eq!(&buf[..text.len()], text);
    }
    model.receive(b"mno");
    assert_eq!(port.read(&mut buf[..1]), Ok(1));
    assert_eq!(port.read_ready(), Ok(true));
    assert_eq!(port.read_byte(), Ok(Some(b'n')));
    assert_eq!(port.read(&mut []), Ok(0));
}

#[test]
fn what_arrived_before_the_hand_over_is_dropped() {
    let model = Model::new();
    model.receive(b"for firmware");
    let mut port = port(&model);
    model.receive(b"us");
    let mut buf = [0; 8];
    assert_eq!(port.read(&mut buf), Ok(2));
    assert_eq!(&buf[..2], b"us");
}

#[test]
fn damage_is_told_once() {
    let model = Model::new();
    let mut port = port(&model);
    let mut buf = [0; 2];
    for damage in [Model::receive_damaged, Model::receive_break] {
        damage(&model);
        model.receive(b"ok");
        assert_eq!(port.read(&mut buf), Err(Error::Framing));
        assert_eq!(port.read(&mut buf), Ok(2));
        assert_eq!(&buf, b"ok");
    }
    model.receive(&[b'z'; DEPTH * 4 + 4]);
    assert_eq!(port.read_byte(), Err(Error::Overrun));
    let mut buf = [0; DEPTH * 4 + 4];
    assert_eq!(port.read(&mut buf), Ok(DEPTH * 4 + 3));
}

#[test]
#[should_panic(expected = "sends without a count")]
fn the_model_refuses_words_without_a_count() {
    Model::new().at(TF).set(0);
}

#[test]
#[should_panic(expected = "resets while sending")]
fn the_model_refuses_to_be_reset_while_it_sends() {
    let model = Model::new();
    model.left_sending(b"text");
    model.at(CR).write(UART_DM_CR::COMMAND::ResetTx);
}

#[test]
#[should_panic(expected = "begins a transfer before the stale event is reset")]
fn the_model_refuses_a_transfer_with_a_stale_event() {
    let model = Model::new();
    model.receive(b"x");
    model.at(DMRX).set(1);
}

proptest! {
    /// Characters are read as they arrived, however bursts and reads fall.
    #[test]
    fn what_arrives_is_read(steps in proptest::collection::vec((proptest::collection::vec(any::<u8>(), 0..20), 0..20usize), 1..20)) {
        let model = Model::new();
        let mut port = port(&model);
        let (mut arrived, mut read) = (Vec::new(), Vec::new());
        for (burst, reads) in steps {
            // Not more than the FIFO holds in the worst case.
            if arrived.len() - read.len() < DEPTH {
                model.receive(&burst);
                arrived.extend(burst);
            }
            for _ in 0..reads {
                read.extend(port.read_byte().unwrap());
            }
        }
        while let Some(byte) = port.read_byte().unwrap() {
            read.push(byte);
        }
        prop_assert_eq!(arrived, read);
    }
}
