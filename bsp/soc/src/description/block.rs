//! What a node of a device tree says of a block.

use leasehold_memory_map::{PhysAddr, PhysRange};

/// Where a fact comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// The node with this path in the SoC's device tree, each name with its unit address: it can be compared.
    Tree(&'static str),
    /// No tree has it. This document, or driver, has.
    Document(&'static str),
}

impl Source {
    /// The node's path, if a tree has it.
    #[must_use]
    pub const fn node(self) -> Option<&'static str> {
        match self {
            Self::Tree(path) => Some(path),
            Self::Document(_) => None,
        }
    }
}

/// What an interrupt reacts to, as the third cell of a tree's `interrupts` counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trigger {
    /// A rising edge.
    EdgeRising = 1,
    /// A high level.
    LevelHigh = 4,
    /// A low level. As a GIC's polarity cannot be programmed, this says no more than that it is a level.
    LevelLow = 8,
}

/// An interrupt of the GIC's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Interrupt {
    /// Its number in the GIC: PPIs from 16, SPIs from 32 on.
    pub intid: u32,
    /// What it reacts to.
    pub trigger: Trigger,
}

/// The shared peripheral interrupt that a tree calls `<0 number ...>`.
#[must_use]
pub const fn spi(number: u32, trigger: Trigger) -> Interrupt {
    Interrupt {
        intid: 32 + number,
        trigger,
    }
}

/// The private peripheral interrupt that a tree calls `<1 number ...>`.
#[must_use]
pub const fn ppi(number: u32, trigger: Trigger) -> Interrupt {
    Interrupt {
        intid: 16 + number,
        trigger,
    }
}

/// The `len` bytes from `start` on.
///
/// # Panics
/// When they are none, or end beyond 2^48: in a constant, an error of the compiler.
#[must_use]
pub const fn reg(start: u64, len: u64) -> PhysRange {
    PhysRange::constant(PhysAddr::new(start), len)
}

/// A block, and what its node says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Block {
    /// Where this can be compared.
    pub source: Source,
    /// The entries of `reg`, in its order; those behind the last one here do not matter to anybody.
    pub reg: &'static [PhysRange],
    /// The entries of `interrupts`, in its order; those behind the last one here do not matter to anybody.
    pub interrupts: &'static [Interrupt],
}

impl Block {
    /// The block of the node `path`.
    #[must_use]
    pub const fn new(path: &'static str, reg: &'static [PhysRange], interrupts: &'static [Interrupt]) -> Self {
        Self {
            source: Source::Tree(path),
            reg,
            interrupts,
        }
    }

    /// A block that no tree has, from `document`.
    #[must_use]
    pub const fn documented(document: &'static str, reg: &'static [PhysRange]) -> Self {
        Self {
            source: Source::Document(document),
            reg,
            interrupts: &[],
        }
    }

    /// The first entry of `reg`.
    ///
    /// # Panics
    /// When there is none: in a constant, an error of the compiler.
    #[must_use]
    pub const fn first(&self) -> PhysRange {
        self.reg[0]
    }
}

/// A range of memory that a tree reserves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reserved {
    /// The name of the node in `/reserved-memory`.
    pub node: &'static str,
    /// Where.
    pub range: PhysRange,
}

/// The `len` bytes from `start` on, which the node `node` of `/reserved-memory` reserves.
#[must_use]
pub const fn reserved(node: &'static str, start: u64, len: u64) -> Reserved {
    Reserved {
        node,
        range: reg(start, len),
    }
}
