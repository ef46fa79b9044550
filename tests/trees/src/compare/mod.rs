//! The comparison, a file for each part of a description.

mod blocks;
mod board;
mod details;
mod identity;
mod registers;
mod streams;

use crate::difference::{Difference, Differences};
use crate::known::Known;
use crate::tree::{Node, Tree};
use leasehold_boards::Description;
use leasehold_soc::description::SocDescription;

/// A description, a tree, and what is known to differ between kernels.
pub(crate) struct Subject<'a> {
    pub board: &'a Description,
    pub soc: &'a SocDescription,
    pub tree: &'a Tree,
    pub known: Known,
    pub differences: Differences,
}

impl<'a> Subject<'a> {
    /// The node that the description has at `path`, wherever this tree has it.
    pub fn node(&self, path: &str) -> Option<Node<'a>> {
        let moved = || self.known.places(path).find_map(|path| self.tree.at(path));
        self.tree.at(path).or_else(moved)
    }
}

/// Compares a board, and the SoC that it is made of, with a tree. Gives every difference but those that are known, by
/// path. `None` where the board's machine is not described as data, or has no tree that can be had.
#[must_use]
pub fn compare(board: &Description, tree: &Tree) -> Option<Vec<Difference>> {
    let known = Known::of(board.name);
    let mut found = compare_all(board, tree)?;
    found.retain(|found| !known.allows(found));
    Some(found)
}

/// As [`compare`], with the differences that are known.
#[must_use]
pub fn compare_all(board: &Description, tree: &Tree) -> Option<Vec<Difference>> {
    let (soc, expected) = (board.soc()?, board.tree.as_ref()?);
    let mut subject = Subject {
        board,
        soc,
        tree,
        known: Known::of(board.name),
        differences: Differences::default(),
    };
    board::compare(&mut subject, expected);
    identity::compare(&mut subject);
    blocks::compare(&mut subject);
    details::compare(&mut subject);
    streams::compare(&mut subject);
    registers::compare(&mut subject);
    let mut found = subject.differences.0;
    found.sort();
    found.dedup();
    Some(found)
}
