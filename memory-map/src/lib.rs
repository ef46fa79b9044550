//! Address types, ranges, the physical map of a machine, and device trees.
//!
//! [`PhysAddr`] and [`Ipa`] keep the two address spaces apart, [`AddrRange`] and [`PageRange`] prove that a range
//! does not wrap (and is aligned) before anyone maps it.
//!
//! [`MachineTree`] is what a boot loader's device tree says; [`MemoryMap`] joins it with what the board's constant
//! allows; [`HostTree`] writes the tree that the host gets, [`GuestTree`] a guest's. None of them needs a heap, and no
//! blob makes them panic or run for longer than its size allows. Tree, map and the writing of the host's tree take some
//! 40 KiB of stack between them in a release build, twice that in a debug build.
//!
//! # From the machine's tree to the host's
//!
//! ```
//! use leasehold_memory_map::{
//!     BoardMemory, HostTree, Kept, MachineTree, MemoryMap, ModuleKind, Node, Payload, PhysAddr, PhysRange, Prop,
//!     RegionKind, Value,
//! };
//!
//! // The board's constant.
//! const BOARD: BoardMemory<'_> = BoardMemory {
//!     ram: &[PhysRange::constant(PhysAddr::new(0x4000_0000), 255 << 30)],
//!     carveouts: &[],
//! };
//! const KEPT: [Kept<'_>; 3] = [
//!     Kept::Compatible("arm,smmu-v3"),
//!     Kept::Compatible("arm,gic-v3-its"),
//!     Kept::Reg(PhysAddr::new(0x0904_0000)),
//! ];
//! const EXTRA: [Node<'_>; 1] = [Node {
//!     name: "hypervisor",
//!     props: &[Prop::new("compatible", Value::Text("leasehold,hypervisor"))],
//!     children: &[],
//! }];
//!
//! # #[derive(Debug)] enum Stop { Tree(leasehold_memory_map::TreeError), Map(leasehold_memory_map::MapError),
//! #     Write(leasehold_memory_map::WriteError), NoKernel, NoRoom }
//! # impl From<leasehold_memory_map::TreeError> for Stop { fn from(e: leasehold_memory_map::TreeError) -> Self { Self::Tree(e) } }
//! # impl From<leasehold_memory_map::MapError> for Stop { fn from(e: leasehold_memory_map::MapError) -> Self { Self::Map(e) } }
//! # impl From<leasehold_memory_map::WriteError> for Stop { fn from(e: leasehold_memory_map::WriteError) -> Self { Self::Write(e) } }
//! # #[repr(align(8))] struct Aligned<T: ?Sized>(T);
//! # static TREE: &Aligned<[u8]> = &Aligned(*include_bytes!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/virt-gicv3.dtb")));
//! # fn main() -> Result<(), Stop> {
//! # let (blob, x0) = (&TREE.0, PhysAddr::new(0x4a00_0000));
//! # let image = PhysRange::constant(PhysAddr::new(0x4008_0000), 0x8_0000);
//! # let bss = PhysRange::constant(PhysAddr::new(0x4404_a000), 0x10_0000);
//! // `blob` is the tree at `x0`, as long as `Fdt::total_size` says of its first 40 bytes.
//! let tree = MachineTree::parse(blob)?;
//! let place = PhysRange::new(x0, blob.len() as u64).map_err(|_| Stop::NoRoom)?;
//! let mut map = MemoryMap::new(&tree, &BOARD, place)?;
//! map.carve(image, RegionKind::Hypervisor)?;
//!
//! // A kernel's file is shorter than what it needs: keep the rest (`image_size` of its header) free of the hypervisor.
//! let kernel = tree.chosen().and_then(|chosen| chosen.module(ModuleKind::Kernel)).ok_or(Stop::NoKernel)?;
//! map.carve(bss, RegionKind::Payload(Payload::Kernel))?;
//!
//! let pool = map.find_free(16 << 20, 2 << 20).ok_or(Stop::NoRoom)?;
//! map.carve(pool, RegionKind::Hypervisor)?;
//!
//! // The host's tree lies in the host's memory: it is written last, when the map says what else is there.
//! let room = map.find_free(blob.len() as u64 + 4096, 8).ok_or(Stop::NoRoom)?;
//! map.carve(room, RegionKind::Payload(Payload::Tree))?;
//! let ramdisk = tree.chosen().and_then(|chosen| chosen.module(ModuleKind::Ramdisk));
//! let host = HostTree {
//!     map: &map,
//!     kept: &KEPT,
//!     bootargs: kernel.bootargs.unwrap_or_default(),
//!     ramdisk: ramdisk.map(|module| module.range),
//!     extra: &EXTRA,
//! };
//! # let mut out = vec![0; room.len() as usize];
//! // `out` is the memory at `room`.
//! let size = host.write(&tree, &mut out)?;
//! # assert!(size > 4096 && size < blob.len());
//! # Ok(())
//! # }
//! ```
#![cfg_attr(not(test), no_std)]
#![forbid(unsafe_code)]

mod addr;
mod board;
mod map;
mod range;
mod tree;
mod write;

pub use addr::{ADDRESS_BITS, Address, Ipa, PAGE_SIZE, PhysAddr};
pub use board::{BoardMemory, Carveout, CarveoutKind};
pub use leasehold_fdt::{Fdt, FdtError};
pub use map::{MAX_REGIONS, MapError, MemoryMap, Payload, Region, RegionKind, Source};
pub use range::{AddrRange, IpaRange, PageRange, PhysRange, RangeError};
pub use tree::{
    Chosen, Conduit, Cpu, DynamicReservation, EnableMethod, Fault, Gic, GicVersion, MachineTree, Module, ModuleKind,
    NodeName, ReservationKind, ReservedRange, Stdout, TreeError,
};
pub use write::{GuestConfig, GuestGic, GuestTree, HostTree, Kept, Node, Prop, Value, WriteError};
