//! The log of this program, decoded as a board's is: by the format strings that the linker has put into it.
//!
//! On a board the strings' numbers are their addresses in a section that starts at 0. Here the section is wherever the
//! loader has put the program, so the decoder is given an ELF file of the strings alone, with the numbers that this
//! run's frames have.

use leasehold_flash::stream::{Event, LogDecoder};
use object::write::{Object, Symbol, SymbolSection};
use object::{
    Architecture, BinaryFormat, Endianness, Object as _, ObjectSection, ObjectSymbol, SectionKind, SymbolFlags,
    SymbolKind, SymbolScope,
};
use std::collections::BTreeSet;

/// Lines with their levels, without time stamps.
///
/// # Errors
/// When this program has no strings, or a frame is not decoded.
pub fn lines(frames: &[u8]) -> Result<Vec<String>, String> {
    let mut decoder = LogDecoder::new(&strings()?).map_err(|error| error.to_string())?;
    decoder.push(frames);
    decoder.end();
    decoder
        .map(|event| match event {
            Event::Log(line) => {
                let level = line.level.map_or("", |level| level.name());
                Ok(format!("{:<5} {}", level.to_uppercase(), line.message))
            }
            Event::Console { .. } => Err("a guest's console without a guest".into()),
            Event::Lost { bytes, reason } => Err(format!("{bytes} bytes of log are none: {reason}")),
        })
        .collect()
}

/// Where this program's first segment is.
fn base() -> Result<u64, String> {
    let maps = std::fs::read_to_string("/proc/self/maps").map_err(|error| error.to_string())?;
    let program = std::env::current_exe().map_err(|error| error.to_string())?;
    let first = maps
        .lines()
        .find(|line| line.ends_with(&*program.to_string_lossy()))
        .and_then(|line| line.split_once('-'));
    let (start, _) = first.ok_or("this program is not in its own map")?;
    u64::from_str_radix(start, 16).map_err(|error| error.to_string())
}

/// An ELF file of the strings, at the addresses that count in frames: the low 16 bits of where each is.
fn strings() -> Result<Vec<u8>, String> {
    let program = std::fs::read("/proc/self/exe").map_err(|error| error.to_string())?;
    let program = object::File::parse(&*program).map_err(|error| error.to_string())?;
    let linked = match program.kind() {
        // Loaded anywhere, linked for 0.
        object::ObjectKind::Dynamic => base()?,
        _ => 0,
    };
    let tables: Vec<_> = program
        .sections()
        .filter(|section| section.name().is_ok_and(|name| name.starts_with(".defmt")))
        .map(|section| section.index())
        .collect();
    let mut strings = Object::new(BinaryFormat::Elf, Architecture::Aarch64, Endianness::Little);
    let section = strings.add_section(Vec::new(), b".defmt".to_vec(), SectionKind::Data);
    strings.set_section_data(section, vec![0; 1 << 16], 1);
    let mut numbers = BTreeSet::new();
    for symbol in program.symbols() {
        let name = symbol.name().unwrap_or_default();
        let interned = symbol.section_index().is_some_and(|index| tables.contains(&index));
        // Which version and encoding there is, is in names too.
        if !interned && !name.starts_with("_defmt_") {
            continue;
        }
        let number = (linked.wrapping_add(symbol.address())) & 0xffff;
        if name.starts_with('{') && !name.contains("defmt_timestamp") && !numbers.insert(number) {
            return Err(format!("two strings have the number {number:#x}"));
        }
        strings.add_symbol(Symbol {
            name: name.as_bytes().to_vec(),
            value: number,
            size: symbol.size(),
            kind: SymbolKind::Data,
            scope: SymbolScope::Linkage,
            weak: false,
            section: SymbolSection::Section(section),
            flags: SymbolFlags::None,
        });
    }
    strings.write().map_err(|error| error.to_string())
}
