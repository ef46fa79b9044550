//! A device tree in memory: nodes by path and by phandle, properties as they stand. It can be changed and written again.

use leasehold_fdt::{Fdt, FdtError, Token};
use std::collections::BTreeMap;

/// What a blob must start at a multiple of, in bytes.
const ALIGNMENT: usize = 8;

/// A copy of a blob that starts where a blob must.
pub(crate) struct Aligned {
    storage: Vec<u8>,
    start: usize,
    len: usize,
}

impl Aligned {
    pub fn new(blob: &[u8]) -> Aligned {
        let mut storage = vec![0; blob.len() + ALIGNMENT];
        let start = storage.as_ptr().align_offset(ALIGNMENT);
        storage[start..start + blob.len()].copy_from_slice(blob);
        Aligned {
            storage,
            start,
            len: blob.len(),
        }
    }

    pub fn bytes(&self) -> &[u8] {
        &self.storage[self.start..self.start + self.len]
    }
}

/// A node's place in a [`Tree`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeId(usize);

#[derive(Clone, Debug, PartialEq, Eq)]
struct NodeData {
    name: String,
    parent: Option<NodeId>,
    children: Vec<NodeId>,
    properties: Vec<(String, Vec<u8>)>,
}

/// A whole tree. It has at least a root.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tree {
    nodes: Vec<NodeData>,
    reservations: Vec<(u64, u64)>,
    phandles: BTreeMap<u32, NodeId>,
}

impl Tree {
    /// Reads a blob, which may start at any address.
    ///
    /// # Errors
    /// What is wrong with it first, as [`Fdt::new`].
    pub fn read(blob: &[u8]) -> Result<Tree, FdtError> {
        let aligned = Aligned::new(blob);
        let fdt = Fdt::new(aligned.bytes())?;
        let mut tree = Tree {
            nodes: Vec::new(),
            reservations: fdt.reservations().collect(),
            phandles: BTreeMap::new(),
        };
        let mut tokens = fdt.tokens();
        let mut inside: Option<NodeId> = None;
        while let Some(token) = tokens.next()? {
            match token {
                Token::BeginNode(name) => inside = Some(tree.begin(inside, text(name))),
                Token::EndNode => inside = inside.and_then(|node| tree.nodes[node.0].parent),
                Token::Property(property) => {
                    if let Some(node) = inside {
                        tree.take(node, text(property.name), property.value);
                    }
                }
            }
        }
        Ok(tree)
    }

    fn begin(&mut self, parent: Option<NodeId>, name: String) -> NodeId {
        let id = NodeId(self.nodes.len());
        self.nodes.push(NodeData {
            name,
            parent,
            children: Vec::new(),
            properties: Vec::new(),
        });
        if let Some(parent) = parent {
            self.nodes[parent.0].children.push(id);
        }
        id
    }

    fn take(&mut self, node: NodeId, name: String, value: &[u8]) {
        if let ("phandle", Ok(value)) = (name.as_str(), value.try_into()) {
            self.phandles.insert(u32::from_be_bytes(value), node);
        }
        self.nodes[node.0].properties.push((name, value.to_vec()));
    }

    /// The root.
    #[must_use]
    pub fn root(&self) -> Node<'_> {
        self.node(NodeId(0))
    }

    /// A node by its place.
    #[must_use]
    pub fn node(&self, id: NodeId) -> Node<'_> {
        Node { tree: self, id }
    }

    /// Every node, parents before children, in the order of the blob.
    pub fn nodes(&self) -> impl Iterator<Item = Node<'_>> {
        (0..self.nodes.len()).map(|index| self.node(NodeId(index)))
    }

    /// The node at a path whose names are whole, with their unit addresses.
    #[must_use]
    pub fn at(&self, path: &str) -> Option<Node<'_>> {
        let names = path.split('/').filter(|name| !name.is_empty());
        names.into_iter().try_fold(self.root(), |node, name| node.child(name))
    }

    /// The node with a phandle.
    #[must_use]
    pub fn by_phandle(&self, phandle: u32) -> Option<Node<'_>> {
        self.phandles.get(&phandle).map(|id| self.node(*id))
    }

    /// The memory reservation block: address and size in bytes.
    #[must_use]
    pub fn reservations(&self) -> &[(u64, u64)] {
        &self.reservations
    }

    /// Gives a node's property another value, or a property that it did not have.
    pub fn set(&mut self, node: NodeId, name: &str, value: &[u8]) {
        let properties = &mut self.nodes[node.0].properties;
        match properties.iter_mut().find(|(known, _)| known == name) {
            Some((_, old)) => *old = value.to_vec(),
            None => properties.push((name.into(), value.to_vec())),
        }
    }

    /// Adds a node without properties, behind the others of `parent`. A phandle that it is given later is not looked up.
    pub fn add(&mut self, parent: NodeId, name: &str) -> NodeId {
        self.begin(Some(parent), name.into())
    }

    /// Takes a node away, with all that is in it.
    pub fn cut(&mut self, node: NodeId) {
        if let Some(parent) = self.nodes[node.0].parent {
            self.nodes[parent.0].children.retain(|child| *child != node);
        }
    }

    /// Takes a property away.
    pub fn remove(&mut self, node: NodeId, name: &str) {
        self.nodes[node.0].properties.retain(|(known, _)| known != name);
    }

    /// The tree as a blob (Devicetree Specification v0.4, chapter 5).
    #[must_use]
    pub fn write(&self) -> Vec<u8> {
        crate::write::blob(self)
    }
}

fn text(name: &[u8]) -> String {
    String::from_utf8_lossy(name).into_owned()
}

/// A node of a tree.
#[derive(Clone, Copy, Debug)]
pub struct Node<'t> {
    tree: &'t Tree,
    id: NodeId,
}

impl<'t> Node<'t> {
    fn data(self) -> &'t NodeData {
        &self.tree.nodes[self.id.0]
    }

    /// Its place, which outlives this borrow.
    #[must_use]
    pub fn id(self) -> NodeId {
        self.id
    }

    /// The tree that it is in.
    #[must_use]
    pub fn tree(self) -> &'t Tree {
        self.tree
    }

    /// Its name with its unit address, empty for the root.
    #[must_use]
    pub fn name(self) -> &'t str {
        &self.data().name
    }

    /// Its name without its unit address: what kind of device it is, where the tree follows the specification's list.
    #[must_use]
    pub fn kind(self) -> &'t str {
        let name = self.name();
        name.split_once('@').map_or(name, |(kind, _)| kind)
    }

    /// The names from the root down, each after a slash.
    #[must_use]
    pub fn path(self) -> String {
        match self.parent() {
            None => "/".into(),
            Some(parent) if parent.parent().is_none() => format!("/{}", self.name()),
            Some(parent) => format!("{}/{}", parent.path(), self.name()),
        }
    }

    /// The node that it is in.
    #[must_use]
    pub fn parent(self) -> Option<Node<'t>> {
        self.data().parent.map(|id| self.tree.node(id))
    }

    /// The node itself, then those that it is in, up to the root.
    pub fn upwards(self) -> impl Iterator<Item = Node<'t>> {
        std::iter::successors(Some(self), |node| node.parent())
    }

    /// The nodes in it.
    pub fn children(self) -> impl Iterator<Item = Node<'t>> {
        self.data().children.iter().map(move |id| self.tree.node(*id))
    }

    /// The node in it that has this name, unit address included.
    #[must_use]
    pub fn child(self, name: &str) -> Option<Node<'t>> {
        self.children().find(|child| child.name() == name)
    }

    /// Its properties in the order of the blob.
    #[must_use]
    pub fn properties(self) -> &'t [(String, Vec<u8>)] {
        &self.data().properties
    }

    /// A property's value.
    #[must_use]
    pub fn get(self, name: &str) -> Option<&'t [u8]> {
        let mut properties = self.properties().iter();
        let (_, value) = properties.find(|(known, _)| known == name)?;
        Some(value)
    }

    /// Whether it has a property, whatever its value.
    #[must_use]
    pub fn has(self, name: &str) -> bool {
        self.get(name).is_some()
    }

    /// A property's value as words; none where it has not the property, or its length is not a multiple of four.
    #[must_use]
    pub fn words(self, name: &str) -> Option<Vec<u32>> {
        let (words, []) = self.get(name)?.as_chunks::<4>() else {
            return None;
        };
        Some(words.iter().map(|word| u32::from_be_bytes(*word)).collect())
    }

    /// A property's value as one word.
    #[must_use]
    pub fn word(self, name: &str) -> Option<u32> {
        match self.words(name)?[..] {
            [word] => Some(word),
            _ => None,
        }
    }

    /// A property's value as strings; none of them where it has not the property, or it is no text.
    #[must_use]
    pub fn strings(self, name: &str) -> Vec<&'t str> {
        let value = self.get(name).and_then(|value| value.strip_suffix(&[0]));
        let text = value.and_then(|value| str::from_utf8(value).ok());
        text.map_or_else(Vec::new, |text| text.split('\0').collect())
    }

    /// Whether its `compatible` has a name in it.
    #[must_use]
    pub fn is_compatible(self, name: &str) -> bool {
        self.strings("compatible").contains(&name)
    }

    /// Its `status`, `okay` where it has none.
    #[must_use]
    pub fn status(self) -> &'t str {
        match self.strings("status")[..] {
            [status] => status,
            _ if self.has("status") => "?",
            _ => "okay",
        }
    }

    /// Whether its own status, and that of each node that it is in, lets it be used.
    #[must_use]
    pub fn is_enabled(self) -> bool {
        self.upwards().all(|node| matches!(node.status(), "okay" | "ok"))
    }
}
