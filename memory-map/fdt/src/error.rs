//! What makes a blob no device tree.

/// A part of the blob that the header points at (Devicetree Specification v0.4, 5.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Block {
    /// The memory reservation block.
    Reservations,
    /// The structure block: nodes and properties.
    Structure,
    /// The strings block: names of properties.
    Strings,
}

/// Why a blob is not taken for a device tree. Offsets count bytes from the start of the blob.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum FdtError {
    /// There are fewer bytes than the header, or than the header's `totalsize`, asks for.
    Truncated {
        /// Bytes that there should be.
        needed: usize,
        /// Bytes that there are.
        found: usize,
    },
    /// The blob does not start at a multiple of 8 bytes.
    Unaligned,
    /// The first word is not `0xd00dfeed`.
    Magic(u32),
    /// The layout is older or newer than version 17.
    Version {
        /// The header's `version`.
        version: u32,
        /// The header's `last_comp_version`.
        compatible: u32,
    },
    /// The header's `totalsize` is larger than [`MAX_SIZE`](crate::MAX_SIZE).
    TooLarge(usize),
    /// A block is not aligned, leaves the blob, or lies over the header.
    Misplaced {
        /// Which block.
        block: Block,
        /// Where the header says that it starts.
        offset: usize,
        /// Its length in bytes as far as the header gives one.
        size: usize,
    },
    /// A block ends before its end mark, or in the middle of a token.
    Unfinished {
        /// Which block.
        block: Block,
        /// Where the unfinished item starts.
        offset: usize,
    },
    /// The word at a token's place is no token.
    Token {
        /// Where.
        offset: usize,
        /// The word.
        word: u32,
    },
    /// A token stands where none of its kind may: a property behind a child or outside of a node, an end without a
    /// beginning, a second root.
    Misordered {
        /// Where.
        offset: usize,
    },
    /// A node's name is empty, longer than [`MAX_NAME`](crate::MAX_NAME), or has a byte that names do not have.
    NodeName {
        /// Where the node starts.
        offset: usize,
    },
    /// A property's name is outside of the strings block, empty, longer than [`MAX_NAME`](crate::MAX_NAME), or has a
    /// byte that names do not have.
    PropertyName {
        /// Where the property starts.
        offset: usize,
    },
    /// Nodes are nested deeper than [`MAX_DEPTH`](crate::MAX_DEPTH).
    TooDeep {
        /// Where the node starts that is one too deep.
        offset: usize,
    },
    /// `fdt-rs` refused a token that had passed the checks here.
    Refused {
        /// Where.
        offset: usize,
    },
}
