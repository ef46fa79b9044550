//! The build machine's end of the log: frames as the target sends them, kept for whoever asks.
//!
//! Each thread has a log of its own. `tests/twin` decodes them with the strings of its own program.

use std::cell::RefCell;

#[defmt::global_logger]
struct Logger;

// The build machine has no counter that anybody could compare.
defmt::timestamp!("{=u64:us}", 0);

struct Log {
    encoder: defmt::Encoder,
    frames: Vec<u8>,
}

thread_local! {
    static LOG: RefCell<Log> = const {
        RefCell::new(Log {
            encoder: defmt::Encoder::new(),
            frames: Vec::new(),
        })
    };
}

fn with_log(use_it: impl FnOnce(&mut defmt::Encoder, &mut Vec<u8>)) {
    LOG.with_borrow_mut(|log| use_it(&mut log.encoder, &mut log.frames));
}

// SAFETY: each thread has an encoder of its own, and `acquire` to `release` is one frame of one thread's.
unsafe impl defmt::Logger for Logger {
    fn acquire() {
        with_log(|encoder, frames| encoder.start_frame(|bytes| frames.extend_from_slice(bytes)));
    }

    unsafe fn flush() {}

    unsafe fn release() {
        with_log(|encoder, frames| encoder.end_frame(|bytes| frames.extend_from_slice(bytes)));
    }

    unsafe fn write(bytes: &[u8]) {
        with_log(|encoder, frames| encoder.write(bytes, |bytes| frames.extend_from_slice(bytes)));
    }
}

/// What the calling thread has logged since this was last asked: defmt frames.
pub fn take_log() -> Vec<u8> {
    let mut taken = Vec::new();
    with_log(|_, frames| taken = core::mem::take(frames));
    taken
}
