//! What every unit has to do, one suite for all: it runs the drivers against their models, and against whatever unit there
//! is where it runs.
//!
//! It lays tables out, and lets a device touch memory through them. Whether a touch was granted is what memory says, not
//! what the unit says. It is made of steps, so that a failure names one.

use leasehold_hal::{
    AttachedIommu, GeometryError, IommuError, IommuEvent, IommuEventKind, MemoryAttributes, Stage2Geometry, Vmid,
};
use leasehold_memory_map::{Ipa, PAGE_SIZE, PageRange, PhysAddr, RangeError};

/// How many pages the tables take. They start at a multiple of 64 KiB.
pub const TABLE_PAGES: u64 = 64;
/// How many blocks of memory the device is let at. They start at a multiple of their size.
pub const BLOCKS: u64 = 2;
/// A block, in bytes.
pub const BLOCK: u64 = 2 << 20;
/// Where the device finds a page of its own, which is always mapped: the last of the memory.
pub const OWN: u64 = 0x10_0000;

/// Up to how many accesses a device makes of a word of eight bytes: QEMU's writes four at a time where nothing is mapped.
const ACCESSES: usize = 2;
/// Up to how many tables of pages side by side are enough for every width: 16, at the root.
const ROOTS: u64 = 16;
/// AF, Inner Shareable, read and write, Normal write-back (Arm ARM D8.3).
const MEMORY: u64 = 1 << 10 | 0b11 << 8 | 0b11 << 6 | 0b1111 << 2;
const WRITABLE: u64 = 1 << 7;
/// What the device writes. What it must not write over is the complement.
const MARK: u64 = 0x5ea5_0b1e_c0de_d00d;

/// A unit, a device behind it, and memory.
pub trait Bench {
    /// The unit on the tables.
    type Unit: AttachedIommu;

    /// Where the tables go.
    fn tables(&self) -> u64;

    /// Where the memory is.
    fn memory(&self) -> u64;

    /// The word at a physical address of the tables or the memory.
    fn read(&self, address: u64) -> u64;

    /// Writes that word, and lets the unit see it.
    fn write(&self, address: u64, value: u64);

    /// Takes the unit, whatever it is at, and lets it walk `root`.
    ///
    /// # Errors
    /// As the driver has them.
    fn attach(&mut self, root: PhysAddr, geometry: &Stage2Geometry, vmid: Vmid) -> Result<Self::Unit, IommuError>;

    /// Whether the unit bears that a block in use becomes a table (break-before-make level 2).
    fn splits(&self) -> bool;

    /// The device's stream.
    fn stream(&self) -> u32;

    /// Lets the device write a word. It may use its own page for that, at [`OWN`].
    fn device_writes(&mut self, address: u64, value: u64);

    /// Lets the device read a word: what it got, or anything but that. It may use its own page for that.
    fn device_reads(&mut self, address: u64) -> u64;

    /// Keeps the unit from confirming anything, or no more.
    fn hang(&mut self, hang: bool);
}

/// A thing that is done, or looked at. Addresses are the device's; a page is named by its number in the memory.
#[derive(Clone, Copy, Debug)]
pub enum Step {
    /// Maps the page.
    Map(u64, u64),
    /// Maps the page, for reads alone.
    MapReadOnly(u64, u64),
    /// Maps the block with that number.
    MapBlock(u64, u64),
    /// Puts a table of pages, which maps the same, in the place of the block with that number: live where the unit bears it.
    Split(u64, u64),
    /// Makes the entry of that level (2 or 3) invalid.
    Unmap(u64, u32),
    /// Asks a unit to forget so many pages of that VM.
    Invalidate(u8, u64, u64),
    /// Asks to forget all of that VM.
    InvalidateAll(u8),
    /// Waits.
    Sync,
    /// Waits in vain.
    SyncTimesOut,
    /// Keeps the unit from confirming, or no more.
    Hang(bool),
    /// Takes the unit anew, and lets it walk the tables under that VMID.
    Attach(u8),
    /// A write, and a read, get to the page.
    Reaches(u64, u64),
    /// A write gets to the page, which is not mapped any more: the unit still knows it. Where it does not, a refusal later on
    /// would prove nothing.
    Remembers(u64, u64),
    /// A write does not get to the page, and the unit tells of it.
    RefusesWrite(u64, u64, IommuEventKind),
    /// A read gets nothing of the page, and the unit tells of it.
    RefusesRead(u64, u64),
}

/// Steps with a name, for tables of so many bits.
#[derive(Clone, Copy, Debug)]
pub struct Case {
    /// What it is about.
    pub name: &'static str,
    ipa_bits: u8,
    steps: &'static [Step],
}

use IommuEventKind::{Permission, Translation};
use Step::{
    Attach, Hang, Invalidate, InvalidateAll, Map, MapBlock, MapReadOnly, Reaches, RefusesRead, RefusesWrite, Remembers,
    Split, Sync, SyncTimesOut, Unmap,
};

const HOST: u8 = Vmid::HOST.get();
/// Somebody else's VMID.
const OTHER: u8 = 2;
/// An address, and one in the next page.
const A: u64 = 0x4000_1000;
const B: u64 = 0x4000_2000;
/// A block's.
const C: u64 = 0x8060_0000;
/// Where two or more tables stand side by side at the root.
const HIGH: u64 = 0x80_4000_0000;

const fn case(name: &'static str, ipa_bits: u8, steps: &'static [Step]) -> Case {
    Case { name, ipa_bits, steps }
}

/// The suite.
pub const CASES: [Case; 13] = [
    case(
        "a page, and nothing beside it",
        40,
        &[
            Map(A, 1),
            Attach(HOST),
            Reaches(A, 1),
            RefusesWrite(B, 2, Translation),
            RefusesRead(B, 2),
            RefusesWrite(HIGH, 1, Translation),
            Map(B, 2),
            Reaches(B, 2),
        ],
    ),
    case(
        "a page that is unmapped, confirmed, and mapped again",
        40,
        &[
            Map(A, 1),
            Map(B, 2),
            Attach(HOST),
            Reaches(A, 1),
            Reaches(B, 2),
            Unmap(A, 3),
            Remembers(A, 1),
            Invalidate(HOST, A, 1),
            Sync,
            RefusesWrite(A, 1, Translation),
            RefusesRead(A, 1),
            Reaches(B, 2),
            Map(A, 3),
            Reaches(A, 3),
        ],
    ),
    case(
        "a read-only page",
        40,
        &[
            MapReadOnly(A, 1),
            Attach(HOST),
            RefusesWrite(A, 1, Permission),
            Map(B, 2),
            Reaches(B, 2),
        ],
    ),
    case(
        "a block, whole",
        40,
        &[
            MapBlock(C, 0),
            Attach(HOST),
            Reaches(C, 0),
            Reaches(C + 511 * PAGE_SIZE, 511),
            RefusesWrite(C + BLOCK, 512, Translation),
            Unmap(C, 2),
            Remembers(C, 0),
            Invalidate(HOST, C, 512),
            Sync,
            RefusesWrite(C, 0, Translation),
            RefusesWrite(C + 511 * PAGE_SIZE, 511, Translation),
        ],
    ),
    case(
        "a block that is split loses one page",
        40,
        &[
            MapBlock(C, 0),
            Attach(HOST),
            Reaches(C + 5 * PAGE_SIZE, 5),
            Split(C, 0),
            Reaches(C + 6 * PAGE_SIZE, 6),
            Unmap(C + 5 * PAGE_SIZE, 3),
            Invalidate(HOST, C + 5 * PAGE_SIZE, 1),
            Sync,
            RefusesWrite(C + 5 * PAGE_SIZE, 5, Translation),
            Reaches(C + 6 * PAGE_SIZE, 6),
        ],
    ),
    case(
        "a table goes by its one entry",
        40,
        &[
            Map(C, 0),
            Map(C + PAGE_SIZE, 1),
            Attach(HOST),
            Reaches(C, 0),
            Unmap(C, 2),
            Remembers(C, 0),
            Invalidate(HOST, C, 512),
            Sync,
            RefusesWrite(C, 0, Translation),
            RefusesWrite(C + PAGE_SIZE, 1, Translation),
        ],
    ),
    case(
        "many pages at once",
        40,
        &[
            Map(A, 1),
            Map(C, 2),
            Attach(HOST),
            Reaches(A, 1),
            Reaches(C, 2),
            Unmap(A, 3),
            Unmap(C, 3),
            Remembers(C, 2),
            Invalidate(HOST, A, 0x4_1000),
            Sync,
            RefusesWrite(A, 1, Translation),
            RefusesWrite(C, 2, Translation),
        ],
    ),
    case(
        "of another VM nothing is forgotten, and of this one all",
        40,
        &[
            Map(A, 1),
            Attach(HOST),
            Reaches(A, 1),
            Unmap(A, 3),
            InvalidateAll(OTHER),
            Invalidate(OTHER, A, 1),
            Sync,
            Remembers(A, 1),
            InvalidateAll(HOST),
            Sync,
            RefusesWrite(A, 1, Translation),
        ],
    ),
    case(
        "a unit that is taken anew, under another VMID and the same",
        40,
        &[
            Map(A, 1),
            Attach(HOST),
            Reaches(A, 1),
            Unmap(A, 3),
            Remembers(A, 1),
            Attach(OTHER),
            RefusesWrite(A, 1, Translation),
            Map(A, 2),
            Reaches(A, 2),
            Unmap(A, 3),
            Attach(OTHER),
            RefusesWrite(A, 2, Translation),
            Invalidate(OTHER, A, 1),
            Sync,
        ],
    ),
    case(
        "a unit that does not confirm",
        40,
        &[
            Map(A, 1),
            Attach(HOST),
            Reaches(A, 1),
            Unmap(A, 3),
            Hang(true),
            Invalidate(HOST, A, 1),
            SyncTimesOut,
            SyncTimesOut,
            Hang(false),
            Sync,
            Invalidate(HOST, A, 1),
            Sync,
            RefusesWrite(A, 1, Translation),
            Map(A, 1),
            Reaches(A, 1),
        ],
    ),
    case(
        "32 bits",
        32,
        &[
            Map(A, 1),
            Attach(HOST),
            Reaches(A, 1),
            RefusesWrite(1 << 32 | A, 1, Translation),
        ],
    ),
    case(
        "39 bits, one table at the root",
        39,
        &[
            Map(A, 1),
            MapBlock(HIGH / 2, 1),
            Attach(HOST),
            Reaches(A, 1),
            Reaches(HIGH / 2, 512),
            RefusesWrite(HIGH, 1, Translation),
        ],
    ),
    case(
        "40 bits, two tables at the root",
        40,
        &[
            Map(HIGH, 1),
            MapBlock(HIGH + C, 1),
            Attach(HOST),
            Reaches(HIGH, 1),
            Reaches(HIGH + C, 512),
            Unmap(HIGH, 3),
            Invalidate(HOST, HIGH, 1),
            Sync,
            RefusesWrite(HIGH, 1, Translation),
        ],
    ),
];

/// A step that went otherwise.
#[derive(Clone, Copy, Debug)]
pub struct Failure {
    /// Which, from 0 on.
    pub step: usize,
    /// What it was; none where the case could not begin.
    pub what: Option<Step>,
    /// What was wrong.
    pub why: Why,
}

/// What was wrong.
#[derive(Clone, Copy, Debug)]
pub enum Why {
    /// There are no such tables.
    Geometry(GeometryError),
    /// There is no such range.
    Range(RangeError),
    /// The driver failed.
    Driver(IommuError),
    /// The driver did not fail.
    Confirmed,
    /// There is no unit yet.
    NoUnit,
    /// [`TABLE_PAGES`] are too few.
    NoTable,
    /// A write did not get there.
    NotWritten,
    /// A read got something else.
    NotRead(u64),
    /// A write got there.
    Written,
    /// A read got there.
    Read,
    /// The unit told something else.
    Told(Option<IommuEvent>),
}

impl From<IommuError> for Why {
    fn from(error: IommuError) -> Self {
        Self::Driver(error)
    }
}

impl Case {
    /// Runs it.
    ///
    /// # Errors
    /// The first step that went otherwise.
    pub fn run<B: Bench>(&self, bench: &mut B) -> Result<(), Failure> {
        let failed = |step, what| move |why| Failure { step, what, why };
        let geometry = Stage2Geometry::new(self.ipa_bits, MemoryAttributes::Combine).map_err(Why::Geometry);
        let geometry = geometry.map_err(failed(0, None))?;
        let mut run = Run::new(bench, geometry);
        run.map(OWN, run.page(BLOCKS * 512 - 1) | MEMORY, 3)
            .map_err(failed(0, None))?;
        for (number, step) in self.steps.iter().enumerate() {
            run.step(*step).map_err(failed(number, Some(*step)))?;
        }
        Ok(())
    }
}

struct Run<'a, B: Bench> {
    bench: &'a mut B,
    geometry: Stage2Geometry,
    unit: Option<B::Unit>,
    /// How many pages of tables are in use.
    tables: u64,
}

impl<'a, B: Bench> Run<'a, B> {
    fn new(bench: &'a mut B, geometry: Stage2Geometry) -> Self {
        for word in 0..TABLE_PAGES * PAGE_SIZE / 8 {
            bench.write(bench.tables() + 8 * word, 0);
        }
        Self {
            bench,
            geometry,
            unit: None,
            tables: ROOTS,
        }
    }

    /// Where the page is.
    fn page(&self, number: u64) -> u64 {
        self.bench.memory() + number * PAGE_SIZE
    }

    fn unit(&mut self) -> Result<&mut B::Unit, Why> {
        self.unit.as_mut().ok_or(Why::NoUnit)
    }

    fn new_table(&mut self) -> Result<u64, Why> {
        if self.tables == TABLE_PAGES {
            return Err(Why::NoTable);
        }
        self.tables += 1;
        Ok(self.bench.tables() + (self.tables - 1) * PAGE_SIZE)
    }

    /// Where the entry of `level` for an address is. Tables that are not there are made.
    fn entry(&mut self, address: u64, level: u32) -> Result<u64, Why> {
        let mut at = self.bench.tables() + 8 * (address >> 30);
        for level in 2..=level {
            let mut entry = self.bench.read(at);
            if entry & 0b11 != 0b11 {
                entry = self.new_table()? | 0b11;
                self.bench.write(at, entry);
            }
            let index = address >> (39 - 9 * level) & 511;
            at = (entry & !0xfff) + 8 * index;
        }
        Ok(at)
    }

    fn map(&mut self, address: u64, leaf: u64, level: u32) -> Result<(), Why> {
        let at = self.entry(address, level)?;
        self.bench.write(at, leaf | if level == 3 { 0b11 } else { 0b01 });
        Ok(())
    }

    fn split(&mut self, address: u64, block: u64) -> Result<(), Why> {
        let table = self.new_table()?;
        for n in 0..512 {
            let leaf = self.page(512 * block + n) | MEMORY | 0b11;
            self.bench.write(table + 8 * n, leaf);
        }
        let at = self.entry(address, 2)?;
        if !self.bench.splits() {
            self.bench.write(at, 0);
            let range = PageRange::new(Ipa::new(address), 512).map_err(Why::Range)?;
            let unit = self.unit()?;
            unit.invalidate(Vmid::HOST, range)?;
            unit.sync()?;
        }
        self.bench.write(at, table | 0b11);
        Ok(())
    }

    fn step(&mut self, step: Step) -> Result<(), Why> {
        match step {
            Map(address, page) => self.map(address, self.page(page) | MEMORY, 3),
            MapReadOnly(address, page) => self.map(address, self.page(page) | MEMORY & !WRITABLE, 3),
            MapBlock(address, block) => self.map(address, self.page(512 * block) | MEMORY, 2),
            Split(address, block) => self.split(address, block),
            Unmap(address, level) => {
                let at = self.entry(address, level)?;
                self.bench.write(at, 0);
                Ok(())
            }
            Invalidate(vmid, start, count) => {
                let range = PageRange::new(Ipa::new(start), count).map_err(Why::Range)?;
                Ok(self.unit()?.invalidate(Vmid::new(vmid), range)?)
            }
            InvalidateAll(vmid) => Ok(self.unit()?.invalidate_all(Vmid::new(vmid))?),
            Sync => Ok(self.unit()?.sync()?),
            SyncTimesOut => match self.unit()?.sync() {
                Err(IommuError::TimedOut) => Ok(()),
                Err(error) => Err(error.into()),
                Ok(()) => Err(Why::Confirmed),
            },
            Hang(hang) => {
                self.bench.hang(hang);
                Ok(())
            }
            Attach(vmid) => {
                let root = PhysAddr::new(self.bench.tables());
                self.unit = None;
                self.unit = Some(self.bench.attach(root, &self.geometry, Vmid::new(vmid))?);
                self.tells(None)
            }
            Reaches(address, page) => {
                self.remembers(address, page)?;
                self.reads(address, page)?;
                self.tells(None)
            }
            Remembers(address, page) => self.remembers(address, page),
            RefusesWrite(address, page, kind) => {
                if self.writes(address, page) {
                    return Err(Why::Written);
                }
                self.tells(Some((kind, address, true)))
            }
            RefusesRead(address, page) => {
                if self.reads(address, page).is_ok() {
                    return Err(Why::Read);
                }
                self.tells(Some((Translation, address, false)))
            }
        }
    }

    /// Whether a write gets to the page. Each page has a word of its own, so that pages cannot be taken for one another.
    fn writes(&mut self, address: u64, page: u64) -> bool {
        let (offset, value) = (8 * (page % 512), MARK);
        let at = self.page(page) + offset;
        self.bench.write(at, !value);
        self.bench.device_writes(address + offset, value);
        self.bench.read(at) == value
    }

    fn remembers(&mut self, address: u64, page: u64) -> Result<(), Why> {
        if self.writes(address, page) {
            Ok(())
        } else {
            Err(Why::NotWritten)
        }
    }

    fn reads(&mut self, address: u64, page: u64) -> Result<(), Why> {
        let (offset, value) = (8 * (page % 512), MARK ^ page << 8);
        self.bench.write(self.page(page) + offset, value);
        match self.bench.device_reads(address + offset) {
            read if read == value => Ok(()),
            read => Err(Why::NotRead(read)),
        }
    }

    /// What the unit tells is that, and no more. A device may make several accesses of one word, and each is told of.
    fn tells(&mut self, expected: Option<(IommuEventKind, u64, bool)>) -> Result<(), Why> {
        let stream = self.bench.stream();
        let expected = expected.map(|(kind, address, write)| (kind, Some(stream), Some(address), Some(write)));
        let unit = self.unit()?;
        let page = |address| address & !(PAGE_SIZE - 1);
        let seen = |event: IommuEvent| (event.kind, event.stream, event.address.map(page), event.write);
        let first = unit.next_event();
        if first.map(seen) != expected {
            return Err(Why::Told(first));
        }
        for _ in 1..ACCESSES {
            match unit.next_event() {
                None => return Ok(()),
                more if more.map(seen) != expected => return Err(Why::Told(more)),
                _ => {}
            }
        }
        match unit.next_event() {
            None => Ok(()),
            more => Err(Why::Told(more)),
        }
    }
}
