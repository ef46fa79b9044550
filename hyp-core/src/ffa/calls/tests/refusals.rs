//! Calls that ask for what nobody may have.

use super::*;
use crate::ownership::{PAGES_PER_LEASE, RANGES_PER_LEASE};
use proptest::prelude::*;

/// Every way to ask for what one cannot have: the error, and nothing has changed.
#[test]
fn refused_lends_change_nothing() {
    let good = descriptor(&[(BORROWED, 2)]);
    let many: Vec<(u64, u32)> = (0..=RANGES_PER_LEASE as u64).map(|n| (RAM + n * 0x2000, 1)).collect();
    #[rustfmt::skip]
    let cases: &[(&str, Vec<u8>, i32)] = &[
        ("the hypervisor's", descriptor(&[(HYPERVISOR + 0x1000, 1)]), -6),
        ("a table's page", descriptor(&[(HYPERVISOR, 1)]), -6),
        ("reaches into the hypervisor's", descriptor(&[(HYPERVISOR - 0x1000, 2)]), -6),
        ("a device's", descriptor(&[(DEVICE, 1)]), -6),
        ("nothing there", descriptor(&[(0x1000, 1)]), -6),
        ("behind RAM", descriptor(&[(RAM + RAM_LEN, 1)]), -6),
        ("lent already", descriptor(&[(BORROWED - 0x1000, 2)]), -6),
        ("its own mailbox", descriptor(&[(HOST_TX, 1)]), -6),
        ("twice in one", descriptor(&[(BORROWED, 2), (BORROWED + 0x1000, 1)]), -2),
        ("good, then the hypervisor's", descriptor(&[(BORROWED, 2), (HYPERVISOR, 1)]), -6),
        ("unaligned", descriptor(&[(BORROWED + 0x800, 1)]), -2),
        ("wrapping", descriptor(&[(u64::MAX - 0xfff, 2)]), -2),
        ("beyond any address", descriptor(&[(1 << 52, 1)]), -2),
        ("beyond the tables", descriptor(&[(1 << 40, 1)]), -2),
        ("empty", descriptor(&[(BORROWED, 0)]), -2),
        ("good, then empty", descriptor(&[(BORROWED, 1), (BORROWED + 0x1000, 0)]), -2),
        ("no ranges", descriptor(&[]), -2),
        ("too many pages", descriptor(&[(RAM, PAGES_PER_LEASE as u32 + 1)]), -3),
        ("a sum that wraps", descriptor(&[(BORROWED, 2), (BORROWED + 0x10_0000, u32::MAX)]), -2),
        ("another's sum", with(good.clone(), 80, 3), -2),
        ("reserved bits in a range", with(good.clone(), 108, 1), -2),
        ("in another's name", with(good.clone(), 0, 2), -6),
        ("to itself", with(good.clone(), 48, 1), -2),
        ("to the hypervisor", with(good.clone(), 48, 0), -2),
        ("to a VM that is not there", with(good.clone(), 48, 3), -2),
        ("to an id that no VM has", with(good.clone(), 49, 1), -2),
        ("to two", with(good.clone(), 28, 2), -2),
        ("for reading", with(good.clone(), 50, 0b01), -6),
        ("for executing", with(good.clone(), 50, 0b10_10), -2),
        ("with attributes", with(good.clone(), 2, 0x2f), -2),
        ("with a handle", with(good.clone(), 8, 1), -2),
        ("offset beyond the buffer", with(good.clone(), 53, 0x10), -2),
    ];
    let mut w = World::ready();
    let before = w.snapshot();
    for (what, bytes, code) in cases {
        assert_eq!(w.lend(bytes), Err(*code), "{what}");
        assert_eq!(w.snapshot(), before, "{what}");
    }
    let len = good.len() as u64;
    w.fake.write(HOST_TX, &good);
    for (what, registers, code) in [
        ("in a buffer of its own", [len, len, BORROWED, 1], -2),
        ("a buffer of no pages", [len, len, BORROWED, 0], -2),
        ("no buffer of some pages", [len, len, 0, 1], -2),
        ("in fragments", [len, len - 16, 0, 0], -2),
        ("a fragment that is longer", [len - 16, len, 0, 0], -2),
        ("longer than TX", [0x1010, 0x1010, 0, 0], -2),
        (
            "length that wraps",
            [u64::from(u32::MAX), u64::from(u32::MAX), 0, 0],
            -2,
        ),
        ("no length", [0, 0, 0, 0], -2),
    ] {
        let [a, b, c, d] = registers;
        assert_eq!(w.host(&[0xc400_0072, a, b, c, d]), error(code), "{what}");
        assert_eq!(w.snapshot(), before, "{what}");
    }
    // One range more than a lease has does not fit one page of TX: 4096 - 96 bytes are 250 ranges.
    assert!(descriptor(&many).len() > 4096);
    assert!(w.lend(&good).is_ok());
}

#[test]
fn one_lease_more_than_there_are_is_refused() {
    let mut w = World::ready();
    // One is the guest's memory.
    for n in 1..LEASES as u64 {
        assert!(w.lend(&descriptor(&[(BORROWED + n * 0x1000, 1)])).is_ok());
    }
    let before = w.snapshot();
    assert_eq!(w.lend(&descriptor(&[(BORROWED, 1)])), Err(-3));
    assert_eq!(w.snapshot(), before);
}

#[test]
fn a_lend_that_is_not_confirmed_is_undone() {
    let mut w = World::ready();
    let before = w.snapshot();
    w.fake.sync_fails.set(true);
    assert_eq!(w.lend(&descriptor(&[(BORROWED, 1)])), Err(-8));
    w.fake.sync_fails.set(false);
    assert_eq!(w.snapshot().0, before.0);
    assert!(w.lend(&descriptor(&[(BORROWED, 1)])).is_ok());
}

#[test]
fn a_board_with_masters_at_large_lends_nothing() {
    let mut w = World::ready();
    w.fake.allowed = false;
    let before = w.snapshot();
    assert_eq!(w.lend(&descriptor(&[(BORROWED, 1)])), Err(-6));
    assert_eq!(w.snapshot(), before);
}

#[test]
fn what_the_lender_maps_still_is_not_lent() {
    /// From an IPA to the lender's linear map.
    const OFFSET: u64 = 0xffff_0000_0000_0000;
    let mut w = World::ready();
    w.fake.alias = Some(OFFSET);
    let ranges = [(BORROWED, 2), (BORROWED + 0x8000, 3)];
    let before = w.snapshot();
    for page in [BORROWED, BORROWED + 0x1000, BORROWED + 0x8000, BORROWED + 0xa000] {
        w.fake.mapped = std::vec![OFFSET.wrapping_add(page)];
        assert_eq!(w.lend(&descriptor(&ranges)), Err(-6), "{page:#x}");
        assert_eq!(w.snapshot(), before);
    }
    // Beside the ranges, and at another alias.
    w.fake.mapped = std::vec![OFFSET.wrapping_add(BORROWED + 0x2000), BORROWED];
    assert!(w.lend(&descriptor(&ranges)).is_ok());
}

#[test]
fn no_more_aliases_are_looked_up_than_promised() {
    let mut w = World::ready();
    w.fake.alias = Some(0);
    let before = w.snapshot();
    assert_eq!(w.lend(&descriptor(&[(BORROWED, (1 << 14) + 1)])), Err(-3));
    assert_eq!(w.snapshot(), before);
}

#[test]
fn who_is_not_a_party_gets_nothing() {
    let mut w = World::ready();
    let other = VmId::guest(1).unwrap();
    w.ownership.create_vm(&w.fake, other).unwrap();
    let handle = w.lend(&descriptor(&[(BORROWED, 1)])).unwrap();
    // Its mailbox is in a lease of its own.
    let boot = w.lend(&with(descriptor(&[(BORROWED + 0x10_0000, 4)]), 48, 3)).unwrap();
    let boot = w
        .ownership
        .retrieve(&w.fake, other, Handle::from_raw(boot), Ipa::new(GUEST_RAM));
    assert!(boot.is_ok());
    assert_eq!(w.call(other, &[0xc400_0066, GUEST_TX, GUEST_RX, 1])[0], SUCCESS);
    let tx = BORROWED + 0x10_0000;

    let before = w.snapshot();
    let [low, high] = [handle & 0xffff_ffff, handle >> 32];
    assert_eq!(w.call(other, &[0x8400_0077, low, high, 0]), error(-2));
    assert_eq!(
        w.guest(&[0x8400_0077, low, high, 0]),
        error(-2),
        "the borrower is not the owner"
    );
    // In its own name, and in that of the borrower.
    for (endpoint, code) in [(3, -2), (2, -2)] {
        let asked = with(request(handle), 48, endpoint);
        w.fake.write(tx, &asked);
        assert_eq!(w.call(other, &[0xc400_0074, 80, 80]), error(code));
    }
    let mut given = handle.to_le_bytes().to_vec();
    given.extend([0, 0, 0, 0, 1, 0, 0, 0, 3, 0, 0, 0, 0, 0, 0, 0]);
    w.fake.write(tx, &given);
    assert_eq!(w.call(other, &[0x8400_0076]), error(-2));
    w.fake.write(tx, &with(given, 16, 2));
    assert_eq!(w.call(other, &[0x8400_0076]), error(-2));
    // A guest does not lend.
    w.fake
        .write(tx, &with(with(descriptor(&[(GUEST_RAM + 0x2000, 1)]), 0, 3), 48, 1));
    assert_eq!(w.call(other, &[0xc400_0072, 112, 112]), error(-6));
    // Nor does the host retrieve.
    let asked = with(request(handle), 48, 1);
    w.fake.write(HOST_TX, &asked);
    assert_eq!(w.host(&[0xc400_0074, 80, 80]), error(-2));
    assert_eq!(w.snapshot(), before);
}

#[test]
fn refused_retrievals_change_nothing() {
    let mut w = World::ready();
    let handle = w.lend(&descriptor(&[(BORROWED, 1)])).unwrap();
    let good = request(handle);
    let before = w.snapshot();
    for (what, bytes, code) in [
        ("another handle", with(good.clone(), 9, good[9] ^ 1), -2),
        ("another tag", with(good.clone(), 16, 8), -2),
        ("another value of the lender's", with(good.clone(), 56, 1), -2),
        ("another lender", with(good.clone(), 0, 3), -2),
        ("as a donation", with(good.clone(), 4, 0b1_1000), -2),
        ("as a share", with(good.clone(), 4, 0b0_1000), -2),
        ("device memory", with(good.clone(), 2, 0x10), -6),
        ("secure memory", with(good.clone(), 2, 0x6f), -6),
        ("for reading", with(good.clone(), 50, 0b01), -6),
        ("not for executing", with(good.clone(), 50, 0b01_10), -6),
    ] {
        assert_eq!(w.retrieve(&bytes), error(code), "{what}");
        assert_eq!(w.snapshot(), before, "{what}");
    }
    assert_eq!(w.retrieve(&with(good, 2, 0x2f))[0], 0x8400_0075);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    /// Whatever is called with whatever in TX: no panic; what is refused changes nothing.
    #[test]
    fn refused_calls_change_nothing(
        function in prop_oneof![0x8400_0060u64..0x8400_0090, 0xc400_0060u64..0xc400_0090],
        arguments in prop::array::uniform4(prop_oneof![
            0..256u64, Just(112), Just(HOST_TX), Just(HOST_RX), Just(HYPERVISOR), any::<u64>(),
        ]),
        as_guest: bool,
        changes in prop::collection::vec((0..128usize, any::<u8>()), 0..4),
    ) {
        let mut w = World::ready();
        let (caller, tx) = if as_guest { (guest(), guest_page(GUEST_TX)) } else { (VmId::HOST, HOST_TX) };
        let mut bytes = descriptor(&[(BORROWED, 2)]);
        for (at, byte) in changes {
            if let Some(place) = bytes.get_mut(at) {
                *place = byte;
            }
        }
        w.fake.write(tx, &bytes);
        let before = w.snapshot();
        let [a, b, c, d] = arguments;
        let results = w.call(caller, &[function, a, b, c, d]);
        if results[0] == ERROR {
            prop_assert_eq!(w.snapshot(), before);
        }
    }
}
