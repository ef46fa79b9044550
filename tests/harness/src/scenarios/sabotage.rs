//! Tests of the tests: something is left out on purpose, and the steps that look at it have to fail.

use super::{Context, LIMIT, Needs, Scenario, Verdict};
use crate::machine::Machine;
use crate::report::Source;
use crate::steps::Step;

pub(super) fn scenarios() -> Vec<Scenario> {
    vec![
        Scenario::new("sabotage/stage1-invalidation", Needs::Board, |context| {
            let machine = context.testhost_on("break-stage1-invalidation", "warm-tlb")?;
            // What is refused now and let through then looks like a return, at which `bring-up` stops the CPU.
            let machine = machine.el2_arg("leasehold.fault=all=alignment-abort!;el0=external-abort");
            noticed(&machine, &["refused once lent, alone"])
        }),
        Scenario::new("sabotage/scrub", Needs::Board, |context| {
            noticed(&context.testhost_on("break-scrub", "conserve")?, &["rounds"])
        }),
        Scenario::new("sabotage/decoy-invalidation", Needs::Board, |context| {
            noticed(
                &alone(context, "break-decoy-invalidation", "decoy")?,
                &["one after the other"],
            )
        }),
        Scenario::new("sabotage/decoy-scrub", Needs::Board, |context| {
            // What the store before has left is what a load finds.
            noticed(&alone(context, "break-scrub", "decoy")?, &["load 64", "A32 load"])
        }),
        Scenario::new("sabotage/take-scrub", Needs::Board, |context| {
            noticed(
                &alone(context, "break-scrub", "force-reclaim")?,
                &["load 64", "EL0 store"],
            )
        }),
        Scenario::new("sabotage/dma", Needs::Board, dma),
        Scenario::new("no-smmu/refused", Needs::Board, uncontained),
        Scenario::new("no-smmu/accepted", Needs::Board, accepted),
    ]
}

/// Every kind of access, by this mechanism alone.
fn alone(context: &Context<'_>, build: &str, mechanism: &str) -> Result<Machine, super::Missing> {
    let machine = context.testhost_on(build, "access")?.smp(1);
    let machine = machine.bootargs(format!("scenario=access mechanism={mechanism}"));
    Ok(machine.el2_arg(format!("leasehold.fault=all={mechanism}!")))
}

/// A device whose accesses go past the SMMU: QEMU's tree does not say so.
fn dma(context: &Context<'_>) -> Verdict {
    let machine = context
        .demo_on("release")?
        .args(["-machine", "default-bus-bypass-iommu=on"]);
    noticed(&machine, &["DMA from lent memory brings nothing", "intact"])
}

/// No SMMU, and nobody has accepted that: nothing can be lent.
fn uncontained(context: &Context<'_>) -> Verdict {
    let outcome = without_smmu(context)?.start()?.finish(LIMIT);
    let said = |line: &&str| outcome.has(Source::El2, line);
    let lines = ["no SMMU contains what is behind pcie@", "lending is refused"];
    let steps = outcome.steps();
    let lends = |step: &&Step| step.name == "create, lend, map, load";
    if lines.iter().all(said) && steps.steps.iter().find(lends).is_some_and(|step| !step.ok) {
        Ok(())
    } else {
        Err(format!("lending was not refused\n{}", outcome.report()).into())
    }
}

/// The same, accepted: memory is lent, and the device reads it.
fn accepted(context: &Context<'_>) -> Verdict {
    let machine = without_smmu(context)?.el2_arg("leasehold.uncontained=accept");
    noticed(&machine, &["DMA from lent memory brings nothing", "intact"])
}

fn without_smmu(context: &Context<'_>) -> Result<Machine, super::Missing> {
    Ok(context.demo_on("release")?.args(["-machine", "iommu=none"]))
}

/// Runs a machine whose host comes to its end, and to nothing good: each of these steps has failed.
pub(super) fn noticed(machine: &Machine, expected: &[&str]) -> Verdict {
    let outcome = machine.start()?.finish(LIMIT);
    let steps = outcome.steps();
    if !outcome.end.is_success() || steps.done.is_none() {
        return Err(format!(
            "the host did not come to its end: {}\n{}",
            outcome.end,
            outcome.report()
        )
        .into());
    }
    let failed = |name: &&&str| steps.steps.iter().any(|step| !step.ok && step.name == **name);
    let unnoticed: Vec<_> = expected.iter().filter(|name| !failed(name)).copied().collect();
    if unnoticed.is_empty() {
        return Ok(());
    }
    let unnoticed = unnoticed.join(", ");
    Err(format!(
        "what was left out was not noticed by: {unnoticed}\n{}",
        outcome.report()
    )
    .into())
}
