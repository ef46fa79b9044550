//! A tree as a blob (Devicetree Specification v0.4, 5.2 to 5.5).

use crate::tree::{Node, Tree};
use std::collections::BTreeMap;

const MAGIC: u32 = 0xd00d_feed;
const HEADER: usize = 40;
const VERSION: usize = 17;
const LAST_COMPATIBLE: usize = 16;
const BEGIN_NODE: u32 = 1;
const END_NODE: u32 = 2;
const PROPERTY: u32 = 3;
const END: u32 = 9;

/// Names of properties, each once.
#[derive(Default)]
struct Strings<'t> {
    block: Vec<u8>,
    offsets: BTreeMap<&'t str, usize>,
}

impl<'t> Strings<'t> {
    fn offset(&mut self, name: &'t str) -> usize {
        *self.offsets.entry(name).or_insert_with(|| {
            let offset = self.block.len();
            self.block.extend(name.as_bytes());
            self.block.push(0);
            offset
        })
    }
}

/// Writes a tree. The boot CPU is 0.
pub(crate) fn blob(tree: &Tree) -> Vec<u8> {
    let (mut structure, mut strings) = (Vec::new(), Strings::default());
    node(tree.root(), &mut structure, &mut strings);
    word(&mut structure, END);
    let reservations: Vec<u8> = tree
        .reservations()
        .iter()
        .chain(&[(0, 0)])
        .flat_map(|(address, size)| [address.to_be_bytes(), size.to_be_bytes()].concat())
        .collect();
    let at_structure = HEADER + reservations.len();
    let at_strings = at_structure + structure.len();
    let total = at_strings + strings.block.len();
    let mut blob = Vec::with_capacity(total);
    word(&mut blob, MAGIC);
    for field in [total, at_structure, at_strings, HEADER, VERSION, LAST_COMPATIBLE, 0] {
        number(&mut blob, field);
    }
    number(&mut blob, strings.block.len());
    number(&mut blob, structure.len());
    [blob, reservations, structure, strings.block].concat()
}

fn node<'t>(node: Node<'t>, out: &mut Vec<u8>, strings: &mut Strings<'t>) {
    word(out, BEGIN_NODE);
    out.extend(node.name().as_bytes());
    out.push(0);
    pad(out);
    for (name, value) in node.properties() {
        word(out, PROPERTY);
        number(out, value.len());
        number(out, strings.offset(name));
        out.extend(value);
        pad(out);
    }
    for child in node.children() {
        self::node(child, out, strings);
    }
    word(out, END_NODE);
}

fn word(out: &mut Vec<u8>, word: u32) {
    out.extend(word.to_be_bytes());
}

/// A length or an offset. Trees are of some hundred kilobytes.
fn number(out: &mut Vec<u8>, number: usize) {
    word(out, u32::try_from(number).unwrap_or(u32::MAX));
}

fn pad(out: &mut Vec<u8>) {
    out.resize(out.len().next_multiple_of(4), 0);
}
