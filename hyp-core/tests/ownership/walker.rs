//! A stage-2 walk, written from the Arm ARM (D8.2, D8.3: 4 KiB granule, start at level 1), that shares nothing with
//! the tables' own code.

/// A leaf that a walk found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Leaf {
    pub ipa: u64,
    pub pa: u64,
    pub size: u64,
    /// The descriptor without its output address.
    pub attributes: u64,
}

/// One step of a walk: an entry, and what hardware makes of it.
pub enum Step {
    Fault,
    Next(u64),
    Leaf(Leaf),
}

const OUTPUT: u64 = 0x0000_ffff_ffff_f000;

/// How many bits of the address the entries of `level` leave over.
pub fn bits_below(level: u32) -> u32 {
    12 + 9 * (3 - level)
}

/// The table and index where the walk for `ipa` starts.
pub fn start(root: u64, ipa: u64) -> (u64, usize) {
    (root + ((ipa >> 39) << 12), ((ipa >> 30) & 0x1ff) as usize)
}

/// The index of `ipa` in a table of `level`.
pub fn index(ipa: u64, level: u32) -> usize {
    ((ipa >> bits_below(level)) & 0x1ff) as usize
}

/// What hardware makes of `descriptor` in a table of `level` on its way to `ipa`.
pub fn step(descriptor: u64, level: u32, ipa: u64) -> Step {
    let size = 1 << bits_below(level);
    match (descriptor & 3, level) {
        (3, 1 | 2) => Step::Next(descriptor & OUTPUT),
        (1, 1 | 2) | (3, 3) => {
            assert_ne!(descriptor & (1 << 10), 0, "access flag fault");
            let pa = descriptor & OUTPUT;
            assert_eq!(pa % size, 0, "a block's output address is aligned");
            Step::Leaf(Leaf {
                ipa: ipa & !(size - 1),
                pa,
                size,
                attributes: descriptor & !OUTPUT,
            })
        }
        _ => Step::Fault,
    }
}

/// Bits 58:55 of a leaf, which hardware leaves to software.
const IGNORED: u64 = 0xf << 55;

/// Whether an entry may become another while it is in use (Arm ARM D8.16.1): nothing with another output, and with
/// break-before-make level 2 (`splits`) a block a table and back.
pub fn may_become(level: u32, old: u64, new: u64, splits: bool) -> bool {
    match (step(old, level, 0), step(new, level, 0)) {
        (Step::Fault, _) | (_, Step::Fault) => true,
        (Step::Leaf(_), Step::Leaf(_)) => (old ^ new) & !IGNORED == 0,
        (Step::Next(old), Step::Next(new)) => old == new,
        (Step::Leaf(_), Step::Next(_)) | (Step::Next(_), Step::Leaf(_)) => splits,
    }
}

/// All leaves under the root, and the tables on the way, root tables first.
pub fn walk_all(read: &dyn Fn(u64, usize) -> u64, root: u64, ipa_bits: u32) -> (Vec<Leaf>, Vec<u64>) {
    let mut leaves = Vec::new();
    let mut tables = Vec::new();
    let gibibytes = 1 << (ipa_bits - 30);
    for n in (0..gibibytes).step_by(512) {
        let table = root + (n / 512) * 4096;
        tables.push(table);
        let entries = (gibibytes - n).min(512);
        walk_table(read, table, 1, n << 30, entries as usize, &mut leaves, &mut tables);
    }
    let mut once = tables.clone();
    once.sort_unstable();
    once.dedup();
    assert_eq!(once.len(), tables.len(), "a table is walked from one place only");
    (leaves, tables)
}

fn walk_table(
    read: &dyn Fn(u64, usize) -> u64,
    table: u64,
    level: u32,
    base: u64,
    entries: usize,
    leaves: &mut Vec<Leaf>,
    tables: &mut Vec<u64>,
) {
    for index in 0..entries {
        let ipa = base + ((index as u64) << bits_below(level));
        match step(read(table, index), level, ipa) {
            Step::Fault => {}
            Step::Leaf(leaf) => leaves.push(leaf),
            Step::Next(next) => {
                tables.push(next);
                walk_table(read, next, level + 1, ipa, 512, leaves, tables);
            }
        }
    }
}
