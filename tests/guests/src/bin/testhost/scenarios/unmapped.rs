//! A host that unmaps what it lends, and is told where it has not.

use leasehold_abi::vendor::{DENIED, INVALID_PARAMETERS};
use leasehold_guests::arch::mmu::Access;
use leasehold_guests::arch::probe::{self, Width};
use leasehold_guests::host::Host;
use leasehold_guests::pages::{Block, PAGE};
use leasehold_guests::{ffa, pattern, vm};

/// The half of TTBR1, which has the same tables here.
const UPPER: u64 = 0xffff_ff80_0000_0000;

/// What a lend of a range of `lent` by that alias comes to; what is lent comes back at once.
fn lend(host: &mut Host, id: u64, lent: Block, offset: u64) -> Result<(), i32> {
    let length = host.mail().encode(id, &[(lent.base(), lent.pages() as u32)]) as u64;
    ffa::reclaim(vm::lend_unmapped(length, offset)?)
}

fn expect(host: &mut Host, name: &'static str, seen: Result<(), i32>, wanted: Result<(), i32>) {
    host.report
        .step(name, seen == wanted, format_args!("{seen:?}, wanted {wanted:?}"));
}

pub fn run(host: &mut Host) {
    let created = vm::create();
    let Some(id) = host.report.value("create", created) else {
        return;
    };
    let area = host.pages.take_blocks(1);
    let lent = area.part(3, 2);
    area.fill(pattern::at);
    let seen = lend(host, id, lent, 0);
    expect(host, "MMU off: all is mapped", seen, Err(DENIED));
    host.translate();
    let user = host.user(0);
    for (name, offset) in [
        ("the identity", 0),
        ("the user's window", user),
        ("the upper half", UPPER),
    ] {
        let seen = lend(host, id, lent, offset);
        expect(host, name, seen, Err(DENIED));
    }
    let whole = area.differs(pattern::at);
    host.report
        .step("nothing is lent", whole.is_none(), format_args!("{whole:x?}"));
    let seen = lend(host, id, lent, 1 << 50);
    expect(host, "no address of stage 1's", seen, Ok(()));
    for length in [0, 8, PAGE + 1, u64::MAX] {
        let seen = vm::lend_unmapped(length, 1 << 50).map(drop);
        expect(host, "no descriptor", seen, Err(INVALID_PARAMETERS));
    }
    if let Some(space) = host.space.take() {
        space.unmap(&mut host.pages, area.base());
        host.space = Some(space);
        unmapped(host, id, lent, user);
        walked(host, id, area, lent);
    }
    let after = area.differs(pattern::at);
    host.report
        .step("whole again", after.is_none(), format_args!("{after:x?}"));
    let destroyed = vm::destroy(id);
    host.report.value("destroy", destroyed);
}

/// The identity is gone, and with it the upper half; the user's window is not.
fn unmapped(host: &mut Host, id: u64, lent: Block, user: u64) {
    let seen = lend(host, id, lent, user);
    expect(host, "the user's window is left", seen, Err(DENIED));
    let seen = lend(host, id, lent, UPPER);
    expect(host, "the upper half is gone", seen, Ok(()));
    let length = host.mail().encode(id, &[(lent.base(), lent.pages() as u32)]) as u64;
    let lease = vm::lend_unmapped(length, 0);
    let Some(handle) = host.report.value("the identity is gone", lease) else {
        return;
    };
    // By what is left it is refused, by the chain's link that answers.
    let told = probe::read(lent.base() + user, Width::Double);
    host.report.step(
        "touched by what is left",
        told.is_err_and(|fault| fault.is_abort()),
        format_args!("{told:x?}"),
    );
    let back = ffa::reclaim(handle);
    host.report.value("reclaim", back);
}

/// An alias whose table is lent itself: nobody can tell, so it counts as mapped.
fn walked(host: &mut Host, id: u64, area: Block, lent: Block) {
    let table = host.pages.take(1);
    let mail = host.mail();
    if let Some(space) = host.space.take() {
        space.set_table(&mut host.pages, area.base(), table.base());
        host.space = Some(space);
    }
    let seen = lend(host, id, lent, 0);
    expect(host, "an empty table", seen, Ok(()));
    let leased = mail.lend(id, &[(table.base(), 1)]);
    if let Some(handle) = host.report.value("lend the table", leased) {
        let seen = lend(host, id, lent, 0);
        expect(host, "a table that is lent", seen, Err(DENIED));
        let back = ffa::reclaim(handle);
        host.report.value("reclaim the table", back);
    }
    if let Some(space) = host.space.take() {
        space.map_block(&mut host.pages, area.base(), area.base(), Access::Kernel);
        host.space = Some(space);
    }
}
