//! What every board is made of, and, for tools, all boards as data.
//!
//! A board is a folder of `boards/` with `src/board.rs`: one constant, `BOARD`. Tools find it there by themselves
//! (`build.rs`), and so does the build script that links its image.
#![cfg_attr(target_os = "none", no_std)]

// A board's `board.rs` is compiled into its own image, and into this crate for tools.
extern crate self as leasehold_boards;

mod config;
mod description;
mod plain;
pub mod qualcomm;
#[cfg(not(target_os = "none"))]
mod tools;

pub use leasehold_hyp_core as hyp_core;
pub use leasehold_hyp_core::fault::Policy;
pub use leasehold_memory_map::PhysAddr;
pub use leasehold_soc as soc;

pub use config::Lists;
pub use description::{Description, El2Entry, Facts, Firmware, Machine, STOCK_LINUX, Tier, Tree};
pub use plain::PlainBoard;
pub use qualcomm::{Described, QualcommBoard};
#[cfg(not(target_os = "none"))]
pub use tools::{all, find, link};

/// Makes the image of a board whose machine is one of `leasehold_soc::plain` from its description.
#[macro_export]
macro_rules! plain_image {
    ($board:path, $machine:ty) => {
        struct This;

        impl $crate::Described for This {
            const BOARD: &'static $crate::Description = &$board;
        }

        $crate::hyp_core::hypervisor!($crate::PlainBoard<This, $machine>);
    };
}

/// Makes the image of a board with a SoC of Qualcomm's from its description.
#[macro_export]
macro_rules! qualcomm_image {
    ($board:path) => {
        struct This;

        impl $crate::Described for This {
            const BOARD: &'static $crate::Description = &$board;
        }

        $crate::hyp_core::hypervisor!($crate::QualcommBoard<This>);
    };
}
