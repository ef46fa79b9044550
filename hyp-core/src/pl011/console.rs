//! What a guest has sent: in frames for the log channel, and byte by byte for the host.

use heapless::{Deque, Vec};

/// The most bytes of a frame.
pub const FRAME: usize = 128;
/// How many bytes are kept for the host.
const KEPT: usize = 1024;
/// The registers in which `CONSOLE_READ` returns bytes: x2 to x15.
const WORDS: usize = 14;

/// What `CONSOLE_READ` returns: how many bytes, and the bytes, little-endian.
pub type HostWords = (usize, [u64; WORDS]);

/// A guest's text on its way out.
#[derive(Debug)]
pub struct Console {
    line: Vec<u8, FRAME>,
    kept: Deque<u8, KEPT>,
    lost: u64,
}

impl Console {
    /// Nothing has been sent.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            line: Vec::new(),
            kept: Deque::new(),
            lost: 0,
        }
    }

    /// Takes a byte. `frame` gets a line when it ends, newline included, or when it is as long as a frame.
    pub fn put(&mut self, byte: u8, frame: impl FnOnce(&[u8])) {
        if self.kept.is_full() {
            self.kept.pop_front();
            self.lost = self.lost.saturating_add(1);
        }
        // There is room in both.
        let _ = self.kept.push_back(byte);
        let _ = self.line.push(byte);
        if byte == b'\n' || self.line.is_full() {
            self.flush(frame);
        }
    }

    /// `frame` gets what of a line is there.
    pub fn flush(&mut self, frame: impl FnOnce(&[u8])) {
        if !self.line.is_empty() {
            frame(&self.line);
            self.line.clear();
        }
    }

    /// Whether the host should read now: at the end of a line, or before bytes are lost.
    #[must_use]
    pub fn wants_host(&self) -> bool {
        !self.kept.is_empty() && (self.line.is_empty() || self.kept.len() > KEPT / 2)
    }

    /// Takes the oldest bytes for the host.
    pub fn take(&mut self) -> HostWords {
        let mut words = [0; WORDS];
        let mut count = 0;
        while count < WORDS * 8 {
            let Some(byte) = self.kept.pop_front() else { break };
            words[count / 8] |= u64::from(byte) << (8 * (count % 8));
            count += 1;
        }
        (count, words)
    }

    /// How many bytes the host has missed.
    #[must_use]
    pub const fn lost(&self) -> u64 {
        self.lost
    }
}

impl Default for Console {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn send(console: &mut Console, text: &[u8]) -> Vec<std::vec::Vec<u8>, 64> {
        let mut frames = Vec::new();
        for byte in text {
            console.put(*byte, |frame| frames.push(frame.to_vec()).unwrap());
        }
        frames
    }

    fn read(console: &mut Console) -> std::vec::Vec<u8> {
        let mut all = vec![];
        loop {
            let (count, words) = console.take();
            if count == 0 {
                return all;
            }
            let bytes = words.iter().flat_map(|w| w.to_le_bytes());
            all.extend(bytes.take(count));
        }
    }

    #[test]
    fn lines_are_frames() {
        let mut c = Console::new();
        let frames = send(&mut c, b"one\ntwo\nthr");
        assert_eq!(frames, [b"one\n".to_vec(), b"two\n".to_vec()]);
        let mut rest = vec![];
        c.flush(|frame| rest = frame.to_vec());
        assert_eq!(rest, b"thr");
        c.flush(|_| panic!("nothing is left"));
    }

    #[test]
    fn a_long_line_is_cut() {
        let mut c = Console::new();
        let frames = send(&mut c, &[b'x'; 3 * FRAME + 1]);
        assert_eq!(frames.len(), 3);
        assert!(frames.iter().all(|f| f.len() == FRAME));
    }

    #[test]
    fn the_host_is_wanted_at_the_end_of_a_line_or_when_it_is_late() {
        let mut c = Console::new();
        assert!(!c.wants_host());
        send(&mut c, b"abc");
        assert!(!c.wants_host());
        send(&mut c, b"\n");
        assert!(c.wants_host());
        assert_eq!(read(&mut c), b"abc\n");
        assert!(!c.wants_host());
        send(&mut c, &[b'x'; KEPT / 2 + 1]);
        assert!(c.wants_host());
    }

    #[test]
    fn the_newest_are_kept_and_losses_counted() {
        let mut c = Console::new();
        let text: std::vec::Vec<u8> = (0..KEPT + 10).map(|n| n as u8).collect();
        for byte in &text {
            c.put(*byte, |_| {});
        }
        assert_eq!(c.lost(), 10);
        assert_eq!(read(&mut c), text[10..]);
    }

    proptest! {
        #[test]
        fn both_ways_carry_every_byte(text in prop::collection::vec(any::<u8>(), 0..KEPT)) {
            let mut c = Console::new();
            let mut framed = vec![];
            for byte in &text {
                c.put(*byte, |frame| framed.extend_from_slice(frame));
            }
            c.flush(|frame| framed.extend_from_slice(frame));
            prop_assert_eq!(&framed, &text);
            prop_assert_eq!(read(&mut c), text);
        }
    }
}
