//! Writing flattened device trees without a heap: the host's, copied from the machine's with what EL2 keeps left out,
//! and a guest's.
//!
//! `vm-fdt` 0.3 was tried first. It collects the structure block in a `Vec` and the strings in a `HashMap`, and has no
//! reader, so a tree to be copied would be taken apart call by call into a heap that EL2 does not have.
//!
//! Format: Devicetree Specification v0.4, chapter 5; blocks in the order reservations, structure, strings.

mod guest;
mod host;
mod node;
mod references;
mod writer;

pub use guest::{GuestConfig, GuestGic, GuestTree};
pub use host::{HostTree, Kept};
pub use node::{Node, Prop, Value};

use crate::tree::{NodeName, TreeError};

/// Why a device tree was not written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum WriteError {
    /// The buffer is too small.
    Space {
        /// Its size in bytes.
        room: usize,
    },
    /// The machine's tree cannot be read.
    Tree(TreeError),
    /// There are more things of a kind than there is room for.
    TooMany {
        /// The kind.
        what: &'static str,
        /// How many there may be.
        limit: usize,
    },
    /// An address or length of the host's memory does not fit into the cells that the tree has for it.
    Cells {
        /// The address or length.
        number: u64,
        /// How many cells there are.
        cells: u32,
    },
    /// A name or path that was given here is not one.
    Name(NodeName),
    /// A node that EL2 keeps is the interrupt controller of one that the host sees.
    InterruptParent {
        /// The node that the host sees.
        node: NodeName,
    },
    /// A node's `iommus` names both an IOMMU that EL2 keeps and one that the host sees.
    MixedIommus {
        /// The node.
        node: NodeName,
    },
}

impl From<TreeError> for WriteError {
    fn from(error: TreeError) -> Self {
        Self::Tree(error)
    }
}
