//! The header, the blocks that it points at, and the order of the tokens (Devicetree Specification v0.4, 5.2 to 5.5).

use crate::tokens::word;
use crate::{Block, FdtError, Token, Tokens};
use core::fmt;
use fdt_rs::base::DevTree;
use fdt_rs::spec::FDT_MAGIC;

/// The size of the header in bytes.
pub const HEADER_SIZE: usize = DevTree::MIN_HEADER_SIZE;

/// The largest blob, in bytes: what arm64 Linux takes (Documentation/arch/arm64/booting.rst, section 2).
pub const MAX_SIZE: usize = 2 << 20;

/// How deep nodes may be nested, the root being 1. Linux 6.12's Qualcomm trees reach 9.
pub const MAX_DEPTH: usize = 32;

/// The layout that everything since 2007 writes, and the oldest with a `size_dt_struct`.
const VERSION: u32 = 17;
const ALIGNMENT: usize = 8;
const RESERVATION_SIZE: usize = 16;

/// A device tree blob whose header, blocks, tokens, nesting and names have been checked.
///
/// Says nothing of the values of properties: what they mean is the reader's matter.
#[derive(Clone, Copy)]
pub struct Fdt<'a> {
    tree: DevTree<'a>,
    reservations: &'a [u8],
    strings: &'a [u8],
    structure: (usize, usize),
    boot_cpu: u32,
    token_count: usize,
}

impl<'a> Fdt<'a> {
    /// The size in bytes of the blob of which `start` is the first [`HEADER_SIZE`] bytes or more, for a caller who has
    /// an address and must know how much to read.
    ///
    /// # Errors
    /// [`FdtError::Truncated`], [`FdtError::Magic`] or [`FdtError::TooLarge`].
    pub fn total_size(start: &[u8]) -> Result<usize, FdtError> {
        let truncated = |needed| FdtError::Truncated {
            needed,
            found: start.len(),
        };
        let header = start.get(..HEADER_SIZE).ok_or(truncated(HEADER_SIZE))?;
        let magic = word(header, 0).unwrap_or(0);
        if magic != FDT_MAGIC {
            return Err(FdtError::Magic(magic));
        }
        match word(header, 4).unwrap_or(0) as usize {
            size if size > MAX_SIZE => Err(FdtError::TooLarge(size)),
            size if size < HEADER_SIZE => Err(FdtError::Truncated {
                needed: HEADER_SIZE,
                found: size,
            }),
            size => Ok(size),
        }
    }

    /// Checks the tree at the start of `blob`, in one pass. What follows it in `blob` is left alone.
    ///
    /// # Errors
    /// What is wrong first, and where.
    pub fn new(blob: &'a [u8]) -> Result<Self, FdtError> {
        let size = Self::total_size(blob)?;
        let blob = blob.get(..size).ok_or(FdtError::Truncated {
            needed: size,
            found: blob.len(),
        })?;
        if !blob.as_ptr().addr().is_multiple_of(ALIGNMENT) {
            return Err(FdtError::Unaligned);
        }
        let header = Header::read(blob);
        if header.version < VERSION || header.last_compatible > VERSION {
            return Err(FdtError::Version {
                version: header.version,
                compatible: header.last_compatible,
            });
        }
        let reservations = reservation_block(blob, header.reservations)?;
        let strings = block(blob, Block::Strings, header.strings, header.strings_size, 1)?;
        let structure = block(blob, Block::Structure, header.structure, header.structure_size, 4)?;
        // SAFETY: `DevTree::new` asks that the slice starts at a multiple of 4 bytes and is as long as the header's
        // `totalsize`, at least a header. All three have been checked in this function.
        let tree = unsafe { DevTree::new(blob) }.map_err(|_| FdtError::Refused { offset: 0 })?;
        let mut fdt = Self {
            tree,
            reservations,
            strings,
            structure: (header.structure, header.structure + structure.len()),
            boot_cpu: header.boot_cpu,
            token_count: 0,
        };
        fdt.token_count = check_order(fdt.tokens())?;
        Ok(fdt)
    }

    /// The blob, as long as its header says.
    #[must_use]
    pub fn bytes(&self) -> &'a [u8] {
        self.tree.buf()
    }

    /// The strings block.
    #[must_use]
    pub fn strings(&self) -> &'a [u8] {
        self.strings
    }

    /// The header's `boot_cpuid_phys`.
    #[must_use]
    pub fn boot_cpu(&self) -> u32 {
        self.boot_cpu
    }

    /// How many nodes' beginnings and ends and properties there are: what a pass over the tree costs. Never more than
    /// a quarter of the structure block's bytes.
    #[must_use]
    pub fn token_count(&self) -> usize {
        self.token_count
    }

    /// The tokens, from the root's beginning.
    #[must_use]
    pub fn tokens(&self) -> Tokens<'a> {
        let (start, end) = self.structure;
        Tokens::new(self.tree, self.strings, start, end)
    }

    /// The entries of the memory reservation block.
    #[must_use]
    pub fn reservations(&self) -> Reservations<'a> {
        Reservations(self.reservations)
    }
}

impl fmt::Debug for Fdt<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Fdt")
            .field("size", &self.bytes().len())
            .field("tokens", &self.token_count)
            .finish_non_exhaustive()
    }
}

/// The entries of the memory reservation block: address and size in bytes.
#[derive(Clone, Debug)]
pub struct Reservations<'a>(&'a [u8]);

impl Iterator for Reservations<'_> {
    type Item = (u64, u64);

    fn next(&mut self) -> Option<Self::Item> {
        let (address, rest) = self.0.split_first_chunk()?;
        let (size, rest) = rest.split_first_chunk()?;
        self.0 = rest;
        Some((u64::from_be_bytes(*address), u64::from_be_bytes(*size)))
    }
}

/// The fields of the header that are read here (Devicetree Specification v0.4, 5.2).
struct Header {
    structure: usize,
    strings: usize,
    reservations: usize,
    version: u32,
    last_compatible: u32,
    boot_cpu: u32,
    strings_size: usize,
    structure_size: usize,
}

impl Header {
    /// Reads the header of a blob that is long enough to have one.
    fn read(blob: &[u8]) -> Self {
        let field = |number: usize| word(blob, number * 4).unwrap_or(0);
        Self {
            structure: field(2) as usize,
            strings: field(3) as usize,
            reservations: field(4) as usize,
            version: field(5),
            last_compatible: field(6),
            boot_cpu: field(7),
            strings_size: field(8) as usize,
            structure_size: field(9) as usize,
        }
    }
}

/// The `size` bytes at `offset`, behind the header and inside of the blob.
fn block(blob: &[u8], block: Block, offset: usize, size: usize, alignment: usize) -> Result<&[u8], FdtError> {
    offset
        .checked_add(size)
        .filter(|_| offset >= HEADER_SIZE && offset.is_multiple_of(alignment))
        .and_then(|end| blob.get(offset..end))
        .ok_or(FdtError::Misplaced { block, offset, size })
}

/// The reservation block's entries without the pair of zeroes that ends them.
fn reservation_block(blob: &[u8], offset: usize) -> Result<&[u8], FdtError> {
    let size = blob.len().saturating_sub(offset);
    let rest = block(blob, Block::Reservations, offset, size, ALIGNMENT)?;
    let count = Reservations(rest)
        .position(|entry| entry == (0, 0))
        .ok_or(FdtError::Unfinished {
            block: Block::Reservations,
            offset,
        })?;
    Ok(rest.get(..count * RESERVATION_SIZE).unwrap_or_default())
}

/// Checks that there is one root, that each node ends, that properties stand before children, and what names are made
/// of. Gives the number of tokens.
fn check_order(mut tokens: Tokens<'_>) -> Result<usize, FdtError> {
    let mut depth = 0_usize;
    let mut count = 0_usize;
    let mut in_header = false;
    loop {
        let offset = tokens.offset();
        match tokens.next()? {
            Some(Token::BeginNode(name)) => {
                if depth == 0 && count > 0 {
                    return Err(FdtError::Misordered { offset });
                }
                if name.is_empty() != (depth == 0) || !is_text(name) || name.contains(&b'/') {
                    return Err(FdtError::NodeName { offset });
                }
                if depth == MAX_DEPTH {
                    return Err(FdtError::TooDeep { offset });
                }
                depth += 1;
                in_header = true;
            }
            Some(Token::Property(property)) if in_header => {
                if property.name.is_empty() || !is_text(property.name) {
                    return Err(FdtError::PropertyName { offset });
                }
            }
            Some(Token::EndNode) if depth > 0 => {
                depth -= 1;
                in_header = false;
            }
            None if depth == 0 && count > 0 => return Ok(count),
            _ => return Err(FdtError::Misordered { offset }),
        }
        count += 1;
    }
}

fn is_text(name: &[u8]) -> bool {
    name.iter().all(u8::is_ascii_graphic)
}
