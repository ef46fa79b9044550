//! Address types, ranges, and the physical map of a machine.
//!
//! [`PhysAddr`] and [`Ipa`] keep the two address spaces apart, [`AddrRange`] and [`PageRange`] prove that a range
//! does not wrap (and is aligned) before anyone maps it.
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
