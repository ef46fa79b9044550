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
        let address = header.p_paddr(LittleEndian);
        let offset = address - base;
        let end = offset
            .checked_add(header.p_memsz(LittleEndian))
            .filter(|end| *end <= MOST_BYTES);
        let end = end.with_context(|| format!("its segments at {base:#x} and {address:#x} lie too far apart"))?;
        memory = memory.max(end);
        let data = header
            .data(LittleEndian, data)
            .ok()
            .context("a segment lies outside the file")?;
        let offset = usize::try_from(offset)?;
        if bytes.len() > offset {
            bail!("two segments overlap at {address:#x}");
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

#[cfg(test)]
mod tests {
    use super::*;

    /// An ELF file made by hand (System V ABI, chapters 4 and 5): a header, program headers, bytes from 0x200 on.
    /// A segment is an address, the bytes in the file, and the bytes in memory.
    fn elf(segments: &[(u64, &[u8], u64)]) -> Vec<u8> {
        let mut file = b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0".to_vec();
        for half in [2_u16, 183] {
            file.extend(half.to_le_bytes()); // e_type EXEC, e_machine AARCH64
        }
        file.extend(1_u32.to_le_bytes());
        for word in [0x4000_0040_u64, 64, 0] {
            file.extend(word.to_le_bytes()); // e_entry, e_phoff, e_shoff
        }
        file.extend(0_u32.to_le_bytes());
        for half in [64, 56, segments.len() as u16, 64, 0, 0] {
            file.extend(half.to_le_bytes());
        }
        let mut offset = 0x200;
        for (address, bytes, memory) in segments {
            file.extend(1_u32.to_le_bytes()); // PT_LOAD
            file.extend(7_u32.to_le_bytes());
            // p_offset, p_vaddr (which is not the load address), p_paddr, p_filesz, p_memsz, p_align
            for word in [offset, 0xffff_0000_0000, *address, bytes.len() as u64, *memory, 4] {
                file.extend(word.to_le_bytes());
            }
            offset += bytes.len() as u64;
        }
        file.resize(0x200, 0);
        segments.iter().for_each(|(_, bytes, _)| file.extend(*bytes));
        file
    }

    #[test]
    fn segments_lie_at_their_load_addresses_with_zeroes_between() {
        let file = elf(&[
            (0x4000_0010, &[5, 6], 2),
            (0x4000_0000, &[1, 2, 3], 3),
            (0x4000_0020, &[], 0x100),
        ]);
        let flat = flatten(&file).unwrap();
        assert_eq!((flat.base, flat.entry, flat.memory), (0x4000_0000, 0x4000_0040, 0x120));
        assert_eq!(flat.bytes, [1, 2, 3, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 5, 6]);
        assert!(sections(&file).unwrap().is_empty());
    }

    #[test]
    fn what_is_no_image_is_refused() {
        let refused = |file: &[u8]| format!("{:#}", flatten(file).unwrap_err());
        assert!(refused(b"#!/bin/sh\n").contains("no 64-bit ELF file"));
        assert!(refused(&elf(&[])).contains("nothing to load"));
        let far = elf(&[(0x20_0000, &[1], 1), (0x4000_0000, &[1], 1)]);
        assert!(refused(&far).contains("0x200000 and 0x40000000 lie too far apart"));
        assert!(refused(&elf(&[(0x1000, &[1, 2], 2), (0x1001, &[1], 1)])).contains("overlap at 0x1001"));
        assert!(refused(&elf(&[(0x1000, &[1], u64::MAX)])).contains("too far apart"));
        let cut = elf(&[(0x1000, &[1; 64], 64)]);
        assert!(refused(&cut[..cut.len() - 1]).contains("outside the file"));
    }
}
