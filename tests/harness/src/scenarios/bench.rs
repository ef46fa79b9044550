//! What Leasehold may cost, where that is a count: the limits that [`bench`](crate::bench) has.

use super::{Needs, Scenario, Verdict};
use crate::bench::{Bench, Figure, Source, exceeded, figures_missing, mechanisms};

pub(super) fn scenarios() -> Vec<Scenario> {
    let mut all = vec![
        Scenario::new("bench/calls", Needs::Board, |context| {
            let figures = Bench::new(context.artifacts, context.name)?.calls()?;
            within(&figures, &[Source::Calls])
        }),
        Scenario::new("bench/host-boot", Needs::Linux, |context| {
            let boot = Bench::new(context.artifacts, context.name)?.host_boot()?;
            within(&boot.figures, &[Source::HostBoot]).map_err(|error| {
                let entries: Vec<_> = boot.entries.iter().map(ToString::to_string).collect();
                format!("{error}; entries into EL2: {}", entries.join(", ")).into()
            })
        }),
    ];
    all.extend(mechanisms().map(|mechanism| {
        Scenario::new(format!("bench/fault-{mechanism}"), Needs::Board, move |context| {
            let figures = Bench::new(context.artifacts, context.name)?.fault(mechanism)?;
            within(&figures, &[Source::Fault(mechanism)])
        })
    }));
    all
}

/// All figures of these runs are there, and none is more than it may be.
fn within(figures: &[Figure], sources: &[Source]) -> Verdict {
    let missing = figures_missing(figures, sources);
    if !missing.is_empty() {
        return Err(format!("not measured: {}", missing.join(", ")).into());
    }
    let over = exceeded(figures, |_| true);
    if over.is_empty() {
        Ok(())
    } else {
        Err(over.join("; ").into())
    }
}
