//! The comparison, a file for each part of a description.

mod blocks;
mod details;
mod identity;
mod registers;
mod streams;

use crate::difference::{Difference, Differences};
use crate::known::Known;
use crate::tree::{Node, Tree};
use leasehold_soc::description::SocDescription;

/// A description, a tree, and what is known to differ between kernels.
pub(crate) struct Subject<'a> {
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

/// Compares a SoC's description with a tree. Gives every difference but those that are known, by path.
#[must_use]
pub fn compare(soc: &SocDescription, tree: &Tree) -> Vec<Difference> {
    let mut subject = Subject {
        soc,
        tree,
        known: Known::of(soc.name),
        differences: Differences::default(),
    };
    identity::compare(&mut subject);
    blocks::compare(&mut subject);
    details::compare(&mut subject);
    streams::compare(&mut subject);
    registers::compare(&mut subject);
    let Subject { known, differences, .. } = subject;
    let mut found: Vec<Difference> = differences.0.into_iter().filter(|found| !known.allows(found)).collect();
    found.sort();
    found.dedup();
    found
}
