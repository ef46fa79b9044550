//! A walk over the nodes of a tree: each node with its properties read, and the buses above it.

use super::error::{Fault, NodeName, TreeError};
use super::value::{self, Cells, range};
use crate::range::PhysRange;
use heapless::Vec;
use leasehold_fdt::{Fdt, MAX_DEPTH, Property, Token, Tokens};

/// A step of the walk.
pub(crate) enum Step<'a> {
    /// Into a node.
    Enter(Node<'a>),
    /// Out of the innermost node.
    Leave,
}

/// A node, with the properties that many readers need.
#[derive(Clone, Copy)]
pub(crate) struct Node<'a> {
    pub name: &'a [u8],
    /// 1 for the root.
    pub depth: usize,
    pub compatible: Option<&'a [u8]>,
    pub reg: Option<&'a [u8]>,
    pub device_type: Option<&'a [u8]>,
    pub phandle: Option<u32>,
    /// `#address-cells` and `#size-cells` of the node's parent: how its `reg` is to be read.
    pub cells: Cells,
    /// Whether the parent says so, or has the defaults.
    pub cells_given: bool,
    status: Option<&'a [u8]>,
    header: Tokens<'a>,
}

/// What a node is to the nodes in it.
struct Bus<'a> {
    name: &'a [u8],
    address_cells: Option<u32>,
    size_cells: Option<u32>,
    ranges: Option<&'a [u8]>,
}

impl Bus<'_> {
    fn cells(&self) -> Cells {
        let default = Cells::default();
        Cells {
            address: self.address_cells.unwrap_or(default.address),
            size: self.size_cells.unwrap_or(default.size),
        }
    }
}

/// The walk: depth first, in the order of the blob.
pub(crate) struct Walk<'a> {
    tokens: Tokens<'a>,
    buses: Vec<Bus<'a>, MAX_DEPTH>,
}

impl<'a> Walk<'a> {
    pub fn new(fdt: &Fdt<'a>) -> Self {
        Self {
            tokens: fdt.tokens(),
            buses: Vec::new(),
        }
    }

    /// The next step, or `None` at the end.
    pub fn step(&mut self) -> Result<Option<Step<'a>>, TreeError> {
        match self.tokens.next()? {
            Some(Token::BeginNode(name)) => self.enter(name).map(Some),
            Some(Token::EndNode) => {
                self.buses.pop();
                Ok(Some(Step::Leave))
            }
            // A property here would be one behind a child, which `Fdt` has ruled out.
            Some(Token::Property(_)) | None => Ok(None),
        }
    }

    /// From just inside a node to just outside of it.
    pub fn leave(&mut self) -> Result<(), TreeError> {
        let outside = self.buses.len().saturating_sub(1);
        let mut depth = self.buses.len();
        while depth > outside {
            match self.tokens.next()? {
                Some(Token::BeginNode(_)) => depth += 1,
                Some(Token::EndNode) => depth -= 1,
                Some(Token::Property(_)) => {}
                None => break,
            }
        }
        self.buses.pop();
        Ok(())
    }

    fn enter(&mut self, name: &'a [u8]) -> Result<Step<'a>, TreeError> {
        let parent = self.buses.last();
        let mut node = Node {
            name,
            depth: self.buses.len() + 1,
            compatible: None,
            reg: None,
            device_type: None,
            phandle: None,
            cells: parent.map_or_else(Cells::default, Bus::cells),
            cells_given: parent.is_some_and(|bus| bus.address_cells.is_some()),
            status: None,
            header: self.tokens,
        };
        let mut bus = Bus {
            name,
            address_cells: None,
            size_cells: None,
            ranges: None,
        };
        while let Some(property) = self.tokens.next_property()? {
            node.take(property, &mut bus)?;
        }
        self.buses.push(bus).map_err(|_| TreeError::TooMany {
            what: "levels of nodes",
            limit: MAX_DEPTH,
            node: NodeName::new(name),
        })?;
        Ok(Step::Enter(node))
    }

    /// The ranges of `node`'s `reg` as the CPU sees them, through the `ranges` of the buses above it. `node` is the one
    /// that the walk is just inside of.
    pub fn reg(&self, node: &Node<'a>) -> Result<impl Iterator<Item = Result<PhysRange, TreeError>>, TreeError> {
        let reg = node.reg.ok_or_else(|| node.error("reg", Fault::Missing))?;
        let entries = node.cells.entries(reg).map_err(|fault| node.error("reg", fault))?;
        Ok(entries.filter_map(move |entry| {
            self.translate(entry)
                .and_then(range)
                .map_err(|fault| node.error("reg", fault))
                .transpose()
        }))
    }

    /// The first range of `node`'s `reg`, if it has one that the CPU can see.
    pub fn first_reg(&self, node: &Node<'a>) -> Option<PhysRange> {
        node.reg?;
        self.reg(node).ok()?.next()?.ok()
    }

    /// How deep the walk is: 1 inside of the root.
    pub fn depth(&self) -> usize {
        self.buses.len()
    }

    /// The names from the root's children down to the node that the walk is just inside of.
    pub fn names(&self) -> impl Iterator<Item = &'a [u8]> {
        self.buses.iter().skip(1).map(|bus| bus.name)
    }

    /// The name of the node that the innermost one is in, empty where that is the root.
    pub fn parent_name(&self) -> &'a [u8] {
        let above = self.buses.len().checked_sub(2).and_then(|index| self.buses.get(index));
        above.map_or(&[], |bus| bus.name)
    }

    /// The address that the root's children would use for `entry` of a node in the innermost bus but one.
    fn translate(&self, (mut address, len): (u64, u64)) -> Result<(u64, u64), Fault> {
        // The innermost entry is the node itself, the outermost the root, which translates nothing.
        let above = self.buses.len().saturating_sub(1);
        for depth in (1..above).rev() {
            let (Some(bus), Some(parent)) = (self.buses.get(depth), self.buses.get(depth - 1)) else {
                break;
            };
            address = bus
                .ranges
                .and_then(|ranges| map(ranges, bus.cells(), parent.cells(), address, len))
                .ok_or(Fault::Untranslated(address))?;
        }
        Ok((address, len))
    }
}

/// `address` of a child bus, as the parent bus has it (Devicetree Specification v0.4, 2.3.8).
fn map(ranges: &[u8], child: Cells, parent: Cells, address: u64, len: u64) -> Option<u64> {
    if ranges.is_empty() {
        return Some(address);
    }
    let sizes = [child.address, parent.address, child.size];
    if !sizes.iter().all(|size| (1..=2).contains(size)) {
        return None;
    }
    let [child, parent, size] = sizes.map(|size| size as usize * 4);
    ranges.chunks_exact(child + parent + size).find_map(|entry| {
        let (from, rest) = entry.split_at_checked(child)?;
        let (to, size) = rest.split_at_checked(parent)?;
        let offset = address.checked_sub(value::cells(from))?;
        (offset.checked_add(len)? <= value::cells(size)).then_some(())?;
        value::cells(to).checked_add(offset)
    })
}

impl<'a> Node<'a> {
    fn take(&mut self, property: Property<'a>, bus: &mut Bus<'a>) -> Result<(), TreeError> {
        let new = property.value;
        let (name, taken) = match property.name {
            b"reg" => ("reg", once(&mut self.reg, Ok(new))),
            b"compatible" => ("compatible", once(&mut self.compatible, Ok(new))),
            b"status" => ("status", once(&mut self.status, Ok(new))),
            b"device_type" => ("device_type", once(&mut self.device_type, Ok(new))),
            b"phandle" => ("phandle", once(&mut self.phandle, value::u32(new))),
            b"ranges" => ("ranges", once(&mut bus.ranges, Ok(new))),
            b"#address-cells" => ("#address-cells", once(&mut bus.address_cells, value::u32(new))),
            b"#size-cells" => ("#size-cells", once(&mut bus.size_cells, value::u32(new))),
            _ => return Ok(()),
        };
        taken.map_err(|fault| self.error(name, fault))
    }

    /// All properties, in the order of the blob.
    pub fn properties(&self) -> Properties<'a> {
        Properties(self.header)
    }

    /// The value of the property called `name`.
    pub fn get(&self, name: &str) -> Result<Option<&'a [u8]>, TreeError> {
        let mut properties = self.properties();
        while let Some(property) = properties.next()? {
            if property.name == name.as_bytes() {
                return Ok(Some(property.value));
            }
        }
        Ok(None)
    }

    /// Whether the node's `compatible` has one of `names`.
    pub fn is_any(&self, names: &[&str]) -> bool {
        self.compatible
            .is_some_and(|compatible| value::lists_any(compatible, names))
    }

    /// Whether `status` lets the node be used (Devicetree Specification v0.4, 2.3.4).
    pub fn is_okay(&self) -> bool {
        matches!(self.status, None | Some(b"okay\0" | b"ok\0"))
    }

    /// Whether the node describes memory.
    pub fn is_memory(&self) -> bool {
        self.depth == 2 && self.device_type == Some(b"memory\0") && self.is_okay()
    }

    pub fn error(&self, property: &'static str, fault: Fault) -> TreeError {
        TreeError::Property {
            node: NodeName::new(self.name),
            property,
            fault,
        }
    }
}

/// Fills a place that must not be filled twice.
fn once<T>(place: &mut Option<T>, value: Result<T, Fault>) -> Result<(), Fault> {
    match place.replace(value?) {
        None => Ok(()),
        Some(_) => Err(Fault::Twice),
    }
}

/// The properties of a node.
pub(crate) struct Properties<'a>(Tokens<'a>);

impl<'a> Properties<'a> {
    pub fn next(&mut self) -> Result<Option<Property<'a>>, TreeError> {
        Ok(self.0.next_property()?)
    }
}
