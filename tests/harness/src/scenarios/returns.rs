//! Accesses that come back: loops get on, a program's tries are told, and nobody is starved.

use super::{Context, Needs, Scenario, Verdict, steps};
use crate::report::Source;

/// A second link that serves the access, so that it is seen when it was reached.
const POLICY: &str = "leasehold.fault=all=alignment-abort,decoy";
/// A clock that goes with the instructions: what is told is counted, and must not be told too late because the machine
/// that this runs on has other things to do.
const OWN_TIME: [&str; 2] = ["-icount", "shift=0,sleep=off"];
/// Loops that nothing ends.
const ENDLESS: &str = "leasehold.fault=all=translation-abort!";
/// Lines of log about refused accesses that a run of some seconds may have: four at once and one a second, of one class.
const LINES: usize = 60;

pub(super) fn scenarios() -> Vec<Scenario> {
    vec![
        Scenario::new("fault/returns", Needs::Board, |context| {
            let machine = context.testhost("returns")?.el2_arg(POLICY).args(OWN_TIME);
            let expected = ["a loop gets on", "a try is told", "a flood does no harm"];
            steps(&machine, &expected)?;
            Ok(())
        }),
        Scenario::new("fault/loops", Needs::Board, loops),
    ]
}

fn loops(context: &Context<'_>) -> Verdict {
    let machine = context.testhost("loops")?.el2_arg(ENDLESS);
    let outcome = steps(&machine, &["calls beside loops"])?;
    let log = outcome.of(Source::El2);
    let lines = log.filter(|line| line.text.contains("refused: ")).count();
    if (1..=LINES).contains(&lines) {
        Ok(())
    } else {
        Err(format!(
            "{lines} lines of log about refused accesses, {LINES} at most\n{}",
            outcome.report()
        )
        .into())
    }
}
