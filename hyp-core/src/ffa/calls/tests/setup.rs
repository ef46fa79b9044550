//! Versions, features and buffers.

use super::*;

#[test]
fn mailboxes_are_pages_of_the_caller_s_own() {
    let mut w = World::new();
    let before = w.snapshot();
    for (what, tx, rx, pages, code) in [
        ("no page", HOST_TX, HOST_RX, 0, -2),
        ("two pages", HOST_TX, HOST_RX, 2, -2),
        ("a count with reserved bits", HOST_TX, HOST_RX, 0x41, -2),
        ("one for both", HOST_TX, HOST_TX, 1, -2),
        ("TX unaligned", HOST_TX + 8, HOST_RX, 1, -2),
        ("RX unaligned", HOST_TX, HOST_RX + 8, 1, -2),
        ("TX beyond any address", 1 << 52, HOST_RX, 1, -2),
        ("TX of the hypervisor's", HYPERVISOR, HOST_RX, 1, -2),
        ("RX of the hypervisor's", HOST_TX, HYPERVISOR, 1, -2),
        ("RX of a device", HOST_TX, DEVICE, 1, -2),
        ("RX of nothing", HOST_TX, 0x1000, 1, -2),
    ] {
        assert_eq!(w.host(&[0xc400_0066, tx, rx, pages]), error(code), "{what}");
        assert_eq!(w.snapshot(), before, "{what}");
    }
    // None was left pinned by a refusal.
    for page in [HOST_TX, HOST_RX] {
        assert!(w.ownership.pin(&w.fake, VmId::HOST, Ipa::new(page)).is_ok());
        assert!(w.ownership.unpin(VmId::HOST, Ipa::new(page)).is_ok());
    }
    assert_eq!(w.host(&[0x8400_0067]), error(-2), "nothing is mapped");
    assert_eq!(w.host(&[0x8400_0065]), error(-2));
    assert_eq!(w.lend(&descriptor(&[(BORROWED, 1)])), Err(-2), "no TX");
    // A 32-bit call sees 32 bits.
    let upper = 0xffff_ffff_0000_0000;
    assert_eq!(
        w.host(&[0x8400_0066, upper | HOST_TX, upper | HOST_RX, upper | 1])[0],
        SUCCESS
    );
    assert_eq!(
        w.host(&[0xc400_0066, HOST_TX, HOST_RX, 1]),
        error(-6),
        "they are mapped"
    );
    assert_eq!(w.host(&[0x8400_0067, 1 << 16]), error(-2), "another's");
    assert_eq!(w.host(&[0x8400_0067]), [SUCCESS, 0, 0, 0]);
    assert_eq!(w.host(&[0xc400_0066, HOST_RX, HOST_TX, 1]), [SUCCESS, 0, 0, 0]);
}

#[test]
fn a_guest_that_is_gone_is_forgotten() {
    let mut w = World::ready();
    w.guest(&[0x8400_0063, 0x1_0001]);
    while w.ownership.destroy_vm(&w.fake, guest()) != Ok(crate::Step::Done) {}
    w.ffa.forget(guest());
    w.ownership.create_vm(&w.fake, guest()).unwrap();
    assert_eq!(w.guest(&[0x8400_0067]), error(-2));
}

#[test]
fn versions_are_agreed_on() {
    let mut w = World::new();
    let not_supported = u64::from(-1i32 as u32);
    for (theirs, ours) in [
        (0x1_0001, 0x1_0002),
        (0x1_0002, 0x1_0002),
        (0x1_0003, 0x1_0002),
        (0x1_ffff, 0x1_0002),
        (0xffff_ffff_0001_0002, 0x1_0002),
        (0x1_0000, not_supported),
        (0x0_0009, not_supported),
        (0x2_0000, not_supported),
        (0x7fff_0002, not_supported),
        (0x8001_0002, not_supported),
    ] {
        assert_eq!(w.host(&[0x8400_0063, theirs]), [ours, 0, 0, 0], "{theirs:#x}");
    }
}

#[test]
fn features_and_ids_are_told() {
    let mut w = World::new();
    assert_eq!(w.host(&[0x8400_0069]), [SUCCESS, 0, 1, 0]);
    assert_eq!(w.guest(&[0x8400_0069]), [SUCCESS, 0, 2, 0]);
    for function in [
        0x8400_0063,
        0x8400_0069,
        0x8400_0072,
        0xc400_0072,
        0xc400_0074,
        0x8400_0076,
        0x8400_0077,
    ] {
        assert_eq!(w.host(&[0x8400_0064, function]), [SUCCESS, 0, 0, 0], "{function:#x}");
    }
    assert_eq!(w.host(&[0x8400_0064, 0xc400_0066]), [SUCCESS, 0, 0x1_0000, 0]);
    // SHARE, DONATE, fragments, messages, SPM_ID_GET, and the features by number (1: notifications).
    for function in [
        0xc400_0073,
        0xc400_0071,
        0x8400_007a,
        0x8400_007b,
        0x8400_006f,
        0x8400_0085,
        1,
        2,
        3,
    ] {
        assert_eq!(w.host(&[0x8400_0064, function]), error(-1), "{function:#x}");
    }
}

/// What `FFA_FEATURES` says is offered is, and the other way round, for the whole range of FF-A.
#[test]
fn features_and_calls_agree() {
    for function in (0x8400_0060u64..0x8400_0100).chain(0xc400_0060..0xc400_0100) {
        let mut w = World::new();
        let offered = w.host(&[0x8400_0064, function]) != error(-1);
        let answered = w.host(&[function, 0x1_0002]) != error(-1);
        // Results are not called; FEATURES of 0x1_0002 is FEATURES of nothing.
        let special = matches!(function, 0x8400_0060 | 0x8400_0061 | 0x8400_0075 | 0x8400_0064);
        assert_eq!(answered, offered && !special, "{function:#x}");
    }
}
