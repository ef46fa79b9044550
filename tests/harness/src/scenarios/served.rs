//! Mechanisms that serve an access instead of refusing it, each as the only link of every chain.

use super::{Needs, Scenario, steps};

const CPUS: [&str; 2] = ["max,pauth-impdef=on", "cortex-a53"];

pub(super) fn scenarios() -> Vec<Scenario> {
    let kinds = [("served", "decoy"), ("stepped", "decoy"), ("taken", "force-reclaim")];
    let each = kinds
        .into_iter()
        .flat_map(|kind| CPUS.into_iter().map(move |cpu| (kind, cpu)));
    each.map(|((scenario, mechanism), cpu)| {
        let name = cpu.split(',').next().unwrap_or(cpu);
        Scenario::new(
            format!("fault/{mechanism}/{scenario}/{name}"),
            Needs::Board,
            move |context| {
                let machine = context.testhost(scenario)?.cpu(cpu);
                let machine = machine.el2_arg(format!("leasehold.fault=all={mechanism}"));
                let last = if scenario == "stepped" { "debugged" } else { "record" };
                steps(&machine, &["leasehold is there", last])?;
                Ok(())
            },
        )
    })
    .collect()
}
