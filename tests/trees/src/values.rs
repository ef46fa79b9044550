//! What properties mean: registers as the CPU sees them, interrupts as the GIC counts them, streams, memory regions.

use crate::tree::{Node, NodeId};
use std::fmt;

/// A range of addresses, as a tree gives it: it may be empty, or wrong.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Span {
    /// The first address.
    pub start: u64,
    /// The length in bytes.
    pub len: u64,
}

impl Span {
    /// A range.
    #[must_use]
    pub const fn new(start: u64, len: u64) -> Span {
        Span { start, len }
    }

    /// The first address behind it, or the last one there is.
    #[must_use]
    pub fn end(self) -> u64 {
        self.start.saturating_add(self.len)
    }

    /// Whether all of `other` is in it.
    #[must_use]
    pub fn covers(self, other: Span) -> bool {
        self.start <= other.start && other.end() <= self.end()
    }

    /// Whether any byte is in both.
    #[must_use]
    pub fn overlaps(self, other: Span) -> bool {
        self.start < other.end() && other.start < self.end()
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#x}+{:#x}", self.start, self.len)
    }
}

impl fmt::Debug for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// `#address-cells` and `#size-cells` of the node's children, or what the specification says where it has none (2.3.5).
fn cells(node: Node<'_>) -> (usize, usize) {
    let cells = |name, default| node.word(name).map_or(default, |cells| cells as usize);
    (cells("#address-cells", 2), cells("#size-cells", 1))
}

fn number(words: &[u32]) -> u64 {
    words.iter().fold(0, |number, word| number << 32 | u64::from(*word))
}

/// The ranges of a node's `reg`, as the CPU sees them; none where it has none, or a bus above it has addresses of its
/// own (I2C), or does not translate one.
#[must_use]
pub fn registers(node: Node<'_>) -> Vec<Span> {
    let (Some(words), Some(parent)) = (node.words("reg"), node.parent()) else {
        return Vec::new();
    };
    let (address, size) = cells(parent);
    if size == 0 || !(1..=2).contains(&address) {
        return Vec::new();
    }
    let entries = words.chunks_exact(address + size);
    entries
        .filter_map(|entry| {
            let (start, len) = entry.split_at(address);
            let start = translate(parent, number(start), number(len))?;
            Some(Span::new(start, number(len)))
        })
        .collect()
}

/// An address among a bus's children, as the CPU sees it (Devicetree Specification v0.4, 2.3.8).
fn translate(bus: Node<'_>, address: u64, len: u64) -> Option<u64> {
    let mut at = address;
    for bus in bus.upwards() {
        let Some(above) = bus.parent() else { break };
        let ranges = bus.words("ranges")?;
        if ranges.is_empty() {
            continue;
        }
        let ((child, size), (parent, _)) = (cells(bus), cells(above));
        // PCI's own addresses have three cells, the first of them a kind.
        if !(1..=2).contains(&child) || !(1..=2).contains(&parent) {
            return None;
        }
        at = ranges.chunks_exact(child + parent + size).find_map(|entry| {
            let (from, rest) = entry.split_at(child);
            let (to, size) = rest.split_at(parent);
            let offset = at.checked_sub(number(from))?;
            (offset.checked_add(len)? <= number(size)).then_some(())?;
            number(to).checked_add(offset)
        })?;
    }
    Some(at)
}

/// The memory and port windows of a PCI host bridge, as the CPU sees them: those of its `ranges`.
#[must_use]
pub fn pci_windows(node: Node<'_>) -> Vec<Span> {
    let (Some(ranges), Some(above)) = (node.words("ranges"), node.parent()) else {
        return Vec::new();
    };
    if node.strings("device_type") != ["pci"] {
        return Vec::new();
    }
    let ((child, size), (parent, _)) = (cells(node), cells(above));
    if child != 3 || !(1..=2).contains(&parent) {
        return Vec::new();
    }
    let entries = ranges.chunks_exact(child + parent + size);
    entries
        .filter_map(|entry| {
            let (to, size) = entry[child..].split_at(parent);
            let start = translate(above, number(to), number(size))?;
            Some(Span::new(start, number(size)))
        })
        .collect()
}

/// What makes an interrupt (the binding `arm,gic`: the third cell's low four bits).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Trigger {
    /// A rising edge.
    EdgeRising,
    /// A falling edge.
    EdgeFalling,
    /// A high level.
    LevelHigh,
    /// A low level.
    LevelLow,
    /// A number that the binding does not have.
    Other(u32),
}

/// An interrupt of the GIC.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Interrupt {
    /// Its INTID: 16 and more are private to a CPU, 32 and more shared.
    pub intid: u32,
    /// What makes it.
    pub trigger: Trigger,
}

impl fmt::Display for Interrupt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.intid {
            private @ ..32 => write!(f, "PPI {}", private.wrapping_sub(16))?,
            shared => write!(f, "SPI {}", shared - 32)?,
        }
        let trigger = match self.trigger {
            Trigger::EdgeRising => "edge-rising",
            Trigger::EdgeFalling => "edge-falling",
            Trigger::LevelHigh => "level-high",
            Trigger::LevelLow => "level-low",
            Trigger::Other(flags) => return write!(f, " trigger {flags:#x}"),
        };
        write!(f, " {trigger}")
    }
}

impl fmt::Debug for Interrupt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Interrupt {
    /// From the cells of a GIC's interrupt specifier.
    fn from_gic(cells: &[u32]) -> Option<Interrupt> {
        let [kind, number, flags, ..] = *cells else { return None };
        let base = match kind {
            0 => 32,
            1 => 16,
            _ => return None,
        };
        let trigger = match flags & 0xf {
            1 => Trigger::EdgeRising,
            2 => Trigger::EdgeFalling,
            4 => Trigger::LevelHigh,
            8 => Trigger::LevelLow,
            other => Trigger::Other(other),
        };
        Some(Interrupt {
            intid: number.checked_add(base)?,
            trigger,
        })
    }
}

/// A node's interrupts in their order: `Some` where they go to the GIC, `None` where to another controller. Where it has
/// `interrupts-extended`, that counts alone.
#[must_use]
pub fn interrupts(node: Node<'_>) -> Vec<Option<Interrupt>> {
    if let Some(words) = node.words("interrupts-extended") {
        return extended(node, &words);
    }
    let Some(words) = node.words("interrupts") else {
        return Vec::new();
    };
    let Some(controller) = interrupt_parent(node) else {
        return Vec::new();
    };
    let size = controller.word("#interrupt-cells").unwrap_or(1).max(1) as usize;
    let specifiers = words.chunks_exact(size);
    specifiers
        .map(|cells| is_gic(controller).then(|| Interrupt::from_gic(cells)).flatten())
        .collect()
}

fn extended(node: Node<'_>, words: &[u32]) -> Vec<Option<Interrupt>> {
    let mut found = Vec::new();
    let mut rest = words;
    while let [phandle, cells @ ..] = rest {
        let Some(controller) = node.tree().by_phandle(*phandle) else {
            break;
        };
        let size = controller.word("#interrupt-cells").unwrap_or(1) as usize;
        let Some((cells, behind)) = cells.split_at_checked(size) else {
            break;
        };
        found.push(is_gic(controller).then(|| Interrupt::from_gic(cells)).flatten());
        rest = behind;
    }
    found
}

/// The controller that a node's `interrupts` go to: said by it or a node above it, or a node above it that is one
/// (Devicetree Specification v0.4, 2.4.1).
fn interrupt_parent(node: Node<'_>) -> Option<Node<'_>> {
    if let Some(phandle) = node.word("interrupt-parent") {
        return node.tree().by_phandle(phandle);
    }
    node.upwards().skip(1).find_map(|above| {
        if above.has("interrupt-controller") {
            return Some(above);
        }
        above
            .word("interrupt-parent")
            .and_then(|phandle| above.tree().by_phandle(phandle))
    })
}

/// Whether a node is a GIC, whose interrupt specifiers say SPI or PPI first.
#[must_use]
pub fn is_gic(node: Node<'_>) -> bool {
    ["arm,gic-v3", "qcom,msm-qgic2", "arm,gic-400", "arm,cortex-a15-gic"]
        .iter()
        .any(|name| node.is_compatible(name))
}

/// A stream, or several, of a master at an SMMU.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Stream {
    /// The SMMU.
    pub smmu: NodeId,
    /// The stream id.
    pub id: u32,
    /// Which of its bits do not matter.
    pub mask: u32,
}

impl fmt::Display for Stream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#x}", self.id)?;
        match self.mask {
            0 => Ok(()),
            mask => write!(f, "/{mask:#x}"),
        }
    }
}

impl fmt::Debug for Stream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A run of streams that a PCI host bridge gives to its requesters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StreamRun {
    /// The SMMU.
    pub smmu: NodeId,
    /// The first requester id.
    pub requester: u32,
    /// The first stream id.
    pub first: u32,
    /// How many.
    pub count: u32,
}

/// The streams of a node's `iommus` in their order. `None` for an entry that points nowhere.
#[must_use]
pub fn streams(node: Node<'_>) -> Vec<Option<Stream>> {
    let words = node.words("iommus").unwrap_or_default();
    let mut found = Vec::new();
    let mut rest = words.as_slice();
    while let [phandle, cells @ ..] = rest {
        let Some(smmu) = node.tree().by_phandle(*phandle) else {
            found.push(None);
            break;
        };
        let size = smmu.word("#iommu-cells").unwrap_or(0) as usize;
        let Some((cells, behind)) = cells.split_at_checked(size) else {
            found.push(None);
            break;
        };
        found.push(Some(Stream {
            smmu: smmu.id(),
            id: cells.first().copied().unwrap_or(0),
            mask: cells.get(1).copied().unwrap_or(0),
        }));
        rest = behind;
    }
    found
}

/// The runs of a node's `iommu-map`. `None` for an entry that points nowhere.
///
/// The binding `pci-iommu` gives an entry four words whatever `#iommu-cells` says; from Linux 7.0 on a stream has as many
/// words as `#iommu-cells` says there too (drivers/of/base.c, of_map_id). Trees are read either way, as their phandles fit.
#[must_use]
pub fn stream_runs(node: Node<'_>) -> Vec<Option<StreamRun>> {
    let Some(words) = node.words("iommu-map") else {
        return Vec::new();
    };
    let smmu = |phandle: u32| node.tree().by_phandle(phandle).filter(|smmu| smmu.has("#iommu-cells"));
    let fits = |size: usize| {
        let entries = words.chunks(size);
        words.len().is_multiple_of(size) && entries.into_iter().all(|entry| smmu(entry[1]).is_some())
    };
    let cells = words.get(1).and_then(|phandle| smmu(*phandle)?.word("#iommu-cells"));
    let with_cells = 3 + cells.unwrap_or(1).max(1) as usize;
    let Some(size) = [with_cells, 4].into_iter().find(|size| fits(*size)) else {
        return vec![None];
    };
    let entries = words.chunks(size).map(|entry| {
        Some(StreamRun {
            smmu: smmu(entry[1])?.id(),
            requester: entry[0],
            first: entry[2],
            count: entry[size - 1],
        })
    });
    entries.collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tree::Tree;

    /// QEMU's `virt`, with PCI behind an SMMU.
    fn virt() -> Tree {
        Tree::read(include_bytes!("../../../memory-map/tests/data/virt-gicv3.dtb")).unwrap()
    }

    fn words(words: &[u32]) -> Vec<u8> {
        words.iter().flat_map(|word| word.to_be_bytes()).collect()
    }

    #[test]
    fn what_is_written_is_read_again() {
        let tree = virt();
        let again = Tree::read(&tree.write()).unwrap();
        assert_eq!(again, tree);
        assert!(tree.nodes().count() > 30 && tree.at("/pl011@9000000").is_some());
    }

    #[test]
    fn registers_and_interrupts_are_as_the_cpu_and_the_gic_have_them() {
        let tree = virt();
        let port = tree.at("/pl011@9000000").unwrap();
        assert_eq!(registers(port), [Span::new(0x0900_0000, 0x1000)]);
        let expected = Interrupt {
            intid: 33,
            trigger: Trigger::LevelHigh,
        };
        assert_eq!(interrupts(port), [Some(expected)]);
        assert_eq!(expected.to_string(), "SPI 1 level-high");
        let cpu = tree.at("/cpus/cpu@0").unwrap();
        assert!(registers(cpu).is_empty(), "no bus of the CPU's own is in memory");
        let pcie = tree.nodes().find(|node| node.kind() == "pcie").unwrap();
        assert!(pci_windows(pcie).contains(&Span::new(0x1000_0000, 0x2eff_0000)));
    }

    #[test]
    fn maps_of_streams_are_read_in_both_forms() {
        let mut tree = virt();
        let pcie = tree.nodes().find(|node| node.has("iommu-map")).unwrap();
        let map = pcie.words("iommu-map").unwrap();
        let smmu = tree.by_phandle(map[1]).unwrap().id();
        let (id, phandle) = (pcie.id(), map[1]);
        let runs = |tree: &Tree| {
            let runs = stream_runs(tree.node(id));
            runs.into_iter()
                .map(|run| run.map(|run| (run.requester, run.first, run.count)))
                .collect::<Vec<_>>()
        };
        assert_eq!(runs(&tree), [Some((0, 0, 0x1_0000))]);
        // As up to Linux 6.19, and as from 7.0 on, at an SMMU whose streams have a mask.
        tree.set(smmu, "#iommu-cells", &words(&[2]));
        let expected = [Some((0, 0x1c80, 1)), Some((0x100, 0x1c81, 1))];
        tree.set(
            id,
            "iommu-map",
            &words(&[0, phandle, 0x1c80, 1, 0x100, phandle, 0x1c81, 1]),
        );
        assert_eq!(runs(&tree), expected);
        let five = [0, phandle, 0x1c80, 0, 1, 0x100, phandle, 0x1c81, 0, 1];
        tree.set(id, "iommu-map", &words(&five));
        assert_eq!(runs(&tree), expected);
        tree.set(id, "iommu-map", &words(&[0, 0x7777, 0, 1]));
        assert_eq!(runs(&tree), [None]);
    }
}
