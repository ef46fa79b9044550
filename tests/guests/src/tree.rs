//! What the device tree says of the machine.

use crate::console;
use crate::range::Range;
use core::str::from_utf8;
use fdt_rs::base::DevTree;
use fdt_rs::base::iters::DevTreeParseIter;
use fdt_rs::base::parse::ParsedTok;
use fdt_rs::prelude::FallibleIterator;
use heapless::Vec;

/// Where the RAM of a guest of Leasehold's begins, as that of QEMU's virt machine does (QEMU: hw/arm/virt.c, VIRT_MEM).
pub const RAM_BASE: u64 = 0x4000_0000;

/// A lease that waits for this VM to retrieve it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Lease {
    /// Its handle.
    pub handle: u64,
    /// Its tag, if the tree has one.
    pub tag: u64,
    /// Who lends it, if the tree says so.
    pub owner: Option<u64>,
}

/// What a program here wants to know of its machine.
#[derive(Clone, Debug, Default)]
pub struct Machine {
    /// Where the tree is.
    pub tree: Range,
    /// RAM.
    pub memory: Vec<Range, 16>,
    /// What of it is reserved.
    pub reserved: Vec<Range, 16>,
    /// MPIDR affinity of each CPU.
    pub cpus: Vec<u64, 8>,
    /// The command line.
    pub args: &'static str,
    /// The ramdisk, empty if there is none.
    pub ramdisk: Range,
    /// PSCI is called by SMC.
    pub psci_by_smc: bool,
    /// The UART that `stdout-path` names, or the only one.
    pub uart: u64,
    /// Which of [`console::KINDS`] it is.
    pub uart_kind: usize,
    /// The ECAM of the PCI host, if there is one.
    pub ecam: Option<u64>,
    /// The distributor and the redistributors of the GIC, if there is a GICv3.
    pub gic: Option<(u64, u64)>,
    /// Leases that wait to be retrieved, by the tree's `/leasehold/lease@N`.
    pub leases: Vec<Lease, 8>,
    /// Is there a UART and did `stdout-path` name it?
    pub uart_is_stdout: bool,
}

/// Why a tree cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TreeError {
    /// It does not begin with `d00dfeed`, or not at a multiple of 8.
    NoTree,
    /// Something in it does not parse.
    Malformed,
    /// It names no memory.
    NoMemory,
}

/// The most levels that are looked at.
const DEEPEST: usize = 8;

/// A node while it is read.
#[derive(Clone, Copy, Default)]
struct Node {
    name: &'static str,
    address_cells: usize,
    size_cells: usize,
    compatible: &'static [u8],
    device_type: &'static [u8],
    reg: &'static [u8],
    handle: u64,
    tag: u64,
    owner: Option<u64>,
}

impl Node {
    fn is(&self, compatible: &str) -> bool {
        self.compatible.split(|b| *b == 0).any(|c| c == compatible.as_bytes())
    }

    fn base_name(&self) -> &'static str {
        self.name.split('@').next().unwrap_or("")
    }
}

/// A big-endian number of one or two cells, or 0.
fn number(bytes: &[u8]) -> u64 {
    bytes.iter().take(8).fold(0, |n, b| n << 8 | u64::from(*b))
}

fn text(bytes: &'static [u8]) -> &'static str {
    from_utf8(bytes).unwrap_or("").trim_end_matches('\0')
}

/// The pairs of a `reg`.
fn ranges(reg: &[u8], parent: &Node) -> impl Iterator<Item = Range> {
    let (a, s) = (parent.address_cells * 4, parent.size_cells * 4);
    let pairs = reg.chunks_exact((a + s).max(4));
    pairs.map(move |p| Range::new(number(&p[..a.min(p.len())]), number(&p[a.min(p.len())..])))
}

impl Machine {
    /// Reads the tree at `address`.
    ///
    /// # Errors
    /// [`TreeError`]
    ///
    /// # Safety
    /// If there is a tree, it stays as it is while the program runs.
    pub unsafe fn read(address: u64) -> Result<Machine, TreeError> {
        if address == 0 || !address.is_multiple_of(8) {
            return Err(TreeError::NoTree);
        }
        // SAFETY: aligned; the caller says that what is there stays.
        let tree: DevTree<'static> =
            unsafe { DevTree::from_raw_pointer(address as *const u8) }.map_err(|_| TreeError::NoTree)?;
        let mut machine = Machine {
            tree: Range::new(address, tree.totalsize() as u64),
            ..Machine::default()
        };
        machine.walk(&tree).map_err(|_| TreeError::Malformed)?;
        if machine.memory.is_empty() {
            Err(TreeError::NoMemory)
        } else {
            Ok(machine)
        }
    }

    fn walk(&mut self, tree: &DevTree<'static>) -> Result<(), fdt_rs::error::DevTreeError> {
        let strings = tree.buf().get(tree.off_dt_strings()..).unwrap_or(&[]);
        let mut path: Vec<Node, DEEPEST> = Vec::new();
        let mut too_deep = 0usize;
        let mut stdout = "";
        let mut tokens = DevTreeParseIter::new(tree);
        while let Some(token) = tokens.next()? {
            match token {
                ParsedTok::BeginNode(node) => {
                    let fresh = Node {
                        name: text(node.name),
                        address_cells: 2,
                        size_cells: 1,
                        ..Node::default()
                    };
                    if too_deep > 0 || path.push(fresh).is_err() {
                        too_deep += 1;
                    }
                }
                ParsedTok::EndNode if too_deep > 0 => too_deep -= 1,
                ParsedTok::EndNode => {
                    if let Some(node) = path.pop() {
                        self.take(&node, &path, stdout);
                    }
                }
                ParsedTok::Prop(property) if too_deep == 0 => {
                    let name = strings.get(property.name_offset..).unwrap_or(&[]);
                    let name = name
                        .split(|b| *b == 0)
                        .next()
                        .and_then(|n| from_utf8(n).ok())
                        .unwrap_or("");
                    let above = path.len().saturating_sub(1);
                    let in_chosen = above == 1 && path[above].name == "chosen";
                    if in_chosen && name == "stdout-path" {
                        stdout = text(property.prop_buf);
                    }
                    if let Some(node) = path.last_mut() {
                        self.property(node, in_chosen, name, property.prop_buf);
                    }
                }
                _ => {}
            }
        }
        Ok(())
    }

    fn property(&mut self, node: &mut Node, in_chosen: bool, name: &str, value: &'static [u8]) {
        match name {
            "#address-cells" => node.address_cells = (number(value) as usize).min(2),
            "#size-cells" => node.size_cells = (number(value) as usize).min(2),
            "compatible" => node.compatible = value,
            "device_type" => node.device_type = value,
            "reg" => node.reg = value,
            "method" if node.name == "psci" => self.psci_by_smc = text(value) == "smc",
            "handle" => node.handle = number(value),
            "tag" => node.tag = number(value),
            "owner" => node.owner = Some(number(value)),
            "bootargs" if in_chosen => self.args = text(value),
            "linux,initrd-start" if in_chosen => self.ramdisk.start = number(value),
            "linux,initrd-end" if in_chosen => self.ramdisk.end = number(value),
            _ => {}
        }
    }

    /// A node with all its properties. `path` is what it lies in, the root first.
    fn take(&mut self, node: &Node, path: &[Node], stdout: &str) {
        let Some(parent) = path.last() else { return };
        let mut reg = ranges(node.reg, parent);
        if path.len() == 1 && text(node.device_type) == "memory" {
            self.memory.extend(
                reg.filter(|r| !r.is_empty())
                    .take(self.memory.capacity() - self.memory.len()),
            );
            self.memory.sort_unstable_by_key(|r| r.start);
        } else if parent.name == "reserved-memory" {
            self.reserved.extend(
                reg.filter(|r| !r.is_empty())
                    .take(self.reserved.capacity() - self.reserved.len()),
            );
        } else if parent.name == "cpus" && node.base_name() == "cpu" {
            let _ = self.cpus.push(number(node.reg));
        } else if let Some(kind) = console::KINDS.iter().position(|kind| node.is(kind.compatible)) {
            let named = stdout.split(':').next().unwrap_or("").trim_start_matches('/') == node.name;
            if named || self.uart == 0 {
                self.uart = reg.next().map_or(0, |r| r.start);
                self.uart_kind = kind;
                self.uart_is_stdout = named;
            }
        } else if node.is("pci-host-ecam-generic") {
            self.ecam = reg.next().map(|r| r.start);
        } else if node.is("arm,gic-v3") {
            self.gic = reg.next().zip(reg.next()).map(|(d, r)| (d.start, r.start));
        } else if parent.name == "leasehold" && node.base_name() == "lease" {
            let _ = self.leases.push(Lease {
                handle: node.handle,
                tag: node.tag,
                owner: node.owner,
            });
        }
    }

    /// Where RAM begins, whatever the tree leaves out of it: on every machine here at a multiple of 1 GiB.
    fn ram_base(&self) -> u64 {
        const GIB: u64 = 1 << 30;
        self.memory.first().map_or(0, |memory| memory.start) & !(GIB - 1)
    }

    /// RAM that the tree does not give: what lies below, between and above is the hypervisor's, or not there. Only what
    /// lies between the machine's first RAM and the last memory of the tree.
    pub fn holes(&self) -> Vec<Range, 8> {
        let mut holes = Vec::new();
        let mut at = self.ram_base();
        for memory in &self.memory {
            let hole = Range {
                start: at,
                end: memory.start,
            };
            if !hole.is_empty() {
                let _ = holes.push(hole);
            }
            at = at.max(memory.end);
        }
        holes
    }

    /// From the first to the last RAM, holes included.
    pub fn ram(&self) -> Range {
        Range {
            start: self.ram_base(),
            end: self.memory.iter().map(|m| m.end).max().unwrap_or(0),
        }
    }
}
