//! Address types, ranges, and the physical map of a machine.
//!
//! [`PhysAddr`] and [`Ipa`] keep the two address spaces apart, [`AddrRange`] and [`PageRange`] prove that a range
//! does not wrap (and is aligned) before anyone maps it.
#![cfg_attr(not(test), no_std)]
#![forbid(unsafe_code)]

mod addr;
mod range;

pub use addr::{ADDRESS_BITS, Address, Ipa, PAGE_SIZE, PhysAddr};
pub use range::{AddrRange, IpaRange, PageRange, PhysRange, RangeError};
