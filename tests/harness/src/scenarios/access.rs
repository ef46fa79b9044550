//! Every kind of access, from everywhere, by each mechanism alone: a bare-metal host has the rules, and tells of each.

use super::{Context, LIMIT, Needs, Scenario, Verdict, steps};
use crate::bench::Bench;
use crate::machine::Machine;
use crate::report::{End, Outcome, Source};

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

/// Faults that a CPU can be brought to, and the mechanism that says it was one.
const REAL: [(&str, &str); 3] = [
    ("external", "external-abort"),
    ("alignment", "alignment-abort"),
    ("translation", "translation-abort"),
];

/// As many aborts are compared at least.
const LEAST_ALIKE: usize = 100;

/// Mechanisms, and how many touches each gets; `LEASEHOLD_FAULTS` says another number.
const MANY: [(&str, u64); 4] = [
    ("external-abort", 1_000_000),
    ("tagged-abort", 100_000),
    ("alignment-abort,external-abort", 100_000),
    ("decoy", 10_000),
];

/// Lines that EL2's log has at once of one kind (hyp-core's `fault::BURST`).
const BURST: u64 = 4;

pub(super) fn scenarios() -> Vec<Scenario> {
    let max = MECHANISMS.map(|mechanism| scenario(mechanism, MAX));
    let a53 = ON_A53.map(|mechanism| scenario(mechanism, A53));
    let halt = Scenario::new("access/halt", Needs::Board, halt);
    let lost = ["external-abort", "decoy", "tagged-abort"].map(lost);
    let alike = REAL.into_iter().flat_map(|real| [MAX, A53].map(|cpu| alike(real, cpu)));
    let many = MANY.map(|(mechanism, faults)| many(mechanism, faults));
    let poisoned = Scenario::new("access/poison-hpfar", Needs::Board, |context| {
        // By a policy that says other than the bus.
        let machine = context.testhost_on("poison-hpfar", "access")?.smp(1);
        let machine = machine.bootargs("scenario=access mechanism=alignment-abort");
        let machine = machine.el2_arg("leasehold.fault=all=alignment-abort!");
        steps(&machine, &["load 64", "permission faults"])?;
        Ok(())
    });
    let all = max.into_iter().chain(a53).chain([halt, poisoned]).chain(lost);
    all.chain(alike).chain(many).collect()
}

/// EL2 takes no longer for an access after very many of them.
fn many(mechanism: &'static str, faults: u64) -> Scenario {
    Scenario::new(format!("access/many/{mechanism}"), Needs::Board, move |context| {
        let asked = std::env::var("LEASEHOLD_FAULTS").ok();
        let faults = asked.map_or(Ok(faults), |text| text.parse())?;
        let bench = Bench::new(context.artifacts, context.name)?;
        let [first, last] = bench.first_and_last(mechanism, faults)?;
        if last <= first {
            Ok(())
        } else {
            Err(format!("{first} instructions at first, {last} after {faults} touches").into())
        }
    })
}

/// An abort is what the CPU makes itself of a fault of that kind, where there is no EL2.
fn alike((kind, mechanism): (&'static str, &'static str), cpu: &'static str) -> Scenario {
    let name = cpu.split(',').next().unwrap_or(cpu);
    Scenario::new(format!("access/alike/{kind}/{name}"), Needs::Board, move |context| {
        let bootargs = format!("scenario=alike kind={kind}");
        let ours = context.testhost("alike")?.bootargs(bootargs.clone()).smp(1).cpu(cpu);
        let ours = steps(
            &ours.el2_arg(format!("leasehold.fault=all={mechanism}!")),
            &["load", "store"],
        )?;
        let bare = context.bare().kernel(context.guest("testhost")?).bootargs(bootargs);
        let bare = bare.dir(ours.dir.join("bare")).smp(1).cpu(cpu);
        let real = steps(&bare, &["load", "store"])?;
        let told = |outcome: &Outcome| -> Vec<_> {
            let steps = outcome.steps().steps.into_iter();
            let aborts = steps.filter(|step| step.seen.contains("ESR "));
            aborts.map(|step| format!("{} {}", step.name, step.seen)).collect()
        };
        let (ours, real) = (told(&ours), told(&real));
        if let Some((ours, real)) = ours.iter().zip(&real).find(|(ours, real)| ours != real) {
            return Err(format!("ours is not what the CPU makes itself:\n{ours}\n{real}").into());
        }
        if ours.len() != real.len() || ours.len() < LEAST_ALIKE {
            return Err(format!("{} aborts beside {} of the CPU's", ours.len(), real.len()).into());
        }
        Ok(())
    })
}

/// CPUs whose vectors are nowhere do not stop others, nor fill the log.
fn lost(mechanism: &'static str) -> Scenario {
    Scenario::new(format!("access/lost/{mechanism}"), Needs::Board, move |context| {
        let machine = context.testhost("lost")?.smp(3);
        let machine = machine.el2_arg(format!("leasehold.fault=el1-user=external-abort;fetch={mechanism}!"));
        let outcome = steps(
            &machine,
            &["leasehold is there", "others go on", "the lost CPU is in its handler"],
        )?;
        for (what, line) in [
            ("of the fetches", "CPU 1 fetch VA"),
            ("of nobody's", "host: fetch access at VA"),
        ] {
            let lines = outcome.of(Source::El2).filter(|it| it.text.contains(line)).count() as u64;
            // A burst, and one each second that the machine may take.
            if !(1..=BURST + LIMIT.as_secs()).contains(&lines) {
                return Err(format!("{lines} lines {what}\n{}", outcome.report()).into());
            }
        }
        Ok(())
    })
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
