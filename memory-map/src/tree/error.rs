//! What a device tree can have wrong, and where.

use crate::range::RangeError;
use core::fmt;
use leasehold_fdt::FdtError;

/// A node's name, cut to what a line of the log needs. It outlives the tree.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct NodeName {
    bytes: [u8; Self::LEN],
    len: u8,
}

impl NodeName {
    const LEN: usize = 47;

    pub(crate) fn new(name: &[u8]) -> Self {
        let mut bytes = [0; Self::LEN];
        let mut len = 0;
        for (to, from) in bytes.iter_mut().zip(name) {
            *to = *from;
            len += 1;
        }
        Self { bytes, len }
    }

    /// The name. The root's is `/`.
    #[must_use]
    pub fn as_str(&self) -> &str {
        let name = self.bytes.get(..usize::from(self.len)).unwrap_or_default();
        match str::from_utf8(name) {
            Ok("") => "/",
            Ok(name) => name,
            Err(_) => "?",
        }
    }
}

impl fmt::Debug for NodeName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(feature = "defmt")]
impl defmt::Format for NodeName {
    fn format(&self, f: defmt::Formatter<'_>) {
        defmt::write!(f, "{=str}", self.as_str());
    }
}

/// What is wrong with a property's value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Fault {
    /// The value has this many bytes, which is not what the property takes.
    Length(usize),
    /// Addresses of this many cells, or lengths of this many, are not ones that this reader takes.
    Cells {
        /// `#address-cells` of the parent.
        address: u32,
        /// `#size-cells` of the parent.
        size: u32,
    },
    /// An address and a length that make no range, or one that needs more than 52 bits.
    Range {
        /// The address.
        start: u64,
        /// The length in bytes.
        len: u64,
        /// Why they make none.
        error: RangeError,
    },
    /// No bus above the node translates this address to one of the root's.
    Untranslated(u64),
    /// The value is not a string that ends in NUL, or not UTF-8.
    Text,
    /// The number has no meaning here.
    Number(u64),
    /// The node must have the property, and has not.
    Missing,
    /// The node has the property twice.
    Twice,
    /// The node has the property, and what it asks for is not done here.
    Unsupported,
}

/// Why a device tree is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum TreeError {
    /// The blob is not a well-formed tree.
    Blob(FdtError),
    /// A property's value is not what its binding says.
    Property {
        /// The node that has the property.
        node: NodeName,
        /// The property.
        property: &'static str,
        /// What is wrong with it.
        fault: Fault,
    },
    /// An entry of the memory reservation block makes no range.
    Reservation {
        /// The entry's number, from 0.
        index: usize,
        /// What is wrong with it.
        fault: Fault,
    },
    /// There are more things of a kind than there is room for.
    TooMany {
        /// The kind.
        what: &'static str,
        /// How many there may be.
        limit: usize,
        /// The node that is one too many.
        node: NodeName,
    },
}

impl From<FdtError> for TreeError {
    fn from(error: FdtError) -> Self {
        Self::Blob(error)
    }
}
