//! The command database: which resources there are, at which addresses, with which data.
//!
//! Layout: Linux `drivers/soc/qcom/cmd-db.c`, checked against coreboot `src/soc/qualcomm/common/cmd_db.c`. All of it is
//! firmware's: each offset and count in it is checked before it is used. The memory must be mapped so that it is not
//! cached, as a cached access breaks a protection that firmware has set up (Linux, cmd_db_dev_probe).

use crate::mmio::{Io, Mmio};
use leasehold_memory_map::PhysRange;

/// "db" and a version, at offset 4 (CMD_DB_MAGIC).
const MAGIC: u32 = u32::from_le_bytes([0xdb, 0x30, 0x03, 0x0c]);

const MAGIC_AT: usize = 4;
const KINDS_AT: usize = 8;
/// Kinds of resources, each with a header of 16 bytes (MAX_SLV_ID, struct rsc_hdr).
const KINDS: usize = 8;
const KIND_SIZE: usize = 16;
/// What offsets are from: behind the headers, a checksum and a reserved word (struct cmd_db_header).
const DATA_AT: usize = KINDS_AT + KINDS * KIND_SIZE + 8;
/// The size of an entry (struct entry_header).
const ENTRY_SIZE: usize = 24;

/// Why the database, or something in it, cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum CmdDbError {
    /// There is something else: the value is there instead of the magic.
    NotThere(u32),
    /// It points behind its end.
    Malformed,
}

impl core::fmt::Display for CmdDbError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Self::NotThere(found) => write!(f, "no command database, but {found:#x}"),
            Self::Malformed => f.write_str("the command database points behind its end"),
        }
    }
}

impl core::error::Error for CmdDbError {}

/// What does what a resource is asked for (enum cmd_db_hw_type).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Accelerator {
    /// Levels of power rails.
    Arc,
    /// Regulators and clock buffers.
    Vrm,
    /// Bandwidth of interconnects.
    Bcm,
    /// Another one.
    Other(u8),
}

/// A resource.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Resource {
    id: [u8; 8],
    /// The address that commands for it are sent to.
    pub address: u32,
    data: (usize, usize),
}

impl Resource {
    /// Its name, if that is text.
    #[must_use]
    pub fn name(&self) -> Option<&str> {
        let end = self.id.iter().position(|byte| *byte == 0).unwrap_or(self.id.len());
        core::str::from_utf8(&self.id[..end]).ok()
    }

    /// What does what it is asked for: bits 18:16 of its address (SLAVE_ID_SHIFT, SLAVE_ID_MASK).
    #[must_use]
    pub const fn accelerator(&self) -> Accelerator {
        match self.address >> 16 & 0b111 {
            3 => Accelerator::Arc,
            4 => Accelerator::Vrm,
            5 => Accelerator::Bcm,
            other => Accelerator::Other(other as u8),
        }
    }

    /// How many bytes of data it has.
    #[must_use]
    pub const fn data_len(&self) -> usize {
        self.data.1
    }
}

/// The database.
#[derive(Debug)]
pub struct CmdDb<I = Mmio> {
    io: I,
    len: usize,
}

impl CmdDb<Mmio> {
    /// The database in `memory`.
    ///
    /// # Errors
    /// [`CmdDbError`].
    ///
    /// # Safety
    /// `memory` is mapped at its own addresses, readable, and not cached.
    pub unsafe fn new(memory: PhysRange) -> Result<Self, CmdDbError> {
        let len = usize::try_from(memory.len()).map_err(|_| CmdDbError::Malformed)?;
        // SAFETY: as the caller vouches; it is only read.
        Self::over(unsafe { Mmio::identity(memory) }, len)
    }
}

impl<I: Io> CmdDb<I> {
    /// The database behind `io`, in `len` bytes.
    ///
    /// # Errors
    /// [`CmdDbError`].
    pub fn over(io: I, len: usize) -> Result<Self, CmdDbError> {
        if len < DATA_AT {
            return Err(CmdDbError::Malformed);
        }
        let magic = io.load(MAGIC_AT);
        if magic != MAGIC {
            return Err(CmdDbError::NotThere(magic));
        }
        Ok(Self { io, len })
    }

    /// All resources, until one cannot be read.
    pub fn resources(&self) -> impl Iterator<Item = Result<Resource, CmdDbError>> {
        let mut failed = false;
        (0..KINDS)
            .map(|kind| KINDS_AT + kind * KIND_SIZE)
            // The first kind without a number ends the list.
            .take_while(|at| self.half(*at) != 0)
            .flat_map(move |at| (0..usize::from(self.half(at + 6))).map(move |entry| self.entry(at, entry)))
            .take_while(move |resource| !core::mem::replace(&mut failed, resource.is_err()))
    }

    /// The resource of this name, of at most eight bytes.
    ///
    /// # Errors
    /// [`CmdDbError::Malformed`] when something before it cannot be read.
    pub fn find(&self, name: &str) -> Result<Option<Resource>, CmdDbError> {
        let mut id = [0; 8];
        let Some(place) = id.get_mut(..name.len()) else {
            return Ok(None);
        };
        place.copy_from_slice(name.as_bytes());
        self.resources()
            .find(|resource| !matches!(resource, Ok(other) if other.id != id))
            .transpose()
    }

    /// Copies a resource's data into `buf`, as far as it fits; the part that was copied is returned.
    pub fn read_data<'b>(&self, resource: &Resource, buf: &'b mut [u8]) -> &'b [u8] {
        let (at, len) = resource.data;
        let len = len.min(buf.len());
        for (place, at) in buf[..len].iter_mut().zip(at..) {
            *place = self.io.load(at);
        }
        &buf[..len]
    }

    fn entry(&self, kind: usize, entry: usize) -> Result<Resource, CmdDbError> {
        let at = self.inside(usize::from(self.half(kind + 2)) + entry * ENTRY_SIZE, ENTRY_SIZE)?;
        let (len, offset) = (usize::from(self.half(at + 20)), usize::from(self.half(at + 22)));
        let data = self.inside(usize::from(self.half(kind + 4)) + offset, len)?;
        Ok(Resource {
            id: core::array::from_fn(|byte| self.io.load(at + byte)),
            address: u32::from(self.half(at + 16)) | u32::from(self.half(at + 18)) << 16,
            data: (data, len),
        })
    }

    /// Where `offset` is, with `len` bytes behind it. Sums of a few 16-bit numbers do not overflow.
    fn inside(&self, offset: usize, len: usize) -> Result<usize, CmdDbError> {
        let at = DATA_AT + offset;
        if at + len <= self.len {
            Ok(at)
        } else {
            Err(CmdDbError::Malformed)
        }
    }

    /// A number of 16 bits, little-endian, wherever it is.
    fn half(&self, at: usize) -> u16 {
        u16::from_le_bytes([self.io.load(at), self.io.load(at + 1)])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mmio::Width;
    use proptest::prelude::*;
    use std::vec::Vec;

    struct Memory(Vec<u8>);

    impl Io for Memory {
        fn load<T: Width>(&self, offset: usize) -> T {
            assert!(offset.is_multiple_of(T::BYTES), "reads across {offset:#x}");
            let bytes = &self.0[offset..offset + T::BYTES];
            T::truncate(bytes.iter().rev().fold(0, |value, byte| value << 8 | u64::from(*byte)))
        }

        fn store<T: Width>(&self, _: usize, _: T) {
            panic!("writes the database")
        }

        fn publish(&self) {}

        fn observe(&self) {}
    }

    fn over(bytes: &[u8]) -> Result<CmdDb<Memory>, CmdDbError> {
        CmdDb::over(Memory(bytes.to_vec()), bytes.len())
    }

    /// Two regulators, one with data, and a rail with a name of eight bytes.
    fn database() -> Vec<u8> {
        let mut bytes = std::vec![0; DATA_AT];
        bytes[MAGIC_AT..8].copy_from_slice(&MAGIC.to_le_bytes());
        let kind = |slave: u16, header: u16, data: u16, count: u16| {
            [slave, header, data, count].map(u16::to_le_bytes).concat()
        };
        bytes[KINDS_AT..KINDS_AT + 8].copy_from_slice(&kind(4, 0, 72, 2));
        bytes[KINDS_AT + 16..KINDS_AT + 24].copy_from_slice(&kind(3, 48, 76, 1));
        let mut entry = |id: &[u8; 8], address: u32, len: u16, offset: u16| {
            bytes.extend(id);
            bytes.extend([0xee; 8]);
            bytes.extend(address.to_le_bytes());
            bytes.extend(len.to_le_bytes());
            bytes.extend(offset.to_le_bytes());
        };
        entry(b"smpa1\0\0\0", 0x4_0100, 0, 0);
        entry(b"ldoa2\0\0\0", 0x4_0200, 3, 1);
        entry(b"cx.level", 0x3_0080, 2, 0);
        bytes.extend([0, 1, 2, 3, 4, 5]);
        bytes
    }

    #[test]
    fn resources_are_found_with_their_data() {
        let db = over(&database()).unwrap();
        let names: Vec<_> = db
            .resources()
            .map(|resource| resource.unwrap().name().unwrap().to_owned())
            .collect();
        assert_eq!(names, ["smpa1", "ldoa2", "cx.level"]);
        let mut buf = [0; 8];
        for (name, address, accelerator, data) in [
            ("smpa1", 0x4_0100, Accelerator::Vrm, &[][..]),
            ("ldoa2", 0x4_0200, Accelerator::Vrm, &[1, 2, 3]),
            ("cx.level", 0x3_0080, Accelerator::Arc, &[4, 5]),
        ] {
            let resource = db.find(name).unwrap().unwrap();
            assert_eq!((resource.address, resource.accelerator()), (address, accelerator));
            assert_eq!(resource.data_len(), data.len());
            assert_eq!(db.read_data(&resource, &mut buf), data);
        }
        let resource = db.find("ldoa2").unwrap().unwrap();
        assert_eq!(db.read_data(&resource, &mut buf[..2]), [1, 2]);
        for name in ["", "ldoa", "ldoa22", "cx.levels"] {
            assert_eq!(db.find(name), Ok(None));
        }
    }

    #[test]
    fn the_first_kind_without_a_number_ends_the_list() {
        let mut bytes = database();
        // The fourth kind would list what the first does.
        bytes.copy_within(KINDS_AT..KINDS_AT + 16, KINDS_AT + 48);
        assert_eq!(over(&bytes).unwrap().resources().count(), 3);
    }

    #[test]
    fn something_else_is_no_database() {
        let mut bytes = database();
        bytes[MAGIC_AT] = 0;
        assert_eq!(over(&bytes).err(), Some(CmdDbError::NotThere(MAGIC & !0xff)));
        assert_eq!(over(&database()[..DATA_AT - 1]).err(), Some(CmdDbError::Malformed));
    }

    #[test]
    fn what_points_behind_the_end_is_not_followed() {
        let bytes = database();
        for len in DATA_AT..bytes.len() {
            let db = over(&bytes[..len]).unwrap();
            let errors = db.resources().filter(Result::is_err).count();
            let last = db.resources().last();
            assert!(
                errors == 1 && last == Some(Err(CmdDbError::Malformed)),
                "{len}: {last:?}"
            );
            assert_eq!(db.find("nothing"), Err(CmdDbError::Malformed));
        }
    }

    proptest! {
        /// Whatever firmware has written: nothing outside is read, and the list ends.
        #[test]
        fn any_database_is_read_within_its_bounds(noise in proptest::collection::vec(any::<(u16, u8)>(), 0..100), len in DATA_AT..DATA_AT + 150) {
            let mut bytes = database();
            for (at, value) in noise {
                let at = usize::from(at) % bytes.len();
                if !(MAGIC_AT..KINDS_AT).contains(&at) {
                    bytes[at] = value;
                }
            }
            bytes.resize(len, 0);
            let db = over(&bytes).unwrap();
            let mut buf = [0; 300];
            for resource in db.resources().flatten() {
                db.read_data(&resource, &mut buf);
            }
        }
    }
}
