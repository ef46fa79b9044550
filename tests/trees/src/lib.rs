//! Descriptions of SoCs and boards, compared with device trees.
//!
//! [`compare`] takes the description of a board and a tree, and gives every difference at once, each with the path of the
//! node and the property. It works both ways: what is described must be in the tree, and what the tree has that matters
//! to isolation (a register range, a stream, a bus master, a reserved range) must be described.
//!
//! Trees of different kernels differ. What is known to differ is data, in [`known`], each line with its reason.

mod check;
mod compare;
mod difference;
pub mod known;
pub mod masters;
mod tree;
pub mod values;
mod write;

pub use check::{CheckError, check};
pub use compare::{compare, compare_all};
pub use difference::Difference;
pub use tree::{Node, NodeId, Tree};
