//! The calls by their registers, with descriptors laid out by hand, on a machine of pages in a map.

mod leases;
mod refusals;
mod setup;

use super::*;
use crate::machine::SyncError;
use crate::ownership::{HostMap, PageState};
use crate::stage2::Layout;
use core::cell::{Cell, RefCell};
use leasehold_hal::{MemoryAttributes, Stage2Geometry, Vmid};
use leasehold_memory_map::{Address, PageRange, PhysRange};
use std::collections::BTreeMap;
use std::vec;
use std::vec::Vec;

const RAM: u64 = 0x4000_0000;
const RAM_LEN: u64 = 0x1000_0000;
const HYPERVISOR: u64 = 0x4f00_0000;
const DEVICE: u64 = 0x0900_0000;

const HOST_TX: u64 = RAM + 0x10_0000;
const HOST_RX: u64 = RAM + 0x10_1000;
const BORROWED: u64 = RAM + 0x80_0000;
/// Where the guest has its first memory, and in it its buffers.
const GUEST_RAM: u64 = 0x4000_0000;
const GUEST_TX: u64 = GUEST_RAM;
const GUEST_RX: u64 = GUEST_RAM + 0x1000;
const GUEST_PLACE: u64 = 0x6000_0000;

/// Pages by their address, and what goes wrong.
struct Fake {
    pages: RefCell<BTreeMap<u64, [u64; 512]>>,
    sync_fails: Cell<bool>,
    allowed: bool,
    alias: Option<u64>,
    mapped: std::vec::Vec<u64>,
}

impl Fake {
    fn word(&self, page: PhysAddr, index: usize) -> u64 {
        self.pages.borrow().get(&page.get()).map_or(0, |words| words[index])
    }

    fn set(&self, page: PhysAddr, index: usize, value: u64) {
        self.pages.borrow_mut().entry(page.get()).or_insert([0; 512])[index] = value;
    }

    fn write(&self, address: u64, bytes: &[u8]) {
        for (n, byte) in bytes.iter().enumerate() {
            let at = address + n as u64;
            let page = PhysAddr::new(at & !0xfff);
            let (index, shift) = ((at & 0xfff) as usize / 8, 8 * (at % 8));
            let word = self.word(page, index) & !(0xff << shift) | u64::from(*byte) << shift;
            self.set(page, index, word);
        }
    }

    fn read(&self, address: u64, len: usize) -> Vec<u8> {
        (address..address + len as u64)
            .map(|at| (self.word(PhysAddr::new(at & !0xfff), (at & 0xfff) as usize / 8) >> (8 * (at % 8))) as u8)
            .collect()
    }
}

impl Machine for Fake {
    fn read_entry(&self, table: PhysAddr, index: usize) -> u64 {
        self.word(table, index)
    }
    fn write_entry(&self, table: PhysAddr, index: usize, value: u64) {
        self.set(table, index, value);
    }
    fn fill_table(&self, table: PhysAddr, first: u64, step: u64) {
        for n in 0..512 {
            self.set(table, n, first.wrapping_add(step.wrapping_mul(n as u64)));
        }
    }
    fn clean_entries(&self, _: PhysAddr, _: usize, _: usize) {}
    fn publish(&self) {}
    fn invalidate(&self, _: Vmid, _: PageRange<Ipa>) {}
    fn invalidate_all(&self, _: Vmid) {}
    fn sync(&self, _: Vmid) -> Result<(), SyncError> {
        if self.sync_fails.get() { Err(SyncError) } else { Ok(()) }
    }
    fn scrub(&self, page: PhysAddr) {
        self.pages.borrow_mut().remove(&page.get());
    }
    fn copy(&self, _: PhysAddr, _: PhysAddr, _: usize) {}
    fn settle(&self) {}
}

impl Surroundings for Fake {
    fn load(&self, page: PhysAddr, offset: usize) -> u64 {
        assert!(offset.is_multiple_of(8) && offset < 4096);
        self.word(page, offset / 8)
    }
    fn store(&self, page: PhysAddr, offset: usize, value: u64) {
        assert!(offset.is_multiple_of(8) && offset < 4096);
        self.set(page, offset / 8, value);
    }
    fn lending_allowed(&self) -> bool {
        self.allowed
    }
    fn alias(&self) -> Option<u64> {
        self.alias
    }
    fn stage1_maps(&self, va: u64) -> bool {
        self.mapped.contains(&va)
    }
    fn places(&self) -> Ipa {
        Ipa::new(GUEST_PLACE)
    }
}

const LEASES: usize = 8;

/// A host with its mailbox, and a guest (id 2) with 16 pages of memory.
struct World {
    ffa: Ffa<LEASES, 2>,
    ownership: Ownership<LEASES, 2>,
    fake: Fake,
}

fn guest() -> VmId {
    VmId::guest(0).unwrap()
}

fn range(start: u64, len: u64) -> PhysRange {
    PhysRange::new(PhysAddr::new(start), len).unwrap()
}

impl World {
    fn new() -> Self {
        let mut world = Self {
            ffa: Ffa::new(),
            ownership: Ownership::new(),
            fake: Fake {
                pages: RefCell::default(),
                sync_fails: Cell::new(false),
                allowed: true,
                alias: None,
                mapped: std::vec::Vec::new(),
            },
        };
        let map = HostMap {
            pool: PageRange::new(PhysAddr::new(HYPERVISOR), 256).unwrap(),
            geometry: Stage2Geometry::new(40, MemoryAttributes::Combine).unwrap(),
            layout: Layout::Blocks,
            ram: &[range(RAM, RAM_LEN)],
            devices: &[range(DEVICE, 0x1000)],
            hypervisor: &[range(HYPERVISOR, 0x100_0000)],
        };
        world.ownership.init_host(&world.fake, &map).unwrap();
        world.ownership.create_vm(&world.fake, guest()).unwrap();
        world
    }

    /// With mailboxes on both sides.
    fn ready() -> Self {
        let mut world = Self::new();
        assert_eq!(world.host(&[0xc400_0066, HOST_TX, HOST_RX, 1]), [SUCCESS, 0, 0, 0]);
        // Its memory: 16 pages below what the tests lend.
        let handle = world.lend(&descriptor(&[(BORROWED - 0x1_0000, 16)])).unwrap();
        let boot = world
            .ownership
            .retrieve(&world.fake, guest(), Handle::from_raw(handle), Ipa::new(GUEST_RAM));
        assert!(boot.is_ok());
        assert_eq!(world.guest(&[0xc400_0066, GUEST_TX, GUEST_RX, 1]), [SUCCESS, 0, 0, 0]);
        world
    }

    fn call(&mut self, caller: VmId, arguments: &[u64]) -> [u64; 4] {
        let mut x = [0x5555_0000_5555_5555; 18];
        x[1..8].fill(0);
        x[..arguments.len()].copy_from_slice(arguments);
        self.ffa
            .call(&mut self.ownership, &self.fake, &self.fake, caller, &mut x);
        assert_eq!(x[4..8], [0; 4]);
        assert_eq!(x[8..], [0x5555_0000_5555_5555; 10]);
        [x[0], x[1], x[2], x[3]]
    }

    fn host(&mut self, arguments: &[u64]) -> [u64; 4] {
        self.call(VmId::HOST, arguments)
    }

    fn guest(&mut self, arguments: &[u64]) -> [u64; 4] {
        self.call(guest(), arguments)
    }

    /// Lends what `bytes` say, whole and by TX.
    fn lend(&mut self, bytes: &[u8]) -> Result<u64, i32> {
        self.fake.write(HOST_TX, bytes);
        let len = bytes.len() as u64;
        handle(self.host(&[0xc400_0072, len, len]))
    }

    fn retrieve(&mut self, bytes: &[u8]) -> [u64; 4] {
        self.fake.write(guest_page(GUEST_TX), bytes);
        let len = bytes.len() as u64;
        self.guest(&[0xc400_0074, len, len])
    }

    fn reclaim(&mut self, handle: u64) -> [u64; 4] {
        self.host(&[0x8400_0077, handle & 0xffff_ffff, handle >> 32, 0])
    }

    fn relinquish(&mut self, handle: u64) -> [u64; 4] {
        let mut bytes = handle.to_le_bytes().to_vec();
        bytes.extend([0, 0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0]);
        self.fake.write(guest_page(GUEST_TX), &bytes);
        self.guest(&[0x8400_0076])
    }

    fn state(&self, address: u64) -> PageState {
        self.ownership.host_page_state(&self.fake, Ipa::new(address))
    }

    /// Everything that a refused call must leave alone.
    fn snapshot(&self) -> (Vec<PageState>, u32, std::string::String) {
        let pages = (RAM..RAM + 0x100_0000).step_by(4096);
        let states = pages.map(|page| self.state(page)).collect();
        (states, self.ownership.free_tables(), std::format!("{:?}", self.ffa))
    }
}

/// Where the guest's memory is.
fn guest_page(ipa: u64) -> u64 {
    BORROWED - 0x1_0000 + (ipa - GUEST_RAM)
}

fn handle(results: [u64; 4]) -> Result<u64, i32> {
    match results[0] {
        SUCCESS => Ok(results[2] | results[3] << 32),
        ERROR => Err(results[2] as i32),
        other => panic!("{other:#x}"),
    }
}

const SUCCESS: u64 = 0x8400_0061;
const ERROR: u64 = 0x8400_0060;

fn error(code: i32) -> [u64; 4] {
    [ERROR, 0, u64::from(code as u32), 0]
}

/// A lend to VM 2 with tag 7, access descriptors of FF-A 1.2.
fn descriptor(ranges: &[(u64, u32)]) -> Vec<u8> {
    let total: u32 = ranges.iter().map(|r| r.1).fold(0, u32::wrapping_add);
    #[rustfmt::skip]
    let mut bytes = vec![
        1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
        7, 0, 0, 0, 0, 0, 0, 0, 32, 0, 0, 0, 1, 0, 0, 0,
        48, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
        2, 0, 0b10, 0, 80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
        0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
    ];
    bytes.extend(total.to_le_bytes());
    bytes.extend((ranges.len() as u32).to_le_bytes());
    bytes.extend([0; 8]);
    for (address, pages) in ranges {
        bytes.extend(address.to_le_bytes());
        bytes.extend(pages.to_le_bytes());
        bytes.extend([0; 4]);
    }
    bytes
}

/// A request by VM 2, place left to the hypervisor.
fn request(handle: u64) -> Vec<u8> {
    let h = handle.to_le_bytes();
    #[rustfmt::skip]
    let bytes = vec![
        1, 0, 0, 0, 0b1_0000, 0, 0, 0, h[0], h[1], h[2], h[3], h[4], h[5], h[6], h[7],
        7, 0, 0, 0, 0, 0, 0, 0, 32, 0, 0, 0, 1, 0, 0, 0,
        48, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
        2, 0, 0b10, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
        0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
    ];
    bytes
}

fn with(mut bytes: Vec<u8>, at: usize, byte: u8) -> Vec<u8> {
    bytes[at] = byte;
    bytes
}
