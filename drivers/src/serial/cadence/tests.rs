use super::model::{FIFO_DEPTH, Model};
use super::*;
use embedded_io::{Read, ReadReady, Write, WriteReady};

const CONFIG: Config = Config {
    clock_hz: 100_000_000,
    baud: 115_200,
};

fn port(model: &Model) -> CadenceUart<Model> {
    let mut port = CadenceUart::over(model.clone());
    port.init(CONFIG).unwrap();
    port
}

#[test]
fn the_dividers_come_near_or_are_refused() {
    for (clock_hz, baud) in [
        (100_000_000, 115_200),
        (50_000_000, 9600),
        (100_000_000, 921_600),
        (33_333_333, 300),
    ] {
        let Dividers { cd, bdiv } = Config { clock_hz, baud }.dividers().unwrap();
        let made = clock_hz / (cd * (bdiv + 1));
        assert!(made.abs_diff(baud) * 50 <= baud, "{made} for {baud}");
    }
    for (clock_hz, baud) in [(100_000_000, 0), (0, 9600), (1_000_000, 921_600), (u32::MAX, 1)] {
        assert_eq!(Config { clock_hz, baud }.dividers(), None, "{clock_hz}, {baud}");
    }
}

#[test]
fn init_leaves_a_port_that_sends() {
    let model = Model::new();
    let mut port = port(&model);
    assert_eq!(model.line().0, 0x20, "8N1");
    assert_eq!(port.write_some(b"hello"), 5);
    model.transmit(5);
    assert_eq!(model.sent(), b"hello");
}

#[test]
fn init_waits_for_what_is_being_sent() {
    let model = Model::new();
    port(&model).write_some(b"the last words");
    model.transmit_on_poll(true);
    port(&model);
    assert_eq!(model.sent(), b"the last words");
}

#[test]
fn init_gives_up_on_a_port_that_does_not_send() {
    let model = Model::new();
    port(&model).write_some(b"stuck");
    assert_eq!(CadenceUart::over(model).init(CONFIG), Err(ConsoleError::TimedOut));
}

#[test]
fn the_console_takes_what_fits_and_no_more() {
    let model = Model::new();
    let mut port = port(&model);
    let text = [b'x'; FIFO_DEPTH + 9];
    assert_eq!(port.write_some(&text), FIFO_DEPTH);
    assert_eq!(port.write_some(&text[FIFO_DEPTH..]), 0);
    model.transmit(3);
    assert_eq!(port.write_some(&text[FIFO_DEPTH..]), 3);
    model.transmit(100);
    assert_eq!(model.sent(), &text[..FIFO_DEPTH + 3]);
}

#[test]
fn write_waits_with_a_bound() {
    let model = Model::new();
    let mut port = port(&model);
    let text = [b'y'; FIFO_DEPTH];
    assert_eq!(port.write(&text), Ok(FIFO_DEPTH));
    assert_eq!(port.write_ready(), Ok(false));
    assert_eq!(port.write(b"x"), Err(Error::TimedOut));
    assert_eq!(port.flush(), Err(Error::TimedOut));
    model.transmit_on_poll(true);
    port.write_all(b" and more").unwrap();
    port.flush().unwrap();
    assert_eq!(model.sent(), [&text[..], b" and more"].concat());
}

#[test]
fn read_gives_what_has_arrived() {
    let model = Model::new();
    let mut port = port(&model);
    let mut buf = [0; 8];
    assert_eq!(port.read_ready(), Ok(false));
    assert_eq!(port.read(&mut buf), Err(Error::TimedOut));
    assert_eq!(port.read_byte(), None);
    model.receive(b"abc");
    assert_eq!(port.read_ready(), Ok(true));
    assert_eq!(port.read(&mut buf), Ok(3));
    assert_eq!(&buf[..3], b"abc");
}
