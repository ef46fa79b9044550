//! Bare-metal hosts: what they report are their own steps.

use super::{Context, Needs, Scenario, Verdict, steps};

/// The test host's scenarios that need Leasehold.
const TESTHOST: [&str; 10] = [
    "warm-tlb",
    "bad-lend",
    "deputy",
    "parties",
    "calls",
    "smp",
    "conserve",
    "fault-classes",
    "tenants",
    "unmapped",
];

/// Steps without which the demo has not shown what it is for.
pub const DEMO: [&str; 10] = [
    "leasehold is there",
    "create, lend, map, load",
    "run",
    "EL0 load",
    "EL1 store",
    "refused on every CPU",
    "DMA from lent memory brings nothing",
    "destroy, reclaim",
    "reclaimed range reads zero",
    "all clean",
];

pub(super) fn scenarios() -> Vec<Scenario> {
    let mut all = vec![Scenario::new("testhost/selftest", Needs::Board, selftest)];
    all.extend(TESTHOST.map(|name| {
        Scenario::new(format!("testhost/{name}"), Needs::Board, move |context| {
            steps(&context.testhost(name)?, &["leasehold is there"])?;
            Ok(())
        })
    }));
    all
}

/// The test tools by themselves, at EL1 of a machine that has nothing below it.
fn selftest(context: &Context<'_>) -> Verdict {
    let machine = context
        .bare()
        .kernel(context.guest("testhost")?)
        .initrd(context.guest("testguest")?);
    steps(&machine.bootargs("scenario=selftest").smp(4).edu(), &[])?;
    Ok(())
}
