//! A blob, written front to back into a buffer.

use super::WriteError;
use super::node::{Node, Prop, Value};
use crate::tree::NodeName;
use heapless::Vec;
use leasehold_fdt::{HEADER_SIZE, MAX_NAME};

const MAGIC: u32 = 0xd00d_feed;
const VERSION: u32 = 17;
/// The oldest version whose readers read this one (Devicetree Specification v0.4, 5.2).
const LAST_COMPATIBLE_VERSION: u32 = 16;

const BEGIN_NODE: u32 = 1;
const END_NODE: u32 = 2;
const PROPERTY: u32 = 3;
const END: u32 = 9;

/// How many names of properties may be written that are not in the strings block to begin with.
const MAX_NEW_NAMES: usize = 48;

/// Where the name of a property is in the strings block.
#[derive(Clone, Copy)]
pub(super) struct NameOffset(u32);

impl NameOffset {
    /// A name that stands in the strings block that the writer was given.
    pub fn in_old_strings(offset: u32) -> Self {
        Self(offset)
    }
}

/// Writes a blob: reservations, structure, strings. The strings block is one that there is already, with the names
/// behind it that are new.
pub(super) struct Writer<'o, 'n> {
    out: &'o mut [u8],
    at: usize,
    structure: usize,
    old_strings: &'n [u8],
    new_names: Vec<&'n str, MAX_NEW_NAMES>,
}

impl<'o, 'n> Writer<'o, 'n> {
    /// Begins with the memory reservation block.
    pub fn new(
        out: &'o mut [u8],
        reservations: impl Iterator<Item = (u64, u64)>,
        old_strings: &'n [u8],
    ) -> Result<Self, WriteError> {
        let mut writer = Self {
            out,
            at: HEADER_SIZE,
            structure: 0,
            old_strings,
            new_names: Vec::new(),
        };
        for (address, size) in reservations.chain([(0, 0)]) {
            writer.bytes(&address.to_be_bytes())?;
            writer.bytes(&size.to_be_bytes())?;
        }
        writer.structure = writer.at;
        Ok(writer)
    }

    /// Ends the tree and writes its header. Gives the size of the blob in bytes.
    pub fn finish(mut self, boot_cpu: u32) -> Result<usize, WriteError> {
        self.word(END)?;
        let strings = self.at;
        self.bytes(self.old_strings)?;
        for index in 0..self.new_names.len() {
            let name = self.new_names.get(index).copied().unwrap_or_default();
            self.bytes(name.as_bytes())?;
            self.bytes(&[0])?;
        }
        let end = self.at;
        self.at = 0;
        let header = [
            MAGIC as usize,
            end,
            self.structure,
            strings,
            HEADER_SIZE,
            VERSION as usize,
            LAST_COMPATIBLE_VERSION as usize,
            boot_cpu as usize,
            end - strings,
            strings - self.structure,
        ];
        for field in header {
            self.word(u32::try_from(field).map_err(|_| self.full())?)?;
        }
        Ok(end)
    }

    /// Begins a node whose name is known to be one.
    pub fn begin_raw(&mut self, name: &[u8]) -> Result<(), WriteError> {
        self.word(BEGIN_NODE)?;
        self.bytes(name)?;
        self.bytes(&[0])?;
        self.pad()
    }

    /// Begins a node.
    pub fn begin(&mut self, name: &str) -> Result<(), WriteError> {
        check_name(name)?;
        self.begin_raw(name.as_bytes())
    }

    /// Ends the innermost node.
    pub fn end(&mut self) -> Result<(), WriteError> {
        self.word(END_NODE)
    }

    /// Writes a property whose name is in the strings block.
    pub fn raw(&mut self, name: NameOffset, value: &[u8]) -> Result<(), WriteError> {
        self.property(name, value.len())?;
        self.bytes(value)?;
        self.pad()
    }

    /// Begins a property whose value, of `len` bytes, the caller writes with [`Writer::cells`].
    pub fn property(&mut self, name: NameOffset, len: usize) -> Result<(), WriteError> {
        self.word(PROPERTY)?;
        self.word(u32::try_from(len).map_err(|_| self.full())?)?;
        self.word(name.0)
    }

    /// Writes a number of `cells` cells, at most two.
    pub fn cells(&mut self, number: u64, cells: u32) -> Result<(), WriteError> {
        match (cells, u32::try_from(number)) {
            (2, _) => self.bytes(&number.to_be_bytes()),
            (1, Ok(number)) => self.word(number),
            _ => Err(WriteError::Cells { number, cells }),
        }
    }

    /// Writes a property.
    pub fn prop(&mut self, prop: &Prop<'n>) -> Result<(), WriteError> {
        if prop.value == Value::Absent {
            return Ok(());
        }
        let name = self.intern(prop.name)?;
        match prop.value {
            Value::Empty | Value::Absent => self.raw(name, &[]),
            Value::Cell(cell) => self.raw(name, &cell.to_be_bytes()),
            Value::Cells(cells) => {
                self.property(name, cells.len() * 4)?;
                cells.iter().try_for_each(|cell| self.word(*cell))
            }
            Value::Number(number) => self.raw(name, &number.to_be_bytes()),
            Value::Text(text) => self.texts(name, &[text]),
            Value::Texts(texts) => self.texts(name, texts),
            Value::Bytes(bytes) => self.raw(name, bytes),
        }
    }

    /// Writes a node with all that is in it. As deep as the value is nested.
    pub fn node(&mut self, node: &Node<'n>) -> Result<(), WriteError> {
        if node.name.is_empty() {
            return Err(WriteError::Name(NodeName::new(b"")));
        }
        self.begin(node.name)?;
        node.props.iter().try_for_each(|prop| self.prop(prop))?;
        node.children.iter().try_for_each(|child| self.node(child))?;
        self.end()
    }

    fn texts(&mut self, name: NameOffset, texts: &[&str]) -> Result<(), WriteError> {
        self.property(name, texts.iter().map(|text| text.len() + 1).sum())?;
        for text in texts {
            self.bytes(text.as_bytes())?;
            self.bytes(&[0])?;
        }
        self.pad()
    }

    /// The place of `name` among the new names, where it is put if it is not there.
    pub fn intern(&mut self, name: &'n str) -> Result<NameOffset, WriteError> {
        let mut offset = self.old_strings.len();
        for known in &self.new_names {
            if *known == name {
                return self.name_offset(offset);
            }
            offset += known.len() + 1;
        }
        check_name(name)?;
        self.new_names.push(name).map_err(|_| WriteError::TooMany {
            what: "new names of properties",
            limit: MAX_NEW_NAMES,
        })?;
        self.name_offset(offset)
    }

    fn name_offset(&self, offset: usize) -> Result<NameOffset, WriteError> {
        u32::try_from(offset).map(NameOffset).map_err(|_| self.full())
    }

    fn pad(&mut self) -> Result<(), WriteError> {
        let pad = self.at.next_multiple_of(4) - self.at;
        self.bytes([0; 3].get(..pad).unwrap_or_default())
    }

    fn word(&mut self, word: u32) -> Result<(), WriteError> {
        self.bytes(&word.to_be_bytes())
    }

    /// Writes bytes as they are.
    pub fn bytes(&mut self, bytes: &[u8]) -> Result<(), WriteError> {
        let end = self.at.checked_add(bytes.len());
        let room = end.and_then(|end| self.out.get_mut(self.at..end));
        let (Some(room), Some(end)) = (room, end) else {
            return Err(self.full());
        };
        room.copy_from_slice(bytes);
        self.at = end;
        Ok(())
    }

    fn full(&self) -> WriteError {
        WriteError::Space { room: self.out.len() }
    }
}

/// Whether readers take `name` for a name.
fn check_name(name: &str) -> Result<(), WriteError> {
    let fits = name.len() <= MAX_NAME && name.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'/');
    fits.then_some(())
        .ok_or(WriteError::Name(NodeName::new(name.as_bytes())))
}

/// A number in lower-case hexadecimal, as unit addresses have it.
pub(super) struct Hex {
    digits: [u8; 16],
    first: usize,
}

impl Hex {
    pub fn new(number: u64) -> Self {
        let mut hex = Self {
            digits: [b'0'; 16],
            first: 16,
        };
        let mut rest = number;
        for (index, digit) in hex.digits.iter_mut().enumerate().rev() {
            let value = (rest & 0xf) as u8;
            *digit = if value < 10 { b'0' + value } else { b'a' + value - 10 };
            hex.first = index;
            rest >>= 4;
            if rest == 0 {
                break;
            }
        }
        hex
    }

    pub fn digits(&self) -> &[u8] {
        self.digits.get(self.first..).unwrap_or_default()
    }
}
