//! Checks that what a frame says of its lengths fits in the frame.
//!
//! `defmt-decoder` reserves memory for as many elements as a length field says, and recurses as deep as the indices
//! lead it. In a frame that lost some bytes both may be anything, so they are checked first.

use super::{decoder::MAX_FRAME, strings::Strings};
use defmt_parser::{Fragment, Parameter, ParserMode, Type};
use std::collections::BTreeMap;

/// How deep values may be nested. EL2's own go to about four.
const MAX_DEPTH: usize = 32;

/// A walk over the arguments of a frame.
pub(super) struct Walk<'s, 'b> {
    strings: &'s Strings,
    rest: &'b [u8],
    /// How many more elements of slices and sequences there may be. Elements of no size take nothing from `rest`.
    elements: usize,
}

/// The arguments do not fit.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Misfit;

impl<'s, 'b> Walk<'s, 'b> {
    /// A walk over a frame, behind its index.
    pub(super) fn new(strings: &'s Strings, arguments: &'b [u8]) -> Self {
        Walk {
            strings,
            rest: arguments,
            elements: MAX_FRAME,
        }
    }

    /// What is left behind the arguments walked over.
    pub(super) fn rest(&self) -> &'b [u8] {
        self.rest
    }

    /// Walks over the arguments of one format string.
    pub(super) fn format(&mut self, format: &str) -> Result<(), Misfit> {
        self.arguments(format, 0)
    }

    fn arguments(&mut self, format: &str, depth: usize) -> Result<(), Misfit> {
        if depth > MAX_DEPTH {
            return Err(Misfit);
        }
        for ty in argument_types(format)?.into_values() {
            self.argument(&ty, depth)?;
        }
        Ok(())
    }

    fn argument(&mut self, ty: &Type, depth: usize) -> Result<(), Misfit> {
        match ty {
            Type::Bool | Type::I8 | Type::U8 => self.skip(1),
            Type::I16 | Type::U16 => self.skip(2),
            Type::I32 | Type::U32 | Type::F32 | Type::Char | Type::Isize | Type::Usize => self.skip(4),
            Type::I64 | Type::U64 | Type::F64 => self.skip(8),
            Type::I128 | Type::U128 => self.skip(16),
            Type::BitField(bits) => self.skip(bit_field_size(bits.start, bits.end)?),
            Type::Str | Type::U8Slice => {
                let length = self.u32()?;
                self.skip(length)
            }
            Type::U8Array(length) => self.skip(*length),
            Type::IStr => self.nested().map(drop),
            Type::Debug | Type::Display => {
                let end = self.rest.iter().position(|&byte| byte == 0xff).ok_or(Misfit)?;
                self.skip(end + 1)
            }
            Type::Format => {
                let format = self.nested()?;
                self.value(format, depth)
            }
            Type::FormatArray(count) => self.elements(*count, depth),
            Type::FormatSlice => {
                let count = self.u32()?;
                self.elements(count, depth)
            }
            Type::FormatSequence => self.sequence(depth),
        }
    }

    /// Elements of one type: its format, then each one's arguments.
    fn elements(&mut self, count: usize, depth: usize) -> Result<(), Misfit> {
        let format = self.nested()?;
        for _ in 0..self.take_elements(count)? {
            self.value(format, depth)?;
        }
        Ok(())
    }

    /// Values of any types, each with its format, until an index of 0.
    fn sequence(&mut self, depth: usize) -> Result<(), Misfit> {
        loop {
            let index = self.u16()?;
            if index == 0 {
                return Ok(());
            }
            self.take_elements(1)?;
            let format = self.strings.nested(index).ok_or(Misfit)?;
            self.arguments(format, depth + 1)?;
        }
    }

    /// A value. The format of an enum has its variants' formats between bars, and a discriminant picks one.
    fn value(&mut self, format: &str, depth: usize) -> Result<(), Misfit> {
        let bars = format.bytes().filter(|&byte| byte == b'|').count();
        if bars == 0 {
            return self.arguments(format, depth + 1);
        }
        let discriminant = match bars {
            0..=0xff => self.take(1)?[0].into(),
            0x100..=0xffff => self.u16()?.into(),
            _ => return Err(Misfit),
        };
        let variant = format.split('|').nth(discriminant).ok_or(Misfit)?;
        self.arguments(variant, depth + 1)
    }

    fn nested(&mut self) -> Result<&'s str, Misfit> {
        let index = self.u16()?;
        self.strings.nested(index).ok_or(Misfit)
    }

    fn take_elements(&mut self, count: usize) -> Result<usize, Misfit> {
        self.elements = self.elements.checked_sub(count).ok_or(Misfit)?;
        Ok(count)
    }

    fn u16(&mut self) -> Result<u16, Misfit> {
        let bytes = self.take(2)?;
        Ok(u16::from_le_bytes([bytes[0], bytes[1]]))
    }

    fn u32(&mut self) -> Result<usize, Misfit> {
        let bytes = self.take(4)?;
        usize::try_from(u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]])).map_err(|_| Misfit)
    }

    fn skip(&mut self, count: usize) -> Result<(), Misfit> {
        self.take(count).map(drop)
    }

    fn take(&mut self, count: usize) -> Result<&'b [u8], Misfit> {
        let (taken, rest) = self.rest.split_at_checked(count).ok_or(Misfit)?;
        self.rest = rest;
        Ok(taken)
    }
}

/// The type of each argument, by its number. Bit fields of one argument travel as the part that covers all of them.
fn argument_types(format: &str) -> Result<BTreeMap<usize, Type>, Misfit> {
    let fragments = defmt_parser::parse(format, ParserMode::ForwardsCompatible).map_err(|_| Misfit)?;
    let mut types = BTreeMap::new();
    for fragment in fragments {
        let Fragment::Parameter(Parameter { index, ty, .. }) = fragment else {
            continue;
        };
        types
            .entry(index)
            .and_modify(|known: &mut Type| {
                if let (Type::BitField(known), Type::BitField(bits)) = (known, &ty) {
                    *known = known.start.min(bits.start)..known.end.max(bits.end);
                }
            })
            .or_insert(ty);
    }
    Ok(types)
}

/// How many bytes carry the bits `start..end`: whole bytes, rounded up to the next integer type.
fn bit_field_size(start: u8, end: u8) -> Result<usize, Misfit> {
    let last = end.checked_sub(1).filter(|&last| last >= start).ok_or(Misfit)?;
    match last / 8 - start / 8 + 1 {
        bytes @ 1..=16 => Ok(usize::from(bytes).next_power_of_two()),
        _ => Err(Misfit),
    }
}
