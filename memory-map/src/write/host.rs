//! The host's tree: the machine's, token by token, with what EL2 keeps left out.

use super::WriteError;
use super::node::{Node, Prop, Value};
use super::references::{Fate, MAP_ENTRY, Withheld, is_kept};
use super::writer::{Hex, NameOffset, Writer};
use crate::addr::{Address, PhysAddr};
use crate::map::MemoryMap;
use crate::range::PhysRange;
use crate::tree::value::{Cells, range};
use crate::tree::walk::{self, Step, Walk};
use crate::tree::{Gic, MachineTree, NodeName, gic_version};
use heapless::Vec;
use leasehold_fdt::{MAX_DEPTH, MAX_NAME, Property};

/// How many nodes may be laid over the root, and over each node below.
const MAX_CHILDREN: usize = 32;

/// A node, or nodes, that EL2 keeps from the host, with all that is in them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Kept<'e> {
    /// The node at this path, each name with its unit address.
    Path(&'e str),
    /// Nodes whose first register frame starts here, as the CPU sees it.
    Reg(PhysAddr),
    /// Nodes whose `compatible` has this name.
    Compatible(&'e str),
}

/// How the host's tree differs from the machine's.
///
/// Besides what is asked for here, these go: the modules in `/chosen`; properties and aliases that point at a kept
/// node; and the frames of the GIC that only a hypervisor needs (GICH and GICV).
///
/// What points at a kept node in other ways (clocks, DMA, GPIOs) is copied as it is: EL2 keeps no such devices.
#[derive(Clone, Copy, Debug)]
pub struct HostTree<'e> {
    /// Where memory is the host's. Memory nodes are cut down to it.
    pub map: &'e MemoryMap,
    /// What EL2 keeps. Those that the machine does not have are no error.
    pub kept: &'e [Kept<'e>],
    /// The command line. Where it is empty, `/chosen` has none.
    pub bootargs: &'e str,
    /// The RAM disk.
    pub ramdisk: Option<PhysRange>,
    /// Nodes that are laid over the root's children: a node that is there gets the properties and nodes of the one given
    /// here, one that is not there is added. `chosen` may not be among them.
    pub extra: &'e [Node<'e>],
}

impl HostTree<'_> {
    /// Writes the tree into `out` and gives its size in bytes. Two passes over the machine's tree.
    ///
    /// The size is at most that of the machine's tree, of what is given here, of 16 bytes for each range of the
    /// hypervisor's that cuts memory in two, and some 100 bytes for names: 4 KiB more than the machine's is ample. The
    /// blob starts at `out`'s start, which should be at a multiple of 8 bytes for its reader.
    ///
    /// # Errors
    /// [`WriteError`]. What is in `out` is then no tree.
    pub fn write(&self, machine: &MachineTree<'_>, out: &mut [u8]) -> Result<usize, WriteError> {
        let chosen = self.chosen();
        let mut overlay = Vec::<Node<'_>, MAX_CHILDREN>::new();
        let nodes = [Node {
            name: "chosen",
            props: &chosen,
            children: &[],
        }];
        for node in nodes.iter().chain(self.extra) {
            if overlay.iter().any(|other| other.name == node.name) {
                return Err(WriteError::Name(NodeName::new(node.name.as_bytes())));
            }
            overlay.push(*node).map_err(|_| too_many_children())?;
        }
        let root = Node {
            name: "",
            props: &[],
            children: &overlay,
        };
        let fdt = machine.fdt();
        let withheld = Withheld::collect(fdt, self.kept)?;
        let stdout = machine.stdout_path()?.unwrap_or_default();
        let reservations = fdt.reservations().filter(|entry| self.is_hosts(*entry));
        let mut copy = Copy {
            host: self,
            gic: machine.gic(),
            stdout_stays: !withheld.has_path(stdout.as_bytes()),
            withheld,
            walk: Walk::new(fdt),
            writer: Writer::new(out, reservations, fdt.strings())?,
            overlays: Vec::new(),
        };
        copy.nodes(root)?;
        copy.writer.finish(fdt.boot_cpu())
    }

    fn chosen(&self) -> [Prop<'_>; 3] {
        let bootargs = match self.bootargs {
            "" => Value::Absent,
            bootargs => Value::Text(bootargs),
        };
        let address = |at: fn(&PhysRange) -> PhysAddr| match &self.ramdisk {
            Some(ramdisk) => Value::Number(at(ramdisk).get()),
            None => Value::Absent,
        };
        [
            Prop::new("bootargs", bootargs),
            Prop::new("linux,initrd-start", address(PhysRange::start)),
            Prop::new("linux,initrd-end", address(PhysRange::end)),
        ]
    }

    /// Whether a memory reservation lies, in part at least, in what the host sees.
    fn is_hosts(&self, entry: (u64, u64)) -> bool {
        let Ok(Some(range)) = range(entry) else {
            return false;
        };
        let regions = self.map.regions();
        !regions
            .iter()
            .any(|region| !region.kind.is_hosts() && region.range.covers(&range))
    }
}

fn too_many_children() -> WriteError {
    WriteError::TooMany {
        what: "nodes laid over a node",
        limit: MAX_CHILDREN,
    }
}

/// A node that is laid over the one being copied.
struct Overlay<'e> {
    node: Node<'e>,
    /// Which of its children have been laid over a node already.
    used: u32,
}

impl<'e> Overlay<'e> {
    fn new(node: Node<'e>) -> Result<Self, WriteError> {
        match node.children.len() {
            0..=MAX_CHILDREN => Ok(Self { node, used: 0 }),
            _ => Err(too_many_children()),
        }
    }

    /// The child that goes over the node called `name`, once.
    fn take(&mut self, name: &[u8]) -> Option<Node<'e>> {
        let mut children = self.node.children.iter().enumerate();
        let (index, child) = children.find(|(_, child)| child.name.as_bytes() == name)?;
        let bit = 1 << index;
        if self.used & bit != 0 {
            return None;
        }
        self.used |= bit;
        Some(*child)
    }

    /// The children that no node was there for.
    fn rest(&self) -> impl Iterator<Item = &'e Node<'e>> {
        let used = self.used;
        let children = self.node.children.iter().enumerate();
        children
            .filter(move |(index, _)| used & 1 << index == 0)
            .map(|(_, child)| child)
    }
}

/// The pass that copies.
struct Copy<'o, 'x> {
    host: &'x HostTree<'x>,
    gic: Option<&'x Gic>,
    stdout_stays: bool,
    withheld: Withheld,
    walk: Walk<'x>,
    writer: Writer<'o, 'x>,
    overlays: Vec<Option<Overlay<'x>>, MAX_DEPTH>,
}

impl<'x> Copy<'_, 'x> {
    fn nodes(&mut self, root: Node<'x>) -> Result<(), WriteError> {
        while let Some(step) = self.walk.step()? {
            match step {
                Step::Enter(node) => self.enter(&node, root)?,
                Step::Leave => self.leave()?,
            }
        }
        Ok(())
    }

    fn enter(&mut self, node: &walk::Node<'x>, root: Node<'x>) -> Result<(), WriteError> {
        let memory = if node.is_memory() {
            Some(memory(&self.walk, self.host.map, node).next())
        } else {
            None
        };
        if memory == Some(None) || is_kept(&self.walk, node, self.host.kept) {
            return Ok(self.walk.leave()?);
        }
        let overlay = match self.overlays.last_mut() {
            Some(parent) => parent.as_mut().and_then(|parent| parent.take(node.name)),
            None => Some(root),
        };
        self.begin(node, memory.flatten())?;
        self.properties(node, overlay.as_ref())?;
        if let Some(overlay) = &overlay {
            overlay.props.iter().try_for_each(|prop| self.writer.prop(prop))?;
        }
        let overlay = overlay.map(Overlay::new).transpose()?;
        self.overlays.push(overlay).map_err(|_| WriteError::TooMany {
            what: "levels of nodes",
            limit: MAX_DEPTH,
        })
    }

    fn leave(&mut self) -> Result<(), WriteError> {
        if let Some(overlay) = self.overlays.pop().flatten() {
            overlay.rest().try_for_each(|child| self.writer.node(child))?;
        }
        self.writer.end()
    }

    /// Begins a node. The unit address of memory follows its first address.
    fn begin(&mut self, node: &walk::Node<'x>, memory: Option<PhysRange>) -> Result<(), WriteError> {
        let at = node.name.iter().position(|byte| *byte == b'@');
        let (Some(memory), Some(at)) = (memory, at) else {
            return self.writer.begin_raw(node.name);
        };
        let mut name = Vec::<u8, { MAX_NAME + 17 }>::new();
        let stem = node.name.get(..=at).unwrap_or_default();
        // There is room: a name and sixteen digits.
        let _ = name.extend_from_slice(stem);
        let _ = name.extend_from_slice(Hex::new(memory.start().get()).digits());
        self.writer.begin_raw(&name)
    }

    fn properties(&mut self, node: &walk::Node<'x>, overlay: Option<&Node<'x>>) -> Result<(), WriteError> {
        let is_chosen = node.depth == 2 && node.name == b"chosen";
        let is_gic = gic_version(node).is_some();
        let mut properties = node.properties();
        while let Some(property) = properties.next()? {
            let name = NameOffset::in_old_strings(property.name_offset);
            let value = property.value;
            match property.name {
                known if overlay.is_some_and(|overlay| overlay.mentions(known)) => {}
                b"reg" if node.is_memory() => self.memory_reg(node, name)?,
                b"reg" if is_gic => {
                    let value = self.gic_reg(node, value);
                    self.writer.raw(name, value)?;
                }
                b"stdout-path" if is_chosen && !self.stdout_stays => {}
                _ => self.reference(node, &property)?,
            }
        }
        Ok(())
    }

    /// Copies a property, without what in it points at a kept node.
    fn reference(&mut self, node: &walk::Node<'x>, property: &Property<'x>) -> Result<(), WriteError> {
        let name = NameOffset::in_old_strings(property.name_offset);
        match self.withheld.fate(node, property)? {
            Fate::Stays => self.writer.raw(name, property.value),
            Fate::Goes => Ok(()),
            Fate::Thins => {
                let (entries, _) = property.value.as_chunks::<MAP_ENTRY>();
                let stays = |entry: &&[u8; MAP_ENTRY]| self.withheld.entry_stays(*entry);
                self.writer
                    .property(name, entries.iter().filter(stays).count() * MAP_ENTRY)?;
                entries
                    .iter()
                    .filter(stays)
                    .try_for_each(|entry| self.writer.bytes(entry))
            }
        }
    }

    fn memory_reg(&mut self, node: &walk::Node<'x>, name: NameOffset) -> Result<(), WriteError> {
        let Cells { address, size } = node.cells;
        let ranges = || memory(&self.walk, self.host.map, node);
        self.writer.property(name, ranges().count() * node.cells.entry_len())?;
        for range in ranges() {
            self.writer.cells(range.start().get(), address)?;
            self.writer.cells(range.len(), size)?;
        }
        Ok(())
    }

    /// The `reg` of the interrupt controller, without the frames that only a hypervisor needs.
    fn gic_reg<'v>(&self, node: &walk::Node<'x>, value: &'v [u8]) -> &'v [u8] {
        let len = self.gic.map(|gic| gic.host_ranges() * node.cells.entry_len());
        len.and_then(|len| value.get(..len)).unwrap_or(value)
    }
}

/// The ranges of a memory node that the host sees.
fn memory<'w>(
    walk: &'w Walk<'_>,
    map: &'w MemoryMap,
    node: &'w walk::Node<'_>,
) -> impl Iterator<Item = PhysRange> + use<'w> {
    let reg = walk.reg(node).into_iter().flatten().flatten();
    reg.flat_map(move |range| map.host_memory().filter_map(move |hosts| hosts.intersection(&range)))
}
