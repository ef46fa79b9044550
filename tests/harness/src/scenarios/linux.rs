//! Linux hosts, with the driver and `leasectl`.

use super::{Needs, Scenario, linux_bootargs, steps};

/// The steps of `leasectl demo`.
pub const DEMO: [&str; 17] = [
    "kernel",
    "driver",
    "create",
    "lend",
    "load",
    "start",
    "guest",
    "touch.el0.read",
    "touch.el0.write",
    "host.alive",
    "dma",
    "dma.fault",
    "faults",
    "guest.end",
    "reclaim",
    "zero",
    "again",
];

/// The steps of `leasectl kill-test`.
const KILL_TEST: [&str; 9] = [
    "kill.create",
    "kill.lend",
    "kill.load",
    "kill.run",
    "kill.reclaim",
    "kill.vms",
    "kill.again",
    "kill.memory",
    "kill.log",
];

/// The steps of `leasectl driver-test`.
const DRIVER_TEST: [&str; 12] = [
    "refuse.command",
    "refuse.state",
    "refuse.late",
    "refuse.range",
    "refuse.memory",
    "refuse.twice",
    "refuse.limit",
    "refuse.load",
    "refuse.unload",
    "memfd",
    "close",
    "destroy.running",
];

/// The host that is tried in most ways.
pub const VERSION: &str = "6.12";

/// The hosts that are tried.
pub(super) const VERSIONS: [&str; 3] = ["6.1", "6.12", "7.3"];

pub(super) fn scenarios() -> Vec<Scenario> {
    let demo = VERSIONS.map(|version| {
        Scenario::new(format!("linux-{version}/demo"), Needs::Linux, move |context| {
            steps(&context.linux(version, &["demo"])?, &DEMO)?;
            Ok(())
        })
    });
    let kill = Scenario::new("linux-6.12/kill-test", Needs::Linux, |context| {
        steps(&context.linux("6.12", &["kill-test"])?, &KILL_TEST)?;
        Ok(())
    });
    // What is killed must not leave pages out of the kernel's map either: it would die of the first that it hands out.
    let unmapped = Scenario::new("linux-6.12/kill-test/unmapped", Needs::Linux, |context| {
        let bootargs = linux_bootargs(&["kill-test", "--rounds", "4"]) + " driver=unmap=1";
        steps(&context.linux("6.12", &[])?.bootargs(bootargs), &KILL_TEST)?;
        Ok(())
    });
    let driver = Scenario::new("linux-6.12/driver-test", Needs::Linux, |context| {
        steps(&context.linux("6.12", &["driver-test"])?, &DRIVER_TEST)?;
        Ok(())
    });
    demo.into_iter().chain([kill, unmapped, driver]).collect()
}
