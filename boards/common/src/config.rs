//! A board as the core takes it, from its description.

use crate::{Description, El2Entry};
use leasehold_hal::SmcPolicy;
use leasehold_hyp_core::board::{self, BoardConfig};
use leasehold_memory_map::{Kept, PhysRange};

/// What follows from a board's machine.
#[derive(Clone, Copy, Debug)]
pub struct Lists {
    /// Registers that EL2 itself uses, in whole pages.
    pub registers: &'static [PhysRange],
    /// Where RAM can be.
    pub ram: &'static [PhysRange],
    /// Nodes that the host does not get.
    pub kept: &'static [Kept<'static>],
    /// Bus masters that the host has and no SMMU contains.
    pub uncontained: &'static [&'static str],
    /// What the host may call of the firmware behind SMC, beside PSCI.
    pub smc: SmcPolicy,
}

impl Description {
    /// The board's configuration.
    #[must_use]
    pub const fn config(&self, lists: &Lists) -> BoardConfig {
        BoardConfig {
            name: self.name,
            load_address: self.load_address,
            entry: match self.entry {
                El2Entry::GunyahExit(_) => board::El2Entry::GunyahExit,
                El2Entry::Loader(_) | El2Entry::Unknown(_) => board::El2Entry::Loader,
            },
            registers: lists.registers,
            ram: lists.ram,
            kept: lists.kept,
            policy: self.policy,
            smc: lists.smc,
            // DFSC 0b110010 is not allotted (Arm ARM, ESR_EL1, "ISS encoding for an exception from a Data Abort").
            new_syndrome: 0x32,
            overrides: self.overrides,
            uncontained_masters: lists.uncontained,
            accept_uncontained: self.accept_uncontained,
        }
    }
}
