//! Every function id that nobody has given a meaning to, and garbage for those that have one.

use leasehold_abi::{ffa as numbers, psci, smccc, vendor};
use leasehold_guests::arch::call::{self, Conduit, call};
use leasehold_guests::arch::el0::Stub;
use leasehold_guests::arch::sweep::{self, Bench};
use leasehold_guests::host::Host;
use leasehold_guests::{ffa, vm};

pub fn run(host: &mut Host) {
    for conduit in [Conduit::Hvc, Conduit::Smc] {
        call::set_conduit(conduit);
        let there = vm::is_leasehold();
        host.report.step("answers", there, format_args!("{conduit:?}"));
        unknown(host, conduit);
        reserved(host, conduit);
        known(host, conduit);
        garbage(host, conduit);
    }
    privilege(host);
    registers(host);
    let there = vm::is_leasehold();
    host.report.step("is there still", there, format_args!(""));
}

/// All owners, both conventions, fast and yielding, in steps.
fn unknown(host: &mut Host, conduit: Conduit) {
    const STEPS: [u32; 10] = [
        0x0000, 0x0013, 0x00ff, 0x0100, 0x0fff, 0x1234, 0x7fff, 0x8000, 0xfffe, 0xffff,
    ];
    // Owner 0 has SMCCC's own, 4 PSCI and FF-A, 6 ours: those have their turn below. The trusted OS range is nobody's.
    let owners = (0..64u32).filter(|owner| ![0, 4, 6].contains(owner));
    let ids = owners.flat_map(|owner| STEPS.map(|step| owner << 24 | step));
    let ids = ids.flat_map(|id| [id, id | 1 << 30, id | 1 << 31, id | 0b11 << 30]);
    let answer = sweep::unknown_calls(conduit, ids);
    host.report.step(
        "unknown owners",
        answer.is_ok(),
        format_args!("{conduit:?}: {answer:x?}"),
    );
    // Reserved bits of a fast call's id (DEN0028 2.3: bits 23:17 are zero), over ids that exist.
    let ids = (17..24).flat_map(|bit| [psci::VERSION, vendor::FEATURES, smccc::VERSION].map(|id| id | 1 << bit));
    let answer = sweep::unknown_calls(conduit, ids);
    host.report.step(
        "reserved bits of an id",
        answer.is_ok(),
        format_args!("{conduit:?}: {answer:x?}"),
    );
}

/// Ids of our own ranges that have no meaning.
fn reserved(host: &mut Host, conduit: Conduit) {
    let known = |id: u32| {
        vendor::CALLS.iter().any(|c| c.id == id)
            || [smccc::VENDOR_HYP_CALL_UID, smccc::VENDOR_HYP_REVISION].contains(&id)
    };
    let ours = (0xc600_0000u32..0xc600_0100)
        .chain(0x8600_0000..0x8600_0100)
        .chain(0x8600_ff00..0x8600_ff10);
    let ours = ours.chain(0xc600_ff00..0xc600_ff10).filter(|id| !known(*id));
    let answer = sweep::unknown_calls(conduit, ours);
    host.report.step(
        "reserved calls",
        answer.is_ok(),
        format_args!("{conduit:?}: {answer:x?}"),
    );
    // Behind PSCI 1.3 and before FF-A, and behind FF-A.
    let standard = (0x8400_0020u32..0x8400_0050).chain(0xc400_0033..0xc400_0050);
    let standard = standard.chain(0x8400_0100..0x8400_0120).chain(0xc400_0100..0xc400_0120);
    let answer = sweep::unknown_calls(conduit, standard);
    host.report.step(
        "reserved standard calls",
        answer.is_ok(),
        format_args!("{conduit:?}: {answer:x?}"),
    );
    // FF-A answers for its own: FFA_ERROR with NOT_SUPPORTED, or nobody knows the id.
    let offered = [
        numbers::ERROR,
        numbers::SUCCESS_32,
        numbers::VERSION,
        numbers::FEATURES,
        numbers::RX_RELEASE,
        numbers::RXTX_MAP_32,
        numbers::RXTX_UNMAP,
        numbers::ID_GET,
        numbers::SPM_ID_GET,
    ];
    let mut odd = None;
    for id in (numbers::ERROR..numbers::ERROR + 0xa0).filter(|id| !offered.contains(id)) {
        if (numbers::MEM_DONATE_32..=numbers::MEM_RECLAIM).contains(&id) {
            continue;
        }
        let answer = ffa::outcome(&call(id, &[]));
        if answer.is_ok() {
            odd = odd.or(Some((id, answer.map(|r| r[0]))));
        }
    }
    host.report.step(
        "FF-A that is not offered",
        odd.is_none(),
        format_args!("{conduit:?}: {odd:x?}"),
    );
}

/// What the standards say of the calls that exist.
fn known(host: &mut Host, conduit: Conduit) {
    let report = &mut host.report;
    report.same("SMCCC_VERSION", call(smccc::VERSION, &[])[0] as u32, smccc::VERSION_1_2);
    let answer = call(smccc::ARCH_FEATURES, &[u64::from(smccc::VERSION)])[0] as i32;
    report.same("SMCCC_ARCH_FEATURES of SMCCC_VERSION", answer, smccc::SUCCESS);
    let answer = call(smccc::ARCH_FEATURES, &[0x8000_7777])[0] as i32;
    report.same("SMCCC_ARCH_FEATURES of nothing", answer, smccc::NOT_SUPPORTED);
    let r = call(smccc::VENDOR_HYP_REVISION, &[]);
    let revision = (r[0] as u32, r[1] as u32);
    report.same("revision", revision, (vendor::REVISION_MAJOR, vendor::REVISION_MINOR));
    report.same("PSCI_VERSION", call(psci::VERSION, &[])[0] as u32, psci::VERSION_1_1);
    // FFA_VERSION: the answer to a newer minor is ours, to an older one ours or that it is too old; one that cannot be is
    // refused (13.2).
    let old = ffa::version(0x1_0000);
    report.among(
        "FFA_VERSION 1.0",
        old,
        &[numbers::VERSION_1_2 as i32, numbers::NOT_SUPPORTED],
    );
    report.same("FFA_VERSION 1.9", ffa::version(0x1_0009), numbers::VERSION_1_2 as i32);
    report.same(
        "FFA_VERSION of bit 31",
        ffa::version(0x8001_0000),
        numbers::NOT_SUPPORTED,
    );
    report.same(
        "FFA_VERSION 1.2",
        ffa::version(numbers::VERSION_1_2),
        numbers::VERSION_1_2 as i32,
    );
    report.same("FFA_ID_GET", ffa::id(), Ok(numbers::HOST_ID));
    for (name, id) in [
        ("lend", numbers::MEM_LEND_64),
        ("reclaim", numbers::MEM_RECLAIM),
        ("map", numbers::RXTX_MAP_64),
    ] {
        let answer = ffa::features(id);
        report.step("FFA_FEATURES", answer.is_ok(), format_args!("{name}: {answer:x?}"));
    }
    let answer = ffa::features(0x8400_00ff);
    report.same("FFA_FEATURES of nothing", answer, Err(numbers::NOT_SUPPORTED));
    // What a call does not name, it leaves: all but its results.
    let mut registers: call::Registers = core::array::from_fn(|i| 0xabcd_0000_0000 + i as u64);
    let before = registers;
    registers[0] = u64::from(vendor::FEATURES);
    call::raw(conduit, &mut registers);
    let changed = (5..registers.len()).find(|i| registers[*i] != before[*i]);
    report.step(
        "registers are kept",
        registers[0] == 0 && changed.is_none(),
        format_args!("{conduit:?}: {changed:?}"),
    );
}

/// Arguments that mean nothing: an error, whichever, and no effect.
fn garbage(host: &mut Host, conduit: Conduit) {
    const WORDS: [u64; 6] = [u64::MAX, 1 << 63, 0x5a5a_5a5a_5a5a_5a5a, 0xfff, 1 << 32, 0x8000_0001];
    let mut count = 0;
    let mut granted = None;
    let takes_arguments = |id: &u32| vendor::CALLS.iter().any(|c| c.id == *id && !c.args.is_empty());
    let calls = vendor::CALLS.iter().map(|c| c.id).filter(takes_arguments);
    for id in calls.chain([
        numbers::MEM_RECLAIM,
        numbers::MEM_LEND_64,
        numbers::RXTX_MAP_64,
        numbers::MEM_RELINQUISH,
    ]) {
        for word in WORDS {
            let arguments = [word; 17];
            let r = call(id, &arguments);
            count += 1;
            let refused = (r[0] as i32) < 0 && r[0] as u32 >> 28 == 0xf || r[0] as u32 == numbers::ERROR;
            if !refused {
                granted = granted.or(Some((id, word, r[0])));
            }
        }
    }
    host.report.step(
        "garbage",
        granted.is_none(),
        format_args!("{conduit:?}: {count} calls, {granted:x?}"),
    );
}

/// EL0 gets no answer: the calls are UNDEFINED there (Arm ARM C6.2: SMC and HVC).
fn privilege(host: &mut Host) {
    let program = host.program();
    for stub in [Stub::Smc, Stub::Hvc] {
        // SAFETY: nothing is written.
        let answer = unsafe { program.run(stub, u64::from(psci::VERSION), 0) };
        let undefined = answer.is_err_and(|f| f.class() == 0);
        host.report
            .step("from EL0", undefined, format_args!("{stub:?}: {answer:x?}"));
    }
}

/// Registers and instructions that somebody above may look at: none stops this host.
fn registers(host: &mut Host) {
    let bench = Bench::new(host.pages.take(1));
    for op0 in [2, 3] {
        for op1 in 0..8 {
            let tally = sweep::read_all(&bench, op0, op1..op1 + 1, 0..16);
            host.report.step(
                "register reads",
                tally.odd.is_none(),
                format_args!("op0 {op0} op1 {op1}: {tally:x?}"),
            );
        }
    }
    let odd = sweep::odd_instruction(&bench);
    host.report
        .step("instructions", odd.is_none(), format_args!("{odd:x?}"));
}
