//! The interned strings of an ELF file, by the index that stands for them in a frame.
//!
//! `defmt-decoder` keeps its own table closed. This one is for what must be known before a frame is handed to it.

use super::StreamError;
use object::{Object, ObjectSection, ObjectSymbol};
use std::collections::BTreeMap;

/// The format string, of a `defmt::println!`, whose frames carry what a guest writes to its console.
pub const CONSOLE_FORMAT: &str = "console vm={=u8} {=[u8]:a}";

/// The tags of the strings that start a frame (`defmt_decoder::Tag`).
const STATEMENTS: [&str; 6] = [
    "defmt_println",
    "defmt_trace",
    "defmt_debug",
    "defmt_info",
    "defmt_warn",
    "defmt_error",
];

/// One interned string.
struct Interned {
    text: String,
    tag: String,
}

/// The interned strings of an ELF file.
pub(super) struct Strings {
    by_index: BTreeMap<u16, Interned>,
    timestamp: Option<String>,
}

impl Strings {
    /// Reads them from the symbols in `.defmt`: a symbol's address is the index, its name says the rest, in JSON.
    pub(super) fn parse(elf: &[u8]) -> Result<Strings, StreamError> {
        let elf = object::File::parse(elf).map_err(|error| StreamError::NotElf(error.to_string()))?;
        let sections: Vec<_> = elf
            .sections()
            .filter(|section| {
                section
                    .name()
                    .is_ok_and(|name| name == ".defmt" || name.starts_with(".defmt."))
            })
            .map(|section| section.index())
            .collect();
        let mut strings = Strings {
            by_index: BTreeMap::new(),
            timestamp: None,
        };
        for symbol in elf.symbols() {
            let in_table = symbol.section_index().is_some_and(|index| sections.contains(&index));
            let Some(interned) = symbol.name().ok().filter(|_| in_table).and_then(Interned::parse) else {
                continue;
            };
            if interned.tag == "defmt_timestamp" {
                strings.timestamp = Some(interned.text);
            } else if let Ok(index) = u16::try_from(symbol.address()) {
                strings.by_index.insert(index, interned);
            }
        }
        Ok(strings)
    }

    /// The format string of the timestamps, where frames have them.
    pub(super) fn timestamp(&self) -> Option<&str> {
        self.timestamp.as_deref()
    }

    /// The format string of a log statement.
    pub(super) fn statement(&self, index: u16) -> Option<&str> {
        self.get(index, true)
    }

    /// A string that stands inside a frame: the format of a nested value, or an interned `str`.
    pub(super) fn nested(&self, index: u16) -> Option<&str> {
        self.get(index, false)
    }

    /// Whether frames of this index carry a guest's console.
    pub(super) fn is_console(&self, index: u16) -> bool {
        self.by_index
            .get(&index)
            .is_some_and(|it| it.tag == "defmt_println" && it.text == CONSOLE_FORMAT)
    }

    fn get(&self, index: u16, statement: bool) -> Option<&str> {
        let interned = self.by_index.get(&index)?;
        (STATEMENTS.contains(&interned.tag.as_str()) == statement).then_some(&interned.text)
    }
}

impl Interned {
    /// None for the symbols that are no string: markers, and values of bitflags.
    fn parse(symbol: &str) -> Option<Interned> {
        let json: serde_json::Value = serde_json::from_str(symbol).ok()?;
        let field = |name: &str| json.get(name).and_then(|value| value.as_str()).map(str::to_owned);
        let interned = Interned {
            text: field("data")?,
            tag: field("tag")?,
        };
        (interned.tag != "defmt_bitflags_value").then_some(interned)
    }
}
