//! Some cells of `cargo xtask matrix`, whose outcome is known: accesses by processes and by the kernel itself.

use super::linux::{VERSION, VERSIONS};
use super::{Context, LIMIT, LINUX_BOOTARGS, Needs, Scenario};
use crate::report::{Outcome, Source};

/// A host and a policy, and the accesses that are made there.
#[derive(Clone, Copy)]
struct Case {
    version: &'static str,
    /// What the scenario is called.
    name: &'static str,
    policy: &'static str,
    /// What the host's command line has beside.
    bootargs: &'static str,
    cells: &'static [Cell],
}

/// An access, what the one who made it has seen, and the answer that EL2 has recorded last.
struct Cell(&'static str, &'static str, &'static str);

/// What is seen of a task that an oops has ended.
const OOPS: &str = "killed ";

const ALIGNMENT: &str = "MECHANISM_ABORT 0x21";
const EXTERNAL: &str = "MECHANISM_ABORT 0x10";
const TAG_CHECK: &str = "MECHANISM_ABORT 0x11";
const DECOY: &str = "MECHANISM_DECOY";
const FORCE_RECLAIM: &str = "MECHANISM_FORCE_RECLAIM";

/// The board's own policy, on hosts that end at the first warning and the first oops: the accesses that most policies do
/// not survive.
const SHIPPED: [Cell; 15] = [
    Cell("user-read", "signal SIGBUS 3", EXTERNAL),
    Cell("read", "error EFAULT", ALIGNMENT),
    // The kernel comes back to it for as long as it is refused, and no decoy serves an exclusive pair.
    Cell("futex-wake-op", "done", FORCE_RECLAIM),
    Cell("get-user", "error EFAULT", ALIGNMENT),
    Cell("put-user", "error EFAULT", ALIGNMENT),
    Cell("kernel-nofault", "error EFAULT", TAG_CHECK),
    Cell("kernel-zeropad", "right", TAG_CHECK),
    Cell("process-vm-readv", "done", DECOY),
    Cell("core-dump", "done", DECOY),
    Cell("kernel-atomic", "done", DECOY),
    Cell("kernel-exclusive", "done", FORCE_RECLAIM),
    Cell("dma-write", "done", "MECHANISM_NONE"),
    Cell("kernel-write-nopreempt", "done", DECOY),
    Cell("kernel-zeropad-irq", "right", TAG_CHECK),
    Cell("kernel-write-irq", "done", DECOY),
];

/// Mechanisms alone: what they are for, and what speaks against them.
const ALONE: [Case; 3] = [
    Case {
        version: VERSION,
        name: "alignment-abort",
        policy: "all=alignment-abort!",
        bootargs: "",
        cells: &[
            Cell("user-read", "signal SIGBUS 1", ALIGNMENT),
            Cell("user32-read", "killed SIGBUS", ALIGNMENT),
            Cell("read", "error EFAULT", ALIGNMENT),
            Cell("get-user", "error EFAULT", ALIGNMENT),
            Cell("kernel-nofault", "error EFAULT", ALIGNMENT),
            Cell("kernel-zeropad", "right", ALIGNMENT),
            Cell("kernel-zeropad-irq", "right", ALIGNMENT),
            Cell("dma-write", "done", "MECHANISM_NONE"),
            Cell("kernel-write", OOPS, ALIGNMENT),
        ],
    },
    Case {
        version: VERSION,
        name: "external-abort",
        policy: "all=external-abort",
        bootargs: "",
        cells: &[
            Cell("user-read", "signal SIGBUS 3", EXTERNAL),
            Cell("user-exec", "signal SIGBUS 3", EXTERNAL),
            Cell("get-user", OOPS, EXTERNAL),
            Cell("kernel-zeropad", OOPS, EXTERNAL),
        ],
    },
    Case {
        version: VERSION,
        name: "external-abort+handler",
        policy: "all=external-abort",
        bootargs: "matrix=handler=1",
        cells: &[
            Cell("user-read", "signal SIGBUS 3", EXTERNAL),
            Cell("get-user", "error EFAULT", EXTERNAL),
            Cell("kernel-zeropad-irq", "right", EXTERNAL),
            Cell("kernel-write", OOPS, EXTERNAL),
        ],
    },
];

/// What comes of accesses to a process's memory that come back, by chains of which no link but the last serves every access.
/// Beside each is what the log has to say of an access, too.
const BACK: [(Case, &[(&str, &str)]); 2] = [
    (
        Case {
            version: VERSION,
            name: "el1-user",
            policy: "el1-user=alignment-abort,decoy,force-reclaim",
            bootargs: "",
            cells: &[
                // A thousand times, and each time it is told: no link behind the first feeds it zeroes.
                Cell("read-again", "error EFAULT", ALIGNMENT),
                Cell("futex-wake-op", "done", FORCE_RECLAIM),
            ],
        },
        &[],
    ),
    (
        Case {
            version: VERSION,
            name: "el1-user-sdei",
            policy: "el1-user=sdei,alignment-abort,decoy,force-reclaim",
            bootargs: "",
            cells: &[Cell("get-user", "error EFAULT", ALIGNMENT)],
        },
        // The event, which leaves no trace in EL1's registers. The same access comes back, and gets the next link in the end.
        &[("get-user", "leasehold: the kernel, for leasectl[")],
    ),
];

pub(super) fn scenarios() -> Vec<Scenario> {
    let shipped = VERSIONS.map(|version| Case {
        version,
        name: "shipped",
        policy: "default",
        bootargs: "panic_on_warn=1 oops=panic",
        cells: &SHIPPED,
    });
    let scenario = |case: Case| {
        let name = format!("linux-{}/matrix/{}", case.version, case.name);
        Scenario::new(name, Needs::Linux, move |context| run(context, &case).map(drop))
    };
    let back = BACK.map(|(case, said)| {
        let name = format!("linux-{}/matrix/{}", case.version, case.name);
        Scenario::new(name, Needs::Linux, move |context| {
            let outcome = run(context, &case)?;
            for (access, text) in said {
                if !cell(&outcome, access).iter().any(|line| line.contains(text)) {
                    return Err(format!("{access}: no {text:?}\n{}", outcome.report()).into());
                }
            }
            Ok(())
        })
    });
    let alone = shipped.into_iter().chain(ALONE).map(scenario);
    alone.chain(back).collect()
}

fn run(context: &Context<'_>, case: &Case) -> Result<Outcome, Box<dyn std::error::Error + Send + Sync>> {
    let accesses = case.cells.iter().map(|Cell(access, ..)| *access);
    let words = ["matrix"].into_iter().chain(accesses).collect::<Vec<_>>().join(",");
    let machine = context
        .linux(case.version, &[])?
        .bootargs(format!(
            "{LINUX_BOOTARGS} loglevel=5 printk.devkmsg=on {} leasectl={words}",
            case.bootargs
        ))
        .el2_arg(format!("leasehold.fault={}", case.policy))
        .smp(2);
    let outcome = machine.start()?.finish(LIMIT);
    for cell in case.cells {
        check(&outcome, cell).map_err(|error| format!("{}: {error}\n{}", cell.0, outcome.report()))?;
    }
    if !outcome.end.is_success() {
        return Err(format!("{}\n{}", outcome.end, outcome.report()).into());
    }
    Ok(outcome)
}

/// What stands between the begin of an access and its end.
fn cell<'a>(outcome: &'a Outcome, access: &str) -> Vec<&'a str> {
    let begin = format!("LH-CELL {access} begin");
    let end = format!("LH-CELL {access} end");
    let lines = outcome.of(Source::Host).map(|line| line.text.as_str());
    lines
        .skip_while(|line| !line.contains(&begin))
        .take_while(|line| !line.contains(&end))
        .collect()
}

/// Looks at what stands there.
fn check(outcome: &Outcome, Cell(access, seen, answer): &Cell) -> Result<(), String> {
    let lines = cell(outcome, access);
    let has = |text: &str| lines.iter().any(|line| line.contains(text));
    if !has(&format!("LH-CELL {access} seen {seen}")) {
        return Err(format!("not seen: {seen}"));
    }
    let culprit = format!("LH-CELL {access} culprit ");
    let culprit = lines.iter().find(|line| line.contains(&culprit));
    if !culprit.is_some_and(|line| line.contains(&format!("lent to VM 2: {answer}"))) {
        return Err(format!("{culprit:?} does not name the culprit and {answer}"));
    }
    if !has(&format!("LH-CELL {access} alive yes")) {
        return Err("the kernel is not well".to_owned());
    }
    match (has("Internal error:"), *seen == OOPS) {
        (true, false) => Err("an oops".to_owned()),
        (false, true) => Err("no oops".to_owned()),
        _ => Ok(()),
    }
}
