//! What `cargo xtask` is made of: set-up, builds, checks. `main.rs` is its command line.

pub mod abi;
pub mod bench;
pub mod boards;
pub mod build;
pub mod check_tree;
mod doors;
pub mod elf;
mod initramfs;
pub mod lint;
pub mod linux;
pub mod matrix;
mod porting;
pub mod process;
pub mod run;
pub mod setup;
pub mod test;
pub mod ui;
pub mod workspace;
