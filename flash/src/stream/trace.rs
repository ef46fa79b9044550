//! Stack traces: the addresses of a dump as functions and places in the source.

use addr2line::gimli::{self, EndianSlice, RunTimeEndian};
use object::{Object, ObjectSection, ObjectSymbol, SectionKind};
use std::path::{Path, PathBuf};

/// How the line begins in which EL2 gives the addresses of its stack, innermost first: `trace: PC [RETURN, …]`, or the
/// return addresses alone.
pub const TRACE_PREFIX: &str = "trace: ";

/// A function on the stack.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TraceFrame {
    /// The address in the dump that it is for. Those of inlined functions have the address in common.
    pub address: u64,
    /// Its name; none where neither debug information nor symbols have one.
    pub function: Option<String>,
    /// The file, as the compiler was told it, and the line, from 1; none where the ELF file does not say.
    pub place: Option<(PathBuf, u32)>,
    /// Whether it was inlined into the one that follows.
    pub inlined: bool,
}

impl TraceFrame {
    /// Its text, with file names as `shorten` makes them.
    pub(super) fn text<'p>(&'p self, shorten: impl Fn(&'p Path) -> &'p Path) -> String {
        let function = self.function.as_deref().unwrap_or("no function is known there");
        let mut text = format!("{:#x} {function}", self.address);
        if let Some((file, line)) = &self.place {
            text += &format!(" ({}:{line})", shorten(file).display());
        }
        if self.inlined {
            text += ", inlined into";
        }
        text
    }
}

/// An address of a trace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Address {
    value: u64,
    /// It is behind a call: what is wanted is the call.
    is_return: bool,
}

impl Address {
    fn probe(self) -> u64 {
        self.value.saturating_sub(u64::from(self.is_return))
    }
}

/// What stands behind the addresses of such a line; nothing when `message` is none.
pub(super) fn of_message(elf: &[u8], message: &str) -> Vec<TraceFrame> {
    let Some(rest) = message.strip_prefix(TRACE_PREFIX) else {
        return Vec::new();
    };
    let (first, returns) = rest.split_once('[').unwrap_or((rest, ""));
    let read = |text: &str, is_return| {
        let value = u64::from_str_radix(text.trim_matches(['[', ']', ' ', ',']).strip_prefix("0x")?, 16).ok()?;
        Some(Address { value, is_return })
    };
    let first = first.split_whitespace().filter_map(|word| read(word, false));
    let returns = returns.split(',').filter_map(|word| read(word, true));
    resolve(elf, first.chain(returns))
}

/// The functions at these addresses, the inlined ones included. A file without debug information gives names alone.
fn resolve(elf: &[u8], addresses: impl Iterator<Item = Address>) -> Vec<TraceFrame> {
    let Ok(file) = object::File::parse(elf) else {
        return Vec::new();
    };
    let lines = gimli::Dwarf::load(|section| section_of(&file, section))
        .ok()
        .and_then(|dwarf| addr2line::Context::from_dwarf(dwarf).ok());
    let mut frames = Vec::new();
    for address in addresses {
        let before = frames.len();
        if let Some(lines) = &lines {
            frames.extend(with_lines(lines, address));
        }
        match frames[before..].last_mut() {
            Some(outermost) => outermost.inlined = false,
            None => frames.push(TraceFrame {
                address: address.value,
                function: symbol_at(&file, address),
                place: None,
                inlined: false,
            }),
        }
    }
    frames
}

type Reader<'e> = EndianSlice<'e, RunTimeEndian>;

/// A section of debug information; an empty one where there is none, or where it is compressed.
fn section_of<'e>(file: &object::File<'e>, section: gimli::SectionId) -> Result<Reader<'e>, gimli::Error> {
    let bytes = file
        .section_by_name(section.name())
        .and_then(|section| section.data().ok())
        .unwrap_or_default();
    Ok(EndianSlice::new(bytes, RunTimeEndian::Little))
}

/// The functions at an address that have a name or a line in the debug information, innermost first.
fn with_lines(lines: &addr2line::Context<Reader<'_>>, address: Address) -> Vec<TraceFrame> {
    let mut found = Vec::new();
    let Ok(mut frames) = lines.find_frames(address.probe()).skip_all_loads() else {
        return found;
    };
    while let Ok(Some(frame)) = frames.next() {
        let name = frame.function.as_ref().and_then(|name| name.demangle().ok());
        let location = frame.location.as_ref();
        let place = location.and_then(|location| Some((location.file?.into(), location.line?)));
        if name.is_some() {
            found.push(TraceFrame {
                address: address.value,
                function: name.map(Into::into),
                place,
                inlined: true,
            });
        }
    }
    found
}

/// The symbol at or before an address, as `NAME+OFFSET`: what there is of assembly.
fn symbol_at(file: &object::File<'_>, address: Address) -> Option<String> {
    // Assembly's symbols have neither type nor size; those that mark data between code begin with `$`.
    let is_code = |symbol: &object::Symbol<'_, '_>| {
        let section = symbol
            .section_index()
            .and_then(|index| file.section_by_index(index).ok());
        let holds = |section: &object::Section<'_, '_>| {
            let offset = address.probe().checked_sub(section.address());
            section.kind() == SectionKind::Text && offset.is_some_and(|offset| offset < section.size())
        };
        section.is_some_and(|section| holds(&section)) && symbol.name().is_ok_and(|name| !name.starts_with(['$', '.']))
    };
    let symbols = file
        .symbols()
        .filter(|symbol| symbol.address() <= address.probe() && is_code(symbol));
    // Of two at one place, the linker script's own is the lesser.
    let nearest = symbols.max_by_key(|symbol| {
        let is_linkers = symbol.name().is_ok_and(|name| name.starts_with("__"));
        (symbol.address(), !is_linkers)
    })?;
    let name = addr2line::demangle_auto(nearest.name().ok()?.into(), None);
    Some(format!("{name}+{:#x}", address.value - nearest.address()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const ELF: &[u8] = include_bytes!("../../tests/fixture/fixture.elf");

    /// The address of the first function with this in its symbol.
    fn address_of(elf: &[u8], name: &str) -> u64 {
        let file = object::File::parse(elf).unwrap();
        let mut symbols = file.symbols();
        let symbol =
            symbols.find(|symbol| symbol.kind() == object::SymbolKind::Text && symbol.name().unwrap().contains(name));
        symbol.expect(name).address()
    }

    #[test]
    fn addresses_become_functions_and_lines() {
        const NAME: &str = "addresses_become_functions_and_lines";
        // This very test, whose debug information is whole.
        let elf = std::fs::read(std::env::current_exe().unwrap()).unwrap();
        let at = address_of(&elf, NAME);
        let frames = of_message(&elf, &format!("trace: {at:#x} [{:#x}, 0x7000000000000000]", at + 4));
        for address in [at, at + 4] {
            let frame = frames.iter().rfind(|frame| frame.address == address).unwrap();
            assert!(frame.function.as_ref().unwrap().contains(NAME), "{frames:?}");
            let (file, line) = frame.place.as_ref().unwrap();
            assert!(file.ends_with("stream/trace.rs") && *line > 0, "{frames:?}");
            assert!(!frame.inlined, "the outermost function is in no other: {frames:?}");
        }
        let last = frames.last().unwrap();
        assert_eq!(
            (last.address, &last.function, &last.place),
            (0x7000_0000_0000_0000, &None, &None)
        );
    }

    #[test]
    fn symbols_stand_in_where_there_are_no_lines() {
        // This file has no address ranges.
        let main = address_of(ELF, "main");
        let frames = of_message(ELF, &format!("trace: {main:#x} [{:#x}]", main + 4));
        let names: Vec<_> = frames.iter().map(|frame| frame.function.clone().unwrap()).collect();
        assert_eq!(names, ["main+0x0", "main+0x4"]);
    }

    #[test]
    fn only_a_trace_has_frames_and_nonsense_has_none() {
        assert!(of_message(ELF, "0x1 [0x2]").is_empty());
        for nonsense in [
            "trace: ",
            "trace: [",
            "trace: x [,,]",
            "trace: 0x [0xg]",
            "trace: 0x1ffffffffffffffff",
        ] {
            assert!(of_message(ELF, nonsense).is_empty(), "{nonsense}");
        }
        assert!(of_message(b"no ELF file", "trace: 0x1 [0x2]").is_empty());
    }

    #[test]
    fn a_return_address_stands_for_the_call_before_it() {
        let file = object::File::parse(ELF).unwrap();
        let main = address_of(ELF, "main");
        let at = |is_return| symbol_at(&file, Address { value: main, is_return });
        assert!(at(false).unwrap().starts_with("main+0x0"));
        assert!(!at(true).is_some_and(|name| name.starts_with("main")));
    }
}
