//! The decoder against a log that a real program wrote (`fixture/`), whole and broken.

use leasehold_flash::stream::{Event, Formatter, Level, LogDecoder, LossReason, MAX_FRAME, StreamError};
use proptest::prelude::*;
use std::sync::{LazyLock, Mutex, PoisonError};

const ELF: &[u8] = include_bytes!("fixture/fixture.elf");
const LOG: &[u8] = include_bytes!("fixture/fixture.bin");
/// Index and timestamp come before a frame's arguments.
const ARGUMENTS: usize = 2 + 8;

fn decoder() -> LogDecoder {
    LogDecoder::new(ELF).unwrap()
}

/// One decoder for all, since it takes long to read the debug information; `end` leaves it as new.
static DECODER: LazyLock<Mutex<LogDecoder>> = LazyLock::new(|| Mutex::new(decoder()));

fn events(log: &[u8]) -> Vec<Event> {
    let mut decoder = DECODER.lock().unwrap_or_else(PoisonError::into_inner);
    decoder.push(log);
    decoder.end();
    decoder.by_ref().collect()
}

fn messages(log: &[u8]) -> Vec<String> {
    let message = |event: Event| match event {
        Event::Log(line) => line.message,
        Event::Console { vm, bytes } => format!("{vm}: {}", bytes.escape_ascii()),
        Event::Lost { bytes, .. } => format!("lost {bytes}"),
    };
    events(log).into_iter().map(message).collect()
}

/// The encoded frames of the log, each without its 00.
fn frames() -> Vec<&'static [u8]> {
    LOG.split(|&byte| byte == 0).filter(|frame| !frame.is_empty()).collect()
}

/// The decoded frame whose text starts so.
fn frame(start: &str) -> Vec<u8> {
    let at = messages(LOG)
        .iter()
        .position(|message| message.starts_with(start))
        .unwrap();
    rzcobs::decode(frames()[at]).unwrap()
}

fn encode(frame: &[u8]) -> Vec<u8> {
    let mut encoded = rzcobs::encode(frame);
    encoded.push(0);
    encoded
}

#[test]
fn plain_text_is_a_line_at_error_level() {
    let line = "EL2 stopped: the image is at 0x41200000";
    let log = [LOG, b"\0", line.as_bytes(), b"\0"].concat();
    let last = events(&log).pop();
    assert!(matches!(last, Some(Event::Log(log)) if log.level == Some(Level::Error) && log.message == line));
    // Without its end, or not from its beginning, or with other bytes in it, it is a loss.
    for broken in ["EL2 stopped: wait", "it has stopped\0", "EL2 stopped: \u{1}\0"] {
        assert!(
            matches!(events(broken.as_bytes()).pop(), Some(Event::Lost { .. })),
            "{broken:?}"
        );
    }
}

#[test]
fn every_kind_of_value() {
    let expected = [
        "bytes [1, 2, 3]",
        "at 0x40200000, fields 0xff and 10",
        "hello from a slice a table",
        "refused: Refused { ipa: 2147487744, vmid: 3 }",
        "three: [Granted, Nested(Some(7)), Nested(None)]",
        r#"2: raw \x00\xff\x1b[31m \"bytes\"\r\n"#,
        "3: ",
        "console vm 4",
        "flags READ | WRITE, debug some, tuple (1, x, true)",
        "nothing 3 times: [Nothing, Nothing, Nothing]",
        "two\nlines",
        r"2: bye\r\nbye",
        "EL2 stopped: as it should",
    ];
    assert_eq!(messages(LOG), expected);
}

#[test]
fn lines_say_when_where_and_how_much() {
    let Event::Log(line) = events(LOG).swap_remove(3) else {
        panic!("a log line")
    };
    assert_eq!(line.level, Some(Level::Warn));
    assert_eq!(line.timestamp.as_deref(), Some("0.004000"));
    let location = line.location.unwrap();
    assert_eq!(location.file.to_str(), Some("/src/src/main.rs"));
    assert_eq!(location.module, "fixture::main");
    let source = include_str!("fixture/src/main.rs")
        .lines()
        .nth(usize::try_from(location.line).unwrap() - 1)
        .unwrap();
    assert!(source.contains("defmt::warn!"), "line {} is {source}", location.line);
    assert_eq!(decoder().location_error(), None);
}

#[test]
fn text_is_plain_unless_asked() {
    let plain = Formatter {
        level: Level::Warn,
        ..Formatter::default()
    };
    let text: Vec<_> = events(LOG).iter().filter_map(|event| plain.format(event)).collect();
    assert_eq!(
        text,
        [
            "0.004000 WARN  refused: Refused { ipa: 2147487744, vmid: 3 }",
            "0.005000 ERROR three: [Granted, Nested(Some(7)), Nested(None)]",
            "0.008000 console vm 4",
            "0.013000 ERROR EL2 stopped: as it should",
        ]
    );
    let whole = Formatter {
        locations: true,
        root: Some("/src".into()),
        ..Formatter::default()
    };
    let last = whole.format(&events(LOG)[10]).unwrap();
    assert!(last.starts_with("0.011000 INFO  two\nlines (src/main.rs:"), "{last}");
    let coloured = Formatter {
        colours: true,
        ..Formatter::default()
    };
    assert!(
        coloured
            .format(&events(LOG)[3])
            .unwrap()
            .contains("\x1b[33mWARN \x1b[0m")
    );
}

#[test]
fn a_program_without_strings_gives_no_decoder() {
    assert!(matches!(LogDecoder::new(b"no"), Err(StreamError::NotElf(_))));
    let bare = object::write::Object::new(
        object::BinaryFormat::Elf,
        object::Architecture::Aarch64,
        object::Endianness::Little,
    );
    assert_eq!(
        LogDecoder::new(&bare.write().unwrap()).err(),
        Some(StreamError::NoStrings)
    );
}

#[test]
fn lengths_beyond_the_frame_are_refused() {
    for (start, at) in [
        ("nothing", ARGUMENTS + 6 + 2),
        ("three", ARGUMENTS + 2),
        ("bytes", ARGUMENTS),
    ] {
        let mut frame = frame(start);
        let index = u16::from_le_bytes([frame[0], frame[1]]);
        let count = at..at + 4;
        assert_eq!(
            &frame[count.clone()],
            3_u32.to_le_bytes(),
            "{start}: the count of three"
        );
        frame[count].copy_from_slice(&u32::MAX.to_le_bytes());
        let lost = Event::Lost {
            bytes: encode(&frame).len() - 1,
            reason: LossReason::Arguments(index),
        };
        assert_eq!(events(&encode(&frame)), [lost], "{start}");
    }
}

#[test]
fn a_frame_of_another_build_is_a_loss() {
    let encoded = encode(&[0xee, 0xee, 1]);
    let lost = Event::Lost {
        bytes: encoded.len() - 1,
        reason: LossReason::UnknownIndex(0xeeee),
    };
    assert_eq!(events(&encoded), [lost]);
}

#[test]
fn a_frame_cut_short_or_joined_to_another_is_a_loss() {
    let [first, second] = [frames()[3], frames()[4]];
    assert_eq!(
        messages(&first[..first.len() - 2]),
        [format!("lost {}", first.len() - 2)]
    );
    let joined = [first, second, &[0]].concat();
    assert_eq!(messages(&joined), [format!("lost {}", joined.len() - 1)]);
}

#[test]
fn an_endless_frame_takes_no_memory_and_is_one_loss() {
    let mut log = vec![0x55; 3 * MAX_FRAME];
    log.push(0);
    let lost = Event::Lost {
        bytes: 3 * MAX_FRAME,
        reason: LossReason::TooLong,
    };
    log.extend_from_slice(LOG);
    assert_eq!(events(&log)[0], lost);
    assert_eq!(events(&log)[1..], events(LOG));
    let lost = Event::Lost {
        bytes: 2,
        reason: LossReason::Truncated,
    };
    assert_eq!(events(&[0x55, 0x55]), [lost]);
}

proptest! {
    #[test]
    fn it_does_not_matter_how_the_stream_is_cut(cuts in prop::collection::vec(0..=LOG.len(), 0..20)) {
        let mut cuts = cuts;
        cuts.extend([0, LOG.len()]);
        cuts.sort_unstable();
        let whole = events(LOG);
        let mut decoder = DECODER.lock().unwrap_or_else(PoisonError::into_inner);
        let mut seen = Vec::new();
        for pair in cuts.windows(2) {
            decoder.push(&LOG[pair[0]..pair[1]]);
            seen.extend(decoder.by_ref());
        }
        prop_assert_eq!(seen, whole);
    }

    #[test]
    fn a_broken_frame_costs_no_other(which in 0..frames().len(), garbage in prop::collection::vec(1..=u8::MAX, 1..300)) {
        let mut log = Vec::new();
        for (number, &frame) in frames().iter().enumerate() {
            log.extend_from_slice(if number == which { &garbage } else { frame });
            log.push(0);
        }
        let mut seen = events(&log);
        let mut whole = events(LOG);
        seen.remove(which);
        whole.remove(which);
        prop_assert_eq!(seen, whole);
    }

    #[test]
    fn any_start_is_in_step_after_one_frame(start in 0..LOG.len()) {
        let tail = &LOG[start..];
        let behind = tail.iter().position(|&byte| byte == 0).map_or(tail.len(), |end| end + 1);
        let intact = events(&tail[behind..]);
        let seen = events(tail);
        prop_assert!(seen.ends_with(&intact));
        prop_assert!(seen.len() <= intact.len() + 1);
    }

    #[test]
    fn any_bytes_give_events_and_no_more_than_the_bytes(log in prop::collection::vec(any::<u8>(), 0..2000)) {
        let lost: usize = events(&log).iter().map(|event| match event {
            Event::Lost { bytes, .. } => *bytes,
            _ => 0,
        }).sum();
        prop_assert!(lost <= log.iter().filter(|&&byte| byte != 0).count());
    }

    #[test]
    fn any_arguments_give_a_line_or_a_loss(index in 0_u16..100, arguments in prop::collection::vec(any::<u8>(), 0..60)) {
        let frame = [&index.to_le_bytes()[..], &arguments].concat();
        prop_assert_eq!(events(&encode(&frame)).len(), 1);
    }

    #[test]
    fn a_changed_byte_gives_a_line_or_a_loss(which in 0..frames().len(), at in 0..100_usize, byte: u8) {
        let mut frame = rzcobs::decode(frames()[which]).unwrap();
        let at = at % frame.len();
        frame[at] = byte;
        prop_assert_eq!(events(&encode(&frame)).len(), 1);
    }
}
