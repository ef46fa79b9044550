//! Drivers on QEMU's units, without Leasehold: the same suite that they pass with their models.

use super::{Needs, Scenario, steps};

/// The device that the suite for SMMUs has behind the unit: it reaches all addresses that the tables may have, where
/// [`Machine::edu`](crate::Machine::edu) reaches the lowest 4 GiB.
const EDU: [&str; 2] = ["-device", "edu,bus=pcie.0,addr=1,dma_mask=0xffffffffff"];

/// Cases of the suite that must be among those that ran.
const SMMU: [&str; 3] = [
    "a page that is unmapped, confirmed, and mapped again",
    "a unit that does not confirm",
    "40 bits, two tables at the root",
];

pub(super) fn scenarios() -> Vec<Scenario> {
    let smmu = Scenario::new("units/smmuv3", Needs::Board, |context| {
        let machine = context.bare().kernel(context.guest("smmu")?);
        steps(&machine.smp(1).its().args(EDU), &SMMU)?;
        Ok(())
    });
    vec![smmu]
}
