//! An I2C bus with targets that answer, and somebody who disturbs it when told to.

use std::collections::BTreeMap;
use std::vec::Vec;

/// What is seen on the bus.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Symbol {
    /// A start, repeated or not, and the byte behind it, with the acknowledgement.
    Start {
        /// The seven bits of the address.
        address: u8,
        /// The direction.
        read: bool,
        /// Somebody acknowledged.
        acknowledged: bool,
    },
    /// A byte to the target, acknowledged or not.
    Written(u8, bool),
    /// A byte from the target, acknowledged or not.
    Read(u8, bool),
    /// A stop.
    Stop,
}

/// A target like a small EEPROM: the first byte that is written after a start is where the others go, and where is read
/// from.
#[derive(Clone, Debug)]
pub struct Memory {
    /// What it holds.
    pub bytes: [u8; 256],
    /// How many bytes it takes in a row before it stops acknowledging.
    pub takes: usize,
    place: u8,
    taken: usize,
}

impl Default for Memory {
    fn default() -> Self {
        Self {
            bytes: [0; 256],
            takes: usize::MAX,
            place: 0,
            taken: 0,
        }
    }
}

impl Memory {
    fn write(&mut self, byte: u8) -> bool {
        if self.taken == self.takes {
            return false;
        }
        if self.taken == 0 {
            self.place = byte;
        } else {
            self.bytes[usize::from(self.place)] = byte;
            self.place = self.place.wrapping_add(1);
        }
        self.taken += 1;
        true
    }

    fn read(&mut self) -> u8 {
        let byte = self.bytes[usize::from(self.place)];
        self.place = self.place.wrapping_add(1);
        byte
    }
}

/// What goes wrong on a bus.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// Another controller wins.
    Arbitration,
    /// A stop in the middle of a byte.
    Protocol,
    /// Somebody holds the clock.
    ClockHeld,
    /// The controller thinks that it is done.
    EndsEarly,
    /// The controller sees another one win, and hangs.
    Hangs,
}

/// Who is spoken to.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Spoken {
    Nobody,
    Target(u16),
    /// The first byte of an address of ten bits.
    Half(u16),
}

/// The bus.
pub struct Bus {
    /// Targets with addresses of seven bits.
    pub targets: BTreeMap<u8, Memory>,
    /// Targets with addresses of ten bits.
    pub wide_targets: BTreeMap<u16, Memory>,
    /// What happens, and after how many bytes.
    pub trouble: Option<(Trouble, usize)>,
    symbols: Vec<Symbol>,
    spoken: Spoken,
    wide: Option<u16>,
    idle: bool,
}

impl Default for Bus {
    fn default() -> Self {
        Self {
            targets: BTreeMap::new(),
            wide_targets: BTreeMap::new(),
            trouble: None,
            symbols: Vec::new(),
            spoken: Spoken::Nobody,
            wide: None,
            idle: true,
        }
    }
}

impl Bus {
    /// All that was seen on the bus so far.
    #[must_use]
    pub fn symbols(&self) -> &[Symbol] {
        &self.symbols
    }

    /// Nobody has the bus.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.idle
    }

    /// Something goes wrong with the next byte: then what.
    pub fn disturbed(&mut self) -> Option<Trouble> {
        let (trouble, after) = self.trouble.as_mut()?;
        if let Some(left) = after.checked_sub(1) {
            *after = left;
            return None;
        }
        let trouble = *trouble;
        if !matches!(trouble, Trouble::ClockHeld | Trouble::Hangs) {
            self.trouble = None;
        }
        Some(trouble)
    }

    /// A start and the byte behind it. `true` when somebody acknowledges.
    pub fn start(&mut self, address: u8, read: bool) -> bool {
        self.idle = false;
        let half = u16::from(address & 0b11) << 8;
        let begins_ten = address >> 2 == 0b1_1110;
        self.spoken = if self.targets.contains_key(&address) {
            Spoken::Target(address.into())
        } else if begins_ten && read && self.wide.is_some_and(|wide| wide & 0x300 == half) {
            Spoken::Target(0x8000 | self.wide.unwrap_or(0))
        } else if begins_ten && !read && self.wide_targets.keys().any(|wide| wide & 0x300 == half) {
            Spoken::Half(half)
        } else {
            Spoken::Nobody
        };
        if let Some(target) = self.target() {
            target.taken = 0;
        }
        let acknowledged = self.spoken != Spoken::Nobody;
        self.symbols.push(Symbol::Start {
            address,
            read,
            acknowledged,
        });
        acknowledged
    }

    /// A byte to whom was spoken to. `true` when it is acknowledged.
    pub fn write(&mut self, byte: u8) -> bool {
        let acknowledged = if let Spoken::Half(half) = self.spoken {
            let wide = half | u16::from(byte);
            self.spoken = Spoken::Target(0x8000 | wide);
            self.wide = self.wide_targets.contains_key(&wide).then_some(wide);
            if let Some(target) = self.target() {
                target.taken = 0;
            }
            self.wide.is_some()
        } else {
            self.target().is_some_and(|target| target.write(byte))
        };
        self.symbols.push(Symbol::Written(byte, acknowledged));
        acknowledged
    }

    /// A byte from whom was spoken to, to be acknowledged or not.
    pub fn read(&mut self, acknowledge: bool) -> u8 {
        let byte = self.target().map_or(0xff, Memory::read);
        self.symbols.push(Symbol::Read(byte, acknowledge));
        byte
    }

    /// A stop.
    pub fn stop(&mut self) {
        self.symbols.push(Symbol::Stop);
        self.spoken = Spoken::Nobody;
        self.wide = None;
        self.idle = true;
    }

    fn target(&mut self) -> Option<&mut Memory> {
        match self.spoken {
            Spoken::Target(wide) if wide & 0x8000 != 0 => self.wide_targets.get_mut(&(wide & 0x3ff)),
            Spoken::Target(address) => self.targets.get_mut(&(address as u8)),
            Spoken::Half(_) | Spoken::Nobody => None,
        }
    }
}
