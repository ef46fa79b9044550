//! What is known to differ between trees of the same board.
//!
//! Descriptions are of Linux 6.12's trees. Where a kernel before or after says something else, a line here says what, of
//! which kernel, and why that is no matter. A line allows one value of one property and nothing beside it.

use crate::difference::Difference;

/// A node that some kernels have in another place.
#[derive(Clone, Copy, Debug)]
pub struct Moved {
    /// The board.
    pub board: &'static str,
    /// Where descriptions have it.
    pub from: &'static str,
    /// Where the others have it.
    pub to: &'static str,
    /// Which they are.
    pub kernels: &'static str,
}

/// A property that some kernels have with another value.
#[derive(Clone, Copy, Debug)]
pub struct Differing {
    /// The board.
    pub board: &'static str,
    /// The node.
    pub path: &'static str,
    /// The property; empty where it is the node itself.
    pub property: &'static str,
    /// What is found there, in the words of the difference.
    pub found: &'static str,
    /// In which kernels.
    pub kernels: &'static str,
    /// Why that is no matter.
    pub why: &'static str,
}

const MOVED: &[Moved] = &[];

const DIFFERING: &[Differing] = &[];

/// What is known of one board's trees.
#[derive(Clone, Copy, Debug)]
pub struct Known {
    board: &'static str,
}

impl Known {
    /// What is known of a board's trees.
    #[must_use]
    pub fn of(board: &'static str) -> Known {
        Known { board }
    }

    /// Where else the node at `path` may be.
    pub fn places<'p>(&self, path: &'p str) -> impl Iterator<Item = &'static str> + use<'p> {
        let board = self.board;
        let moved = MOVED
            .iter()
            .filter(move |moved| moved.board == board && moved.from == path);
        moved.map(|moved| moved.to)
    }

    /// Whether a difference is one of those that are known.
    #[must_use]
    pub fn allows(&self, difference: &Difference) -> bool {
        let is = |known: &&Differing| {
            known.board == self.board
                && known.path == difference.path
                && known.property == difference.property
                && known.found == difference.found
        };
        DIFFERING.iter().any(|known| is(&known))
    }
}
