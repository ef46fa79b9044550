//! The mechanism `sdei`: events for accesses to lent memory.

use super::linux::{DEMO, VERSION, VERSIONS};
use super::{Context, LIMIT, LINUX_BOOTARGS, Needs, Scenario, Verdict, steps};
use crate::report::{Outcome, Source};

const CPUS: [&str; 2] = ["max,pauth-impdef=on", "cortex-a53"];

/// Steps without which it has not been shown.
const STEPS: [&str; 6] = [
    "version",
    "EL0",
    "resume",
    "critical in normal",
    "another CPU",
    "switched on",
];

/// What a kernel that finds us says (`drivers/firmware/arm_sdei.c`), and our driver.
const PROBED: &str = "sdei: SDEIv1.1 (0x0) detected in firmware.";
const TOLD: &str = "leasehold: touches are told by SDEI event 0x40004c48";
const UNTOLD: &str = "leasehold: touches are not told by SDEI event 0x40004c48 any more";

pub(super) fn scenarios() -> Vec<Scenario> {
    let each = CPUS
        .into_iter()
        .flat_map(|cpu| ["hvc", "smc"].map(|conduit| (cpu, conduit)));
    let bare = each.map(|(cpu, conduit)| {
        let name = cpu.split(',').next().unwrap_or(cpu);
        Scenario::new(format!("fault/sdei/{name}/{conduit}"), Needs::Board, move |context| {
            bare(context, cpu, conduit)
        })
    });
    let process = VERSIONS.map(|version| {
        Scenario::new(format!("linux-{version}/fault/sdei"), Needs::Linux, move |context| {
            process(context, version)
        })
    });
    let kernel = Scenario::new(format!("linux-{VERSION}/fault/sdei/kernel"), Needs::Linux, kernel);
    let replug = Scenario::new(format!("linux-{VERSION}/fault/sdei/replug"), Needs::Linux, replug);
    let off = Scenario::new(format!("linux-{VERSION}/fault/sdei/off"), Needs::Linux, off);
    bare.chain(process).chain([kernel, replug, off]).collect()
}

fn bare(context: &Context<'_>, cpu: &str, conduit: &str) -> Verdict {
    let machine = context.testhost("sdei")?.cpu(cpu);
    let machine = machine.bootargs(format!("scenario=sdei conduit={conduit}"));
    steps(&machine.el2_arg("leasehold.fault=all=sdei,external-abort"), &STEPS)?;
    Ok(())
}

/// The host's log has `text`.
fn said(outcome: &Outcome, text: &str) -> Result<(), String> {
    if outcome.has(Source::Host, text) {
        Ok(())
    } else {
        Err(format!("the host does not say {text:?}\n{}", outcome.report()))
    }
}

/// The kernel has not warned.
fn quiet(outcome: &Outcome) -> Result<(), String> {
    for text in [
        "WARNING:",
        "BUG:",
        "Internal error:",
        "unsafe: exception during handler",
    ] {
        if outcome.has(Source::Host, text) {
            return Err(format!("the host says {text:?}\n{}", outcome.report()));
        }
    }
    Ok(())
}

/// A process gets its signal from the driver: the chain's next link has another one.
fn process(context: &Context<'_>, version: &str) -> Verdict {
    let bootargs = format!("{LINUX_BOOTARGS} unload=1 leasectl=demo,--expect,sdei");
    let machine = context.linux(version, &[])?.bootargs(bootargs);
    let outcome = steps(&machine.el2_arg("leasehold.fault=el0=sdei,alignment-abort"), &DEMO)?;
    for text in [PROBED, TOLD, UNTOLD, " touched 0x", "MECHANISM_SDEI"] {
        said(&outcome, text)?;
    }
    Ok(quiet(&outcome)?)
}

/// CPUs that went away and came back are told as before: the kernel registers nothing again for them, but enables the
/// event and unmasks each (`sdei_cpuhp_up`).
fn replug(context: &Context<'_>) -> Verdict {
    let bootargs = format!("{LINUX_BOOTARGS} unload=1 leasectl=demo,--expect,sdei,--replug");
    let machine = context.linux(VERSION, &[])?.bootargs(bootargs);
    let outcome = steps(&machine.el2_arg("leasehold.fault=el0=sdei,alignment-abort"), &DEMO)?;
    for text in ["LH-STEP replug\tok", TOLD, UNTOLD] {
        said(&outcome, text)?;
    }
    Ok(quiet(&outcome)?)
}

/// What the kernel touches is logged, and is for the chain's next links.
fn kernel(context: &Context<'_>) -> Verdict {
    const ACCESSES: [(&str, &str); 6] = [
        ("user-read", "signal SIGBUS 3"),
        ("user32-read", "killed SIGBUS"),
        ("kernel-nofault", "error EFAULT"),
        ("kernel-read", "done"),
        ("kernel-write", "done"),
        ("kernel-read-irq", "done"),
    ];
    let words = ACCESSES.map(|(access, _)| access).join(",");
    let bootargs = format!("{LINUX_BOOTARGS} loglevel=7 printk.devkmsg=on leasectl=matrix,{words}");
    let policy = "leasehold.fault=el0=sdei,alignment-abort;el1-kernel=sdei,tag-check-abort,decoy";
    let machine = context.linux(VERSION, &[])?.bootargs(bootargs).el2_arg(policy);
    let outcome = machine.start()?.finish(LIMIT);
    for (access, seen) in ACCESSES {
        said(&outcome, &format!("LH-CELL {access} seen {seen}"))?;
        said(&outcome, &format!("LH-CELL {access} alive yes"))?;
    }
    said(&outcome, "leasehold: the kernel, for leasectl[")?;
    said(&outcome, "[leasehold_matrix]")?;
    quiet(&outcome)?;
    if outcome.end.is_success() {
        Ok(())
    } else {
        Err(format!("{}\n{}", outcome.end, outcome.report()).into())
    }
}

/// Without a handler the chain's next link answers.
fn off(context: &Context<'_>) -> Verdict {
    let bootargs = format!("{LINUX_BOOTARGS} unload=1 driver=sdei=0 leasectl=demo,--expect,alignment-abort");
    let machine = context.linux(VERSION, &[])?.bootargs(bootargs);
    let outcome = steps(&machine.el2_arg("leasehold.fault=el0=sdei,alignment-abort"), &DEMO)?;
    said(&outcome, PROBED)?;
    Ok(quiet(&outcome)?)
}
