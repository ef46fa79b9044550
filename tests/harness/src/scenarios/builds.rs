//! Every way in which the board can be built: each is booted, with the main job on it.

use super::host::DEMO;
use super::{Context, Needs, Scenario, Verdict, sabotage, steps};

/// The builds of a board whose demo is to pass. What is left out on purpose in some of them the demo does not look at.
const GOOD: [&str; 12] = [
    "release",
    "dev",
    "break-stage1-invalidation",
    "break-stage1-invalidation-dev",
    "break-decoy-invalidation",
    "break-decoy-invalidation-dev",
    "poison-hpfar",
    "poison-hpfar-dev",
    "gunyah-exit",
    "gunyah-exit-dev",
    "stub-firmware",
    "stub-firmware-dev",
];

/// The builds whose demo is to fail.
const BAD: [&str; 2] = ["break-scrub", "break-scrub-dev"];

pub(super) fn scenarios() -> Vec<Scenario> {
    let good = GOOD.map(|build| {
        Scenario::new(format!("demo/{build}"), Needs::Board, move |context| {
            steps(&context.demo_on(build)?, &DEMO)?;
            Ok(())
        })
    });
    let bad = BAD.map(|build| {
        Scenario::new(format!("demo/{build}"), Needs::Board, move |context| {
            sabotage::noticed(
                &context.demo_on(build)?,
                &["zero ok", "reclaimed range reads zero", "all clean"],
            )
        })
    });
    let all = Scenario::new("demo/every-build", Needs::Board, every_build);
    good.into_iter().chain(bad).chain([all]).collect()
}

/// A feature that the board's package gets has to be booted here too.
fn every_build(context: &Context<'_>) -> Verdict {
    let is_known = |build: &&String| GOOD.contains(&build.as_str()) || BAD.contains(&build.as_str());
    let built = context.artifacts.boards.keys();
    let (known, unknown): (Vec<_>, Vec<_>) = built.partition(is_known);
    if known.len() != GOOD.len() + BAD.len() || !unknown.is_empty() {
        return Err(format!("built and not booted: {unknown:?}; booted: {known:?} of {GOOD:?} and {BAD:?}").into());
    }
    Ok(())
}
