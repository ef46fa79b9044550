//! Every call, by one who may not make it, or with arguments that mean nothing.

use crate::program::Guest;
use leasehold_abi::{ffa, psci, sdei, smccc, vendor};
use leasehold_guests::arch::call::{Conduit, call, set_conduit};
use leasehold_guests::arch::sweep;
use leasehold_guests::ffa as calls;
use leasehold_guests::pages::Block;
use leasehold_guests::{args, tenant};

/// Arguments that mean nothing to anybody.
const GARBAGE: [u64; 7] = [
    u64::MAX,
    0x5a5a_5a5a_5a5a_5a5a,
    1 << 63,
    0xfff,
    u64::MAX - 0xfff,
    7,
    0x4000_0001,
];

pub fn run(guest: &mut Guest) {
    let pages = (guest.pages.take(1), guest.pages.take(1));
    for conduit in [Conduit::Hvc, Conduit::Smc] {
        set_conduit(conduit);
        if conduit == Conduit::Smc && call(psci::VERSION, &[])[0] as u32 == u32::MAX {
            guest.report.step("no answer to SMC", true, format_args!(""));
            break;
        }
        standard(guest, conduit);
        of_the_host(guest, conduit);
        memory(guest, conduit, pages);
    }
    set_conduit(Conduit::Hvc);
    if let Some(handle) = args::value(tenant::arguments(&guest.machine), "foreign").and_then(args::number) {
        foreign(guest, handle, pages);
    }
}

/// A lease that is another guest's.
fn foreign(guest: &mut Guest, handle: u64, (tx, rx): (Block, Block)) {
    let mapped = calls::Mailbox::new(tx, rx);
    let Some(mail) = guest.report.value("buffers", mapped) else {
        return;
    };
    for owner in [ffa::HOST_ID, mail.id] {
        let answer = mail.retrieve(owner, handle, 0);
        guest
            .report
            .step("retrieve another's", answer.is_err(), format_args!("{answer:x?}"));
    }
    let answer = mail.relinquish(handle);
    guest
        .report
        .step("relinquish another's", answer.is_err(), format_args!("{answer:x?}"));
    let answer = calls::reclaim_once(handle, 0);
    guest
        .report
        .step("reclaim another's", answer.is_err(), format_args!("{answer:x?}"));
    let own = mail.lend(u64::from(ffa::HOST_ID), &[(tx.base(), 1)]);
    guest
        .report
        .step("lend to the host", own.is_err(), format_args!("{own:x?}"));
}

fn standard(guest: &mut Guest, conduit: Conduit) {
    guest
        .report
        .same("PSCI_VERSION", call(psci::VERSION, &[])[0] as u32, psci::VERSION_1_1);
    let features = call(psci::FEATURES, &[u64::from(psci::SYSTEM_OFF)])[0] as i32;
    guest.report.same("PSCI_FEATURES", features, psci::SUCCESS);
    let on = call(psci::CPU_ON_64, &GARBAGE)[0] as i32;
    guest.report.step("CPU_ON", on < 0, format_args!("{on}"));
    let info = call(psci::AFFINITY_INFO_64, &GARBAGE)[0] as i32;
    guest.report.step("AFFINITY_INFO", info < 0, format_args!("{info}"));
    let version = call(smccc::VERSION, &[])[0] as i32;
    guest
        .report
        .step("SMCCC_VERSION", version >= 0x1_0001, format_args!("{version:#x}"));
    // Of every owner, the first and the last functions of the ranges that are reserved (DEN0028, 6.1).
    let owners = (8..48u32).flat_map(|owner| [0u32, 1, 0x7fff, 0xffff].map(|f| 0x8000_0000 | owner << 24 | f));
    let both = owners.flat_map(|id| [id, id | 1 << 30]);
    let unknown = sweep::unknown_calls(conduit, both);
    guest
        .report
        .step("unknown", unknown.is_ok(), format_args!("{unknown:x?}"));
    let events = sweep::unknown_calls(conduit, sdei::VERSION..=sdei::LAST_FUNCTION);
    guest
        .report
        .step("no SDEI", events.is_ok(), format_args!("{events:x?}"));
}

/// Calls that only a host may make.
fn of_the_host(guest: &mut Guest, conduit: Conduit) {
    let id = calls::id().unwrap_or(u16::MAX);
    let own = u64::from(id);
    let mut count = 0;
    let mut granted = None;
    let calls = vendor::CALLS.iter().map(|c| c.id).filter(|id| *id != vendor::FEATURES);
    for function in calls {
        for first in [own, 0, 1, own + 1, u64::MAX] {
            let status = call(function, &[first, 0x4000_0000, 0x4000_0000, 4096])[0] as i32;
            count += 1;
            if status == vendor::SUCCESS {
                granted = granted.or(Some((function, first)));
            }
        }
    }
    guest.report.step(
        "of the host",
        granted.is_none(),
        format_args!("{conduit:?}: {count} calls, {granted:x?}"),
    );
    let reserved = (0xc600_0030..0xc600_00ff).chain(0x8600_0001..0x8600_0040);
    let unknown = sweep::unknown_calls(conduit, reserved);
    guest
        .report
        .step("reserved", unknown.is_ok(), format_args!("{unknown:x?}"));
}

/// FF-A with nothing that it stands on.
fn memory(guest: &mut Guest, conduit: Conduit, (tx, rx): (Block, Block)) {
    let report = &mut guest.report;
    let id = calls::id();
    report.step(
        "FFA_ID_GET",
        id.is_ok_and(|id| id > ffa::HOST_ID),
        format_args!("{conduit:?}: {id:?}"),
    );
    for function in [
        ffa::MEM_LEND_32,
        ffa::MEM_LEND_64,
        ffa::MEM_SHARE_64,
        ffa::MEM_DONATE_64,
        ffa::MEM_RETRIEVE_REQ_64,
        ffa::MEM_RELINQUISH,
        ffa::RX_RELEASE,
        ffa::RXTX_UNMAP,
    ] {
        let answer = calls::outcome(&call(function, &[80, 80, 0, 0]));
        report.step(
            "no buffers",
            answer.is_err(),
            format_args!("{function:#x}: {:?}", answer.err()),
        );
        let answer = calls::outcome(&call(function, &GARBAGE));
        report.step(
            "garbage",
            answer.is_err(),
            format_args!("{function:#x}: {:?}", answer.err()),
        );
    }
    let mapped = (0..16).find(|handle| calls::reclaim_once(*handle, 0).is_ok());
    report.step("reclaim", mapped.is_none(), format_args!("{mapped:?}"));
    for (name, tx, rx, pages) in [
        ("unmapped", 0x3000_0000, 0x3000_1000, 1),
        ("unaligned", tx.base() + 8, rx.base(), 1),
        ("the same", tx.base(), tx.base(), 1),
        ("none", tx.base(), rx.base(), 0),
        ("many", tx.base(), rx.base(), 0x3f),
        ("wrapping", 0xffff_ffff_ffff_f000, rx.base(), 1),
        ("device", 0x0900_0000, rx.base(), 1),
    ] {
        let answer = calls::map(tx, rx, pages);
        report.step("FFA_RXTX_MAP", answer.is_err(), format_args!("{name}: {answer:?}"));
    }
}
