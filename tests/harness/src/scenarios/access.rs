//! Every kind of access, from everywhere, by each mechanism alone: a bare-metal host has the rules, and tells of each.

use super::{Context, LIMIT, Needs, Scenario, Verdict, steps};
use crate::machine::Machine;
use crate::report::End;

/// The mechanisms that have an answer, or pass on, as a policy's text has them.
const MECHANISMS: [&str; 12] = [
    "external-abort",
    "alignment-abort",
    "translation-abort",
    "tag-check-abort",
    "granule-abort",
    "abort(0x35)",
    "tagged-abort",
    "new-syndrome",
    "decoy",
    "force-reclaim",
    "unmapped",
    "sdei",
];

/// The usual CPU, and one that has hardly any feature. EL0 can be AArch32 on both.
const MAX: &str = "max,pauth-impdef=on";
const A53: &str = "cortex-a53";

/// What is tried on the second one too: what looks at instructions, or has an answer of its own for each.
const ON_A53: [&str; 5] = ["external-abort", "tagged-abort", "decoy", "force-reclaim", "unmapped"];

/// Steps without which it has not come to what it is for.
const EXPECTED: [&str; 6] = [
    "leasehold is there",
    "the host has no record of it",
    "load 64",
    "A32 load",
    "at s1e1r",
    "behind the table",
];

pub(super) fn scenarios() -> Vec<Scenario> {
    let max = MECHANISMS.map(|mechanism| scenario(mechanism, MAX));
    let a53 = ON_A53.map(|mechanism| scenario(mechanism, A53));
    let halt = Scenario::new("access/halt", Needs::Board, halt);
    max.into_iter().chain(a53).chain([halt]).collect()
}

fn scenario(mechanism: &'static str, cpu: &'static str) -> Scenario {
    let name = cpu.split(',').next().unwrap_or(cpu);
    Scenario::new(format!("access/{mechanism}/{name}"), Needs::Board, move |context| {
        steps(&machine(context, mechanism)?.cpu(cpu), &EXPECTED)?;
        Ok(())
    })
}

/// All chains are of this one link, also where a kernel might answer it by the same access for ever, or is not prepared.
fn machine(context: &Context<'_>, mechanism: &str) -> Result<Machine, super::Missing> {
    let machine = context.testhost("access")?.smp(1);
    let machine = machine.bootargs(format!("scenario=access mechanism={mechanism}"));
    Ok(machine.el2_arg(format!("leasehold.fault=all={mechanism}!")))
}

/// The first touch stops the CPU, and with it this host. A guest's own touches before that did not.
fn halt(context: &Context<'_>) -> Verdict {
    let outcome = machine(context, "halt")?.start()?.finish(LIMIT);
    let steps = outcome.steps().steps;
    let good = |name: &str| steps.iter().any(|step| step.ok && step.name == name);
    match &outcome.end {
        End::El2Stopped(line)
            if line.contains("halted by the fault policy: class el1-user ")
                && good("the host has no record of it")
                && steps.iter().all(|step| step.ok && step.name != "halt") =>
        {
            Ok(())
        }
        end => Err(format!("{end}\n{}", outcome.report()).into()),
    }
}
