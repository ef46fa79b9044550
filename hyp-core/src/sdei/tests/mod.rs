//! The dispatcher by itself: each call, every state that two PEs can reach, and garbage.

mod calls;
mod garbage;
mod states;

use super::*;

/// As small as it can be with somebody else in it. The cause of a fault is a number.
type Small = Dispatcher<u8, 2>;

const HANDLER: u64 = 0xffff_8000_1000;
const ARGUMENT: u64 = 0x1234_5678_9abc_def0;
const FAULT: u64 = sdei::EVENT_FAULT as u64;
const SOFTWARE: u64 = sdei::EVENT_SOFTWARE as u64;

/// PEs have affinities 0 and 0x100.
fn find(affinity: u64) -> Option<usize> {
    [0, 0x100].into_iter().position(|known| known == affinity)
}

fn interrupted(token: u64) -> Interrupted {
    Interrupted {
        x: core::array::from_fn(|n| token << 8 | n as u64),
        pc: 0x40_0000 | token << 4,
        pstate: token & 1,
    }
}

fn ask(dispatcher: &mut Small, pe: usize, function: u32, args: &[u64]) -> Answer {
    let mut all = [0; 5];
    all[..args.len()].copy_from_slice(args);
    dispatcher.call(pe, function, all, find)
}

/// What a call returns that does return.
#[track_caller]
fn call(dispatcher: &mut Small, pe: usize, function: u32, args: &[u64]) -> i64 {
    match ask(dispatcher, pe, function, args) {
        Answer::Return(value) => value,
        Answer::Signalled(_) => sdei::SUCCESS,
        other => panic!("{other:?}"),
    }
}

/// A PE that is told of an event.
fn told(event: u64) -> Small {
    let mut dispatcher = Small::new();
    for (function, args) in [
        (sdei::EVENT_REGISTER, &[event, HANDLER, ARGUMENT][..]),
        (sdei::EVENT_ENABLE, &[event]),
        (sdei::PE_UNMASK, &[]),
    ] {
        assert_eq!(call(&mut dispatcher, 0, function, args), sdei::SUCCESS);
    }
    dispatcher
}
