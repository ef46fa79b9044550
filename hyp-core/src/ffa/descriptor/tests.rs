//! Descriptors laid out by hand from the tables of DEN0140, byte by byte; nothing here is shared with the decoder.

use super::*;
use crate::ffa::words::Sink;
use crate::id::{Handle, VmId};
use crate::ownership::Constituent;
use leasehold_memory_map::{Ipa, PageRange};
use proptest::prelude::*;
use std::vec;
use std::vec::Vec;

/// A lend by 1 to 2 of 3 pages at 0x4567_8000 and 0x200 pages at 0x1_0000_0000, access descriptor of FF-A 1.2.
#[rustfmt::skip]
const LEND: [u8; 128] = [
    // Table 1.20: sender 1; attributes 0; flags: zero memory; handle 0.
    1, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
    // Tag; access descriptors: 32 bytes, one of them, ...
    0x88, 0x77, 0x66, 0x55, 0x44, 0x33, 0x22, 0x11, 32, 0, 0, 0, 1, 0, 0, 0,
    // ... at 48; reserved.
    48, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
    // Table 1.16: endpoint 2, read-write, flags 0; composite at 80; IMPLEMENTATION DEFINED; reserved.
    2, 0, 0b10, 0, 80, 0, 0, 0, 0xa0, 0xa1, 0xa2, 0xa3, 0xa4, 0xa5, 0xa6, 0xa7,
    0xb0, 0xb1, 0xb2, 0xb3, 0xb4, 0xb5, 0xb6, 0xb7, 0, 0, 0, 0, 0, 0, 0, 0,
    // Table 1.13: 0x203 pages in 2 ranges; reserved.
    0x03, 0x02, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
    // Table 1.14, twice: address, pages, reserved.
    0x00, 0x80, 0x67, 0x45, 0, 0, 0, 0, 3, 0, 0, 0, 0, 0, 0, 0,
    0x00, 0x00, 0x00, 0x00, 1, 0, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0,
];

/// The same with the access descriptor of FF-A 1.1.
fn lend_1_1() -> Vec<u8> {
    let mut bytes = LEND.to_vec();
    bytes.drain(64..80);
    bytes[24] = 16;
    bytes[52] = 64;
    bytes[56..64].fill(0);
    bytes
}

/// A retrieve request by 2 of a lease of 1, place left to the hypervisor.
#[rustfmt::skip]
const RETRIEVE: [u8; 80] = [
    1, 0, 0x2f, 0, 0b1_0111, 0, 0, 0, 0xef, 0xcd, 0xab, 0x89, 0x67, 0x45, 0x23, 0x81,
    0x88, 0x77, 0x66, 0x55, 0x44, 0x33, 0x22, 0x11, 32, 0, 0, 0, 1, 0, 0, 0,
    48, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
    2, 0, 0b10_10, 0, 0, 0, 0, 0, 0xa0, 0xa1, 0xa2, 0xa3, 0xa4, 0xa5, 0xa6, 0xa7,
    0xb0, 0xb1, 0xb2, 0xb3, 0xb4, 0xb5, 0xb6, 0xb7, 0, 0, 0, 0, 0, 0, 0, 0,
];

/// The same, which names a place: 5 pages at 0x6000_0000.
fn retrieve_at() -> Vec<u8> {
    let mut bytes = RETRIEVE.to_vec();
    bytes[52] = 80;
    #[rustfmt::skip]
    bytes.extend([
        5, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
        0, 0, 0, 0x60, 0, 0, 0, 0, 5, 0, 0, 0, 0, 0, 0, 0,
    ]);
    bytes
}

#[rustfmt::skip]
const RELINQUISH: [u8; 24] = [
    0xef, 0xcd, 0xab, 0x89, 0x67, 0x45, 0x23, 0x81, 1, 0, 0, 0, 1, 0, 0, 0,
    2, 0, 0, 0, 0, 0, 0, 0,
];

const IMPDEF: [u64; 2] = [0xa7a6_a5a4_a3a2_a1a0, 0xb7b6_b5b4_b3b2_b1b0];
const TAG: u64 = 0x1122_3344_5566_7788;
const HANDLE: u64 = 0x8123_4567_89ab_cdef;

fn lend(bytes: &[u8]) -> Result<(Lend<'_, [u8]>, Vec<Constituent>), Malformed> {
    let mut lend = Lend::decode(bytes, bytes.len())?;
    let ranges = lend.constituents.by_ref().collect();
    match lend.constituents.error() {
        Some(error) => Err(error),
        None => Ok((lend, ranges)),
    }
}

fn retrieve(bytes: &[u8]) -> Result<RetrieveRequest, Malformed> {
    RetrieveRequest::decode(bytes, bytes.len())
}

#[test]
fn a_lend_is_read_as_it_is_written() {
    let ranges = [
        Constituent {
            address: 0x4567_8000,
            pages: 3,
        },
        Constituent {
            address: 0x1_0000_0000,
            pages: 0x200,
        },
    ];
    for (bytes, impdef) in [(LEND.to_vec(), IMPDEF), (lend_1_1(), [0; 2])] {
        let (lend, found) = lend(&bytes).unwrap();
        assert_eq!((lend.sender, lend.receiver, lend.tag), (1, 2, TAG));
        assert_eq!(lend.access, DataAccess::ReadWrite);
        assert_eq!(lend.implementation_defined, impdef);
        assert_eq!(lend.constituents.total_pages(), 0x203);
        assert_eq!(found, ranges);
        assert!(lend.constituents.is_empty());
    }
}

#[test]
fn a_retrieve_request_is_read_as_it_is_written() {
    let want = RetrieveRequest {
        sender: 1,
        receiver: 2,
        handle: Handle::from_raw(HANDLE),
        tag: TAG,
        implementation_defined: IMPDEF,
        attributes: 0x2f,
        data: Some(DataAccess::ReadWrite),
        executable: Some(true),
        place: None,
    };
    assert_eq!(retrieve(&RETRIEVE), Ok(want));
    let place = PageRange::new(Ipa::new(0x6000_0000), 5).ok();
    assert_eq!(retrieve(&retrieve_at()), Ok(RetrieveRequest { place, ..want }));
}

#[test]
fn a_relinquish_is_read_as_it_is_written() {
    assert_eq!(
        Relinquish::decode(&RELINQUISH[..]),
        Ok(Relinquish {
            handle: Handle::from_raw(HANDLE),
            endpoint: 2
        })
    );
}

#[test]
fn a_response_is_written_as_the_tables_say() {
    let response = RetrieveResponse {
        sender: VmId::HOST,
        receiver: VmId::guest(0).unwrap(),
        handle: Handle::from_raw(HANDLE),
        tag: TAG,
        implementation_defined: IMPDEF,
        place: PageRange::new(Ipa::new(0x1_6000_0000), 0x203).unwrap(),
    };
    #[rustfmt::skip]
    let mut want = vec![
        1, 0, 0x2f, 0, 0b1_0001, 0, 0, 0, 0xef, 0xcd, 0xab, 0x89, 0x67, 0x45, 0x23, 0x81,
        0x88, 0x77, 0x66, 0x55, 0x44, 0x33, 0x22, 0x11, 32, 0, 0, 0, 1, 0, 0, 0,
        48, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
        2, 0, 0b10_10, 0, 80, 0, 0, 0, 0xa0, 0xa1, 0xa2, 0xa3, 0xa4, 0xa5, 0xa6, 0xa7,
        0xb0, 0xb1, 0xb2, 0xb3, 0xb4, 0xb5, 0xb6, 0xb7, 0, 0, 0, 0, 0, 0, 0, 0,
        0x03, 0x02, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
        0, 0, 0, 0x60, 1, 0, 0, 0, 0x03, 0x02, 0, 0, 0, 0, 0, 0,
    ];
    let mut rx = [0xffu8; 256];
    assert_eq!(response.encode(&mut rx[..], ffa::VERSION_1_2), want.len());
    assert_eq!(rx[..want.len()], want);
    assert!(rx[want.len()..].iter().all(|b| *b == 0xff));

    want.drain(64..80);
    want[24] = 16;
    want[52] = 64;
    want[56..64].fill(0);
    let mut rx = [0xffu8; 256];
    assert_eq!(response.encode(&mut rx[..], 0x1_0001), want.len());
    assert_eq!(rx[..want.len()], want);

    // A buffer that is too short is not overrun.
    response.encode(&mut rx[..40], ffa::VERSION_1_2);
}

/// Writes `value`, of as many bytes as it needs to have, at `offset` of a good descriptor.
fn patched(good: &[u8], offset: usize, value: &[u8]) -> Vec<u8> {
    let mut bytes = good.to_vec();
    bytes[offset..offset + value.len()].copy_from_slice(value);
    bytes
}

#[test]
fn each_field_of_a_lend_is_checked() {
    use Field::*;
    #[rustfmt::skip]
    let cases: &[(usize, &[u8], Field, u32)] = &[
        (2, &[0x2f], Attributes, 2), (2, &[0x40], Attributes, 2), (3, &[1], Attributes, 2),
        (4, &[0b100], Flags, 4), (4, &[0b1_0000], Flags, 4), (5, &[4], Flags, 4), (7, &[0x80], Flags, 4),
        (8, &[1], Handle, 8), (15, &[0x80], Handle, 8),
        (24, &[0], AccessSize, 24), (24, &[8], AccessSize, 24), (24, &[48], AccessSize, 24), (27, &[1], AccessSize, 24),
        (28, &[0], AccessCount, 28), (28, &[2], AccessCount, 28), (31, &[0xff], AccessCount, 28),
        (32, &[0], AccessOffset, 32), (32, &[32], AccessOffset, 32), (32, &[56], AccessOffset, 32),
        (32, &[112], AccessOffset, 32), (32, &[0xf0, 0xff, 0xff, 0xff], AccessOffset, 32),
        (36, &[1], Reserved, 36), (39, &[0x80], Reserved, 36), (40, &[1], Reserved, 40), (47, &[0x80], Reserved, 40),
        (50, &[0b00], Permissions, 50), (50, &[0b11], Permissions, 50), (50, &[0b01_10], Permissions, 50),
        (50, &[0b10_10], Permissions, 50), (50, &[0b11_10], Permissions, 50), (50, &[0x12], Permissions, 50),
        (51, &[1], AccessFlags, 51), (51, &[0x80], AccessFlags, 51),
        (52, &[0], CompositeOffset, 52), (52, &[64], CompositeOffset, 52), (52, &[88], CompositeOffset, 52),
        (52, &[128], CompositeOffset, 52), (52, &[0xf0, 0xff, 0xff, 0xff], CompositeOffset, 52),
        (72, &[1], Reserved, 72), (79, &[0x80], Reserved, 72),
        (84, &[0], RangeCount, 84), (84, &[1], RangeCount, 84), (84, &[3], RangeCount, 84),
        (84, &[0, 0, 0, 0x10], RangeCount, 84), (84, &[0xff, 0xff, 0xff, 0xff], RangeCount, 84),
        (52, &[96], Reserved, 104),
        (88, &[1], Reserved, 88), (95, &[0x80], Reserved, 88),
        (80, &[0x02], TotalPages, 80), (80, &[0x04], TotalPages, 80), (83, &[1], TotalPages, 80),
        (104, &[4], TotalPages, 80), (107, &[0xff], TotalPages, 80), (120, &[0xff, 0xff, 0xff, 0xff], TotalPages, 80),
        (108, &[1], Reserved, 108), (111, &[0x80], Reserved, 108), (124, &[1], Reserved, 124),
    ];
    for (offset, value, field, at) in cases {
        let error = lend(&patched(&LEND, *offset, value)).err();
        let error = error.unwrap_or_else(|| panic!("{value:x?} at {offset} was taken"));
        assert_eq!((error.field, error.offset), (*field, *at), "{value:x?} at {offset}");
        assert_eq!(error.code(), ffa::INVALID_PARAMETERS);
    }
    let mut bytes = lend_1_1();
    bytes[56] = 1;
    let error = lend(&bytes).unwrap_err();
    assert_eq!((error.field, error.offset), (Reserved, 56));
}

#[test]
fn each_field_of_a_retrieve_request_is_checked() {
    use Field::*;
    #[rustfmt::skip]
    let cases: &[(usize, &[u8], Field)] = &[
        (2, &[0x80], Attributes), (3, &[1], Attributes),
        (4, &[0b0_1000], Flags), (4, &[0b1_1000], Flags), (4, &[0x20], Flags), (5, &[2], Flags), (5, &[8], Flags),
        (24, &[0], AccessSize), (28, &[0], AccessCount), (28, &[2], AccessCount), (32, &[32], AccessOffset),
        (36, &[1], Reserved), (40, &[1], Reserved),
        (50, &[0b11], Permissions), (50, &[0b1100], Permissions), (50, &[0x80], Permissions),
        (51, &[1], AccessFlags),
        (52, &[64], CompositeOffset), (52, &[112], CompositeOffset),
        (72, &[1], Reserved),
        (80, &[4], TotalPages), (80, &[6], TotalPages), (84, &[2], RangeCount), (84, &[0], RangeCount),
        (88, &[1], Reserved), (96, &[1], Range), (103, &[0xff], Range), (104, &[0], TotalPages), (108, &[1], Reserved),
    ];
    for (offset, value, field) in cases {
        let error = retrieve(&patched(&retrieve_at(), *offset, value)).err();
        let error = error.unwrap_or_else(|| panic!("{value:x?} at {offset} was taken"));
        assert_eq!(error.field, *field, "{value:x?} at {offset}");
    }
    // "Not specified" and "lend" are types that it may name.
    for flags in [0b0_0000, 0b1_0000] {
        assert!(retrieve(&patched(&RETRIEVE, 4, &[flags])).is_ok());
    }
    // No place, but something behind.
    let mut long = RETRIEVE.to_vec();
    long.extend([0; 16]);
    assert_eq!(retrieve(&long).unwrap_err().field, Length);
    // A place of no pages.
    let mut none = patched(&retrieve_at(), 80, &[0]);
    none[104] = 0;
    assert_eq!(retrieve(&none).unwrap_err().field, Range);
    // Two ranges.
    let mut two = patched(&retrieve_at(), 80, &[6]);
    two[84] = 2;
    two.extend([0, 0, 0, 0x70, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0]);
    assert_eq!(retrieve(&two).unwrap_err().field, RangeCount);
}

#[test]
fn each_field_of_a_relinquish_is_checked() {
    for (offset, value, field) in [
        (8, 0b100, Field::Flags),
        (11, 0x80, Field::Flags),
        (12, 0, Field::AccessCount),
        (12, 2, Field::AccessCount),
        (15, 0x80, Field::AccessCount),
    ] {
        let bytes = patched(&RELINQUISH, offset, &[value]);
        assert_eq!(Relinquish::decode(&bytes[..]).unwrap_err().field, field, "{offset}");
    }
    for short in 0..24 {
        assert_eq!(
            Relinquish::decode(&RELINQUISH[..short]).unwrap_err().field,
            Field::Length
        );
    }
}

#[test]
fn a_descriptor_cut_short_is_refused_at_any_length() {
    for len in 0..LEND.len() {
        assert!(Lend::decode(&LEND[..], len).is_err(), "{len}");
        assert!(Lend::decode(&LEND[..len], len).is_err(), "{len}");
    }
    // Nor is more announced than is there, or than belongs to it.
    assert!(Lend::decode(&LEND[..], 144).is_err());
    let at = retrieve_at();
    for len in (0..at.len()).filter(|len| *len != 80) {
        assert!(RetrieveRequest::decode(&at[..], len).is_err(), "{len}");
    }
}

#[test]
fn the_layout_of_1_0_is_refused() {
    // FF-A 1.0 EAC, Table 5.19: reserved word, number of endpoints at 28, access descriptors at 32.
    #[rustfmt::skip]
    let bytes = [
        1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
        0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0,
        2, 0, 0b10, 0, 48, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
        1, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
        0x00, 0x80, 0x67, 0x45, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0,
    ];
    assert_eq!(lend(&bytes).unwrap_err().field, Field::AccessSize);
}

/// A source that notes how often each doubleword was read, and never lets one beyond its length be asked for.
struct Watched {
    bytes: Vec<u8>,
    reads: core::cell::RefCell<Vec<u32>>,
}

impl Watched {
    fn new(bytes: Vec<u8>) -> Self {
        let reads = core::cell::RefCell::new(vec![0; bytes.len().div_ceil(8)]);
        Self { bytes, reads }
    }

    fn most_reads(&self) -> u32 {
        self.reads.borrow().iter().copied().max().unwrap_or(0)
    }
}

impl Source for Watched {
    fn size(&self) -> usize {
        self.bytes.len()
    }

    fn doubleword(&self, offset: usize) -> u64 {
        assert!(offset.is_multiple_of(8) && offset + 8 <= self.bytes.len(), "{offset}");
        self.reads.borrow_mut()[offset / 8] += 1;
        self.bytes.doubleword(offset)
    }
}

/// Good descriptors with a few bytes changed: they get far.
fn nearly_good() -> impl Strategy<Value = Vec<u8>> {
    let base = prop_oneof![
        Just(LEND.to_vec()),
        Just(lend_1_1()),
        Just(retrieve_at()),
        Just(RETRIEVE.to_vec())
    ];
    let changes = prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4);
    (base, changes, 0..=16usize).prop_map(|(mut bytes, changes, cut)| {
        for (index, value) in changes {
            let at = index.index(bytes.len());
            bytes[at] = value;
        }
        bytes.truncate(bytes.len() - cut);
        bytes
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, ..ProptestConfig::default() })]

    #[test]
    fn any_bytes_are_read_once_and_within_their_length(
        bytes in prop_oneof![nearly_good(), prop::collection::vec(any::<u8>(), 0..300)],
        short in 0..64usize,
    ) {
        for len in [bytes.len(), bytes.len().saturating_sub(short)] {
            let source = Watched::new(bytes.clone());
            if let Ok(mut lend) = Lend::decode(&source, len) {
                let most = lend.constituents.len();
                let found: Vec<Constituent> = lend.constituents.by_ref().collect();
                prop_assert!(found.len() <= most + 1);
                let sum: u64 = found.iter().map(|c| u64::from(c.pages)).sum();
                match lend.constituents.error() {
                    None => prop_assert_eq!(sum, u64::from(lend.constituents.total_pages())),
                    Some(_) => prop_assert!(found.last().is_some_and(|c| c.pages == 0 && c.address == u64::MAX)),
                }
            }
            prop_assert!(source.most_reads() <= 1);

            let source = Watched::new(bytes.clone());
            let _ = RetrieveRequest::decode(&source, len);
            prop_assert!(source.most_reads() <= 1);
            if bytes.len() >= 24 {
                let source = Watched::new(bytes.clone());
                let _ = Relinquish::decode(&source);
                prop_assert!(source.most_reads() <= 1);
            }
        }
    }

    /// What the field's own crate packs means the same here.
    #[test]
    fn arm_ffa_agrees(
        sender: u16, receiver: u16, tag: u64,
        ranges in prop::collection::vec((0..1u64 << 40, 1..0x1_0000u32), 1..20),
    ) {
        use arm_ffa::memory_management as reference;
        let descriptor = reference::MemTransactionDesc {
            sender_id: sender,
            mem_region_attr: Default::default(),
            flags: reference::MemTransactionFlags(1),
            handle: reference::Handle(0),
            tag,
        };
        let access = reference::MemAccessPerm {
            endpoint_id: receiver,
            instr_access: reference::InstuctionAccessPerm::NotSpecified,
            data_access: reference::DataAccessPerm::ReadWrite,
            flags: 0,
        };
        let constituents: Vec<_> = ranges
            .iter()
            .map(|(page, count)| reference::ConstituentMemRegion { address: page << 12, page_cnt: *count })
            .collect();
        let mut bytes = [0u8; 4096];
        let len = descriptor.pack(&constituents, &[access], &mut bytes);
        let (lend, found) = lend(&bytes[..len]).unwrap();
        prop_assert_eq!((lend.sender, lend.receiver, lend.tag), (sender, receiver, tag));
        let want: Vec<_> = ranges.iter().map(|(page, pages)| Constituent { address: page << 12, pages: *pages }).collect();
        prop_assert_eq!(found, want);
    }

    #[test]
    fn a_response_means_the_same_to_arm_ffa(start in 0..1u64 << 40, pages in 1..0x1_0000u64, tag: u64, handle: u64) {
        use arm_ffa::memory_management as reference;
        let response = RetrieveResponse {
            sender: VmId::HOST,
            receiver: VmId::guest(1).unwrap(),
            handle: Handle::from_raw(handle),
            tag,
            implementation_defined: [0; 2],
            place: PageRange::new(Ipa::new(start << 12), pages).unwrap(),
        };
        let mut bytes = [0xffu8; 4096];
        let len = response.encode(&mut bytes[..], 0x1_0001);
        let (transaction, accesses, constituents) = reference::MemTransactionDesc::unpack(&bytes[..len]).unwrap();
        prop_assert_eq!((transaction.sender_id, transaction.tag, transaction.handle.0), (1, tag, handle));
        let access: Vec<_> = accesses.map(Result::unwrap).collect();
        prop_assert_eq!(access.len(), 1);
        prop_assert_eq!(access[0].endpoint_id, 3);
        prop_assert_eq!(access[0].data_access, reference::DataAccessPerm::ReadWrite);
        prop_assert_eq!(access[0].instr_access, reference::InstuctionAccessPerm::Executable);
        let ranges: Vec<_> = constituents.unwrap().map(Result::unwrap).collect();
        prop_assert_eq!(ranges, vec![reference::ConstituentMemRegion { address: start << 12, page_cnt: pages as u32 }]);
    }
}

#[test]
fn a_sink_drops_what_is_beyond_its_end() {
    let mut bytes = [1u8; 12];
    bytes.put(8, u64::MAX);
    bytes.put(usize::MAX - 7, 0);
    assert_eq!(bytes, [1; 12]);
    bytes.put(0, 0x0807_0605_0403_0201);
    assert_eq!(bytes[..8], [1, 2, 3, 4, 5, 6, 7, 8]);
}
