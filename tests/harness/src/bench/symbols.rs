//! Where things are in EL2's image.

use crate::error::Error;
use object::{Object, ObjectSymbol};
use std::ops::Range;
use std::path::Path;

/// Addresses in EL2's image, where it is linked and runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Symbols {
    /// Its first instruction.
    pub entry: u64,
    /// All its code.
    pub code: Range<u64>,
    /// The part that zeroes pages and cleans caches.
    pub scrub: Range<u64>,
    /// The vectors that are in force while the host runs.
    pub host_vectors: u64,
}

impl Symbols {
    /// Reads them from the image's ELF file.
    ///
    /// # Errors
    /// When it cannot be read or lacks one.
    pub fn read(elf: &Path) -> Result<Symbols, Error> {
        let data = std::fs::read(elf).map_err(Error::file(elf))?;
        Symbols::find(&data).map_err(|reason| Error::file(elf)(std::io::Error::other(reason)))
    }

    fn find(data: &[u8]) -> Result<Symbols, String> {
        let file = object::File::parse(data).map_err(|error| error.to_string())?;
        let address = |name: &str| {
            let mut symbols = file.symbols();
            let found = symbols.find(|symbol| symbol.name() == Ok(name));
            found
                .map(|symbol| symbol.address())
                .ok_or(format!("there is no symbol {name}"))
        };
        Ok(Symbols {
            entry: address("_start")?,
            code: address("__image_start")?..address("__text_end")?,
            scrub: address("__scrub_start")?..address("__scrub_end")?,
            host_vectors: address("lh_host_vectors")?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_without_them_says_so() {
        assert!(Symbols::find(b"#!/bin/sh").is_err());
        let fixture = concat!(env!("CARGO_MANIFEST_DIR"), "/../../flash/tests/fixture/fixture.elf");
        let error = Symbols::read(Path::new(fixture)).unwrap_err().to_string();
        assert!(error.contains("fixture.elf") && error.contains("no symbol"), "{error}");
    }
}
