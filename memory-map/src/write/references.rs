//! What the host's tree must not point at: the nodes that EL2 keeps.

use super::WriteError;
use super::host::Kept;
use crate::tree::value::{self, words};
use crate::tree::walk::{Node, Step, Walk};
use crate::tree::{Module, NodeName};
use heapless::Vec;
use leasehold_fdt::{Fdt, Property};

/// How many of the kept nodes, and of the nodes in them, may have a phandle. Of the trees of Qualcomm's boards in Linux 7.3
/// X1E80100's needs the most, some 200 with its trace units.
const MAX_PROVIDERS: usize = 384;
/// How many bytes the paths of the kept nodes may have, with a NUL each. QEMU's `virt` without its 32 virtio transports
/// needs 700; the longest path in Linux 6.12's Qualcomm trees has 91.
const MAX_PATHS: usize = 2048;

/// A node with a phandle that the host does not see.
struct Provider {
    phandle: u32,
    /// How many cells follow the phandle where an `iommus` or `msi-parent` names it.
    cells: u16,
    /// Whether interrupts are routed by it.
    interrupts: bool,
}

/// The nodes that EL2 keeps, as far as others can point at them.
#[derive(Default)]
pub(super) struct Withheld {
    /// Paths, each with a NUL behind it.
    paths: Vec<u8, MAX_PATHS>,
    providers: Vec<Provider, MAX_PROVIDERS>,
}

/// What becomes of a property.
pub(super) enum Fate {
    /// It stays as it is.
    Stays,
    /// It goes.
    Goes,
    /// Of its entries of four cells, those stay that [`Withheld::entry_stays`].
    Thins,
}

impl Withheld {
    /// Finds the nodes in a pass over the tree.
    pub fn collect(fdt: &Fdt<'_>, kept: &[Kept<'_>]) -> Result<Self, WriteError> {
        let mut withheld = Self::default();
        let mut walk = Walk::new(fdt);
        let mut inside = usize::MAX;
        while let Some(step) = walk.step()? {
            match step {
                Step::Enter(node) if node.depth > inside => withheld.add_provider(&node)?,
                Step::Enter(node) if is_kept(&walk, &node, kept) => {
                    inside = node.depth;
                    withheld.add_provider(&node)?;
                    withheld.add_path(&walk)?;
                }
                Step::Leave if walk.depth() < inside => inside = usize::MAX,
                _ => {}
            }
        }
        Ok(withheld)
    }

    fn add_path(&mut self, walk: &Walk<'_>) -> Result<(), WriteError> {
        for name in walk.names() {
            self.add_bytes(b"/")?;
            self.add_bytes(name)?;
        }
        self.add_bytes(&[0])
    }

    fn add_bytes(&mut self, bytes: &[u8]) -> Result<(), WriteError> {
        self.paths.extend_from_slice(bytes).map_err(|_| WriteError::TooMany {
            what: "bytes of kept nodes' paths",
            limit: MAX_PATHS,
        })
    }

    fn add_provider(&mut self, node: &Node<'_>) -> Result<(), WriteError> {
        let Some(phandle) = node.phandle else {
            return Ok(());
        };
        let cells = match node.get("#iommu-cells")? {
            Some(cells) => Some(cells),
            None => node.get("#msi-cells")?,
        };
        let provider = Provider {
            phandle,
            // No list is as long as the most that there can be.
            cells: u16::try_from(cells.and_then(|cells| value::u32(cells).ok()).unwrap_or(0)).unwrap_or(u16::MAX),
            interrupts: node.get("interrupt-controller")?.is_some(),
        };
        self.providers.push(provider).map_err(|_| WriteError::TooMany {
            what: "kept nodes with a phandle",
            limit: MAX_PROVIDERS,
        })
    }

    /// Whether `path` is that of a kept node, or of one inside of it.
    pub fn has_path(&self, path: &[u8]) -> bool {
        // What is behind the last NUL is no path.
        let ends = self.paths.strip_suffix(&[0]);
        let mut paths = ends.into_iter().flat_map(|paths| paths.split(|byte| *byte == 0));
        paths.any(|kept| matches!(path.strip_prefix(kept), Some([] | [b'/', ..])))
    }

    /// What becomes of a property of `node` that might point at a kept node.
    pub fn fate(&self, node: &Node<'_>, property: &Property<'_>) -> Result<Fate, WriteError> {
        let value = property.value;
        let goes = match property.name {
            b"interrupt-parent" | b"interrupts-extended" | b"interrupt-map" => {
                return self.check_interrupts(node, value).map(|()| Fate::Stays);
            }
            b"iommus" | b"msi-parent" => self.has_list(node, value)?,
            b"iommu-map" | b"msi-map" => match self.stays_of_map(value) {
                (_, 0) => false,
                (0, _) => true,
                _ => return Ok(Fate::Thins),
            },
            b"iommu-map-mask" => self.has_map(node.get("iommu-map")?),
            b"msi-map-mask" => self.has_map(node.get("msi-map")?),
            _ if node.depth == 2 && matches!(node.name, b"aliases" | b"__symbols__") => {
                self.has_path(value.strip_suffix(&[0]).unwrap_or(value))
            }
            _ => false,
        };
        Ok(if goes { Fate::Goes } else { Fate::Stays })
    }

    /// Whether an entry of an `iommu-map` or `msi-map` stays: first id, phandle, first id there, length
    /// (Documentation/devicetree/bindings/pci/pci-iommu.txt and pci-msi.txt).
    pub fn entry_stays(&self, entry: &[u8]) -> bool {
        words(entry)
            .nth(1)
            .is_none_or(|phandle| self.provider(phandle).is_none())
    }

    fn provider(&self, phandle: u32) -> Option<&Provider> {
        self.providers.iter().find(|provider| provider.phandle == phandle)
    }

    fn check_interrupts(&self, node: &Node<'_>, value: &[u8]) -> Result<(), WriteError> {
        // The lists cannot be split without the cells of each controller in them, so any word counts.
        let routes = |word| self.provider(word).is_some_and(|provider| provider.interrupts);
        match words(value).any(routes) {
            true => Err(WriteError::InterruptParent {
                node: NodeName::new(node.name),
            }),
            false => Ok(()),
        }
    }

    /// Whether a list of phandles, each with its cells, names kept nodes and no others.
    fn has_list(&self, node: &Node<'_>, value: &[u8]) -> Result<bool, WriteError> {
        let mut words = words(value).peekable();
        if words.peek().is_none_or(|first| self.provider(*first).is_none()) {
            return Ok(false);
        }
        while let Some(phandle) = words.next() {
            let Some(provider) = self.provider(phandle) else {
                return Err(WriteError::MixedIommus {
                    node: NodeName::new(node.name),
                });
            };
            if let Some(last) = usize::from(provider.cells).checked_sub(1) {
                words.nth(last);
            }
        }
        Ok(true)
    }

    /// How many entries of a map stay, and how many go.
    fn stays_of_map(&self, value: &[u8]) -> (usize, usize) {
        let (entries, _) = value.as_chunks::<MAP_ENTRY>();
        let stay = entries.iter().filter(|entry| self.entry_stays(*entry)).count();
        (stay, entries.len() - stay)
    }

    fn has_map(&self, map: Option<&[u8]>) -> bool {
        map.is_some_and(|map| matches!(self.stays_of_map(map), (0, 1..)))
    }
}

/// The size of an entry of an `iommu-map` or `msi-map` in bytes.
pub(super) const MAP_ENTRY: usize = 16;

/// Whether EL2 keeps the node that `walk` is just inside of: because the caller says so, or as a module of the boot
/// loader's.
pub(super) fn is_kept(walk: &Walk<'_>, node: &Node<'_>, kept: &[Kept<'_>]) -> bool {
    if node.depth == 1 {
        return false;
    }
    if node.depth == 3 && walk.parent_name() == b"chosen" && Module::is(node) {
        return true;
    }
    kept.iter().any(|kept| match kept {
        Kept::Path(path) => is_path(walk, node, path),
        Kept::Reg(start) => walk.first_reg(node).is_some_and(|reg| reg.start() == *start),
        Kept::Compatible(name) => node.is_any(&[name]),
    })
}

fn is_path(walk: &Walk<'_>, node: &Node<'_>, path: &str) -> bool {
    let Some(path) = path.strip_prefix('/') else {
        return false;
    };
    let ends_so = path.as_bytes().ends_with(node.name);
    ends_so && walk.names().eq(path.as_bytes().split(|byte| *byte == b'/'))
}
