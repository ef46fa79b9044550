//! A flattened device tree that has been checked, cut into tokens by `fdt-rs`.
//!
//! `fdt-rs` 0.4.5 leaves three things to its caller, and this crate sees to them:
//!
//! - Each constructor of its `DevTree` is `unsafe`: it takes alignment and length on trust. The one `unsafe` block of
//!   the device tree's readers is here, behind [`Fdt::new`], so that `leasehold-memory-map` needs none.
//! - It takes the structure on trust: with debug assertions it panics on a structure block that ends without
//!   `FDT_END`, it knows no nesting, and it would follow a property's name out of the strings block. [`Tokens`] checks
//!   each token before `fdt-rs` cuts it, [`Fdt::new`] checks their order once.
//! - It refuses node names of 30 bytes and more, unit address included (rs-embedded/fdt-rs issue 17). Six in ten of the
//!   Qualcomm trees in Linux 6.12 have one. [`Tokens`] steps over those names itself.
//!
//! Its reservation entries cannot be read at all (their accessor is private): [`Fdt::reservations`] reads them.
//!
//! Format: Devicetree Specification v0.4, chapter 5.
#![no_std]

mod blob;
mod error;
mod tokens;

pub use blob::{Fdt, HEADER_SIZE, MAX_DEPTH, MAX_SIZE, Reservations};
pub use error::{Block, FdtError};
pub use tokens::{MAX_NAME, Property, Token, Tokens};
