//! Nodes as values, to be written as they are or laid over a tree that is copied.

/// The value of a property.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Value<'e> {
    /// No bytes: the property's presence says it all.
    Empty,
    /// One cell.
    Cell(u32),
    /// Cells.
    Cells(&'e [u32]),
    /// A number of two cells.
    Number(u64),
    /// A string.
    Text(&'e str),
    /// A list of strings.
    Texts(&'e [&'e str]),
    /// Any bytes.
    Bytes(&'e [u8]),
    /// No property: where one of that name is, it goes.
    Absent,
}

/// A property.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Prop<'e> {
    /// Its name.
    pub name: &'e str,
    /// Its value.
    pub value: Value<'e>,
}

impl<'e> Prop<'e> {
    /// A property of this name and value.
    #[must_use]
    pub const fn new(name: &'e str, value: Value<'e>) -> Self {
        Self { name, value }
    }
}

/// A node.
///
/// ```
/// use leasehold_memory_map::{Node, Prop, Value};
///
/// const HYPERVISOR: Node<'_> = Node {
///     name: "hypervisor",
///     props: &[Prop::new("compatible", Value::Text("leasehold,hypervisor"))],
///     children: &[],
/// };
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Node<'e> {
    /// Its name, with the unit address.
    pub name: &'e str,
    /// Its properties.
    pub props: &'e [Prop<'e>],
    /// The nodes in it.
    pub children: &'e [Node<'e>],
}

impl Node<'_> {
    /// Whether the node says something of the property called `name`.
    pub(super) fn mentions(&self, name: &[u8]) -> bool {
        self.props.iter().any(|prop| prop.name.as_bytes() == name)
    }
}
