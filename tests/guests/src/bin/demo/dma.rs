//! A device that is told to touch what is lent.

use leasehold_guests::edu::{BUFFER_BYTES, Edu};
use leasehold_guests::host::Host;
use leasehold_guests::pages::Block;
use leasehold_guests::pattern;
use leasehold_guests::tree::RAM_BASE;

/// How deep in the first range the device reaches.
const INSIDE: u64 = 1 << 20;

/// What the host writes, and the device carries.
fn mark(address: u64) -> u64 {
    pattern::at(address ^ 0xffff_0000_0000)
}

/// Reading and writing: the host's own memory it may, the lent it may not.
pub fn all(host: &mut Host, lent: &[Block]) {
    let Some(edu) = host.machine.ecam.and_then(Edu::find) else {
        host.report
            .step("DMA device", false, format_args!("there is no edu on the PCI bus"));
        return;
    };
    let (from, to) = (host.pages.take(1), host.pages.take(1));
    from.fill(mark);
    let ran = edu.load(from.base(), BUFFER_BYTES) && edu.store(to.base(), BUFFER_BYTES);
    let lost = to.differs(|at| mark(at - to.base() + from.base()));
    host.report.step(
        "DMA of the host's own memory",
        ran && lost.is_none(),
        format_args!("{lost:x?}"),
    );

    // The guest's pattern stands there, behind its image and its tree.
    let target = lent[0].base() + INSIDE;
    let ran = edu.load(target, BUFFER_BYTES);
    to.fill(|_| 0);
    let out = edu.store(to.base(), BUFFER_BYTES);
    let leaked = (0..to.bytes())
        .step_by(8)
        .find(|at| to.read(*at as usize) == pattern::at(RAM_BASE + INSIDE + at));
    let good = ran && out && leaked.is_none();
    host.report
        .step("DMA from lent memory brings nothing", good, format_args!("{leaked:x?}"));

    edu.load(from.base(), BUFFER_BYTES);
    let ran = edu.store(target, BUFFER_BYTES);
    host.report.step(
        "DMA to lent memory ends",
        ran,
        format_args!("the guest must not see it"),
    );
}
