//! Tests of the tests: something is left out on purpose, and the steps that look at it have to fail.

use super::{Context, LIMIT, Needs, Scenario, Verdict};
use crate::machine::Machine;

pub(super) fn scenarios() -> Vec<Scenario> {
    vec![
        Scenario::new("sabotage/stage1-invalidation", Needs::Board, |context| {
            let machine = context.testhost_on("break-stage1-invalidation", "warm-tlb")?;
            noticed(&machine, &["refused once lent, alone"])
        }),
        Scenario::new("sabotage/scrub", Needs::Board, |context| {
            noticed(&context.testhost_on("break-scrub", "conserve")?, &["rounds"])
        }),
        Scenario::new("sabotage/dma", Needs::Board, dma),
    ]
}

/// A device whose accesses go past the SMMU.
fn dma(context: &Context<'_>) -> Verdict {
    let machine = context
        .demo_on("release")?
        .args(["-machine", "default-bus-bypass-iommu=on"]);
    noticed(&machine, &["DMA from lent memory brings nothing", "intact"])
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
