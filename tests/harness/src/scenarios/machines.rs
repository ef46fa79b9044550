//! Machines other than the usual one: GICv2, CPUs without break-before-make level 2 (whose tables of 4 KiB pages are
//! kept), and one, two and eight CPUs. Each value is met with each kind of work, not each value with each other. And
//! QEMU's machines other than `virt`, with the main job but for its DMA.

use super::{HOST_DEMO, LINUX_DEMO, Needs, Scenario, steps};
use crate::hardware::Hardware;
use crate::machine::{Gic, Machine};

/// A machine: interrupt controller, CPU model, number of CPUs.
type Kind = (Gic, &'static str, u32);

const MAX: &str = "max,pauth-impdef=on";
const A53: &str = "cortex-a53";
const A72: &str = "cortex-a72";

/// Where the bare-metal host does the main job.
const DEMO: [Kind; 4] = [
    (Gic::V2, MAX, 1),
    (Gic::V3, A53, 8),
    (Gic::V2, A72, 2),
    (Gic::V3, MAX, 8),
];

/// Where the test host's scenarios run.
const TESTHOST: [(&str, Kind); 11] = [
    ("tenants", (Gic::V2, A53, 1)),
    ("tenants", (Gic::V3, A72, 2)),
    ("deputy", (Gic::V2, A72, 1)),
    ("deputy", (Gic::V3, A53, 2)),
    ("deputy", (Gic::V2, MAX, 8)),
    ("smp", (Gic::V2, A53, 8)),
    ("smp", (Gic::V3, A72, 2)),
    ("warm-tlb", (Gic::V2, A53, 2)),
    ("warm-tlb", (Gic::V3, A72, 8)),
    ("conserve", (Gic::V3, A53, 8)),
    ("bad-lend", (Gic::V2, A72, 2)),
];

pub(super) fn scenarios() -> Vec<Scenario> {
    let demo = DEMO.map(|kind| {
        Scenario::new(format!("demo/{}", name(kind)), Needs::Board, move |context| {
            steps(&on(context.demo_on("release")?, kind), &HOST_DEMO)?;
            Ok(())
        })
    });
    let testhost = TESTHOST.map(|(scenario, kind)| {
        Scenario::new(
            format!("testhost/{scenario}/{}", name(kind)),
            Needs::Board,
            move |context| {
                steps(&on(context.testhost(scenario)?, kind), &["leasehold is there"])?;
                Ok(())
            },
        )
    });
    let kind = (Gic::V2, A72, 2);
    let linux = Scenario::new(
        format!("linux-6.12/demo/{}", name(kind)),
        Needs::Linux,
        move |context| {
            steps(&on(context.linux("6.12", &["demo"])?, kind), &LINUX_DEMO)?;
            Ok(())
        },
    );
    let others = [Hardware::Zcu102, Hardware::Imx8mp].map(|hardware| {
        Scenario::new(format!("demo/{}", hardware.board()), Needs::Board, move |context| {
            let machine = context.hardware(hardware)?.kernel(context.guest("demo")?);
            let machine = super::bare_metal(machine).initrd(context.guest("guest")?);
            let expected = HOST_DEMO.iter().filter(|step| !step.starts_with("DMA"));
            let expected: Vec<&str> = expected.copied().chain(["cpus up"]).collect();
            steps(&machine.bootargs("no-dma"), &expected)?;
            Ok(())
        })
    });
    demo.into_iter().chain(others).chain(testhost).chain([linux]).collect()
}

fn name((gic, cpu, cpus): Kind) -> String {
    let gic = if gic == Gic::V2 { "gicv2" } else { "gicv3" };
    let cpu = cpu.split(',').next().unwrap_or(cpu);
    format!("{gic}-{cpu}-{cpus}")
}

fn on(machine: Machine, (gic, cpu, cpus): Kind) -> Machine {
    machine.gic(gic).cpu(cpu).smp(cpus)
}
