//! `/proc/kcore`: all RAM, as an ELF core file of the kernel.

use super::seen::Seen;
use anyhow::{Context, Result};
use nix::errno::Errno;
use std::fs::File;
use std::os::unix::fs::FileExt;

/// ELF-64 (System V ABI, chapters 4 and 5): where the header has the program headers' offset, size and number.
const HEADER: usize = 64;
const PHOFF: usize = 32;
const PHENTSIZE: usize = 54;
const PHNUM: usize = 56;
/// Of a program header: the type of a segment with memory, and the offsets of its fields.
const LOAD: u32 = 1;
const OFFSET: usize = 8;
const PADDR: usize = 24;
const MEMSZ: usize = 40;
const SEGMENT: usize = 56;

/// Reads a word of RAM.
///
/// # Errors
/// When the file does not have it.
pub fn read(physical: u64) -> Result<Seen> {
    let kcore = File::open("/proc/kcore").context("cannot open /proc/kcore")?;
    let at = find(&kcore, physical)?;
    Ok(match kcore.read_exact_at(&mut [0; 8], at) {
        Ok(()) => Seen::Done,
        Err(error) => Errno::from_raw(error.raw_os_error().context("a short read")?).into(),
    })
}

/// Where the file has the byte at `physical`. The kernel's own image has a segment too, where memory that was freed of it is
/// no longer mapped: of all segments with this byte, RAM's is the largest.
fn find(kcore: &File, physical: u64) -> Result<u64> {
    let mut header = [0; HEADER];
    kcore.read_exact_at(&mut header, 0)?;
    let number = |at: usize| u64::from(u16::from_le_bytes([header[at], header[at + 1]]));
    let (start, size, count) = (word(&header, PHOFF), number(PHENTSIZE), number(PHNUM));
    let mut found = None;
    for n in 0..count {
        let mut segment = [0; SEGMENT];
        kcore.read_exact_at(&mut segment, start + n * size)?;
        let at = within(&segment, physical).map(|at| (word(&segment, MEMSZ), at));
        found = found.max(at);
    }
    let (_, at) = found.with_context(|| format!("no segment has {physical:#x}"))?;
    Ok(at)
}

/// Where the file has the byte at `physical`, if this segment does.
fn within(segment: &[u8; SEGMENT], physical: u64) -> Option<u64> {
    let kind = u32::from_le_bytes(segment[..4].try_into().ok()?);
    let offset = physical.checked_sub(word(segment, PADDR))?;
    (kind == LOAD && offset < word(segment, MEMSZ)).then(|| word(segment, OFFSET) + offset)
}

fn word(bytes: &[u8], at: usize) -> u64 {
    let mut word = [0; 8];
    word.copy_from_slice(&bytes[at..at + 8]);
    u64::from_le_bytes(word)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_segment_has_its_bytes_and_no_others() {
        let mut segment = [0; SEGMENT];
        segment[0] = 1;
        for (at, value) in [(OFFSET, 0x1000_u64), (PADDR, 0x4000_0000), (MEMSZ, 0x2000)] {
            segment[at..at + 8].copy_from_slice(&value.to_le_bytes());
        }
        assert_eq!(within(&segment, 0x4000_1008), Some(0x2008));
        assert_eq!(within(&segment, 0x4000_2000), None);
        assert_eq!(within(&segment, 0x3fff_ffff), None);
        segment[0] = 4;
        assert_eq!(within(&segment, 0x4000_1008), None);
    }
}
