//! Some cells of `cargo xtask matrix`, whose outcome is known: accesses by processes and by the kernel itself.

use super::linux::VERSION;
use super::{Context, LIMIT, LINUX_BOOTARGS, Needs, Scenario, Verdict};
use crate::report::{Outcome, Source};

/// A policy, and the accesses that are made under it, with what is seen of each and what the kernel has to say.
struct Case {
    policy: &'static str,
    cells: &'static [Cell],
}

/// An access, what the one who made it has seen, and whether the kernel has logged an oops.
type Cell = (&'static str, &'static str, bool);

const CASES: [Case; 2] = [
    Case {
        policy: "all=alignment-abort!",
        cells: &[
            ("user-read", "signal SIGBUS 1", false),
            ("user32-read", "killed SIGBUS", false),
            ("read", "error EFAULT", false),
            ("get-user", "error EFAULT", false),
            ("kernel-nofault", "error EFAULT", false),
            ("kernel-zeropad", "right", false),
            ("kernel-zeropad-irq", "right", false),
            ("dma-write", "done", false),
            // The task is ended: it is not seen how.
            ("kernel-write", "killed ", true),
        ],
    },
    Case {
        policy: "all=external-abort",
        cells: &[
            ("user-read", "signal SIGBUS 3", false),
            ("user-exec", "signal SIGBUS 3", false),
            ("get-user", "killed ", true),
            ("kernel-zeropad", "killed ", true),
        ],
    },
];

pub(super) fn scenarios() -> Vec<Scenario> {
    let scenario = |Case { policy, cells }: Case| {
        Scenario::new(
            format!("linux-{VERSION}/matrix/{policy}"),
            Needs::Linux,
            move |context| run(context, policy, cells),
        )
    };
    CASES.into_iter().map(scenario).collect()
}

fn run(context: &Context<'_>, policy: &str, cells: &[Cell]) -> Verdict {
    let accesses: Vec<&str> = cells.iter().map(|(access, ..)| *access).collect();
    let words = ["matrix"].into_iter().chain(accesses).collect::<Vec<_>>().join(",");
    let machine = context
        .linux(VERSION, &[])?
        .bootargs(format!(
            "{LINUX_BOOTARGS} loglevel=5 printk.devkmsg=on leasectl={words}"
        ))
        .el2_arg(format!("leasehold.fault={policy}"))
        .smp(2);
    let outcome = machine.start()?.finish(LIMIT);
    for cell in cells {
        check(&outcome, cell).map_err(|error| format!("{}: {error}\n{}", cell.0, outcome.report()))?;
    }
    if !outcome.end.is_success() {
        return Err(format!("{}\n{}", outcome.end, outcome.report()).into());
    }
    Ok(())
}

/// Looks at what stands between the begin of an access and its end.
fn check(outcome: &Outcome, (access, seen, oops): &Cell) -> Result<(), String> {
    let begin = format!("LH-CELL {access} begin");
    let end = format!("LH-CELL {access} end");
    let lines: Vec<&str> = outcome
        .of(Source::Host)
        .map(|line| line.text.as_str())
        .skip_while(|line| !line.contains(&begin))
        .take_while(|line| !line.contains(&end))
        .collect();
    let has = |text: &str| lines.iter().any(|line| line.contains(text));
    if !has(&format!("LH-CELL {access} seen {seen}")) {
        return Err(format!("not seen: {seen}"));
    }
    if has(&format!("LH-CELL {access} touches 0")) {
        return Err("EL2 has not seen it".to_owned());
    }
    if !has(&format!("LH-CELL {access} alive yes")) {
        return Err("the kernel is not well".to_owned());
    }
    match (has("Internal error:"), oops) {
        (true, false) => Err("an oops".to_owned()),
        (false, true) => Err("no oops".to_owned()),
        _ => Ok(()),
    }
}
