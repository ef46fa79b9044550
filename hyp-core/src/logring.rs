//! Where a CPU's log frames wait for the channel.
//!
//! Each CPU writes into a ring of its own and never waits; whoever drains moves whole frames to the channel. A frame
//! that does not fit is lost, and counted.

use core::sync::atomic::{AtomicU8, AtomicU32, AtomicUsize, Ordering};

/// Bytes that a ring holds. A power of two, so that positions may run on and wrap.
pub const SIZE: usize = 8192;
const _: () = assert!(SIZE.is_power_of_two());

/// One CPU's ring. One writer, the CPU itself; one reader at a time, who holds the channel.
pub struct LogRing {
    /// Position behind the last published frame.
    head: AtomicUsize,
    /// Position of the first byte that is not yet taken.
    tail: AtomicUsize,
    /// Position behind the last byte of the frame being written.
    cursor: AtomicUsize,
    /// Whether the frame being written has been found too long.
    overflow: AtomicU8,
    /// Frames lost since the last call of [`take_lost`](Self::take_lost).
    lost: AtomicU32,
    bytes: [AtomicU8; SIZE],
}

/// A frame that grows.
pub struct Appender<'a> {
    ring: &'a LogRing,
    cursor: usize,
    room: usize,
}

impl Appender<'_> {
    /// Adds to the frame, or marks it as too long.
    #[inline(always)]
    pub fn write(&mut self, bytes: &[u8]) {
        let Some(room) = self.room.checked_sub(bytes.len()) else {
            self.ring.overflow.store(1, Ordering::Relaxed);
            return;
        };
        self.room = room;
        for &byte in bytes {
            self.ring.bytes[self.cursor % SIZE].store(byte, Ordering::Relaxed);
            self.cursor = self.cursor.wrapping_add(1);
        }
    }
}

impl Default for LogRing {
    fn default() -> Self {
        Self::new()
    }
}

impl LogRing {
    /// An empty ring.
    pub const fn new() -> Self {
        Self {
            head: AtomicUsize::new(0),
            tail: AtomicUsize::new(0),
            cursor: AtomicUsize::new(0),
            overflow: AtomicU8::new(0),
            lost: AtomicU32::new(0),
            bytes: [const { AtomicU8::new(0) }; SIZE],
        }
    }

    /// Starts a frame, giving up one that was not ended.
    pub fn start(&self) {
        self.cursor.store(self.head.load(Ordering::Relaxed), Ordering::Relaxed);
        self.overflow.store(0, Ordering::Relaxed);
    }

    /// Adds to the frame.
    pub fn write(&self, bytes: &[u8]) {
        self.append(|to| to.write(bytes));
    }

    /// Adds to the frame what `write` writes, byte by byte as it may be: the ring's positions are looked at once.
    pub fn append(&self, write: impl FnOnce(&mut Appender<'_>)) {
        let cursor = self.cursor.load(Ordering::Relaxed);
        let used = cursor.wrapping_sub(self.tail.load(Ordering::Acquire));
        let mut to = Appender {
            ring: self,
            cursor,
            room: SIZE.saturating_sub(used),
        };
        write(&mut to);
        self.cursor.store(to.cursor, Ordering::Relaxed);
    }

    /// Publishes the frame, or counts it as lost where it did not fit.
    pub fn end(&self) {
        if self.overflow.load(Ordering::Relaxed) == 0 {
            self.head.store(self.cursor.load(Ordering::Relaxed), Ordering::Release);
        } else {
            self.lost.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// How many frames were lost since the last call.
    pub fn take_lost(&self) -> u32 {
        if self.lost.load(Ordering::Relaxed) == 0 {
            0
        } else {
            self.lost.swap(0, Ordering::Relaxed)
        }
    }

    /// Whether nothing waits.
    pub fn is_empty(&self) -> bool {
        self.head.load(Ordering::Acquire) == self.tail.load(Ordering::Relaxed)
    }

    /// Hands published bytes to `sink`, which says how many it took, until it takes none, nothing is left or `bound`
    /// bytes are gone. Returns whether the ring's last byte taken ended a frame (frames end in 0).
    ///
    /// For the one who holds the channel.
    pub fn drain(&self, bound: usize, mut sink: impl FnMut(&[u8]) -> usize) -> bool {
        let head = self.head.load(Ordering::Acquire);
        let mut tail = self.tail.load(Ordering::Relaxed);
        let mut left = bound;
        let mut chunk = [0; 64];
        while tail != head {
            // Up to the ring's end, so that there is no wrap at each byte.
            let waiting = &self.bytes[tail % SIZE..];
            let count = head.wrapping_sub(tail).min(chunk.len()).min(left).min(waiting.len());
            for (byte, slot) in chunk[..count].iter_mut().zip(waiting) {
                *byte = slot.load(Ordering::Relaxed);
            }
            let taken = sink(&chunk[..count]).min(count);
            tail = tail.wrapping_add(taken);
            left -= taken;
            if taken < count || left == 0 {
                break;
            }
        }
        self.tail.store(tail, Ordering::Release);
        tail == head || self.bytes[tail.wrapping_sub(1) % SIZE].load(Ordering::Relaxed) == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn put(ring: &LogRing, frame: &[u8]) {
        ring.start();
        ring.write(frame);
        ring.end();
    }

    fn take(ring: &LogRing, bound: usize) -> Vec<u8> {
        let mut out = Vec::new();
        ring.drain(bound, |bytes| {
            out.extend_from_slice(bytes);
            bytes.len()
        });
        out
    }

    #[test]
    fn frames_come_out_whole_and_in_order_across_the_wrap() {
        let ring = LogRing::new();
        for n in 0..2000u32 {
            let frame = [n as u8 | 1, 2, 3, 4, 5, 6, 7, 8, 9, 0];
            put(&ring, &frame);
            assert_eq!(take(&ring, usize::MAX), frame);
        }
        assert_eq!(ring.take_lost(), 0);
    }

    #[test]
    fn a_frame_that_does_not_fit_is_lost_and_counted_and_the_rest_is_whole() {
        let ring = LogRing::new();
        put(&ring, &[1; SIZE - 4]);
        put(&ring, &[2; 8]);
        put(&ring, &[3, 0]);
        assert_eq!(ring.take_lost(), 1);
        let out = take(&ring, usize::MAX);
        assert_eq!(out.len(), SIZE - 2);
        assert_eq!(&out[SIZE - 4..], [3, 0]);
        assert_eq!(ring.take_lost(), 0);
    }

    #[test]
    fn what_is_appended_byte_by_byte_is_one_frame_or_lost() {
        let ring = LogRing::new();
        let append = |frame: &[u8]| {
            ring.start();
            ring.append(|to| frame.iter().for_each(|byte| to.write(&[*byte])));
            ring.end();
        };
        append(&[1; SIZE - 2]);
        append(&[2, 3, 0]);
        assert_eq!(ring.take_lost(), 1);
        assert_eq!(take(&ring, usize::MAX), [1; SIZE - 2]);
        // Across the wrap.
        append(&[4, 5, 6, 0]);
        assert_eq!((take(&ring, usize::MAX), ring.take_lost()), (vec![4, 5, 6, 0], 0));
    }

    #[test]
    fn an_unpublished_frame_is_not_seen() {
        let ring = LogRing::new();
        ring.start();
        ring.write(&[1, 2, 3]);
        assert!(ring.is_empty());
        ring.start();
        ring.write(&[4, 0]);
        ring.end();
        assert_eq!(take(&ring, usize::MAX), [4, 0]);
    }

    #[test]
    fn a_bound_stops_inside_a_frame_and_says_so() {
        let ring = LogRing::new();
        put(&ring, &[7, 7, 7, 0]);
        put(&ring, &[8, 0]);
        assert!(!ring.drain(2, |bytes| bytes.len()));
        assert!(ring.drain(2, |bytes| bytes.len()));
        assert_eq!(take(&ring, usize::MAX), [8, 0]);
    }
}
