//! Policies other than the board's own, with Linux 6.12 as the host: what a process that touches lent memory comes to.

use super::linux::{DEMO, VERSION, VERSIONS};
use super::{Context, LIMIT, Needs, Scenario, Verdict, linux_bootargs, steps};
use crate::report::{End, Outcome};
use std::num::ParseIntError;

/// The policy, the mechanism that a process sees by it (as `leasectl demo --expect` has it), what becomes of the
/// process, whether that comes with the touched address, and what a fault record names.
const EL0: [(&str, &str, &str, bool, &str); 4] = [
    (
        "el0=alignment-abort",
        "alignment-abort",
        "SIGBUS BUS_ADRALN",
        true,
        "MECHANISM_ABORT 0x21",
    ),
    (
        "el0=tag-check-abort",
        "tag-check-abort",
        "SIGSEGV SEGV_MTESERR",
        true,
        "MECHANISM_ABORT 0x11",
    ),
    (
        "el0=tagged-abort!",
        "tagged-abort",
        "stuck, tried again and again",
        false,
        "MECHANISM_TAGGED_ABORT",
    ),
    // The kernel tries again, and the second link answers.
    (
        "el0=tagged-abort,external-abort",
        "external-abort",
        "SIGBUS BUS_OBJERR",
        true,
        "MECHANISM_TAGGED_ABORT",
    ),
];

/// The kernel does not map what it lends, where a process maps it still.
fn unmapped(context: &Context<'_>, version: &str) -> Verdict {
    let bootargs = linux_bootargs(&["demo", "--unmapped"]) + " driver=unmap=1";
    let machine = context.linux(version, &[])?.bootargs(bootargs);
    let policy = "leasehold.fault=el1-kernel=unmapped,alignment-abort,halt";
    let expected: Vec<_> = DEMO.into_iter().chain(["unmapped"]).collect();
    steps(&machine.el2_arg(policy), &expected)?;
    Ok(())
}

/// Where in a page `leasectl demo` touches it.
const WITHIN: u64 = 0x123;
/// How much it lends.
const LENT: u64 = 16 << 20;
/// The steps before it touches anything.
const BEFORE: [&str; 7] = ["kernel", "driver", "create", "lend", "load", "start", "guest"];

pub(super) fn scenarios() -> Vec<Scenario> {
    let el0 = EL0.map(|(policy, expect, fate, with_address, recorded)| {
        Scenario::new(
            format!("linux-{VERSION}/fault/{policy}"),
            Needs::Linux,
            move |context| {
                let machine = context.linux(VERSION, &["demo", "--expect", expect])?;
                let outcome = steps(&machine.el2_arg(format!("leasehold.fault={policy}")), &DEMO)?;
                let base = lent_at(&outcome)?;
                for step in ["touch.el0.read", "touch.el0.write"] {
                    touched(seen(&outcome, step)?, base, fate, with_address)?;
                }
                let faults = seen(&outcome, "faults")?;
                if faults.contains(recorded) {
                    Ok(())
                } else {
                    Err(format!("{faults:?} does not name {recorded}").into())
                }
            },
        )
    });
    let halt = Scenario::new(format!("linux-{VERSION}/fault/all=halt"), Needs::Linux, halt);
    let unmapped = VERSIONS.map(|version| {
        Scenario::new(
            format!("linux-{version}/fault/unmapped"),
            Needs::Linux,
            move |context| unmapped(context, version),
        )
    });
    el0.into_iter().chain([halt]).chain(unmapped).collect()
}

/// What a step saw.
fn seen(outcome: &Outcome, step: &str) -> Result<String, String> {
    let steps = outcome.steps().steps;
    let step = steps.into_iter().find(|it| it.name == step).filter(|it| it.ok);
    step.map(|step| step.seen)
        .ok_or_else(|| format!("no such step is ok\n{}", outcome.report()))
}

/// Where the process has the memory that it lends: `16384 KiB at 0xffff9c205000, …`.
fn lent_at(outcome: &Outcome) -> Result<u64, Box<dyn std::error::Error + Send + Sync>> {
    let lend = seen(outcome, "lend")?;
    let address = lend
        .split_once(" at 0x")
        .and_then(|(_, rest)| rest.split([',', ' ']).next());
    Ok(u64::from_str_radix(address.unwrap_or_default(), 16).map_err(|error| format!("{lend:?}: {error}"))?)
}

/// Each touch had that fate, at an address within what is lent, the first at the first page, the last at the last.
fn touched(seen: String, base: u64, fate: &str, with_address: bool) -> Verdict {
    let mut addresses = Vec::new();
    for touch in seen.split("; ") {
        let came = touch.split_once(": ").map_or("", |(_, came)| came);
        if with_address {
            let address = came.strip_prefix(fate).and_then(|rest| rest.strip_prefix(" at 0x"));
            let address = address.ok_or_else(|| format!("{touch:?} is not {fate:?} with an address"))?;
            addresses.push(u64::from_str_radix(address, 16)?);
        } else if came != fate {
            return Err(format!("{touch:?} is not {fate:?}").into());
        }
    }
    let ends = [base + WITHIN, base + LENT - 0x1000 + WITHIN];
    if with_address && [addresses.first(), addresses.last()] != ends.each_ref().map(Some) {
        return Err(format!("{addresses:x?} do not begin and end with {ends:x?}").into());
    }
    Ok(())
}

/// The first touch stops a CPU for good, with a line that says all that is known.
fn halt(context: &Context<'_>) -> Verdict {
    let machine = context.linux(VERSION, &["demo", "--expect", "halt"])?;
    let outcome = machine.el2_arg("leasehold.fault=all=halt").start()?.finish(LIMIT);
    let End::El2Stopped(line) = &outcome.end else {
        return Err(format!("{}\n{}", outcome.end, outcome.report()).into());
    };
    let steps: Vec<_> = outcome
        .steps()
        .steps
        .into_iter()
        .map(|step| (step.name, step.ok))
        .collect();
    if steps != BEFORE.map(|name| (name.to_owned(), true)) {
        return Err(format!("steps before the stop: {steps:?}").into());
    }
    let address = lent_at(&outcome)? + WITHIN;
    let record = Halt::parse(line).map_err(|error| format!("{line:?}: {error}"))?;
    // A data abort from a lower level, by a read, of a translation (Arm ARM, ESR_EL2: EC, WnR, DFSC without its level).
    let syndrome = record.esr & (0x3f << 26 | 1 << 6 | 0x3c);
    let good = line.contains("halted by the fault policy: class el0 ")
        && (record.far, syndrome, record.borrower) == (address, 0x24 << 26 | 0x04, 2)
        && record.page % 0x1000 == 0
        && record.page >= 1 << 30;
    if good {
        Ok(())
    } else {
        Err(format!("a read at EL0 of {address:#x}, lent to VM 2, was told as {line:?}").into())
    }
}

/// The numbers of EL2's line.
struct Halt {
    esr: u64,
    far: u64,
    page: u64,
    borrower: u64,
}

impl Halt {
    fn parse(line: &str) -> Result<Halt, ParseIntError> {
        let number = |name: &str| {
            let word = line
                .split(' ')
                .find_map(|word| word.strip_prefix(name))
                .unwrap_or_default();
            let digits = word.trim_start_matches("Some(").trim_end_matches(')');
            match digits.strip_prefix("0x") {
                Some(hex) => u64::from_str_radix(hex, 16),
                None => digits.parse(),
            }
        };
        Ok(Halt {
            esr: number("ESR_EL2=")?,
            far: number("FAR=")?,
            page: number("page=")?,
            borrower: number("borrower=")?,
        })
    }
}
