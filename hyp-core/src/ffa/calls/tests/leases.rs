//! Leases that work.

use super::*;

#[test]
fn a_lease_from_end_to_end() {
    let mut w = World::ready();
    let handle = w
        .lend(&descriptor(&[(BORROWED, 3), (BORROWED + 0x10_0000, 1)]))
        .unwrap();
    assert!(handle >> 63 == 1, "{handle:#x} is not the hypervisor's to give");
    assert!(matches!(w.state(BORROWED + 0x2000), PageState::Lent { .. }));
    assert_eq!(w.state(BORROWED + 0x3000), PageState::Owned);
    assert_eq!(w.reclaim(handle), [SUCCESS, 0, 0, 0]);
    assert_eq!(w.state(BORROWED), PageState::Owned);
    assert_eq!(w.reclaim(handle), error(-2));

    let handle = w
        .lend(&descriptor(&[(BORROWED, 3), (BORROWED + 0x10_0000, 1)]))
        .unwrap();
    assert_eq!(w.retrieve(&request(handle)), [0x8400_0075, 128 - 16, 128 - 16, 0]);
    let h = handle.to_le_bytes();
    #[rustfmt::skip]
    let response = [
        1, 0, 0x2f, 0, 0b1_0001, 0, 0, 0, h[0], h[1], h[2], h[3], h[4], h[5], h[6], h[7],
        7, 0, 0, 0, 0, 0, 0, 0, 32, 0, 0, 0, 1, 0, 0, 0,
        48, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
        2, 0, 0b10_10, 0, 80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
        0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
        4, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
        0, 0, 0, 0x60, 0, 0, 0, 0, 4, 0, 0, 0, 0, 0, 0, 0,
    ];
    assert_eq!(w.fake.read(guest_page(GUEST_RX), 112), response);
    let there = w.ownership.translate(&w.fake, guest(), Ipa::new(GUEST_PLACE + 0x3000));
    assert_eq!(there, Ok(PhysAddr::new(BORROWED + 0x10_0000)));

    assert_eq!(w.reclaim(handle), error(-6), "the borrower has it");
    assert_eq!(w.retrieve(&request(handle)), error(-4), "RX is not released");
    assert_eq!(w.guest(&[0x8400_0065]), [SUCCESS, 0, 0, 0]);
    assert_eq!(w.guest(&[0x8400_0065]), error(-6), "RX is released already");
    assert_eq!(w.retrieve(&request(handle)), error(-6), "it has it already");
    assert_eq!(w.relinquish(handle), [SUCCESS, 0, 0, 0]);
    assert_eq!(w.relinquish(handle), error(-6), "it has given it back");
    assert_eq!(w.reclaim(handle), [SUCCESS, 0, 0, 0]);
    assert_eq!(w.state(BORROWED + 0x10_0000), PageState::Owned);
}

#[test]
fn a_caller_of_1_1_gets_what_1_1_has() {
    let mut w = World::ready();
    assert_eq!(w.guest(&[0x8400_0063, 0x1_0001])[0], 0x1_0002);
    let handle = w.lend(&descriptor(&[(BORROWED, 1)])).unwrap();
    assert_eq!(w.retrieve(&request(handle))[..3], [0x8400_0075, 96, 96]);
    let response = w.fake.read(guest_page(GUEST_RX), 96);
    assert_eq!(response[24..28], [16, 0, 0, 0]);
    assert_eq!(response[80..88], [0, 0, 0, 0x60, 0, 0, 0, 0]);
}

#[test]
fn a_lend_may_fill_all_of_tx() {
    let mut w = World::ready();
    // 96 bytes, and 16 for each range.
    let ranges: Vec<(u64, u32)> = (0..250).map(|n| (BORROWED + n * 0x2000, 1)).collect();
    let bytes = descriptor(&ranges);
    assert_eq!(bytes.len(), 4096);
    let handle = w.lend(&bytes).unwrap();
    assert!(matches!(w.state(BORROWED + 249 * 0x2000), PageState::Lent { .. }));
    assert_eq!(w.state(BORROWED + 249 * 0x2000 - 0x1000), PageState::Owned);
    assert_eq!(w.reclaim(handle), [SUCCESS, 0, 0, 0]);
    assert_eq!(w.state(BORROWED + 249 * 0x2000), PageState::Owned);
}

#[test]
fn a_large_retrieval_comes_in_steps() {
    let mut w = World::ready();
    let handle = w.lend(&descriptor(&[(BORROWED, 300)])).unwrap();
    let mut steps = 0;
    let last = loop {
        let results = w.retrieve(&request(handle));
        if results != error(-7) {
            break results;
        }
        steps += 1;
        assert!(steps < 100);
    };
    assert!(steps > 0);
    assert_eq!(last[0], 0x8400_0075);
    w.guest(&[0x8400_0065]);
    while w.relinquish(handle) == error(-7) {}
    assert_eq!(w.reclaim(handle), [SUCCESS, 0, 0, 0]);
}

#[test]
fn a_borrower_may_name_the_place() {
    let mut w = World::ready();
    let handle = w.lend(&descriptor(&[(BORROWED, 2)])).unwrap();
    let at = |pages: u8, address: u64| {
        let mut bytes = with(request(handle), 52, 80);
        bytes.extend([pages, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
        bytes.extend(address.to_le_bytes());
        bytes.extend([pages, 0, 0, 0, 0, 0, 0, 0]);
        bytes
    };
    assert_eq!(w.retrieve(&at(3, 0x5000_0000)), error(-2), "another number of pages");
    assert_eq!(
        w.retrieve(&at(2, GUEST_RAM + 0xf000)),
        error(-6),
        "it has something there"
    );
    assert_eq!(w.retrieve(&at(2, 1 << 39)), error(-2), "its tables do not reach that");
    assert_eq!(w.retrieve(&at(2, 0x5000_0000))[0], 0x8400_0075);
    let there = w.ownership.translate(&w.fake, guest(), Ipa::new(0x5000_1000));
    assert_eq!(there, Ok(PhysAddr::new(BORROWED + 0x1000)));
}

#[test]
fn terms_of_a_lease_end_with_it() {
    let mut w = World::ready();
    let first = w.lend(&descriptor(&[(BORROWED, 1)])).unwrap();
    assert_eq!(w.reclaim(first)[0], SUCCESS);
    let second = w.lend(&with(descriptor(&[(BORROWED, 1)]), 16, 9)).unwrap();
    assert_ne!(first, second);
    assert_eq!(w.retrieve(&request(first)), error(-2));
    assert_eq!(w.retrieve(&request(second)), error(-2));
    assert_eq!(w.retrieve(&with(request(second), 16, 9))[0], 0x8400_0075);
}

#[test]
fn a_mailbox_in_a_lease_stays_until_it_is_unmapped() {
    let mut w = World::ready();
    let handle = w.lend(&descriptor(&[(BORROWED, 2)])).unwrap();
    assert_eq!(w.retrieve(&request(handle))[0], 0x8400_0075);
    assert_eq!(w.guest(&[0x8400_0067])[0], SUCCESS);
    assert_eq!(
        w.guest(&[0xc400_0066, GUEST_PLACE, GUEST_PLACE + 0x1000, 1])[0],
        SUCCESS
    );
    let mut bytes = handle.to_le_bytes().to_vec();
    bytes.extend([0, 0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0]);
    w.fake.write(BORROWED, &bytes);
    assert_eq!(w.guest(&[0x8400_0076]), error(-6));
    assert_eq!(w.guest(&[0x8400_0067])[0], SUCCESS);
}
