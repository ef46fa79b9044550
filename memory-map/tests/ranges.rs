//! Addresses and ranges at the edges of 64 and 52 bits, against sums in 128.

use leasehold_memory_map::{ADDRESS_BITS, Address, PAGE_SIZE, PageRange, PhysAddr, PhysRange, RangeError};
use proptest::prelude::*;

const END: u128 = (1 << ADDRESS_BITS) - 1;

/// Numbers near to where sums go wrong.
fn edges() -> impl Strategy<Value = u64> {
    let near = |base: u64| (0..3 * PAGE_SIZE).prop_map(move |offset| base.wrapping_add(offset).wrapping_sub(PAGE_SIZE));
    prop_oneof![
        near(0),
        near(1 << 52),
        near(1 << 51),
        near(1 << 63),
        near(0x4000_0000),
        any::<u64>()
    ]
}

fn addresses() -> impl Strategy<Value = PhysAddr> {
    edges().prop_filter_map("too wide", PhysAddr::checked)
}

fn ranges() -> impl Strategy<Value = PhysRange> {
    (addresses(), edges()).prop_filter_map("no range", |(start, len)| PhysRange::new(start, len).ok())
}

fn span(range: &PhysRange) -> (u128, u128) {
    let start = u128::from(range.start().get());
    (start, start + u128::from(range.len()))
}

proptest! {
    #[test]
    fn addresses_have_52_bits(raw in edges(), bytes in edges()) {
        prop_assert_eq!(PhysAddr::checked(raw).is_some(), u128::from(raw) <= END);
        let Some(address) = PhysAddr::checked(raw) else { return Ok(()) };
        let sum = u128::from(raw) + u128::from(bytes);
        prop_assert_eq!(address.checked_add(bytes).map(|sum| u128::from(sum.get())), (sum <= END).then_some(sum));
        prop_assert_eq!(address.checked_sub(bytes).map(Address::get), raw.checked_sub(bytes));
        prop_assert_eq!(address.page().get() + address.page_offset(), raw);
        prop_assert!(address.page().is_aligned(PAGE_SIZE));
    }

    #[test]
    fn a_range_ends_where_an_address_can_be(start in addresses(), len in edges()) {
        let end = u128::from(start.get()) + u128::from(len);
        let expected = match (len, end) {
            (0, _) => Err(RangeError::Empty),
            (_, end) if end > END => Err(RangeError::Wraps),
            _ => Ok(end),
        };
        let range = PhysRange::new(start, len);
        prop_assert_eq!(range.map(|range| u128::from(range.end().get())), expected);
        if let Ok(range) = range {
            prop_assert_eq!(PhysRange::constant(start, len), range);
            prop_assert_eq!(PhysRange::between(start, range.end()), Ok(range));
        }
    }

    #[test]
    fn between_wants_order(start in addresses(), end in addresses()) {
        let expected = match start.cmp(&end) {
            core::cmp::Ordering::Less => Ok((start, end)),
            core::cmp::Ordering::Equal => Err(RangeError::Empty),
            core::cmp::Ordering::Greater => Err(RangeError::Wraps),
        };
        prop_assert_eq!(PhysRange::between(start, end).map(|range| (range.start(), range.end())), expected);
    }

    #[test]
    fn pages_around_and_inside(range in ranges()) {
        let page = u128::from(PAGE_SIZE);
        let (start, end) = span(&range);
        let (low, high) = (start / page * page, end.div_ceil(page) * page);
        prop_assert_eq!(range.page_cover().map(|range| span(&range)), (high <= END).then_some((low, high)));
        let (low, high) = (start.div_ceil(page) * page, end / page * page);
        prop_assert_eq!(range.page_core().map(|range| span(&range)), (low < high).then_some((low, high)));
    }

    #[test]
    fn overlap_is_a_common_byte(one in ranges(), two in ranges()) {
        let ((a, b), (c, d)) = (span(&one), span(&two));
        let (low, high) = (a.max(c), b.min(d));
        prop_assert_eq!(one.overlaps(&two), low < high);
        prop_assert_eq!(one.intersection(&two).map(|range| span(&range)), (low < high).then_some((low, high)));
        prop_assert_eq!(one.covers(&two), a <= c && d <= b);
        prop_assert_eq!(one.contains(two.start()), a <= c && c < b);
    }

    #[test]
    fn page_ranges_are_whole_pages(start in addresses(), count in edges()) {
        let end = u128::from(start.get()) + u128::from(count) * u128::from(PAGE_SIZE);
        let range = PageRange::new(start, count);
        let aligned = start.get() % PAGE_SIZE == 0;
        prop_assert_eq!(range.is_ok(), aligned && count > 0 && end <= END);
        if let Ok(range) = range {
            prop_assert_eq!(u128::from(range.end().get()), end);
            prop_assert_eq!(range.count(), count);
            prop_assert_eq!(PageRange::try_from(range.bytes()), Ok(range));
        } else if !aligned {
            prop_assert_eq!(range, Err(RangeError::Unaligned));
        }
    }
}

#[test]
fn the_pages_of_a_range() {
    let range = PageRange::new(PhysAddr::new(0x1000), 3).unwrap();
    let pages: Vec<u64> = range.pages().map(Address::get).collect();
    assert_eq!(pages, [0x1000, 0x2000, 0x3000]);
    let half = PhysRange::constant(PhysAddr::new(0x1000), 0x1800);
    assert_eq!(PageRange::try_from(half), Err(RangeError::Unaligned));
}
