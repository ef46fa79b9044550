//! Trees for tests, read and written without a line of the code under test, and what the test files share.
#![allow(dead_code, reason = "each test file uses a part")]

pub mod exercise;

use leasehold_memory_map::{
    BoardMemory, HostTree, Kept, MachineTree, MemoryMap, Node, PhysAddr, PhysRange, RegionKind, WriteError,
};
use std::path::Path;

/// A blob at a multiple of eight bytes.
pub struct Blob {
    storage: Vec<u8>,
    start: usize,
    len: usize,
}

impl Blob {
    pub fn new(bytes: &[u8]) -> Self {
        let mut storage = vec![0; bytes.len() + 7];
        let start = storage.as_ptr().align_offset(8);
        storage[start..start + bytes.len()].copy_from_slice(bytes);
        Self {
            storage,
            start,
            len: bytes.len(),
        }
    }

    pub fn bytes(&self) -> &[u8] {
        &self.storage[self.start..][..self.len]
    }

    pub fn bytes_mut(&mut self) -> &mut [u8] {
        &mut self.storage[self.start..][..self.len]
    }
}

/// A tree of `tests/data`.
pub fn fixture(name: &str) -> Blob {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data").join(name);
    Blob::new(&std::fs::read(path).unwrap())
}

pub const FIXTURES: [&str; 4] = ["virt-gicv2.dtb", "virt-gicv3.dtb", "u-boot.dtb", "small-soc.dtb"];

/// A node, with all that is in it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tree {
    pub name: String,
    pub props: Vec<(String, Vec<u8>)>,
    pub children: Vec<Tree>,
}

impl Tree {
    pub fn new(name: &str) -> Self {
        Self {
            name: name.into(),
            ..Self::default()
        }
    }

    pub fn prop(mut self, name: &str, value: &[u8]) -> Self {
        self.props.push((name.into(), value.to_vec()));
        self
    }

    pub fn text(self, name: &str, value: &str) -> Self {
        self.prop(name, format!("{value}\0").as_bytes())
    }

    pub fn cells(self, name: &str, cells: &[u32]) -> Self {
        let value: Vec<u8> = cells.iter().flat_map(|cell| cell.to_be_bytes()).collect();
        self.prop(name, &value)
    }

    /// A `reg` or the like with two cells each.
    pub fn ranges(self, name: &str, ranges: &[(u64, u64)]) -> Self {
        let value: Vec<u8> = ranges
            .iter()
            .flat_map(|(start, len)| [start.to_be_bytes(), len.to_be_bytes()].concat())
            .collect();
        self.prop(name, &value)
    }

    pub fn child(mut self, child: Tree) -> Self {
        self.children.push(child);
        self
    }

    /// The node at `path` below this one.
    pub fn at(&self, path: &str) -> Option<&Tree> {
        path.split('/')
            .filter(|name| !name.is_empty())
            .try_fold(self, |node, name| node.children.iter().find(|child| child.name == name))
    }

    pub fn get(&self, name: &str) -> Option<&[u8]> {
        let (_, value) = self.props.iter().find(|(known, _)| known == name)?;
        Some(value)
    }

    pub fn words(&self, name: &str) -> Option<Vec<u32>> {
        let value = self.get(name)?;
        let words = value.chunks(4).map(|word| u32::from_be_bytes(word.try_into().unwrap()));
        Some(words.collect())
    }

    /// A root with the cells that everyone uses.
    pub fn root() -> Self {
        Self::new("").cells("#address-cells", &[2]).cells("#size-cells", &[2])
    }

    pub fn memory(ranges: &[(u64, u64)]) -> Self {
        Self::new("memory").text("device_type", "memory").ranges("reg", ranges)
    }

    pub fn blob(&self) -> Blob {
        self.blob_with(&[])
    }

    pub fn blob_with(&self, reservations: &[(u64, u64)]) -> Blob {
        let (mut structure, mut strings) = (Vec::new(), Vec::new());
        self.write(&mut structure, &mut strings);
        word(&mut structure, 9);
        assemble(reservations, &structure, &strings)
    }

    fn write(&self, structure: &mut Vec<u8>, strings: &mut Vec<u8>) {
        word(structure, 1);
        structure.extend(self.name.as_bytes());
        structure.push(0);
        pad(structure);
        for (name, value) in &self.props {
            word(structure, 3);
            word(structure, value.len() as u32);
            word(structure, strings.len() as u32);
            strings.extend(name.as_bytes());
            strings.push(0);
            structure.extend(value);
            pad(structure);
        }
        self.children.iter().for_each(|child| child.write(structure, strings));
        word(structure, 2);
    }
}

/// A blob of the three blocks.
pub fn assemble(reservations: &[(u64, u64)], structure: &[u8], strings: &[u8]) -> Blob {
    let mut block = Vec::new();
    for (address, size) in reservations.iter().chain(&[(0, 0)]) {
        block.extend(address.to_be_bytes());
        block.extend(size.to_be_bytes());
    }
    let at_structure = 40 + block.len();
    let at_strings = at_structure + structure.len();
    let total = at_strings + strings.len();
    let mut blob = Vec::new();
    for field in [
        0xd00d_feed,
        total,
        at_structure,
        at_strings,
        40,
        17,
        16,
        0,
        strings.len(),
        structure.len(),
    ] {
        word(&mut blob, field as u32);
    }
    blob.extend(block);
    blob.extend(structure);
    blob.extend(strings);
    Blob::new(&blob)
}

fn word(out: &mut Vec<u8>, word: u32) {
    out.extend(word.to_be_bytes());
}

fn pad(out: &mut Vec<u8>) {
    out.resize(out.len().next_multiple_of(4), 0);
}

/// Takes a blob apart: reservations, and the root. Panics on what is none.
pub fn read(blob: &[u8]) -> (Vec<(u64, u64)>, Tree) {
    let at = |offset: usize| u32::from_be_bytes(blob[offset..offset + 4].try_into().unwrap()) as usize;
    let long = |offset: usize| u64::from_be_bytes(blob[offset..offset + 8].try_into().unwrap());
    assert_eq!(at(0), 0xd00d_feed);
    assert_eq!(at(4), blob.len());
    assert_eq!(at(12), at(8) + at(36), "strings follow the structure");
    assert_eq!(at(12) + at(32), blob.len(), "nothing follows the strings");
    let reservations = (at(16)..)
        .step_by(16)
        .map(|offset| (long(offset), long(offset + 8)))
        .take_while(|entry| *entry != (0, 0))
        .collect();
    let strings = &blob[at(12)..];
    let mut offset = at(8);
    let mut stack = vec![Tree::default()];
    loop {
        let token = at(offset);
        offset += 4;
        match token {
            1 => {
                let name = string(&blob[offset..]);
                offset += (name.len() + 1).next_multiple_of(4);
                stack.push(Tree::new(&name));
            }
            2 => {
                let node = stack.pop().unwrap();
                stack.last_mut().unwrap().children.push(node);
            }
            3 => {
                let (len, name) = (at(offset), string(&strings[at(offset + 4)..]));
                offset += 8;
                let value = blob[offset..offset + len].to_vec();
                offset += len.next_multiple_of(4);
                stack.last_mut().unwrap().props.push((name, value));
            }
            9 => break,
            other => panic!("token {other} at {offset:#x}"),
        }
    }
    assert_eq!(offset, at(12), "the structure ends with its last token");
    assert_eq!(stack.len(), 1);
    let mut top = stack.pop().unwrap();
    assert_eq!(top.children.len(), 1);
    (reservations, top.children.pop().unwrap())
}

fn string(bytes: &[u8]) -> String {
    let len = bytes.iter().position(|byte| *byte == 0).unwrap();
    String::from_utf8(bytes[..len].to_vec()).unwrap()
}

/// What `dtc` has to say against a blob, without line numbers; `None` where there is no `dtc`. Panics on a blob that it
/// refuses.
pub fn dtc_warnings(blob: &[u8]) -> Option<Vec<String>> {
    let mut dtc = std::process::Command::new("dtc")
        .args(["-I", "dtb", "-O", "dts", "-o", "/dev/null", "-"])
        .stdin(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .ok()?;
    std::io::Write::write_all(&mut dtc.stdin.take().unwrap(), blob).unwrap();
    let output = dtc.wait_with_output().unwrap();
    let text = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{text}");
    Some(text.lines().map(String::from).collect())
}

/// All addresses that there are.
pub const ALL: PhysRange = PhysRange::constant(PhysAddr::new(0), (1 << 52) - 1);
/// A board that takes any tree.
pub const BOARD: BoardMemory<'_> = BoardMemory {
    ram: &[ALL],
    carveouts: &[],
};

pub fn range(start: u64, len: u64) -> PhysRange {
    PhysRange::constant(PhysAddr::new(start), len)
}

/// A map of the tree's memory alone, with a hypervisor at `own`.
pub fn map_of(machine: &MachineTree<'_>, own: &[PhysRange]) -> MemoryMap {
    let blob = range(machine.memory()[0].start().as_u64() + 0x10_0000, 0x1000);
    let mut map = MemoryMap::new(machine, &BOARD, blob).unwrap();
    for range in own {
        map.carve(*range, RegionKind::Hypervisor).unwrap();
    }
    map
}

/// A host with no command line and no RAM disk.
pub fn host<'e>(map: &'e MemoryMap, kept: &'e [Kept<'e>], extra: &'e [Node<'e>]) -> HostTree<'e> {
    HostTree {
        map,
        kept,
        bootargs: "",
        ramdisk: None,
        extra,
    }
}

/// The tree of a host, and a check that nothing is written behind it.
pub fn write_host(host: &HostTree<'_>, machine: &MachineTree<'_>) -> Result<Blob, WriteError> {
    let mut out = vec![0xaa; 64 * 1024];
    let len = host.write(machine, &mut out)?;
    assert!(
        out[len..].iter().all(|byte| *byte == 0xaa),
        "nothing is written behind the end"
    );
    Ok(Blob::new(&out[..len]))
}
