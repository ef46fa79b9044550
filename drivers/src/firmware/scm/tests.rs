//! The channel and the memory controller on firmware that acts.

use super::model::{Model, Owners, Trouble};
use super::*;
use crate::llcc::{self, Llcc, Ram};
use crate::memory::Memory;
use crate::smmu::model::{SimMemory, Window};
use leasehold_hal::{AssignError, MemoryController, MemoryFault, MemoryOwner, MemoryPart};
use leasehold_memory_map::{PageRange, PhysRange};
use proptest::prelude::*;
use std::vec;
use std::vec::Vec;

const RAM: u64 = 0x8000_0000;
const RAM_END: u64 = 0x9000_0000;
/// EL2's own memory: firmware reads it like any other.
const ARGUMENTS: u64 = 0x8800_0000;
const PAGE: u64 = 4096;

const HLOS: NewOwner = NewOwner {
    vmid: vmid::HLOS,
    perms: Perms::ALL,
};
const TVM: NewOwner = NewOwner {
    vmid: vmid::TVM - 2,
    perms: Perms::ALL,
};

const CONFIG: AssignConfig = AssignConfig {
    pace: Pace::Yielding,
    host: &[HLOS],
    borrower: &[TVM],
};

fn pages(start: u64, count: u64) -> PageRange<PhysAddr> {
    PageRange::new(PhysAddr::new(start), count).unwrap()
}

fn channel(wide: bool, narrow: bool) -> (Model, Result<Scm<Model, Window>, ScmError>) {
    let memory = SimMemory::new();
    let range = PhysRange::new(PhysAddr::new(ARGUMENTS), ARGUMENT_BYTES as u64).unwrap();
    let window = memory.window(range);
    let model = Model::new(memory, RAM..RAM_END, wide, narrow);
    // SAFETY: nothing is mapped, and nothing is cleaned, on the build machine.
    let channel = unsafe { Scm::find(model.clone(), window, range) };
    (model, channel)
}

fn controller(config: AssignConfig) -> (Model, ScmMemory<Model, Window>) {
    let (model, channel) = channel(true, true);
    let controller = ScmMemory::new(channel.unwrap(), config).unwrap();
    _ = model.calls();
    (model, controller)
}

fn borrowed(model: &Model, range: PageRange<PhysAddr>) -> usize {
    let theirs = |page: &PhysAddr| model.owners(page.as_u64()) == Owners::from([(TVM.vmid, 7)]);
    let ours = |page: &PhysAddr| model.owners(page.as_u64()) == Owners::from([(3, 7)]);
    let (theirs, ours) = (range.pages().filter(theirs).count(), range.pages().filter(ours).count());
    assert_eq!((theirs + ours) as u64, range.count(), "a page is one's or the other's");
    theirs
}

#[test]
fn the_convention_is_found() {
    for (wide, narrow, found) in [
        (true, true, Ok(Convention::Smc64)),
        (true, false, Ok(Convention::Smc64)),
        (false, true, Ok(Convention::Smc32)),
        (false, false, Err(ScmError::NoConvention)),
    ] {
        let (model, channel) = channel(wide, narrow);
        assert_eq!(channel.map(|channel| channel.convention()), found);
        assert_eq!(model.broken(), Vec::<std::string::String>::new());
    }
}

#[test]
fn memory_moves_and_comes_back_in_either_convention() {
    for wide in [true, false] {
        let (model, channel) = channel(wide, true);
        let mut controller = ScmMemory::new(channel.unwrap(), CONFIG).unwrap();
        let range = pages(RAM + 0x10_0000, 3);
        assert_eq!(controller.assign(&[range], MemoryOwner::Borrower), Ok(()));
        assert_eq!(borrowed(&model, range), 3);
        assert_eq!(borrowed(&model, pages(RAM + 0x10_3000, 1)), 0);
        assert_eq!(controller.assign(&[range], MemoryOwner::Host), Ok(()));
        assert_eq!(borrowed(&model, range), 0);
        assert_eq!(model.broken(), Vec::<std::string::String>::new());
    }
}

#[test]
fn a_call_goes_on_until_it_ends() {
    for trouble in [
        Trouble::Interrupted(5),
        Trouble::InterruptedLate(5),
        Trouble::Waits(3),
        Trouble::Busy,
    ] {
        let (model, mut controller) = controller(CONFIG);
        let range = pages(RAM, 1);
        model.meets(trouble);
        assert_eq!(
            controller.assign(&[range], MemoryOwner::Borrower),
            Ok(()),
            "{trouble:?}"
        );
        assert_eq!(borrowed(&model, range), 1);
        assert_eq!(model.broken(), Vec::<std::string::String>::new());
    }
}

#[test]
fn one_that_does_not_end_is_late_and_is_taken_up_first() {
    for trouble in [
        Trouble::Interrupted(200),
        Trouble::InterruptedLate(200),
        Trouble::Waits(200),
    ] {
        let (model, mut controller) = controller(CONFIG);
        let range = pages(RAM, 2);
        model.meets(trouble);
        assert_eq!(
            controller.assign(&[range], MemoryOwner::Borrower),
            Err(AssignError::Late)
        );
        assert!(model.calls() <= RESUMES + 1, "the bound");
        let mut tries = 0;
        while controller.assign(&[range], MemoryOwner::Host) == Err(AssignError::Late) {
            assert!(model.calls() <= RESUMES + 1, "the bound");
            tries += 1;
        }
        // What came of it late came back, whichever way it had gone.
        assert_eq!((tries, borrowed(&model, range)), (2, 0), "{trouble:?}");
        assert_eq!(model.broken(), Vec::<std::string::String>::new());
    }
}

#[test]
fn who_is_busy_for_ever_is_not_asked_for_ever() {
    let (model, mut controller) = controller(CONFIG);
    (0..100).for_each(|_| model.meets(Trouble::Busy));
    let busy = Err(AssignError::Refused(scm::BUSY));
    assert_eq!(controller.assign(&[pages(RAM, 1)], MemoryOwner::Borrower), busy);
    assert_eq!(model.calls(), BUSY_TRIES + 1);
}

#[test]
fn long_lists_go_in_parts() {
    let (model, mut controller) = controller(CONFIG);
    let ranges: Vec<_> = (0..70).map(|n| pages(RAM + 2 * n * PAGE, 1)).collect();
    let all = |model: &Model| ranges.iter().map(|range| borrowed(model, *range)).sum::<usize>();
    assert_eq!(controller.assign(&ranges, MemoryOwner::Borrower), Ok(()));
    assert_eq!((model.calls(), all(&model)), (3, 70));
    assert_eq!(controller.assign(&ranges, MemoryOwner::Host), Ok(()));
    assert_eq!(all(&model), 0);
    // The second part is refused, whole and one by one: the first has moved, and comes back with the rest.
    let stolen = [ranges[40]];
    let mut thief = ScmMemory {
        channel: controller.channel,
        config: AssignConfig {
            borrower: &[NewOwner {
                vmid: vmid::MSS_MSA,
                perms: Perms::ALL,
            }],
            ..CONFIG
        },
    };
    assert_eq!(thief.assign(&stolen, MemoryOwner::Borrower), Ok(()));
    thief.config = CONFIG;
    let code = scm::BAD_ARGUMENT;
    assert_eq!(
        thief.assign(&ranges, MemoryOwner::Borrower),
        Err(AssignError::Partial { moved: 40, code })
    );
    assert_eq!(thief.assign(&ranges[..40], MemoryOwner::Host), Ok(()));
    assert!(
        ranges
            .iter()
            .filter(|range| **range != stolen[0])
            .all(|range| borrowed(&model, *range) == 0)
    );
}

#[test]
fn what_is_no_list_is_refused_before_it_is_sent() {
    let (model, channel) = channel(true, true);
    let mut channel = channel.unwrap();
    _ = model.calls();
    let many = vec![pages(RAM, 1); MAX_RANGES + 1];
    for (ranges, from, to) in [
        (&many[..0], &[3][..], &[TVM][..]),
        (&many[..], &[3], &[TVM]),
        (&many[..1], &[], &[TVM]),
        (&many[..1], &[3], &[]),
    ] {
        let done = channel.assign(Pace::Fast, ranges, from, to);
        assert_eq!(done, Err(ScmError::Arguments));
    }
    assert_eq!(
        channel.call(Command::ASSIGN, Pace::Fast, &[Argument::Value(0); 11]),
        Err(ScmError::Arguments)
    );
    assert_eq!(model.calls(), 0);
}

#[test]
fn what_is_too_wide_for_the_convention_is_refused() {
    let (_, channel) = channel(false, true);
    let wide = [Argument::Value(1 << 32)];
    let done = channel.unwrap().call(Command::IS_CALL_AVAILABLE, Pace::Fast, &wide);
    assert_eq!(done, Err(ScmError::Arguments));
}

#[test]
fn turned_bits_are_told_once() {
    const LLCC: llcc::Config = llcc::Config {
        layout: llcc::Layout::V1,
        banks: &[0, 0x8_0000],
        broadcast: 0x40_0000,
        ecc: llcc::Ecc::Open,
    };
    let cache = llcc::model::Model::new(LLCC);
    let mut memory = Memory::new(Some(controller(CONFIG).1), Some(Llcc::over(cache.clone(), LLCC)));
    cache.corrupt(1, Ram::Data, false, 3, &[0xabc]);
    let mut told = Vec::new();
    memory.check(&mut |fault| told.push(fault));
    memory.check(&mut |fault| told.push(fault));
    let fault = MemoryFault {
        bank: 1,
        part: MemoryPart::CacheData,
        corrected: false,
        count: 1,
        ways: 1 << 3,
        syndrome: 0xabc,
    };
    assert_eq!(told, [fault]);
}

fn trouble() -> impl Strategy<Value = Trouble> {
    prop_oneof![
        (0..90_u32).prop_map(Trouble::Interrupted),
        (0..90_u32).prop_map(Trouble::InterruptedLate),
        (0..90_u32).prop_map(Trouble::Waits),
        Just(Trouble::Busy),
        prop::sample::select(vec![scm::ERROR, scm::BAD_ARGUMENT, scm::NO_MEMORY]).prop_map(Trouble::Refused),
    ]
}

proptest! {
    /// Whatever a move meets: what it says of pages is true, and a move back that succeeds leaves none away.
    #[test]
    fn what_it_says_is_true(
        troubles in prop::collection::vec(trouble(), 0..6),
        counts in prop::collection::vec(1..4_u64, 1..40),
    ) {
        let (model, mut controller) = controller(CONFIG);
        let ranges: Vec<_> = counts.iter().zip(0..).map(|(count, n)| pages(RAM + 4 * n * PAGE, *count)).collect();
        troubles.iter().for_each(|trouble| model.meets(*trouble));
        let moved = |model: &Model| -> Vec<bool> {
            ranges.iter().map(|range| borrowed(model, *range) as u64 == range.count()).collect()
        };
        match controller.assign(&ranges, MemoryOwner::Borrower) {
            Ok(()) => prop_assert!(moved(&model).iter().all(|moved| *moved)),
            Err(AssignError::Refused(_)) => prop_assert!(!moved(&model).iter().any(|moved| *moved)),
            Err(AssignError::Partial { moved: count, .. }) => {
                prop_assert!(moved(&model).iter().enumerate().all(|(n, moved)| *moved == (n < count)));
            }
            Err(AssignError::Late) => {}
        }
        let mut tries = 0;
        while controller.assign(&ranges, MemoryOwner::Host).is_err() {
            tries += 1;
            prop_assert!(tries < 20, "it never comes back");
        }
        prop_assert!(!moved(&model).iter().any(|moved| *moved));
        prop_assert_eq!(model.broken(), Vec::<std::string::String>::new());
    }
}
