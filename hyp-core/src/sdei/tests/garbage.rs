//! Any argument, in any order.

use super::*;
use proptest::collection::vec;
use proptest::prelude::*;

/// The errors that a call may have.
fn errors(function: u32) -> &'static [i64] {
    match function {
        sdei::VERSION | sdei::PE_MASK | sdei::PE_UNMASK | sdei::SHARED_RESET => &[],
        sdei::EVENT_STATUS | sdei::EVENT_GET_INFO | sdei::EVENT_ROUTING_SET | sdei::EVENT_SIGNAL => {
            &[sdei::INVALID_PARAMETERS]
        }
        sdei::FEATURES | sdei::INTERRUPT_RELEASE => &[sdei::INVALID_PARAMETERS],
        sdei::INTERRUPT_BIND => &[sdei::INVALID_PARAMETERS, sdei::OUT_OF_RESOURCE],
        sdei::EVENT_COMPLETE | sdei::EVENT_COMPLETE_AND_RESUME | sdei::PRIVATE_RESET => &[sdei::DENIED],
        sdei::EVENT_UNREGISTER => &[sdei::INVALID_PARAMETERS, sdei::DENIED, sdei::PENDING],
        sdei::EVENT_REGISTER | sdei::EVENT_ENABLE | sdei::EVENT_DISABLE | sdei::EVENT_CONTEXT => {
            &[sdei::INVALID_PARAMETERS, sdei::DENIED]
        }
        _ => &[sdei::NOT_SUPPORTED],
    }
}

fn argument() -> impl Strategy<Value = u64> {
    prop_oneof![
        any::<u64>(),
        0_u64..32,
        Just(FAULT),
        Just(HANDLER),
        Just(u64::MAX),
        // What is in bits 63:32 is nobody's.
        any::<u32>().prop_map(|high| u64::from(high) << 32 | FAULT),
    ]
}

proptest! {
    #[test]
    fn garbage_has_an_error_of_the_call_and_changes_nothing(
        calls in vec((0..2_usize, sdei::VERSION..=sdei::LAST_FUNCTION, [(); 5].map(|()| argument())), 1..64),
        faults in any::<u64>(),
    ) {
        let mut dispatcher = told(FAULT);
        for (n, (pe, function, args)) in calls.into_iter().enumerate() {
            if faults >> n & 1 != 0 {
                let _ = dispatcher.fault(pe, &interrupted(n as u64), 0);
                let _ = dispatcher.due(pe, &interrupted(n as u64));
            }
            let before = dispatcher.clone();
            // A register's value may be any number.
            if let Answer::Return(code) = dispatcher.call(pe, function, args, find)
                && code < 0
                && !(function == sdei::EVENT_CONTEXT && dispatcher == before)
            {
                prop_assert!(errors(function).contains(&code), "{function:#x} {code}");
                prop_assert!(code == sdei::PENDING || dispatcher == before);
            }
        }
    }

    #[test]
    fn no_pe_but_the_hosts_calls(pe in 2_usize.., function in sdei::VERSION..=sdei::LAST_FUNCTION) {
        let mut dispatcher = told(FAULT);
        let before = dispatcher.clone();
        let answer = dispatcher.call(pe, function, [FAULT, HANDLER, 0, 0, 0], |_| None);
        prop_assert!(matches!(answer, Answer::Return(code) if code < 0));
        prop_assert_eq!(dispatcher.fault(pe, &interrupted(1), 0), None);
        prop_assert_eq!(dispatcher, before);
    }
}
