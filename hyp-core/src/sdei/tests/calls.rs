use super::*;

#[test]
fn the_version_is_1_1_of_no_vendor() {
    // As Linux decodes it (SDEI_VERSION_MAJOR, _MINOR and _VENDOR).
    let version = call(&mut Small::new(), 0, sdei::VERSION, &[]);
    let fields = (version >> 48 & 0x7fff, version >> 32 & 0xffff, version & 0xffff_ffff);
    assert_eq!(fields, (1, 1, 0));
}

#[test]
fn a_handler_is_entered_with_what_it_was_registered_with() {
    let mut dispatcher = told(FAULT);
    let entry = dispatcher.fault(0, &interrupted(1), 7);
    let wanted = Entry {
        event: Event::Fault,
        address: HANDLER,
        argument: ARGUMENT,
    };
    assert_eq!(entry, Some(wanted));
    assert_eq!(dispatcher.cause(0), Some(7));
    assert_eq!(dispatcher.cause(1), None);
    for n in 0..18 {
        let value = call(&mut dispatcher, 0, sdei::EVENT_CONTEXT, &[n]);
        assert_eq!(value, 1 << 8 | n as i64);
    }
    let outside = call(&mut dispatcher, 0, sdei::EVENT_CONTEXT, &[18]);
    assert_eq!(outside, sdei::INVALID_PARAMETERS);
    // It is not entered again.
    assert_eq!(dispatcher.fault(0, &interrupted(2), 8), None);
    let answer = ask(&mut dispatcher, 0, sdei::EVENT_COMPLETE, &[0]);
    assert_eq!(answer, Answer::Complete(interrupted(1)));
    assert_eq!(dispatcher.cause(0), None);
    assert!(dispatcher.fault(0, &interrupted(2), 8).is_some());
    let answer = ask(&mut dispatcher, 0, sdei::EVENT_COMPLETE_AND_RESUME, &[0x8000]);
    let wanted = Answer::Resume {
        interrupted: interrupted(2),
        at: 0x8000,
    };
    assert_eq!(answer, wanted);
}

#[test]
fn each_call_has_its_errors() {
    let mut dispatcher = told(FAULT);
    let before = dispatcher.clone();
    let no_event = [0x4000_0000, 1, 0xffff_ffff];
    for event in no_event {
        for function in [
            sdei::EVENT_REGISTER,
            sdei::EVENT_ENABLE,
            sdei::EVENT_DISABLE,
            sdei::EVENT_UNREGISTER,
            sdei::EVENT_STATUS,
            sdei::EVENT_GET_INFO,
            sdei::EVENT_ROUTING_SET,
            sdei::EVENT_SIGNAL,
            sdei::INTERRUPT_RELEASE,
        ] {
            let args = [event, HANDLER, 0, 0];
            assert_eq!(call(&mut dispatcher, 0, function, &args), sdei::INVALID_PARAMETERS);
        }
    }
    let refused: [(u32, &[u64], i64); 21] = [
        (sdei::EVENT_REGISTER, &[FAULT, HANDLER], sdei::DENIED),
        (sdei::EVENT_REGISTER, &[SOFTWARE, 0], sdei::INVALID_PARAMETERS),
        (sdei::EVENT_REGISTER, &[SOFTWARE, HANDLER + 2], sdei::INVALID_PARAMETERS),
        // Relative mode (bit 1) is not offered.
        (
            sdei::EVENT_REGISTER,
            &[SOFTWARE, HANDLER, 0, 2],
            sdei::INVALID_PARAMETERS,
        ),
        (sdei::EVENT_ENABLE, &[SOFTWARE], sdei::DENIED),
        (sdei::EVENT_DISABLE, &[SOFTWARE], sdei::DENIED),
        (sdei::EVENT_UNREGISTER, &[SOFTWARE], sdei::DENIED),
        (sdei::EVENT_CONTEXT, &[0], sdei::DENIED),
        (sdei::EVENT_CONTEXT, &[18], sdei::INVALID_PARAMETERS),
        (sdei::EVENT_COMPLETE, &[0], sdei::DENIED),
        (sdei::EVENT_COMPLETE_AND_RESUME, &[0], sdei::DENIED),
        (sdei::EVENT_GET_INFO, &[FAULT, 3], sdei::INVALID_PARAMETERS),
        (sdei::EVENT_GET_INFO, &[FAULT, 4], sdei::INVALID_PARAMETERS),
        (sdei::EVENT_GET_INFO, &[FAULT, 5], sdei::INVALID_PARAMETERS),
        (sdei::EVENT_ROUTING_SET, &[FAULT, 0], sdei::INVALID_PARAMETERS),
        (sdei::INTERRUPT_BIND, &[15], sdei::INVALID_PARAMETERS),
        (sdei::INTERRUPT_BIND, &[16], sdei::OUT_OF_RESOURCE),
        (sdei::EVENT_SIGNAL, &[FAULT, 0], sdei::INVALID_PARAMETERS),
        (sdei::EVENT_SIGNAL, &[SOFTWARE, 0x200], sdei::INVALID_PARAMETERS),
        (sdei::FEATURES, &[2], sdei::INVALID_PARAMETERS),
        (sdei::LAST_FUNCTION, &[], sdei::NOT_SUPPORTED),
    ];
    for (function, args, code) in refused {
        let returned = call(&mut dispatcher, 0, function, args);
        assert_eq!(returned, code, "{function:#x} {args:x?}");
    }
    assert_eq!(dispatcher, before);
    let answered: [(u32, &[u64], i64); 9] = [
        (sdei::EVENT_GET_INFO, &[FAULT, 0], 0),
        (sdei::EVENT_GET_INFO, &[FAULT, 1], 0),
        (sdei::EVENT_GET_INFO, &[FAULT, 2], 1),
        (sdei::EVENT_GET_INFO, &[SOFTWARE, 1], 1),
        (sdei::EVENT_GET_INFO, &[SOFTWARE, 2], 0),
        (sdei::EVENT_STATUS, &[FAULT], 0b011),
        (sdei::FEATURES, &[0], 0),
        (sdei::FEATURES, &[1], 0),
        (sdei::SHARED_RESET, &[], 0),
    ];
    for (function, args, value) in answered {
        let returned = call(&mut dispatcher, 0, function, args);
        assert_eq!(returned, value, "{function:#x} {args:x?}");
    }
    assert_eq!(dispatcher, before);
}

#[test]
fn a_mask_says_whether_it_has_changed_anything() {
    let mut dispatcher = told(FAULT);
    let mut masked = || call(&mut dispatcher, 0, sdei::PE_MASK, &[]);
    assert_eq!((masked(), masked()), (1, 0));
    assert_eq!(dispatcher.fault(0, &interrupted(1), 0), None);
}

#[test]
fn an_event_that_is_running_is_unregistered_when_it_completes() {
    let mut dispatcher = told(FAULT);
    assert!(dispatcher.fault(0, &interrupted(1), 0).is_some());
    let mut is = |function, wanted| assert_eq!(call(&mut dispatcher, 0, function, &[FAULT, HANDLER]), wanted);
    is(sdei::EVENT_STATUS, 0b111);
    is(sdei::PRIVATE_RESET, sdei::DENIED);
    is(sdei::EVENT_UNREGISTER, sdei::PENDING);
    is(sdei::EVENT_STATUS, 0b100);
    is(sdei::EVENT_UNREGISTER, sdei::PENDING);
    is(sdei::EVENT_REGISTER, sdei::DENIED);
    is(sdei::EVENT_ENABLE, sdei::DENIED);
    assert_eq!(
        ask(&mut dispatcher, 0, sdei::EVENT_COMPLETE, &[0]),
        Answer::Complete(interrupted(1))
    );
    assert_eq!(call(&mut dispatcher, 0, sdei::EVENT_STATUS, &[FAULT]), 0);
    assert_eq!(
        call(&mut dispatcher, 0, sdei::EVENT_REGISTER, &[FAULT, HANDLER]),
        sdei::SUCCESS
    );
}

#[test]
fn a_signal_waits_for_its_handler_to_be_told_of_it_once() {
    let mut dispatcher = told(SOFTWARE);
    let signal = |dispatcher: &mut Small, pe| ask(dispatcher, pe, sdei::EVENT_SIGNAL, &[SOFTWARE, 0]);
    assert_eq!(dispatcher.due(0, &interrupted(1)), None);
    // By itself, then by the other one while it is masked: that is one event.
    assert_eq!(call(&mut dispatcher, 0, sdei::PE_MASK, &[]), 1);
    assert_eq!(signal(&mut dispatcher, 0), Answer::Signalled(0));
    assert_eq!(signal(&mut dispatcher, 1), Answer::Signalled(0));
    assert_eq!(dispatcher.due(0, &interrupted(1)), None);
    assert_eq!(call(&mut dispatcher, 0, sdei::PE_UNMASK, &[]), 0);
    assert!(dispatcher.due(0, &interrupted(1)).is_some());
    assert_eq!(dispatcher.due(0, &interrupted(2)), None);
    // While it is running, the next one waits.
    assert_eq!(signal(&mut dispatcher, 1), Answer::Signalled(0));
    assert_eq!(dispatcher.due(0, &interrupted(2)), None);
    assert_eq!(
        ask(&mut dispatcher, 0, sdei::EVENT_COMPLETE, &[0]),
        Answer::Complete(interrupted(1))
    );
    assert!(dispatcher.due(0, &interrupted(1)).is_some());
}

#[test]
fn a_signal_to_one_without_a_handler_is_lost() {
    let mut dispatcher = Small::new();
    assert_eq!(
        ask(&mut dispatcher, 1, sdei::EVENT_SIGNAL, &[SOFTWARE, 0]),
        Answer::Signalled(0)
    );
    assert_eq!(dispatcher, Small::new());
}

#[test]
fn a_pe_that_is_switched_on_starts_over() {
    let mut dispatcher = told(FAULT);
    assert!(dispatcher.fault(0, &interrupted(1), 0).is_some());
    dispatcher.reset(0);
    assert_eq!(dispatcher, Small::new());
}
