//! Calls by themselves.

use super::{EVENT, SIGNAL};
use leasehold_abi::{sdei as numbers, vendor};
use leasehold_guests::arch::call;
use leasehold_guests::arch::sdei::{self, ask};
use leasehold_guests::host::Host;
use leasehold_guests::vm;

/// What calls answer of which nothing depends on a state.
pub fn same(host: &mut Host) {
    host.report
        .same("version", ask(numbers::VERSION, &[]), numbers::VERSION_1_1);
    host.report.same("event", vm::fault_event(), Ok(EVENT));
    host.report.same("no record", vm::current_fault(), Err(vendor::DENIED));
    let same: [(&str, u32, &[u64], i64); 27] = [
        ("no slots", numbers::FEATURES, &[0], 0),
        ("absolute addresses", numbers::FEATURES, &[1], 0),
        ("no such feature", numbers::FEATURES, &[2], numbers::INVALID_PARAMETERS),
        ("private", numbers::EVENT_GET_INFO, &[EVENT, 0], 0),
        ("not signalled", numbers::EVENT_GET_INFO, &[EVENT, 1], 0),
        ("critical", numbers::EVENT_GET_INFO, &[EVENT, 2], 1),
        (
            "not routed",
            numbers::EVENT_GET_INFO,
            &[EVENT, 3],
            numbers::INVALID_PARAMETERS,
        ),
        (
            "nowhere",
            numbers::EVENT_GET_INFO,
            &[EVENT, 4],
            numbers::INVALID_PARAMETERS,
        ),
        ("signalled", numbers::EVENT_GET_INFO, &[SIGNAL, 1], 1),
        ("normal", numbers::EVENT_GET_INFO, &[SIGNAL, 2], 0),
        (
            "no such event",
            numbers::EVENT_GET_INFO,
            &[1, 0],
            numbers::INVALID_PARAMETERS,
        ),
        ("status of none", numbers::EVENT_STATUS, &[EVENT], 0),
        (
            "status of no event",
            numbers::EVENT_STATUS,
            &[1],
            numbers::INVALID_PARAMETERS,
        ),
        ("enable early", numbers::EVENT_ENABLE, &[EVENT], numbers::DENIED),
        ("disable early", numbers::EVENT_DISABLE, &[EVENT], numbers::DENIED),
        ("unregister early", numbers::EVENT_UNREGISTER, &[EVENT], numbers::DENIED),
        ("context early", numbers::EVENT_CONTEXT, &[0], numbers::DENIED),
        ("complete early", numbers::EVENT_COMPLETE, &[0], numbers::DENIED),
        (
            "resume early",
            numbers::EVENT_COMPLETE_AND_RESUME,
            &[0],
            numbers::DENIED,
        ),
        (
            "no address",
            numbers::EVENT_REGISTER,
            &[EVENT, 0],
            numbers::INVALID_PARAMETERS,
        ),
        (
            "no instruction",
            numbers::EVENT_REGISTER,
            &[EVENT, 6],
            numbers::INVALID_PARAMETERS,
        ),
        (
            "relative",
            numbers::EVENT_REGISTER,
            &[EVENT, 8, 0, 2],
            numbers::INVALID_PARAMETERS,
        ),
        (
            "routing",
            numbers::EVENT_ROUTING_SET,
            &[EVENT, 0],
            numbers::INVALID_PARAMETERS,
        ),
        (
            "bind an SGI",
            numbers::INTERRUPT_BIND,
            &[15],
            numbers::INVALID_PARAMETERS,
        ),
        ("bind", numbers::INTERRUPT_BIND, &[32], numbers::OUT_OF_RESOURCE),
        (
            "release",
            numbers::INTERRUPT_RELEASE,
            &[EVENT],
            numbers::INVALID_PARAMETERS,
        ),
        ("shared reset", numbers::SHARED_RESET, &[], numbers::SUCCESS),
    ];
    for (name, function, arguments, wanted) in same {
        host.report.same(name, ask(function, arguments), wanted);
    }
    for function in [0xC400_0033, numbers::LAST_FUNCTION, 0x8400_0020, 0x0400_0020] {
        let answer = ask(function, &[]);
        host.report.same("no such call", answer, numbers::NOT_SUPPORTED);
    }
    host.report.same(
        "signal another event",
        ask(numbers::EVENT_SIGNAL, &[EVENT, host.machine.cpus[0]]),
        numbers::INVALID_PARAMETERS,
    );
    host.report
        .same("signal nobody", sdei::signal(0xff_0000), numbers::INVALID_PARAMETERS);
    host.report.same("masked", ask(numbers::PE_MASK, &[]), 0);
}

/// Any argument for any call, and then all is as before.
pub fn garbage(host: &mut Host) {
    let mut random = 0x2545_f491_4f6c_dd1d_u64;
    let mut next = || {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        random
    };
    let mut refused = 0;
    for round in 0..2000_u64 {
        let function = numbers::VERSION + (next() % 32) as u32;
        let mut arguments = core::array::from_fn::<u64, 5, _>(|_| next());
        if round.is_multiple_of(2) {
            arguments[0] = [EVENT, SIGNAL, EVENT | 1 << 40, 18][(next() % 4) as usize];
        }
        // Nobody runs what it would register.
        let _ = call::call(numbers::PE_MASK, &[]);
        if function != numbers::PE_UNMASK {
            refused += u32::from((call::call(function, &arguments)[0] as i64) < 0);
        }
    }
    let reset = ask(numbers::PRIVATE_RESET, &[]);
    let status = (
        ask(numbers::EVENT_STATUS, &[EVENT]),
        ask(numbers::EVENT_STATUS, &[SIGNAL]),
    );
    host.report.step(
        "garbage",
        (reset, status) == (0, (0, 0)),
        format_args!("{refused} of 2000 refused"),
    );
}
