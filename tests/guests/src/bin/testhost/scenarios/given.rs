//! What a host gets, for whoever reads its console.

use core::fmt;
use leasehold_guests::host::Host;
use leasehold_guests::line;

/// What the host was given: `LH-RAM <bytes>`, and its tree, 64 bytes a line: `LH-TREE <hex>`.
pub fn run(host: &mut Host) {
    let memory = host.machine.memory.iter().map(|range| range.bytes()).sum::<u64>();
    line!("LH-RAM {memory}");
    // SAFETY: the tree that `Machine::read` has read, which nobody writes to.
    let tree = unsafe {
        core::slice::from_raw_parts(host.machine.tree.start as *const u8, host.machine.tree.bytes() as usize)
    };
    for bytes in tree.chunks(64) {
        line!("LH-TREE {}", Hex(bytes));
    }
}

/// Bytes as two digits each.
struct Hex<'b>(&'b [u8]);

impl fmt::Display for Hex<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}
