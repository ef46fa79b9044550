//! The mechanism `sdei`: events for accesses to lent memory.

use super::{Context, Needs, Scenario, Verdict, steps};

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

fn bare(context: &Context<'_>, cpu: &str, conduit: &str) -> Verdict {
    let machine = context.testhost("sdei")?.cpu(cpu);
    let machine = machine.bootargs(format!("scenario=sdei conduit={conduit}"));
    steps(&machine.el2_arg("leasehold.fault=all=sdei,external-abort"), &STEPS)?;
    Ok(())
}

pub(super) fn scenarios() -> Vec<Scenario> {
    let each = CPUS
        .into_iter()
        .flat_map(|cpu| ["hvc", "smc"].map(|conduit| (cpu, conduit)));
    each.map(|(cpu, conduit)| {
        let name = cpu.split(',').next().unwrap_or(cpu);
        Scenario::new(format!("fault/sdei/{name}/{conduit}"), Needs::Board, move |context| {
            bare(context, cpu, conduit)
        })
    })
    .collect()
}
