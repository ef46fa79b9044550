//! The host's calls to firmware, and lending through a memory controller, where something stands for either.

use super::{Context, Needs, Scenario, Verdict, steps};
use crate::report::Source;

pub(super) fn scenarios() -> Vec<Scenario> {
    vec![Scenario::new("firmware/calls", Needs::Board, calls)]
}

fn calls(context: &Context<'_>) -> Verdict {
    let machine = context.testhost_on("stub-firmware", "firmware")?;
    let expected = [
        "the host's own memory passes",
        "firmware gets a copy",
        "lent memory does not pass",
        "put off: not to be lent",
        "a move that is late is undone",
    ];
    let outcome = steps(&machine, &expected)?;
    let lines = [
        "memory controller: moves what is lent",
        "refused: Memory(",
        "memory: MemoryFault",
    ];
    match lines.iter().find(|line| !outcome.has(Source::El2, line)) {
        None => Ok(()),
        Some(line) => Err(format!("EL2's log has no {line:?}\n{}", outcome.report()).into()),
    }
}
