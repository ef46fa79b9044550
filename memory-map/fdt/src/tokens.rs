//! The structure block, token by token (Devicetree Specification v0.4, 5.4).

use crate::{Block, FdtError};
use fdt_rs::base::DevTree;
use fdt_rs::base::parse::{DevTreeParseIter, ParsedTok};
use fdt_rs::prelude::FallibleIterator;
use fdt_rs::spec::MAX_NODE_NAME_LEN;

/// The longest name of a node or property, in bytes. The specification says 31 without the unit address; the longest
/// node name in Linux 6.12's Qualcomm trees has 40, the longest property name 46.
pub const MAX_NAME: usize = 127;

const WORD: usize = 4;
const BEGIN_NODE: u32 = 1;
const END_NODE: u32 = 2;
const PROPERTY: u32 = 3;
const NOP: u32 = 4;
const END: u32 = 9;

/// A property, as it stands in the blob.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Property<'a> {
    /// Its name: printable ASCII, not empty.
    pub name: &'a [u8],
    /// Where the name starts in the strings block.
    pub name_offset: u32,
    /// Its value, of any length.
    pub value: &'a [u8],
}

/// A token of the structure block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Token<'a> {
    /// A node starts: its name is printable ASCII, empty for the root.
    BeginNode(&'a [u8]),
    /// A property of the node that started last.
    Property(Property<'a>),
    /// The innermost node ends.
    EndNode,
}

/// A reader of tokens. It never reads outside of the structure and strings blocks, and moves on by at least four bytes
/// with each step, so the number of steps is bounded by the size of the block.
#[derive(Clone, Copy)]
pub struct Tokens<'a> {
    tree: DevTree<'a>,
    strings: &'a [u8],
    /// The blob up to the end of the structure block.
    block: &'a [u8],
    offset: usize,
}

impl<'a> Tokens<'a> {
    /// The tokens from `start` on, none of which may reach beyond `end`. Both are offsets into the blob of `tree`,
    /// `start` a multiple of four.
    pub(crate) fn new(tree: DevTree<'a>, strings: &'a [u8], start: usize, end: usize) -> Self {
        Self {
            tree,
            strings,
            block: tree.buf().get(..end).unwrap_or_default(),
            offset: start,
        }
    }

    /// Where the next token starts, in bytes from the start of the blob.
    #[must_use]
    pub fn offset(&self) -> usize {
        self.offset
    }

    /// The next token, or `None` at the end of the tree. `FDT_NOP` is stepped over.
    ///
    /// # Errors
    /// As [`Fdt::new`](crate::Fdt::new). On a tree that it has accepted there are none.
    #[allow(clippy::should_implement_trait, reason = "a fallible reader is no Iterator")]
    pub fn next(&mut self) -> Result<Option<Token<'a>>, FdtError> {
        loop {
            let at = self.offset;
            match self.word(at)? {
                BEGIN_NODE => return self.begin_node(at).map(Some),
                PROPERTY => return self.property(at).map(|property| Some(Token::Property(property))),
                END_NODE => return self.cut(at).map(|_| Some(Token::EndNode)),
                NOP => self.cut(at).map(drop)?,
                END => return Ok(None),
                word => return Err(FdtError::Token { offset: at, word }),
            }
        }
    }

    /// The next token if it is a property, else `None`, and the reader stays where it is.
    ///
    /// # Errors
    /// As [`Tokens::next`].
    pub fn next_property(&mut self) -> Result<Option<Property<'a>>, FdtError> {
        loop {
            let at = self.offset;
            match self.word(at)? {
                PROPERTY => return self.property(at).map(Some),
                NOP => self.cut(at).map(drop)?,
                _ => return Ok(None),
            }
        }
    }

    fn begin_node(&mut self, at: usize) -> Result<Token<'a>, FdtError> {
        let name = self.block.get(at + WORD..).and_then(name);
        let name = name.ok_or(FdtError::NodeName { offset: at })?;
        // What fdt-rs takes includes the NUL, and falls one short of its constant.
        if name.len() + 1 < MAX_NODE_NAME_LEN {
            self.cut(at)?;
        } else {
            self.offset = (at + WORD + name.len() + 1).next_multiple_of(WORD);
        }
        Ok(Token::BeginNode(name))
    }

    fn property(&mut self, at: usize) -> Result<Property<'a>, FdtError> {
        let len = self.word(at + WORD)? as usize;
        let name_offset = self.word(at + 2 * WORD)?;
        if len > self.block.len() - (at + 3 * WORD) {
            return Err(unfinished(at));
        }
        let name = self.strings.get(name_offset as usize..).and_then(name);
        let name = name.ok_or(FdtError::PropertyName { offset: at })?;
        match self.cut(at)? {
            ParsedTok::Prop(property) => Ok(Property {
                name,
                name_offset,
                value: property.prop_buf,
            }),
            _ => Err(FdtError::Refused { offset: at }),
        }
    }

    /// Lets `fdt-rs` cut the token at `at`, which has been checked.
    fn cut(&mut self, at: usize) -> Result<ParsedTok<'a>, FdtError> {
        // fdt-rs asserts that something follows the token; FDT_END must.
        if at + 2 * WORD > self.block.len() {
            return Err(unfinished(at));
        }
        let mut reader = DevTreeParseIter {
            offset: at,
            fdt: &self.tree,
        };
        let token = reader.next();
        self.offset = reader.offset;
        match token {
            Ok(Some(token)) => Ok(token),
            _ => Err(FdtError::Refused { offset: at }),
        }
    }

    fn word(&self, at: usize) -> Result<u32, FdtError> {
        word(self.block, at).ok_or(unfinished(at))
    }
}

fn unfinished(offset: usize) -> FdtError {
    FdtError::Unfinished {
        block: Block::Structure,
        offset,
    }
}

/// The big-endian word at byte `at` of `bytes`.
pub(crate) fn word(bytes: &[u8], at: usize) -> Option<u32> {
    let (word, _) = bytes.get(at..)?.split_first_chunk()?;
    Some(u32::from_be_bytes(*word))
}

/// The name at the start of `bytes`: all up to a NUL, at most [`MAX_NAME`] bytes.
fn name(bytes: &[u8]) -> Option<&[u8]> {
    let window = bytes.get(..=MAX_NAME).unwrap_or(bytes);
    let len = window.iter().position(|byte| *byte == 0)?;
    window.get(..len)
}
