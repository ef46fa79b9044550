//! What a unit that remembers translations has to keep, whichever it is.

use super::SimMemory;
use leasehold_hal::{AttachedIommu, Vmid};
use leasehold_memory_map::{Ipa, PAGE_SIZE, PageRange};
use proptest::prelude::*;
use std::collections::BTreeSet;
use std::vec::Vec;

/// Something that happens to pages, named by their numbers.
#[derive(Clone, Copy, Debug)]
pub enum Step {
    Map(u64),
    Unmap(u64, u64),
    Dma(u64),
    Invalidate(u64, u64),
    Sync,
}

pub fn steps() -> impl Strategy<Value = Vec<Step>> {
    let page = 0u64..600;
    let step = prop_oneof![
        page.clone().prop_map(Step::Map),
        (page.clone(), 1u64..100).prop_map(|(page, count)| Step::Unmap(page, count)),
        page.clone().prop_map(Step::Dma),
        (page, 1u64..300).prop_map(|(page, count)| Step::Invalidate(page, count)),
        Just(Step::Sync),
    ];
    proptest::collection::vec(step, 1..80)
}

/// Fails where a page is reached that was invalidated and confirmed, or one that is mapped is not. Page 0 is at `base`, and
/// none is mapped there yet; `reads` says whether a device of the unit's gets to an address.
pub fn check(
    steps: Vec<Step>,
    unit: &mut impl AttachedIommu,
    memory: &SimMemory,
    base: u64,
    reads: impl Fn(u64) -> bool,
) -> Result<(), TestCaseError> {
    let at = |page: u64| base + page * PAGE_SIZE;
    let mut mapped = BTreeSet::new();
    // Pages that were unmapped when somebody asked to forget them, and pages that are gone for certain.
    let mut asked: Vec<u64> = Vec::new();
    let mut gone: BTreeSet<u64> = (0..700).collect();
    for step in steps {
        match step {
            Step::Map(page) => {
                memory.map_page(at(page));
                mapped.insert(page);
                gone.remove(&page);
                asked.retain(|other| *other != page);
            }
            Step::Unmap(page, count) => {
                for page in page..page + count {
                    memory.set_entry(at(page), 3, 0);
                    mapped.remove(&page);
                }
            }
            Step::Dma(page) => {
                let reached = reads(at(page));
                prop_assert!(!(reached && gone.contains(&page)));
                prop_assert!(reached || !mapped.contains(&page));
            }
            Step::Invalidate(page, count) => {
                let range = PageRange::new(Ipa::new(at(page)), count).unwrap();
                unit.invalidate(Vmid::HOST, range).unwrap();
                asked.extend((page..page + count).filter(|page| !mapped.contains(page)));
            }
            Step::Sync => {
                unit.sync().unwrap();
                gone.extend(asked.drain(..));
            }
        }
    }
    Ok(())
}
