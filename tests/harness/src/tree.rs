//! Device trees, written front to back (Devicetree Specification v0.4, 5.2 to 5.5).

const MAGIC: u32 = 0xd00d_feed;
const VERSION: u32 = 17;
const LAST_COMPATIBLE: u32 = 16;
const HEADER: usize = 40;
/// One entry of the memory reservation block, the last one.
const RESERVATIONS: usize = 16;
const BEGIN_NODE: u32 = 1;
const END_NODE: u32 = 2;
const PROPERTY: u32 = 3;
const END: u32 = 9;

/// A tree in the making.
#[derive(Debug, Default)]
pub(crate) struct Tree {
    structure: Vec<u8>,
    strings: Vec<u8>,
}

impl Tree {
    pub(crate) fn new() -> Tree {
        Tree::default()
    }

    /// A node begins. The root has no name.
    pub(crate) fn begin(&mut self, name: &str) {
        self.word(BEGIN_NODE);
        self.structure.extend(name.bytes().chain([0]));
        self.pad();
    }

    /// The last node that has not ended does.
    pub(crate) fn end(&mut self) {
        self.word(END_NODE);
    }

    /// A property of 32-bit numbers.
    pub(crate) fn cells(&mut self, name: &str, cells: &[u32]) {
        let value: Vec<u8> = cells.iter().flat_map(|cell| cell.to_be_bytes()).collect();
        self.property(name, &value);
    }

    /// A property of pairs of 64-bit numbers, as addresses and sizes of two cells each.
    pub(crate) fn pairs(&mut self, name: &str, pairs: &[(u64, u64)]) {
        let numbers = pairs.iter().flat_map(|(first, second)| [*first, *second]);
        let value: Vec<u8> = numbers.flat_map(u64::to_be_bytes).collect();
        self.property(name, &value);
    }

    /// A property of texts.
    pub(crate) fn texts(&mut self, name: &str, texts: &[&str]) {
        let value: Vec<u8> = texts.iter().flat_map(|text| text.bytes().chain([0])).collect();
        self.property(name, &value);
    }

    /// The blob.
    pub(crate) fn finish(mut self) -> Vec<u8> {
        self.word(END);
        let structure = HEADER + RESERVATIONS;
        let strings = structure + self.structure.len();
        let mut blob = Vec::new();
        let mut word = |word: u32| blob.extend(word.to_be_bytes());
        word(MAGIC);
        for place in [strings + self.strings.len(), structure, strings, HEADER] {
            word(length(place));
        }
        for field in [VERSION, LAST_COMPATIBLE, 0] {
            word(field);
        }
        word(length(self.strings.len()));
        word(length(self.structure.len()));
        [blob, vec![0; RESERVATIONS], self.structure, self.strings].concat()
    }

    fn property(&mut self, name: &str, value: &[u8]) {
        self.word(PROPERTY);
        self.word(length(value.len()));
        self.word(length(self.strings.len()));
        self.strings.extend(name.bytes().chain([0]));
        self.structure.extend(value);
        self.pad();
    }

    fn word(&mut self, word: u32) {
        self.structure.extend(word.to_be_bytes());
    }

    fn pad(&mut self) {
        self.structure.resize(self.structure.len().next_multiple_of(4), 0);
    }
}

/// These trees are of some kilobytes.
fn length(bytes: usize) -> u32 {
    u32::try_from(bytes).unwrap_or(u32::MAX)
}
