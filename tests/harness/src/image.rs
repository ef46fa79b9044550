//! The header of an arm64 `Image`: what QEMU, U-Boot and EL2 load (Linux, Documentation/arch/arm64/booting.rst).

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

/// The header's length in bytes.
const HEADER: usize = 64;
/// `ARM\x64`, at byte 56.
const MAGIC: [u8; 4] = *b"ARM\x64";

/// How an image wants to lie in memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ImageHeader {
    /// Bytes from a 2 MiB boundary to the image's first byte.
    pub text_offset: u64,
    /// Bytes of memory from the first byte on, with what is zeroed at start.
    pub memory: u64,
}

impl ImageHeader {
    /// Reads the header of a file; none when it is no arm64 `Image`.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn read(path: &Path) -> io::Result<Option<ImageHeader>> {
        let mut file = File::open(path)?;
        let length = file.metadata()?.len();
        let mut header = Vec::with_capacity(HEADER);
        file.by_ref().take(HEADER as u64).read_to_end(&mut header)?;
        Ok(ImageHeader::parse(&header, length))
    }

    /// Reads a header, of an image of `length` bytes.
    pub fn parse(header: &[u8], length: u64) -> Option<ImageHeader> {
        let word = |at: usize| header.get(at..at + 8)?.try_into().ok().map(u64::from_le_bytes);
        if header.get(56..60)? != MAGIC {
            return None;
        }
        // Kernels before 3.17 leave `image_size` zero.
        Some(ImageHeader {
            text_offset: word(8)?,
            memory: word(16)?.max(length),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header(text_offset: u64, image_size: u64) -> Vec<u8> {
        let mut header = vec![0; HEADER];
        header[8..16].copy_from_slice(&text_offset.to_le_bytes());
        header[16..24].copy_from_slice(&image_size.to_le_bytes());
        header[56..60].copy_from_slice(&MAGIC);
        header
    }

    #[test]
    fn the_header_says_how_much_memory() {
        let header = header(0x8_0000, 0x300_0000);
        assert_eq!(
            ImageHeader::parse(&header, 1000),
            Some(ImageHeader {
                text_offset: 0x8_0000,
                memory: 0x300_0000
            })
        );
    }

    #[test]
    fn an_image_takes_no_less_memory_than_its_file() {
        let parsed = ImageHeader::parse(&header(0, 0), 5000).unwrap();
        assert_eq!(parsed.memory, 5000);
    }

    #[test]
    fn other_files_have_no_header() {
        assert_eq!(
            ImageHeader::parse(&header(0, 0)[..60], 60),
            ImageHeader::parse(&header(0, 0), 60)
        );
        assert_eq!(ImageHeader::parse(&header(0, 0)[..59], 59), None);
        assert_eq!(ImageHeader::parse(b"\x7fELF", 4), None);
    }
}
