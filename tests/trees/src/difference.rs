//! A difference between a description and a tree.

use crate::tree::Node;
use std::fmt;

/// A difference, told so that a person finds both sides of it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Difference {
    /// The node's path.
    pub path: String,
    /// The property; empty where it is the node itself.
    pub property: String,
    /// What the description says.
    pub described: String,
    /// What the tree says.
    pub found: String,
}

impl Difference {
    /// The property's path: the node's, and behind a colon the property's name.
    #[must_use]
    pub fn place(&self) -> String {
        match self.property.as_str() {
            "" => self.path.clone(),
            property => format!("{}:{property}", self.path),
        }
    }
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}\n    described: {}\n    in the tree: {}",
            self.place(),
            self.described,
            self.found
        )
    }
}

/// Collects differences.
#[derive(Debug, Default)]
pub(crate) struct Differences(pub Vec<Difference>);

impl Differences {
    /// Notes a difference of a property at a path.
    pub fn at(&mut self, path: &str, property: &str, described: impl fmt::Display, found: impl fmt::Display) {
        self.0.push(Difference {
            path: path.into(),
            property: property.into(),
            described: described.to_string(),
            found: found.to_string(),
        });
    }

    /// Notes a difference of a node's property.
    pub fn of(&mut self, node: Node<'_>, property: &str, described: impl fmt::Display, found: impl fmt::Display) {
        self.at(&node.path(), property, described, found);
    }

    /// Notes a difference where two values are not the same.
    pub fn same<T: PartialEq + fmt::Display>(&mut self, node: Node<'_>, property: &str, described: T, found: T) {
        if described != found {
            self.of(node, property, described, found);
        }
    }
}

/// Items in a row, for a person: `none` where there are none.
pub(crate) fn list<T: fmt::Display>(items: impl IntoIterator<Item = T>) -> String {
    let items: Vec<String> = items.into_iter().map(|item| item.to_string()).collect();
    match items.is_empty() {
        true => "none".into(),
        false => items.join(", "),
    }
}
