//! What of an ELF file gets into memory: its sections, and the flat binary of its segments.

use anyhow::{Context, Result, bail};
use object::elf::{FileHeader64, PT_LOAD, SHF_ALLOC, SHF_EXECINSTR, SHF_WRITE, SHT_NOBITS};
use object::read::elf::{ElfFile64, FileHeader, ProgramHeader, SectionHeader};
use object::{LittleEndian, Object, ObjectSection};

/// More than this is a mistake in a linker script, not an image.
const MOST_BYTES: u64 = 256 << 20;

/// A section that takes memory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Section {
    /// Its name.
    pub name: String,
    /// Its address.
    pub address: u64,
    /// Its length in bytes.
    pub size: u64,
    /// Its access rights, `r`, `w` and `x` or `-`.
    pub access: String,
    /// Whether its bytes are in the image; otherwise it is zeroed at start.
    pub loaded: bool,
}

/// A flat binary: the bytes of an ELF file's segments, each at its load address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Flat {
    /// The lowest load address.
    pub base: u64,
    /// The address at which it is entered.
    pub entry: u64,
    /// The bytes, from `base` on; gaps are zero.
    pub bytes: Vec<u8>,
    /// Bytes of memory from `base` on that it takes, with what is zeroed at start.
    pub memory: u64,
}

/// The sections that take memory, by address.
///
/// # Errors
/// When `data` is no 64-bit ELF file.
pub fn sections(data: &[u8]) -> Result<Vec<Section>> {
    let file = parse(data)?;
    let mut sections = Vec::new();
    for section in file.sections() {
        let header = section.elf_section_header();
        let flags = header.sh_flags(LittleEndian);
        let flag = |bit: u32, letter| if flags & u64::from(bit) != 0 { letter } else { '-' };
        if flags & u64::from(SHF_ALLOC) == 0 || section.size() == 0 {
            continue;
        }
        sections.push(Section {
            name: section.name()?.to_owned(),
            address: section.address(),
            size: section.size(),
            access: ['r', flag(SHF_WRITE, 'w'), flag(SHF_EXECINSTR, 'x')].iter().collect(),
            loaded: header.sh_type(LittleEndian) != SHT_NOBITS,
        });
    }
    sections.sort_by_key(|section| section.address);
    Ok(sections)
}

/// The flat binary of an ELF file, by physical (load) addresses.
///
/// # Errors
/// When `data` is no 64-bit ELF file, or its segments lie apart further than an image can be long.
pub fn flatten(data: &[u8]) -> Result<Flat> {
    let file = parse(data)?;
    let segments = file
        .elf_program_headers()
        .iter()
        .filter(|header| header.p_type(LittleEndian) == PT_LOAD && header.p_memsz(LittleEndian) != 0);
    let mut segments: Vec<_> = segments.collect();
    segments.sort_by_key(|header| header.p_paddr(LittleEndian));
    let base = segments
        .first()
        .context("it has nothing to load")?
        .p_paddr(LittleEndian);
    let (mut bytes, mut memory) = (Vec::new(), 0);
    for header in &segments {
        let offset = header.p_paddr(LittleEndian) - base;
        let end = offset
            .checked_add(header.p_memsz(LittleEndian))
            .filter(|end| *end <= MOST_BYTES);
        memory = memory.max(end.with_context(|| format!("a segment lies {offset:#x} bytes from its start"))?);
        let data = header
            .data(LittleEndian, data)
            .ok()
            .context("a segment lies outside the file")?;
        let offset = usize::try_from(offset)?;
        if bytes.len() > offset {
            bail!("two segments overlap at {:#x}", header.p_paddr(LittleEndian));
        }
        if !data.is_empty() {
            bytes.resize(offset, 0);
            bytes.extend_from_slice(data);
        }
    }
    let entry = file.elf_header().e_entry(LittleEndian);
    Ok(Flat {
        base,
        entry,
        bytes,
        memory,
    })
}

fn parse(data: &[u8]) -> Result<ElfFile64<'_, LittleEndian>> {
    let header = FileHeader64::<LittleEndian>::parse(data).context("it is no 64-bit ELF file")?;
    if !header.is_little_endian() {
        bail!("it is big-endian");
    }
    Ok(ElfFile64::parse(data)?)
}
