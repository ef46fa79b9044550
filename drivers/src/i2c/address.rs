//! From transactions of `embedded_hal` to messages: what goes over the bus between two starts.

use super::Error;
use embedded_hal::i2c::Operation;

/// The first bits of a first byte that begins an address of ten bits (I2C-bus specification, UM10204, 3.1.11).
const TEN_BITS: u8 = 0b111_1000;

/// A target's address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Address {
    Seven(u8),
    Ten(u16),
}

impl Address {
    /// An address of seven bits.
    pub const fn seven(address: u8) -> Result<Self, Error> {
        if address < 1 << 7 {
            Ok(Self::Seven(address))
        } else {
            Err(Error::Address(address as u16))
        }
    }

    /// An address of ten bits.
    pub const fn ten(address: u16) -> Result<Self, Error> {
        if address < 1 << 10 {
            Ok(Self::Ten(address))
        } else {
            Err(Error::Address(address))
        }
    }

    /// What follows a start, without the direction.
    const fn first(self) -> u8 {
        match self {
            Self::Seven(address) => address,
            Self::Ten(address) => TEN_BITS | (address >> 8) as u8,
        }
    }

    /// What follows that when it is written to.
    const fn second(self) -> Option<u8> {
        match self {
            Self::Seven(_) => None,
            Self::Ten(address) => Some(address as u8),
        }
    }
}

/// What goes over the bus between two starts.
pub(crate) struct Message<'m, 'o> {
    /// The seven bits behind the start.
    pub address: u8,
    /// A byte that is written before the others.
    prefix: Option<u8>,
    /// All reads, or all writes.
    operations: &'m mut [Operation<'o>],
    /// Another message follows.
    pub more: bool,
    read: bool,
}

impl Message<'_, '_> {
    /// It reads from the target.
    pub const fn is_read(&self) -> bool {
        self.read
    }

    /// How many bytes it has behind the address.
    pub fn len(&self) -> usize {
        let bytes = |operation: &Operation<'_>| match operation {
            Operation::Read(bytes) => bytes.len(),
            Operation::Write(bytes) => bytes.len(),
        };
        self.address_bytes() + self.operations.iter().map(bytes).sum::<usize>()
    }

    /// How many of those belong to the address, too.
    pub const fn address_bytes(&self) -> usize {
        self.prefix.is_some() as usize
    }

    /// The bytes that it writes.
    pub fn written(&self) -> impl Iterator<Item = u8> {
        let bytes = self.operations.iter().flat_map(|operation| match operation {
            Operation::Write(bytes) => *bytes,
            Operation::Read(_) => &[],
        });
        self.prefix.into_iter().chain(bytes.copied())
    }

    /// Where the bytes go that it reads.
    pub fn read(&mut self) -> impl Iterator<Item = &mut u8> {
        self.operations.iter_mut().flat_map(|operation| match operation {
            Operation::Read(bytes) => bytes.iter_mut(),
            Operation::Write(_) => core::slice::IterMut::default(),
        })
    }
}

/// The messages of a transaction, one by one.
pub(crate) struct Messages<'m, 'o> {
    address: Address,
    rest: &'m mut [Operation<'o>],
    begun: bool,
}

impl<'m, 'o> Messages<'m, 'o> {
    pub fn new(address: Address, operations: &'m mut [Operation<'o>]) -> Self {
        Self {
            address,
            rest: operations,
            begun: false,
        }
    }
}

fn is_read(operation: &Operation<'_>) -> bool {
    matches!(operation, Operation::Read(_))
}

impl<'m, 'o> Iterator for Messages<'m, 'o> {
    type Item = Message<'m, 'o>;

    fn next(&mut self) -> Option<Message<'m, 'o>> {
        let read = is_read(self.rest.first()?);
        // A target with ten bits is written to before it is read from, if only the second half of its address.
        let introduces = read && !self.begun && self.address.second().is_some();
        self.begun = true;
        let alike = self.rest.iter().take_while(|operation| is_read(operation) == read);
        let count = if introduces { 0 } else { alike.count() };
        let (operations, rest) = core::mem::take(&mut self.rest).split_at_mut(count);
        self.rest = rest;
        let read = read && !introduces;
        Some(Message {
            address: self.address.first(),
            prefix: if read { None } else { self.address.second() },
            operations,
            more: !self.rest.is_empty(),
            read,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::vec::Vec;

    fn seen(address: Address, operations: &mut [Operation<'_>]) -> Vec<(u8, bool, Vec<u8>, usize, bool)> {
        Messages::new(address, operations)
            .map(|mut message| {
                let written = message.written().collect();
                message.read().for_each(|byte| *byte = 9);
                (message.address, message.is_read(), written, message.len(), message.more)
            })
            .collect()
    }

    #[test]
    fn operations_alike_are_one_message() {
        let (mut one, mut two) = ([0; 1], [0; 2]);
        let mut operations = [
            Operation::Write(&[1, 2]),
            Operation::Write(&[]),
            Operation::Write(&[3]),
            Operation::Read(&mut one),
            Operation::Read(&mut two),
            Operation::Write(&[4]),
        ];
        let address = Address::seven(0x50).unwrap();
        assert_eq!(
            seen(address, &mut operations),
            [
                (0x50, false, [1, 2, 3].into(), 3, true),
                (0x50, true, [].into(), 3, true),
                (0x50, false, [4].into(), 1, false)
            ]
        );
        assert_eq!((one, two), ([9], [9; 2]));
        assert_eq!(seen(address, &mut []), []);
    }

    #[test]
    fn ten_bits_are_announced() {
        let mut byte = [0];
        let address = Address::ten(0x2a5).unwrap();
        assert_eq!(
            seen(
                address,
                &mut [
                    Operation::Write(&[1]),
                    Operation::Read(&mut byte),
                    Operation::Write(&[2])
                ]
            ),
            [
                (0x7a, false, [0xa5, 1].into(), 2, true),
                (0x7a, true, [].into(), 1, true),
                (0x7a, false, [0xa5, 2].into(), 2, false)
            ]
        );
        assert_eq!(
            seen(address, &mut [Operation::Read(&mut byte)]),
            [(0x7a, false, [0xa5].into(), 1, true), (0x7a, true, [].into(), 1, false)]
        );
    }

    #[test]
    fn addresses_have_their_bits() {
        assert_eq!(Address::seven(0x80), Err(Error::Address(0x80)));
        assert_eq!(Address::ten(0x400), Err(Error::Address(0x400)));
        assert!(Address::seven(0x7f).is_ok() && Address::ten(0x3ff).is_ok());
    }
}
