//! Bytes taken for a machine's device tree: nothing panics, and what is written can be read.
#![no_main]

#[path = "../../tests/common/exercise.rs"]
mod exercise;

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let mut storage = vec![0; bytes.len() + 7];
    let start = storage.as_ptr().align_offset(8);
    storage[start..start + bytes.len()].copy_from_slice(bytes);
    let _ = exercise::exercise(&storage[start..start + bytes.len()]);
});
